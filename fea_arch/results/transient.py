"""The result of a transient analysis: histories, peaks, drain times, books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import ComponentTable

__all__ = ["TransientResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class TransientResult(ComponentTable):
    """Mean histories of an architecture under a load that changes.

    Attributes
    ----------
    components : tuple of str
        Names, in order.
    time_s : (n_times,) float64
        Times; at a jump of the load two rows share one time [s].
    load_factor : (n_times,) float64
        Multiple of the design load [1].
    in_flight : (n_times, n) float64
        Requests waiting or in own service [req].
    throughput_per_s : (n_times, n) float64
        Own services completed [1/s].
    response_s : (n_times, n) float64
        Mean response of a request that arrives at that time, calls followed to the time at which they are made [s].
    success_share : (n_times, n) float64
        Share of those requests that is answered correctly [1].
    rest, peak, peak_time_s : (n,) float64
        In flight at the start, the largest value and when it occurs [req], [s].
    drain_time_s : (n,) float64
        Time from the end of the disturbance until the in-flight number stays within 5 % of its excess above rest (or
        2 % of rest);
        0 where it never left, inf where it does not return within the window [s].
    offered, served, rejected, lost, left : (n,) float64
        Books of the whole window: what came, what was served, turned away, lost inside when a component died, and what
        is inside at the end; ``offered + start = served + rejected + lost + left`` [req].
    entries : tuple of str
    entry_response_s : (n_times, n_entries) float64
        End-to-end response by entry [s].
    within_objective : (n_times, n_entries) float64
        Share of requests that arrive then and are answered correctly within the latency objective [1].
    within_objective_share : float
        The same over all requests offered in the window [1].
    objective_s : float
        Latency objective; inf where none is stated [s].
    disturbance_end_s : float
        When the load and the outages have settled [s].
    kills : tuple of (time [s], component)
        Out-of-memory kills.
    stable : bool
        Whether everything in flight has returned towards rest, or is at least falling, at the end.
    balance : float
        Largest mismatch of the books relative to what was offered [1].
    """

    components: Sequence[str]
    time_s: Array
    load_factor: Array
    in_flight: Array
    throughput_per_s: Array
    response_s: Array
    success_share: Array
    rest: Array
    peak: Array
    peak_time_s: Array
    drain_time_s: Array
    offered: Array
    served: Array
    rejected: Array
    lost: Array
    left: Array
    entries: tuple[str, ...]
    entry_rate_per_s: Array
    entry_response_s: Array
    within_objective: Array
    within_objective_share: float
    objective_s: float
    disturbance_end_s: float
    kills: tuple[tuple[float, str], ...]
    stable: bool
    balance: float
    steps: int
    lag: str = "none"
    interrupted: bool = False
    findings: tuple[str, ...] = ()

    component_fields: ClassVar[tuple[str, ...]] = (
        "rest", "peak", "peak_time_s", "drain_time_s", "offered", "served", "rejected", "lost", "left",
    )  # fmt: skip
    shown_fields: ClassVar[tuple[str, ...]] = ("rest", "peak", "peak_time_s", "drain_time_s", "rejected", "lost")

    @property
    def worst(self) -> str:
        """Component with the largest peak above rest."""
        return self.components[int(np.argmax(self.peak - self.rest))]

    @property
    def total_drain_time_s(self) -> float:
        """Time from the end of the disturbance until every component has drained [s]; inf if some has not."""
        return float(np.max(self.drain_time_s, initial=0.0))

    def history(self, name: str) -> dict[str, Array]:
        """Return the histories of one component.

        Raises
        ------
        ModelError
            If there is none of that name, with a suggestion.
        """
        i = self._number(name)
        return {
            "time_s": self.time_s,
            "in_flight": self.in_flight[:, i],
            "throughput_per_s": self.throughput_per_s[:, i],
            "response_s": self.response_s[:, i],
        }

    def _headline(self) -> str:
        return (
            f"TransientResult: {len(self.components)} components over {self.time_s[-1]:g} s, {self.steps} steps"
            f"{', interrupted' if self.interrupted else ''}"
        )

    def _notes(self) -> tuple[str, ...]:
        drained = self.total_drain_time_s
        text = f"drained {drained:.4g} s after the disturbance" if np.isfinite(drained) else "not drained in the window"
        first = f"{self.within_objective_share:.2%} answered within the objective, {text}"
        return (first,) + ((f"{len(self.kills)} out-of-memory kills, first {self.kills[0][1]}",) if self.kills else ())

    def _order(self) -> Any:
        return np.argsort(-(self.peak - self.rest), kind="stable").tolist()
