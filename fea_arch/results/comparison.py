"""The result of a comparison: edits, margins before and after, and what regressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["ComparisonResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonResult(Plottable):
    """Two architectures side by side.

    Attributes
    ----------
    base, head : str
        Names.
    changes : tuple
        What was edited: ``place``, ``field``, ``before``, ``after``.
    margins, titles, units : tuple of str
        Names, words and units of the rows below.
    before, after, change : (n_margins,) float64
    low, high : (n_margins,) float64
        95 % interval of the change over what is not known (normal approximation with Student's quantile); the change
        itself without samples.
    verdicts : tuple of str
        worse, better or same; worse and better only where the whole interval lies on that side.
    """

    base: str
    head: str
    changes: Sequence[Any]
    margins: tuple[str, ...]
    before: Array
    after: Array
    change: Array
    low: Array
    high: Array
    verdicts: tuple[str, ...]
    titles: tuple[str, ...]
    units: tuple[str, ...]
    samples: int
    findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("before", "after", "change", "low", "high"):
            getattr(self, name).setflags(write=False)

    @property
    def regressed(self) -> bool:
        """Whether a margin is worse by more than its interval."""
        return "worse" in self.verdicts

    @property
    def regressions(self) -> tuple[str, ...]:
        """Names of the margins that are worse."""
        return tuple(n for n, v in zip(self.margins, self.verdicts) if v == "worse")

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Return the row of one margin.

        Raises
        ------
        KeyError
            If it was not compared.
        """
        if name not in self.margins:
            raise KeyError(name)
        k = self.margins.index(name)
        row = {f: float(getattr(self, f)[k]) for f in ("before", "after", "change", "low", "high")}
        return {"margin": name, **row, "verdict": self.verdicts[k], "unit": self.units[k]}

    def sentence(self, name: str) -> str:
        """Say in one line what happened to a margin."""
        row = self[name]
        title = self.titles[self.margins.index(name)]
        return (
            f"{title}: {row['before']:.4g} -> {row['after']:.4g} {row['unit']} "
            f"({row['change']:+.3g}, 95 %: {row['low']:+.3g} to {row['high']:+.3g}): {row['verdict']}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types."""
        return dict(
            plain(
                {
                    "result": "ComparisonResult",
                    "base": self.base,
                    "head": self.head,
                    "regressed": self.regressed,
                    "changes": [
                        {"place": c.place, "field": c.field, "before": c.before, "after": c.after} for c in self.changes
                    ],
                    "margins": [self[name] for name in self.margins],
                    "samples": self.samples,
                    "findings": list(self.findings),
                }
            )
        )

    def _lines(self) -> list[str]:
        verdict = f"{len(self.regressions)} margins worse" if self.regressed else "no margin worse"
        rows = sorted(range(len(self.margins)), key=lambda k: ("worse", "better", "same").index(self.verdicts[k]))
        lines = [f"<ComparisonResult: {self.base} -> {self.head}, {len(self.changes)} edits, {verdict}>"]
        return lines + [f"  {self.sentence(self.margins[k])}" for k in rows[:7]]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        head, *rest = self._lines()
        return f"<div><b>{escape(head.strip('<>'))}</b>" + "".join(f"<p>{escape(r)}</p>" for r in rest) + "</div>"
