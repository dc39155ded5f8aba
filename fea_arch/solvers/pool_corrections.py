"""Queues inside a pool that vary less or more than exponential ones, corrected on a tape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fea_arch.solvers.closed_linearisation import running_top
from fea_arch.solvers.network import Index
from fea_arch.solvers.pool_inputs import queue_factor_of
from fea_arch.solvers.reverse_tape import LateValue, Tape, Value

__all__ = ["correct_queues"]


def correct_queues(
    tape: Tape, servers: Index, pool: int, component: list[int], visits: Value, plain: list[Value | None],
    background: Mapping[int, Value], varied: Mapping[int, tuple[Value, Value]], owner: list[int], number: Value,
    asked: list[int], queues: Value, passed: Value,
) -> Value:  # fmt: skip
    """Shorten or lengthen the queues in place; return how many requests make up the pool then."""
    population = passed.v.size - 1
    crowded = tape.value(np.arange(population + 1.0))
    if asked:
        _correct(tape, servers, component, visits, plain, background, varied, owner, number, asked, queues, passed,
                 crowded)  # fmt: skip
    top_at = running_top(crowded.v)
    most = crowded.v[top_at]
    room = tape.value(float(np.interp(pool, most, np.arange(population + 1.0))))
    low = int(np.searchsorted(most, pool)) - 1
    if 0 <= low < population:
        a, b = int(top_at[low]), int(top_at[low + 1])
        gap = float(most[low + 1] - most[low])
        x = (pool - float(most[low])) / gap

        def back_room() -> None:
            crowded.g[a] -= room.g * (1.0 - x) / gap
            crowded.g[b] -= room.g * x / gap

        tape.step(back_room)
    return room


def _correct(
    tape: Tape, servers: Index, component: list[int], visits: Value, plain: list[Value | None],
    background: Mapping[int, Value], varied: Mapping[int, tuple[Value, Value]], owner: list[int], number: Value,
    asked: list[int], queues: Value, passed: Value, crowded: Value,
) -> None:  # fmt: skip
    """Take off in place what the queues at the stations ``asked`` lose, all of them at once."""
    at = {k: row for row, k in enumerate(owner)}
    which = [component[p] for p in asked]
    rows = np.array([at[k] for k in which], np.int64)
    tables = [r for p in asked if (r := plain[p]) is not None]
    besides = [background.get(p) for p in asked]
    pairs = [varied[k] for k in which]
    top = np.array([float(r.v[-1]) for r in tables])[:, None]
    beside = np.array([0.0 if b is None else b.v for b in besides])[:, None]
    visited = visits.v[asked]
    again = np.array([0.0 if isinstance(x, LateValue) else x.v for x, _ in pairs])[:, None]
    scv = np.array([x.v for _, x in pairs])[:, None]
    load = (visited[:, None] * passed.v + beside) / top
    factor, by_again, by_scv, by_load = queue_factor_of(again, scv, load, servers[which][:, None])
    shorter = (1.0 - factor) * queues.v
    crowded.v -= shorter.sum(axis=0)
    number.v[rows] -= shorter  # every component has one queue
    late = np.array([isinstance(x, LateValue) for x, _ in pairs])

    def back() -> None:
        on = -crowded.g - number.g[rows]
        queues.g += (1.0 - factor) * on
        on_factor = -queues.v * on
        to_scv = (on_factor * by_scv).sum(axis=1).tolist()
        to_again = (on_factor * by_again).sum(axis=1).tolist()
        on_load = on_factor * by_load / top
        on_load[late] = 0.0
        passed.g += visited @ on_load
        visits.g[asked] += on_load @ passed.v
        to_beside = on_load.sum(axis=1).tolist()
        to_top = (on_load * load).sum(axis=1).tolist()
        for q, (repeats, spread) in enumerate(pairs):
            if isinstance(repeats, LateValue):  # the factor is 1, but not its slope by the variability
                if to_scv[q]:
                    spread.g += to_scv[q] / (repeats.late() + 1.0)
                continue
            repeats.g += to_again[q]
            spread.g += to_scv[q]
            if (other := besides[q]) is not None:
                other.g += to_beside[q]
            tables[q].g[-1] -= to_top[q]

    tape.step(back)
