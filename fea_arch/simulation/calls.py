"""Calls of the event simulation: steps of a request, tries, time-outs, retries, breakers, answers."""

from __future__ import annotations

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import Floats, Ints
from fea_arch.simulation.event_queue import exponential, now_do, pack, schedule, uniform
from fea_arch.simulation.stations import backoff, detach, free_job, new_job, observe

__all__ = ["advance", "drop_calls", "finish", "resolve", "send_async", "try_call"]


@subroutine
def _repeats(I: Ints, F: Floats, site: int) -> int:
    """Draw how often a site is called: the whole part, and one more with the probability of the rest."""
    calls = F[I[k.SITE_F] + k.N_SITE_F * site + k.S_CALLS]
    n = int(calls)
    rest = calls - n
    if rest > 0.0 and uniform(I, F) < rest:
        n += 1
    return n


@subroutine
def _new_call(I: Ints, F: Floats, j: int, site: int, left: int) -> int:
    job_j = I[k.JOB] + k.N_JOB * j
    c = I[k.FREE_CALL]
    call_c = I[k.CALL] + k.N_CALL * c
    I[k.FREE_CALL] = I[call_c + k.C_NEXT]
    I[k.CALLS] += 1
    I[call_c + k.C_JOB] = j
    I[call_c + k.C_SITE] = site
    I[call_c + k.C_CHILD] = -1
    I[call_c + k.C_TRIES] = 0
    I[call_c + k.C_LEFT] = left
    I[call_c + k.C_TRIAL] = 0
    I[call_c + k.C_EDGE] = -1
    I[call_c + k.C_PREV] = -1
    I[call_c + k.C_NEXT] = -1
    if j >= 0:
        head = I[job_j + k.J_CALLS]
        I[call_c + k.C_NEXT] = head
        if head >= 0:
            I[I[k.CALL] + k.N_CALL * head + k.C_PREV] = c
        I[job_j + k.J_CALLS] = c
    now_do(I, F, pack(k.E_TRY, c, I[call_c + k.C_GEN]))
    return int(c)


@subroutine
def _free_call(I: Ints, F: Floats, c: int) -> None:
    call_c = I[k.CALL] + k.N_CALL * c
    j = I[call_c + k.C_JOB]
    if j >= 0:
        before, after = I[call_c + k.C_PREV], I[call_c + k.C_NEXT]
        if before >= 0:
            I[I[k.CALL] + k.N_CALL * before + k.C_NEXT] = after
        else:
            I[I[k.JOB] + k.N_JOB * j + k.J_CALLS] = after
        if after >= 0:
            I[I[k.CALL] + k.N_CALL * after + k.C_PREV] = before
    if I[call_c + k.C_TRIAL] == 1:
        I[I[k.TARGET] + k.N_TARGET * (I[call_c + k.C_EDGE]) + k.T_TRIAL] = 0
    I[call_c + k.C_GEN] = (I[call_c + k.C_GEN] + 1) & k.GEN_MASK
    I[call_c + k.C_NEXT] = I[k.FREE_CALL]
    I[k.FREE_CALL] = c
    I[k.CALLS] -= 1


@subroutine
def send_async(I: Ints, F: Floats, i: int) -> None:
    """Send the events of a component; nobody waits for them."""
    comp_i = I[k.COMP] + k.N_COMP * i
    first = I[comp_i + k.K_ASYNC]
    for site in range(first, first + I[comp_i + k.K_ASYNCS]):
        for _ in range(_repeats(I, F, site)):
            _new_call(I, F, -1, site, 0)


@subroutine
def finish(I: Ints, F: Floats, j: int, why: int) -> None:
    """Answer a request that is inside a component: with success or with an error."""
    job_j = I[k.JOB] + k.N_JOB * j
    i = I[job_j + k.J_COMP]
    stat_i = I[k.STAT] + k.N_STAT * i
    detach(I, F, j)
    I[job_j + k.J_FAIL] = why
    if why == k.OK:
        I[stat_i + k.Q_SERVED] += 1
        time = F[k.NOW] - F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE]
        F[I[k.STAT_F] + k.N_STAT_F * i + k.A_RESPONSE] += time
        if I[job_j + k.J_LOAD] < 0 and I[k.COUNTING]:
            observe(I, F, I[I[k.COMP] + k.N_COMP * i + k.K_HIST], time)
    else:
        I[stat_i + k.Q_FAILED] += 1
    answer(I, F, j)


@subroutine
def answer(I: Ints, F: Floats, j: int) -> None:
    """Carry the outcome of a request to who waits for it."""
    job_j = I[k.JOB] + k.N_JOB * j
    I[job_j + k.J_STATE] = k.ANSWERING
    load = I[job_j + k.J_LOAD]
    if load >= 0:
        _close_books(I, F, j, load)
        if I[I[k.LOAD] + k.N_LOAD * load + k.L_USERS] > 0:
            think = F[I[k.LOAD_F] + k.N_LOAD_F * load + k.L_THINK]
            code = pack(k.E_THINK, load, 0)
            if think > 0.0:
                schedule(I, F, F[k.NOW] + think * exponential(I, F), code)
            else:
                now_do(I, F, code)
        free_job(I, F, j)
        return
    c = I[job_j + k.J_CALL]
    if c < 0:
        free_job(I, F, j)
        return
    latency = F[I[k.SITE_F] + k.N_SITE_F * (I[I[k.CALL] + k.N_CALL * c + k.C_SITE]) + k.S_LATENCY]
    code = pack(k.E_ANSWER, j, I[job_j + k.J_GEN])
    if latency > 0.0:
        schedule(I, F, F[k.NOW] + 0.5 * latency, code)
    else:
        now_do(I, F, code)


@subroutine
def _close_books(I: Ints, F: Floats, j: int, load: int) -> None:
    book_load = I[k.BOOK] + k.N_BOOK * load
    job_j = I[k.JOB] + k.N_JOB * j
    why = I[job_j + k.J_FAIL]
    time = F[k.NOW] - F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE]
    good = why == k.OK and time <= F[k.OBJECTIVE]
    rows = I[k.ROOM_FLOW]
    if rows > 0:
        at = min(int(F[k.NOW] / F[k.DT]), rows - 1)
        I[I[k.FLOW] + 3 * at + 1] += 1 if why == k.OK else 0
        I[I[k.FLOW] + 3 * at + 2] += 1 if good else 0
    if I[job_j + k.J_COUNTED] == 0:
        return
    if why == k.OK:
        I[book_load + k.B_SERVED] += 1
        if good:
            I[book_load + k.B_GOOD] += 1
        observe(I, F, I[I[k.COMP] + k.N_COMP * (I[I[k.LOAD] + k.N_LOAD * load + k.L_ENTRY]) + k.K_HIST], time)
        observe(I, F, load, time)
    elif why == k.TIMED_OUT:
        I[book_load + k.B_TIMED_OUT] += 1
    elif why == k.REJECTED:
        I[book_load + k.B_REJECTED] += 1
    else:
        I[book_load + k.B_FAILED] += 1


@subroutine
def advance(I: Ints, F: Floats, j: int) -> None:
    """Start the next step of calls of a request, or answer it when there is none or one has failed."""
    job_j = I[k.JOB] + k.N_JOB * j
    i = I[job_j + k.J_COMP]
    comp_i = I[k.COMP] + k.N_COMP * i
    first, steps = I[comp_i + k.K_STEP], I[comp_i + k.K_STEPS]
    while I[job_j + k.J_STEP] < steps and I[job_j + k.J_FAIL] == k.OK:
        at = first + I[job_j + k.J_STEP]
        I[job_j + k.J_STEP] += 1
        begin, n = I[I[k.STEP] + 2 * at + 0], I[I[k.STEP] + 2 * at + 1]
        pending = 0
        for site in range(begin, begin + n):
            repeats = _repeats(I, F, site)
            if repeats > 0:
                _new_call(I, F, j, site, repeats - 1)
                pending += 1
        if pending > 0:
            I[job_j + k.J_PENDING] = pending
            return
    finish(I, F, j, I[job_j + k.J_FAIL])


@subroutine
def drop_calls(I: Ints, F: Floats, j: int) -> None:
    """Give up all calls of a request that ends early; callees work on unless the call is cancelled."""
    c = I[I[k.JOB] + k.N_JOB * j + k.J_CALLS]
    while c >= 0:
        nxt = I[I[k.CALL] + k.N_CALL * c + k.C_NEXT]
        _orphan(I, F, c)
        _free_call(I, F, c)
        c = nxt


@subroutine
def _orphan(I: Ints, F: Floats, c: int) -> None:
    call_c = I[k.CALL] + k.N_CALL * c
    child = I[call_c + k.C_CHILD]
    job_child = I[k.JOB] + k.N_JOB * child
    if child >= 0:
        I[job_child + k.J_CALL] = -1
        I[call_c + k.C_CHILD] = -1
        if I[I[k.SITE] + k.N_SITE * (I[call_c + k.C_SITE]) + k.S_CANCEL] == 1:
            now_do(I, F, pack(k.E_CANCEL, child, I[job_child + k.J_GEN]))


@subroutine
def _pick_target(I: Ints, F: Floats, site: int) -> int:
    site_site = I[k.SITE] + k.N_SITE * site
    first, n = I[site_site + k.S_TARGET], I[site_site + k.S_TARGETS]
    if n == 1:
        return int(first)
    policy = I[site_site + k.S_POLICY]
    if policy == 2:
        x, last = uniform(I, F), first
        for t in range(first, first + n):
            if F[I[k.TARGET_F] + k.N_TARGET_F * t + k.T_WEIGHT] > 0.0:
                last = t
                x -= F[I[k.TARGET_F] + k.N_TARGET_F * t + k.T_WEIGHT]
                if x < 0.0:
                    return t
        return int(last)
    turn = I[site_site + k.S_TURN]
    I[site_site + k.S_TURN] = turn + 1 if turn + 1 < n else 0
    if policy != 3:
        return int(first + turn)
    best = first + turn
    for step in range(1, n):
        t = first + (turn + step) % n
        if (
            I[I[k.STAT] + k.N_STAT * (I[I[k.TARGET] + k.N_TARGET * t + k.T_COMP]) + k.Q_OPEN]
            < I[I[k.STAT] + k.N_STAT * (I[I[k.TARGET] + k.N_TARGET * best + k.T_COMP]) + k.Q_OPEN]
        ):
            best = t
    return int(best)


@subroutine
def _clear(I: Ints, F: Floats, t: int) -> None:
    """Empty the window of a breaker."""
    first = I[k.BUCKET] + 3 * k.BUCKETS * t
    for b in range(first, first + 3 * k.BUCKETS):
        I[b] = 0


@subroutine
def _breaker_lets(I: Ints, F: Floats, c: int, t: int) -> bool:
    target_t = I[k.TARGET] + k.N_TARGET * t
    state = I[target_t + k.T_STATE]
    if state == 0:
        return True
    if state == 1 and F[k.NOW] >= F[I[k.TARGET_F] + k.N_TARGET_F * t + k.T_UNTIL]:
        state = 2
        I[target_t + k.T_STATE] = 2
        I[target_t + k.T_TRIAL] = 0
    if state == 2 and I[target_t + k.T_TRIAL] == 0:
        I[target_t + k.T_TRIAL] = 1
        I[I[k.CALL] + k.N_CALL * c + k.C_TRIAL] = 1
        return True
    return False


@subroutine
def _breaker_learns(I: Ints, F: Floats, c: int, t: int, failed: bool) -> None:
    """Book the outcome of a try in a window of ten buckets and open or close the breaker."""
    target_f_t = I[k.TARGET_F] + k.N_TARGET_F * t
    target_t = I[k.TARGET] + k.N_TARGET * t
    call_c = I[k.CALL] + k.N_CALL * c
    if I[call_c + k.C_TRIAL] == 1:
        I[call_c + k.C_TRIAL] = 0
        I[target_t + k.T_TRIAL] = 0
        I[target_t + k.T_STATE] = 1 if failed else 0
        F[target_f_t + k.T_UNTIL] = F[k.NOW] + F[target_f_t + k.T_OPEN]
        _clear(I, F, t)
        return
    if I[target_t + k.T_STATE] != 0:
        return
    serial = int(F[k.NOW] * k.BUCKETS / F[target_f_t + k.T_WINDOW])
    at = serial % k.BUCKETS
    if I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 0] != serial + 1:
        I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 0] = serial + 1
        I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 1] = 0
        I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 2] = 0
    I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 1] += 1
    I[I[k.BUCKET] + 3 * (k.BUCKETS * t + at) + 2] += 1 if failed else 0
    if not failed:
        return
    calls, errors = 0, 0
    for b in range(k.BUCKETS):
        if I[I[k.BUCKET] + 3 * (k.BUCKETS * t + b) + 0] > serial + 1 - k.BUCKETS:
            calls += I[I[k.BUCKET] + 3 * (k.BUCKETS * t + b) + 1]
            errors += I[I[k.BUCKET] + 3 * (k.BUCKETS * t + b) + 2]
    if calls >= I[target_t + k.T_MINIMUM] and errors >= F[target_f_t + k.T_SHARE] * calls:
        I[target_t + k.T_STATE] = 1
        F[target_f_t + k.T_UNTIL] = F[k.NOW] + F[target_f_t + k.T_OPEN]
        _clear(I, F, t)


@subroutine
def try_call(I: Ints, F: Floats, c: int) -> None:
    """Send a request to a callee."""
    call_c = I[k.CALL] + k.N_CALL * c
    site = I[call_c + k.C_SITE]
    site_f_site = I[k.SITE_F] + k.N_SITE_F * site
    t = _pick_target(I, F, site)
    I[call_c + k.C_EDGE] = t
    if I[call_c + k.C_TRIES] == 0 and F[site_f_site + k.S_BUDGET] >= 0.0:
        # the bucket holds ten retries, so that a budget limits bursts of retries as well as their long-run share
        F[site_f_site + k.S_TOKENS] = min(F[site_f_site + k.S_TOKENS] + F[site_f_site + k.S_BUDGET], 10.0)
    if I[I[k.SITE] + k.N_SITE * site + k.S_BREAKER] == 1 and not _breaker_lets(I, F, c, t):
        _end_branch(I, F, c, k.BROKEN)
        return
    j = new_job(I, F, I[I[k.TARGET] + k.N_TARGET * t + k.T_COMP], c, -1)
    job_j = I[k.JOB] + k.N_JOB * j
    I[job_j + k.J_EDGE] = t
    I[call_c + k.C_CHILD] = j
    now = F[k.NOW]
    timeout, latency = (
        F[site_f_site + k.S_TIMEOUT],
        F[site_f_site + k.S_LATENCY],
    )
    if timeout > 0.0:
        schedule(I, F, now + timeout, pack(k.E_TIMEOUT, c, I[call_c + k.C_GEN]))
    if latency > 0.0:
        schedule(I, F, now + 0.5 * latency, pack(k.E_DELIVER, j, I[job_j + k.J_GEN]))
    else:
        now_do(I, F, pack(k.E_DELIVER, j, I[job_j + k.J_GEN]))


@subroutine
def resolve(I: Ints, F: Floats, c: int, why: int) -> None:
    """Take note of how a try ended: go on, try again, or give up."""
    call_c = I[k.CALL] + k.N_CALL * c
    site = I[call_c + k.C_SITE]
    site_f_site = I[k.SITE_F] + k.N_SITE_F * site
    site_site = I[k.SITE] + k.N_SITE * site
    if why == k.TIMED_OUT:
        target = I[I[k.TARGET] + k.N_TARGET * (I[call_c + k.C_EDGE]) + k.T_COMP]
        I[I[k.STAT] + k.N_STAT * target + k.Q_LOST] += 1
    _orphan(I, F, c)
    I[call_c + k.C_GEN] = (I[call_c + k.C_GEN] + 1) & k.GEN_MASK
    if I[site_site + k.S_BREAKER] == 1:
        _breaker_learns(I, F, c, I[call_c + k.C_EDGE], why != k.OK)
    if why == k.OK:
        if I[call_c + k.C_LEFT] > 0:
            I[call_c + k.C_LEFT] -= 1
            I[call_c + k.C_TRIES] = 0
            now_do(I, F, pack(k.E_TRY, c, I[call_c + k.C_GEN]))
        else:
            _end_branch(I, F, c, k.OK)
        return
    if I[call_c + k.C_TRIES] < I[site_site + k.S_RETRIES]:
        allowed = True
        if F[site_f_site + k.S_BUDGET] >= 0.0:
            allowed = F[site_f_site + k.S_TOKENS] >= 1.0
            if allowed:
                F[site_f_site + k.S_TOKENS] -= 1.0
        if allowed:
            I[call_c + k.C_TRIES] += 1
            code = pack(k.E_TRY, c, I[call_c + k.C_GEN])
            pause = F[site_f_site + k.S_BACKOFF]
            if pause > 0.0:
                schedule(I, F, F[k.NOW] + backoff(I, F, pause), code)
            else:
                now_do(I, F, code)
            return
    _end_branch(I, F, c, why)


@subroutine
def _end_branch(I: Ints, F: Floats, c: int, why: int) -> None:
    call_c = I[k.CALL] + k.N_CALL * c
    j, site = I[call_c + k.C_JOB], I[call_c + k.C_SITE]
    site_site = I[k.SITE] + k.N_SITE * site
    job_j = I[k.JOB] + k.N_JOB * j
    if why != k.OK and I[site_site + k.S_REQUIRED] == 0 and I[call_c + k.C_LEFT] > 0:
        # the fallback stands in for this call only; the other calls of the site are still made
        I[call_c + k.C_LEFT] -= 1
        I[call_c + k.C_TRIES] = 0
        I[call_c + k.C_GEN] = (I[call_c + k.C_GEN] + 1) & k.GEN_MASK
        now_do(I, F, pack(k.E_TRY, c, I[call_c + k.C_GEN]))
        return
    _free_call(I, F, c)
    if j < 0:
        return
    if why != k.OK and I[site_site + k.S_REQUIRED] == 1:
        # a rejection deeper down is a failure of this request, not a rejection of it
        I[job_j + k.J_FAIL] = k.TIMED_OUT if why == k.TIMED_OUT else k.FAILED
    I[job_j + k.J_PENDING] -= 1
    if I[job_j + k.J_PENDING] == 0:
        now_do(I, F, pack(k.E_ADVANCE, j, I[job_j + k.J_GEN]))
