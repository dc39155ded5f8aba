"""A time step of the fluid model where nothing feeds back: one pass along the calls, and one back.

Without cycles of calls and shared processors a sweep is the answer, so both stages of a node are done when its callers
are, and what the step renews of a node is done when its callees are. Nodes and calls lie in the order of the pass, all
about one of them in one row, and callers add their requests to their callees: memory is walked once each way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.fluid_calls import STUCK, cut_mixture

# isort: off
from fea_arch.kernels.fluid_rows import (
    ADMITTED, ADMITTED1, ADMITTED2, AFTER, APART, AWAY, BACKOFF, BEND, BOOKS, BOUNDED, BOW, BUDGET, CEILING, CONTENT,
    COPIES, CRUSH, EACH, EXTRA, FLOW, FLOW1, FLOW2, HEAD, HELD, INFLOW, INFLOW1, INFLOW2, LAG, LATENCY, LIMIT, MORE,
    NET, NUMBER, NUMBER2, OUTSIDE, PART, PASSED, RARE, RATE, REQUIRED, RESPONSE, RETRIES, ROW, SCALE, SCV, SERVICE,
    SLOPE, SPAN, SPREAD, STAY, SUCCESS, SYNC, TIME, TIMEOUT, TRIES, TURN, TURN2, UP, VALUE, VARIANCE, WAIT, WEIGHT,
    WHOLE,
)  # fmt: skip
from fea_arch.kernels.fluid_stage import busy_servers, find_cell, followed, improve
from fea_arch.kernels.tr_bdf2 import D, E0, E1, E2, W, grown
# isort: on

__all__ = ["go", "go_back"]



@subroutine
def go(step: float, factors: Any, packed: Any, tables: Any, known: bool) -> Any:
    """Solve both stages of a step, callers first; return its largest relative error, infinite where it failed.

    Parameters
    ----------
    step : float
        Length [s].
    factors : tuple of 3 floats
        Load factor at the beginning, at the inner stage and at the end.
    packed : tuple of arrays
        See :func:`pack`.
    tables : tuple
        Laws of the stations.
    known : bool
        Whether the laws that are kept belong to the present stations.
    """
    ptr, target, node, out, _, _, come, reach = packed
    cubic, blocked, cells = tables
    theta = D * step
    error = 0.0
    for k in range(node.shape[0]):
        first, end = ptr[k], ptr[k + 1]
        # requests that reach each call as an affine function of the flow, as in ``ask``
        base0, slope0, base1, slope1 = 0.0, 1.0, 0.0, 1.0
        b00, b01, b10, b11 = 0.0, 0.0, 0.0, 0.0
        fixed, per_flow = 0.0, 0.0
        e = first
        while e < end:
            head = e
            time = 0.0
            good = 1.0
            while True:
                reach[e - first, 0] = base0
                reach[e - first, 1] = slope0
                reach[e - first, 2] = base1
                reach[e - first, 3] = slope1
                time += out[e, TIME]
                good *= out[e, PASSED]
                e += 1
                if e == end or out[e, HEAD] > 0.0:
                    break
            content = out[head, CONTENT]
            out[head, AFTER] = 0.0
            if time > 1e-12:
                per = 1.0 / time
                whole0, whole1 = grown(2.0 * theta, time), grown(step, time)
                cube = time * time * time / (whole0 * whole1)  # one division for both stages
                left0, left1 = cube * whole1, cube * whole0
                new0, new1 = time * (1.0 - left0), time * (1.0 - left1)
                stay = content * left1 + base1 * new1
                fixed += stay
                per_flow += slope1 * new1
                out[head, AFTER] = slope1 * new1
                if out[head, HELD] > 0.0:
                    b00 += content * left0 + base0 * new0
                    b01 += slope0 * new0
                    b10 += stay
                    b11 += slope1 * new1
                rate = content * per
                base0 = good * (rate * left0 + base0 * (1.0 - left0))
                base1 = good * (rate * left1 + base1 * (1.0 - left1))
                slope0 *= good * (1.0 - left0)
                slope1 *= good * (1.0 - left1)
                content = stay
            else:
                fixed += content
                base0 *= good
                base1 *= good
                slope0 *= good
                slope1 *= good
            out[head, STAY] = content
        number, net, flow = node[k, NUMBER], node[k, NET], node[k, FLOW]
        outside, extra, service, copies = node[k, OUTSIDE], node[k, EXTRA], node[k, SERVICE], node[k, COPIES]
        kind, lag, up, limit = int(node[k, ROW]), node[k, LAG], node[k, UP], node[k, LIMIT]
        bounded, scale, ceiling = node[k, BOUNDED] > 0.0, node[k, SCALE], node[k, CEILING]
        alpha, beta = 0.0, 1.0
        if lag > 0.0:  # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
            beta = theta / (lag + theta)
            alpha = (flow + theta * node[k, BEND]) * (1.0 - beta)
        rhs = number + theta * net
        b0, b1, least, factor = b00, b01, 0.0, factors[1]  # inside the step nobody is less than nobody
        m, valid = node[k, WHOLE], known
        value, dv, bow, span = node[k, VALUE], node[k, SLOPE], node[k, BOW], node[k, SPAN]
        net1 = 0.0
        for part in range(2):
            arrive = outside * factor + extra + come[k, part]
            come[k, part] = 0.0
            share = up
            if arrive > limit:
                share *= limit / arrive
            if kind < 0:
                per = beta / service if copies > 0.0 else 0.0
                now = (rhs + theta * share * arrive - theta * alpha) / (1.0 + theta * per)
                y = alpha + per * now
                turn = per
            else:
                valid = valid and not bounded
                dg, y, loss, dloss, low, high = 0.0, 0.0, 0.0, 0.0, -np.inf, np.inf
                per = 1.0 / (service + b1)
                for _ in range(80):
                    if not valid:
                        cell, t, du, ddu = find_cell(m, copies * scale, cells)
                        at = kind * cells + cell
                        value, dv, bow = busy_servers(
                            copies, t, du, ddu, cubic[at, 0], cubic[at, 1], cubic[at, 2], cubic[at, 3]
                        )
                        span = followed(m, t, du, bounded)
                        loss, dloss = 0.0, 0.0
                        if bounded and m >= 0.0 and copies > 0.0:
                            at += kind
                            rise = blocked[at + 1] - blocked[at]
                            loss, dloss = blocked[at] + t * rise, rise * du
                    valid = False
                    new, low, high, last, _, dg, y, loss = improve(
                        m, value, dv, bow, span, loss, dloss, theta, alpha, beta, b0, b1, per, ceiling, rhs,
                        share * arrive, least, low, high,
                    )  # fmt: skip
                    if last:
                        break
                    m = new
                share *= 1.0 - loss
                now = rhs + theta * (share * arrive - y)  # exact, so that the books close
                turn = beta * dg
                if b1 != 0.0:
                    turn /= max(1.0 - b1 * dg, 1e-9)
            if beta < 1.0:  # lagging capacity cannot serve who is not there
                now = max(now, 0.0)
                y = (rhs - now) / theta + share * arrive
            if part == 0:
                node[k, FLOW1] = y
                node[k, INFLOW1] = arrive
                node[k, ADMITTED1] = share
                for p in range(first, end):
                    come[target[p], 0] += out[p, RATE] * (reach[p - first, 0] + reach[p - first, 1] * y)
                net1 = arrive * share - y
                rhs = number + W * step * (net + net1)
                if lag > 0.0:
                    bend = (y - flow) / theta - node[k, BEND]
                    alpha = (flow + W * step * (node[k, BEND] + bend)) * (1.0 - beta)
                b0, b1, least, factor, valid = b10, b11, -np.inf, factors[2], True
            else:
                node[k, NUMBER2] = now
                node[k, FLOW2] = y
                node[k, INFLOW2] = arrive
                node[k, ADMITTED2] = share
                node[k, TURN2] = turn
                node[k, AWAY] = fixed + per_flow * y
                for p in range(first, end):
                    come[target[p], 1] += out[p, RATE] * (reach[p - first, 2] + reach[p - first, 3] * y)
                    if out[p, HEAD] > 0.0:
                        out[p, AFTER] = out[p, STAY] + out[p, AFTER] * y
                raw = abs(step * (E0 * net + E1 * net1 + E2 * (arrive * share - y)))
                size = (abs(number) + abs(now) + 0.1) * (1.0 + theta * min(turn, node[k, TURN]))
                if not raw <= error * size:
                    error = raw / size
                    if not error < np.inf:
                        error = np.inf
        node[k, WHOLE] = m
        node[k, VALUE] = value
        node[k, SLOPE] = dv
        node[k, BOW] = bow
        node[k, SPAN] = span
    if not error < np.inf:
        for k in range(node.shape[0]):
            node[k, WHOLE] = node[k, NUMBER]
    return error


@subroutine
def go_back(step: float, factors: Any, packed: Any, order: Any, work: Any, keep: bool) -> Any:
    """Accept the step and renew response times, time-outs and tries, callees first, as ``renew_calls`` does.

    Parameters
    ----------
    step, factors, packed
        As for :func:`go`.
    order : (n,) int64
        Component of each row.
    work : (n, 5 or more) float64
        With ``keep``: number, net inflow, flow, inflow and share admitted before the step.
    keep : bool

    Returns
    -------
    moved : float
        Largest relative change of a time or number of tries that matters for the next step.
    broken : int
        Component that ran out of memory, or -1.
    """
    ptr, target, node, out, back, reply, _, _ = packed
    detours = reply[:, RARE : RARE + 3]
    theta = D * step
    given = W * (factors[0] + factors[1]) + D * factors[2]
    broken = -1
    moved = 0.0
    for k in range(node.shape[0] - 1, -1, -1):
        flow0, inflow0, admitted0 = node[k, FLOW], node[k, INFLOW], node[k, ADMITTED]
        flow1, inflow1, admitted1 = node[k, FLOW1], node[k, INFLOW1], node[k, ADMITTED1]
        now, y, inflow, admitted = node[k, NUMBER2], node[k, FLOW2], node[k, INFLOW2], node[k, ADMITTED2]
        turn, lag, scv, s = node[k, TURN2], node[k, LAG], node[k, SCV], node[k, SERVICE]
        if keep:
            i = order[k]
            work[i, 0] = node[k, NUMBER]
            work[i, 1] = node[k, NET]
            work[i, 2] = flow0
            work[i, 3] = inflow0
            work[i, 4] = admitted0
        entered = inflow * admitted
        node[k, BOOKS] += step * (W * (inflow0 + inflow1) + D * inflow)
        node[k, BOOKS + 1] += step * (W * (inflow0 * admitted0 + inflow1 * admitted1) + D * entered)
        node[k, BOOKS + 2] += step * (W * (flow0 + flow1) + D * y)
        node[k, BOOKS + 3] += step * (node[k, EXTRA] + node[k, OUTSIDE] * given)
        beta = 1.0
        if lag > 0.0:
            beta = theta / (lag + theta)
            bend = (flow1 - flow0) / theta - node[k, BEND]
            node[k, BEND] = (y - flow0 - W * step * (node[k, BEND] + bend)) / theta
        spread = (node[k, SPREAD] + step * (entered + y * scv)) * beta / (beta + 2.0 * step * turn)
        node[k, SPREAD] = spread
        node[k, NUMBER] = now
        node[k, NET] = entered - y
        node[k, FLOW] = y
        node[k, INFLOW] = inflow
        node[k, ADMITTED] = admitted
        node[k, TURN] = turn
        full = node[k, CRUSH] < np.inf and node[k, UP] > 0.0 and now + node[k, AWAY] >= node[k, CRUSH]
        if full and (broken < 0 or order[k] < broken):
            broken = order[k]
        heavy = 1.0 if now > 1.5 * s * y + 0.5 else 0.2
        stay = STUCK if now > 1e-6 else s
        if y > 1e-6:
            per = 1.0 / y
            stay = max(now * per, s)
            noise = (spread - now) * per * per
        else:
            if y > 1e-12:
                stay = max(now / y, s)
            noise = (spread - now) / max(y * y, 1e-12)
        total = min(stay, STUCK)
        # first come, first served: Var N = y^2 Var R + y R (distributional form of Little's law)
        total_var = min(max(noise, scv * s * s), 1e18)
        good = admitted
        widest, seldom, more, apart = 0.0, 0.0, 0.0, 0.0
        for e in range(ptr[k], ptr[k + 1]):
            each = back[e, EACH]
            if out[e, HEAD] > 0.0:
                out[e, CONTENT] = out[e, AFTER]
            if back[e, SYNC] == 0.0:
                continue
            j = target[e]
            weight, part, held, wait = back[e, WEIGHT], back[e, PART], out[e, HELD], back[e, WAIT]
            mean = back[e, LATENCY] + reply[j, RESPONSE]
            var = reply[j, VARIANCE]
            lost = 1.0 - reply[j, SUCCESS]
            timeout, retries = back[e, TIMEOUT], back[e, RETRIES]
            if timeout == timeout:
                late, mean = cut_mixture(mean, var, detours, j, timeout)
                var = min(var, mean * mean)
                lost = 1.0 - (1.0 - late) * (1.0 - lost)
            tries = 1.0
            if retries > 0.0 and lost > 0.0:
                tries = retries + 1.0 if lost >= 1.0 else (1.0 - lost ** (retries + 1.0)) / (1.0 - lost)
                if back[e, BUDGET] == back[e, BUDGET]:
                    tries = min(tries, 1.0 + back[e, BUDGET])
            moved = max(moved, abs(tries - back[e, TRIES]))
            time = mean
            if tries != 1.0:
                time += (tries - 1.0) / tries * back[e, BACKOFF]
            if wait > 0.0:
                change = abs(time - wait) * (heavy if held > 0.0 else 0.2)
                if change > moved * max(time, wait):
                    moved = change / max(time, wait)
            rate = each * tries
            once = weight * tries * time
            back[e, TRIES] = tries
            back[e, WAIT] = time
            out[e, RATE] = rate
            out[e, TIME] = each * once
            total += each * once
            # the detour with the largest variance: this call, where not every request makes it, or that of the callee
            width = part * (1.0 - part) * once * once
            total_var += weight * rate * var + width
            if width > widest:
                widest = width
                seldom = part
                more = once
                apart = weight * (tries * var)
            p = each * reply[j, RARE]
            longer = weight * reply[j, MORE]
            width = p * (1.0 - p) * longer * longer
            if p < 1.0 and width > widest:
                widest = width
                seldom = p
                more = longer
                apart = weight * reply[j, APART]
            if back[e, REQUIRED] > 0.0:
                fail = max(0.0, 1.0 - (1.0 - lost) * tries)
                passed = (1.0 - fail) ** each if fail > 0.0 else 1.0
                out[e, PASSED] = passed
                good *= passed
        reply[k, RESPONSE] = min(total, STUCK)
        reply[k, VARIANCE] = min(total_var, 1e18)
        reply[k, SUCCESS] = good
        reply[k, RARE] = seldom
        reply[k, MORE] = more
        reply[k, APART] = apart
    return moved, broken
