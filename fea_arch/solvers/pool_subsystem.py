"""One bounded pool as a closed network, ready for derivatives: stations, partial products, what is inside.

The subsystem of :func:`fea_arch.solvers.product_form.flow_equivalent` once more, in a form that can be swept back:
stations in the order in which the calls reach them, the ways that lead there, the rates beside background load with
their slopes, and every partial product of the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.kernels.closed_networks import (
    convolve_stations,
    mix_background,
    mix_table,
    pull_stations,
    replace_stations,
)
from fea_arch.kernels.pool_paths import push_flow
from fea_arch.solvers.network import Array, Flags, Index, Network

__all__ = ["Graph", "Ladder", "Subsystem", "build_subsystem", "side_by_side"]

#: Stations of one subsystem beyond which the rest is not followed; as in the product form.
_LARGEST = 256
#: Share of a flow from which it counts as load from elsewhere; as in the product form.
ELSEWHERE = 1e-9


@dataclass(frozen=True, eq=False)
class Graph:
    """The sorted calls as plain lists, which loops in Python read faster."""

    network: Network
    ptr: list[int]
    target: list[int]
    followed: list[bool]
    calls: list[float]
    latency: list[float]

    @classmethod
    def of(cls, network: Network) -> Graph:
        """Copy the calls of a network."""
        followed = network.sync & (network.calls > 0)
        return cls(network, network.ptr.tolist(), network.target.tolist(), followed.tolist(), network.calls.tolist(),
                   network.latency.tolist())  # fmt: skip


@dataclass(eq=False)
class Ladder:
    """Completion rates of a pool with 1 .. size busy workers over all replicas, and what they owe to one replica.

    ``spread`` is (size + 1, pool + 1): a table over all replicas is ``replicas * spread @ table`` of one of them.
    """

    rates: Array
    spread: Array
    replicas: int

    @property
    def size(self) -> int:
        """Workers over all replicas."""
        return int(self.rates.size)


def side_by_side(rates: Array, replicas: int) -> Ladder:
    """Put the pools of identical replicas side by side: ``n`` requests are spread evenly."""
    pool = rates.size
    if replicas == 1:
        return Ladder(rates, np.eye(pool + 1), 1)
    at = np.arange(pool * replicas + 1) / replicas
    low = np.minimum(at.astype(np.int64), pool - 1)
    spread = np.zeros((at.size, pool + 1))
    rows = np.arange(at.size)
    spread[rows, low] = 1.0 - (at - low)
    spread[rows, low + 1] += at - low
    total = replicas * (spread @ np.concatenate([[0.0], rates]))
    return Ladder(total[1:], spread, replicas)


@dataclass(eq=False)
class Subsystem:
    """One pool of one replica of component ``i``: stations (k,), tables (k, pool) and (k, pool + 1).

    Station 0 is the own work of the pool and the network time of its calls, which is a delay.
    """

    i: int
    pool: int
    replicas: int
    component: Index
    visits: Array
    times: Array
    background: Array
    is_delay: Flags
    #: Pools among the stations: station -> component.
    nested: dict[int, int]
    #: Derivatives of their mixed rates: station -> (pool, size).
    mixed: dict[int, Array]
    slope: Array
    tilt: float
    shape: Array
    through: Array
    steps: tuple[Index, Index, Array, Index]
    own_share: float
    product: Array
    rates: Array
    first: Array = field(default_factory=lambda: np.zeros(0))
    gain: Array = field(default_factory=lambda: np.zeros(0))

    def marginals(self, weight: Array) -> Array:
        """Return the mean distribution at every station, (k, pool + 1), for weights of the population."""
        blank = np.zeros_like(self.shape)
        nothing = np.zeros_like(self.product)
        out = np.empty_like(self.shape)
        pull_stations(self.shape, blank, self.product, nothing, _over(weight, self.product[-1]),
                      np.zeros(self.pool + 1), out)  # fmt: skip
        return out

    def convolve(self, gain: Array) -> Array:
        """Return the mean of ``sum_k gain[k, m_k]`` for every population, (pool + 1,)."""
        self.gain = gain
        self.first = np.empty_like(self.product)
        convolve_stations(self.shape, gain, self.product, self.first)
        return np.asarray(_over(self.first[-1], self.product[-1]))

    def with_more(self, network: Network, weight: Array, by_rates: Array, ladders: dict[int, Array],
                  gains: dict[int, Array]) -> Array:  # fmt: skip
        """Return what one more server at each station alone adds to the weighted sum of :meth:`pull`, (k,).

        ``ladders`` and ``gains`` are the rates and the means of pools with one more worker, by station; zero where a
        station has none to add.
        """
        known = {k: ladders[k] for k in self.nested}
        rates, _ = _rates(network, self.component, self.is_delay, self.times, self.background, known, self.pool, 1)
        shape = _shapes(self.visits * self.tilt, rates)
        gain = self.gain.copy()
        for k in self.nested:
            gain[k] = gains[k]
        out = np.empty(shape.shape[0])
        replace_stations(self.shape, self.gain, self.product, self.first, shape, gain, weight, by_rates, self.tilt, out)
        return out

    def pull(self, weight: Array, by_rates: Array) -> Array:
        """Return the derivative by ``log F_k(m)``, (k, pool + 1).

        Parameters
        ----------
        weight : (pool + 1,) float64
            Of the means that :meth:`convolve` returned.
        by_rates : (pool,) float64
            Of the completion rates.
        """
        norm = self.product[-1]
        mean = _over(self.first[-1], norm)
        on = -weight * mean
        moved = by_rates * self.rates
        on[1:] -= moved
        on[:-1] += moved
        out = np.empty_like(self.shape)
        pull_stations(self.shape, self.gain, self.product, self.first, _over(on, norm), _over(weight, norm), out)
        return out


def _over(value: Array, norm: Array) -> Array:
    return np.asarray(np.divide(value, norm, out=np.zeros_like(norm), where=norm > 0))


def build_subsystem(
    graph: Graph, i: int, whole: dict[int, Ladder], service: Array, flow: Array, *, pool: int | None = None
) -> Subsystem:
    """Solve the pool of one replica of a component for every number of busy workers.

    Parameters
    ----------
    graph : Graph
    i : int
        Component.
    whole : dict
        Pools below that are one station each.
    service, flow : (n,) float64
        Service times [s] and throughputs [1/s].
    pool : int, optional
        Workers; default those of the component.

    Raises
    ------
    ModelError
        For a cycle of synchronous calls, which has no product form.
    """
    network = graph.network
    pool = int(network.servers[i]) if pool is None else pool
    number, visits, steps, latency = _follow(graph, i, whole)
    component = np.array([i, *number], np.int64)
    visit = np.array([1.0, *visits])
    used = np.empty(network.n)
    source = np.full(network.n, np.nan)
    source[i] = 1.0
    through = push_flow(network.order, network.ptr, network.target, network.sync, network.calls, source,
                        int(network.position[i]), used)  # fmt: skip
    background = flow[component] - flow[i] / network.replicas[i] * through[component]
    background[background <= ELSEWHERE * flow[component]] = 0.0
    background[0] = 0.0
    is_delay = network.law[component] == 1
    is_delay[0] = True
    nested = {k: j for k, j in enumerate(component.tolist()) if k and j in whole}
    is_delay[list(nested)] = False
    background[is_delay] = 0.0
    times = service[component]
    times[0] += latency
    known = {k: whole[j].rates for k, j in nested.items()}
    rates, slope = _rates(network, component, is_delay, times, background, known, pool)
    mixed = {}
    for k, j in nested.items():
        if background[k] > 0.0:
            mixed[k] = np.empty((pool, whole[j].size))
            mix_table(whole[j].rates, float(background[k]), pool, mixed[k])
    # tilting by a guess of the throughput keeps the mass of every vector in range
    least, full = float((visit / rates[:, 0]).sum()), float((visit / rates[:, -1])[~is_delay].max(initial=1e-300))
    tilt = min(pool / max(least, 1e-300), 1.0 / full)
    shape = _shapes(visit * tilt, rates)
    product, blank = np.empty((shape.shape[0] + 1, pool + 1)), np.empty((shape.shape[0] + 1, pool + 1))
    convolve_stations(shape, np.zeros_like(shape), product, blank)
    norm = product[-1]
    return Subsystem(
        i=i, pool=pool, replicas=int(network.replicas[i]), component=component, visits=visit, times=times,
        background=background, is_delay=is_delay, nested=nested, mixed=mixed, slope=slope, tilt=tilt, shape=shape,
        through=through, steps=steps, own_share=float(service[i] / times[0]) if times[0] > 0 else 1.0,
        product=product, rates=_over(norm[:-1], norm[1:]) * tilt,
    )  # fmt: skip


def _rates(
    network: Network, component: Index, is_delay: Flags, times: Array, background: Array, known: dict[int, Array],
    pool: int, more: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """Return the completion rates beside the background of every station and their slopes, (k, pool) each.

    ``known`` has the tables of pools, ``more`` are servers that every station gets.
    """
    k = component.size
    servers = (network.servers[component] + more) * network.replicas[component]
    first = np.full(k, -1, np.int64)
    tables = [np.ones(1)]
    filled = 1
    special = {*known, *np.flatnonzero(network.law[component] == 2).tolist()} - {0}
    for at in sorted(special):
        table = known.get(at)
        if table is None:
            j = int(component[at])
            c, r = int(network.servers[j]), int(network.replicas[j])
            table = np.repeat(network.rates[network.rate_first[j] : network.rate_first[j] + c], r) * r
        first[at], servers[at] = filled, table.size
        tables.append(table)
        filled += table.size
    rates, slope = np.empty((k, pool)), np.empty((k, pool))
    mix_background(servers, np.where(times > 0, times, 1e-300), background, first, np.concatenate(tables), pool, rates,
                   slope)  # fmt: skip
    rates[is_delay] = np.arange(1, pool + 1) / np.maximum(times[is_delay], 1e-300)[:, None]
    slope[is_delay] = 0.0
    return rates, slope


def _shapes(visits: Array, rates: Array) -> Array:
    """Return ``F_k(m)`` scaled to a largest entry of 1, (k, pool + 1)."""
    logs = np.zeros((rates.shape[0], rates.shape[1] + 1))
    np.cumsum(np.log(np.maximum(visits, 1e-300))[:, None] - np.log(rates), axis=1, out=logs[:, 1:])
    return np.asarray(np.exp(logs - logs.max(axis=1)[:, None]))


def _follow(
    graph: Graph, i: int, whole: dict[int, Ladder]
) -> tuple[list[int], list[float], tuple[Index, Index, Array, Index], float]:
    """Follow the calls of a request depth first; stations, their visits, the steps and the network time."""
    ptr, target, followed, calls = graph.ptr, graph.target, graph.followed, graph.calls
    place: dict[int, int] = {}
    visits: list[float] = []
    edges: list[int] = []
    parents: list[int] = []
    sent: list[float] = []
    stations: list[int] = []
    latency = 0.0
    deepest = min(graph.network.n, 500) + 1
    stack = [(-1, 1.0, ptr[i], ptr[i + 1])]  # the step that led here, visits, calls still to follow
    while stack:
        step, visit, e, end = stack.pop()
        while e < end and not followed[e]:
            e += 1
        if e >= end or (step >= 0 and len(place) >= _LARGEST):
            continue
        stack.append((step, visit, e + 1, end))
        if len(stack) > deepest + 1:
            raise ModelError("a cycle of synchronous calls has no product form", component=graph.network.names[i],
                             field="dependencies", fix="use the event simulation")  # fmt: skip
        j, inside = target[e], visit * calls[e]
        latency += inside * graph.latency[e]
        at = place.get(j)
        if at is None:
            at = place[j] = len(visits)
            visits.append(0.0)
        visits[at] += inside
        edges.append(e)
        parents.append(step)
        sent.append(visit)
        stations.append(at + 1)
        if j not in whole:
            stack.append((len(edges) - 1, inside, ptr[j], ptr[j + 1]))
    steps = (np.array(edges, np.int64), np.array(parents, np.int64), np.array(sent), np.array(stations, np.int64))
    return list(place), visits, steps, latency
