"""Steady answer of an open architecture at any load, also above capacity (the pushover).

Below capacity this is the equilibrium of the static analysis in its plain open form. Above it a station carries no more
than ``mu``: a bounded queue rejects the excess, calls that are withdrawn at their time-out leave, and an unbounded
queue grows; what has joined it is *queued*, not answered. Callers with bounded pools throttle themselves until as much
arrives as leaves. The books close: offered = served + rejected + timed out + lost + queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.kernels.overload import LOST, OK, REJECTED, STUCK, TIMED_OUT, settle
from fea_arch.solvers.network import Array, Flags, Index, Network, build_network
from fea_arch.solvers.overload_model import OverloadModel, overload_model

__all__ = ["HORIZON_S", "OverloadModel", "OverloadState", "overload", "overload_model"]

#: Wait at which a queue counts as growing without bound [s].
HORIZON_S = 1.0e6


@dataclass(eq=False)
class OverloadState:
    """Steady flows at one load factor.

    Attributes
    ----------
    arrivals, served, wait, hold, response, variance, utilisation, growth : (n,) float64
        Requests that come and that pass the own station [1/s], times [s], variance [s^2], ``rho`` [1], backlog growth
        [1/s].
    outcome : (n, 5) float64
        Shares of the arrivals that are answered, rejected, timed out, lost, queued for good.
    dead : (n,) bool, cut : (n_edges,) bool
        Components that answer nothing, edges that call nobody.
    converged : bool
        Whether the sweeps met their tolerance.
    """

    model: OverloadModel
    load_factor: float
    external: Array
    arrivals: Array
    served: Array
    wait: Array
    hold: Array
    response: Array
    variance: Array
    outcome: Array
    utilisation: Array
    growth: Array
    full: Flags
    fluid: Array
    gain: Array
    passed: Array
    stretch: Array
    edge_flow: Array
    tries: Array
    per: Array
    edge_time: Array
    edge_var: Array
    dead: Flags
    cut: Flags
    sweeps: int = 0
    change: float = 0.0

    @property
    def converged(self) -> bool:
        """Whether the sweeps met their tolerance."""
        return self.change <= 1e-3

    def share(self, column: int) -> float:
        """Return the share of the offered requests with one outcome [1]."""
        total = self.external.sum()
        return float(self.external @ self.outcome[:, column] / total) if total > 0 else 0.0

    @property
    def served_share(self) -> float:
        """Share of the offered requests that are answered [1]."""
        return self.share(OK)

    @property
    def books(self) -> dict[str, float]:
        """Offered requests by outcome [1/s]: they add up to ``offered``."""
        total = float(self.external.sum())
        columns = {"served": OK, "rejected": REJECTED, "timed_out": TIMED_OUT, "lost": LOST, "queued": STUCK}
        return {"offered": total, **{name: total * self.share(column) for name, column in columns.items()}}

    @property
    def entries(self) -> Index:
        """Components at which load enters, (n_entries,) int64."""
        return np.flatnonzero(self.external > 0)

    @property
    def entry_share(self) -> Array:
        """Served share of each entry, (n_entries,) float64 [1]."""
        return np.asarray(self.outcome[self.entries, OK])

    @property
    def held(self) -> Array:
        """Requests that have entered and not left, (n,) float64; counts a growing queue up to the horizon [req]."""
        return np.asarray(self.arrivals * self.outcome[:, [OK, TIMED_OUT, STUCK]].sum(axis=1) * self.response)

    @property
    def growing(self) -> bool:
        """Whether some queue grows without bound: there is no equilibrium."""
        return bool((self.growth > 1e-9 * np.maximum(self.arrivals, 1e-300)).any())

    @property
    def limiting(self) -> int:
        """Component whose backlog grows fastest, or that is used most, as a number."""
        return int(np.argmax(self.growth)) if self.growing else int(np.argmax(self.utilisation))


def overload(
    arch: Architecture | Network | OverloadModel,
    load_factor: float = 1.0,
    blocked: NDArray[np.bool_] | None = None,
    *,
    cut: NDArray[np.bool_] | None = None,
    service_s: Array | None = None,
    servers: Index | None = None,
    start: OverloadState | None = None,
    failed: bool = False,
    tol: float = 1e-7,
    max_sweeps: int = 3000,
) -> OverloadState:
    """Compute what is served, rejected, timed out, lost and queued at a load factor, above capacity too.

    Parameters
    ----------
    arch : Architecture, Network or OverloadModel
    load_factor : float
        Multiple of the design load [1].
    blocked : (n,) bool, optional
        Components that answer nothing; balancers pass them over.
    cut : (n_edges,) bool, optional
        Sorted edges of the network whose calls fail at once.
    service_s, servers : (n,) arrays, optional
        Service times [s] and servers other than those of the network.
    start : OverloadState, optional
        State to start from; by default the unloaded one, which leads to the lower branch.
    failed : bool
        Start from full queues everywhere, which leads to the failed branch where there is one.
    tol : float
        Relative change at which the sweeps stop [1].
    max_sweeps : int

    Returns
    -------
    OverloadState

    Raises
    ------
    ModelError
        For a load factor that is not a finite number of 0 or more.

    Examples
    --------
    >>> from fea_arch.architecture import Architecture, Component, Load
    >>> one = Architecture(name="one", components=[Component("a", service_time_s=0.01)],
    ...                    loads=[Load("a", rate_per_s=80.0)])
    >>> state = overload(one, 2.0)
    >>> round(state.served_share, 6), round(state.books["queued"], 3)
    (0.625, 60.0)
    """
    if isinstance(arch, Architecture):
        arch = build_network(arch)
    model = arch if isinstance(arch, OverloadModel) else overload_model(arch)
    network = model.network
    if not (isinstance(load_factor, (int, float, np.number)) and 0.0 <= float(load_factor) < np.inf):
        raise ModelError(f"is {load_factor!r}", field="load_factor", fix="a finite number of 0 or more")
    m = network.target.size
    dead = ~network.available if blocked is None else (~network.available | np.asarray(blocked, bool))
    state = _begin(model, float(load_factor), dead, np.zeros(m, bool) if cut is None else np.asarray(cut, bool), start)
    own = network.service if service_s is None else np.ascontiguousarray(service_s, float)
    slots = network.servers if servers is None else np.ascontiguousarray(servers, np.int64)
    if failed:
        state.fluid[:] = np.where(network.law == 1, 0.0, np.minimum(HORIZON_S, model.patience))
        state.wait[:] = state.fluid
        state.response[:] = state.fluid + own
    pooled = network.spread == 2
    state.sweeps, state.change = settle(
        network.order,
        model.call_ptr,
        model.call_edge,
        network.in_ptr,
        network.in_edge,
        network.target,
        _shifted_calls(network, dead),
        network.sync,
        network.latency,
        network.timeout,
        network.retries,
        network.backoff,
        network.budget,
        network.stage,
        network.required,
        model.cancel,
        state.cut,
        network.group,
        state.external,
        own,
        network.scv,
        network.cpu,
        network.host,
        np.array([h.cpus for h in network.arch.hosts], float),
        slots,
        network.replicas,
        pooled,
        network.blocking,
        network.places,
        network.law,
        network.rate_first,
        network.rates,
        network.rate_limit,
        network.arrival_scv,
        dead,
        model.population,
        model.patience,
        HORIZON_S,
        state.fluid,
        state.gain,
        state.passed,
        state.stretch,
        state.arrivals,
        state.served,
        state.wait,
        state.hold,
        state.response,
        state.variance,
        state.outcome,
        state.utilisation,
        state.growth,
        state.full,
        state.edge_flow,
        state.tries,
        state.per,
        state.edge_time,
        state.edge_var,
        tol,
        max_sweeps,
    )
    return state


def _begin(model: OverloadModel, factor: float, dead: Flags, cut: Flags, start: OverloadState | None) -> OverloadState:
    network = model.network
    n, m = network.n, network.target.size
    blank = ("arrivals", "served", "wait", "hold", "response", "variance", "utilisation", "growth")
    fields: dict[str, Any] = {name: np.zeros(n) for name in blank}
    fields |= {"outcome": np.zeros((n, 5)), "fluid": np.zeros(n), "gain": np.ones(n), "passed": np.ones(n)}
    fields |= {"edge_flow": np.zeros(m), "tries": np.ones(m), "per": np.zeros((m, 5))}
    fields |= {"edge_time": np.zeros(m), "edge_var": np.zeros(m), "stretch": np.ones(len(network.arch.hosts))}
    fields["outcome"][:, OK] = 1.0
    if start is not None:
        fields = {name: getattr(start, name).copy() for name in fields}
    return OverloadState(
        model=model,
        load_factor=factor,
        external=model.external * factor,
        full=np.zeros(n, bool) if start is None else start.full.copy(),
        dead=dead,
        cut=cut,
        **fields,
    )


def _shifted_calls(network: Network, dead: Flags) -> Array:
    """Return the calls of each edge with balancers passing over dead targets; queues of equal length by capacity."""
    balanced = network.group >= 0
    if not balanced.any() or not (dead[network.target[balanced]].any() or (network.policy == 3).any()):
        return network.calls
    calls = network.calls.copy()
    for g in np.unique(network.group[balanced]).tolist():
        member = np.flatnonzero(network.group == g)
        target = network.target[member]
        weight = network.calls[member].copy()
        if (network.policy[member] == 3).any():
            weight = network.servers[target] * network.replicas[target] / network.service[target]
        weight = np.where(dead[target], 0.0, weight)
        if weight.sum() > 0:
            calls[member] = network.calls[member].sum() * weight / weight.sum()
    return calls
