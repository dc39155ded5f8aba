"""Flow-equivalent stations: a blocking component as one station with a completion rate for every number inside.

What is inside is solved as a closed network for 1, 2, ... busy workers (Chandy, Herzog and Woo 1975). Queues inside
that are shorter or longer than those of exponential times leave room for more or fewer requests at the same throughput:
the closed network is solved for as many requests as make up the pool then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.product_form import Closed, Inner, Station, collect_stations, edges_of
from fea_arch.solvers.queue_variability import completion_terms, queue_factor, visit_spread
from fea_arch.solvers.shared_stations import NOTHING, Crowd, put_beside

__all__ = ["flow_equivalent"]


def flow_equivalent(
    network: Network,
    i: int,
    pools: Mapping[int, tuple[Array, Inner]],
    service: Array,
    *,
    flow: Array | None = None,
    share: float = 1.0,
    arriving: Array | None = None,
    others: Mapping[int, Crowd | None] | None = None,
    variability: Mapping[int, tuple[float, float]] | None = None,
) -> tuple[Array, Inner]:
    """Return completion rates of a blocking component with 1, 2, ... requests inside, and what is inside then.

    Parameters
    ----------
    network : Network
    i : int
        Component.
    pools : mapping
        Flow equivalents of the blocking components below, by component.
    service : (n,) float64
        Service times, host contention included [s].
    flow : (n,) float64, optional
        Throughput of every component; what does not come through ``i`` is background load.
    share : float
        Share of the component's flow that goes through this pool (one of several replicas).
    arriving : (n,) float64, optional
        Part of the flow that does not come through a pool [1/s].
    others : mapping, optional
        What bounds the background load that comes through pools, by component.
    variability : mapping, optional
        Repeats and squared coefficient of variation of stations that are not exponential, by component.
    """
    pool = int(network.servers[i] * (network.replicas[i] if flow is None else 1))
    varied = variability or {}
    out: dict[int, Station] = {}
    latency = [0.0]
    for e in edges_of(network, i):
        if network.sync[e] and network.calls[e] > 0:
            latency[0] += float(network.calls[e] * network.latency[e])
            collect_stations(network, int(network.target[e]), float(network.calls[e]), pools, service, out, latency)
    stations = [Station(1.0, np.empty(0), delay=float(service[i]), component=i)]
    if latency[0] > 0:
        stations.append(Station(1.0, np.empty(0), delay=latency[0]))
    stations += out.values()
    least = min((float(queue_factor(*varied[k], 1.0, 1)) for k in out if k in varied), default=1.0)
    population = pool if least >= 1.0 else int(np.ceil(pool / least)) + 1
    slots = {k: float(s.inner.room if s.inner else s.rates.size) for k, s in out.items()}
    top = {k: float(s.rates[-1]) for k, s in out.items() if s.rates.size}
    background: dict[int, float] = {}
    if flow is not None:
        for k, s in out.items():
            beside = float(flow[k]) - float(flow[i]) * share * s.visits
            if s.rates.size and beside > NOTHING * flow[k]:
                background[k] = beside
                crowd = others.get(k) if others else None
                loose = beside
                if crowd is not None and arriving is not None:
                    loose = min(float(arriving[k]), beside)
                bounded = beside - loose > NOTHING * flow[k]
                if loose > NOTHING * flow[k]:
                    most = population + crowd.bound if bounded and crowd is not None else population
                    put_beside(s, slots[k], loose, most, None)
                if bounded:
                    put_beside(s, slots[k], beside - loose, population, crowd)
    closed = Closed(stations, population)
    number, through = closed.numbers(), closed.throughput()
    full: Callable[[float], float] = float
    if flow is not None and pool > 1:
        full = _FullPool(closed, pool, varied, partial(visit_spread, network, i, set(pools)))
    if least >= 1.0 and not any(k in varied for k in out):
        return through, Inner(number, float(pool), full)
    count = np.arange(population + 1.0)
    crowded = count.copy()
    passed = np.concatenate([[0.0], through])
    for p, s in enumerate(stations):
        k = s.component
        if p > 0 and k in varied and s.rates.size:
            load = (passed * s.visits + background.get(k, 0.0)) / top[k]
            servers = int(network.servers[k] * network.replicas[k])
            queue = closed.expected(p, np.maximum(count - slots[k], 0.0) if s.queue is None else s.queue)
            shorter = (1.0 - queue_factor(*varied[k], load, servers)) * queue
            crowded -= shorter
            number[k] = number[k] - shorter
    room = float(np.interp(pool, np.maximum.accumulate(crowded), count))
    whole = int(room)
    grid = np.minimum(np.arange(whole + (2.0 if room > whole else 1.0)), room)
    tables = {k: np.asarray(np.interp(grid, count, table)) for k, table in number.items()}
    return np.asarray(np.interp(grid, count, passed)[1:]), Inner(tables, room, full)


class _FullPool:
    """Dispersion of the completions of a full pool, worked out when it is asked for."""

    def __init__(
        self,
        closed: Closed,
        pool: int,
        varied: Mapping[int, tuple[float, float]],
        spread: Callable[[], dict[int, float]],
    ) -> None:
        self._closed, self._pool, self._varied, self._spread = closed, pool, varied, spread
        self._terms: tuple[float, float] | None = None

    def __call__(self, hold_scv: float) -> float:
        """Return the dispersion [1]: that of the held times, but for what is spent in queues."""
        if self._terms is None:
            self._terms = self._completions()
        waiting, completions = self._terms
        return float((1.0 - waiting) * hold_scv + completions)

    def _completions(self) -> tuple[float, float]:
        """Return the share of the held time that a full pool waits inside, and what the queues there add [1]."""
        closed, pool = self._closed, self._pool
        through = closed.throughput()
        waiting = max(1.0 - float(through[pool - 1] / (pool * through[0])), 0.0)
        if waiting <= 0.0:
            return 0.0, 0.0
        count = np.arange(closed.population + 1.0)
        queue = {}
        for p, s in enumerate(closed.stations):
            if s.rates.size:
                queue[p] = max(float(closed.expected(p, count)[pool] - through[pool - 1] * s.visits / s.rates[0]), 0.0)
        every = max(sum(queue.values()), 1e-300)
        spread, least = self._spread(), 1e-9 * every
        felt = [p for p, waits in queue.items() if waits >= least]
        if not felt:
            return waiting, 0.0
        busy = np.arange(1, pool + 1)
        stations = [closed.stations[p] for p in felt]
        terms = completion_terms(
            np.array([closed.rest(p, pool) for p in felt]),
            np.array([s.rates[np.minimum(busy, s.rates.size) - 1] for s in stations]),
            np.array([s.visits for s in stations]),
            np.array([spread.get(s.component, 0.0) for s in stations]),
            np.array([self._varied[s.component][1] if s.component in self._varied else 1.0 for s in stations]),
            waiting,
            np.array([queue[p] / every for p in felt]),
        )
        return waiting, float(terms.sum())
