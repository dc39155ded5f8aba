"""Closed loads: a fixed population is a prescribed displacement, the throughput is the reaction.

Stations in product form are solved exactly by convolution of their state functions (Buzen 1973; every term positive,
so nothing cancels). A component whose workers block is a subsystem with bounded population: its inner network is
solved for 1, 2, ... busy workers and enters the outer one as a flow-equivalent station (Chandy, Herzog and Woo 1975).
Several closed loads, or closed beside open ones, are solved by the Schweitzer-Bard approximation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Network

__all__ = ["ClosedSolution", "schweitzer", "solve_closed_single"]


@dataclass(eq=False)
class _Station:
    """A station of a closed network: completion rates with 1, 2, ... requests inside; the last one holds beyond."""

    visits: float
    rates: Array  # empty: delay station of mean ``delay``
    delay: float = 0.0
    component: int = -1
    inner: _Inner | None = None


@dataclass(eq=False)
class _Inner:
    """What happens inside a blocking component with n busy workers."""

    component: int
    number: dict[int, Array] = field(default_factory=dict)  # component -> mean number inside, for n = 0..pool


@dataclass(eq=False)
class ClosedSolution:
    """Throughput of the load and mean numbers inside every component."""

    throughput: float
    in_flight: Array
    visits: Array


def _state_function(station: _Station, population: int, tilt: float) -> tuple[Array, float]:
    """Return the normalised state function ``f(0..N)`` and the logarithm of its scale."""
    n = np.arange(1, population + 1)
    if station.rates.size == 0:
        steps = np.log(max(station.visits * station.delay * tilt, 1e-300)) - np.log(n)
    else:
        rates = station.rates[np.minimum(n, station.rates.size) - 1]
        steps = np.log(max(station.visits * tilt, 1e-300)) - np.log(rates)
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    top = float(logs.max())
    return np.exp(logs - top), top


def _convolve(a: tuple[Array, float], b: tuple[Array, float], population: int) -> tuple[Array, float]:
    c = np.convolve(a[0], b[0])[: population + 1]
    top = float(c.max())
    return c / top, a[1] + b[1] + np.log(top)


def _throughputs(g: Array, tilt: float) -> Array:
    """Return ``X(1..N)`` from the normalisation constants ``G(0..N)`` of the tilted network."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(g[1:] > 0, g[:-1] / g[1:], 0.0) * tilt)


def _solve(stations: list[_Station], population: int) -> tuple[Array, list[Array]]:
    """Return ``X(1..N)`` and, per station, the distribution ``p(0..N)`` at full population."""
    demand = [
        s.visits * (s.delay if s.rates.size == 0 else 1.0 / s.rates[min(population, s.rates.size) - 1])
        for s in stations
    ]
    total = sum(s.visits * (s.delay if s.rates.size == 0 else 1.0 / s.rates[0]) for s in stations)
    queueing = [d for d, s in zip(demand, stations) if s.rates.size]
    # tilting by a good guess of the throughput keeps the mass of every vector in range
    tilt = min(population / max(total, 1e-300), 1.0 / max(max(queueing, default=0.0), 1e-300))
    shapes = [_state_function(s, population, tilt) for s in stations]
    blank = (np.concatenate([[1.0], np.zeros(population)]), 0.0)
    before = [blank]
    for shape in shapes:
        before.append(_convolve(before[-1], shape, population))
    after = [blank]
    for shape in reversed(shapes):
        after.append(_convolve(after[-1], shape, population))
    after.reverse()
    flow = _throughputs(before[-1][0], tilt)
    numbers = []
    for k, shape in enumerate(shapes):
        rest = _convolve(before[k], after[k + 1], population)[0]
        p = shape[0] * rest[::-1]
        numbers.append(p / p.sum())
    return flow, numbers


def _own_rates(network: Network, i: int) -> Array:
    if network.law[i] == 1:
        return np.empty(0)
    c, r = int(network.servers[i]), int(network.replicas[i])
    if network.law[i] == 2:
        table = network.rates[network.rate_first[i] : network.rate_first[i] + c]
        return np.asarray(table) if r == 1 else np.asarray(np.repeat(table, r) * r)
    return np.asarray(np.arange(1, c * r + 1) / network.service[i], float)


def _edges(network: Network, i: int) -> range:
    return range(int(network.ptr[i]), int(network.ptr[i + 1]))


def _flatten(
    network: Network,
    i: int,
    visits: float,
    pooled: frozenset[int],
    out: dict[int, _Station],
    latency: list[float],
    depth: int,
) -> None:
    """Collect the stations that a request at component ``i`` visits."""
    if depth > network.n + 1:
        raise ModelError(
            "a closed load through a cycle of calls is not in product form",
            component=network.names[i],
            field="loads",
            fix="use an open load, or the event simulation",
        )
    if i in pooled:
        station = out.get(i)
        if station is None:
            rates, inner = _flow_equivalent(network, i, pooled, depth)
            out[i] = _Station(visits, rates, component=i, inner=inner)
        else:
            station.visits += visits
        return
    station = out.get(i)
    if station is None:
        rates = _own_rates(network, i)
        out[i] = _Station(visits, rates, delay=float(network.service[i]), component=i)
    else:
        station.visits += visits
    for e in _edges(network, i):
        if network.sync[e]:
            calls = visits * float(network.calls[e])
            latency[0] += calls * float(network.latency[e])
            _flatten(network, int(network.target[e]), calls, pooled, out, latency, depth + 1)


def _flow_equivalent(network: Network, i: int, pooled: frozenset[int], depth: int) -> tuple[Array, _Inner]:
    """Return completion rates of a blocking component with 1..pool busy workers, and what is inside then."""
    pool = int(network.servers[i] * network.replicas[i])
    out: dict[int, _Station] = {}
    latency = [0.0]
    for e in _edges(network, i):
        if network.sync[e]:
            latency[0] += float(network.calls[e] * network.latency[e])
            _flatten(network, int(network.target[e]), float(network.calls[e]), pooled, out, latency, depth + 1)
    own = _Station(1.0, np.empty(0), delay=float(network.service[i]) + latency[0], component=i)
    stations = [own, *out.values()]
    rates = np.empty(pool)
    inner = _Inner(i)
    for n in range(1, pool + 1):
        flow, numbers = _solve(stations, n)
        rates[n - 1] = flow[-1]
        for station, p in zip(stations, numbers):
            _spread(station, p, inner.number, pool, n)
    return rates, inner


def _spread(station: _Station, p: Array, number: dict[int, Array], top: int, n: int) -> None:
    """Add the mean numbers behind a station with distribution ``p`` to ``number[component][n]``."""

    def add(component: int, value: float) -> None:
        number.setdefault(component, np.zeros(top + 1))[n] += value

    count = np.arange(p.size)
    if station.inner is None:
        add(station.component, float(p @ count))
        return
    pool = station.rates.size
    busy = np.minimum(count, pool)
    add(station.component, float(p @ (count - busy)))  # waiting for a worker
    for component, table in station.inner.number.items():
        add(component, float(p @ table[busy]))


def _pooled(network: Network, entry: int) -> frozenset[int]:
    """Blocking components whose callees are reached through them alone: those can be solved as a subsystem."""
    reach: dict[int, set[int]] = {}

    def below(i: int) -> set[int]:
        seen: set[int] = set()
        stack = [i]
        while stack:
            v = stack.pop()
            for e in _edges(network, v):
                j = int(network.target[e])
                if network.sync[e] and j not in seen:
                    seen.add(j)
                    stack.append(j)
        return seen

    live = below(entry) | {entry}
    blocking = [i for i in live if network.blocking[i] and any(network.sync[e] for e in _edges(network, i))]
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
    pooled = _pooled(network, entry)
    out: dict[int, _Station] = {}
    latency = [0.0]
    _flatten(network, entry, 1.0, pooled, out, latency, 0)
    stations = [_Station(1.0, np.empty(0), delay=think_s + latency[0]), *out.values()]
    flow, numbers = _solve(stations, users)
    number: dict[int, Array] = {}
    for station, p in zip(stations[1:], numbers[1:]):
        _spread(station, p, number, users, users)
    inside = np.zeros(network.n)
    for component, table in number.items():
        inside[component] += table[-1]
    return ClosedSolution(float(flow[-1]), inside, visits)


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
