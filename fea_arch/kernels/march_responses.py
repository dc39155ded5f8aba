"""Responses of the quasi-static march: times, variances, tries and chances of failure, callees before callers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.distributions import cut_gamma, cut_groups, expected_tries, larger, slow_and_fast
from fea_arch.kernels.march_tables import (
    E_BACKOFF,
    E_BUDGET,
    E_CALLS,
    E_LATENCY,
    E_TIMEOUT,
    N_BLOCKING,
    N_CPU,
    N_REPLICAS,
    N_ROOM,
    N_SCV,
    N_SCV_IN,
    N_SERVICE,
    N_WARM_UP,
)
from fea_arch.kernels.waiting_lines import hits_room, swing, waiting_line

__all__ = ["sweep_responses"]


@subroutine(inline=True)
def sweep_responses(net: Any, stations: Any, links: Any, work: Any, middle: float, trip: int) -> None:
    """Sweep the calls from callees to callers for the moments of the response times and what follows from them."""
    order, ptr, target, node, edge, sync, retries, cancel, stage, required, group, law, host = net
    (
        queue, wait, wait_var, hold, hold_scv, response, variance, success, arrive, flow, rho, admitted, culprit,
        slow, servers, crowd, tail, bound, top, rhythm, turned, slow_share, slow_gap, fast_var, slow_var, shape,
        most_in, power, grow, free, full, uncut, left_by, left_after, left_over,
    ) = stations  # fmt: skip
    attempts, fail, spent, reach, made, linger, open_until = links
    gone, sized, stretch = work
    n, n_groups = order.size, gone.size
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
        most_apart, apart, apart_share, apart_var = 0.0, 0.0, 0.0, 0.0
        swings = 0.0
        service = node[i, N_SERVICE] * slow[i]
        if host[i] >= 0:
            service += node[i, N_CPU] * (stretch[host[i]] - 1.0)
        own_var = node[i, N_SCV] * service * service
        patience = np.inf  # what is left of it when a request gets a worker
        if left_by[i] > 0.0:
            patience = max(left_after[i] - wait[i], left_over[i])
        for e in range(ptr[i], ptr[i + 1]):
            if stage[e] != last:
                before = left
                last = stage[e]
            reach[e] = 1.0
            if sync[e]:
                reach[e] = left if stage[e] < 0 else before
            made[e] = 1.0
            if patience < np.inf:  # some are withdrawn before they come to this call
                made[e] -= left_by[i] * cut_gamma(service + outside, own_var + outside_var, patience)[0]
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
                        over, m1, m2 = cut_groups(mean, fast_var[j], slow_var[j], slow_share[j], slow_gap[j], t)
                    else:
                        over, m1, m2 = cut_gamma(mean, var, t)
                    bad = 1.0 - (1.0 - over) * (1.0 - bad)
                    if cancel[e] == 0 and m1 > 0.0:
                        linger[e] = max(mean / m1, 1.0)
                    mean = m1
                    var = max(m2 - m1 * m1, 0.0)
                if turned[j] > 0.0:  # who is turned away has its answer at once
                    square = (1.0 - turned[j]) * (var + mean * mean)
                    mean = (1.0 - turned[j]) * mean + turned[j] * edge[e, E_LATENCY]
                    var = max(square + turned[j] * edge[e, E_LATENCY] ** 2 - mean * mean, 0.0)
                tries = expected_tries(bad, retries[e], edge[e, E_BUDGET])
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
                share, gap, more_var = reach[e] * part, mean, total_var
                if whole == 1.0 and part == 0.0:
                    share, gap = 1.0, 0.0
                if slow_gap[j] > 0.0 and edge[e, E_TIMEOUT] == np.inf and calls <= 1.0:
                    # called and slow against the rest
                    p2 = reach[e] * calls * slow_share[j]
                    fast_mean, slow_mean = slow_and_fast(mean, slow_share[j], slow_gap[j])
                    gap2 = slow_mean - calls * (1.0 - slow_share[j]) * fast_mean / (1.0 - p2)
                    if p2 * (1.0 - p2) * gap2 * gap2 > share * (1.0 - share) * gap * gap:
                        share, gap, more_var = p2, gap2, max(slow_var[j] - fast_var[j], 0.0)
                if share * (1.0 - share) * gap * gap > most_apart:
                    most_apart = share * (1.0 - share) * gap * gap
                    apart, apart_share, apart_var = gap, share, more_var
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
                            line = waiting_line(part_busy * there, power[j], most_in[j], shape[j], free[j])
                            line *= node[j, N_REPLICAS] / part_busy
                            late_by += max(line / (there * top[j]) - wait[j], 0.0)
                            if there > tight:  # the callee that holds a full pool back sets its rhythm
                                tight = there
                                visits = min(max(sent, 0.1), 1.0)
                                rest = (flow[j] + extra) / ((more + flow[i]) * sent) - 1.0
                                rest = min(max(rest, 0.0), 4.0)
                                tight_scv = (hold_scv[j] * (1.0 + rest) + rest + 1.0 - visits) / visits
                        slower += sent * late_by
                        if wait_var[j] > 0.0 and 0.0 < top[j] < np.inf and crowd[j] < 1.0:
                            swings += swing(
                                sent, wait_var[j], crowd[j], top[j], shape[j], flow[i], hold[i],
                                node[i, N_REPLICAS] * servers[i] / max(full[i], 1e-12),
                            )  # fmt: skip
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
                    s_mean, s_var = larger(s_mean, s_var, b_mean, b_var)
            outside += s_mean
            outside_var += s_var
            now += 1
        h = service + outside if node[i, N_BLOCKING] > 0.0 else service
        h_var = own_var + outside_var if node[i, N_BLOCKING] > 0.0 else own_var
        hold_scv[i] = h_var / (h * h)
        uncut[i] = 0.5 * (uncut[i] + h) if trip > 0 else h
        cut, settles = 1.0, np.inf
        if patience < np.inf:  # a withdrawn request gives its worker back
            if node[i, N_BLOCKING] > 0.0 and most_apart > 0.1 * h_var:
                least = max(h_var - most_apart - apart_share * apart_var, own_var)
                over, m1, m2 = cut_groups(h, least, least + apart_var, apart_share, apart, patience)
            else:
                over, m1, m2 = cut_gamma(h, h_var, patience)
            cut -= left_by[i] * (1.0 - m1 / h)
            # the wait swings about the one at which as much is begun as arrives (Ornstein and Uhlenbeck)
            settles = m2 / max(2.0 * servers[i] * over * left_by[i], 1e-300)
        hold[i] = 0.5 * (hold[i] + h * cut) if trip > 0 else h * cut
        rhythm[i] = hold_scv[i]
        if node[i, N_BLOCKING] > 0.0 and tight_scv > hold_scv[i]:
            rhythm[i] += tight**4 * (min(tight_scv, 5.0) - hold_scv[i])
        rhythm[i] += min(swings / (h * h), 5.0)
        grow[i] = dragged
        goal = hold[i]
        if pool_full:
            goal += slower * cut
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
            w_var = min(w_var, settles)
        wait[i] = w
        wait_var[i] = w_var
        alive = 1.0
        if node[i, N_ROOM] <= bound[i] and node[i, N_ROOM] < np.inf and flow[i] > 0.0:
            r = node[i, N_REPLICAS]
            inside = (queue[i] + flow[i] * (service + outside)) / r
            busy = flow[i] * (service + outside) / r
            line, room = queue[i] / r, node[i, N_ROOM]
            chance = hits_room(room, busy, line, crowd[i], tail[i], servers[i], node[i, N_BLOCKING])
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
            # what is left beside the difference of the groups and the variance of the call that sets them apart
            fast_var[i] = max(variance[i] - most_apart - apart_share * apart_var, w_var + own_var)
            slow_var[i] = fast_var[i] + apart_var
        if admitted[i] <= 0.0:
            response[i] = 0.0
            variance[i] = 0.0
