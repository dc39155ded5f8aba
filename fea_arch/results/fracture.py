"""The answer of a fracture analysis: crack path, avalanches, pushover curve, toughness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import MissingExtraError
from fea_arch.results.base import ComponentTable

__all__ = ["FractureEvent", "FractureResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FractureEvent:
    """One event of the crack path.

    Attributes
    ----------
    load_factor : float
        Multiple of the design load [1].
    component : str
        What meets the criterion.
    criterion : str
        memory, utilisation, capacity, queue, timeout or breaker.
    cause : str
        What brought it there.
    dependency : str
        The call concerned, ``"a->b"``, for time-outs and breakers.
    breaks : bool
        Whether the structure is changed: the component answers nothing from here on, or the call is cut.
    """

    load_factor: float
    component: str
    criterion: str
    cause: str
    dependency: str = ""
    breaks: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON types."""
        return {
            "load_factor": self.load_factor,
            "component": self.component,
            "criterion": self.criterion,
            "cause": self.cause,
            "dependency": self.dependency or None,
            "breaks": self.breaks,
        }


@dataclass(frozen=True, eq=False, repr=False)
class FractureResult(ComponentTable):
    """Progressive collapse of an architecture under growing load.

    Attributes
    ----------
    collapse_factor : float
        First load factor at which a queue grows without bound or the served share falls below ``1 - tolerance`` of
        what is served without load; inf where nothing gave way [1].
    path : tuple of FractureEvent
        Crack path, in order of load factor.
    avalanches : (k,) int64
        Breaks that belong together: at one load factor, one after the other.
    load_factor, offered_per_s, served_per_s, in_flight : (n_points,) float64
        Pushover and load-displacement curve [1, 1/s, 1/s, req]; ``in_flight`` is inf where a queue grows.
    books : dict of str to (n_points,) float64
        ``offered = served + rejected + timed_out + lost + queued`` at every point [1/s].
    toughness : float
        Work to fracture: integral of the offered load over the requests in flight, up to 99 % of the collapse load
        (in flight diverges at the load itself) or to the break [req^2/s].
    residual_capacity : float
        Served flow at one and a half times the collapse load over that at collapse [1].
    failure : str
        ductile (keeps 90 % of what it served), brittle (keeps less than half), semi-brittle, or none.
    elastic_factor : float
        Load factor at which the first component leaves the elastic range [1].
    break_factor, criterion : (n,)
        Load factor and criterion of each component's first event; inf and empty without one.
    yield_factor : (n,) float64
        Load factor at which each component leaves its elastic range; inf where it never does [1].
    yield_in_flight : float
        Requests in flight when the first component leaves its elastic range [req].
    utilisation : (n,) float64
        At the last equilibrium before the collapse [1].
    """

    components: tuple[str, ...]
    collapse_factor: float
    path: tuple[FractureEvent, ...]
    avalanches: NDArray[np.int64]
    load_factor: Array
    offered_per_s: Array
    served_per_s: Array
    in_flight: Array
    books: dict[str, Array]
    toughness: float
    residual_capacity: float
    failure: str
    elastic_factor: float
    break_factor: Array
    criterion: tuple[str, ...]
    utilisation: Array
    yield_factor: Array
    yield_in_flight: float
    served_unloaded: float = 1.0
    tolerance: float = 0.01
    solves: int = 0
    complete: bool = True
    findings: tuple[str, ...] = ()

    component_fields: ClassVar[tuple[str, ...]] = ("break_factor", "criterion", "utilisation", "yield_factor")

    @property
    def served_share(self) -> Array:
        """Served over offered at every point of the curve, (n_points,) float64 [1]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.offered_per_s > 0, self.served_per_s / self.offered_per_s, self.served_unloaded)

    @property
    def ductility_index(self) -> float:
        """Requests in flight just before the collapse over those at the first yield: displacement ductility [1].

        As just before counts 99 % of the collapse load, since in flight diverges at the load itself; NaN without a
        collapse or a yield before it.
        """
        if not np.isfinite(self.collapse_factor) or not self.elastic_factor < self.collapse_factor:
            return float("nan")
        known = (self.load_factor < self.collapse_factor) & np.isfinite(self.in_flight)
        last = float(np.interp(0.99 * self.collapse_factor, self.load_factor[known], self.in_flight[known]))
        return max(last / self.yield_in_flight, 1.0) if self.yield_in_flight > 0 else float("nan")

    @property
    def limiting(self) -> str:
        """Component that is exhausted or breaks first among those that bring the collapse; empty without one."""
        late = [e for e in self.path if e.load_factor >= self.collapse_factor * (1.0 - 1e-5)]
        hard = [e for e in late if e.breaks or e.criterion == "capacity"]
        chosen = hard or late or [e for e in self.path if e.load_factor <= self.collapse_factor][-1:]
        return chosen[0].component if chosen else ""

    def events_dataframe(self) -> Any:
        """Return the crack path as a ``pandas.DataFrame``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "frames") from None
        return pd.DataFrame([e.to_dict() for e in self.path])

    def _headline(self) -> str:
        if not np.isfinite(self.collapse_factor):
            return f"FractureResult: nothing gives way up to {self.load_factor[-1]:g} times the load"
        return f"FractureResult: collapse at {self.collapse_factor:.4g} times the load, {self.failure}"

    def _notes(self) -> tuple[str, ...]:
        first = [f"{e.load_factor:.3g} {e.component} ({e.criterion}: {e.cause})" for e in self.path[:2]]
        return (f"{len(self.path)} events; residual capacity {self.residual_capacity:.0%}", *first)

    def _order(self) -> Any:
        return np.lexsort((-self.utilisation, self.break_factor)).tolist()
