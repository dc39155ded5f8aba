"""Dispersion of the completions of a full pool, on a tape."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fea_arch.kernels.completions import sum_completions
from fea_arch.solvers.closed_linearisation import ClosedValue
from fea_arch.solvers.pool_calls import Graph
from fea_arch.solvers.pool_inputs import Inputs
from fea_arch.solvers.queue_variability import visit_spread
from fea_arch.solvers.reverse_tape import Value
from fea_arch.solvers.station_beside import StationValue

if TYPE_CHECKING:
    from fea_arch.solvers.pool_subsystem import Solved

__all__ = ["FullPool"]


class FullPool:
    """The dispersion as a function of that of the held times, worked out when it is asked for."""

    def __init__(
        self, inputs: Inputs, graph: Graph, i: int, pool: int, pools: Mapping[int, Solved], closed: ClosedValue,
        first: int, component: list[int], stations: list[StationValue], visits: Value, passed: Value,
        varied: Mapping[int, tuple[Value, Value]],
    ) -> None:  # fmt: skip
        self._inputs, self._graph, self._i, self._pool, self._pools = inputs, graph, i, pool, set(pools)
        self._closed, self._first, self._component, self._stations = closed, first, component, stations
        self._visits, self._passed, self._varied = visits, passed, varied
        self._terms: tuple[Value, Value] | None = None

    def __call__(self, hold_scv: Value) -> Value:
        """Return the dispersion [1]: that of the held times, but for what is spent in queues."""
        if self._terms is None:
            self._terms = self._waiting()
        waiting, completions = self._terms
        out = self._inputs.tape.value((1.0 - waiting.v) * hold_scv.v + completions.v)

        def back() -> None:
            if out.g:
                waiting.g -= out.g * hold_scv.v
                hold_scv.g += out.g * (1.0 - waiting.v)
                completions.g += out.g

        self._inputs.tape.step(back)
        return out

    def _waiting(self) -> tuple[Value, Value]:
        """Return the share of the held time that a full pool waits inside, and what the queues there add."""
        tape, pool, passed = self._inputs.tape, self._pool, self._passed
        alone, most = float(passed.v[1]), float(passed.v[pool])
        waiting = tape.value(max(1.0 - most / (pool * alone), 0.0))
        if waiting.v <= 0.0:
            return waiting, tape.value(0.0)

        def back() -> None:
            if waiting.g:
                passed.g[pool] -= waiting.g / (pool * alone)
                passed.g[1] += waiting.g * most / (pool * alone**2)

        tape.step(back)
        return waiting, self._completions(waiting)

    def _completions(self, waiting: Value) -> Value:
        tape, pool, passed, visits = self._inputs.tape, self._pool, self._passed, self._visits
        chosen = np.array([p for p, s in enumerate(self._stations) if s.rates is not None], np.int64)
        rates = [r for p in chosen.tolist() if (r := self._stations[p].rates) is not None]
        if not chosen.size:
            return tape.value(0.0)
        count = np.arange(passed.v.size, dtype=float)
        mean = self._closed.means(self._first + chosen, tape.value(np.tile(count, (chosen.size, 1))))
        one = np.array([float(r.v[0]) for r in rates])
        v = visits.v[chosen]
        most = float(passed.v[pool])
        queue = np.maximum(mean.v[:, pool] - most * v / one, 0.0)
        every = max(float(queue.sum()), 1e-300)
        kept = np.flatnonzero(queue >= 1e-9 * every)
        share = queue[kept] / every
        at = np.minimum(np.arange(pool), np.array([r.v.size - 1 for r in rates])[kept, None])
        own = np.array([rates[k].v[row] for k, row in zip(kept.tolist(), at)]).reshape(kept.size, pool)
        rest = self._closed.left_out(self._first + chosen[kept], pool)
        component = [self._component[p] for p in chosen[kept].tolist()]
        spread = visit_spread(self._inputs.network, self._i, self._pools)
        extra = np.array([spread.get(k, 0.0) for k in component])
        scv = np.array([self._varied[k][1].v if k in self._varied else 1.0 for k in component])
        by_rest, by_own = np.zeros_like(own), np.zeros_like(own)
        by_visits, by_share = np.zeros(kept.size), np.zeros(kept.size)
        value, by_waiting = sum_completions(
            rest.v, own, v[kept], extra, scv, share, waiting.v, by_rest, by_own, by_visits, by_share
        )
        out = tape.value(float(value))
        scattered = [(k, self._varied[k][1]) for k in component if k in self._varied]
        place = {k: row for row, k in enumerate(component)}

        def back() -> None:
            g = out.g
            if not g:
                return
            waiting.g += g * by_waiting
            rest.g += g * by_rest
            visits.g[chosen[kept]] += g * by_visits
            for row, k in enumerate(kept.tolist()):
                np.add.at(rates[k].g, at[row], g * by_own[row])
            for k, x in scattered:
                x.g += g * share[place[k]] * waiting.v / v[kept][place[k]]
            for row, k in enumerate(component):
                if k in spread:
                    self._pull_spread(k, g * share[row] * waiting.v)
            on = np.zeros(queue.size)
            on[kept] = g * by_share / every
            on -= float(g * by_share @ share) / every
            on[queue <= 0.0] = 0.0
            mean.g[:, pool] += on
            passed.g[pool] -= float(on @ (v / one))
            visits.g[chosen] -= on * most / one
            for k, r in enumerate(rates):
                r.g[0] += on[k] * most * v[k] / one[k] ** 2

        tape.step(back)
        return out

    def _pull_spread(self, station: int, on: float) -> None:
        """Add the derivatives of the spread of the visits to one station by the calls (``visit_spread``)."""
        order, used = _below(self._inputs, self._i, self._pools)
        ratio = self._inputs.network.calls
        mean, variance = dict.fromkeys(order, 0.0), dict.fromkeys(order, 0.0)
        mean[station] = 1.0
        for k in order:
            for e, j in used[k]:
                c = float(ratio[e])
                part = c - np.floor(c)
                mean[k] += c * mean[j]
                variance[k] += c * variance[j] + part * (1.0 - part) * mean[j] ** 2
        m, v = mean[self._i], variance[self._i]
        by_mean, by_variance = dict.fromkeys(order, 0.0), dict.fromkeys(order, 0.0)
        by_mean[self._i], by_variance[self._i] = -2.0 * on * v / m**3, on / m**2
        for k in reversed(order):
            bm, bv = by_mean[k], by_variance[k]
            for e, j in used[k]:
                c = float(ratio[e])
                part = c - np.floor(c)
                self._inputs.calls.g[e] += bm * mean[j] + bv * (variance[j] + (1.0 - 2.0 * part) * mean[j] ** 2)
                by_mean[j] += bm * c + bv * 2.0 * part * (1.0 - part) * mean[j]
                by_variance[j] += bv * c


def _below(inputs: Inputs, i: int, pools: Container[int]) -> tuple[list[int], dict[int, list[tuple[int, int]]]]:
    """Return the components that a pool reaches, callees first, and their calls."""
    network = inputs.network
    below, stack = {i}, [i]
    used: dict[int, list[tuple[int, int]]] = {}
    while stack:
        k = stack.pop()
        used[k] = []
        if k in pools:
            continue
        for e in range(int(network.ptr[k]), int(network.ptr[k + 1])):
            j = int(network.target[e])
            if network.sync[e] and network.calls[e] > 0 and j != k:
                used[k].append((e, j))
                if j not in below:
                    below.add(j)
                    stack.append(j)
    return sorted(below, key=lambda k: int(network.position[k])), used
