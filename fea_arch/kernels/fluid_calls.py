"""Response times, time-outs and tries of the calls of the fluid model, renewed after each time step, callees first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.distributions import gamma_cdf

__all__ = ["STUCK", "cut_mixture", "renew_calls"]

STUCK = 1e9


@subroutine
def _cut(mean: Any, var: Any, limit: Any) -> Any:
    """``P(T > limit)`` and ``E[min(T, limit)]`` of the gamma distribution with these moments."""
    if var <= 1e-9 * mean * mean:
        return (1.0 if mean > limit else 0.0), min(mean, limit)
    shape = mean * mean / var
    x = limit * mean / var
    late = 1.0 - gamma_cdf(shape, x, 1e-12)
    return late, mean * gamma_cdf(shape + 1.0, x, 1e-12) + limit * late


@subroutine
def cut_mixture(mean: Any, var: Any, rare: Any, j: int, limit: Any) -> Any:
    """Like ``_cut`` where some requests take a detour: two gamma distributions, not one with their joint moments."""
    p, more, spread = rare[j, 0], rare[j, 1], rare[j, 2]
    usual = mean - p * more
    own = var - p * spread - p * (1.0 - p) * more * more
    if p <= 1e-9 or usual <= 0.0 or own <= 0.0:
        return _cut(mean, var, limit)
    late, below = _cut(usual, own, limit)
    slow, top = _cut(usual + more, own + spread, limit)
    return (1.0 - p) * late + p * slow, (1.0 - p) * below + p * top


@subroutine
def _advance_phases(i: int, out_ptr: Any, calls: Any, edge: Any, flow: Any) -> Any:
    """Move the content of the phases of component ``i`` on; return what it holds in them [req]."""
    rate, weight, wait, content, phase, sync = calls[0], calls[2], calls[3], calls[4], calls[5], calls[6]
    inside = 0.0
    e = out_ptr[i]
    end = out_ptr[i + 1]
    while e < end:
        head = e
        time = 0.0
        while e < end and phase[e] == phase[head]:
            if sync[e]:
                time += weight[e] * rate[e] * wait[e]
            e += 1
        if time > 1e-12:
            reach = edge[2, head] + edge[3, head] * flow
            content[head] = content[head] * edge[4, head] + reach * time * (1.0 - edge[4, head])
        inside += content[head]
    return inside


@subroutine
def renew_calls(
    net: Any, station: Any, calls: Any, state: Any, contract: Any, spread: Any, scv: Any, crush: Any, edge: Any,
    answer: Any,
) -> Any:  # fmt: skip
    """Renew everything that a step takes as given.

    Parameters
    ----------
    net, station, calls, state : tuples of arrays
        As for :func:`fea_arch.kernels.fluid.advance`.
    contract : tuple of (n_edges,) arrays
        Target, calls, latency [s], time-out [s], retries, backoff [s], budget, required.
    spread : (n,) float64
        Variance of the numbers inside [req^2].
    scv : (n,) float64
        Variability of services [1].
    crush : (n,) float64
        Requests inside at which a component runs out of memory; inf without a limit.
    edge : (6, n_edges) float64
        As left by the step.
    answer : tuple of arrays
        Renewed: tries of each call, response time and its variance, share answered, the detour that adds most to the
        variance (its probability, time and variance, (n, 3)), service time of each component.

    Returns
    -------
    moved : float
        Largest relative change of a time or number of tries that matters for the next step.
    broken : int
        Component that ran out of memory, or -1.
    """
    order, out_ptr = net[0], net[3]
    rest, cpu, host, up = station[3], station[4], station[5], station[10]
    rate, held, weight, wait, sync, passed = calls[0], calls[1], calls[2], calls[3], calls[6], calls[7]
    number, flow, admitted, stretch = state[1], state[2], state[4], state[8]
    target, per_request, latency, timeout, retries, backoff, budget, required = contract
    attempts, response, variance, success, rare, service = answer
    broken = -1
    moved = 0.0
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        y = flow[i]
        now = number[i]
        s = rest[i]
        if host[i] >= 0:
            s += cpu[i] * stretch[host[i]]
        service[i] = s
        inside = _advance_phases(i, out_ptr, calls, edge, y)
        if crush[i] < np.inf and up[i] > 0.0 and now + inside >= crush[i] and (broken < 0 or i < broken):
            broken = i
        heavy = 1.0 if now > 1.5 * s * y + 0.5 else 0.2
        stay = STUCK if now > 1e-6 else s
        if y > 1e-6:
            per = 1.0 / y
            stay = max(now * per, s)
            noise = (spread[i] - now) * per * per
        else:
            if y > 1e-12:
                stay = max(now / y, s)
            noise = (spread[i] - now) / max(y * y, 1e-12)
        total = min(stay, STUCK)
        # first come, first served: Var N = y^2 Var R + y R (distributional form of Little's law)
        total_var = min(max(noise, scv[i] * s * s), 1e18)
        good = admitted[i]
        widest = 0.0
        seldom = 0.0
        more = 0.0
        apart = 0.0
        for e in range(out_ptr[i], out_ptr[i + 1]):
            each = per_request[e]
            if not sync[e]:
                rate[e] = each * attempts[e]
                continue
            j = target[e]
            mean = latency[e] + response[j]
            var = variance[j]
            lost = 1.0 - success[j]
            if timeout[e] == timeout[e]:
                late, mean = cut_mixture(mean, var, rare, j, timeout[e])
                var = min(var, mean * mean)
                lost = 1.0 - (1.0 - late) * (1.0 - lost)
            tries = 1.0
            if retries[e] > 0 and lost > 0.0:
                tries = float(retries[e] + 1) if lost >= 1.0 else (1.0 - lost ** (retries[e] + 1)) / (1.0 - lost)
                if budget[e] == budget[e]:
                    tries = min(tries, 1.0 + budget[e])
            moved = max(moved, abs(tries - attempts[e]))
            attempts[e] = tries
            rate[e] = each * tries
            time = mean
            if tries != 1.0:
                time += (tries - 1.0) / tries * backoff[e]
            if wait[e] > 0.0:
                change = abs(time - wait[e]) * (heavy if held[e] else 0.2)
                if change > moved * max(time, wait[e]):
                    moved = change / max(time, wait[e])
            wait[e] = time
            part = each - math.floor(each)
            once = weight[e] * tries * time
            total += each * once
            total_var += weight[e] * rate[e] * var + part * (1.0 - part) * once * once
            # the detour with the largest variance: this call, where not every request makes it, or that of the callee
            width = part * (1.0 - part) * once * once
            if width > widest:
                widest = width
                seldom = part
                more = once
                apart = weight[e] * (tries * var)
            p = each * rare[j, 0]
            longer = weight[e] * rare[j, 1]
            width = p * (1.0 - p) * longer * longer
            if p < 1.0 and width > widest:
                widest = width
                seldom = p
                more = longer
                apart = weight[e] * rare[j, 2]
            if required[e]:
                fail = max(0.0, 1.0 - (1.0 - lost) * tries)
                passed[e] = (1.0 - fail) ** each if fail > 0.0 else 1.0
                good *= passed[e]
        rare[i, 0] = seldom
        rare[i, 1] = more
        rare[i, 2] = apart
        response[i] = min(total, STUCK)
        variance[i] = min(total_var, 1e18)
        success[i] = good
    return moved, broken
