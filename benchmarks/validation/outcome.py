"""What a prediction said, what was measured, and the page that shows both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["AIMS", "Outcome", "Row", "differs", "page", "summary_row"]

_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")

#: Largest error aimed at, by the quantity [1]; other quantities are shown without an aim.
AIMS = {"throughput": 0.10, "mean response": 0.15, "collapse load": 0.15}
#: Factor and unit in which a quantity is printed.
_UNITS = {"1/s": (1.0, "1/s"), "s": (1e3, "ms"), "1": (1.0, "")}


@dataclass(frozen=True)
class Row:
    """One prediction beside its measurement, in SI units; text where a name is foretold."""

    case: str
    quantity: str
    unit: str
    predicted: float | str
    measured: float | str
    calibration: bool = False

    @property
    def error(self) -> float:
        """Relative error [1]; NaN for names."""
        if isinstance(self.predicted, str) or isinstance(self.measured, str):
            return float("nan")
        return self.predicted / self.measured - 1.0

    @property
    def right(self) -> bool:
        """Whether a name was foretold rightly."""
        return self.predicted == self.measured


@dataclass(frozen=True)
class Outcome:
    """All predictions for one data set.

    Parameters
    ----------
    name, title : str
        File name of the page and its heading.
    model, calibrated : str
        What was modelled, and from which measurements the numbers of the model came.
    verdict : str
        An honest word: where it holds, where it fails and why.
    rows : sequence of Row
    remarks : sequence of str
        What the analysis said in words, for instance that there is no steady state.
    """

    name: str
    title: str
    model: str
    calibrated: str
    verdict: str
    rows: Sequence[Row]
    remarks: Sequence[str] = field(default_factory=tuple)

    def errors(self, quantity: str) -> np.ndarray:
        """Return the absolute errors of what was predicted (not calibrated) of a quantity."""
        return np.array([abs(r.error) for r in self.rows if r.quantity == quantity and not r.calibration])


def _shown(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    factor, word = _UNITS.get(unit, (1.0, unit))
    return f"{float(f'{value * factor:.4g}'):,.10g} {word}".strip()


def _table(rows: Sequence[Row]) -> list[str]:
    lines = ["| case | quantity | predicted | measured | error |", "|---|---|---:|---:|---:|"]
    for r in rows:
        wrong = "right" if r.right else "wrong"
        error = wrong if isinstance(r.measured, str) else f"{100 * r.error:+.1f} %"
        both = f"{_shown(r.predicted, r.unit)} | {_shown(r.measured, r.unit)}"
        lines.append(f"| {r.case} | {r.quantity} | {both} | {error} |")
    return lines


def _kinds(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(r.quantity for r in outcome.rows if not r.calibration))


def page(outcome: Outcome) -> str:
    """Return the Markdown page of one data set."""
    lines = [f"# {outcome.title}", "", outcome.model, "", f"**Calibrated from** {outcome.calibrated}", ""]
    lines += ["| quantity | points | mean error | worst error | aim | within |", "|---|---:|---:|---:|---:|---:|"]
    for kind in _kinds(outcome):
        lines.append(_kind_line(outcome, kind))
    lines += ["", outcome.verdict, ""]
    if outcome.remarks:
        lines += ["What the analysis says:", ""]
        lines += [f"* {remark}" for remark in outcome.remarks]
        lines.append("")
    lines += ["## Predictions", "", *_table([r for r in outcome.rows if not r.calibration]), ""]
    known = [r for r in outcome.rows if r.calibration]
    if known:
        lines += ["## Points of the calibration", "", "How well the model repeats what it was given.", ""]
        lines += [*_table(known), ""]
    return "\n".join(lines)


def _kind_line(outcome: Outcome, kind: str) -> str:
    chosen = [r for r in outcome.rows if r.quantity == kind and not r.calibration]
    if isinstance(chosen[0].measured, str):
        return f"| {kind} | {len(chosen)} | | | all right | {sum(r.right for r in chosen)} of {len(chosen)} |"
    errors = outcome.errors(kind)
    aim = AIMS.get(kind)
    inside = "" if aim is None else f"{int((errors <= aim).sum())} of {errors.size}"
    limit = "" if aim is None else f"{100 * aim:.0f} %"
    return f"| {kind} | {errors.size} | {100 * errors.mean():.1f} % | {100 * errors.max():.1f} % | {limit} | {inside} |"


def summary_row(outcome: Outcome) -> list[str]:
    """Return the lines of the index for one data set."""
    head = f"[{outcome.title}]({outcome.name}.md)"
    return [f"| {head if k == 0 else ''} {_kind_line(outcome, kind)}" for k, kind in enumerate(_kinds(outcome))]


def differs(old: str, new: str) -> str:
    """Return the first difference of two pages beyond rounding (2 % or 0.5 of what is printed), or an empty text."""
    for a, b in zip(old.splitlines(), new.splitlines()):
        if _NUMBER.sub("#", a) != _NUMBER.sub("#", b):
            return f"{a!r} became {b!r}"
        for x, y in zip(_numbers(a), _numbers(b)):
            if abs(x - y) > max(0.02 * abs(x), 0.5):
                return f"{a!r} became {b!r}"
    if len(old.splitlines()) != len(new.splitlines()):
        return "the number of lines"
    return ""


def _numbers(line: str) -> list[float]:
    return [float(word.replace(",", "")) for word in _NUMBER.findall(line)]
