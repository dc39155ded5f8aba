"""Many outages side by side in a network without feedback: one pass over components and calls serves all of them.

The lanes, one per outage, are the fastest axis, so that indices, branches and what is constant along the lanes are
looked at once, and the arithmetic fills vector registers. Components are numbered in topological order, callees first,
and each one's calls follow each other. What no lane reaches keeps the values of the intact equilibrium.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel
from fea_arch.kernels.outage_lanes import (
    add_call,
    all_answered,
    calls_made,
    copy,
    fill,
    hold_call,
    hold_calls,
    inverse_blocking,
    leave,
    note_highest,
    scale,
    set_some,
    wait_for_a_server,
)

__all__ = ["sweep_outages"]


@kernel
def sweep_outages(
    lane: Any, gone: Any, severed_lane: Any, severed: Any,
    ptr: Any, source: Any, target: Any,
    calls: Any, whole: Any, latency: Any, sync: Any, required: Any, made0: Any, through0: Any,
    external: Any, entries: Any, own: Any, scv: Any, servers: Any, capacity: Any, finite: Any, arrival_scv: Any,
    delay: Any, blocking: Any, number: Any, ranked: Any,
    ok0: Any, arrivals0: Any, response0: Any, variance0: Any, utilisation0: Any, wait0: Any, wait_var0: Any,
    ok: Any, arrivals: Any, response: Any, variance: Any,
    new_ok: Any, new_arrivals: Any, new_time: Any, new_load: Any, begun: Any, hit: Any, cut: Any, work: Any,
    served: Any, mean: Any, worst: Any, highest: Any, full: Any,
) -> None:  # fmt: skip
    """Take component ``gone[k]`` away in lane ``lane[k]``, and edge ``severed[k]`` in ``severed_lane[k]``.

    Parameters
    ----------
    lane, gone : (k,) int64
    severed_lane, severed : (l,) int64
    ptr, source, target : arrays
        Edges of each caller in the order of its calls.
    whole : (n_edges,) int64
        Whole calls of ``calls``; ``made0`` and ``through0`` are the calls made and P(all go on) in the intact network.
    capacity : (n,) float64
        Servers of all replicas; ``finite`` is the share of the load that an arrival sees in a finite population [1],
        ``arrival_scv`` the squared variation between arrivals at one replica.
    number, ranked : (n,) int64
        Component numbers outside, which decide between equals; components by falling intact utilisation.
    ok0 ... wait_var0 : arrays
        The intact equilibrium, with the mean [s] and variance [s2] of the waits in it.
    ok, arrivals, response, variance : (n, lanes) float64
        Work arrays; a row whose mark ``new_...`` is zero is that of the intact equilibrium.
    new_ok, new_arrivals, new_time, new_load, begun, hit : (n,) uint8
        Work arrays, with ``cut`` of shape (n_edges,); marks of what some lane reaches.
    work : (15, lanes) float64
    served, mean, highest : (lanes,) float64
        Results: served share [1], mean response of what is answered [s], highest utilisation [1].
    worst, full : (lanes,) int64
        Results: component of the highest utilisation or -1, and whether one is loaded beyond its capacity: the lane is
        not valid then.
    """
    n = external.size
    lanes = served.size
    x, flow, leaving, good, made, through, time, var, busy, reach, rho, hold, factor, wait, spread = (
        work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7], work[8], work[9], work[10], work[11],
        work[12], work[13], work[14],
    )  # fmt: skip
    step, inverse = x, flow
    for k in range(gone.size):
        hit[gone[k]] = 1
    for k in range(severed.size):
        cut[severed[k]] = 1
        hit[source[severed[k]]] = 1
    # ---- up: shares that are answered -----------------------------------
    for i in range(n):
        need = hit[i]
        for e in range(ptr[i], ptr[i + 1]):
            if sync[e] and required[e]:
                need |= new_ok[target[e]]
        row = ok[i]
        if need:
            fill(row, 1.0)
            for e in range(ptr[i], ptr[i + 1]):
                if not sync[e] or not required[e]:
                    continue
                if new_ok[target[e]] or cut[e]:
                    answered = ok[target[e]]
                    if cut[e]:
                        copy(good, answered)
                        set_some(good, 0.0, e, severed, severed_lane)
                        answered = good
                    all_answered(answered, whole[e], calls[e] - whole[e], made, through, row)
                else:
                    scale(row, through0[e])
            if hit[i]:
                set_some(row, 0.0, i, gone, lane)
        elif new_ok[i]:
            fill(row, ok0[i])
        new_ok[i] = need
    # ---- down: which flows are new, then the flows ------------------------
    for i in range(n):
        begun[i] = new_arrivals[i]  # rows that an earlier batch left
        new_arrivals[i] = 0
    for i in range(n - 1, -1, -1):
        moved = new_arrivals[i] > 0 or hit[i] > 0
        goes_on = moved  # or not, in another share of the requests
        for e in range(ptr[i], ptr[i + 1]):
            if sync[e] and required[e] and new_ok[target[e]] > 0:
                goes_on = True
            if moved or (sync[e] and goes_on):
                new_arrivals[target[e]] = 1
    for i in range(n):
        if new_arrivals[i]:
            begun[i] = 0
        elif begun[i]:
            fill(arrivals[i], arrivals0[i])
    for i in range(n - 1, -1, -1):
        need = hit[i] & 0
        for e in range(ptr[i], ptr[i + 1]):
            need |= new_arrivals[target[e]]
        row = arrivals[i]
        if new_arrivals[i] and not begun[i]:
            fill(row, external[i])
        if not need:
            continue
        copy(flow, row)
        if hit[i]:
            set_some(flow, 0.0, i, gone, lane)
        copy(x, flow)
        for e in range(ptr[i], ptr[i + 1]):
            j = target[e]
            if not sync[e]:
                for b in range(lanes):
                    leaving[b] = flow[b] * calls[e]
            elif required[e] and (new_ok[j] or cut[e]):
                answered = ok[j]
                if cut[e]:
                    copy(good, answered)
                    set_some(good, 0.0, e, severed, severed_lane)
                    answered = good
                leave(answered, whole[e], calls[e] - whole[e], made, through, x, leaving)
            else:
                for b in range(lanes):
                    leaving[b] = x[b] * made0[e]
                scale(x, through0[e])
            if not new_arrivals[j]:
                continue
            if cut[e]:
                set_some(leaving, 0.0, e, severed, severed_lane)
            row = arrivals[j]
            if begun[j]:
                for b in range(lanes):
                    row[b] += leaving[b]
            else:
                begun[j] = 1
                for b in range(lanes):
                    row[b] = external[j] + leaving[b]
    # ---- up: waits, times, utilisation ----------------------------------
    for b in range(lanes):
        worst[b] = -1
    fill(highest, 0.0)
    for i in range(n):
        need = new_arrivals[i] | hit[i]
        for e in range(ptr[i], ptr[i + 1]):
            if sync[e] and calls[e] > 0.0:
                need |= new_ok[target[e]] | new_time[target[e]]
        if not need:
            if new_time[i]:
                fill(response[i], response0[i])
                fill(variance[i], variance0[i])
            new_time[i] = new_load[i] = 0
            continue
        new_time[i] = 1
        queue = not delay[i]
        block = blocking[i]
        fill(time, 0.0)
        fill(var, 0.0)
        if block:
            fill(busy, 0.0)
            fill(reach, 1.0)
        for e in range(ptr[i], ptr[i + 1]):
            if not sync[e] or calls[e] <= 0.0:
                continue
            j = target[e]
            answered = ok[j]
            if cut[e]:
                copy(good, answered)
                set_some(good, 0.0, e, severed, severed_lane)
                answered = good
                copy(spread, var)
            if block:
                if required[e] and (new_ok[j] or cut[e]):
                    calls_made(answered, whole[e], calls[e] - whole[e], made, through)
                    hold_call(latency[e], answered, response[j], reach, made, busy)
                    for b in range(lanes):
                        reach[b] *= through[b]
                else:
                    hold_calls(latency[e], answered, response[j], reach, made0[e], through0[e], busy)
            part = calls[e] - whole[e]
            add_call(calls[e], part * (1.0 - part), latency[e], answered, response[j], variance[j], time, var)
            if cut[e]:  # a call that is not made does not vary
                for k in range(severed.size):
                    if severed[k] == e:
                        var[severed_lane[k]] = spread[severed_lane[k]]
        s = own[i]
        own_var = scv[i] * s * s
        if block:
            for b in range(lanes):
                hold[b] = s + busy[b]
            fill(wait, 0.0)
        else:
            fill(hold, s)
        new_load[i] = queue and (block or new_arrivals[i] or hit[i])
        if new_load[i]:
            row = arrivals[i]
            share = 1.0 / capacity[i]
            for b in range(lanes):
                rho[b] = row[b] * hold[b] * share
            if hit[i]:
                set_some(rho, 0.0, i, gone, lane)
            note_highest(rho, number[i], highest, worst)
            if block or new_arrivals[i]:
                for b in range(lanes):
                    rho[b] = min(rho[b], 0.9995)
                most = 4.0 + scv[i]
                ca2 = arrival_scv[i]
                fill(factor, 0.5 * (ca2 + min(own_var / (s * s), most)))
                if block:
                    for b in range(lanes):
                        factor[b] = 0.5 * (ca2 + min((own_var + var[b]) / (hold[b] * hold[b]), most))
                if ca2 < 1.0:
                    for b in range(lanes):
                        if factor[b] > 0.0 and rho[b] > 0.0:
                            factor[b] *= math.exp((rho[b] - 1.0) * (1.0 - ca2) ** 2 / (3.0 * rho[b] * factor[b]))
                inverse_blocking(servers[i], rho, step, inverse)
                wait_for_a_server(inverse, rho, hold, factor, servers[i], finite[i], wait, spread)
        row, uncertain = response[i], variance[i]
        if queue and (block or new_arrivals[i]):
            for b in range(lanes):
                row[b] = wait[b] + s + time[b]
                uncertain[b] = spread[b] + own_var + var[b]
        else:
            for b in range(lanes):
                row[b] = wait0[i] + s + time[b]
                uncertain[b] = wait_var0[i] + own_var + var[b]
        if block:
            for b in range(lanes):
                row[b] = wait[b] + hold[b] if reach[b] >= 1.0 - 1e-12 else row[b]
        if hit[i]:
            set_some(row, 0.0, i, gone, lane)
            set_some(uncertain, 0.0, i, gone, lane)
    for b in range(lanes):
        full[b] = highest[b] >= 0.9995
    # ---- answer ----------------------------------------------------------
    for i in ranked:
        if new_load[i] or hit[i]:
            continue
        for b in range(lanes):
            if utilisation0[i] > highest[b] or (utilisation0[i] == highest[b] and number[i] < worst[b]):
                highest[b] = utilisation0[i]
                worst[b] = number[i]
        break
    offered = 0.0
    fill(x, 0.0)
    fill(time, 0.0)
    for i in entries:
        offered += external[i]
        for b in range(lanes):
            x[b] += external[i] * ok[i, b]
            time[b] += external[i] * ok[i, b] * response[i, b]
    for b in range(lanes):
        served[b] = x[b] / offered
        mean[b] = time[b] / x[b] if x[b] > 0.0 else np.nan
    for k in range(gone.size):
        hit[gone[k]] = 0
    for k in range(severed.size):
        cut[severed[k]] = 0
        hit[source[severed[k]]] = 0
