"""The answer of a metastability analysis: folded equilibrium curve, vulnerable range, triggers, life, remedies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.results.base import ComponentTable

__all__ = ["Branches", "MetastabilityResult", "Remedy", "Trigger"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trigger:
    """A disturbance of the least length that tips the station over at the design load."""

    kind: str
    size: float
    duration_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types; None where no length is enough."""
        return {
            "kind": self.kind,
            "size": self.size,
            "duration_s": self.duration_s if math.isfinite(self.duration_s) else None,
        }


@dataclass(frozen=True)
class Remedy:
    """A change of one number and what it does at the design load.

    ``removes`` says whether the failed branch is gone; ``collapse_load_per_s`` and ``time_to_collapse_s`` are those
    after the change.
    """

    what: str
    dependency: str
    field: str
    value: float
    removes: bool
    collapse_load_per_s: float
    time_to_collapse_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        finite = {k: (v if math.isfinite(v) else None) for k, v in self._numbers().items()}
        return {
            "what": self.what,
            "dependency": self.dependency,
            "field": self.field,
            "removes": self.removes,
            **finite,
        }

    def _numbers(self) -> dict[str, float]:
        return {
            "value": self.value,
            "collapse_load_per_s": self.collapse_load_per_s,
            "time_to_collapse_s": self.time_to_collapse_s,
        }


@dataclass(frozen=True, eq=False)
class Branches:
    """Equilibrium curve of the governing station.

    Attributes
    ----------
    load_per_s : (n_points,) float64
        Requests offered to the architecture [1/s].
    arrivals_per_s : (n_points,) float64
        Calls that arrive at the station, retries included [1/s].
    late_share : (n_points,) float64
        Share of the calls that are late [1].
    stable : (n_points,) bool
        Whether the equilibrium comes back after a small disturbance.
    branch : tuple of str
        normal, unstable or failed.
    """

    load_per_s: Array
    arrivals_per_s: Array
    late_share: Array
    stable: NDArray[np.bool_]
    branch: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "load_per_s": self.load_per_s.tolist(),
            "arrivals_per_s": self.arrivals_per_s.tolist(),
            "late_share": self.late_share.tolist(),
            "stable": self.stable.tolist(),
            "branch": list(self.branch),
        }


@dataclass(frozen=True, eq=False, repr=False)
class MetastabilityResult(ComponentTable):
    """Feedback of time-outs and retries on the load; one row per station whose callers retry.

    Attributes
    ----------
    collapse_load_per_s : float
        Offered load of the whole architecture at the first fold, or its capacity where nothing folds [1/s].
    recovery_load_per_s : float
        Offered load below which the failed state cannot hold itself [1/s].
    vulnerable : bool
        Whether the design load lies between them for a station, or between ``recovery_factor`` and ``collapse_factor``
        of the network.
    design_load_per_s : float
        Offered load of today [1/s].
    components : tuple of str
        Stations whose callers retry.
    collapse_load, recovery_load : (n,) float64
        The same for each station alone [1/s].
    time_to_collapse : (n,) float64
        Mean time until it tips over by itself at the design load; inf if it cannot [s]. Sampled: 5 % standard
        deviation, always with the same seed.
    vulnerable_stations : (n,) bool
    branches : Branches
        Curve of the governing station.
    triggers : tuple of Trigger
        Surges (size: load factor) and losses of capacity (size: share lost) that tip the governing station over.
    remedies : tuple of Remedy
        What removes the fold, computed.
    collapse_factor, recovery_factor : float
        From the equilibrium of the whole network, started from empty and from full queues [1].
    """

    components: tuple[str, ...]
    callers: tuple[str, ...]
    collapse_load: Array
    recovery_load: Array
    time_to_collapse: Array
    vulnerable_stations: NDArray[np.bool_]
    collapse_load_per_s: float
    recovery_load_per_s: float
    vulnerable: bool
    design_load_per_s: float
    collapse_factor: float
    recovery_factor: float
    branches: Branches
    triggers: tuple[Trigger, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    findings: tuple[str, ...] = ()
    _time: Callable[[float, bool], float] | None = None
    _recovery: Callable[[float, float], float] | None = None

    component_fields: ClassVar[tuple[str, ...]] = (
        "callers",
        "collapse_load",
        "recovery_load",
        "time_to_collapse",
        "vulnerable_stations",
    )
    hidden_fields: ClassVar[tuple[str, ...]] = ("_time", "_recovery")

    def time_to_collapse_s(self, rate_per_s: float | None = None, *, immediate_retries: bool = False) -> float:
        """Return the mean time until the system tips over by itself at an offered load [s].

        Parameters
        ----------
        rate_per_s : float, optional
            Offered load of the whole architecture [1/s]; default the design load.
        immediate_retries : bool
            Let the retries arrive together with the try that will be late, as in the birth-death chain; by default
            they come one time-out and the back-off after it, as those of callers do.

        Raises
        ------
        ModelError
            For a rate that is not a positive number.
        """
        rate = self._rate(rate_per_s)
        return math.inf if self._time is None else self._time(rate, immediate_retries)

    def time_to_recovery_s(self, backlog: float, rate_per_s: float | None = None) -> float:
        """Return the mean time to work off a backlog of ``backlog`` requests; inf where it holds itself [s].

        Raises
        ------
        ModelError
            For a rate or a backlog that is not a positive number.
        """
        if not 0.0 <= backlog < math.inf:
            raise ModelError(f"is {backlog!r}", field="backlog", fix="a finite number of requests")
        rate = self._rate(rate_per_s)
        return 0.0 if self._recovery is None else self._recovery(rate, backlog)

    def _rate(self, rate_per_s: float | None) -> float:
        rate = self.design_load_per_s if rate_per_s is None else rate_per_s
        if not 0.0 < rate < math.inf:
            raise ModelError(f"is {rate!r}", field="rate_per_s", fix="a positive number of requests a second")
        return float(rate)

    def _headline(self) -> str:
        state = "vulnerable" if self.vulnerable else "not vulnerable"
        return (
            f"MetastabilityResult: {state} at {self.design_load_per_s:.4g}/s "
            f"(collapse {self.collapse_load_per_s:.4g}/s, recovery {self.recovery_load_per_s:.4g}/s)"
        )

    def _order(self) -> Any:
        return np.argsort(self.collapse_load, kind="stable").tolist()
