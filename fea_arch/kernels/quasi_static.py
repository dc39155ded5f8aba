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
from fea_arch.kernels.march_flows import push_back, stretch_hosts, sweep_flows
from fea_arch.kernels.march_responses import sweep_responses
from fea_arch.kernels.march_tables import (
    E_BREAK_OPEN_S,
    E_BREAK_SHARE,
    N_CPU,
    N_LIMIT,
    N_REPLICAS,
    N_ROOM,
    N_SCV,
    N_SERVERS,
    N_SERVICE,
    N_WARM_UP,
    S_ADMITTED,
    S_ARRIVE,
    S_BUSY,
    S_CAPACITY,
    S_CROWD,
    S_CULPRIT,
    S_FAST_VAR,
    S_HOLD,
    S_MOST,
    S_RESPONSE,
    S_SERVICE,
    S_SLOW_GAP,
    S_SLOW_SHARE,
    S_SLOW_VAR,
    S_SPREAD,
    S_SUCCESS,
    S_VARIANCE,
    S_WAIT,
    S_WAIT_VAR,
)

__all__ = ["march"]

#: Relative change in a step below which a march under a constant load has come to rest.
_STILL = 1e-5


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
    states : (t, n, 19) float64
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
    fast_var, slow_var = np.zeros(n), np.zeros(n)
    # of the line at a station: spread, the most that can wait, exponent; and how much its callees slow it down [s^2]
    shape, most_in, power, grow, free = np.ones(n), np.zeros(n), np.ones(n), np.zeros(n), np.zeros(n)
    full = node[:, N_SERVICE].copy()  # hold time of a worker while all workers of its pool are busy
    # calls that are withdrawn: their share, after how long, what is left for the work; hold time without; calls made
    left_by, left_after, left_over = np.zeros(n), np.full(n, np.inf), np.zeros(n)
    uncut, made = node[:, N_SERVICE].copy(), np.ones(m)
    for i in range(n):
        if node[i, N_LIMIT] < np.inf:
            tokens[i] = max(node[i, N_LIMIT], 1.0)
    flow_net = (order, in_ptr, in_edge, source, node, edge, sync, cancel, stage, law, places)
    flow_stations = (
        queue, old, arrive, flow, rho, admitted, up, cap, servers, tokens, crowd, tail, bound, top, hold, hold_scv,
        rhythm, calls_scv, outer, soft, plain, shape, most_in, power, free, full, uncut, left_by, left_after, left_over,
    )  # fmt: skip
    flow_links = (attempts, reach, made, linger, open_until)
    push_net = (order, in_ptr, in_edge, source, node, edge, law)
    push_stations = (queue, old, arrive, flow, admitted, cap, servers, bound, top, culprit)
    response_net = (order, ptr, target, node, edge, sync, retries, cancel, stage, required, group, law, host)
    response_stations = (
        queue, wait, wait_var, hold, hold_scv, response, variance, success, arrive, flow, rho, admitted, culprit,
        slow, servers, crowd, tail, bound, top, rhythm, turned, slow_share, slow_gap, fast_var, slow_var, shape,
        most_in, power, grow, free, full, uncut, left_by, left_after, left_over,
    )  # fmt: skip
    response_links = (attempts, fail, spent, reach, made, linger, open_until)
    response_work = (gone, sized, stretch)
    first, still, middle, factor = True, False, times[0], 0.0
    for step in range(1, times.size):
        t0, t1 = times[step - 1], times[step]
        dt = t1 - t0
        if dt <= 0.0:
            continue
        middle_before, factor_before = middle, factor
        middle = 0.5 * (t0 + t1)
        factor = _factor(knot, value, middle)
        if still and factor == factor_before and not (int(kick[1]) == step and kick[0] >= 0.0):
            for o in range(out_who.size):
                was = out_time[o, 0] <= middle_before < out_time[o, 1]
                if was != (out_time[o, 0] <= middle < out_time[o, 1]):
                    still = False
            if still:  # nothing moved in the last step, and nothing pushes it now
                states[step] = states[step - 1]
                fails[step] = fails[step - 1]
                series[step, 2] = series[step - 1, 2]
                continue
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
            sweep_flows(flow_net, flow_stations, flow_links, ext, factor, dt, middle)
            push_back(push_net, push_stations, dt)
            stretch_hosts(host, cpus, node, flow, stretch)
            sweep_responses(response_net, response_stations, response_links, response_work, middle, trip)
            moved = 0.0
            for i in range(n):
                now_at = response[i] + flow[i] * full[i]
                moved = max(moved, abs(now_at - settled[i]) / (now_at + 1e-9))
                settled[i] = now_at
            if moved < 1e-5 and trip > 0:
                break
        still = moved < _STILL
        for i in range(n):
            still = still and abs(queue[i] - old[i]) <= _STILL * (queue[i] + flow[i] * full[i])
            still = still and down_until[i] <= t0
        for e in range(m):
            still = still and open_until[e] <= t0
        # -- after the step: kills, breakers, tokens -----------------------------------------------------------------
        for i in range(n):
            if node[i, N_LIMIT] < np.inf:
                before = tokens[i]
                tokens[i] += (node[i, N_LIMIT] - min(arrive[i], node[i, N_LIMIT] + tokens[i] / dt)) * dt
                tokens[i] = min(max(tokens[i], 0.0), max(node[i, N_LIMIT], 1.0))
                still = still and abs(tokens[i] - before) <= _STILL * before
            if node[i, N_ROOM] < np.inf and flow[i] > 0.0:
                inside = queue[i] + flow[i] * max(response[i] - wait[i], 0.0)
                if inside >= node[i, N_ROOM] * node[i, N_REPLICAS]:
                    queue[i] = 0.0
                    rho[i] = 0.0
                    success[i] = 0.0
                    down_until[i] = t1 + node[i, N_WARM_UP]
                    still = False
        for e in range(m):
            closed = edge[e, E_BREAK_SHARE] < np.inf and open_until[e] <= middle
            if closed and fail[e] >= edge[e, E_BREAK_SHARE] and flow[source[e]] > 0.0:
                open_until[e] = t1 + edge[e, E_BREAK_OPEN_S]
                still = False
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
            state[S_FAST_VAR], state[S_SLOW_VAR] = fast_var[i], slow_var[i]
        for e in range(m):
            fails[step, e] = fail[e]
    for i in range(n):
        flow_end[i, 0], flow_end[i, 1], flow_end[i, 2], flow_end[i, 3] = flow[i], rho[i], wait[i], response[i]

