"""One bounded pool as a flow-equivalent station, on a tape.

The steps of :func:`fea_arch.solvers.flow_equivalence.flow_equivalent` once more, in a form that can be swept back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fea_arch.kernels.pool_paths import pull_trace
from fea_arch.solvers.closed_linearisation import ClosedValue
from fea_arch.solvers.full_pool import FullPool
from fea_arch.solvers.network import Array
from fea_arch.solvers.pool_calls import Graph, follow
from fea_arch.solvers.pool_corrections import correct_queues
from fea_arch.solvers.pool_inputs import CrowdValue, Inputs
from fea_arch.solvers.reverse_tape import LateValue, Tape, Value
from fea_arch.solvers.shared_stations import NOTHING
from fea_arch.solvers.station_beside import StationValue, put_beside_value

__all__ = ["Solved", "solve_pool"]


@dataclass(eq=False)
class Solved:
    """Completion rates with 1 .. size requests inside, and what is inside with 0 .. size: numbers (c, size + 1)."""

    rates: Value
    component: list[int]
    number: Value
    room: Value
    full: Callable[[Value], Value]
    #: Rates of the stations without what they serve besides.
    stations: dict[int, Value]


def solve_pool(
    inputs: Inputs,
    graph: Graph,
    i: int,
    pools: Mapping[int, Solved],
    others: Mapping[int, CrowdValue | None],
    varied: Mapping[int, tuple[Value, Value]],
    *,
    more: int = 0,
) -> Solved:
    """Solve the pool of a component for every number of busy workers, all replicas side by side.

    Parameters
    ----------
    inputs : Inputs
    graph : Graph
    i : int
        Component.
    pools : mapping
        Pools below that are one station each.
    others : mapping
        What bounds the background load, by component.
    varied : mapping
        Repeats and variability of stations that are not exponential.
    more : int
        Workers beyond those of the component.

    Raises
    ------
    ModelError
        For a cycle of synchronous calls, which has no product form.
    """
    network, tape = inputs.network, inputs.tape
    replicas = int(network.replicas[i])
    pool = int(network.servers[i]) + more
    component, visited, (edge, parent, sent, at), spent = follow(graph, i, pools)
    visits, latency = tape.value(np.array(visited, float)), tape.value(float(spent))

    def back_trace() -> None:
        if visits.g.any() or latency.g:
            pull_trace(edge, parent, sent, at, network.calls, network.latency, np.concatenate([[0.0], visits.g]),
                       latency.g, inputs.calls.g, inputs.latency.g)  # fmt: skip

    tape.step(back_trace)
    stations = [_station(inputs, k, pools) for k in component]
    least = min((_full_factor(*varied[k]) for k in component
                 if k in varied and not isinstance(varied[k][0], LateValue)), default=1.0)  # fmt: skip
    population = pool if least >= 1.0 else int(np.ceil(pool / least)) + 1
    if least >= 1.0 and any(isinstance(varied[k][0], LateValue) for k in component if k in varied):
        population = pool + 1  # one more, for the slope
    plain = [s.rates for s in stations]
    background: dict[int, Value] = {}
    for p, (k, s) in enumerate(zip(component, stations)):
        flow = inputs.plain_flow[k]
        if s.rates is None or not flow - inputs.plain_flow[i] / replicas * visits.v[p] > NOTHING * flow:
            continue
        background[p] = beside = _beside(inputs, i, k, visits, p, 1.0 / replicas)
        crowd = others.get(k)
        loose = beside
        if crowd is not None and inputs.arriving[k].v < beside.v:
            loose = inputs.arriving[k]
        bounded = beside.v - loose.v > NOTHING * flow
        if loose.v > NOTHING * flow:
            put_beside_value(tape, s, loose, population + (crowd.bound if bounded and crowd else 0), None)
        if bounded:
            put_beside_value(tape, s, tape.linear([(1.0, beside), (-1.0, loose)]), population, crowd)
    closed, first = _close(inputs, i, stations, visits, latency, population)
    owner, number, asked, queues = _numbers(inputs, i, component, stations, closed, first, varied)
    passed = closed.throughput()
    full: Callable[[Value], Value] = lambda scv: scv  # noqa: E731
    if pool > 1:
        full = FullPool(inputs, graph, i, pool, pools, closed, first, component, stations, visits, passed, varied)
    room = tape.value(float(pool))
    if least < 1.0 or any(k in varied for k in component):
        slots = network.servers * network.replicas
        room = correct_queues(tape, slots, pool, component, visits, plain, background, varied, owner, number, asked,
                              queues, passed)  # fmt: skip
    rates, tables = _cut(tape, room, passed, number)
    if replicas > 1:
        rates, tables, room = _side_by_side(tape, rates, tables, room, replicas)
    own = {k: r for k, r in zip(component, plain) if r is not None}
    return Solved(rates, owner, tables, tape.copy(room), full, own)


def _full_factor(again: Value, scv: Value) -> float:
    """Return the queue factor at full load."""
    return float(1.0 + ((again.v + max(scv.v, 0.0)) / (again.v + 1.0) - 1.0))


def _station(inputs: Inputs, k: int, pools: Mapping[int, Solved]) -> StationValue:
    """Return a component as a station of its own."""
    network, tape = inputs.network, inputs.tape
    if k in pools:
        found = pools[k]
        return StationValue(k, found.rates, found.room, found)
    if network.law[k] == 1:
        return StationValue(k, None, Value(0.0), None)
    rates = tape.value(_own(inputs, k))
    time = inputs.service[k]
    measured = bool(network.law[k] == 2)

    def back() -> None:
        total = float(rates.g @ rates.v)
        if measured:
            inputs.stated[k].g += total
        else:
            time.g -= total / time.v

    tape.step(back)
    return StationValue(k, rates, Value(float(rates.v.size)), None)


def _own(inputs: Inputs, k: int) -> Array:
    """Return the completion rates of a component's own servers over all replicas."""
    network = inputs.network
    c, r = int(network.servers[k]), int(network.replicas[k])
    if network.law[k] == 2:
        table = network.rates[network.rate_first[k] : network.rate_first[k] + c]
        return np.asarray(np.repeat(table, r) * r, float)
    return np.asarray(np.arange(1, c * r + 1) / inputs.service[k].v)


def _beside(inputs: Inputs, i: int, k: int, visits: Value, p: int, share: float) -> Value:
    """Return the flow at a component that does not come through the pool."""
    flow, own = inputs.flow[k], inputs.flow[i]
    out = inputs.tape.value(flow.v - own.v * share * float(visits.v[p]))

    def back() -> None:
        if out.g:
            flow.g += out.g
            own.g -= out.g * share * visits.v[p]
            visits.g[p] -= out.g * own.v * share

    inputs.tape.step(back)
    return out


def _close(
    inputs: Inputs, i: int, stations: list[StationValue], visits: Value, latency: Value, population: int
) -> tuple[ClosedValue, int]:
    """Return the closed network and the place of the first station that is called in it."""
    delays = [inputs.service[i], *([latency] if latency.v > 0 else [])]
    first = len(delays)
    n = np.arange(1, population + 1)
    times = [*(1.0 for _ in delays), *visits.v.tolist()]
    delay = [*delays, *(inputs.service[s.component] if s.rates is None else None for s in stations)]
    tables = [None] * first + [s.rates for s in stations]
    need, full = 0.0, 1e-300
    for v, d, t in zip(times, delay, tables):
        if t is None:
            assert d is not None
            need += v * d.v
        else:
            need += v / t.v[0]
            full = max(full, v / t.v[min(population, t.v.size) - 1])
    tilt = min(population / max(need, 1e-300), 1.0 / full)
    steps = inputs.tape.value(np.empty((len(times), population)))
    for k, (v, d, t) in enumerate(zip(times, delay, tables)):
        if t is None:
            assert d is not None
            steps.v[k] = np.log(max(v * d.v * tilt, 1e-300)) - np.log(n)
        else:
            size = min(t.v.size, population)
            steps.v[k, :size] = np.log(max(v * tilt, 1e-300)) - np.log(t.v[:size])
            steps.v[k, size:] = steps.v[k, size - 1] if size == t.v.size else 0.0

    def back() -> None:
        if not steps.g.any():
            return
        total = steps.g.sum(axis=1)
        visits.g += total[first:] / visits.v
        for k, (d, t) in enumerate(zip(delay, tables)):
            if t is None:
                assert d is not None
                if d.v > 0.0:
                    d.g += total[k] / d.v
                continue
            size = min(t.v.size, population)
            t.g[:size] -= steps.g[k, :size] / t.v[:size]
            t.g[size - 1] -= steps.g[k, size:].sum() / t.v[size - 1]

    inputs.tape.step(back)
    return ClosedValue(inputs.tape, steps, tilt), first


def _numbers(
    inputs: Inputs, i: int, component: list[int], stations: list[StationValue], closed: ClosedValue, first: int,
    varied: Mapping[int, tuple[Value, Value]],
) -> tuple[list[int], Value, list[int], Value]:  # fmt: skip
    """Return the mean numbers by component, (c, population + 1), and the stations with corrected queues and these."""
    tape = inputs.tape
    population = closed.norm.v.size - 1
    count = np.arange(population + 1)
    blocks, place, who = [count[None, :].astype(float)], [0], [i]
    backs: list[tuple[int, int, Callable[[Array], None]]] = []
    filled = 1
    for p, s in enumerate(stations):
        values, names, back = s.behind(population)
        if back is not None:
            backs.append((filled, filled + len(names), back))
        blocks.append(values)
        place += [first + p] * len(names)
        who += names
        filled += len(names)
    asked = [p for p, s in enumerate(stations) if s.rates is not None and s.component in varied]
    for row, p in enumerate(asked, filled):
        values, back = stations[p].waiting(population)
        if back is not None:
            backs.append((row, row + 1, back))
        blocks.append(values)
        place.append(first + p)
    values_of = tape.value(np.concatenate(blocks))

    def back_values() -> None:
        for low, high, back in backs:
            back(values_of.g[low:high])

    tape.step(back_values)
    means = closed.means(np.array(place, np.int64), values_of)
    owner = list(dict.fromkeys(who))
    at = {k: row for row, k in enumerate(owner)}
    index = np.array([at[k] for k in who], np.int64)
    number = tape.value(np.zeros((len(owner), population + 1)))
    np.add.at(number.v, index, means.v[:filled])
    queues = tape.value(means.v[filled:].copy())

    def back_number() -> None:
        means.g[:filled] += number.g[index]
        means.g[filled:] += queues.g

    tape.step(back_number)
    return owner, number, asked, queues


def _cut(tape: Tape, room: Value, passed: Value, number: Value) -> tuple[Value, Value]:
    """Return rates and numbers with 1 .. room requests inside, the last ones between two entries.

    At a whole number the slopes on either side differ; their mean is taken, and the last entry is there twice.
    """
    whole = max(int(np.ceil(room.v)) - 1, 0)
    part = room.v - whole  # in (0, 1]
    twice = part == 1.0 and passed.v.size > whole + 2

    def cut(table: Array) -> Array:
        last = table[..., whole] + part * (table[..., whole + 1] - table[..., whole])
        return np.concatenate([table[..., : whole + 1], *[last[..., None]] * (1 + twice)], axis=-1)

    rates, tables = tape.value(cut(passed.v)[1:]), tape.value(cut(number.v))

    def back() -> None:
        g = np.concatenate([[0.0], rates.g])
        for by, to in ((g, passed), (tables.g, number)):
            to.g[..., : whole + 1] += by[..., : whole + 1]
            last = by[..., whole + 1]
            slope = to.v[..., whole + 1] - to.v[..., whole]
            if twice:
                more = by[..., whole + 2]
                last = last + more
                room.g += 0.5 * float(np.sum(more * (to.v[..., whole + 2] - to.v[..., whole + 1])))
                slope = 0.5 * slope
            to.g[..., whole] += (1.0 - part) * last
            to.g[..., whole + 1] += part * last
            room.g += float(np.sum(last * slope))

    tape.step(back)
    return rates, tables


def _side_by_side(tape: Tape, rates: Value, tables: Value, room: Value, replicas: int) -> tuple[Value, Value, Value]:
    """Put the pools of identical replicas side by side: ``n`` requests are spread evenly."""
    size = rates.v.size
    at = np.arange(size * replicas + 1) / replicas
    low = np.minimum(at.astype(np.int64), size - 1)
    spread = np.zeros((at.size, size + 1))
    rows = np.arange(at.size)
    spread[rows, low] = replicas * (1.0 - (at - low))
    spread[rows, low + 1] += replicas * (at - low)
    total = tape.value((spread @ np.concatenate([[0.0], rates.v]))[1:])
    number = tape.value(tables.v @ spread.T)
    whole = tape.linear([(float(replicas), room)])

    def back() -> None:
        rates.g += (spread[1:].T @ total.g)[1:]
        tables.g += number.g @ spread

    tape.step(back)
    return total, number, whole
