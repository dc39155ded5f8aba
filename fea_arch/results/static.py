"""The static answer: flows, waits, responses, memory and safety of every component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.results.base import ComponentTable
from fea_arch.results.quantiles import mixture_quantile

__all__ = ["STATES", "StaticResult"]

Array = NDArray[np.float64]

#: Material states of a component.
STATES = ("idle", "elastic", "yielding", "failing", "down")


@dataclass(frozen=True, eq=False, repr=False)
class StaticResult(ComponentTable):
    """Equilibrium of an architecture at one load factor.

    Attributes
    ----------
    components : tuple of str
        Names, in order; every array below has one value per component.
    throughput_per_s : (n,) float64
        Requests worked on per second.
    utilisation : (n,) float64
        Stress ``rho = q / mu`` of the servers, holding included [1].
    in_flight : (n,) float64
        Requests in the component itself, waiting or in own service, ``q (W + S)`` [req].
    held : (n,) float64
        Requests that have entered and not left, calls to others included, ``q R`` [req].
    wait_s, residence_s, response_s : (n,) float64
        Own wait, own wait + service, end to end from the component [s].
    memory_bytes : (n,) float64
        Resident memory of all replicas plus that of the requests held; NaN where unknown [bytes].
    safety_factor : (n,) float64
        Smallest of failure limit / utilisation of servers, host and memory; inf where nothing limits [1].
    state : tuple of str
        idle, elastic, yielding, failing or down.
    governs : tuple of str
        What decides the safety factor: capacity, memory, host or rate limit.
    success_share : (n,) float64
        Share of requests arriving at the component that are answered [1].
    residual : float
        Largest relative violation of flow conservation [1].
    entries, entry_rate_per_s : tuple of str, (n_entries,) float64
        Where load enters.
    variance_s2 : (n,) float64
        Variance of the response time [s^2].

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.1)],
    ...                        loads=[fa.Load("api", rate_per_s=8.0)])
    >>> round(fa.static(arch)["api"]["response_s"], 6)
    0.5
    """

    components: Sequence[str]
    throughput_per_s: Array
    utilisation: Array
    in_flight: Array
    held: Array
    wait_s: Array
    residence_s: Array
    response_s: Array
    memory_bytes: Array
    safety_factor: Array
    state: tuple[str, ...]
    governs: tuple[str, ...]
    success_share: Array
    variance_s2: Array
    residual: float
    load_factor: float
    entries: tuple[str, ...]
    entry_rate_per_s: Array
    hosts: tuple[str, ...] = ()
    host_utilisation: Array = field(default_factory=lambda: np.zeros(0))
    host_memory_bytes: Array = field(default_factory=lambda: np.zeros(0))
    reaction_per_s: float = 0.0
    sweeps: int = 1
    method: str = "force method (topological sweeps)"
    linear: bool = False
    findings: tuple[str, ...] = ()
    _largest: Callable[[], tuple[float, str]] | None = None

    component_fields: ClassVar[tuple[str, ...]] = (
        "throughput_per_s",
        "utilisation",
        "in_flight",
        "held",
        "wait_s",
        "residence_s",
        "response_s",
        "memory_bytes",
        "safety_factor",
        "state",
        "governs",
        "success_share",
        "variance_s2",
    )
    shown_fields: ClassVar[tuple[str, ...]] = (
        "throughput_per_s",
        "utilisation",
        "state",
        "in_flight",
        "response_s",
        "safety_factor",
    )
    hidden_fields: ClassVar[tuple[str, ...]] = ("_largest",)

    @cached_property
    def sustainable(self) -> tuple[float, str]:
        """Largest load factor that still has an equilibrium and the component that limits it."""
        if self._largest is None:
            return float("inf"), ""
        return self._largest()

    @property
    def max_load_factor(self) -> float:
        """Largest multiple of the design load that still has an equilibrium [1]."""
        return self.sustainable[0]

    @property
    def total_in_flight(self) -> float:
        """Requests in flight in the whole system, ``sum N = f . R`` for synchronous calls [req]."""
        return float(self.in_flight.sum())

    @property
    def total_memory_bytes(self) -> float:
        """Known memory of all components together [bytes]."""
        return float(np.nansum(self.memory_bytes))

    def latency_quantile_s(self, p: float, at: str | None = None) -> float:
        """Return a percentile of the end-to-end response time [s].

        Mean and variance are propagated along the calls and fitted with a gamma distribution (exact for one M/M/1
        station); without ``at`` the entries are mixed by their rates.

        Parameters
        ----------
        p : float
            Probability between 0 and 1, for instance 0.95.
        at : str, optional
            Component; default all entries.

        Raises
        ------
        ModelError
            For a probability outside (0, 1) or an unknown component.
        """
        if not 0.0 < p < 1.0:
            raise ModelError(f"is {p!r}", field="p", fix="a probability between 0 and 1, for instance 0.95")
        if at is not None:
            index, weight = np.array([self._number(at)]), np.ones(1)
        else:
            index = np.array([self._number(e) for e in self.entries], np.int64)
            weight = np.asarray(self.entry_rate_per_s, float)
        if not index.size or weight.sum() <= 0:
            raise ModelError("there is no load, so no response time", field="loads")
        return mixture_quantile(p, self.response_s[index], self.variance_s2[index], weight)

    @property
    def mean_response_s(self) -> float:
        """Mean end-to-end response over all entries, weighted by their rates [s]."""
        index = [self._number(e) for e in self.entries]
        rates = np.asarray(self.entry_rate_per_s, float)
        return float(self.response_s[index] @ rates / rates.sum()) if rates.sum() > 0 else float("nan")

    def _headline(self) -> str:
        kind = "linear " if self.linear else ""
        return (
            f"StaticResult: {kind}equilibrium of {len(self.components)} components at load factor {self.load_factor:g}"
        )

    def _notes(self) -> tuple[str, ...]:
        rate = float(np.sum(self.entry_rate_per_s))
        return (
            f"{rate:.4g} requests/s, {self.total_in_flight:.4g} in flight, "
            f"mean response {1e3 * self.mean_response_s:.4g} ms",
        )

    def _order(self) -> Sequence[int]:
        order: Sequence[Any] = np.argsort(-self.utilisation, kind="stable").tolist()
        return order
