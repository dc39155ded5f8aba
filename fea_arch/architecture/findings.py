"""Findings: what a reader or a check has to say about a description."""

from __future__ import annotations

from dataclasses import dataclass

from fea_arch.errors import ModelError

__all__ = ["LEVELS", "Finding"]

LEVELS = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation about a description.

    Parameters
    ----------
    level : {"error", "warning", "info"}
        An error stops every analysis.
    message : str
        What was found.
    component, field, fix : str
        Where, and what would mend it; may be empty.
    count : int
        How many times it was seen (data-quality counts).
    """

    level: str
    message: str
    component: str = ""
    field: str = ""
    fix: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ModelError(f"unknown level {self.level!r}", field="level", fix=f"one of {', '.join(LEVELS)}")

    def __str__(self) -> str:
        place = ".".join(p for p in (self.component, self.field) if p)
        times = f" ({self.count} times)" if self.count > 1 else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.level}: {place + ': ' if place else ''}{self.message}{times}{fix}"
