"""Steady flows of a network above capacity: what is answered, what fails, what piles up.

Two sweeps alternate. Down: every component passes on what it has served, call after call; a request that fails or hangs
at its first call never makes the second. Up: times, capacities and the shares that are answered, rejected, timed out,
lost or stuck in a queue that grows. The wait of a full station is an unknown of its own: it rises while more arrives
than leaves, up to the horizon, and rests where callers with bounded pools throttle themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.kernels.distributions import larger

__all__ = ["OK", "REJECTED", "TIMED_OUT", "LOST", "STUCK", "settle"]  # noqa: RUF022

#: Columns of the outcome table.
OK, REJECTED, TIMED_OUT, LOST, STUCK = 0, 1, 2, 3, 4


@subroutine
def _below(mean: float, variance: float, t: float, raised: float) -> float:
    """P(T < t) of the gamma distribution with these moments and ``raised`` added to its shape (DLMF 8.11, 8.9)."""
    if t <= 0.0 or mean <= 0.0 or variance <= 1e-9 * mean * mean:
        return 1.0 if t > 0.0 and mean <= t else 0.0
    shape = mean * mean / variance + raised
    x = t * mean / variance
    if shape > 2.0e4:
        z = ((x / shape) ** (1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        total = term = 1.0 / shape
        k = shape
        while term > total * 1e-14:
            k += 1.0
            term *= x / k
            total += term
        return min(1.0, front * total)
    b = x + 1.0 - shape  # Lentz's continued fraction of the upper tail
    c = 1e300
    d = 1.0 / b
    h = d
    for k in range(1, 5000):
        a = -k * (k - shape)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        h *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return max(0.0, 1.0 - front * h)


@subroutine
def _waiting(c: int, a: float) -> float:
    """Erlang's probability that all of ``c`` servers are busy at offered load ``a < c``."""
    if c > 20000:
        return 0.0
    b = 1.0
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
        if b < 1e-300:
            return 0.0
    return b / (1.0 - a / c * (1.0 - b))


@subroutine
def _chain(lam: float, rates: Any, first: int, c: int, scale: float, places: int) -> Any:
    """Mean residence, share of full states and blocking probability of a birth-death chain."""
    total = weight = 1.0
    mean = 0.0
    for n in range(1, c + max(places, 0) + 1):
        weight *= lam / (rates[first + min(n, c) - 1] * scale)
        total += weight
        mean += n * weight
        if total > 1e250:
            total, mean, weight = total * 1e-250, mean * 1e-250, weight * 1e-250
    block = weight / total if places >= 0 else 0.0
    if places < 0:
        x = min(lam / (rates[first + c - 1] * scale), 0.999)
        total += weight * x / (1.0 - x)
        mean += c * weight * x / (1.0 - x) + weight * x / (1.0 - x) ** 2
    return mean / total / (lam * max(1.0 - block, 1e-300)), block


@subroutine(inline=True)
def _series(amount: float, go: float) -> Any:
    """Expected calls made of ``amount`` in a row when each goes on with probability ``go``, and P(all go on)."""
    if go >= 1.0 - 1e-15:
        return amount, 1.0
    whole = math.floor(amount)
    part = amount - whole
    power = go**whole
    return (1.0 - power) / (1.0 - go) + part * power, power * (1.0 - part + part * go)


@subroutine(inline=True)
def _edge(
    e: int, j: int, latency: Any, timeout: Any, retries: Any, backoff: Any, budget: Any, cancel: Any, cut: Any,
    outcome: Any, response: Any, variance: Any, full: Any, tries: Any, per: Any, edge_time: Any, edge_var: Any,
) -> None:  # fmt: skip
    """Outcome of one call with its retries: shares, attempts, time and variance."""
    if cut[e]:
        tries[e] = edge_time[e] = edge_var[e] = 0.0
        per[e, :] = 0.0
        per[e, 1] = 1.0
        return
    t = timeout[e]
    if outcome[j, 0] == 1.0 and t != t:  # nothing goes wrong: the common case
        per[e, :] = 0.0
        tries[e] = per[e, 0] = 1.0
        edge_time[e] = latency[e] + response[j]
        edge_var[e] = variance[j]
        return
    good, rejected, late = outcome[j, 0], outcome[j, 1], outcome[j, 2]
    lost, stuck = outcome[j, 3], outcome[j, 4]
    mean = latency[e] + response[j]
    var = variance[j]
    if t == t:
        if cancel[e] and full[j]:  # those that are served were in time: the others are withdrawn
            m1 = min(mean, t)
            p = 0.0
        else:
            p = 1.0 - _below(mean, var, t, 0.0)
            m1 = mean * _below(mean, var, t, 1.0) + t * p
            if var > 0.0 and p > 0.0:
                m2 = (mean * mean + var) * _below(mean, var, t, 2.0) + t * t * p
                var = max(m2 - m1 * m1, 0.0)
        one = good * m1 + late * min(mean, t) + stuck * t
        late += good * p + stuck
        good *= 1.0 - p
        stuck = 0.0
    else:
        one = (good + late + stuck) * mean
    failed = rejected + late + lost
    a = 1.0
    if retries[e] > 0 and failed > 0.0:
        a = float(retries[e] + 1) if failed >= 1.0 else (1.0 - failed ** (retries[e] + 1)) / (1.0 - failed)
        if budget[e] == budget[e]:
            a = min(a, 1.0 + budget[e])
    tries[e] = a
    per[e, 0] = good * a
    per[e, 4] = stuck * a
    left = max(1.0 - (good + stuck) * a, 0.0)
    scale = left / failed if failed > 0.0 else 0.0
    per[e, 1] = rejected * scale
    per[e, 2] = late * scale
    per[e, 3] = lost * scale
    edge_time[e] = a * one + (a - 1.0) * backoff[e]
    edge_var[e] = a * var + (a - 1.0) * one * one


@subroutine(inline=True)
def _book(here: Any, per: Any, e: int, calls: float, required: bool) -> float:
    """Add the failures of one call, optional ones only if it hangs; return the chance to go on."""
    here[4] += calls * per[e, 4]
    for k in range(1, 4):
        here[k] += calls * per[e, k] if required else 0.0
    return float(per[e, 0]) if required else float(per[e, 0] + per[e, 1] + per[e, 2] + per[e, 3])


@kernel
def settle(
    order: Any, call_ptr: Any, call_edge: Any, in_ptr: Any, in_edge: Any, target: Any, calls: Any, sync: Any,
    latency: Any, timeout: Any, retries: Any, backoff: Any, budget: Any, stage: Any, required: Any, cancel: Any,
    cut: Any, group: Any, external: Any, own: Any, scv: Any, cpu: Any, host: Any, cpus: Any, servers: Any,
    replicas: Any, pooled: Any, blocking: Any, places: Any, law: Any, rate_first: Any, rates: Any, rate_limit: Any,
    arrival_scv: Any, dead: Any, population: Any, patience: Any, horizon: float, fluid: Any, gain: Any, passed: Any,
    stretch: Any, arrivals: Any, served: Any, wait: Any, hold: Any, response: Any, variance: Any, outcome: Any,
    utilisation: Any, growth: Any, full: Any, edge_flow: Any, tries: Any, per: Any, edge_time: Any, edge_var: Any,
    tol: float, max_sweeps: int,
) -> Any:  # fmt: skip
    """Alternate sweeps until nothing moves; see :mod:`fea_arch.solvers.overload` for the arrays.

    Returns
    -------
    int, float
        Sweeps, and the largest relative change in the last one [1].
    """
    n = order.size
    change = np.inf
    host_load = np.zeros(cpus.size)
    host_ratio = np.ones(cpus.size)
    made_of = np.zeros(target.size)  # calls made per request that the caller has served
    lost, here = np.zeros(5), np.zeros(5)  # shares of failed requests by outcome, of all calls and of those at hand
    for sweep in range(1, max_sweeps + 1):
        change = 0.0
        damp = 1.0 if sweep < 12 else (0.6 if sweep < 100 else (0.3 if sweep < 400 else 0.1))
        # ---- up: times and outcomes, callees first ----------------------
        for k in range(n):
            i = order[k]
            s = own[i] + (cpu[i] * (stretch[host[i]] - 1.0) if host[i] >= 0 else 0.0)
            reach = 1.0
            mean_out = var_out = busy_out = 0.0
            lost[:] = 0.0
            last = -1
            p = call_ptr[i]
            while p < call_ptr[i + 1]:
                e, stop = call_edge[p], p + 1
                g = group[e]
                while g >= 0 and stop < call_ptr[i + 1] and group[call_edge[stop]] == g:
                    stop += 1
                amount = go = t_mean = t_var = 0.0
                here[:] = 0.0
                for m in range(p, stop):
                    b = call_edge[m]
                    _edge(
                        b, target[b], latency, timeout, retries, backoff, budget, cancel, cut, outcome, response,
                        variance, full, tries, per, edge_time, edge_var,
                    )  # fmt: skip
                    amount += calls[b]
                    go += calls[b] * _book(here, per, b, calls[b], required[b])
                    t_mean += calls[b] * edge_time[b]
                    t_var += calls[b] * edge_var[b]
                    made_of[b] = calls[b]
                first, p = p, stop
                if not sync[e] or amount <= 0.0:
                    continue
                if stage[e] >= 0:
                    last = max(last, stage[e])
                    continue
                part = amount - math.floor(amount)
                made, through = _series(amount, min(go / amount, 1.0))
                mean_out += t_mean
                var_out += t_var + part * (1.0 - part) * (t_mean / amount) ** 2
                busy_out += reach * made * t_mean / amount
                for m in range(first, stop):
                    made_of[call_edge[m]] *= reach * made / amount
                for m in range(1, 5):
                    lost[m] += reach * made / amount * here[m]
                reach *= through
            for now in range(last + 1):
                s_mean = s_var = 0.0
                through = 1.0
                here[:] = 0.0
                for q in range(call_ptr[i], call_ptr[i + 1]):
                    b = call_edge[q]
                    if not sync[b] or stage[b] != now or calls[b] <= 0.0:
                        continue
                    made_of[b] = reach * calls[b]
                    through *= min(_book(here, per, b, calls[b], required[b]), 1.0) ** calls[b]
                    share = min(calls[b], 1.0)
                    v1 = calls[b] * edge_var[b] + share * (1.0 - share) * edge_time[b] ** 2
                    s_mean, s_var = larger(s_mean, s_var, calls[b] * edge_time[b], v1)
                mean_out += s_mean
                var_out += s_var
                busy_out += reach * s_mean
                if here.sum() > 0.0:
                    weight = reach * (1.0 - through) / here.sum()
                    for m in range(1, 5):
                        lost[m] += weight * here[m]
                reach *= through
            # ---- own station --------------------------------------------
            lam = arrivals[i]
            if dead[i]:
                outcome[i, :] = 0.0
                outcome[i, 3] = 1.0
                served[i] = wait[i] = response[i] = variance[i] = utilisation[i] = growth[i] = 0.0
                hold[i], full[i] = s, False
                continue
            admit = rate_limit[i] / lam if lam > rate_limit[i] else 1.0
            a = lam * admit
            h = s + (min(busy_out, horizon) if blocking[i] else 0.0)
            own_var = scv[i] * s * s
            spread = own_var + (var_out if blocking[i] else 0.0)
            cs2 = min(spread / (h * h) if h < horizon else 1.0, 4.0 + scv[i])
            hold[i] = h
            c, r = servers[i], replicas[i]
            if pooled[i] and law[i] == 0 and places[i] < 0:  # others have tables of one replica: they stay apart
                c, r = c * r, 1
            block = w = w_var = 0.0
            share, growth[i], full[i] = 1.0, 0.0, False
            if law[i] == 1:
                utilisation[i] = 0.0
                if host[i] >= 0 and host_ratio[host[i]] > 1.0 + 1e-9 and cpu[i] > 0.0:
                    share = 1.0 / host_ratio[host[i]]
                    growth[i] = a * (1.0 - share)
            elif law[i] == 2 or places[i] >= 0:
                scale = s / h * own[i] / s if law[i] == 2 else own[i] / h
                top = rates[rate_first[i] + c - 1] * scale * r
                utilisation[i] = a / top
                if a > 0.0:
                    residence, block = _chain(a / r, rates, rate_first[i], c, scale, places[i])
                    w = max(residence - h, 0.0) * (1.0 if law[i] == 2 else 0.5 * (1.0 + cs2))
                    w_var = w * w
                if places[i] < 0:
                    ratio, base = a / top, w + h
                    step = min(max(gain[i] * math.log(max(ratio, 1e-12)), -2.0), 2.0)
                    fluid[i] = min(max((fluid[i] + base) * math.exp(step) - base, 0.0), horizon)
                    gain[i] = min(gain[i] * 2.0, 1e4) if ratio > 1.0 else max(0.5 * gain[i], 0.25)
                    w += fluid[i]
                    if ratio > 1.0 + 1e-9 and fluid[i] >= horizon:
                        share, growth[i], full[i] = 1.0 / ratio, a - top, True
                utilisation[i] = min(utilisation[i], 1.0) if places[i] < 0 else utilisation[i] * (1.0 - block)
            else:
                ratio = a * h / (r * c)
                rho = min(ratio, 0.9995)
                finite = 1.0 - 1.0 / max(population[i] / r, 1.0) if population[i] < np.inf else 1.0
                pw = _waiting(c, rho * c)
                ca2 = arrival_scv[i] if pooled[i] or r == 1 else arrival_scv[i] / r
                factor = 0.5 * (ca2 + cs2)
                if ca2 < 1.0 and ca2 + cs2 > 0.0 and rho > 0.0:
                    factor *= math.exp(-2.0 * (1.0 - rho) * (1.0 - ca2) ** 2 / (3.0 * rho * (ca2 + cs2)))
                theta = h / (c * max(1.0 - rho * finite, 1e-12)) * factor
                w = pw * theta
                w_var = pw * (2.0 - pw) * theta * theta
                limit = min(horizon, patience[i])
                if ratio > 1.0 or fluid[i] > 0.0:
                    up = ratio > 1.0
                    gain[i] *= 1.6 if (gain[i] > 0.0) == up else -0.4
                    size = min(max(abs(gain[i]), 0.3), 1e8)  # so that 1e-7 above capacity grows as well
                    gain[i] = size if up else -size
                    step = min(max(size * math.log(max(ratio, 1e-12)), -2.5), 2.5)
                    base = w + h
                    new = min(max((fluid[i] + base) * math.exp(step) - base, 0.0), limit)
                    change = max(change, abs(new - fluid[i]) / (new + base))
                    fluid[i], w = new, w + new
                    if new > 0.0 and new < limit:
                        w_var += new * h / (c * r)
                    if ratio > 1.0 + 1e-9:
                        share = 1.0 / ratio
                        full[i] = new >= limit
                        growth[i] = a * (1.0 - share) if full[i] and limit >= horizon else 0.0
                else:
                    gain[i] = 1.0
                utilisation[i] = min(ratio, 1.0)
            share = passed[i] + damp * (share - passed[i])
            share = 1.0 if share > 1.0 - 1e-9 else share
            w = wait[i] + damp * (w - wait[i])
            change = max(change, abs(share - passed[i]), abs(w - wait[i]) / (w + h))
            passed[i], wait[i] = share, w
            # who is answered has made every call, also where the mean request has not
            value = w + h if blocking[i] and reach >= 1.0 - 1e-12 else w + s + mean_out
            response[i] = min(value, 2.0 * horizon)
            variance[i] = w_var + own_var + var_out
            good = admit * (1.0 - block) * share
            served[i] = lam * good
            withdrawn = full[i] and growth[i] <= 0.0  # at their time-outs; the others wait for ever
            outcome[i, 0] = good * reach
            outcome[i, 1:] = good * lost[1:]
            outcome[i, 1] += 1.0 - admit + admit * block
            outcome[i, 2 if withdrawn else 4] += admit * (1.0 - block) * (1.0 - share)
        # ---- hosts ------------------------------------------------------
        if cpus.size:
            host_load[:] = 0.0
            for i in range(n):
                if host[i] >= 0 and not dead[i]:
                    host_load[host[i]] += arrivals[i] * min(1.0, served[i] / max(arrivals[i], 1e-300)) * cpu[i]
            for m in range(cpus.size):
                host_ratio[m] = ratio = host_load[m] / cpus[m]
                whole = max(math.floor(cpus[m]), 1)
                load = min(ratio, 0.999) * whole
                calm = (1.0 + _waiting(whole, load) / (whole * (1.0 - load / whole))) * whole / cpus[m]
                new = calm
                if ratio > 0.999 or stretch[m] > calm:
                    push = ratio if ratio > 0.999 else ratio / 0.999
                    new = max(calm, stretch[m] * min(max(push, 0.5), 2.0))
                new = min(stretch[m] + damp * (new - stretch[m]), 1e9)
                change = max(change, abs(new - stretch[m]) / new)
                stretch[m] = new
        # ---- down: flows, callers first ---------------------------------
        for k in range(n - 1, -1, -1):
            i = order[k]
            total = external[i]
            for q in range(in_ptr[i], in_ptr[i + 1]):
                total += edge_flow[in_edge[q]]
            before = arrivals[i]
            if before > 0.0:
                change = max(change, abs(total - before) / max(total, before))
            elif total > 0.0:
                change = np.inf
            arrivals[i] = total
            flow = 0.0 if dead[i] else (served[i] / before * total if before > 0.0 else total)
            if flow > 0.0 and places[i] < 0 and law[i] == 0:
                flow = min(flow, servers[i] * replicas[i] / hold[i])
            for q in range(call_ptr[i], call_ptr[i + 1]):
                b = call_edge[q]
                edge_flow[b] = flow * made_of[b] * tries[b]
        if change <= tol:
            return sweep, change
    return max_sweeps, change
