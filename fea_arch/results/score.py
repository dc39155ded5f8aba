"""The architecture score: value, sub-scores, and where every point was lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import MissingExtraError, ModelError, suggestion
from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["LABELS", "Score", "label_of"]

Array = NDArray[np.float64]

#: Lowest value of each label.
LABELS = ((90.0, "excellent"), (75.0, "good"), (50.0, "degraded"), (0.0, "critical"))


def label_of(value: float) -> str:
    """Return the label of a score.

    Examples
    --------
    >>> label_of(90.0), label_of(49.9)
    ('excellent', 'critical')
    """
    return next(word for least, word in LABELS if value >= least)


@dataclass(frozen=True, eq=False, repr=False)
class Score(Plottable):
    """Share of the offered requests that are answered correctly within the latency objective, over a catalogue.

    Attributes
    ----------
    value : float
        100 x the weighted mean share; ``100 - losses.sum()`` [points].
    static, dynamic, modal, nonlinear : float
        The same over the situations of each group; NaN where the catalogue has none [points].
    label : str
        excellent (90 and more), good (75), degraded (50) or critical.
    incident_level : int
        2 if the score is critical, else 0.
    components, situations : tuple of str
        Rows and columns of ``losses``.
    weights, shares : (n_situations,) float64
        Weight of each situation, and the share of requests answered correctly within the objective in it [1].
    groups : tuple of str
        Group of each situation.
    losses : (n_components, n_situations) float64
        Points lost [points].
    interval : tuple of float
        Values between which the score lies with 95 % probability, from the uncertainty of the service times [points].
    measured_share : float
        Share of the key numbers that were measured [1].
    objective_s : float
        Latency objective [s]; ``objective_stated`` tells whether the architecture states it.
    simulated, simulated_half_width : (n_situations,) float64 or None
        Shares in the event simulation with 95 % half-widths, after ``check="simulate"`` [1].
    """

    value: float
    static: float
    dynamic: float
    modal: float
    nonlinear: float
    components: tuple[str, ...]
    situations: tuple[str, ...]
    groups: tuple[str, ...]
    weights: Array
    shares: Array
    losses: Array
    interval: tuple[float, float]
    measured_share: float
    objective_s: float
    objective_stated: bool
    catalogue: str
    findings: tuple[str, ...] = ()
    simulated: Array | None = None
    simulated_half_width: Array | None = None
    runs: int = 0
    elapsed_s: float = field(default=0.0)

    def __post_init__(self) -> None:
        for name in ("weights", "shares", "losses", "simulated", "simulated_half_width"):
            array = getattr(self, name)
            if array is not None:
                array.setflags(write=False)

    @property
    def label(self) -> str:
        """Word for the value."""
        return label_of(self.value)

    @property
    def incident_level(self) -> int:
        """2 where the score is critical, else 0."""
        return 2 if self.label == "critical" else 0

    @property
    def simulated_value(self) -> float:
        """Score of the simulated shares, of those situations that were simulated [points]; NaN without a check."""
        if self.simulated is None:
            return float("nan")
        done = np.isfinite(self.simulated)
        weight = math.fsum(self.weights[done])
        return 100.0 * math.fsum(self.weights[done] * self.simulated[done]) / weight if weight > 0 else float("nan")

    def by_component(self) -> dict[str, float]:
        """Return the points lost by each component that loses any, the largest first."""
        total = self.losses.sum(axis=1)
        order = np.argsort(-total, kind="stable")
        return {self.components[i]: float(total[i]) for i in order.tolist() if total[i] > 0}

    def by_situation(self) -> dict[str, float]:
        """Return the points lost in each situation, the largest first."""
        total = self.losses.sum(axis=0)
        order = np.argsort(-total, kind="stable")
        return {self.situations[i]: float(total[i]) for i in order.tolist()}

    def worst(self, count: int = 10) -> list[tuple[str, str, float]]:
        """Return the largest losses as (component, situation, points)."""
        order = np.argsort(-self.losses, axis=None, kind="stable")[:count]
        pairs = (np.unravel_index(int(k), self.losses.shape) for k in order)
        found = [(self.components[i], self.situations[j], float(self.losses[i, j])) for i, j in pairs]
        return [row for row in found if row[2] > 0]

    def __getitem__(self, name: str) -> dict[str, float]:
        """Return the points that a component loses, by situation.

        Raises
        ------
        ModelError
            If there is none of that name.
        """
        if name not in self.components:
            raise ModelError(f"no such component.{suggestion(name, self.components)}", component=name)
        row = self.losses[self.components.index(name)]
        return {s: float(v) for s, v in zip(self.situations, row) if v > 0}

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types."""
        rows = []
        for k, name in enumerate(self.situations):
            row: dict[str, Any] = {
                "situation": name,
                "group": self.groups[k],
                "weight": float(self.weights[k]),
                "share": float(self.shares[k]),
                "lost_points": float(self.losses[:, k].sum()),
            }
            if self.simulated is not None and self.simulated_half_width is not None:
                row["simulated_share"] = float(self.simulated[k])
                row["simulated_half_width"] = float(self.simulated_half_width[k])
            rows.append(row)
        losses = [
            {"component": c, "situation": s, "points": v} for c, s, v in self.worst(self.losses.size)
        ]
        document = {
            "result": "Score",
            "value": self.value,
            "label": self.label,
            "incident_level": self.incident_level,
            "static": self.static,
            "dynamic": self.dynamic,
            "modal": self.modal,
            "nonlinear": self.nonlinear,
            "interval": list(self.interval),
            "measured_share": self.measured_share,
            "objective_s": self.objective_s,
            "objective_stated": self.objective_stated,
            "catalogue": self.catalogue,
            "simulated_value": self.simulated_value,
            "situations": rows,
            "losses": losses,
            "findings": list(self.findings),
        }
        return dict(plain(document))

    def to_dataframe(self) -> Any:
        """Return the losses as a ``pandas.DataFrame``, components by situations [points].

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "frames") from None
        return pd.DataFrame(np.array(self.losses), index=list(self.components), columns=list(self.situations))

    def _lines(self) -> list[str]:
        low, high = self.interval
        parts = ", ".join(
            f"{g} {getattr(self, g):.1f}" for g in ("static", "dynamic", "modal", "nonlinear")
            if not math.isnan(getattr(self, g))
        )  # fmt: skip
        lines = [
            f"<Score: {self.value:.1f} of 100, {self.label} (95 % interval {low:.1f} to {high:.1f})>",
            f"  {parts}; {100 * self.measured_share:.0f} % of the numbers are measured",
        ]
        if self.simulated is not None:
            lines.append(f"  simulated: {self.simulated_value:.1f}")
        lines += [f"  {c} loses {v:.2f} points in {s}" for c, s, v in self.worst(4)]
        return lines

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        head, *rest = self._lines()
        return f"<div><b>{escape(head.strip('<>'))}</b>" + "".join(f"<p>{escape(r)}</p>" for r in rest) + "</div>"
