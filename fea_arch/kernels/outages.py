"""Flows and times after an outage in a network without feedback: only what the outage reaches is computed again.

Three passes along the topological order: up the calls for the shares that are answered, down for the flows, up again
for waits and responses. Each keeps a list of the components it has to look at, by position.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["sweep_outage"]


@subroutine
def _waiting(c: int, a: float) -> float:
    """Erlang's probability that all of ``c`` servers are busy at offered load ``a < c``."""
    if a <= 0.0:
        return 0.0
    step = 1.0 / a
    inverse = 1.0  # of the blocking probability: grows by sums and products alone, no division waits for another
    for k in range(1, c + 1):
        inverse = 1.0 + inverse * (k * step)
        if inverse > 1e300:
            return 0.0
    return 1.0 / (inverse - a / c * (inverse - 1.0))


@subroutine
def _series(amount: float, go: float) -> Any:
    """Expected calls made of ``amount`` in a row when each goes on with probability ``go``, and P(all go on)."""
    if go >= 1.0 - 1e-15:
        return amount, 1.0
    if amount < 1.0:
        return amount, 1.0 - amount + amount * go
    whole = math.floor(amount)
    part = amount - whole
    power = go**whole
    return (1.0 - power) / (1.0 - go) + part * power, power * (1.0 - part + part * go)


@kernel
def sweep_outage(
    gone: Any,
    severed: Any,
    order: Any,
    position: Any,
    call_ptr: Any,
    call_edge: Any,
    in_ptr: Any,
    in_edge: Any,
    source: Any,
    target: Any,
    calls: Any,
    sync: Any,
    latency: Any,
    required: Any,
    external: Any,
    entries: Any,
    own: Any,
    scv: Any,
    servers: Any,
    replicas: Any,
    blocking: Any,
    law: Any,
    arrival_scv: Any,
    population: Any,
    dead: Any,
    cut: Any,
    ok0: Any,
    arrivals0: Any,
    wait0: Any,
    response0: Any,
    variance0: Any,
    utilisation0: Any,
    edge_flow0: Any,
    ok: Any,
    arrivals: Any,
    response: Any,
    variance: Any,
    utilisation: Any,
    edge_flow: Any,
    mark: Any,
    touched: Any,
    used: Any,
    ranked: Any,
) -> Any:
    """Take components ``gone`` and edges ``severed`` away; all work arrays are restored before it returns.

    Parameters
    ----------
    gone, severed : (k,), (l,) int64
    entries : (n_entries,) int64
        Components with requests from outside.
    ok0 ... edge_flow0 : arrays
        The intact equilibrium; ``ok`` ... ``edge_flow`` start as copies of it and are given back as such.
    mark : (n,) int64
        Work array of zeros.
    touched, used : (n,), (n_edges,) int64
        Work arrays.
    ranked : (n,) int64
        Components by falling intact utilisation.

    Returns
    -------
    served : float
        Served share [1].
    mean : float
        Mean response of the answered requests [s].
    worst : int
    highest : float
        Component with the highest utilisation, the lowest number among equals, and that [1].
    full : int
        Component that is loaded beyond its capacity, or -1: the answer is not valid then.
    """
    n = order.size
    count = 0
    edges_used = 0
    top = -1
    for g in gone:
        dead[g] = True
        if mark[g] == 0:
            touched[count] = g
            count += 1
        mark[g] |= 7
        top = max(top, position[g])
    low = n
    for e in severed:
        cut[e] = True
        i = source[e]
        if mark[i] == 0:
            touched[count] = i
            count += 1
        mark[i] |= 7
        top = max(top, position[i])
    for k in range(count):
        low = min(low, position[touched[k]])
    # ---- up: shares that are answered -----------------------------------
    p = low
    while p <= top:
        i = order[p]
        p += 1
        if mark[i] & 1 == 0:
            continue
        reach = 0.0 if dead[i] else 1.0
        if not dead[i]:
            for q in range(call_ptr[i], call_ptr[i + 1]):
                e = call_edge[q]
                if sync[e] and calls[e] > 0.0:
                    good = 0.0 if cut[e] else ok[target[e]]
                    _, through = _series(calls[e], good if required[e] else 1.0)
                    reach *= through
        mark[i] |= 2
        if reach != ok[i]:
            ok[i] = reach
            for q in range(in_ptr[i], in_ptr[i + 1]):
                e = in_edge[q]
                j = source[e]
                if mark[j] == 0:
                    touched[count] = j
                    count += 1
                mark[j] |= 3
                top = max(top, position[j])
    # ---- down: flows ----------------------------------------------------
    full = -1
    p = top
    low = 0
    for k in range(count):
        p = max(p, position[touched[k]])
    start = n
    while p >= 0:
        i = order[p]
        p -= 1
        if mark[i] & 2 == 0:
            continue
        start = min(start, p + 1)
        total = external[i]
        for q in range(in_ptr[i], in_ptr[i + 1]):
            total += edge_flow[in_edge[q]]
        arrivals[i] = total
        mark[i] |= 4
        flow = 0.0 if dead[i] else total
        x = flow
        for q in range(call_ptr[i], call_ptr[i + 1]):
            e = call_edge[q]
            if not sync[e]:
                new = 0.0 if cut[e] else flow * calls[e]
            else:
                good = 0.0 if cut[e] else ok[target[e]]
                made, through = _series(calls[e], good if required[e] else 1.0)
                new = 0.0 if cut[e] else x * made
                x *= through
            if new != edge_flow[e]:
                edge_flow[e] = new
                used[edges_used] = e
                edges_used += 1
                j = target[e]
                if mark[j] == 0:
                    touched[count] = j
                    count += 1
                mark[j] |= 2
    # ---- up: waits, times, utilisation ----------------------------------
    p = start
    top = 0
    for k in range(count):
        top = max(top, position[touched[k]])
    while p <= top:
        i = order[p]
        p += 1
        if mark[i] & 4 == 0:
            continue
        if dead[i]:
            response[i] = variance[i] = utilisation[i] = 0.0
            mean = 0.0
        else:
            mean_out = 0.0
            var_out = 0.0
            busy_out = 0.0
            reach = 1.0
            for q in range(call_ptr[i], call_ptr[i + 1]):
                e = call_edge[q]
                if not sync[e] or cut[e] or calls[e] <= 0.0:
                    if blocking[i] and sync[e] and cut[e] and calls[e] > 0.0 and required[e]:
                        _, through = _series(calls[e], 0.0)
                        reach *= through
                    continue
                j = target[e]
                good = ok[j]
                one = good * (latency[e] + response[j])
                part = calls[e] - math.floor(calls[e])
                mean_out += calls[e] * one
                var_out += calls[e] * variance[j] + part * (1.0 - part) * one * one
                if blocking[i]:
                    made, through = _series(calls[e], good if required[e] else 1.0)
                    busy_out += reach * made * one
                    reach *= through
            s = own[i]
            h = s + (busy_out if blocking[i] else 0.0)
            own_var = scv[i] * s * s
            w = 0.0
            w_var = 0.0
            if law[i] != 1:
                cs2 = min((own_var + (var_out if blocking[i] else 0.0)) / (h * h), 4.0 + scv[i])
                r = replicas[i]
                c = servers[i]
                rho = arrivals[i] * h / (r * c)
                utilisation[i] = rho
                if rho >= 0.9995:
                    full = i
                    rho = 0.9995
                if arrivals[i] == arrivals0[i] and not blocking[i]:
                    w = wait0[i]
                    pw = -1.0
                else:
                    pw = _waiting(c, rho * c)
                finite = 1.0 - 1.0 / max(population[i] / r, 1.0) if population[i] < np.inf else 1.0
                if pw < 0.0:
                    pw = _waiting(c, rho * c) if w > 0.0 else 0.0
                ca2 = arrival_scv[i] if r == 1 else arrival_scv[i] / r
                factor = 0.5 * (ca2 + cs2)
                if ca2 < 1.0 and ca2 + cs2 > 0.0 and rho > 0.0:
                    factor *= math.exp(-2.0 * (1.0 - rho) * (1.0 - ca2) ** 2 / (3.0 * rho * (ca2 + cs2)))
                theta = h / (c * max(1.0 - rho * finite, 1e-12)) * factor
                w = pw * theta
                w_var = pw * (2.0 - pw) * theta * theta
            mean = w + h if blocking[i] and reach >= 1.0 - 1e-12 else w + s + mean_out
            new_var = w_var + own_var + var_out
            if mean == response[i] and new_var == variance[i]:
                continue
            variance[i] = new_var
            response[i] = mean
        for q in range(in_ptr[i], in_ptr[i + 1]):
            j = source[in_edge[q]]
            if sync[in_edge[q]]:
                if mark[j] == 0:
                    touched[count] = j
                    count += 1
                mark[j] |= 4
                top = max(top, position[j])
    # ---- answer ----------------------------------------------------------
    offered = 0.0
    served = 0.0
    time = 0.0
    for i in entries:
        offered += external[i]
        served += external[i] * ok[i]
        time += external[i] * ok[i] * response[i]
    worst = -1
    highest = 0.0
    for k in range(count):
        i = touched[k]
        if not dead[i] and (utilisation[i] > highest or (utilisation[i] == highest and i < worst)):
            worst, highest = i, utilisation[i]
    for i in ranked:
        if mark[i] == 0:
            if utilisation0[i] > highest or (utilisation0[i] == highest and i < worst):
                worst, highest = i, utilisation0[i]
            break
    # ---- restore -----------------------------------------------------------
    for k in range(count):
        i = touched[k]
        mark[i] = 0
        ok[i] = ok0[i]
        arrivals[i] = arrivals0[i]
        response[i] = response0[i]
        variance[i] = variance0[i]
        utilisation[i] = utilisation0[i]
    for k in range(edges_used):
        edge_flow[used[k]] = edge_flow0[used[k]]
    for g in gone:
        dead[g] = False
    for e in severed:
        cut[e] = False
    return served / offered, (time / served if served > 0.0 else np.nan), worst, highest, full
