"""The way out of :mod:`fea_arch.kernels.fluid_pass` for many components side by side.

What components that do not call each other have in common is computed for all of a block in loops without branches,
which the compiler turns into vector instructions. The rest is done one by one: laws that must be looked up, and handing
requests on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine

# isort: off
from fea_arch.kernels.fluid_lanes import (
    BEGINS, KIND, K_BEGINS, K_ENDS, K_HOLDS, L, MOVES, OWN, O_BOUNDED, O_CEILING, O_COPIES, O_EXTRA, O_LAG, O_LIMIT,
    O_OUTSIDE, O_ROW, O_SCALE, O_SERVICE, O_UP, REACH, WAITS, lay_out,
)  # fmt: skip
from fea_arch.kernels.fluid_rows import (
    ADMITTED1, ADMITTED2, AFTER, AWAY, BEND, BOW, CONTENT, FLOW, FLOW1, FLOW2, INFLOW1, INFLOW2, MADE, NET, NUMBER,
    NUMBER2, PASSED, RATE, SCV, SLOPE, SPAN, TIME, TURN, TURN2, VALUE, WHOLE,
)  # fmt: skip
from fea_arch.kernels.fluid_stage import busy_servers, find_cell, followed, improve
from fea_arch.kernels.tr_bdf2 import D, E0, E1, E2, W, grown
# isort: on

__all__ = ["go_wide"]

# intermediate results of a block on the way out: what reaches the next call, workers that wait, what stays in phases,
# time and share of a phase so far; what comes, share admitted, alpha, beta, known side, flow, turn-over, whether found,
# net inflow of the inner stage, largest error, and where to look for the flow
_BASE0, _SLOPE0, _BASE1, _SLOPE1, _B00, _B01, _B10, _B11, _FIXED, _PER_FLOW, _TIME, _GOOD = range(12)
_COME, _SHARE, _ALPHA, _BETA, _RHS, _Y, _TURN, _FOUND, _NET1, _ERROR, _NEAR = range(12, 23)
# of each call: what reaches it in both stages, as an affine function of the flow, and what its phase holds, likewise
_REACH0, _GAIN0, _REACH1, _GAIN1, _STAYS, _ADDS = range(REACH)


@subroutine
def _reach(theta: float, step: float, kinds: Any, row: int, s: Any, w: Any, x: Any) -> None:
    """Requests that reach each call as an affine function of the flow, in both stages."""
    for j in range(L):
        w[_BASE0 * L + j] = 0.0
        w[_SLOPE0 * L + j] = 1.0
        w[_BASE1 * L + j] = 0.0
        w[_SLOPE1 * L + j] = 1.0
        w[_B00 * L + j] = 0.0
        w[_B01 * L + j] = 0.0
        w[_B10 * L + j] = 0.0
        w[_B11 * L + j] = 0.0
        w[_FIXED * L + j] = 0.0
        w[_PER_FLOW * L + j] = 0.0
        w[_TIME * L + j] = 0.0
        w[_GOOD * L + j] = 1.0
    at = 0
    for a in range(MADE * L, s.size, MOVES * L):
        lay_out(kinds, row, BEGINS, WAITS, w, KIND)
        row += 1
        q, r = s[a : a + MOVES * L], x[at : at + REACH * L]
        at += REACH * L
        for j in range(L):  # everything is read before it is chosen from: a branch would keep it out of the registers
            begins, ends, holds = w[K_BEGINS * L + j], w[K_ENDS * L + j], w[K_HOLDS * L + j]
            base0, slope0 = w[_BASE0 * L + j], w[_SLOPE0 * L + j]
            base1, slope1 = w[_BASE1 * L + j], w[_SLOPE1 * L + j]
            content, passed = q[CONTENT * L + j], q[PASSED * L + j]
            r[_REACH0 * L + j] = base0
            r[_GAIN0 * L + j] = slope0
            r[_REACH1 * L + j] = base1
            r[_GAIN1 * L + j] = slope1
            time = q[TIME * L + j] + (1.0 - begins) * w[_TIME * L + j]
            good = passed * (begins + (1.0 - begins) * w[_GOOD * L + j])
            w[_TIME * L + j] = time
            w[_GOOD * L + j] = good
            on = ends if time > 1e-12 else 0.0
            safe = time if on > 0.0 else 1.0
            whole0, whole1 = grown(2.0 * theta, safe), grown(step, safe)
            cube = safe * safe * safe / (whole0 * whole1)
            left0, left1 = cube * whole1, cube * whole0
            new0, new1 = on * (safe * (1.0 - left0)), on * (safe * (1.0 - left1))
            stay = content * (left1 if on > 0.0 else 1.0) + base1 * new1
            w[_FIXED * L + j] += stay
            w[_PER_FLOW * L + j] += slope1 * new1
            r[_STAYS * L + j] = stay
            r[_ADDS * L + j] = slope1 * new1
            held = on * holds
            w[_B00 * L + j] += held * (content * left0 + base0 * new0)
            w[_B01 * L + j] += held * (slope0 * new0)
            w[_B10 * L + j] += held * stay
            w[_B11 * L + j] += held * (slope1 * new1)
            good = good if ends > 0.0 else 1.0
            rate = on * (content / safe)
            w[_BASE0 * L + j] = good * (rate * left0 + base0 * (1.0 - on * left0))
            w[_BASE1 * L + j] = good * (rate * left1 + base1 * (1.0 - on * left1))
            w[_SLOPE0 * L + j] = slope0 * good * (1.0 - on * left0)
            w[_SLOPE1 * L + j] = slope1 * good * (1.0 - on * left1)


@subroutine
def _search(part: int, theta: float, tables: Any, s: Any, w: Any) -> None:
    """Solve one stage, as in ``go``, where the laws have to be looked up."""
    cubic, blocked, cells = tables
    least = 0.0 if part == 0 else -np.inf  # inside the step nobody is less than nobody
    for j in range(L):
        if w[_FOUND * L + j] > 0.0:
            continue
        kind, bounded = int(w[O_ROW * L + j]), w[O_BOUNDED * L + j] > 0.0
        copies, ceiling, m = w[O_COPIES * L + j], w[O_CEILING * L + j], w[_NEAR * L + j]
        room, b0, b1 = copies * w[O_SCALE * L + j], w[_B00 * L + j], w[_B01 * L + j]
        alpha, beta, rhs = w[_ALPHA * L + j], w[_BETA * L + j], w[_RHS * L + j]
        come, per = w[_COME * L + j] * w[_SHARE * L + j], 1.0 / (w[O_SERVICE * L + j] + b1)
        value, dv, bow, span, dg, y, loss, low, high = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -np.inf, np.inf
        for _ in range(80):
            cell, t, du, ddu = find_cell(m, room, cells)
            at = kind * cells + cell
            value, dv, bow = busy_servers(copies, t, du, ddu, cubic[at, 0], cubic[at, 1], cubic[at, 2], cubic[at, 3])
            span = followed(m, t, du, bounded)
            loss, dloss = 0.0, 0.0
            if bounded and m >= 0.0 and copies > 0.0:
                at += kind
                rise = blocked[at + 1] - blocked[at]
                loss, dloss = blocked[at] + t * rise, rise * du
            new, low, high, last, _, dg, y, loss = improve(
                m, value, dv, bow, span, loss, dloss, theta, alpha, beta, b0, b1, per, ceiling, rhs, come, least, low,
                high,
            )  # fmt: skip
            if last:
                break
            m = new
        s[WHOLE * L + j] = m
        s[VALUE * L + j] = value
        s[SLOPE * L + j] = dv
        s[BOW * L + j] = bow
        s[SPAN * L + j] = span
        w[_SHARE * L + j] *= 1.0 - loss
        w[_Y * L + j] = y
        w[_TURN * L + j] = beta * dg / max(1.0 - b1 * dg, 1e-9)


@subroutine
def _stage(part: int, theta: float, factor: float, known: bool, tables: Any, s: Any, w: Any) -> None:
    """Solve one stage of a block: the law along its parabola where that reaches, else from the tables."""
    least = 0.0 if part == 0 else -np.inf
    usable = 1.0 if known else 0.0
    for j in range(L):
        arrive = w[O_OUTSIDE * L + j] * factor + w[O_EXTRA * L + j] + w[_COME * L + j]
        limit, service, copies = w[O_LIMIT * L + j], w[O_SERVICE * L + j], w[O_COPIES * L + j]
        share = w[O_UP * L + j] * (limit / arrive if arrive > limit else 1.0)
        alpha, beta, rhs = w[_ALPHA * L + j], w[_BETA * L + j], w[_RHS * L + j]
        b0, b1 = w[_B00 * L + j], w[_B01 * L + j]
        come = share * arrive
        # a delay
        per_wait = beta / service if copies > 0.0 else 0.0
        waits = (rhs + theta * (come - alpha)) / (1.0 + theta * per_wait)
        # a law, as in ``improve``
        m, ceiling, per = s[WHOLE * L + j], w[O_CEILING * L + j], 1.0 / (service + b1)
        g, dg, bend = (s[VALUE * L + j] - b0) * per, s[SLOPE * L + j] * per, s[BOW * L + j] * per
        lead = theta * beta - b1
        per_steep = 1.0 / (1.0 + lead * dg)
        move = (rhs + theta * come + b0 - m - theta * alpha - lead * g) * per_steep
        turned = lead * bend * move * per_steep
        move *= 1.0 - turned * (1.0 - 2.0 * turned)
        there = g + move * (dg + bend * move)
        slope = dg + 2.0 * bend * move
        found = usable if abs(move) <= s[SPAN * L + j] else 0.0
        found = found if abs(turned) < 2e-3 else 0.0
        found = found if m + move >= least else 0.0
        found = found if max(g, there) <= ceiling else 0.0
        found = found if max(min(g, there), -b0) >= 0.0 else 0.0
        found = found if w[O_BOUNDED * L + j] <= 0.0 else 0.0
        delay = w[O_ROW * L + j] < 0.0
        w[_COME * L + j] = arrive
        w[_SHARE * L + j] = share
        w[_Y * L + j] = alpha + (per_wait * waits if delay else beta * there)
        turn = beta * slope / max(1.0 - b1 * slope, 1e-9)
        w[_TURN * L + j] = per_wait if delay else turn
        w[_FOUND * L + j] = 1.0 if delay else found
        w[_NEAR * L + j] = max(m + move, least) if abs(turned) < 0.1 else m
    missing = 0
    for j in range(L):
        missing += 0 if w[_FOUND * L + j] > 0.0 else 1
    if missing > 0:
        _search(part, theta, tables, s, w)
    for j in range(L):
        rhs, share, arrive, y, beta = (
            w[_RHS * L + j], w[_SHARE * L + j], w[_COME * L + j], w[_Y * L + j], w[_BETA * L + j],
        )  # fmt: skip
        now = rhs + theta * (share * arrive - y)  # exact, so that the books close
        lags = beta < 1.0 and now < 0.0  # lagging capacity cannot serve who is not there
        w[_RHS * L + j] = 0.0 if lags else now
        w[_Y * L + j] = rhs / theta + share * arrive if lags else y


@subroutine
def _take(part: int, come: Any, w: Any) -> None:
    """Take what reaches a block in one stage."""
    for j in range(L):
        w[_COME * L + j] = come[2 * j + part]
        come[2 * j + part] = 0.0


@subroutine
def go_wide(step: float, factors: Any, lanes: Any, tables: Any, known: bool) -> float:
    """Solve both stages of a step, callers first; return its largest relative error, infinite where it failed.

    Parameters
    ----------
    step, factors, tables, known
        As for :func:`fea_arch.kernels.fluid_pass.go`.
    lanes : tuple of arrays
        See :func:`fea_arch.kernels.fluid_lanes.fold`.
    """
    start, _, place, first, store, come, _, w, x, own, kinds = lanes
    theta = D * step
    per_theta = 1.0 / theta
    error = 0.0
    for j in range(L):
        w[_ERROR * L + j] = 0.0
    for b in range(start.size - 1):
        s = store[start[b] : start[b + 1]]
        lay_out(own, b, 0, SCV - MADE, w, OWN)
        _reach(theta, step, kinds, first[b] // L, s, w, x)
        for j in range(L):
            lag, flow = w[O_LAG * L + j], s[FLOW * L + j]
            beta = theta / (lag + theta) if lag > 0.0 else 1.0
            w[_BETA * L + j] = beta  # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
            w[_ALPHA * L + j] = (flow + theta * s[BEND * L + j]) * (1.0 - beta)
            w[_RHS * L + j] = s[NUMBER * L + j] + theta * s[NET * L + j]
        _take(0, come[2 * b * L : 2 * (b + 1) * L], w)
        _stage(0, theta, factors[1], known, tables, s, w)
        for j in range(L):
            y, arrive, share, flow = w[_Y * L + j], w[_COME * L + j], w[_SHARE * L + j], s[FLOW * L + j]
            net, net1 = s[NET * L + j], arrive * share - y
            s[FLOW1 * L + j] = y
            s[INFLOW1 * L + j] = arrive
            s[ADMITTED1 * L + j] = share
            w[_NET1 * L + j] = net1
            w[_ALPHA * L + j] = (flow + W * step * ((y - flow) * per_theta)) * (1.0 - w[_BETA * L + j])
            w[_RHS * L + j] = s[NUMBER * L + j] + W * step * (net + net1)
            w[_B00 * L + j] = w[_B10 * L + j]
            w[_B01 * L + j] = w[_B11 * L + j]
        _take(1, come[2 * b * L : 2 * (b + 1) * L], w)
        _stage(1, theta, factors[2], True, tables, s, w)
        for j in range(L):
            y, arrive, share, now = w[_Y * L + j], w[_COME * L + j], w[_SHARE * L + j], w[_RHS * L + j]
            turn = w[_TURN * L + j]
            s[NUMBER2 * L + j] = now
            s[FLOW2 * L + j] = y
            s[INFLOW2 * L + j] = arrive
            s[ADMITTED2 * L + j] = share
            s[TURN2 * L + j] = turn
            s[AWAY * L + j] = w[_FIXED * L + j] + w[_PER_FLOW * L + j] * y
            raw = abs(step * (E0 * s[NET * L + j] + E1 * w[_NET1 * L + j] + E2 * (arrive * share - y)))
            size = (abs(s[NUMBER * L + j]) + abs(now) + 0.1) * (1.0 + theta * min(turn, s[TURN * L + j]))
            wrong, most = raw / size, w[_ERROR * L + j]
            wrong = wrong if wrong < np.inf else np.inf
            w[_ERROR * L + j] = most if wrong <= most else wrong
        at, base = first[b], 0
        for a in range(MADE * L, s.size, MOVES * L):
            q, r = s[a : a + MOVES * L], x[base : base + REACH * L]
            base += REACH * L
            for j in range(L):
                y1, y2, rate = s[FLOW1 * L + j], s[FLOW2 * L + j], q[RATE * L + j]
                w[_BASE0 * L + j] = rate * (r[_REACH0 * L + j] + r[_GAIN0 * L + j] * y1)
                w[_BASE1 * L + j] = rate * (r[_REACH1 * L + j] + r[_GAIN1 * L + j] * y2)
                q[AFTER * L + j] = r[_STAYS * L + j] + r[_ADDS * L + j] * y2
            for j in range(L):
                to = 2 * place[at + j]
                come[to] += w[_BASE0 * L + j]
                come[to + 1] += w[_BASE1 * L + j]
            at += L
    for j in range(L):
        error = max(error, w[_ERROR * L + j])
    if not error < np.inf:
        for b in range(start.size - 1):
            s = store[start[b] : start[b + 1]]
            for j in range(L):
                s[WHOLE * L + j] = s[NUMBER * L + j]
    return error
