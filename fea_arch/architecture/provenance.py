"""Where a number comes from: measured, declared by a file or a person, or assumed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fea_arch.errors import ModelError, suggestion

__all__ = ["ASSUMED", "DECLARED", "KINDS", "MEASURED", "Provenance"]

KINDS = ("assumed", "declared", "measured")
ASSUMED, DECLARED, MEASURED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of one number.

    Parameters
    ----------
    kind : {"measured", "declared", "assumed"}
        Measured on the running system, declared by a configuration or a person, or a default.
    samples : int
        Number of samples behind a measured value.
    source : str
        Short description of the origin (a file name, a data set, a probe).
    spread : float
        Coefficient of variation of the value itself, that is its relative standard error [1]; 0 if unknown.

    Examples
    --------
    >>> Provenance("measured", samples=20).code
    2
    """

    kind: str = "assumed"
    samples: int = 0
    source: str = ""
    spread: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(
                f"unknown provenance {self.kind!r}.{suggestion(self.kind, KINDS)}",
                field="provenance",
                fix=f"one of {', '.join(KINDS)}",
            )
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 0:
            raise ModelError(f"samples is {self.samples!r}", field="provenance", fix="a count of 0 or more")
        if isinstance(self.spread, bool) or not isinstance(self.spread, (int, float)) or not 0 <= self.spread < inf:
            raise ModelError(f"spread is {self.spread!r}", field="provenance", fix="a finite number of 0 or more")
        if not isinstance(self.source, str):
            raise ModelError(f"source is {self.source!r}", field="provenance", fix="a text")

    @property
    def code(self) -> int:
        """Number of the kind: 0 assumed, 1 declared, 2 measured."""
        return KINDS.index(self.kind)
