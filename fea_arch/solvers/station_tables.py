"""Station laws as tables that are looked up at every time step: ``G(M)``, the mean number of busy servers.

A station with ``c`` servers of which ``B`` are held by calls that are still out, and with ``N`` requests waiting or in
own service, has ``M = N + B`` requests in all. The stationary law gives the offered load ``G(M)`` that goes with that
mean, so ``G(M) - B`` requests are in own service and the throughput is ``q = (G(N + B) - B) / S``. The tables are cubic
Hermite in ``x = M / (c + M)``, exact for M/M/1 (where ``G = M / (1 + M) = x``).
"""

from __future__ import annotations

from dataclasses import dataclass

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
    at = np.clip(np.searchsorted(mean, goal) - 1, 0, mean.size - 2)
    step = mean[at + 1] - mean[at]
    t = np.clip((goal - mean[at]) / step, 0.0, 1.0)
    h00, h10 = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    h01, h11 = t * t * (3 - 2 * t), t * t * (t - 1)
    q = h00 * flow[at] + h10 * step * tangent[at] + h01 * flow[at + 1] + h11 * step * tangent[at + 1]
    slope = tangent[at] + t * (tangent[at + 1] - tangent[at])
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


def build_tables(network: Network, variability: Array) -> StationTables:
    """Tabulate the laws of a network.

    Parameters
    ----------
    network : Network
    variability : (n,) float64
        Factor on the Erlang wait; rounded to three digits so that equal stations share a table [1].
    """
    n = network.n
    special = (network.law == 2) | ((network.places >= 0) & (network.law == 0))
    pooled = network.spread == 2
    servers = np.where(pooled, network.servers * network.replicas, network.servers)
    v = np.round(np.maximum(variability, 0.02), 3)
    row, scale = np.full(n, -1, np.int64), np.ones(n)
    plain = np.flatnonzero((network.law == 0) & ~special)
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
    if not rows:
        empty = np.zeros(CELLS + 1)
        return StationTables(np.zeros(n, np.int64), scale, empty, empty, empty, empty)
    row_used = np.maximum(row, 0)
    columns = [np.concatenate(part).ravel() for part in (busy, slope, waiting, blocked)]
    return StationTables(row_used, scale, *columns)
