"""The result of a sweep over one or two parameters."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["SweepResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(Plottable):
    """Static answers over a grid; each array has one axis for each parameter, NaN where nothing stands.

    Attributes
    ----------
    parameters : tuple of str
    values : tuple of (n,) float64
        Values of each parameter.
    response_s, percentile_s : float64
        Mean response and the percentile of the objective over all entries [s].
    worst_utilisation : float64
        Highest utilisation of a component [1].
    stable : bool
        Whether there is an equilibrium.
    networks : int
        Networks that were built.
    """

    parameters: tuple[str, ...]
    values: tuple[Array, ...]
    response_s: Array
    percentile_s: Array
    worst_utilisation: Array
    stable: NDArray[np.bool_]
    networks: int

    def __post_init__(self) -> None:
        for array in (*self.values, self.response_s, self.percentile_s, self.worst_utilisation, self.stable):
            array.setflags(write=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types."""
        return dict(plain({"result": "SweepResult", **{f: getattr(self, f) for f in self.__dataclass_fields__}}))

    def _lines(self) -> list[str]:
        shape = " x ".join(str(v.size) for v in self.values)
        lines = [f"<SweepResult: {shape} designs over {', '.join(self.parameters)}, {int(self.stable.sum())} stand>"]
        if self.stable.any():
            best = np.unravel_index(int(np.nanargmin(self.response_s)), self.response_s.shape)
            where = ", ".join(f"{n} {v[k]:g}" for n, v, k in zip(self.parameters, self.values, best))
            lines.append(f"  shortest mean response {1e3 * self.response_s[best]:.4g} ms at {where}")
        return lines

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return "<div>" + "".join(f"<p>{escape(line)}</p>" for line in self._lines()) + "</div>"
