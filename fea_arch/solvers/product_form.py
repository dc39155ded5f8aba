"""Closed product-form networks by convolution, and the stations that a request visits.

Every term of the convolution is positive, so nothing cancels (Buzen 1973). A component whose workers block is a
subsystem with bounded population and enters the network around it as one flow-equivalent station.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Index, Network

__all__ = ["Closed", "Inner", "Station", "collect_stations", "edges_of", "own_rates", "spread_number"]

#: Stations of one subsystem beyond which the rest is taken as a delay.
_LARGEST = 256


@dataclass(eq=False)
class Inner:
    """What is inside a blocking component with 0, 1, ... requests: mean numbers by component.

    ``room`` is the number of requests from which the rest waits for a worker; ``full`` returns the dispersion of the
    completions when the pool is full, from the squared coefficient of variation of the held times [1].
    """

    number: dict[int, Array] = field(default_factory=dict)
    room: float = 0.0
    full: Callable[[float], float] = float
    _tables: tuple[Index, Array] | None = field(default=None, init=False, repr=False)

    def behind(self, weight: Array) -> tuple[Index, Array]:
        """Return components and the mean numbers inside them, (k,), when ``weight`` is that of 0, 1, ... requests."""
        if self._tables is None:  # they have one length: the population in question
            inside = np.fromiter(self.number, np.int64, len(self.number))
            self._tables = inside, np.array(list(self.number.values()))
        inside, table = self._tables
        last = table.shape[1] - 1
        if weight.size <= last + 1:
            return inside, table[:, : weight.size] @ weight
        return inside, table[:, :last] @ weight[:last] + table[:, last] * weight[last:].sum()


@dataclass(eq=False)
class Station:
    """A station of a closed network.

    ``rates`` are completion rates with 1, 2, ... requests inside, the last one holds beyond; empty for a delay.
    Beside load of others, ``number`` has the mean numbers of the population behind the station, by component, and
    ``queue`` how many of it wait, with 0, 1, ... of it at the station.
    """

    visits: float
    rates: Array
    delay: float = 0.0
    component: int = -1
    inner: Inner | None = None
    number: dict[int, Array] | None = None
    queue: Array | None = None


class Closed:
    """A closed network solved for every population up to ``population`` at once."""

    def __init__(self, stations: list[Station], population: int) -> None:
        self.stations, self.population = stations, population
        least = sum(s.visits * (s.delay if s.rates.size == 0 else 1.0 / s.rates[0]) for s in stations)
        full = [s.visits / s.rates[min(population, s.rates.size) - 1] for s in stations if s.rates.size]
        # tilting by a guess of the throughput keeps the mass of every vector in range
        self.tilt = min(population / max(least, 1e-300), 1.0 / max(max(full, default=0.0), 1e-300))
        self._shape = self._state_functions()
        blank = (np.zeros(population + 1), 0.0)
        blank[0][0] = 1.0
        before, after = [blank], [blank]
        for shape in self._shape:
            before.append(self._convolve(before[-1], shape))
        for shape in reversed(self._shape):
            after.append(self._convolve(after[-1], shape))
        after.reverse()
        self._rest = [self._convolve(before[k], after[k + 1]) for k in range(len(stations))]
        self._norm = before[-1]

    def _state_functions(self) -> list[tuple[Array, float]]:
        """Return the weights of 0 .. population requests at each station, and the logarithm of their scale."""
        n = np.arange(1, self.population + 1)
        rates = np.empty((len(self.stations), self.population))
        for row, s in zip(rates, self.stations):
            if s.rates.size:
                size = min(s.rates.size, self.population)
                row[:size] = s.rates[:size]
                row[size:] = s.rates[size - 1]
            else:
                row[:] = n
        work = [s.visits * self.tilt * (1.0 if s.rates.size else s.delay) for s in self.stations]
        logs = np.zeros((len(self.stations), self.population + 1))
        np.cumsum(np.log(np.maximum(work, 1e-300))[:, None] - np.log(rates), axis=1, out=logs[:, 1:])
        top = logs.max(axis=1)
        return list(zip(np.exp(logs - top[:, None]), top.tolist()))

    def _convolve(self, a: tuple[Array, float], b: tuple[Array, float]) -> tuple[Array, float]:
        c = np.convolve(a[0], b[0])[: self.population + 1]
        top = float(c.max())
        return c / top, a[1] + b[1] + math.log(top)

    def throughput(self) -> Array:
        """Return the throughput with 1 .. population requests inside [1/s]."""
        g = self._norm[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(g[1:] > 0, g[:-1] / g[1:], 0.0) * self.tilt)

    def rest(self, k: int, population: int) -> Array:
        """Return the completion rates of all but station ``k`` with 1 .. population requests there [1/s]."""
        g = self._rest[k][0]
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = np.asarray(g[:population] / g[1 : population + 1] * self.tilt)
        known = np.isfinite(rates) & (rates > 0.0)
        if not known.all():  # beyond what a double holds the last rate stays
            last = np.maximum.accumulate(np.where(known, np.arange(population), 0))
            rates = rates[last]
        return rates

    def expected(self, k: int, values: Array) -> Array:
        """Return the mean of ``values[number at station k]`` for every population 0 .. population."""
        shape, rest = self._shape[k], self._rest[k]
        c = np.convolve(shape[0] * values, rest[0])[: self.population + 1]
        norm = self._norm[0]
        out = np.zeros(norm.size)
        np.divide(c, norm, out=out, where=norm > 0.0)
        return np.asarray(out * np.exp(shape[1] + rest[1] - self._norm[1]))

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
    if station.number is not None:
        return {component: table[np.minimum(count, table.size - 1)] for component, table in station.number.items()}
    if station.inner is None:
        return {station.component: count.astype(float)}
    out = {component: table[np.minimum(count, table.size - 1)] for component, table in station.inner.number.items()}
    waiting = np.maximum(count - station.inner.room, 0.0)
    out[station.component] = out.get(station.component, np.zeros(count.size)) + waiting
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
        out[i] = Station(visits, rates, component=i, inner=inner)
    else:
        out[i] = Station(visits, own_rates(network, i, service), delay=float(service[i]), component=i)
    if i in pools:
        return
    for e in edges_of(network, i):
        if network.sync[e] and network.calls[e] > 0 and len(out) < _LARGEST:
            calls = visits * float(network.calls[e])
            latency[0] += calls * float(network.latency[e])
            collect_stations(network, int(network.target[e]), calls, pools, service, out, latency, depth + 1)
