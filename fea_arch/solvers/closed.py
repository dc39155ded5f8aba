"""Closed loads: a fixed population is a prescribed displacement, the throughput is the reaction.

One closed load on stations in product form is solved exactly; blocking components are flow-equivalent stations. Several
closed loads, or closed beside open ones, are solved by the Schweitzer-Bard approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fea_arch.solvers.flow_equivalence import flow_equivalent
from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.product_form import Closed, Inner, Station, collect_stations, edges_of

__all__ = ["ClosedSolution", "schweitzer", "solve_closed_single"]


@dataclass(eq=False)
class ClosedSolution:
    """Throughput of the load and mean numbers inside every component."""

    throughput: float
    in_flight: Array
    visits: Array


def _pooled(network: Network, entry: int) -> frozenset[int]:
    """Blocking components whose callees are reached through them alone: those can be solved as a subsystem."""
    reach: dict[int, set[int]] = {}

    def below(i: int) -> set[int]:
        seen: set[int] = set()
        stack = [i]
        while stack:
            v = stack.pop()
            for e in edges_of(network, v):
                j = int(network.target[e])
                if network.sync[e] and j not in seen:
                    seen.add(j)
                    stack.append(j)
        return seen

    live = below(entry) | {entry}
    blocking = [i for i in live if network.blocking[i] and any(network.sync[e] for e in edges_of(network, i))]
    for i in blocking:
        reach[i] = below(i)
    good = set()
    for i in blocking:
        own = reach[i]
        callers = {
            int(network.source[e])
            for j in own
            for e in network.in_edge[network.in_ptr[j] : network.in_ptr[j + 1]].tolist()
            if int(network.source[e]) in live
        }
        if i not in own and callers <= own | {i}:
            good.add(i)
    return frozenset(good)


def solve_closed_single(network: Network, entry: int, users: int, think_s: float, visits: Array) -> ClosedSolution:
    """Solve one closed load on an otherwise unloaded architecture.

    Parameters
    ----------
    network : Network
    entry : int
        Component where the users' requests arrive.
    users : int
        Population.
    think_s : float
        Mean think time [s].
    visits : (n,) float64
        Visits of each component per request of the load.

    Returns
    -------
    ClosedSolution
    """
    pools: dict[int, tuple[Array, Inner]] = {}
    pooled = _pooled(network, entry)
    for i in network.order.tolist():  # callees first, so inner pools are there when the outer ones need them
        if i in pooled:
            pools[i] = flow_equivalent(network, i, pools, network.service)
    out: dict[int, Station] = {}
    latency = [0.0]
    collect_stations(network, entry, 1.0, pools, network.service, out, latency)
    stations = [Station(1.0, np.empty(0), delay=think_s + latency[0]), *out.values()]
    closed = Closed(stations, users)
    inside = np.zeros(network.n)
    for component, table in closed.numbers().items():
        inside[component] += table[-1]
    return ClosedSolution(float(closed.throughput()[-1]), inside, visits)


def schweitzer(
    demands: Array,
    servers: Array,
    delay: Array,
    users: Array,
    think_s: Array,
    *,
    open_utilisation: Array | None = None,
    tol: float = 1e-12,
) -> tuple[Array, Array]:
    """Approximate mean value analysis of several classes (Schweitzer 1979, Bard 1979; Seidmann 1987 for servers).

    Parameters
    ----------
    demands : (n_classes, n_stations) float64
        Visits times service time [s].
    servers : (n_stations,) float64
        Servers of each station.
    delay : (n_stations,) bool
        Stations without queueing.
    users, think_s : (n_classes,) float64
        Population and think time of each class.
    open_utilisation : (n_stations,) float64, optional
        Utilisation by open loads [1].

    Returns
    -------
    throughput : (n_classes,) float64
        Per class [1/s].
    number : (n_classes, n_stations) float64
        Mean numbers inside, queue and service.
    """
    rho = np.zeros(demands.shape[1]) if open_utilisation is None else np.minimum(open_utilisation, 1 - 1e-9)
    queueing = demands / servers / (1.0 - rho)
    fixed = np.where(delay, demands, demands * (servers - 1.0) / servers)
    queueing = np.where(delay, 0.0, queueing)
    number = queueing / np.maximum(queueing.sum(axis=1, keepdims=True), 1e-300) * users[:, None]
    flow = np.zeros(users.size)
    for _ in range(100_000):
        seen = number.sum(axis=0)[None, :] - number / users[:, None]
        residence = queueing * (1.0 + seen)
        flow = users / (think_s + (residence + fixed).sum(axis=1))
        new = flow[:, None] * residence
        change = float(np.abs(new - number).max(initial=0.0))
        number = new
        if change <= tol * max(float(users.max(initial=1.0)), 1.0):
            break
    return flow, number + flow[:, None] * fixed
