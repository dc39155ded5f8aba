"""How much bounded worker pools of the callers shorten the wait at a callee.

Requests held by blocked callers stop new ones from coming: with ``n`` requests at the callee, a pool of ``m`` workers
of which ``b`` are needed elsewhere sends at its full rate while ``n <= m - b`` and ever slower beyond. The base rate
is raised until the throughput is the given one again, so the correction moves waiting from the callee to the callers'
queues and loses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["finite_source"]

_LONGEST = 4000


@subroutine
def _means(
    lam: float, theta: float, hold: float, c: int, r: int, rest: float, share: Any, pool: Any, busy: Any, m: int
) -> Any:
    """Throughput and mean number of the chain with thinned arrivals."""
    total = 1.0
    mean = 0.0
    flow = 0.0
    weight = 1.0
    n = 0
    while n < _LONGEST:
        g = rest
        for k in range(m):
            free = (pool[k] - share[k] * n * r) / busy[k]
            if free > 0.0:
                g += share[k] * min(1.0, free)
        rate = theta * lam * g
        flow += weight * rate
        if rate <= 0.0:
            break
        n += 1
        weight *= rate * hold / min(n, c)
        total += weight
        mean += n * weight
        if weight < 1e-13 * total and n > c:
            break
        if total > 1e250:
            total *= 1e-250
            mean *= 1e-250
            flow *= 1e-250
            weight *= 1e-250
    return flow / total, mean / total


@kernel(work=lambda in_ptr, in_edge, *rest: 60.0 * in_edge.size)
def finite_source(
    in_ptr: Any,
    in_edge: Any,
    source: Any,
    calls: Any,
    sync: Any,
    attempts: Any,
    arrivals: Any,
    admitted: Any,
    servers: Any,
    replicas: Any,
    blocking: Any,
    plain: Any,
    hold: Any,
    wait: Any,
    response: Any,
    scale: Any,
) -> float:
    """Update the factor on the open-model wait of every callee; return the largest change [1].

    Parameters
    ----------
    in_ptr, in_edge : (n + 1,), (n_edges,) int64
        In-edges of each component as edge numbers.
    source, calls, sync, attempts : (n_edges,)
        Caller, calls per request, whether it waits, tries per call.
    arrivals, admitted, servers, replicas, blocking, hold, wait, response : (n,)
        State of each component.
    plain : (n,) bool
        Components to which the correction applies (M/M/c without bounded queue).
    scale : (n,) float64
        Factor, updated in place.
    """
    worst = 0.0
    share = np.empty(256)
    pool = np.empty(256)
    busy = np.empty(256)
    for j in range(servers.size):
        lam = arrivals[j] / replicas[j]
        if not plain[j] or lam <= 0.0 or wait[j] <= 1e-9 * hold[j]:
            continue
        c = servers[j]
        rho = lam * hold[j] / c
        if rho >= 1.0 - 1e-9:
            continue
        rest = 1.0
        m = 0
        tight = False
        inside = lam * (hold[j] + wait[j]) * replicas[j]
        for p in range(in_ptr[j], in_ptr[j + 1]):
            e = in_edge[p]
            i = source[e]
            if not sync[e] or not blocking[i] or i == j or m >= 256:
                continue
            part = arrivals[i] * admitted[i] * calls[e] * attempts[e] / arrivals[j]
            if part <= 1e-9:
                continue
            share[m] = part
            pool[m] = servers[i] * replicas[i]
            need = arrivals[i] * admitted[i] * hold[i] - arrivals[j] * part * response[j]
            busy[m] = max(need, 1e-9 * pool[m])
            if pool[m] - busy[m] < part * (inside + 8.0 * np.sqrt(inside + inside * inside)) + 1.0:
                tight = True
            rest -= part
            m += 1
        factor = 1.0
        if m > 0 and tight:
            rest = max(rest, 0.0)
            if rest < 1e-9:
                rest = 0.0
            theta = 1.0
            number = 0.0
            done = False
            for _ in range(60):
                flow, number = _means(lam, theta, hold[j], c, replicas[j], rest, share, pool, busy, m)
                if abs(flow - lam) <= 1e-9 * lam:
                    done = True
                    break
                theta *= min(max(lam / flow, 0.5), 2.0)
                if theta > 1e6:  # every worker of the callers is here: the longest queue there can be
                    done = True
                    break
            if done:
                bare = _means(lam, 1.0, hold[j], c, replicas[j], 1.0, share, pool, busy, 0)[1]
                open_wait = bare - lam * hold[j]
                if open_wait > 1e-12 * bare:
                    factor = min(1.0, max(0.0, (number - lam * hold[j]) / open_wait))
        step = 0.5 * (factor - scale[j])
        scale[j] += step
        if abs(step) > worst:
            worst = abs(step)
    return worst
