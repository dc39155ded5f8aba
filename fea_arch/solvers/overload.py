"""Steady answer of an open architecture at any load, also above capacity (the pushover).

Below capacity this is the equilibrium of the static analysis in its plain open form. Above it a station carries no more
than ``mu``: a bounded queue rejects the excess, calls that are withdrawn at their time-out leave, and an unbounded queue
grows; what has joined it is *queued*, not answered. Callers with bounded pools throttle themselves until as much
arrives as leaves. The books close: offered = served + rejected + timed out + lost + queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.kernels.overload import LOST, OK, REJECTED, STUCK, TIMED_OUT, settle
from fea_arch.results.quantiles import mixture_within
from fea_arch.solvers.network import Array, Flags, Index, Network, build_network

__all__ = ["HORIZON_S", "OverloadModel", "OverloadState", "overload", "overload_model"]

#: Wait at which a queue counts as growing without bound [s].
HORIZON_S = 1.0e6


@dataclass(frozen=True, eq=False)
class OverloadModel:
    """The arrays that :func:`fea_arch.kernels.overload.settle` works on.

    Attributes
    ----------
    network : Network
    external : (n,) float64
        Arrivals from outside at load factor 1 [1/s].
    call_ptr, call_edge : CSR of each caller's edges in the order in which it makes the calls.
    population : (n,) float64
        Largest number of requests that bounded pools of callers let into a component; inf where nothing bounds it.
    patience : (n,) float64
        Longest wait before every caller has withdrawn its call [s].
    fracture_number : (n,) float64
        Requests held by all replicas at which the memory limit is reached [req].
    breaker : (n_edges,) float64
        Share of failed calls that opens the circuit breaker of an edge; inf without one [1].
    """

    network: Network
    external: Array
    call_ptr: Index
    call_edge: Index
    cancel: Flags
    population: Array
    patience: Array
    fracture_number: Array
    breaker: Array

    @cached_property
    def offered(self) -> float:
        """Requests from outside at load factor 1 [1/s]."""
        return float(self.external.sum())


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

    def within(self, latency_s: float) -> float:
        """Return the share of the offered requests that are answered within a latency [1]."""
        index = self.entries
        weight = self.external[index] * self.entry_share
        if weight.sum() <= 0:
            return 0.0
        prompt = self.response[index] < 0.1 * HORIZON_S
        if not prompt.any():
            return 0.0
        inside = mixture_within(
            latency_s, self.response[index][prompt], self.variance[index][prompt], weight[prompt]
        )
        return float(inside * weight[prompt].sum() / self.external.sum())


def overload_model(network: Network, external: Array | None = None) -> OverloadModel:
    """Prepare a network for :func:`overload`.

    Parameters
    ----------
    network : Network
    external : (n,) float64, optional
        Arrivals from outside at load factor 1 [1/s]; default the open loads.
    """
    graph = network.arch.graph
    flow = network.external if external is None else np.ascontiguousarray(external, float)
    call_edge = np.lexsort((network.edge, network.source)).astype(np.int64)
    if (network.group >= 0).any():  # targets of one balancer side by side
        call_edge = np.lexsort((network.edge, _first_of_group(network), network.source)).astype(np.int64)
    cancel = np.ascontiguousarray(graph.cancel[network.edge])
    columns = network.arch.component_columns
    resident = np.nan_to_num(columns.column("memory_bytes"))
    per = columns.column("memory_per_request_bytes")
    limit = columns.column("memory_limit_bytes")
    with np.errstate(divide="ignore", invalid="ignore"):
        room = (limit - resident) / per * network.replicas
    room = np.where(np.isnan(room) | ~(per > 0), np.inf, room)
    breaker = np.full(network.target.size, np.inf)
    if graph.breakers:
        for e, row in enumerate(network.edge.tolist()):
            found = graph.breakers[row]
            if found is not None:
                breaker[e] = found.failure_share
    return OverloadModel(
        network=network,
        external=flow,
        call_ptr=network.ptr,
        call_edge=call_edge,
        cancel=cancel,
        population=_population(network, flow, cancel),
        patience=_patience(network, flow, cancel),
        fracture_number=room,
        breaker=breaker,
    )


def _first_of_group(network: Network) -> Index:
    """Return the declaration row by which each edge is ordered: its own, or that of its balancer's first target."""
    first = network.edge.copy()
    for g in np.unique(network.group[network.group >= 0]).tolist():
        member = network.group == g
        first[member] = network.edge[member].min()
    return first


def _population(network: Network, external: Array, cancel: Flags) -> Array:
    """Return the largest number that bounded pools let into each component: those of its callers, or of a dominator.

    Every path to a component leads through its dominators; a blocking one lets in no more than it has workers.
    """
    n = network.n
    bound = np.full(n, np.inf)
    pool = np.where((network.law == 0) & network.blocking, network.servers * network.replicas, np.inf).tolist()
    forgets = (~np.isnan(network.timeout) & ~cancel) | ~network.sync
    dominator, depth = np.full(n, -1).tolist(), [0] * n
    reached = np.zeros(n, bool)
    sizes = np.diff(network.start)
    ends = np.cumsum(sizes)
    source = network.source.tolist()
    for k in range(sizes.size - 1, -1, -1):
        members = network.order[ends[k] - sizes[k] : ends[k]].tolist()
        if sizes[k] > 1:
            reached[members] = True
            continue
        i = members[0]
        edges = network.in_edge[network.in_ptr[i] : network.in_ptr[i + 1]]
        edges = edges[network.calls[edges] > 0]
        edges = edges[reached[network.source[edges]]] if edges.size else edges
        reached[i] = bool(external[i] > 0 or edges.size)
        if external[i] > 0 or not edges.size or forgets[edges].any():
            continue
        callers = {source[e] for e in edges.tolist()}
        if i in callers:
            continue
        bound[i] = sum(min(pool[j], bound[j]) for j in callers)
        common = -2
        for j in callers:
            common = j if common == -2 else _meet(common, j, dominator, depth)
        dominator[i] = common
        if common >= 0:
            depth[i] = depth[common] + 1
            bound[i] = min(bound[i], pool[common], bound[common])
    return bound


def _meet(a: int, b: int, dominator: list[int], depth: list[int]) -> int:
    """Return the nearest component that dominates both, or -1."""
    while a != b:
        if a < 0 or b < 0:
            return -1
        if depth[a] >= depth[b]:
            a = dominator[a]
        else:
            b = dominator[b]
    return a


def _patience(network: Network, external: Array, cancel: Flags) -> Array:
    patience = np.zeros(network.n)
    each = np.where(cancel & network.sync & ~np.isnan(network.timeout), network.timeout, np.inf)
    live = network.calls > 0
    np.maximum.at(patience, network.target[live], each[live])
    return np.where((external > 0) | (patience == 0), np.inf, patience)


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
    >>> one = Architecture(name="one", components=[Component("a", service_time_s=0.01)], loads=[Load("a", rate_per_s=80.0)])
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
    n, m = network.n, network.target.size
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
    blank: dict[str, Any] = {
        **dict.fromkeys(("arrivals", "served", "wait", "hold", "response", "variance", "utilisation", "growth")),
    }
    fields = {name: np.zeros(n) for name in blank}
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
