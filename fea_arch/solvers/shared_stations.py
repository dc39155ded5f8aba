"""Stations that several pools share: what one population sees of a station beside the others that use it.

The others are summed over, as in the mixed networks of Baskett, Chandy, Muntz and Palacios (1975). Load from outside is
Poisson and without bound. Load that comes through pools is bounded by what these hold: not more than the callers, not
more than a pool through which all of it comes, and what such a pool holds elsewhere takes room as well.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np

from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.product_form import Station, edges_of, spread_number

__all__ = ["Crowd", "Crowds", "beside_bounded", "count_crowds", "put_beside", "region_of", "with_background"]

#: Share of a flow below which it counts as nothing.
NOTHING = 1e-9


@dataclass(frozen=True)
class Crowd:
    """Requests that pools hold together: at most ``bound``, of which ``away`` are elsewhere on average.

    ``full`` is the utilisation of these pools [1]. ``apart`` says that the bound is one of the others alone; else it is
    one for them and for the population that sees them.
    """

    bound: int
    away: float
    full: float
    apart: bool = False

    def felt(self) -> bool:
        """Return whether the bound is less than six standard deviations of Poisson load away."""
        mean = self.full * self.bound
        return bool(self.bound < mean + 6.0 * np.sqrt(mean) + 6.0)

    def log_room(self) -> Array:
        """Return the logarithm of the weight of all that is elsewhere when 0 .. bound requests are not, (bound + 1,).

        ``sum_(e <= r) a^e / e!`` with room for ``r``, and a full pool has a queue in front: ``u/(1 - u)`` times its
        term more. Pools that are hardly used leave a truncated Poisson load, full ones a fixed number of requests.
        """
        e = np.arange(self.bound + 1.0)
        logs = e * np.log(max(self.away, 1e-300)) - np.concatenate([[0.0], np.cumsum(np.log(e[1:]))])
        weight = np.exp(logs - logs.max())
        full = min(self.full, 1.0 - 1e-6)
        room = np.cumsum(weight) + weight * full / (1.0 - full)
        return np.asarray(np.log(np.maximum(room, 1e-300))[::-1])


@dataclass(eq=False)
class Crowds:
    """Where requests come through pools: how many at most, and on average, come ``at`` each component.

    ``held`` is the same of the requests that each component keeps while it calls others, ``hold`` the holding times.
    """

    hold: Array
    at: dict[int, Crowd] = field(default_factory=dict)
    held: dict[int, tuple[float, float]] = field(default_factory=dict)

    def others(self, network: Network, flow: Array, k: int, region: set[int]) -> Crowd | None:
        """Return the others at component ``k`` for a pool that calls it from the components ``region``.

        None where no bound is felt.
        """
        crowd = self.at.get(k)
        if crowd is None:
            return None
        calls = [e for e in _calls_to(network, k) if network.source[e] not in region and network.source[e] in self.held]
        callers = {int(network.source[e]) for e in calls}
        most, mean = (sum(self.held[j][side] for j in callers) for side in (0, 1))
        whole = crowd if crowd.felt() else None
        if not callers or most >= crowd.bound:
            return whole
        sent = sum(float(flow[network.source[e]] * network.calls[e]) for e in calls)
        found = Crowd(int(most), max(mean - sent * float(self.hold[k]), 0.0), mean / most, apart=True)
        return found if found.felt() else whole


def count_crowds(network: Network, flow: Array, hold: Array, arriving: Array, tight: set[int]) -> Crowds:
    """Find how many requests pools can bring to each component at once.

    Parameters
    ----------
    network : Network
    flow, hold : (n,) float64
        Throughput [1/s] and holding time without waits [s].
    arriving : (n,) float64
        Part of the flow that does not come through a pool [1/s].
    tight : set of int
        Components whose pool is felt.
    """
    found: dict[int, tuple[float, float]] = {}
    held: dict[int, tuple[float, float]] = {}
    common: dict[int, frozenset[int]] = {}
    inside = flow - arriving > NOTHING * flow
    alone = arriving > NOTHING * flow
    for k in reversed(network.order.tolist()):
        if inside[k]:
            callers = {int(network.source[e]) for e in _calls_to(network, k)}
            callers = {j for j in callers if j in held}
            if not callers:  # a cycle of calls
                continue
            common[k] = frozenset.intersection(*(common.get(j, frozenset()) | ({j} & tight) for j in callers))
            whole = (sum(held[j][0] for j in callers), sum(held[j][1] for j in callers))
            found[k] = min([whole, *(held[p] for p in common[k])])
            if alone[k]:
                common[k] = frozenset()
        if k in tight:
            held[k] = (float(network.servers[k] * network.replicas[k]), float(flow[k] * hold[k]))
            if k in found and not alone[k]:
                held[k] = min(held[k], found[k])
        elif k in found:
            held[k] = found[k]
    through = flow - arriving
    at = {
        k: Crowd(int(most), max(mean - float(through[k] * hold[k]), 0.0), mean / most)
        for k, (most, mean) in found.items()
    }
    return Crowds(hold, at, held)


def _calls_to(network: Network, k: int) -> list[int]:
    into = network.in_edge[network.in_ptr[k] : network.in_ptr[k + 1]].tolist()
    return [e for e in into if network.sync[e] and network.calls[e] > 0]


def region_of(network: Network, i: int, pools: Container[int]) -> tuple[set[int], set[int]]:
    """Return the components that a pool reaches down to the next ``pools``, itself included, and those pools."""
    region, edge, stack = {i}, set(), [i]
    while stack:
        for e in edges_of(network, stack.pop()):
            j = int(network.target[e])
            if not network.sync[e] or network.calls[e] <= 0:
                continue
            if j in pools:
                edge.add(j)
            elif j not in region:
                region.add(j)
                stack.append(j)
    return region, edge


def with_background(
    rates: Array, background: float, population: int, crowd: Crowd | None = None
) -> tuple[Array, Array]:
    """Return the rates that a bounded population sees beside other load, and how many others are there then.

    With ``m`` of the population there, ``n`` others have the weight ``C(m+n, n) b^n / (X(1) ... X(m+n))``, times the
    weight of all that is elsewhere for a bounded crowd; the population gets ``m/(m+n)`` of each rate.

    Parameters
    ----------
    rates : (k,) float64
        Completion rates with 1, 2, ... requests there; the last one holds beyond [1/s].
    background : float
        Rate of the others [1/s].
    population : int
    crowd : Crowd, optional
        What bounds the others; Poisson load without it.

    Returns
    -------
    rates : (population,) float64
    others : (population + 1, k) float64
        Distribution of the number of others, by the number of the population.
    """
    background = min(background, float(rates[-1]) * (1.0 - 1e-9))
    if crowd is None:
        limit = int(min(4000, rates.size + population + 40.0 / max(1.0 - background / rates[-1], 1e-3)))
    else:
        limit = crowd.bound
    index = np.arange(1, limit + population + 1)
    speed = rates[np.minimum(index, rates.size) - 1]
    cumulative, factorial = np.zeros(index.size + 1), np.zeros(index.size + 1)
    np.cumsum(np.log(speed), out=cumulative[1:])
    np.cumsum(np.log(index), out=factorial[1:])
    n = np.arange(limit + 1)
    terms = _by_sum(factorial - cumulative, population + 1) + (n * np.log(background) - factorial[: limit + 1])
    if crowd is not None:
        room = crowd.log_room()
        if crowd.apart:
            terms += room
        else:  # where the population alone is beyond the bound, nobody else is there
            left = np.full(limit + population + 1, -np.inf)
            left[: limit + 1] = room
            terms[:, 1:] += _by_sum(left, population + 1)[:, 1:]
            terms[:, 0] += room[np.minimum(np.arange(population + 1), limit)]
    terms -= terms.max(axis=1)[:, None]
    others = np.exp(terms, out=terms)
    others /= others.sum(axis=1)[:, None]
    each = speed / index
    seen = np.einsum("ij,ij->i", others[1:], _by_sum(each, population)) * np.arange(1, population + 1)
    return seen, others


def _by_sum(values: Array, rows: int) -> Array:
    """Return the view ``values[i + j]`` by row ``i`` and column ``j``, (rows, values.size - rows + 1)."""
    values = np.ascontiguousarray(values, float)
    step = values.itemsize
    return np.ndarray((rows, values.size - rows + 1), float, values, 0, (step, step))


def put_beside(station: Station, servers: float, background: float, population: int, crowd: Crowd | None) -> None:
    """Let a station of a population serve others as well: its rates, numbers and queue become those of the population.

    ``servers`` is the number of requests from which the rest waits.
    """
    rates, others = with_background(station.rates, background, population, crowd)
    rows = others.shape[0]
    both = np.arange(rows + others.shape[1] - 1)
    weight = others * _by_sum(1.0 / np.maximum(both, 1), rows) * np.arange(rows)[:, None]
    if station.queue is None:
        queue = np.maximum(both - servers, 0.0)
    else:
        queue = station.queue[np.minimum(both, station.queue.size - 1)]
    if station.inner is not None:
        tables = spread_number(station, both)
        station.number = {k: np.einsum("ij,ij->i", weight, _by_sum(t, rows)) for k, t in tables.items()}
    station.queue = np.einsum("ij,ij->i", weight, _by_sum(queue, rows))
    station.rates = rates


def beside_bounded(rates: Array, arriving: float, aside: float, crowd: Crowd) -> Array:
    """Return the mean number of open arrivals at a station beside a bounded crowd, by the number of all there.

    Parameters
    ----------
    rates : (k,) float64
        Completion rates of the station [1/s].
    arriving, aside : float
        Rates of the open arrivals, and of the crowd [1/s].
    crowd : Crowd
    """
    seen, others = with_background(rates, arriving, crowd.bound)
    logs = np.concatenate([[0.0], np.cumsum(np.log(aside) - np.log(seen))]) + crowd.log_room()
    p = np.exp(logs - logs.max())
    p /= p.sum()
    n, m = np.arange(crowd.bound + 1)[:, None], np.arange(others.shape[1])
    weight = p[:, None] * others * m / np.maximum(m + n, 1)
    return np.asarray(np.bincount((m + n).ravel(), weight.ravel()))
