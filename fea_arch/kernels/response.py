"""Response times by one sweep over the call graph, callees before callers.

For component ``i``: ``R_i = W_i + S_i + sum_j P_ij (l_ij + R_j)`` over synchronous calls, stages in parallel. A
blocking component holds a server for ``H_i``, the whole of that but the wait; its wait is that of ``M/G/c`` with ``H``
for ``S`` (theory, section 3). Means and variances travel together; time-outs and parallel stages use the gamma
distribution of the same two moments.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.kernels.distributions import gamma_cdf, longest_moments
from fea_arch.kernels.erlang import waiting_probability

__all__ = ["sweep_response"]

#: Utilisation that counts as full.
_FULL = 1.0 - 1e-9


@subroutine
def _langenbach_belz(rho: float, ca2: float, cs2: float) -> float:
    """Factor on the M/M/c wait for general times (Allen-Cunneen with the Kraemer and Langenbach-Belz correction)."""
    factor = (ca2 + cs2) / 2.0
    if ca2 < 1.0 and factor > 0.0:
        factor *= math.exp(-2.0 * (1.0 - rho) * (1.0 - ca2) ** 2 / (3.0 * rho * (ca2 + cs2) + 1e-300))
    return factor


@subroutine
def _times_scale(rho: float, r: float, ca2: float, cs2: float) -> Any:
    """Wait of Erlang-r arrivals over the one with exponential times: up to E[S^(r+1)] / (r+1)! of light traffic."""
    light = 1.0
    for k in range(1, int(min(r, 1000.0)) + 1):
        light *= (1.0 + k * cs2) / (1.0 + k)
    scale = (ca2 + cs2) / (ca2 + 1.0)
    power = 2.0 * (1.0 - rho) * (1.0 - ca2) ** 2 / (3.0 * rho) * (1.0 / (ca2 + 1.0) - 1.0 / (ca2 + cs2 + 1e-300))
    if power > 50.0:
        return light
    scale *= math.exp(max(power, -700.0))
    return min(scale, light) if cs2 > 1.0 else max(scale, light)


@subroutine
def _chain(lam: float, rates: Any, first: int, c: int, scale: float, places: int) -> Any:
    """Stationary birth-death chain: mean wait, P(arrival finds all c busy), blocking, mean in flight."""
    total = 1.0
    mean = 0.0
    weight = 1.0
    busy = 0.0
    for n in range(1, c + 1):
        weight *= lam / (rates[first + n - 1] * scale)
        total += weight
        mean += n * weight
        if n == c:
            busy += weight
        if total > 1e250:
            total *= 1e-250
            mean *= 1e-250
            weight *= 1e-250
            busy *= 1e-250
    top = rates[first + c - 1] * scale
    x = lam / top
    if places < 0:
        if x >= 1.0:
            return np.inf, 1.0, 0.0, np.inf
        # geometric tail: n = c + k, weight x^k
        tail = weight * x / (1.0 - x)
        total += tail
        mean += c * tail + weight * x / (1.0 - x) ** 2
        busy += tail
        block = 0.0
    else:
        w = weight
        for k in range(1, places + 1):
            w *= x
            total += w
            mean += (c + k) * w
            busy += w
            if total > 1e250:
                total *= 1e-250
                mean *= 1e-250
                w *= 1e-250
                busy *= 1e-250
        block = w / total
    if lam <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    return mean / total / (lam * (1.0 - block)), busy / total, block, mean / total


@subroutine
def _short_queue(replicas: int, servers: int, rho: float) -> float:
    """Share of the gap between pooled and separate queues that joining the shortest queue leaves open.

    Fitted to event simulations with 2-8 replicas of 1-4 servers at 30-90 % load; it leaves the mean response of such
    a group within 5 %.
    """
    return float(0.21 * replicas**-0.6 * servers**-0.65 * (1.0 - rho**5) * rho ** (0.25 * (replicas - 2)))


@kernel(
    work=lambda order, *rest: 300.0 * order.size,
    writes=(
        "hold", "hold_scv", "wait", "open_wait", "response", "variance", "success", "admitted", "utilisation",
        "edge_time", "edge_attempts", "edge_fail",
    ),
)  # fmt: skip
def sweep_response(
    order: Any,
    start: Any,
    ptr: Any,
    target: Any,
    calls: Any,
    sync: Any,
    latency: Any,
    timeout: Any,
    retries: Any,
    backoff: Any,
    budget: Any,
    stage: Any,
    required: Any,
    arrivals: Any,
    service: Any,
    scv: Any,
    servers: Any,
    replicas: Any,
    spread: Any,
    blocking: Any,
    places: Any,
    law: Any,
    rate_first: Any,
    rates: Any,
    arrival_scv: Any,
    wait_fixed: Any,
    admit_limit: Any,
    hold: Any,
    hold_scv: Any,
    wait: Any,
    open_wait: Any,
    response: Any,
    variance: Any,
    success: Any,
    admitted: Any,
    utilisation: Any,
    edge_time: Any,
    edge_attempts: Any,
    edge_fail: Any,
    tol: float,
) -> Any:
    """Sweep the graph once; see :mod:`fea_arch.solvers.statics` for the meaning of each array.

    Returns
    -------
    unstable : int
        First component (callees first) that is loaded beyond its capacity, or -1.
    change : float
        Largest relative change left in a cycle of synchronous calls [1].
    """
    b_mean = np.empty(64)
    b_var = np.empty(64)
    b_share = np.empty(64)
    left = 0.0
    unstable = -1
    for component in range(len(start) - 1):
        a, b = start[component], start[component + 1]
        rounds = 1 if b - a == 1 else 5000
        earlier = unstable
        change = 0.0
        for trip in range(rounds):
            change = 0.0
            if trip > 0:
                unstable = earlier
            for position in range(a, b):
                i = order[position]
                # -- calls -------------------------------------------------
                outside = 0.0
                outside_var = 0.0
                good = 1.0
                self_ratio = 0.0
                self_extra = 0.0
                last_stage = -1
                done_stage = -2
                for e in range(ptr[i], ptr[i + 1]):
                    edge_attempts[e] = 1.0
                    edge_time[e] = 0.0
                    edge_fail[e] = 0.0
                    j = target[e]
                    if not sync[e]:
                        continue
                    mean = latency[e] + response[j]
                    var = variance[j]
                    lost = 1.0 - success[j]
                    if timeout[e] == timeout[e]:
                        t = timeout[e]
                        if var <= 1e-12 * mean * mean:
                            p = 1.0 if mean > t else 0.0
                            m1 = min(mean, t)
                            m2 = m1 * m1
                        else:
                            k = mean * mean / var
                            x = t * mean / var
                            p = 1.0 - gamma_cdf(k, x)
                            m1 = mean * gamma_cdf(k + 1.0, x) + t * p
                            m2 = (mean * mean + var) * gamma_cdf(k + 2.0, x) + t * t * p
                        lost = 1.0 - (1.0 - p) * (1.0 - lost)
                        mean = m1
                        var = max(m2 - m1 * m1, 0.0)
                    attempts = 1.0
                    if retries[e] > 0 and lost > 0.0:
                        attempts = (
                            float(retries[e] + 1) if lost >= 1.0 else (1.0 - lost ** (retries[e] + 1)) / (1.0 - lost)
                        )
                        if budget[e] == budget[e]:
                            attempts = min(attempts, 1.0 + budget[e])
                    edge_attempts[e] = attempts
                    edge_fail[e] = max(0.0, 1.0 - (1.0 - lost) * attempts)
                    total = attempts * mean + (attempts - 1.0) * backoff[e]
                    # variance of a geometric-like number of tries
                    total_var = attempts * var + max(attempts - 1.0, 0.0) * mean * mean
                    edge_time[e] = total
                    if required[e]:
                        good *= (1.0 - edge_fail[e]) ** calls[e]
                    if stage[e] >= 0:
                        last_stage = max(last_stage, stage[e])
                        continue
                    if j == i:
                        self_ratio += calls[e] * attempts
                        self_extra += calls[e] * (total - attempts * response[i])
                        continue
                    whole = math.floor(calls[e])
                    part = calls[e] - whole
                    outside += calls[e] * total
                    outside_var += calls[e] * total_var + part * (1.0 - part) * total * total
                # -- parallel stages ---------------------------------------
                while last_stage >= 0:
                    now = last_stage + 1
                    for e in range(ptr[i], ptr[i + 1]):
                        if sync[e] and stage[e] > done_stage and stage[e] < now and stage[e] >= 0:
                            now = stage[e]
                    if now > last_stage:
                        break
                    m = 0
                    for e in range(ptr[i], ptr[i + 1]):
                        if sync[e] and stage[e] == now and m < 64 and calls[e] > 0.0:
                            j = target[e]
                            per = max(1.0, calls[e])
                            b_share[m] = min(1.0, calls[e])
                            b_mean[m] = per * edge_time[e]
                            b_var[m] = per * (
                                variance[j] if timeout[e] != timeout[e] else min(variance[j], edge_time[e] ** 2)
                            )
                            m += 1
                    s_mean, s_var = longest_moments(b_mean, b_var, b_share, m)
                    outside += s_mean
                    outside_var += s_var
                    done_stage = now
                # -- own station -------------------------------------------
                own_var = scv[i] * service[i] * service[i]
                if blocking[i]:
                    h = service[i] + outside + self_extra
                    h_var = own_var + outside_var
                    if self_ratio > 0.0:
                        h += self_ratio * response[i]
                else:
                    h = service[i]
                    h_var = own_var
                hold[i] = h
                cs2 = h_var / (h * h) if h > 0.0 else 0.0
                hold_scv[i] = cs2
                lam = arrivals[i] * admit_limit[i]
                c = servers[i]
                r = replicas[i]
                w = 0.0
                bare = 0.0
                w_var = 0.0
                block = 0.0
                if admit_limit[i] <= 0.0 or law[i] == 1:
                    utilisation[i] = 0.0
                elif law[i] == 2 or places[i] >= 0:
                    scale = service[i] / h if h > 0.0 else 1.0
                    r_mean, busy, block, _ = _chain(lam / r, rates, rate_first[i], c, scale, places[i])
                    top = rates[rate_first[i] + c - 1] * scale
                    utilisation[i] = lam / r * (1.0 - block) / top
                    if not r_mean < np.inf:
                        if unstable < 0:
                            unstable = i
                        r_mean = h / (1.0 - _FULL)
                    if law[i] != 2:  # the chain is the exponential case: scale the wait by the variability
                        extra = max(r_mean - h, 0.0) * (1.0 + cs2) / 2.0
                        w = extra
                    else:  # softening shows as longer service: keep the service, put the rest into the wait
                        w = max(r_mean - h, 0.0)
                    w_var = w * w * (2.0 / busy - 1.0) if busy > 1e-12 else 0.0
                else:
                    if spread[i] == 2:  # least outstanding: between the pool and the separate queues
                        c = c * r
                        r = 1
                    load = lam / r * h
                    rho = load / c
                    utilisation[i] = rho
                    if rho >= _FULL:  # go on: bounded pools of callers may still bring it back below
                        if unstable < 0 and wait_fixed[i] != wait_fixed[i]:
                            unstable = i
                        rho = _FULL
                        load = rho * c
                    pw = waiting_probability(c, load)
                    theta = h / (c * (1.0 - rho))
                    ca2 = arrival_scv[i]
                    if spread[i] == 0 and r > 1:  # round robin thins the arrivals to one in r
                        ca2 = ca2 / r
                    factor = _langenbach_belz(rho, ca2, cs2)
                    if spread[i] == 0 and r > 1 and c == 1 and arrival_scv[i] == 1.0 and 0.0 < rho < _FULL:
                        # Erlang-r arrivals at one server: exact for exponential times, scaled for others
                        root = rho
                        for _ in range(2000):
                            new = (rho * r / (rho * r + 1.0 - root)) ** r
                            done = abs(new - root) <= 1e-15
                            root = new
                            if done:
                                break
                        factor = root * (1.0 - rho) / ((1.0 - root) * rho) * _times_scale(rho, r, ca2, cs2)
                    if spread[i] == 2 and replicas[i] > 1:
                        # joining the shortest queue cannot jockey: some wait while another replica idles
                        n_r = replicas[i]
                        separate = waiting_probability(servers[i], load / n_r) * h / (servers[i] * (1.0 - rho))
                        pooled = pw * theta
                        factor *= (
                            1.0 + (separate / pooled - 1.0) * _short_queue(n_r, servers[i], rho)
                            if pooled > 0.0
                            else 1.0
                        )
                    theta *= factor
                    w = pw * theta
                    bare = w
                    w_var = pw * (2.0 - pw) * theta * theta
                    if wait_fixed[i] == wait_fixed[i]:  # bounded pools decide: keep the shape, take their mean
                        w = wait_fixed[i]
                        busy = min(max(pw, 0.02), 1.0)
                        w_var = w * w * (2.0 / busy - 1.0)
                wait[i] = w
                open_wait[i] = bare
                admitted[i] = admit_limit[i] * (1.0 - block)
                success[i] = admitted[i] * good
                value = w + h if blocking[i] else w + h + outside + self_extra
                if self_ratio > 0.0 and not blocking[i]:
                    if self_ratio >= 1.0:
                        return i, 0.0
                    value = (w + h + outside + self_extra) / (1.0 - self_ratio)
                if admit_limit[i] <= 0.0:
                    value = 0.0
                    w_var = 0.0
                    h_var = 0.0
                    outside_var = 0.0
                step = abs(value - response[i])
                if value > 0.0 and step / value > change:
                    change = step / value
                response[i] = value
                variance[i] = w_var + (h_var if blocking[i] else h_var + outside_var)
                if not value < 1e12:
                    return i, 0.0
            if change <= tol or (rounds == 1):
                break
        if b - a > 1 and change > left:
            left = change
    return unstable, left
