"""Rate at which chance sets off a retry storm: first passage of a queue past the point where late answers feed it.

A station whose callers try again sees the more requests the longer its line is. The line of a calm system ends by
chance beyond the point where what arrives passes what is served, and from there it grows by itself. The rate of that is
the inverse of the mean first-passage time of a birth-death chain in the number waiting, whose births at ``n`` are the
arrivals that a wait of ``n / mu`` causes: ``1 / rate = sum over n of 1 / (b(n) pi(n))`` with ``pi`` the stationary
distribution of the calm line (C. W. Gardiner, Handbook of Stochastic Methods, 1985, section 7.4).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.kernels.distributions import expected_tries, gamma_cdf
from fea_arch.kernels.march_tables import (
    E_BACKOFF,
    E_BUDGET,
    E_CALLS,
    E_LATENCY,
    E_TIMEOUT,
    N_BLOCKING,
    N_REPLICAS,
    N_SERVERS,
    S_BUSY,
    S_CAPACITY,
    S_CROWD,
    S_HOLD,
    S_MOST,
    S_RESPONSE,
    S_SPREAD,
    S_SUCCESS,
    S_VARIANCE,
    S_WAIT,
    S_WAIT_VAR,
)

__all__ = ["tipping"]

_GRID = 12


@subroutine
def _tried(mean: float, var: float, bad: float, e: int, edge: Any, retries: Any) -> Any:
    """Tries, time spent and chance of failure of a call."""
    t = edge[e, E_TIMEOUT]
    if t < np.inf and mean > 0.0:
        if var <= 1e-9 * mean * mean:
            over = 1.0 if mean > t else 0.0
            mean = min(mean, t)
        else:
            shape, x = mean * mean / var, t * mean / var
            over = 1.0 - gamma_cdf(shape, x, 1e-8, 200.0)
            mean = mean * gamma_cdf(shape + 1.0, x, 1e-8, 200.0) + t * over
        bad = 1.0 - (1.0 - over) * (1.0 - bad)
    tries = expected_tries(bad, retries[e], edge[e, E_BUDGET])
    fail = min(max(1.0 - (1.0 - bad) * tries, 0.0), 1.0)
    return tries, tries * mean + (tries - 1.0) * edge[e, E_BACKOFF], fail


@subroutine
def _arrivals(
    i: int, wait: float, order: Any, ptr: Any, target: Any, source: Any, in_ptr: Any, in_edge: Any, node: Any,
    edge: Any, sync: Any, retries: Any, cancel: Any, required: Any, law: Any, ext: Any, factor: float, state: Any,
    tries: Any, spent: Any, fail: Any, now: Any, extra: Any, worse: Any, flow: Any,
) -> float:
    """Arrivals at a station whose requests wait for a given time; ``i < 0`` sets the calm ones."""
    n = order.size
    for position in range(n):
        j = order[position]
        extra[j] = 0.0
        worse[j] = 1.0
        for e in range(ptr[j], ptr[j + 1]):
            now[e] = tries[e]
            if not sync[e] or edge[e, E_CALLS] <= 0.0:
                if i < 0:
                    tries[e], spent[e], fail[e], now[e] = 1.0, 0.0, 0.0, 1.0
                continue
            k = target[e]
            if i < 0:
                mean = edge[e, E_LATENCY] + state[k, S_RESPONSE]
                tries[e], spent[e], fail[e] = _tried(
                    mean, state[k, S_VARIANCE], 1.0 - state[k, S_SUCCESS], e, edge, retries
                )
                now[e] = tries[e]
                continue
            if k != i and extra[k] == 0.0 and worse[k] == 1.0:
                continue
            mean = edge[e, E_LATENCY] + state[k, S_RESPONSE] + extra[k]
            var = state[k, S_VARIANCE]
            if k == i:
                mean += wait - state[k, S_WAIT]
                var = max(var - state[k, S_WAIT_VAR], 0.0)
                var += wait * state[k, S_SPREAD] / max(state[k, S_CAPACITY], 1e-300)  # of so many services
            now[e], took, failed = _tried(mean, var, 1.0 - state[k, S_SUCCESS] * worse[k], e, edge, retries)
            extra[j] += edge[e, E_CALLS] * max(took - spent[e], 0.0)
            if required[e]:
                worse[j] *= max(1.0 - min(edge[e, E_CALLS], 1.0) * max(failed - fail[e], 0.0), 0.0)
            if cancel[e] and k == i:
                now[e] = tries[e]  # who is withdrawn leaves the line
    for position in range(n - 1, -1, -1):
        j = order[position]
        came = ext[j] * factor
        for p in range(in_ptr[j], in_ptr[j + 1]):
            e = in_edge[p]
            if source[e] != j:
                came += flow[source[e]] * edge[e, E_CALLS] * now[e]
        if node[j, N_BLOCKING] > 0.0 and law[j] != 1 and j != i:
            pool = node[j, N_REPLICAS] * node[j, N_SERVERS]
            came = min(came, pool / max(state[j, S_HOLD] + extra[j], 1e-12))
        flow[j] = came
    return flow[i] if i >= 0 else 0.0


@kernel
def tipping(
    order: Any, ptr: Any, target: Any, source: Any, in_ptr: Any, in_edge: Any, node: Any, edge: Any, sync: Any,
    retries: Any, cancel: Any, required: Any, law: Any, ext: Any, factors: Any, step: Any, states: Any, window: float,
    rate: Any, level: Any,
) -> None:
    """Find the rate at which each station tips into a retry storm.

    Parameters
    ----------
    order, ptr, target, source, in_ptr, in_edge, node, edge, sync, retries, cancel, required, law, ext
        As in the march.
    factors : (t,) float64
        Load factor of each step.
    step : (k,) int64
        Steps that are looked at.
    states : (t, n, 19) float64
        States of the march after each step.
    window : float
        Time that the system has to tip [s]; what is rarer than one in ten thousand in it is left out.
    rate : (k, n) float64
        Receives the rates [1/s].
    level : (k, n) float64
        Receives the wait beyond which the storm has taken over [s].
    """
    n, m = order.size, target.size
    tries, spent, fail, now = np.ones(m), np.zeros(m), np.zeros(m), np.ones(m)
    extra, worse, flow, least, most_t = np.zeros(n), np.ones(n), np.zeros(n), np.full(n, np.inf), np.zeros(n)
    grid, growth, left = np.zeros(_GRID), np.zeros(_GRID), np.ones(n)
    # the shortest and the longest time-out above that is followed by a retry; how many tries of a call can be in line
    for position in range(n - 1, -1, -1):
        i = order[position]
        for p in range(in_ptr[i], in_ptr[i + 1]):
            e = in_edge[p]
            j = source[e]
            if not sync[e] or j == i or edge[e, E_CALLS] <= 0.0:
                continue
            least[i] = min(least[i], least[j])
            most_t[i] = max(most_t[i], most_t[j])
            if retries[e] > 0 and edge[e, E_TIMEOUT] < np.inf and not cancel[e]:
                least[i] = min(least[i], edge[e, E_TIMEOUT])
                most_t[i] = max(most_t[i], edge[e, E_TIMEOUT])
                left[i] = max(left[i], retries[e] + 1.0)
    for at in range(step.size):
        s = step[at]
        state = states[s]
        factor = factors[s - 1]
        ready = False
        for i in range(n):
            rate[at, i] = 0.0
            level[at, i] = 0.0
            mu, crowd = state[i, S_CAPACITY], state[i, S_CROWD]
            if least[i] == np.inf or law[i] == 1 or mu <= 0.0 or crowd <= 0.0 or crowd >= 1.0:
                continue
            spread, busy = state[i, S_SPREAD], state[i, S_BUSY]
            stay = spread * crowd / (spread * crowd + 1.0 - crowd)
            calm = least[i] - (state[i, S_RESPONSE] - state[i, S_WAIT])
            if calm > 0.0 and math.log(stay) * 0.3 * mu * calm + math.log(max(crowd * mu * window, 1e-300)) < -9.0:
                continue
            if not ready:
                _arrivals(
                    -1, 0.0, order, ptr, target, source, in_ptr, in_edge, node, edge, sync, retries, cancel, required,
                    law, ext, factor, state, tries, spent, fail, now, extra, worse, flow,
                )  # fmt: skip
                ready = True
            usual = flow[i]
            if usual <= 0.0:
                continue
            base = _arrivals(
                i, state[i, S_WAIT], order, ptr, target, source, in_ptr, in_edge, node, edge, sync, retries, cancel,
                required, law, ext, factor, state, tries, spent, fail, now, extra, worse, flow,
            )  # fmt: skip
            low = max(0.25 * calm, 0.02 * least[i])
            high = 2.0 * most_t[i]
            top = 0.0
            for g in range(_GRID):
                grid[g] = low * (high / low) ** (g / (_GRID - 1.0))
                found = _arrivals(
                    i, grid[g], order, ptr, target, source, in_ptr, in_edge, node, edge, sync, retries, cancel,
                    required, law, ext, factor, state, tries, spent, fail, now, extra, worse, flow,
                )  # fmt: skip
                growth[g] = max(found / base, 1.0) if base > 0.0 else 1.0
                top = max(top, growth[g])
            _arrivals(
                -1, 0.0, order, ptr, target, source, in_ptr, in_edge, node, edge, sync, retries, cancel, required,
                law, ext, factor, state, tries, spent, fail, now, extra, worse, flow,
            )  # fmt: skip
            if top * crowd <= 1.0:
                continue
            chance, total, number, g = busy * (1.0 - stay), 0.0, 0.0, 0
            width = max(1.0, math.floor(mu * low / 50.0))  # states that are taken together
            unstable = -1.0
            room = min(mu * high, state[i, S_MOST] * left[i])
            while number < room:
                w = number / mu
                while g < _GRID - 1 and grid[g] < w:
                    g += 1
                if g == 0:
                    more = 1.0 + (growth[0] - 1.0) * w / grid[0]
                else:
                    more = growth[g - 1] + (growth[g] - growth[g - 1]) * (w - grid[g - 1]) / (grid[g] - grid[g - 1])
                rho = crowd * more
                if rho > 1.0 and unstable < 0.0:
                    unstable = w
                term = width / (mu * spread * rho * max(chance, 1e-300))
                total += term
                if unstable >= 0.0 and term < 1e-3 * total:
                    break
                if total > 1e5 * window:
                    break
                chance *= (spread * rho / max(spread * rho + 1.0 - rho, 1e-3)) ** width
                number += width
            if unstable >= 0.0 and total < 1e5 * window:
                rate[at, i] = 1.0 / total
                level[at, i] = max(number / mu, 1.5 * unstable)
