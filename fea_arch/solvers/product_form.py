"""Closed product-form networks by convolution, and flow-equivalent stations.

Every term of the convolution is positive, so nothing cancels (Buzen 1973). A component whose workers block is a
subsystem with bounded population: its inner network is solved for 1, 2, ... busy workers and enters the outer one as a
flow-equivalent station (Chandy, Herzog and Woo 1975). Load from elsewhere is folded into a station's rates by summing
over it (the mixed networks of Baskett, Chandy, Muntz and Palacios 1975).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Index, Network

__all__ = ["Closed", "Inner", "Station", "collect_stations", "flow_equivalent", "spread_number", "with_background"]

#: Stations of one subsystem beyond which the rest is taken as a delay.
_LARGEST = 256


@dataclass(eq=False)
class Inner:
    """What is inside a blocking component with ``0 .. pool`` busy workers: mean numbers by component."""

    number: dict[int, Array] = field(default_factory=dict)


@dataclass(eq=False)
class Station:
    """A station of a closed network.

    ``rates`` are completion rates with 1, 2, ... requests inside, the last one holds beyond; empty for a delay.
    ``pool`` is the number of workers of a station with something inside.
    """

    visits: float
    rates: Array
    delay: float = 0.0
    component: int = -1
    inner: Inner | None = None
    pool: int = 0


class Closed:
    """A closed network solved for every population up to ``population`` at once."""

    def __init__(self, stations: list[Station], population: int) -> None:
        self.stations, self.population = stations, population
        least = sum(s.visits * (s.delay if s.rates.size == 0 else 1.0 / s.rates[0]) for s in stations)
        full = [s.visits / s.rates[min(population, s.rates.size) - 1] for s in stations if s.rates.size]
        # tilting by a guess of the throughput keeps the mass of every vector in range
        self.tilt = min(population / max(least, 1e-300), 1.0 / max(max(full, default=0.0), 1e-300))
        self._shape = [self._state_function(s) for s in stations]
        blank = (np.concatenate([[1.0], np.zeros(population)]), 0.0)
        before, after = [blank], [blank]
        for shape in self._shape:
            before.append(self._convolve(before[-1], shape))
        for shape in reversed(self._shape):
            after.append(self._convolve(after[-1], shape))
        after.reverse()
        self._rest = [self._convolve(before[k], after[k + 1]) for k in range(len(stations))]
        self._norm = before[-1]

    def _state_function(self, station: Station) -> tuple[Array, float]:
        n = np.arange(1, self.population + 1)
        if station.rates.size == 0:
            steps = np.log(max(station.visits * station.delay * self.tilt, 1e-300)) - np.log(n)
        else:
            rates = station.rates[np.minimum(n, station.rates.size) - 1]
            steps = np.log(max(station.visits * self.tilt, 1e-300)) - np.log(rates)
        logs = np.concatenate([[0.0], np.cumsum(steps)])
        top = float(logs.max())
        return np.exp(logs - top), top

    def _convolve(self, a: tuple[Array, float], b: tuple[Array, float]) -> tuple[Array, float]:
        c = np.convolve(a[0], b[0])[: self.population + 1]
        top = float(c.max())
        return c / top, a[1] + b[1] + float(np.log(top))

    def throughput(self) -> Array:
        """Return the throughput with 1 .. population requests inside [1/s]."""
        g = self._norm[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(g[1:] > 0, g[:-1] / g[1:], 0.0) * self.tilt)

    def expected(self, k: int, values: Array) -> Array:
        """Return the mean of ``values[number at station k]`` for every population 0 .. population."""
        shape, rest = self._shape[k], self._rest[k]
        c = np.convolve(shape[0] * values, rest[0])[: self.population + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            out = c / self._norm[0] * np.exp(shape[1] + rest[1] - self._norm[1])
        return np.asarray(np.nan_to_num(out, nan=0.0, posinf=0.0))

    def distribution(self, k: int) -> Array:
        """Return ``p(0 .. population)`` of the number at station ``k`` at full population."""
        p = self._shape[k][0] * self._rest[k][0][::-1]
        return np.asarray(p / p.sum())

    def numbers(self) -> dict[int, Array]:
        """Return the mean number inside every component for populations 0 .. population."""
        count = np.arange(self.population + 1)
        out: dict[int, Array] = {}
        for k, station in enumerate(self.stations):
            if station.component < 0:
                continue
            for component, values in spread_number(station, count).items():
                out[component] = out.get(component, 0.0) + self.expected(k, values)
        return out


def spread_number(station: Station, count: Index) -> dict[int, Array]:
    """Return, by component, the mean number behind a station that holds ``count`` requests, (k,) int."""
    if station.inner is None:
        return {station.component: count.astype(float)}
    busy = np.minimum(count, station.pool)
    out = {component: table[busy] for component, table in station.inner.number.items()}
    out[station.component] = out.get(station.component, np.zeros(count.size)) + (count - busy)
    return out


def own_rates(network: Network, i: int, service: Array) -> Array:
    """Return the completion rates of a component's own servers over all replicas; empty for a delay station."""
    if network.law[i] == 1:
        return np.empty(0)
    c, r = int(network.servers[i]), int(network.replicas[i])
    if network.law[i] == 2:
        table = network.rates[network.rate_first[i] : network.rate_first[i] + c]
        return np.asarray(table) if r == 1 else np.asarray(np.repeat(table, r) * r)
    return np.asarray(np.arange(1, c * r + 1) / service[i], float)


def with_background(rates: Array, background: float, population: int) -> Array:
    """Return the rates that a bounded population sees beside Poisson load of rate ``background``.

    ``X'(m) = B(m-1)/B(m)``, ``B(m) = sum_n C(m+n, n) b^n / (X(1) ... X(m+n))``.
    """
    if background <= 0.0 or rates.size == 0:
        return rates
    top = rates[-1]
    if background >= top * (1.0 - 1e-9):
        background = top * (1.0 - 1e-9)
    limit = int(min(4000, rates.size + population + 40.0 / max(1.0 - background / top, 1e-3)))
    index = np.arange(1, limit + population + 2)
    cumulative = np.concatenate([[0.0], np.cumsum(np.log(rates[np.minimum(index, rates.size) - 1]))])
    factorial = np.concatenate([[0.0], np.cumsum(np.log(index))])
    n = np.arange(limit + 1)
    both = np.arange(population + 1)[:, None] + n
    terms = (factorial - cumulative)[both]
    terms += n * np.log(background) - factorial[: limit + 1]
    top_term = terms.max(axis=1)
    total = top_term - factorial[: population + 1] + np.log(np.exp(terms - top_term[:, None]).sum(axis=1))
    return np.asarray(np.exp(total[:-1] - total[1:]))


def edges_of(network: Network, i: int) -> range:
    """Return the sorted edge numbers of a component's calls."""
    return range(int(network.ptr[i]), int(network.ptr[i + 1]))


def collect_stations(
    network: Network,
    i: int,
    visits: float,
    pools: Mapping[int, tuple[Array, Inner]],
    service: Array,
    out: dict[int, Station],
    latency: list[float],
    depth: int = 0,
) -> None:
    """Collect the stations that a request at component ``i`` visits, pools as one station each.

    Raises
    ------
    ModelError
        For a cycle of synchronous calls, which has no product form.
    """
    if depth > min(network.n, 500) + 1:
        raise ModelError(
            "a cycle of synchronous calls has no product form",
            component=network.names[i],
            field="dependencies",
            fix="use the event simulation",
        )
    station = out.get(i)
    if station is not None:
        station.visits += visits
    elif i in pools:
        rates, inner = pools[i]
        out[i] = Station(visits, rates, component=i, inner=inner, pool=rates.size)
    else:
        out[i] = Station(visits, own_rates(network, i, service), delay=float(service[i]), component=i)
    if i in pools:
        return
    for e in edges_of(network, i):
        if network.sync[e] and network.calls[e] > 0 and len(out) < _LARGEST:
            calls = visits * float(network.calls[e])
            latency[0] += calls * float(network.latency[e])
            collect_stations(network, int(network.target[e]), calls, pools, service, out, latency, depth + 1)


def visits_from(network: Network, i: int) -> dict[int, float]:
    """Return the synchronous visits of every component per request at ``i``, whatever the way."""
    visits = {i: 1.0}
    below: list[int] = []
    seen = {i}
    stack = [i]
    while stack:
        for e in edges_of(network, stack.pop()):
            j = int(network.target[e])
            if network.sync[e] and j not in seen:
                seen.add(j)
                stack.append(j)
                below.append(j)
    for v in sorted([i, *below], key=lambda k: -int(network.position[k])):  # callers first
        for e in edges_of(network, v):
            if network.sync[e] and v in visits:
                j = int(network.target[e])
                visits[j] = visits.get(j, 0.0) + visits[v] * float(network.calls[e])
    return visits


def flow_equivalent(
    network: Network,
    i: int,
    pools: Mapping[int, tuple[Array, Inner]],
    service: Array,
    *,
    flow: Array | None = None,
    share: float = 1.0,
) -> tuple[Array, Inner]:
    """Return completion rates of a blocking component with 1 .. pool busy workers, and what is inside then.

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
    """
    pool = int(network.servers[i] * (network.replicas[i] if flow is None else 1))
    out: dict[int, Station] = {}
    latency = [0.0]
    for e in edges_of(network, i):
        if network.sync[e] and network.calls[e] > 0:
            latency[0] += float(network.calls[e] * network.latency[e])
            collect_stations(network, int(network.target[e]), float(network.calls[e]), pools, service, out, latency)
    stations = list(out.values())
    if flow is not None:
        through = visits_from(network, i)
        for station in stations:
            background = float(flow[station.component]) - float(flow[i]) * share * through.get(station.component, 0.0)
            if background > 1e-9 * flow[station.component]:
                station.rates = with_background(station.rates, background, pool)
    own_work = Station(1.0, np.empty(0), delay=float(service[i]), component=i)
    network_time = [Station(1.0, np.empty(0), delay=latency[0])] if latency[0] > 0 else []
    closed = Closed([own_work, *network_time, *stations], pool)
    own = closed.numbers()
    return closed.throughput(), Inner(own)
