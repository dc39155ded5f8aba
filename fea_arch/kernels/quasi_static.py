"""Quasi-static march of a station network through a load history: backlogs, responses, chances of failure.

Queues are the state (pointwise stationary fluid flow approximation, W.-P. Wang, D. Tipper and S. Banerjee, INFOCOM
1996): ``dQ/dt = lambda - y`` with ``Q = r F rho^e / (1 - rho)``, ``rho = y / mu``, ``e = sqrt(2 (c + 1))`` (H.
Sakasegawa, Annals of the Institute of Statistical Mathematics 29, 1977) and ``F`` the Allen-Cunneen factor. Everything
else follows the queues at once. One backward Euler step sweeps the calls from callers to callees for the flows,
back-pressure of full worker pools included, and from callees to callers for the moments of the response times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = [
    "E_BACKOFF", "E_BREAK_OPEN_S", "E_BREAK_SHARE", "E_BUDGET", "E_CALLS", "E_LATENCY", "E_TIMEOUT", "N_BLOCKING",
    "N_CPU", "N_LIMIT", "N_REPLICAS", "N_ROOM", "N_SCV", "N_SCV_IN", "N_SERVERS", "N_SERVICE", "N_WARM_UP",
    "march",
]  # fmt: skip

# columns of the table of components; N_ROOM: requests inside one replica at which it is killed, inf without limit
N_SERVICE, N_SCV, N_SERVERS, N_REPLICAS, N_BLOCKING, N_SCV_IN, N_LIMIT, N_ROOM, N_WARM_UP, N_CPU = range(10)
# columns of the table of calls
E_CALLS, E_LATENCY, E_TIMEOUT, E_BACKOFF, E_BUDGET, E_BREAK_SHARE, E_BREAK_OPEN_S = range(7)
# columns of the states; S_SLOW_SHARE, S_SLOW_GAP: share of slow requests and how much longer they take [s]
(
    S_ARRIVE, S_CAPACITY, S_WAIT, S_WAIT_VAR, S_RESPONSE, S_VARIANCE, S_SUCCESS, S_HOLD, S_SPREAD, S_BUSY, S_CROWD,
    S_MOST, S_ADMITTED, S_CULPRIT, S_SERVICE, S_SLOW_SHARE, S_SLOW_GAP,
) = range(17)  # fmt: skip


@subroutine
def _gamma_cdf(shape: float, x: float) -> float:
    """Regularised lower incomplete gamma function (series and continued fraction, DLMF 8.11, 8.9)."""
    if x <= 0.0:
        return 0.0
    if shape > 2.0e4:
        z = ((x / shape) ** (1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        a = shape
        for _ in range(10000):
            a += 1.0
            term *= x / a
            total += term
            if term < total * 1e-10:
                break
        return min(1.0, front * total)
    b = x + 1.0 - shape
    c = 1e300
    d = 1.0 / b
    h = d
    for k in range(1, 10000):
        an = -k * (k - shape)
        b += 2.0
        d = an * d + b
        if abs(d) < 1e-300:
            d = 1e-300
        c = b + an / c
        if abs(c) < 1e-300:
            c = 1e-300
        d = 1.0 / d
        delta = d * c
        h *= delta
        if abs(delta - 1.0) < 1e-10:
            break
    return max(0.0, 1.0 - front * h)


@subroutine
def _cut(mean: float, variance: float, t: float) -> Any:
    """P(T > t) and the first two moments of min(T, t) of the gamma distribution with these moments."""
    if variance <= 1e-9 * mean * mean:
        over = 1.0 if mean > t else 0.0
        m1 = min(mean, t)
        return over, m1, m1 * m1
    shape = mean * mean / variance
    x = t * mean / variance
    over = 1.0 - _gamma_cdf(shape, x)
    m1 = mean * _gamma_cdf(shape + 1.0, x) + t * over
    return over, m1, (mean * mean + variance) * _gamma_cdf(shape + 2.0, x) + t * t * over


@subroutine
def _modes(mean: float, variance: float, share: float, gap: float) -> Any:
    """Means of the fast and the slow requests, and the variance inside either."""
    inner = max(variance - share * (1.0 - share) * gap * gap, 0.02 * variance)
    return mean - share * gap, mean + (1.0 - share) * gap, inner


@subroutine
def _line(rho: float, expo: float, most: float, spread: float, free: float) -> Any:
    """Mean number waiting at a utilisation, ``spread rho^e / (1 - rho)``, where at most ``most`` can wait.

    While all servers are busy the line is geometric with the mean ``spread rho / (1 - rho)``, cut off at ``most``. A
    part ``free`` of the arrivals is not bounded: to the others it is a slower server (mixed networks, F. Baskett et
    al., Journal of the ACM 22, 1975).
    """
    if free <= 1e-6 or most > 1e5:
        return _cut_line(rho, expo, most, spread)
    slow = 1.0 - free * rho
    bounded = (1.0 - free) * rho / slow
    gap = 1.0 - rho
    rest = expo * (1.0 - slow) / slow if gap < 1e-6 else (rho**expo - bounded**expo) / gap
    return spread * rest + _cut_line(bounded, expo, most, spread) / slow


@subroutine
def _cut_line(rho: float, expo: float, most: float, spread: float) -> Any:
    """Mean number waiting where all arrivals are bounded."""
    if most <= 1e-9 or rho <= 0.0:
        return 0.0
    gap = 1.0 - rho
    if most > 1e5:
        return spread * rho**expo / max(gap, 1e-12)
    tail = spread * rho / (spread * rho + gap)
    if 1.0 - tail < 1e-4:
        return most * (most + 1.0) / (2.0 * (expo - 1.0 + most))
    power, busy = tail**most, rho ** (expo - 1.0)
    part = (1.0 - (most + 1.0) * power + most * power * tail) / (1.0 - busy * power)
    return spread * busy * rho / gap * max(part, 0.0)


@subroutine
def _fill(
    size: float, spread: float, expo: float, most: float, free: float, others: float, work: float, goal: float,
    rho: float,
) -> float:
    """Utilisation with ``size line(others rho) / others + work rho = goal``, at most 1, by false position."""
    if goal <= 0.0:
        return 0.0
    size = size / others
    low, f_low = 0.0, -goal
    high = min(1.0 - 1e-10, goal / work)
    if low < rho < high:  # in a steady state the last answer is the answer
        f = size * _line(others * rho, expo, most, spread, free) + work * rho - goal
        if abs(f) <= 1e-6 * goal:
            return rho
    f_high = size * _line(others * high, expo, most, spread, free) + work * high - goal
    if f_high <= 0.0:
        return high
    if low < rho < high:  # the last answer is a good guess
        for k in range(2):
            x = rho * (1.0 - 0.02 * k) if k == 0 else min(rho + 0.02 * (1.0 - rho), high)
            f = size * _line(others * x, expo, most, spread, free) + work * x - goal
            if f > 0.0 and x < high:
                high, f_high = x, f
            elif f <= 0.0 and x > low:
                low, f_low = x, f
    side = 0
    for _ in range(60):
        x = (low * f_high - high * f_low) / (f_high - f_low)
        if not low < x < high:
            x = 0.5 * (low + high)
        f = size * _line(others * x, expo, most, spread, free) + work * x - goal
        if abs(f) <= 1e-7 * goal or high - low <= 1e-9 * (1.0 - low):
            return x
        if f > 0.0:
            high, f_high = x, f
            if side == 1:
                f_low *= 0.5
            side = 1
        else:
            low, f_low = x, f
            if side == -1:
                f_high *= 0.5
            side = -1
    return 0.5 * (low + high)


@subroutine
def _factor(knot: Any, value: Any, t: float) -> Any:
    """Load factor inside a step: linear between knots."""
    k = 0
    while k < knot.size - 2 and knot[k + 1] <= t:
        k += 1
    if knot.size == 1:
        return value[0]
    width = knot[k + 1] - knot[k]
    if width <= 0.0:
        return value[k + 1]
    x = min(max((t - knot[k]) / width, 0.0), 1.0)
    return value[k] + x * (value[k + 1] - value[k])


@subroutine
def _larger(m1: float, v1: float, m2: float, v2: float) -> Any:
    """Mean and variance of the larger of two independent times (C. E. Clark, Operations Research 9, 1961)."""
    spread = math.sqrt(v1 + v2)
    if spread <= 1e-12 * (m1 + m2) or spread <= 0.0:
        return (m1, v1) if m1 >= m2 else (m2, v2)
    a = (m1 - m2) / spread
    big = 0.5 * math.erfc(-a / math.sqrt(2.0))
    dens = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    mean = m1 * big + m2 * (1.0 - big) + spread * dens
    square = (m1 * m1 + v1) * big + (m2 * m2 + v2) * (1.0 - big) + (m1 + m2) * spread * dens
    return mean, max(square - mean * mean, 0.0)


@kernel
def march(
    order: Any, ptr: Any, target: Any, source: Any, in_ptr: Any, in_edge: Any, node: Any, edge: Any, sync: Any,
    retries: Any, cancel: Any, stage: Any, required: Any, group: Any, law: Any, places: Any, host: Any, cpus: Any,
    dead: Any, ext: Any, knot: Any, value: Any, out_who: Any, out_time: Any, times: Any, iterations: int, kick: Any,
    series: Any, flow_end: Any, states: Any, fails: Any,
) -> None:
    """March through ``times`` and keep the state after each step.

    Parameters
    ----------
    order : (n,) int64
        Components, callees first.
    ptr, target, source, in_ptr, in_edge : CSR of the calls, both ways.
    node, edge : (n, 10), (m, 7) float64
        Tables with the columns named in this module.
    dead : (n,) bool
        Components that answer nothing.
    ext : (n,) float64
        Arrivals from outside at load factor 1 [1/s].
    knot, value : (k,) float64
        Load factor over time, linear between knots.
    out_who, out_time : (o,) int64, (o, 3) float64
        Outages: component or -1 for all; begin, end [s] and share of the capacity that is lost.
    times : (t,) float64
        Ends of the steps, the first one the begin [s].
    iterations : int
        Sweeps per step.
    kick : (3,) float64
        Component, step from which its line has tipped over, and the wait in it [s]; component -1 for none.
    series : (t, 3) float64
        Receives the number waiting [req] of each step in its last column.
    flow_end : (n, 4) float64
        Receives flow [1/s], utilisation [1], wait and response [s] at the end.
    states : (t, n, 17) float64
        Receives the state after each step in the columns named in this module.
    fails : (t, m) float64
        Receives the chance that a call fails [1].
    """
    n, m = order.size, target.size
    n_groups = 0
    for e in range(m):
        n_groups = max(n_groups, group[e] + 1)
    queue, old = np.zeros(n), np.zeros(n)
    wait, wait_var = np.zeros(n), np.zeros(n)
    hold, hold_scv = node[:, N_SERVICE].copy(), node[:, N_SCV].copy()
    response, variance, success = node[:, N_SERVICE].copy(), np.zeros(n), np.ones(n)
    arrive, flow, rho = np.zeros(n), np.zeros(n), np.zeros(n)
    admitted, up, cap, culprit = np.ones(n), np.ones(n), np.zeros(n), np.arange(n)
    attempts, fail, spent = np.ones(m), np.zeros(m), np.zeros(m)
    slow, servers, tokens = np.ones(n), node[:, N_SERVERS].copy(), np.zeros(n)
    down_until, open_until = np.full(n, -1.0), np.full(m, -1.0)
    stretch, crowd, tail = np.ones(cpus.size), np.zeros(n), np.zeros(n)
    bound, linger, top, reach = np.full(n, np.inf), np.ones(m), np.full(n, np.inf), np.ones(m)
    gone, sized = np.zeros(max(n_groups, 1)), np.zeros(max(n_groups, 1))
    # scv of what a full pool completes, and of the calls of a component
    rhythm, calls_scv = node[:, N_SCV].copy(), np.ones(n)
    settled = np.zeros(n)
    turned, outer, soft = np.zeros(n), np.full(n, -1), np.full(n, np.inf)
    slow_share, slow_gap, plain = np.zeros(n), np.zeros(n), np.ones(n)
    # of the line at a station: spread, the most that can wait, exponent; and how much its callees slow it down [s^2]
    shape, most_in, power, grow, free = np.ones(n), np.zeros(n), np.ones(n), np.zeros(n), np.zeros(n)
    full = node[:, N_SERVICE].copy()  # hold time of a worker while all workers of its pool are busy
    for i in range(n):
        if node[i, N_LIMIT] < np.inf:
            tokens[i] = max(node[i, N_LIMIT], 1.0)
    first = True
    for step in range(1, times.size):
        t0, t1 = times[step - 1], times[step]
        dt = t1 - t0
        if dt <= 0.0:
            continue
        middle = 0.5 * (t0 + t1)
        factor = _factor(knot, value, middle)
        for i in range(n):
            slow[i] = 1.0
            servers[i] = node[i, N_SERVERS]
            up[i] = 0.0 if dead[i] or down_until[i] > middle else 1.0
        for o in range(out_who.size):
            if out_time[o, 0] <= middle < out_time[o, 1]:
                for i in range(n):
                    if out_who[o] >= 0 and out_who[o] != i:
                        continue
                    left = 1.0 - out_time[o, 2]
                    if left <= 1e-12:
                        up[i] = 0.0
                        queue[i] = 0.0
                        continue
                    c = node[i, N_SERVERS]
                    fewer = c if law[i] == 1 else min(max(math.floor(c * left + 0.999999), 1.0), c)
                    slow[i] = fewer / (c * left)
                    servers[i] = fewer
        if int(kick[1]) == step and kick[0] >= 0.0:
            i = int(kick[0])
            queue[i] = max(queue[i], kick[2] * top[i])
        for i in range(n):
            old[i] = queue[i]
            cap[i] = np.inf
            culprit[i] = i
        rounds = 12 if first else iterations
        first = False
        for trip in range(rounds):
            # -- flows, callers first ----------------------------------------------------------------------------
            for position in range(n - 1, -1, -1):
                i = order[position]
                lam = ext[i] * factor
                most = np.inf if lam > 0.0 else 0.0  # requests that can be here at once
                leaving, patience = 0.0, 0.0  # requests that their caller withdraws, and after how long
                pools, pooled = 0.0, 0.0  # workers of the callers that have a bounded pool, and what they send
                mixed = lam * 1.0  # arrivals times their scv
                scarce = np.inf  # workers of the pool that fills first, by what it sends
                outer[i] = -1 if lam > 0.0 else -2  # the pool that all requests come through
                own = 0.0  # of those that an arrival meets, the part that its own caller cannot have sent
                for p in range(in_ptr[i], in_ptr[i + 1]):
                    e = in_edge[p]
                    j = source[e]
                    if j != i and open_until[e] <= middle:
                        came = flow[j] * edge[e, E_CALLS] * attempts[e] * reach[e]
                        lam += came
                        if came > 0.0:
                            kept = min(edge[e, E_CALLS] * reach[e] / attempts[e], 1.0) if attempts[e] > 0.0 else 0.0
                            mixed += came * (1.0 + kept * (calls_scv[j] - 1.0))
                            if cancel[e] and edge[e, E_TIMEOUT] < np.inf:
                                leaving += came
                                patience += came * max(edge[e, E_TIMEOUT] - edge[e, E_LATENCY], 0.0)
                            pool = bound[j]
                            if node[j, N_BLOCKING] > 0.0 and law[j] != 1:
                                pool = min(pool, node[j, N_REPLICAS] * servers[j])
                            above = outer[j]
                            if above < 0 and node[j, N_BLOCKING] > 0.0 and law[j] != 1:
                                above = j
                            if not sync[e] or stage[e] >= 0 or linger[e] > 1.01:
                                above = -1
                            outer[i] = above if outer[i] == -2 or outer[i] == above else -1
                            if not sync[e]:
                                pool = np.inf
                            elif stage[e] >= 0:
                                pool *= max(1.0, edge[e, E_CALLS])
                            most += pool * linger[e]
                            if pool * linger[e] < 1e9:
                                pools += pool * linger[e]
                                pooled += came
                                size = max(min(pool, soft[j]) * linger[e], 1.0)
                                scarce = min(scarce, size / came)
                                # of two busy workers of an M/M/c pool: E[k (k - 1)] = a^2 - a C, a = c u
                                both = came * came / size
                                if node[j, N_BLOCKING] > 0.0 and law[j] != 1:
                                    used = flow[j] * hold[j] / (node[j, N_REPLICAS] * servers[j])
                                    both *= min(max(used, 0.01), 1.0) ** (math.sqrt(2.0 * (size + 1.0)) - 2.0)
                                own += both
                if outer[i] >= 0:
                    most = min(most, node[outer[i], N_REPLICAS] * servers[outer[i]])
                arrive[i] = lam
                bound[i] = most
                soft[i] = min(most, scarce * lam)
                adm = up[i]
                if node[i, N_LIMIT] < np.inf and lam > 0.0:
                    adm *= min(1.0, (tokens[i] + node[i, N_LIMIT] * dt) / (lam * dt))
                if adm <= 0.0:
                    admitted[i] = 0.0
                    queue[i] = 0.0
                    flow[i] = 0.0
                    rho[i] = 0.0
                    continue
                if law[i] == 1:
                    admitted[i] = adm
                    flow[i] = lam * adm
                    rho[i] = 0.0
                    calls_scv[i] = 1.0
                    continue
                r, c = node[i, N_REPLICAS], servers[i]
                mu = r * c / max(full[i], 1e-12)
                # W. Whitt, Bell System Technical Journal 62, 1983: arrivals merged and thinned, departures
                came_scv = mixed / lam if lam > 0.0 else 1.0
                ca2 = node[i, N_SCV_IN] * came_scv
                calls_scv[i] = 1.0 + (1.0 - rho[i] ** 2) * (came_scv - 1.0)
                calls_scv[i] += rho[i] ** 2 * (max(hold_scv[i], 0.2) - 1.0) / math.sqrt(r * c)
                calls_scv[i] = min(calls_scv[i], 1.0)
                expo = math.sqrt(2.0 * (c + 1.0))
                spread = 0.5 * (ca2 + rhythm[i])
                if ca2 < 1.0:  # W. Kraemer and M. Langenbach-Belz, 8th International Teletraffic Congress, 1976
                    load = max(rho[i] if rho[i] > 0.0 else lam * adm / mu, 0.05)
                    spread *= math.exp(-2.0 * max(1.0 - load, 0.0) * (1.0 - ca2) ** 2 / (6.0 * load * spread))
                plain[i] = spread
                spread *= (hold[i] / full[i]) ** (expo - 1.0)  # all are busy less often than the line is long
                inside, others, free[i] = np.inf, 1.0, 0.0
                if pooled > 0.0:
                    inside = min(pools, scarce * pooled)
                    free[i] = max(1.0 - pooled / lam, 0.0)
                    others = free[i] + (1.0 - free[i]) * max(1.0 - own / (pooled * pooled), 0.02)
                    if outer[i] >= 0:
                        inside = min(inside, most)
                        others = min(others, max(1.0 - 1.0 / most, 0.02))
                    free[i] /= others
                if node[i, N_BLOCKING] > 0.0 and node[i, N_ROOM] * r < inside:
                    inside, free[i] = node[i, N_ROOM] * r, 0.0
                x = _fill(r, spread, expo, inside / r - c, free[i], others, dt * mu, old[i] + dt * lam * adm, rho[i])
                top[i] = mu
                shape[i], most_in[i], power[i] = spread, inside / r - c, expo
                rho[i] = x
                crowd[i] = others * x
                tail[i] = spread * crowd[i] / (spread * crowd[i] + 1.0 - crowd[i])
                y = min(x * mu, cap[i])
                q = max(old[i] + dt * (lam * adm - y), 0.0)
                if leaving > 0.0:
                    stay = mu * max(patience / leaving - max(response[i] - wait[i], 0.0), 0.0)
                    if q > stay:  # who is withdrawn waits no longer
                        q -= leaving / lam * (q - stay)
                if places[i] >= 0:
                    room = places[i] * r
                    u = lam * adm / mu
                    block = 0.0
                    if q > room:
                        block = (q - room) / max(dt * lam * adm, 1e-300)
                        q = room
                    if u < 1.0:
                        pw = u ** (expo - 1.0)
                        over = pw * (1.0 - u) * u ** places[i]
                        block = max(block, over / (1.0 - pw * u ** (places[i] + 1.0)))
                    adm *= max(1.0 - block, 0.0)
                    y = min(y, lam * adm + old[i] / dt)
                admitted[i] = adm
                queue[i] = q
                flow[i] = y
            # -- full pools push back ----------------------------------------------------------------------------
            for i in range(n):
                cap[i] = np.inf
                culprit[i] = i
            for position in range(n):
                j = order[position]
                if arrive[j] * admitted[j] <= 0.0 or bound[j] >= 1e9 or law[j] == 1:
                    continue
                room = max(bound[j] - servers[j] * node[j, N_REPLICAS], 0.0)
                keep = (min(top[j], cap[j]) * dt + max(room - old[j], 0.0)) / (arrive[j] * admitted[j] * dt)
                for p in range(in_ptr[j], in_ptr[j + 1]):
                    i = source[in_edge[p]]
                    if edge[in_edge[p], E_CALLS] <= 0.0 or i == j or law[i] == 1:
                        continue
                    allowed = max(flow[i] * keep, 1e-9)
                    if allowed < cap[i]:
                        cap[i] = allowed
                        if keep <= 1.001:
                            culprit[i] = culprit[j]
                queue[j] = min(queue[j], room)
            # -- processors of hosts -------------------------------------------------------------------------------
            for h in range(cpus.size):
                demand = 0.0
                for i in range(n):
                    if host[i] == h:
                        demand += flow[i] * node[i, N_CPU]
                u = demand / cpus[h]
                whole = max(math.floor(cpus[h]), 1.0)
                if u < 0.98:
                    goal = 1.0 + u ** (math.sqrt(2.0 * (whole + 1.0)) - 1.0) / (whole * (1.0 - u))
                    goal *= whole / cpus[h]
                    stretch[h] += 0.5 * (goal - stretch[h])
                else:
                    stretch[h] = min(stretch[h] * max(u / 0.98, 1.02), 1e6)
            # -- responses, callees first --------------------------------------------------------------------------
            for position in range(n):
                i = order[position]
                outside = 0.0
                outside_var = 0.0
                ok = 1.0
                for g in range(n_groups):
                    gone[g] = 0.0
                    sized[g] = 0.0
                grouped = False
                top_stage = -1
                left = 1.0  # share of the requests that have not failed before this call
                before = 1.0
                last = -1
                longest, slowest = 0.0, i
                more = max(node[i, N_REPLICAS] * servers[i] / max(full[i], 1e-12) - flow[i], 0.0)
                pool_full = node[i, N_BLOCKING] > 0.0 and bound[i] > 0.0
                slower, dragged, tight, tight_scv = 0.0, 0.0, 0.0, 0.0
                most_apart, apart, apart_share = 0.0, 0.0, 0.0
                for e in range(ptr[i], ptr[i + 1]):
                    if stage[e] != last:
                        before = left
                        last = stage[e]
                    reach[e] = 1.0
                    if sync[e]:
                        reach[e] = left if stage[e] < 0 else before
                    attempts[e] = 1.0
                    fail[e] = 0.0
                    spent[e] = 0.0
                    linger[e] = 1.0
                    if edge[e, E_CALLS] <= 0.0 or not sync[e]:
                        continue
                    j = target[e]
                    if open_until[e] > middle:
                        attempts[e] = 0.0
                        fail[e] = 1.0
                        mean = 0.0
                        total_var = 0.0
                    else:
                        mean = edge[e, E_LATENCY] + response[j]
                        var = variance[j]
                        bad = 1.0 - success[j]
                        if edge[e, E_TIMEOUT] < np.inf:
                            t = edge[e, E_TIMEOUT]
                            if slow_gap[j] > 0.0:
                                fast_mean, slow_mean, inner = _modes(mean, var, slow_share[j], slow_gap[j])
                                over, m1, m2 = _cut(fast_mean, inner, t)
                                over_2, first_2, second_2 = _cut(slow_mean, inner, t)
                                over += slow_share[j] * (over_2 - over)
                                m1 += slow_share[j] * (first_2 - m1)
                                m2 += slow_share[j] * (second_2 - m2)
                            else:
                                over, m1, m2 = _cut(mean, var, t)
                            bad = 1.0 - (1.0 - over) * (1.0 - bad)
                            if cancel[e] == 0 and m1 > 0.0:
                                linger[e] = max(mean / m1, 1.0)
                            mean = m1
                            var = max(m2 - m1 * m1, 0.0)
                        if turned[j] > 0.0:  # who is turned away has its answer at once
                            square = (1.0 - turned[j]) * (var + mean * mean)
                            mean = (1.0 - turned[j]) * mean + turned[j] * edge[e, E_LATENCY]
                            var = max(square + turned[j] * edge[e, E_LATENCY] ** 2 - mean * mean, 0.0)
                        tries = 1.0
                        if retries[e] > 0 and bad > 0.0:
                            tries = retries[e] + 1.0
                            if bad < 1.0:
                                tries = (1.0 - bad ** (retries[e] + 1)) / (1.0 - bad)
                            if edge[e, E_BUDGET] < np.inf:
                                tries = min(tries, 1.0 + edge[e, E_BUDGET])
                        attempts[e] = 0.5 * (tries + attempts[e]) if trip > 0 else tries
                        fail[e] = min(max(1.0 - (1.0 - bad) * tries, 0.0), 1.0)
                        total_var = tries * var + (tries - 1.0) * mean * mean
                        mean = tries * mean + (tries - 1.0) * edge[e, E_BACKOFF]
                    spent[e] = mean
                    calls = edge[e, E_CALLS]
                    whole = math.floor(calls)
                    part = calls - whole
                    if required[e] and fail[e] > 0.0:
                        if group[e] >= 0:
                            gone[group[e]] += calls * fail[e]
                            sized[group[e]] += calls
                            grouped = True
                        else:
                            fine = (1.0 - fail[e]) ** whole * (1.0 - part * fail[e])
                            ok *= fine
                            left *= fine
                    elif required[e] and group[e] >= 0:
                        sized[group[e]] += calls
                    if stage[e] >= 0:
                        top_stage = max(top_stage, stage[e])
                    elif j != i:
                        if reach[e] * calls * wait[j] > longest:
                            longest = reach[e] * calls * wait[j]
                            slowest = culprit[j]
                        share, gap = part, mean
                        if whole == 1.0 and part == 0.0:
                            share, gap = 1.0, 0.0
                        if slow_gap[j] > 0.0 and edge[e, E_TIMEOUT] == np.inf and calls <= 1.0:
                            # called and slow against the rest
                            p2 = calls * slow_share[j]
                            fast_mean, slow_mean, inner = _modes(mean, 0.0, slow_share[j], slow_gap[j])
                            gap2 = slow_mean - calls * (1.0 - slow_share[j]) * fast_mean / (1.0 - p2)
                            if p2 * (1.0 - p2) * gap2 * gap2 > share * (1.0 - share) * gap * gap:
                                share, gap = p2, gap2
                        if share * (1.0 - share) * gap * gap > most_apart:
                            most_apart = share * (1.0 - share) * gap * gap
                            apart, apart_share = gap, share
                        if law[j] != 1 and flow[j] > 0.0 and open_until[e] <= middle:
                            sent = calls * attempts[e] * reach[e]
                            if top[j] < np.inf and top[j] > 0.0:
                                dragged += sent * sent * (wait[j] / (top[j] * max(1.0 - crowd[j], 0.05)) + grow[j])
                            if pool_full:
                                # what the calls of a full pool wait more than those of a pool of mean use
                                extra = more * sent
                                late_by = grow[j] * extra
                                if top[j] < np.inf and top[j] > 0.0:
                                    part_busy = max(crowd[j] / max(rho[j], 1e-12), 0.02)
                                    there = min((flow[j] + extra) / top[j], 1.0 - 1e-9)
                                    line = _line(part_busy * there, power[j], most_in[j], shape[j], free[j])
                                    line *= node[j, N_REPLICAS] / part_busy
                                    late_by += max(line / (there * top[j]) - wait[j], 0.0)
                                    if there > tight:  # the callee that holds a full pool back sets its rhythm
                                        tight = there
                                        visits = min(max(sent, 0.1), 1.0)
                                        rest = (flow[j] + extra) / ((more + flow[i]) * sent) - 1.0
                                        rest = min(max(rest, 0.0), 4.0)
                                        tight_scv = (hold_scv[j] * (1.0 + rest) + rest + 1.0 - visits) / visits
                                slower += sent * late_by
                        outside += reach[e] * calls * mean
                        outside_var += reach[e] * (calls * total_var + part * (1.0 - part) * mean * mean)
                if grouped:
                    for g in range(n_groups):
                        if gone[g] > 0.0:
                            x = min(gone[g] / sized[g], 1.0)
                            whole = math.floor(sized[g] + 1e-9)
                            ok *= (1.0 - x) ** whole * (1.0 - max(sized[g] - whole, 0.0) * x)
                now = 0
                while now <= top_stage:
                    s_mean = 0.0
                    s_var = 0.0
                    for e in range(ptr[i], ptr[i + 1]):
                        if sync[e] and stage[e] == now and edge[e, E_CALLS] > 0.0:
                            per = max(1.0, edge[e, E_CALLS])
                            chance = min(1.0, edge[e, E_CALLS])
                            b_mean = per * spent[e] * chance
                            b_var = per * variance[target[e]] * chance + chance * (1.0 - chance) * spent[e] ** 2
                            s_mean, s_var = _larger(s_mean, s_var, b_mean, b_var)
                    outside += s_mean
                    outside_var += s_var
                    now += 1
                service = node[i, N_SERVICE] * slow[i]
                if host[i] >= 0:
                    service += node[i, N_CPU] * (stretch[host[i]] - 1.0)
                own_var = node[i, N_SCV] * service * service
                h = service + outside if node[i, N_BLOCKING] > 0.0 else service
                h_var = own_var + outside_var if node[i, N_BLOCKING] > 0.0 else own_var
                hold[i] = 0.5 * (hold[i] + h) if trip > 0 else h
                hold_scv[i] = h_var / (h * h)
                rhythm[i] = hold_scv[i]
                if node[i, N_BLOCKING] > 0.0 and tight_scv > hold_scv[i]:
                    rhythm[i] += tight**4 * (min(tight_scv, 5.0) - hold_scv[i])
                grow[i] = dragged
                goal = hold[i]
                if pool_full:
                    goal += slower
                full[i] = 0.5 * (full[i] + goal) if trip > 0 else goal
                full[i] = max(full[i], hold[i])
                if node[i, N_BLOCKING] > 0.0 and culprit[i] == i and longest > 0.3 * h:
                    culprit[i] = slowest  # its workers are held by the queue of a callee
                w = 0.0
                w_var = 0.0
                if law[i] != 1 and queue[i] > 0.0 and flow[i] > 0.0:
                    r, c = node[i, N_REPLICAS], servers[i]
                    w = queue[i] / flow[i]
                    theta = hold[i] / c
                    u = arrive[i] * admitted[i] / max(top[i], 1e-300)
                    pw = max(rho[i] ** (math.sqrt(2.0 * (c + 1.0)) - 1.0), 1e-6)
                    w_var = w * w * (2.0 / pw - 1.0)
                    if u > 1.0:  # a backlog that grows: diffusion around its mean (G. F. Newell, 1968)
                        w_var = min(w_var, (node[i, N_SCV_IN] + rhythm[i]) * w * theta * u * u / (u - 1.0))
                wait[i] = w
                wait_var[i] = w_var
                alive = 1.0
                if node[i, N_ROOM] <= bound[i] and node[i, N_ROOM] < np.inf and flow[i] > 0.0:
                    r = node[i, N_REPLICAS]
                    inside = (queue[i] + flow[i] * (service + outside)) / r
                    busy = flow[i] * (service + outside) / r
                    line, room = queue[i] / r, node[i, N_ROOM]
                    chance = _hits(room, busy, line, crowd[i], tail[i], servers[i], node[i, N_BLOCKING])
                    rate = arrive[i] / r * chance
                    if inside < node[i, N_ROOM]:
                        killed = min(rate * node[i, N_ROOM] / max(arrive[i] / r, 1e-300), 1.0)
                        off = rate * node[i, N_WARM_UP] / (1.0 + rate * node[i, N_WARM_UP])
                        if r > 1.0:
                            off = off**r
                        alive = (1.0 - off) * (1.0 - killed)
                success[i] = admitted[i] * ok * alive
                turned[i] = 1.0 - admitted[i] * alive
                response[i] = w + service + outside
                variance[i] = w_var + own_var + outside_var
                slow_share[i], slow_gap[i] = 0.0, 0.0
                if most_apart > 0.1 * variance[i]:
                    slow_share[i] = apart_share
                    slow_gap[i] = apart
                if admitted[i] <= 0.0:
                    response[i] = 0.0
                    variance[i] = 0.0
            moved = 0.0
            for i in range(n):
                now_at = response[i] + flow[i] * full[i]
                moved = max(moved, abs(now_at - settled[i]) / (now_at + 1e-9))
                settled[i] = now_at
            if moved < 1e-5 and trip > 0:
                break
        # -- after the step: kills, breakers, tokens -----------------------------------------------------------------
        for i in range(n):
            if node[i, N_LIMIT] < np.inf:
                tokens[i] += (node[i, N_LIMIT] - min(arrive[i], node[i, N_LIMIT] + tokens[i] / dt)) * dt
                tokens[i] = min(max(tokens[i], 0.0), max(node[i, N_LIMIT], 1.0))
            if node[i, N_ROOM] < np.inf and flow[i] > 0.0:
                inside = queue[i] + flow[i] * max(response[i] - wait[i], 0.0)
                if inside >= node[i, N_ROOM] * node[i, N_REPLICAS]:
                    queue[i] = 0.0
                    rho[i] = 0.0
                    success[i] = 0.0
                    down_until[i] = t1 + node[i, N_WARM_UP]
        for e in range(m):
            closed = edge[e, E_BREAK_SHARE] < np.inf and open_until[e] <= middle
            if closed and fail[e] >= edge[e, E_BREAK_SHARE] and flow[source[e]] > 0.0:
                open_until[e] = t1 + edge[e, E_BREAK_OPEN_S]
        # -- what the books and the rates of tipping need ------------------------------------------------------------
        for i in range(n):
            series[step, 2] += queue[i]
            service = node[i, N_SERVICE] * slow[i]
            if host[i] >= 0:
                service += node[i, N_CPU] * (stretch[host[i]] - 1.0)
            busy = rho[i] * hold[i] / max(full[i], 1e-300)
            state = states[step, i]
            state[S_ARRIVE] = arrive[i] * admitted[i]
            state[S_CAPACITY] = top[i] if top[i] < np.inf else 0.0
            state[S_WAIT], state[S_WAIT_VAR] = wait[i], wait_var[i]
            state[S_RESPONSE], state[S_VARIANCE], state[S_SUCCESS] = response[i], variance[i], success[i]
            state[S_HOLD], state[S_SPREAD], state[S_CROWD] = hold[i], plain[i], crowd[i]
            state[S_BUSY] = busy ** (power[i] - 1.0) if busy > 0.0 else 0.0
            state[S_MOST] = most_in[i] * node[i, N_REPLICAS]
            state[S_ADMITTED], state[S_CULPRIT], state[S_SERVICE] = admitted[i], culprit[i], service
            state[S_SLOW_SHARE], state[S_SLOW_GAP] = slow_share[i], slow_gap[i]
        for e in range(m):
            fails[step, e] = fail[e]
    for i in range(n):
        flow_end[i, 0], flow_end[i, 1], flow_end[i, 2], flow_end[i, 3] = flow[i], rho[i], wait[i], response[i]


@subroutine
def _hits(
    room: float, busy: float, queue: float, rho: float, tail: float, servers: float, blocking: float
) -> Any:
    """Chance that an arrival takes a replica over its memory limit: Poisson in service, geometric in line."""
    top = math.floor(room) - 1.0
    if top < 0.0:
        return 1.0
    if blocking > 0.0 and top > servers:
        # each kill begins again with nothing: the mean first passage of the line counts, not its stationary tail
        x = min(max(tail, 1e-9), 1.0 - 1e-6)
        levels = top - servers + 2.0
        if levels * -math.log(x) > 500.0:
            return 0.0
        up = (((1.0 / x) ** levels - 1.0) / (1.0 - x) - levels) * x / (1.0 - x)
        busy = min(max(rho, 1e-9) ** (math.sqrt(2.0 * (servers + 1.0)) - 1.0) / x, 1.0)
        return busy / max(up, levels)
    mean = busy + queue
    if mean <= 0.0:
        return 0.0
    return math.exp(top * math.log(mean) - mean - math.lgamma(top + 1.0)) if top < 1e6 else 0.0

