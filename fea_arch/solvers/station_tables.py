"""Station laws as tables that are looked up at every time step: ``G(M)``, the mean number of busy servers.

A station with ``c`` servers of which ``B`` are held by calls that are still out, and with ``N`` requests waiting or in
own service, has ``M = N + B`` requests in all. The stationary law gives the offered load ``G(M)`` that goes with that
mean, so ``G(M) - B`` requests are in own service and the throughput is ``q = (G(N + B) - B) / S``. The tables are cubic
Hermite in ``x = M / (c + M)``, exact for M/M/1 (where ``G = M / (1 + M) = x``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fea_arch.laws.station import state_rates
from fea_arch.solvers.network import Network

__all__ = ["CELLS", "StationTables", "build_tables"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Cells of a table.
CELLS = 512
#: Places beyond which a bounded queue counts as unbounded.
_DEEP = 20_000


@dataclass(frozen=True, eq=False)
class StationTables:
    """One row per kind of station.

    Attributes
    ----------
    row : (n,) int64
        Table of each component; -1 for delays (``G = M``).
    scale : (n,) float64
        ``c`` of the abscissa ``x = M / (c + M)`` [req].
    busy, slope : (n_rows * (CELLS + 1),) float64
        ``G`` and ``dG/du`` with ``u = CELLS x``.
    waiting, blocked : like ``busy``
        Probability of waiting, and of finding no place [1].
    """

    row: Index
    scale: Array
    busy: Array
    slope: Array
    waiting: Array
    blocked: Array

    def _cell(self, number: Array) -> tuple[Index, Array, Array]:
        room = self.scale + number
        u = number * (CELLS / room)
        cell = np.minimum(u.astype(np.int64), CELLS - 1)
        return cell + self.row * (CELLS + 1), u - cell, room

    def look_up(self, number: Array) -> tuple[Array, Array]:
        """Return ``G(M)`` and ``dG/dM`` for (..., n) numbers inside; rows of delays must be fixed by the caller."""
        at, t, room = self._cell(number)
        g0, g1 = self.busy[at], self.busy[at + 1]
        m0, m1 = self.slope[at], self.slope[at + 1]
        rise = g1 - g0
        b = 3.0 * rise - 2.0 * m0 - m1
        a = m0 + m1 - 2.0 * rise
        value = g0 + t * (m0 + t * (b + t * a))
        tangent = (m0 + t * (2.0 * b + 3.0 * t * a)) * (CELLS * self.scale) / (room * room)
        return value, tangent

    @cached_property
    def cubic(self) -> Array:
        """``G`` in each cell as a polynomial in ``u`` from the cell's start, (n_rows * CELLS, 4)."""
        g, m = self.busy.reshape(-1, CELLS + 1), self.slope.reshape(-1, CELLS + 1)
        rise, m0, m1 = np.diff(g, axis=1), m[:, :-1], m[:, 1:]
        return np.stack([g[:, :-1], m0, 3.0 * rise - 2.0 * m0 - m1, m0 + m1 - 2.0 * rise], axis=2).reshape(-1, 4)

    def linear(self, column: Array, number: Array) -> Array:
        """Return ``waiting`` or ``blocked`` at (..., n) numbers inside, linear between the entries [1]."""
        at, t, _ = self._cell(number)
        low = column[at]
        return low + t * (column[at + 1] - low)


def _erlang(c: Index, a: Array, v: Array) -> tuple[Array, Array, Array]:
    """Mean number in M/M/c, its derivative by the load, and the probability of waiting, for rows of one c each."""
    b = np.ones_like(a)
    top = int(c.max(initial=1))
    order = np.argsort(c, kind="stable")
    sorted_c = c[order]
    rows = b[order]
    load = a[order]
    for k in range(1, top + 1):
        live = int(np.searchsorted(sorted_c, k))
        part = load[live:] * rows[live:]
        rows[live:] = part / (k + part)
    b[order] = rows
    cc = c[:, None].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(a > 0.0, b * (cc / np.maximum(a, 1e-300) - 1.0 + b), np.where(cc == 1, 1.0, 0.0))
    below = cc - a * (1.0 - b)
    queue = cc * b / below
    turn = (cc * slope * below - cc * b * (b - 1.0 + a * slope)) / (below * below)
    room = np.maximum(cc - a, 1e-300)
    return a + v * queue * a / room, 1.0 + v * (turn * a / room + queue * cc / (room * room)), queue


def _mmc_rows(c: Index, v: Array) -> tuple[Array, Array, Array]:
    x = np.linspace(0.0, 1.0, CELLS + 1)[None, :-1]
    cc, vv = c[:, None].astype(float), v[:, None]
    goal = cc * x / (1.0 - x)
    low, high = np.zeros_like(goal), np.minimum(cc * (1.0 - 1e-15), goal)
    a = np.minimum(high, cc * goal / (goal + np.maximum(vv, cc)))
    turn, queue = np.ones_like(a), np.zeros_like(a)
    for _ in range(60):
        number, turn, queue = _erlang(c, a, vv)
        wrong = number - goal
        high = np.where(wrong > 0.0, a, high)
        low = np.where(wrong > 0.0, low, a)
        new = a - wrong / turn
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        moved = np.abs(new - a)
        a = new
        if np.all(moved <= 4e-16 * np.maximum(cc, a)):
            break
    # dG/dx = dG/dM c / (1 - x)^2; its limit at x = 1 is v, from 1 - rho -> v / M
    slope = cc / (turn * (1.0 - x) ** 2)
    busy = np.concatenate([a, cc], axis=1)
    return busy, np.concatenate([slope, vv], axis=1) / CELLS, np.concatenate([queue, np.ones_like(vv)], axis=1)


def _pooled_row(
    c: int, people: int, v: float, load: float, queue: float
) -> tuple[Array, Array, Array]:
    """Table of a station whose requests all come from ``people`` workers: the finite-source M/M/c/K chain.

    Its number inside spreads less than that of an open station, so the servers idle less at the same mean number.
    """
    n = np.arange(people + 1, dtype=float)
    served = np.minimum(n, c)
    logs = np.concatenate([[0.0], np.cumsum(np.log((people - n[:-1]) / served[1:]))])
    z = np.concatenate([np.linspace(-25.0, -8.0, 60)[:-1], np.linspace(-8.0, 12.0 + np.log(c + 1.0), 900)])
    w = logs[None, :] + z[:, None] * n[None, :]
    w = np.exp(w - w.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    mean, busy = w @ n, w @ served
    if 0.0 < load < c and queue > 0.0:  # meet the static wait at the operating point
        plain = float(np.interp(load, busy, mean)) - load
        v = min(max(queue / plain, 0.02), 50.0) if plain > 1e-9 else v
    # the correction of the operating point fades towards saturation, where everybody is here
    fade = np.minimum((c - busy) / max(c - load, 1e-9), 1.0)
    total = busy + (1.0 + (v - 1.0) * fade) * (mean - busy)
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(total)) > 1e-13 * people])
    total, busy, w = total[rising], busy[rising], w[rising]
    slope = np.gradient(busy, total) if total.size > 2 else np.ones(total.size)
    wait = w[:, c:].sum(axis=1) if people > c else np.zeros(total.size)
    x = np.linspace(0.0, 1.0, CELLS + 1)[:-1]
    goal = c * x / (1.0 - x)
    value, turn = _hermite(goal, total, busy, slope)
    value = np.where(goal >= total[-1], np.minimum(goal, c), np.where(goal <= total[0], goal, value))
    turn = np.where(goal >= total[-1], 0.0, np.where(goal <= total[0], 1.0, turn))
    top = float(min(c, people))
    both = np.append(np.minimum(value, top), top), np.append(turn * c / (1.0 - x) ** 2, 0.0) / CELLS
    return both[0], both[1], np.append(np.interp(goal, total, wait, right=1.0), 1.0)


def _hermite(goal: Array, x: Array, y: Array, slope: Array) -> tuple[Array, Array]:
    """Cubic Hermite values and linear slopes at ``goal`` of points with given slopes."""
    at = np.clip(np.searchsorted(x, goal) - 1, 0, x.size - 2)
    step = np.maximum(x[at + 1] - x[at], 1e-300)
    t = np.clip((goal - x[at]) / step, 0.0, 1.0)
    h00, h10 = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    h01, h11 = t * t * (3 - 2 * t), t * t * (t - 1)
    value = h00 * y[at] + h10 * step * slope[at] + h01 * y[at + 1] + h11 * step * slope[at + 1]
    return value, slope[at] + t * (slope[at + 1] - slope[at])


def _chain_row(rates: Array, places: int, service: float) -> tuple[float, Array, Array, Array]:
    """Table of one chain with completion rates ``X(1) .. X(c)`` and bounded or unbounded waiting room."""
    c = rates.size
    bounded = 0 <= places <= _DEEP
    depth = places if bounded else min(max(40 * c, 2000), _DEEP)
    x_rates = np.concatenate([rates, np.full(depth, rates[-1])])
    n = np.arange(x_rates.size + 1, dtype=float)
    logs = np.concatenate([[0.0], -np.cumsum(np.log(x_rates))])
    slow, fast = rates.min(), rates.max()
    if bounded:
        z = np.linspace(np.log(slow) - 25.0, np.log(fast) + 30.0, 1600)
    else:
        near = np.log(rates[-1] * (1.0 - np.geomspace(1.0, 1e-3, 300)[1:]))
        z = np.unique(np.concatenate([np.linspace(np.log(slow) - 25.0, np.log(rates[-1]) - 7.0, 200), near]))
    w = logs[None, :] + z[:, None] * n[None, :]
    w -= w.max(axis=1, keepdims=True)
    w = np.exp(w)
    w /= w.sum(axis=1, keepdims=True)
    mean = w @ n
    served = np.concatenate([[0.0], x_rates])
    flow = w @ served
    variance = w @ (n * n) - mean * mean
    cover = w @ (served * n) - flow * mean
    block = w[:, -1] if bounded else np.zeros(z.size)
    wait = w[:, c:].sum(axis=1)
    keep = np.concatenate([[True], np.diff(mean) > 1e-12 * np.maximum(mean[1:], 1e-9)])
    mean, flow, block, wait = mean[keep], flow[keep], block[keep], wait[keep]
    tangent = (cover / np.maximum(variance, 1e-300))[keep]
    scale = float(c)
    x = np.linspace(0.0, 1.0, CELLS + 1)[:-1]
    goal = scale * x / (1.0 - x)
    q, slope = _hermite(goal, mean, flow, tangent)
    outside = goal >= mean[-1]
    end = rates[-1]
    beyond = 0.0 if bounded else end - flow[-1]
    q = np.where(outside, flow[-1] + beyond * (1.0 - mean[-1] / np.maximum(goal, 1e-300)), q)
    slope = np.where(outside, 0.0, slope)
    small = goal <= mean[0]
    q, slope = np.where(small, goal * rates[0], q), np.where(small, rates[0], slope)
    full = flow[-1] if bounded else end
    busy = np.append(q, full) * service
    turn = np.append(slope * scale / (1.0 - x) ** 2, 0.0) * service / CELLS
    blocked = np.append(np.interp(goal, mean, block, right=1.0 if bounded else 0.0), 1.0 if bounded else 0.0)
    waiting = np.append(np.interp(goal, mean, wait, right=1.0), 1.0)
    return scale, np.stack([busy, turn]), waiting, blocked


def build_tables(
    network: Network,
    variability: Array,
    population: Array | None = None,
    anchor: tuple[Array, Array] | None = None,
) -> StationTables:
    """Tabulate the laws of a network.

    Parameters
    ----------
    network : Network
    variability : (n,) float64
        Factor on the Erlang wait; rounded to three digits so that equal stations share a table [1].
    population : (n,) float64, optional
        Most requests that the callers' worker pools can send to each copy of a station; inf without bound [req].
    anchor : ((n,), (n,)) float64, optional
        Busy servers and waiting requests of each copy at the operating point, which bounded populations must meet.
    """
    n = network.n
    special = (network.law == 2) | ((network.places >= 0) & (network.law == 0))
    pooled = network.spread == 2
    servers = np.where(pooled, network.servers * network.replicas, network.servers)
    v = np.round(np.maximum(variability, 0.02), 3)
    row, scale = np.full(n, -1, np.int64), np.ones(n)
    small = np.zeros(n, bool)
    if population is not None:
        small = (network.law == 0) & ~special & (population < np.minimum(8.0 * servers + 200.0, 2000.0))
    plain = np.flatnonzero((network.law == 0) & ~special & ~small)
    kinds, which = np.unique(np.stack([servers[plain].astype(float), v[plain]]), axis=1, return_inverse=True)
    row[plain] = np.ravel(which)
    scale[plain] = servers[plain]
    pieces = [_mmc_rows(kinds[0].astype(np.int64), kinds[1])] if plain.size else []
    rows = kinds.shape[1] if plain.size else 0
    busy, slope, waiting = ([p] for p in pieces[0]) if pieces else ([], [], [])
    blocked = [np.zeros_like(busy[0])] if busy else []
    seen: dict[tuple[object, ...], tuple[int, float]] = {}
    for i in np.flatnonzero(special).tolist():
        component = network.arch.components[i]
        rates, _ = state_rates(component)
        key = (rates.tobytes(), int(network.places[i]), float(network.service[i]))
        if key not in seen:
            size, both, wait, block = _chain_row(rates, int(network.places[i]), float(network.service[i]))
            busy.append(both[:1])
            slope.append(both[1:])
            waiting.append(wait[None, :])
            blocked.append(block[None, :])
            seen[key] = (rows, size)
            rows += 1
        row[i], scale[i] = seen[key]
    for i in np.flatnonzero(small).tolist():
        assert population is not None
        load, queue = (float(a[i]) for a in anchor) if anchor is not None else (0.0, 0.0)
        value, turn, wait = _pooled_row(int(servers[i]), int(population[i]), float(v[i]), load, queue)
        busy.append(value[None, :])
        slope.append(turn[None, :])
        waiting.append(wait[None, :])
        blocked.append(np.zeros((1, CELLS + 1)))
        row[i], scale[i] = rows, servers[i]
        rows += 1
    if not rows:
        empty = np.zeros(CELLS + 1)
        return StationTables(np.zeros(n, np.int64), scale, empty, empty, empty, empty)
    row_used = np.maximum(row, 0)
    columns = [np.concatenate(part).ravel() for part in (busy, slope, waiting, blocked)]
    return StationTables(row_used, scale, *columns)
