"""The way back of :mod:`fea_arch.kernels.fluid_pass` for many components side by side.

Response times are renewed for all of a block in loops without branches, which the compiler turns into vector
instructions; time-outs, retries and what callees answer one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.fluid_calls import STUCK, cut_mixture

# isort: off
from fea_arch.kernels.fluid_lanes import (
    KIND, K_BACKOFF, K_BUDGET, K_EACH, K_LATENCY, K_PART, K_REQUIRED, K_RETRIES, K_SYNC, K_TIMEOUT, K_WAITS, K_WEIGHT,
    L, MADE_OF, MOVES, OWN, O_CRUSH, O_EXTRA, O_LAG, O_OUTSIDE, O_SCV, O_SERVICE, O_UP, TRIED, WAITED, WAITS, lay_out,
)  # fmt: skip
from fea_arch.kernels.fluid_rows import (
    ADMITTED, ADMITTED1, ADMITTED2, AFTER, APART, AWAY, BEND, BOOKS, CONTENT, FLOW, FLOW1, FLOW2, INFLOW, INFLOW1,
    INFLOW2, MADE, MORE, NET, NUMBER, NUMBER2, PASSED, RARE, RATE, RESPONSE, SPREAD, SUCCESS, TIME, TURN, TURN2, UP,
    VARIANCE,
)  # fmt: skip
from fea_arch.kernels.tr_bdf2 import D, W
# isort: on

__all__ = ["go_back_wide"]

# intermediate results of a block: response and its variance, share answered, detour (its part of the variance,
# probability, time, variance), weight of a change of times, largest relative change;
# of the present call: time, variance, tries, share that goes on, detour of the callee
_TOTAL, _TOTAL_VAR, _ANSWERED, _WIDEST, _SELDOM, _LONGER, _APART, _HEAVY, _MOVED = range(9)
_MEAN, _VAR, _TRIES, _THROUGH, _P, _MORE, _SPREAD = range(9, 16)


@subroutine
def _try_again(at: int, place: Any, answers: Any, w: Any) -> None:
    """Cut times at time-outs and repeat what is not answered, as in ``go_back``."""
    detours = answers[:, RARE : RARE + 3]
    for j in range(L):
        mean, var, lost = w[_MEAN * L + j], w[_VAR * L + j], 1.0 - w[_THROUGH * L + j]
        timeout, retries = w[K_TIMEOUT * L + j], w[K_RETRIES * L + j]
        if timeout < np.inf:
            late, mean = cut_mixture(mean, var, detours, place[at + j], timeout)
            var = min(var, mean * mean)
            lost = 1.0 - (1.0 - late) * (1.0 - lost)
        tries, through = 1.0, 1.0
        if lost > 0.0:
            if retries > 0.0:
                tries = retries + 1.0 if lost >= 1.0 else (1.0 - lost ** (retries + 1.0)) / (1.0 - lost)
                tries = min(tries, 1.0 + w[K_BUDGET * L + j])
            fail = max(0.0, 1.0 - (1.0 - lost) * tries)
            if fail > 0.0 and w[K_REQUIRED * L + j] > 0.0:
                through = (1.0 - fail) ** w[K_EACH * L + j]
        w[_MEAN * L + j] = mean
        w[_VAR * L + j] = var
        w[_TRIES * L + j] = tries
        w[_THROUGH * L + j] = through


@subroutine
def _meet(at: int, place: Any, answers: Any, w: Any) -> None:
    """What the calls of one place meet: time, variance, tries, share that goes on, and the detour of the callee."""
    for j in range(L):
        a = place[at + j]
        w[_MEAN * L + j] = answers[a, RESPONSE]
        w[_VAR * L + j] = answers[a, VARIANCE]
        w[_THROUGH * L + j] = answers[a, SUCCESS]
        w[_P * L + j] = answers[a, RARE]
        w[_MORE * L + j] = answers[a, MORE]
        w[_SPREAD * L + j] = answers[a, APART]
    special = 0
    for j in range(L):
        mean, timeout, answered = w[_MEAN * L + j], w[K_TIMEOUT * L + j], w[_THROUGH * L + j]
        w[_MEAN * L + j] = w[K_LATENCY * L + j] + mean
        w[_TRIES * L + j] = 1.0
        special += 1 if timeout < np.inf else 0
        special += 1 if answered < 1.0 else 0
    if special > 0:
        _try_again(at, place, answers, w)


@subroutine
def _accept(step: float, given: float, s: Any, w: Any) -> None:
    """Accept the step of a block and find what a request meets in its components without their calls."""
    theta = D * step
    for j in range(L):
        flow0, inflow0, admitted0 = s[FLOW * L + j], s[INFLOW * L + j], s[ADMITTED * L + j]
        flow1, inflow1, admitted1 = s[FLOW1 * L + j], s[INFLOW1 * L + j], s[ADMITTED1 * L + j]
        now, y, inflow, admitted = s[NUMBER2 * L + j], s[FLOW2 * L + j], s[INFLOW2 * L + j], s[ADMITTED2 * L + j]
        turn, lag, scv, service = s[TURN2 * L + j], w[O_LAG * L + j], w[O_SCV * L + j], w[O_SERVICE * L + j]
        entered = inflow * admitted
        s[BOOKS * L + j] += step * (W * (inflow0 + inflow1) + D * inflow)
        s[(BOOKS + 1) * L + j] += step * (W * (inflow0 * admitted0 + inflow1 * admitted1) + D * entered)
        s[(BOOKS + 2) * L + j] += step * (W * (flow0 + flow1) + D * y)
        s[(BOOKS + 3) * L + j] += step * (w[O_EXTRA * L + j] + w[O_OUTSIDE * L + j] * given)
        beta = theta / (lag + theta) if lag > 0.0 else 1.0
        s[BEND * L + j] = (y - flow0 - W * step * ((flow1 - flow0) / theta)) / theta if lag > 0.0 else 0.0
        spread = (s[SPREAD * L + j] + step * (entered + y * scv)) * beta / (beta + 2.0 * step * turn)
        s[SPREAD * L + j] = spread
        s[NUMBER * L + j] = now
        s[NET * L + j] = entered - y
        s[FLOW * L + j] = y
        s[INFLOW * L + j] = inflow
        s[ADMITTED * L + j] = admitted
        s[TURN * L + j] = turn
        flows = y > 1e-12
        per = 1.0 / (y if flows else 1.0)
        idle = STUCK if now > 1e-6 else service
        stay = max(now * per, service) if flows else idle
        noise = (spread - now) * per * per if y > 1e-6 else (spread - now) / max(y * y, 1e-12)
        w[_TOTAL * L + j] = min(stay, STUCK)
        # first come, first served: Var N = y^2 Var R + y R (distributional form of Little's law)
        w[_TOTAL_VAR * L + j] = min(max(noise, scv * service * service), 1e18)
        w[_ANSWERED * L + j] = admitted
        w[_WIDEST * L + j] = 0.0
        w[_SELDOM * L + j] = 0.0
        w[_LONGER * L + j] = 0.0
        w[_APART * L + j] = 0.0
        w[_HEAVY * L + j] = 1.0 if now > 1.5 * service * y + 0.5 else 0.2


@subroutine
def _add_call(q: Any, w: Any) -> None:
    """Add the calls of one place to what a request meets, and renew them."""
    for j in range(L):
        each, weight, part = w[K_EACH * L + j], w[K_WEIGHT * L + j], w[K_PART * L + j]
        wait, before, sync = q[WAITED * L + j], q[TRIED * L + j], w[K_SYNC * L + j] > 0.0
        mean, var, tries, through = (
            w[_MEAN * L + j], w[_VAR * L + j], w[_TRIES * L + j], w[_THROUGH * L + j],
        )  # fmt: skip
        time = mean + (tries - 1.0) / tries * w[K_BACKOFF * L + j]
        change = abs(time - wait) * (w[_HEAVY * L + j] if w[K_WAITS * L + j] > 0.0 else 0.2) / max(time, wait, 1e-300)
        change = max(change if wait > 0.0 else 0.0, abs(tries - before))
        w[_MOVED * L + j] = max(w[_MOVED * L + j], change if sync else 0.0)
        rate = each * tries
        once = weight * tries * time
        q[TRIED * L + j] = tries if sync else before
        q[WAITED * L + j] = time if sync else wait
        q[RATE * L + j] = rate if sync else q[RATE * L + j]
        q[TIME * L + j] = each * once if sync else 0.0
        q[PASSED * L + j] = through if sync else 1.0
        q[CONTENT * L + j] = q[AFTER * L + j]
        w[_TOTAL * L + j] += each * once if sync else 0.0
        w[_ANSWERED * L + j] *= through if sync else 1.0
        # the detour with the largest variance: this call, where not every request makes it, or that of the callee
        width = part * (1.0 - part) * once * once
        w[_TOTAL_VAR * L + j] += weight * rate * var + width if sync else 0.0
        widest = w[_WIDEST * L + j]
        wider = sync and width > widest
        seldom, longer = (part if wider else w[_SELDOM * L + j]), (once if wider else w[_LONGER * L + j])
        apart, widest = (weight * (tries * var) if wider else w[_APART * L + j]), (width if wider else widest)
        p, more = each * w[_P * L + j], weight * w[_MORE * L + j]
        width = p * (1.0 - p) * more * more
        wider = sync and p < 1.0 and width > widest
        w[_WIDEST * L + j] = width if wider else widest
        w[_SELDOM * L + j] = p if wider else seldom
        w[_LONGER * L + j] = more if wider else longer
        w[_APART * L + j] = weight * w[_SPREAD * L + j] if wider else apart


@subroutine
def go_back_wide(step: float, factors: Any, lanes: Any, order: Any, work: Any, keep: bool) -> Any:
    """Accept the step and renew response times, time-outs and tries, callees first; as ``go_back``."""
    start, who, place, first, store, _, answers, w, _, own, kinds = lanes
    given = W * (factors[0] + factors[1]) + D * factors[2]
    broken = -1
    moved = 0.0
    for j in range(L):
        w[_MOVED * L + j] = 0.0
    for b in range(start.size - 2, -1, -1):
        s = store[start[b] : start[b + 1]]
        if keep:
            for j in range(L):
                k = who[b * L + j]
                if k >= 0:
                    work[order[k], 0] = s[NUMBER * L + j]
                    work[order[k], 1] = s[NET * L + j]
                    work[order[k], 2] = s[FLOW * L + j]
                    work[order[k], 3] = s[INFLOW * L + j]
                    work[order[k], 4] = s[ADMITTED * L + j]
        lay_out(own, b, UP - MADE, KIND - OWN, w, OWN)
        _accept(step, given, s, w)
        for j in range(L):
            crush = w[O_CRUSH * L + j]
            if crush < np.inf and w[O_UP * L + j] > 0.0 and s[NUMBER * L + j] + s[AWAY * L + j] >= crush:
                i = order[who[b * L + j]]
                broken = i if broken < 0 else min(i, broken)
        at = first[b]
        for a in range(MADE * L, s.size, MOVES * L):
            q = s[a : a + MOVES * L]
            lay_out(kinds, at // L, WAITS, MADE_OF, w, KIND)
            _meet(at, place, answers, w)
            _add_call(q, w)
            at += L
        for j in range(L):
            a = b * L + j
            answers[a, RESPONSE] = min(w[_TOTAL * L + j], STUCK)
            answers[a, VARIANCE] = min(w[_TOTAL_VAR * L + j], 1e18)
            answers[a, SUCCESS] = w[_ANSWERED * L + j]
            answers[a, RARE] = w[_SELDOM * L + j]
            answers[a, MORE] = w[_LONGER * L + j]
            answers[a, APART] = w[_APART * L + j]
    for j in range(L):
        moved = max(moved, w[_MOVED * L + j])
    return moved, broken
