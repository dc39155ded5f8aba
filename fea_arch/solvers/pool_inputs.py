"""What the waits of bounded pools depend on, as values on a tape: flows, times, calls, and crowds of callers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from fea_arch.kernels.pool_paths import pull_flow, push_flow
from fea_arch.solvers.network import Array, Index
from fea_arch.solvers.network_state import NetworkState
from fea_arch.solvers.product_form import edges_of
from fea_arch.solvers.reverse_tape import Tape, Value
from fea_arch.solvers.shared_stations import NOTHING

__all__ = ["CrowdValue", "CrowdValues", "Inputs", "crowds_of", "gathered", "queue_factor_of", "repeats_of"]


class Inputs:
    """The leaves of the tape, one value a component or one entry a call.

    ``stated`` are factors on measured rate tables, ``arriving`` what does not come from inside a pool.
    """

    def __init__(self, state: NetworkState, tape: Tape) -> None:
        self.tape, self.network = tape, state.network
        network = state.network
        n = network.n
        flow = state.arrivals * state.admitted
        self.flow = self._leaves(flow)
        self.service = self._leaves(state.service)
        self.hold_scv = self._leaves(state.hold_scv)
        self.open_wait = self._leaves(state.open_wait)
        self.scv = self._leaves(network.scv)
        self.stated = self._leaves(np.ones(n))
        self.calls, self.latency = tape.value(network.calls), tape.value(network.latency)
        sends = np.full(n, np.nan)
        sends[state.tight] = flow[state.tight]
        used = np.empty(n)
        path = (network.order, network.ptr, network.target, network.sync, network.calls)
        arriving = np.maximum(flow - push_flow(*path, sends, n - 1, used), 0.0)
        self.arriving = self._leaves(arriving)
        self.plain_flow, self.plain_arriving = flow, arriving

        def back() -> None:
            by = gathered(self.arriving)
            by[arriving <= 0.0] = 0.0
            by_source = np.zeros(n)
            pull_flow(*path, sends, n - 1, used, -by, by_source, self.calls.g)
            for i, more in enumerate((by + by_source).tolist()):
                self.flow[i].g += more

        tape.step(back)
        self.hold = self._unloaded()

    def _leaves(self, values: Array) -> list[Value]:
        return [self.tape.value(x) for x in values.tolist()]

    def _unloaded(self) -> list[Value]:
        """Return the holding times without any wait."""
        network, service = self.network, self.service
        whole = self._leaves(np.zeros(network.n))
        sync, calls, latency, target, ptr, order = (
            x.tolist()
            for x in (network.sync, network.calls, network.latency, network.target, network.ptr, network.order)
        )
        steps: list[tuple[int, list[tuple[int, float, Value]]]] = []  # per call what it waits for
        for i in order:
            edges = []
            total = 0.0
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e]:
                    at = target[e]
                    below = whole[at] if whole[at].v else service[at]
                    total += calls[e] * (latency[e] + below.v)
                    edges.append((e, below.v, below))
            whole[i].v = service[i].v + total
            steps.append((i, edges))

        def back() -> None:
            by_calls, by_latency = [0.0] * len(calls), [0.0] * len(calls)
            for i, edges in reversed(steps):
                g = whole[i].g
                if g:
                    service[i].g += g
                    for e, x, below in edges:
                        below.g += g * calls[e]
                        by_calls[e] += g * (latency[e] + x)
                        by_latency[e] += g * calls[e]
            self.calls.g += by_calls
            self.latency.g += by_latency

        self.tape.step(back)
        return [w if blocks else s for w, s, blocks in zip(whole, service, network.blocking.tolist())]


def gathered(values: Sequence[Value]) -> Array:
    """Return the derivatives by a list of values."""
    return np.array([x.g for x in values])


@functools.lru_cache(maxsize=128)
def _log_factorials(bound: int) -> tuple[Array, Array]:
    """Return 0 .. bound and the logarithms of their factorials."""
    count = np.arange(bound + 1.0)
    out = np.zeros(bound + 1)
    np.cumsum(np.log(count[1:]), out=out[1:])
    count.flags.writeable = out.flags.writeable = False
    return count, out


@dataclass(eq=False)
class CrowdValue:
    """A :class:`fea_arch.solvers.shared_stations.Crowd` whose numbers are on the tape."""

    bound: int
    away: Value
    full: Value
    apart: bool = False

    def felt(self) -> bool:
        """Return whether the bound is felt, as that of the plain crowd."""
        mean = self.full.v * self.bound
        return bool(self.bound < mean + 6.0 * math.sqrt(mean) + 6.0)

    def same(self, other: CrowdValue) -> bool:
        """Return whether the numbers are the same."""
        mine = (self.bound, self.away.v, self.full.v, self.apart)
        return mine == (other.bound, other.away.v, other.full.v, other.apart)

    def room(self, tape: Tape) -> Value:
        """Return the weight of all that is elsewhere, (bound + 1,), as ``log_room`` of the plain crowd has it.

        That is without the logarithm; its derivative is kept by the logarithm.
        """
        e, factorial = _log_factorials(self.bound)
        away = max(self.away.v, 1e-300)
        weight = e * math.log(away) - factorial
        weight -= weight.max()
        np.exp(weight, out=weight)
        u = min(self.full.v, 1.0 - 1e-6)
        room = weight.cumsum()
        room += weight * (u / (1.0 - u))
        out = tape.value(np.maximum(room, 1e-300)[::-1].copy())

        def back() -> None:
            if not out.g.any():
                return
            on = (out.g / out.v)[::-1]
            on_weight = on[::-1].cumsum()[::-1] + on * (u / (1.0 - u))
            if self.full.v < 1.0 - 1e-6:
                self.full.g += float(on @ weight) / (1.0 - u) ** 2
            if self.away.v > 1e-300:
                self.away.g += float(on_weight @ (e * weight)) / away

        tape.step(back)
        return out


class CrowdValues:
    """Where requests come through pools, as :class:`fea_arch.solvers.shared_stations.Crowds` has it."""

    def __init__(self, inputs: Inputs, tight: set[int]) -> None:
        self.inputs, network = inputs, inputs.network
        flow, arriving = inputs.plain_flow, inputs.plain_arriving
        self._tight = tight
        self._found: dict[int, tuple[float, Value]] = {}
        self.held: dict[int, tuple[float, Value]] = {}
        self._common: dict[int, frozenset[int]] = {}
        self._inside, self._alone = flow - arriving > NOTHING * flow, arriving > NOTHING * flow
        self._source, sync, self._calls = network.source.tolist(), network.sync.tolist(), network.calls.tolist()
        calls = self._calls
        into = network.in_edge.tolist()
        first = network.in_ptr.tolist()
        self._into = [[e for e in into[first[k] : first[k + 1]] if sync[e] and calls[e] > 0] for k in range(network.n)]
        self._slots = (network.servers * network.replicas).astype(float)
        for k in reversed(network.order.tolist()):
            self._count(k)
        self._at: dict[int, CrowdValue] = {}

    def _count(self, k: int) -> None:
        """Count what comes to a component through pools, and what it keeps, once its callers are known."""
        inputs, tape, held, found = self.inputs, self.inputs.tape, self.held, self._found
        if self._inside[k]:
            callers = list(dict.fromkeys(self._source[e] for e in self._into[k] if self._source[e] in held))
            if not callers:  # a cycle of calls
                return
            ways = (self._common.get(j, frozenset()) | ({j} & self._tight) for j in callers)
            common = frozenset.intersection(*ways)
            mean = held[callers[0]][1]
            if len(callers) > 1:
                mean = tape.linear([(1.0, held[j][1]) for j in callers])
            whole = (sum(held[j][0] for j in callers), mean)
            found[k] = min([whole, *(held[p] for p in common)], key=_size)
            self._common[k] = frozenset() if self._alone[k] else common
        if k in self._tight:
            held[k] = (float(self._slots[k]), tape.product(inputs.flow[k], inputs.hold[k]))
            if k in found and not self._alone[k]:
                held[k] = min(held[k], found[k], key=_size)
        elif k in found:
            held[k] = found[k]

    @property
    def bound(self) -> dict[int, int]:
        """Most requests that pools bring to each component."""
        return {k: int(most) for k, (most, _) in self._found.items()}

    def wider(self, i: int) -> tuple[CrowdValues, set[int]]:
        """Return the crowds with one more worker at each replica of a pool, and the components that it reaches."""
        network = self.inputs.network
        out = copy(self)
        out._found, out.held, out._common, out._at = dict(self._found), dict(self.held), dict(self._common), {}
        out._slots = self._slots.copy()
        out._slots[i] += network.replicas[i]
        below, stack = {i}, [i]
        while stack:
            k = stack.pop()
            for e in edges_of(network, k):
                j = int(network.target[e])
                if network.sync[e] and network.calls[e] > 0 and j not in below:
                    below.add(j)
                    stack.append(j)
        for k in sorted(below, key=lambda k: -int(network.position[k])):
            out._count(k)
        return out, below

    def at(self, k: int) -> CrowdValue | None:
        """Return the requests that pools bring to a component."""
        if k not in self._found:
            return None
        if k not in self._at:
            inputs, tape = self.inputs, self.inputs.tape
            most, mean = self._found[k]
            through = tape.linear([(1.0, inputs.flow[k]), (-1.0, inputs.arriving[k])])
            away = _away(tape, mean, through, inputs.hold[k])
            self._at[k] = CrowdValue(int(most), away, tape.linear([(1.0 / most, mean)]))
        return self._at[k]

    def others(self, k: int, region: set[int]) -> CrowdValue | None:
        """Return the others at component ``k`` for a pool that calls it from the components ``region``."""
        crowd = self.at(k)
        if crowd is None:
            return None
        inputs, tape, held, source = self.inputs, self.inputs.tape, self.held, self._source
        calls = [e for e in self._into[k] if source[e] not in region and source[e] in held]
        callers = list(dict.fromkeys([source[e] for e in calls]))
        most = sum([held[j][0] for j in callers])
        whole = crowd if crowd.felt() else None
        if not callers or most >= crowd.bound:
            return whole
        total = sum([held[j][1].v for j in callers])
        if not CrowdValue(int(most), crowd.away, Value(total / most), apart=True).felt():
            return whole
        mean = tape.linear([(1.0, held[j][1]) for j in callers])
        ratio = [self._calls[e] for e in calls]
        senders = [inputs.flow[source[e]] for e in calls]
        sent = tape.value(sum(c * f.v for c, f in zip(ratio, senders)))

        def back() -> None:
            if sent.g:
                for e, c, f in zip(calls, ratio, senders):
                    f.g += sent.g * c
                    inputs.calls.g[e] += sent.g * f.v

        tape.step(back)
        away = _away(tape, mean, sent, inputs.hold[k])
        return CrowdValue(int(most), away, tape.linear([(1.0 / most, mean)]), apart=True)


def _size(pair: tuple[float, Value]) -> tuple[float, float]:
    return pair[0], pair[1].v


def crowds_of(inputs: Inputs, tight: set[int]) -> CrowdValues:
    """Find how many requests pools can bring to each component at once."""
    return CrowdValues(inputs, tight)


def _away(tape: Tape, mean: Value, flow: Value, hold: Value) -> Value:
    """Return ``max(mean - flow hold, 0)``."""
    out = tape.value(max(mean.v - flow.v * hold.v, 0.0))

    def back() -> None:
        if out.v > 0.0 and out.g:
            mean.g += out.g
            flow.g -= out.g * hold.v
            hold.g -= out.g * flow.v

    tape.step(back)
    return out


def repeats_of(inputs: Inputs, i: int) -> Value:
    """Return ``E[v^2] / E[v]`` of the visits of one request, as :func:`queue_variability.repeats` has it."""
    network, flow = inputs.network, inputs.flow
    above, stack = {i}, [i]
    in_edge, in_ptr, ptr = network.in_edge, network.in_ptr, network.ptr
    source, target, sync, calls = network.source, network.target, network.sync, network.calls
    while stack:
        k = stack.pop()
        for e in in_edge[in_ptr[k] : in_ptr[k + 1]].tolist():
            j = int(source[e])
            if sync[e] and calls[e] > 0 and flow[j].v > 0 and j not in above:
                above.add(j)
                stack.append(j)
    mean: dict[int, float] = {}
    variance: dict[int, float] = {}
    used: dict[int, list[tuple[int, int, float, float]]] = {}
    roots: list[tuple[int, list[tuple[int, int, float]], float]] = []
    first = second = 0.0
    order = sorted(above, key=lambda k: int(network.position[k]))  # callees first
    for j in order:
        m, v = float(j == i), 0.0
        used[j] = []
        for e in range(int(ptr[j]), int(ptr[j + 1])):
            t = int(target[e])
            if sync[e] and t in mean:
                c = float(calls[e])
                part = c - float(np.floor(c))
                m += c * mean[t]
                v += c * variance[t] + part * (1.0 - part) * mean[t] ** 2
                used[j].append((e, t, c, part))
        mean[j], variance[j] = m, v
        sent = [(e, int(source[e]), float(calls[e])) for e in in_edge[in_ptr[j] : in_ptr[j + 1]].tolist() if sync[e]]
        root = flow[j].v - sum(flow[s].v * c for _, s, c in sent)
        if root > 1e-9 * flow[j].v:
            first += root * m
            second += root * (m * m + v)
            roots.append((j, sent, root))
    out = inputs.tape.value(second / first if first > 0 else 1.0)
    if len(above) == 1 or first <= 0:
        return out

    def back() -> None:
        if not out.g:
            return
        by_first, by_second = -out.g * out.v / first, out.g / first
        by_mean = dict.fromkeys(order, 0.0)
        by_variance = dict.fromkeys(order, 0.0)
        for j, sent, root in roots:
            m, v = mean[j], variance[j]
            by_root = by_first * m + by_second * (m * m + v)
            by_mean[j] += root * (by_first + 2.0 * m * by_second)
            by_variance[j] += root * by_second
            flow[j].g += by_root
            for e, s, c in sent:
                flow[s].g -= by_root * c
                inputs.calls.g[e] -= by_root * flow[s].v
        for j in reversed(order):
            bm, bv = by_mean[j], by_variance[j]
            for e, t, c, part in used[j]:
                m = mean[t]
                inputs.calls.g[e] += bm * m + bv * (variance[t] + (1.0 - 2.0 * part) * m * m)
                by_mean[t] += bm * c + bv * 2.0 * part * (1.0 - part) * m
                by_variance[t] += bv * c

    inputs.tape.step(back)
    return out


def queue_factor_of(
    repeats: Array | float, scv: Array | float, load: Array, servers: Array | Index | float
) -> tuple[Array, Array, Array, Array]:
    """Return :func:`queue_variability.queue_factor` and its slopes by repeats, scv and load, for one or many queues."""
    x = np.minimum(np.maximum(load, 1e-12), 1.0)
    size = (servers - 1) * (np.sqrt(4.0 + 5.0 * servers) - 2.0) / (16.0 * servers)
    free = 1.0 - (1.0 - x) * size / x
    felt = np.maximum(free, 0.0)
    v = np.maximum(scv, 0.0)
    more = (repeats + v) / (repeats + 1.0) - 1.0
    by_load = np.where((free > 0.0) & (load > 1e-12) & (load < 1.0), more * size / x**2, 0.0)
    by_scv = np.where(np.greater(scv, 0.0), felt / (repeats + 1.0), 0.0)
    return 1.0 + more * felt, felt * (1.0 - v) / (repeats + 1.0) ** 2, by_scv, by_load
