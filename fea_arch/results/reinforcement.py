"""The result of a reinforcement: steps, their gains, what they cost, and the front of cost against margin."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["ReinforcementResult", "ReinforcementStep", "TopologySuggestion"]


@dataclass(frozen=True, slots=True)
class ReinforcementStep:
    """One change that was kept.

    Parameters
    ----------
    change, place, field : str
    before, after : object
    cost : float
    predicted, verified : float
        Part of the shortfall to the target that the change takes away: expected from an earlier design, and re-solved
        on this one [1].
    margins : dict
        Margins of the target after this step.
    """

    change: str
    place: str
    field: str
    before: Any
    after: Any
    cost: float
    predicted: float
    verified: float
    margins: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return dict(plain({name: getattr(self, name) for name in self.__dataclass_fields__}))


@dataclass(frozen=True, slots=True)
class TopologySuggestion:
    """A change of what calls what, alone on the architecture as it is; people decide on it.

    Parameters
    ----------
    change, kind, place : str
        In words; ``decouple``, ``fallback``, ``cache`` or ``remove``; the call.
    cost : float
    predicted, verified : float
        Part of the shortfall to the target that the change takes away: to first order (NaN where the target has no
        derivative) and solved again (NaN where nothing falls short) [1].
    reached : bool
        Whether the change alone reaches the target.
    margins : dict
        Margins of the target with the change.
    saved_share : float
        For a fallback: share of the offered load that it saves when the callee is gone; else NaN [1].
    decision : str
        What no calculation can decide.
    """

    change: str
    kind: str
    place: str
    cost: float
    predicted: float
    verified: float
    reached: bool
    margins: dict[str, float]
    saved_share: float
    decision: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return dict(plain({name: getattr(self, name) for name in self.__dataclass_fields__}))

    def __str__(self) -> str:
        parts = [f"cost {self.cost:g}"]
        if self.verified == self.verified:
            first = "" if self.predicted != self.predicted else f"predicted {self.predicted:.1%}, "
            parts.append(f"{first}verified {self.verified:.1%} of the shortfall")
        if self.saved_share == self.saved_share:
            parts.append(f"saves {self.saved_share:.0%} of the requests when it is gone")
        return f"{self.change} ({'; '.join(parts)}; to decide: {self.decision})"


@dataclass(frozen=True, eq=False, repr=False)
class ReinforcementResult(Plottable):
    """Changes that reach a target, verified by re-solving the changed architecture.

    Attributes
    ----------
    architecture : Architecture
        The changed one; nothing else was changed anywhere.
    target : dict
        What was asked for, by margin.
    reached : bool
    before, after : dict
        Margins of the target.
    steps : tuple of ReinforcementStep
    cost : float
    front : tuple of (cost, dict)
        Designs on the way that no other one beats in cost and shortfall; a collapse factor beyond the target is inf
        here and in the steps, where loads are followed no further.
    optimal : bool
        Whether it is proved that no cheaper set of these changes reaches the target; otherwise a good one was found
        by steps, or none.
    method : str
    suggestions : tuple of TopologySuggestion
        Changes of what calls what, each alone on the architecture as it is, by verified gain; none is part of
        ``architecture`` unless its kind was asked for.
    solves : int
        Architectures that were solved.
    """

    architecture: Any
    target: dict[str, float]
    reached: bool
    before: dict[str, float]
    after: dict[str, float]
    steps: tuple[ReinforcementStep, ...]
    cost: float
    front: tuple[tuple[float, dict[str, float]], ...]
    optimal: bool
    method: str
    suggestions: tuple[TopologySuggestion, ...] = ()
    solves: int = 0
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types, without the architecture."""
        return dict(
            plain(
                {
                    "result": "ReinforcementResult",
                    "target": self.target,
                    "reached": self.reached,
                    "before": self.before,
                    "after": self.after,
                    "cost": self.cost,
                    "optimal": self.optimal,
                    "method": self.method,
                    "steps": [step.to_dict() for step in self.steps],
                    "front": [{"cost": cost, **row} for cost, row in self.front],
                    "suggestions": [suggestion.to_dict() for suggestion in self.suggestions],
                    "solves": self.solves,
                    "findings": list(self.findings),
                }
            )
        )

    def _lines(self) -> list[str]:
        goal = ", ".join(f"{name} {value:g}" for name, value in self.target.items())
        state = "reached" if self.reached else "not reached"
        proof = "cheapest" if self.optimal else "by steps"
        moved = ", ".join(f"{n} {self.before[n]:.4g} -> {self.after[n]:.4g}" for n in self.target)
        lines = [f"<ReinforcementResult: {goal} {state} at cost {self.cost:g} ({proof})>", f"  {moved}"]
        shown = [f"  {s.change} (cost {s.cost:g}, {s.verified:+.1%} of the shortfall)" for s in self.steps]
        lines += shown if len(shown) <= 6 else [*shown[:5], f"  ... and {len(shown) - 5} more changes"]
        return lines + [f"  consider: {suggestion}" for suggestion in self.suggestions[:3]]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        head, *rest = self._lines()
        return f"<div><b>{escape(head.strip('<>'))}</b>" + "".join(f"<p>{escape(r)}</p>" for r in rest) + "</div>"
