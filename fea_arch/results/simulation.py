"""The result of an event simulation: means with confidence half-widths, books, quantiles, time series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.results.base import ComponentTable

__all__ = ["SimulationResult"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class SimulationResult(ComponentTable):
    """What :func:`fea_arch.simulate` measured after the warm-up.

    Every ``<field>_half_width`` is the half-width of a 95 % confidence interval from independent replications
    (Student's t); not-a-number with fewer than two replications.

    Attributes
    ----------
    components : tuple of str
        Names, in order.
    throughput_per_s : (n,) float64
        Requests whose own service ended [1/s].
    utilisation : (n,) float64
        Share of servers held (while they wait for callees too, if the component blocks); throughput over the largest
        throughput where the law has no servers; 0 for pure delays [1].
    in_flight : (n,) float64
        Mean number waiting or in own service; equals ``throughput_per_s * residence_s`` (Little).
    held : (n,) float64
        Mean number that has entered and is not answered, calls to others included [req].
    wait_s, residence_s, response_s : (n,) float64
        Own wait, own wait and service, and time until the answer [s]; not-a-number where nothing was served.
    memory_bytes : (n,) float64
        Resident memory of all replicas and that of the requests held [bytes].
    arrivals, completed, rejected, failed, cancelled, lost, kills : (n,) int64
        Counts at each component over all replications: requests that came, were answered, turned away, answered with
        an error, withdrawn by the caller; answers that came too late for the caller; out-of-memory kills.
    entries : tuple of str
        Entry of each load; the books below have one value a load.
    offered, served, request_rejected, request_failed, request_timed_out, inside : (n_loads,) int64
        Requests from outside: ``offered = served + rejected + failed + timed_out + inside``.
    served_share : float
        Requests that were answered correctly, of those that were decided [1].
    served_within_objective : float
        Requests answered correctly within ``arch.objective.latency_s``, of those that were decided [1].
    within_objective : (n_loads,) float64
        The same of each load.
    time_s : (n_times,) float64
        Times of the series, empty without ``series_dt_s`` [s].
    in_flight_series : (n_times, n) float64
        Mean over replications.
    offered_series, served_series, good_series : (n_times,) float64
        Requests a second from outside that came, were served, were served within the objective, in the interval that
        begins at each time [1/s].
    hosts : dict of str to float
        Utilisation of each host in use [1].
    duration_s, warm_up_s, observed_s : float
        Simulated time of a replication, what was thrown away, what was observed in all replications [s].
    replications, events : int
        Replications that were run, events in all of them.
    events_per_s : float
        Events per second of wall time [1/s].
    complete, interrupted : bool
        Whether every replication ran to its end; whether Ctrl-C ended it.
    """

    components: tuple[str, ...]
    throughput_per_s: Floats
    throughput_per_s_half_width: Floats
    utilisation: Floats
    utilisation_half_width: Floats
    in_flight: Floats
    in_flight_half_width: Floats
    held: Floats
    held_half_width: Floats
    wait_s: Floats
    wait_s_half_width: Floats
    residence_s: Floats
    residence_s_half_width: Floats
    response_s: Floats
    response_s_half_width: Floats
    memory_bytes: Floats
    memory_bytes_half_width: Floats
    arrivals: Ints
    completed: Ints
    rejected: Ints
    failed: Ints
    cancelled: Ints
    lost: Ints
    kills: Ints
    entries: tuple[str, ...]
    offered: Ints
    served: Ints
    request_rejected: Ints
    request_failed: Ints
    request_timed_out: Ints
    inside: Ints
    served_share: float
    served_share_half_width: float
    served_within_objective: float
    served_within_objective_half_width: float
    within_objective: Floats
    served_per_s: float
    served_per_s_half_width: float
    time_s: Floats
    in_flight_series: Floats
    offered_series: Floats
    served_series: Floats
    good_series: Floats
    hosts: dict[str, float]
    duration_s: float
    warm_up_s: float
    observed_s: float
    replications: int
    events: int
    events_per_s: float
    complete: bool
    interrupted: bool
    histogram: Ints = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    histogram_row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    histogram_edges_s: Floats = field(default_factory=lambda: np.zeros(0))

    component_fields: ClassVar[tuple[str, ...]] = (
        *(
            name
            for base in (
                "throughput_per_s",
                "utilisation",
                "in_flight",
                "held",
                "wait_s",
                "residence_s",
                "response_s",
                "memory_bytes",
            )
            for name in (base, f"{base}_half_width")
        ),
        "arrivals",
        "completed",
        "rejected",
        "failed",
        "cancelled",
        "lost",
        "kills",
    )
    shown_fields: ClassVar[tuple[str, ...]] = (
        "throughput_per_s",
        "utilisation",
        "in_flight",
        "residence_s",
        "response_s",
        "failed",
    )
    hidden_fields: ClassVar[tuple[str, ...]] = ("histogram", "histogram_row", "histogram_edges_s")

    def latency_quantile_s(self, p: float, at: str | None = None) -> float:
        """Return the response time that a share ``p`` of the served requests does not pass [s].

        From a histogram whose bins are 2.2 % wide, linear inside a bin.

        Parameters
        ----------
        p : float
            Probability, 0 < p < 1.
        at : str, optional
            Component; without it the requests from outside at all entries.

        Raises
        ------
        ModelError
            Probability out of range, unknown component, or one without samples.
        """
        if not 0.0 < p < 1.0:
            raise ModelError(f"is {p!r}", field="p", fix="a probability between 0 and 1")
        if at is None:
            counts = self.histogram[: len(self.entries)].sum(axis=0)
        else:
            row = int(self.histogram_row[self._number(at)])
            if row < 0:
                raise ModelError("keeps no response times: only entries do in large architectures", component=at)
            counts = self.histogram[row]
        total = int(counts.sum())
        if total == 0:
            raise ModelError("no request was served", component=at, field="latency_quantile_s")
        reached = np.cumsum(counts)
        b = int(np.searchsorted(reached, p * total))
        before = reached[b] - counts[b]
        x = (p * total - before) / counts[b]
        low, high = self.histogram_edges_s[b], self.histogram_edges_s[b + 1]
        return float(low + x * (high - low))

    def _headline(self) -> str:
        state = "" if self.complete else (", interrupted" if self.interrupted else ", stopped at max_events")
        return (
            f"SimulationResult: {len(self.components)} components, {self.replications} x {self.duration_s:.4g} s, "
            f"{self.events} events{state}"
        )

    def _notes(self) -> tuple[str, ...]:
        return (
            f"served {self.served_share:.2%}, within objective {self.served_within_objective:.2%} "
            f"(+- {self.served_within_objective_half_width:.2%})",
        )

    def _order(self) -> Any:
        return np.argsort(-self.utilisation, kind="stable").tolist()
