"""Flows of the quasi-static march: what arrives, what is admitted, what leaves, what full pools hold back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.march_tables import (
    E_CALLS,
    E_LATENCY,
    E_TIMEOUT,
    N_BLOCKING,
    N_CPU,
    N_LIMIT,
    N_REPLICAS,
    N_ROOM,
    N_SCV_IN,
)
from fea_arch.kernels.waiting_lines import begun_and_left, fill_line

__all__ = ["push_back", "stretch_hosts", "sweep_flows"]


@subroutine(inline=True)
def sweep_flows(net: Any, stations: Any, links: Any, ext: Any, factor: float, dt: float, middle: float) -> None:
    """Sweep the calls from callers to callees: arrivals, admission, lines and flows of a step of length ``dt``."""
    n = ext.size
    order, in_ptr, in_edge, source, node, edge, sync, cancel, stage, law, places = net
    (
        queue, old, arrive, flow, rho, admitted, up, cap, servers, tokens, crowd, tail, bound, top, hold, hold_scv,
        rhythm, calls_scv, outer, soft, plain, shape, most_in, power, free, full, uncut, left_by, left_after, left_over,
    ) = stations  # fmt: skip
    attempts, reach, made, linger, open_until = links
    ext_sum = 0.0
    for i in range(n):
        ext_sum += ext[i] * factor
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
                came = flow[j] * edge[e, E_CALLS] * attempts[e] * reach[e] * made[e]
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
        if lam > 1e-6 * ext_sum:  # else as it was: what is held back for a moment comes again
            left_by[i] = leaving / lam
            left_after[i] = patience / leaving if leaving > 0.0 else np.inf
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
        if leaving > 0.0 and mu * left_after[i] + r * c < inside:  # nobody waits longer
            inside, free[i] = mu * left_after[i] + r * c, 1.0 - left_by[i]
        if node[i, N_BLOCKING] > 0.0 and node[i, N_ROOM] * r < inside:
            inside, free[i] = node[i, N_ROOM] * r, 0.0
        x = fill_line(r, spread, expo, inside / r - c, free[i], others, dt * mu, old[i] + dt * lam * adm, rho[i])
        top[i] = mu
        shape[i], most_in[i], power[i] = spread, inside / r - c, expo
        rho[i] = x
        crowd[i] = others * x
        tail[i] = spread * crowd[i] / (spread * crowd[i] + 1.0 - crowd[i])
        y = min(x * mu, cap[i])
        q = max(old[i] + dt * (lam * adm - y), 0.0)
        if leaving > 0.0:
            left_over[i] = 0.0
            carried = r * c / (max(uncut[i], 1e-12) * lam * adm)
            if carried < 1.0:
                left_over[i] = begun_and_left(carried, left_by[i], uncut[i], hold_scv[i])
            stay = mu * max(left_after[i] - left_over[i], 0.0)
            if q > stay:  # who is withdrawn waits no longer
                q -= left_by[i] * (q - stay)
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


@subroutine(inline=True)
def push_back(net: Any, stations: Any, dt: float) -> None:
    """Let full pools cap the flow of their callers, and name the component that holds them."""
    order, in_ptr, in_edge, source, node, edge, law = net
    queue, old, arrive, flow, admitted, cap, servers, bound, top, culprit = stations
    n = order.size
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


@subroutine(inline=True)
def stretch_hosts(host: Any, cpus: Any, node: Any, flow: Any, stretch: Any) -> None:
    """Bring the stretch of each host nearer to that of processor sharing at the present demand."""
    n = flow.size
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
