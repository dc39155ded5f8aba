"""Calls of the event simulation: steps of a request, tries, time-outs, retries, breakers, answers."""

from __future__ import annotations

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import State
from fea_arch.simulation.event_queue import exponential, now_do, pack, schedule, uniform
from fea_arch.simulation.stations import backoff, detach, free_job, new_job, observe, touch

__all__ = ["advance", "drop_calls", "finish", "resolve", "send_async", "try_call"]


@subroutine
def _repeats(s: State, site: int) -> int:
    """Draw how often a site is called: the whole part, and one more with the probability of the rest."""
    calls = s.site_f[site, k.S_CALLS]
    n = int(calls)
    rest = calls - n
    if rest > 0.0 and uniform(s) < rest:
        n += 1
    return n


@subroutine
def _new_call(s: State, j: int, site: int, left: int) -> int:
    c = s.count[k.FREE_CALL]
    s.count[k.FREE_CALL] = s.call[c, k.C_NEXT]
    s.count[k.CALLS] += 1
    s.call[c, k.C_JOB] = j
    s.call[c, k.C_SITE] = site
    s.call[c, k.C_CHILD] = -1
    s.call[c, k.C_TRIES] = 0
    s.call[c, k.C_LEFT] = left
    s.call[c, k.C_TRIAL] = 0
    s.call[c, k.C_EDGE] = -1
    s.call[c, k.C_PREV] = -1
    s.call[c, k.C_NEXT] = -1
    if j >= 0:
        head = s.job[j, k.J_CALLS]
        s.call[c, k.C_NEXT] = head
        if head >= 0:
            s.call[head, k.C_PREV] = c
        s.job[j, k.J_CALLS] = c
    now_do(s, pack(k.E_TRY, c, s.call[c, k.C_GEN]))
    return c


@subroutine
def _free_call(s: State, c: int) -> None:
    j = s.call[c, k.C_JOB]
    if j >= 0:
        before, after = s.call[c, k.C_PREV], s.call[c, k.C_NEXT]
        if before >= 0:
            s.call[before, k.C_NEXT] = after
        else:
            s.job[j, k.J_CALLS] = after
        if after >= 0:
            s.call[after, k.C_PREV] = before
    if s.call[c, k.C_TRIAL] == 1:
        s.target[s.call[c, k.C_EDGE], k.T_TRIAL] = 0
    s.call[c, k.C_GEN] = (s.call[c, k.C_GEN] + 1) & k.GEN_MASK
    s.call[c, k.C_NEXT] = s.count[k.FREE_CALL]
    s.count[k.FREE_CALL] = c
    s.count[k.CALLS] -= 1


@subroutine
def send_async(s: State, i: int) -> None:
    """Send the events of a component; nobody waits for them."""
    first = s.comp[i, k.K_ASYNC]
    for site in range(first, first + s.comp[i, k.K_ASYNCS]):
        for _ in range(_repeats(s, site)):
            _new_call(s, -1, site, 0)


@subroutine
def finish(s: State, j: int, why: int) -> None:
    """Answer a request that is inside a component: with success or with an error."""
    i = s.job[j, k.J_COMP]
    detach(s, j)
    s.job[j, k.J_FAIL] = why
    if why == k.OK:
        s.stat[i, k.Q_SERVED] += 1
        time = s.clock[k.NOW] - s.job_f[j, k.F_ARRIVE]
        s.stat_f[i, k.A_RESPONSE] += time
        if s.job[j, k.J_LOAD] < 0 and s.count[k.COUNTING]:
            observe(s, s.comp[i, k.K_HIST], time)
    else:
        s.stat[i, k.Q_FAILED] += 1
    answer(s, j)


@subroutine
def answer(s: State, j: int) -> None:
    """Carry the outcome of a request to who waits for it."""
    s.job[j, k.J_STATE] = k.ANSWERING
    load = s.job[j, k.J_LOAD]
    if load >= 0:
        _close_books(s, j, load)
        if s.load[load, k.L_USERS] > 0:
            think = s.load_f[load, k.L_THINK]
            code = pack(k.E_THINK, load, 0)
            if think > 0.0:
                schedule(s, s.clock[k.NOW] + think * exponential(s), code)
            else:
                now_do(s, code)
        free_job(s, j)
        return
    c = s.job[j, k.J_CALL]
    if c < 0:
        free_job(s, j)
        return
    latency = s.site_f[s.call[c, k.C_SITE], k.S_LATENCY]
    code = pack(k.E_ANSWER, j, s.job[j, k.J_GEN])
    if latency > 0.0:
        schedule(s, s.clock[k.NOW] + 0.5 * latency, code)
    else:
        now_do(s, code)


@subroutine
def _close_books(s: State, j: int, load: int) -> None:
    why = s.job[j, k.J_FAIL]
    time = s.clock[k.NOW] - s.job_f[j, k.F_ARRIVE]
    good = why == k.OK and time <= s.clock[k.OBJECTIVE]
    rows = s.flow.shape[0]
    if rows > 0:
        at = min(int(s.clock[k.NOW] / s.clock[k.DT]), rows - 1)
        s.flow[at, 1] += 1 if why == k.OK else 0
        s.flow[at, 2] += 1 if good else 0
    if s.job[j, k.J_COUNTED] == 0:
        return
    if why == k.OK:
        s.book[load, k.B_SERVED] += 1
        if good:
            s.book[load, k.B_GOOD] += 1
        observe(s, s.comp[s.load[load, k.L_ENTRY], k.K_HIST], time)
        observe(s, load, time)
    elif why == k.TIMED_OUT:
        s.book[load, k.B_TIMED_OUT] += 1
    elif why == k.REJECTED:
        s.book[load, k.B_REJECTED] += 1
    else:
        s.book[load, k.B_FAILED] += 1


@subroutine
def advance(s: State, j: int) -> None:
    """Start the next step of calls of a request, or answer it when there is none."""
    i = s.job[j, k.J_COMP]
    first, steps = s.comp[i, k.K_STEP], s.comp[i, k.K_STEPS]
    while s.job[j, k.J_STEP] < steps:
        at = first + s.job[j, k.J_STEP]
        s.job[j, k.J_STEP] += 1
        begin, n = s.step[at, 0], s.step[at, 1]
        pending = 0
        for site in range(begin, begin + n):
            repeats = _repeats(s, site)
            if repeats > 0:
                _new_call(s, j, site, repeats - 1)
                pending += 1
        if pending > 0:
            s.job[j, k.J_PENDING] = pending
            return
    finish(s, j, k.OK)


@subroutine
def drop_calls(s: State, j: int) -> None:
    """Give up all calls of a request that ends early; callees work on unless the call is cancelled."""
    c = s.job[j, k.J_CALLS]
    while c >= 0:
        nxt = s.call[c, k.C_NEXT]
        _orphan(s, c)
        _free_call(s, c)
        c = nxt


@subroutine
def _orphan(s: State, c: int) -> None:
    child = s.call[c, k.C_CHILD]
    if child >= 0:
        s.job[child, k.J_CALL] = -1
        s.call[c, k.C_CHILD] = -1
        if s.site[s.call[c, k.C_SITE], k.S_CANCEL] == 1:
            now_do(s, pack(k.E_CANCEL, child, s.job[child, k.J_GEN]))


@subroutine
def _pick_target(s: State, site: int) -> int:
    first, n = s.site[site, k.S_TARGET], s.site[site, k.S_TARGETS]
    if n == 1:
        return first
    policy = s.site[site, k.S_POLICY]
    if policy == 2:
        x, last = uniform(s), first
        for t in range(first, first + n):
            if s.target_f[t, k.T_WEIGHT] > 0.0:
                last = t
                x -= s.target_f[t, k.T_WEIGHT]
                if x < 0.0:
                    return t
        return last
    turn = s.site[site, k.S_TURN]
    s.site[site, k.S_TURN] = turn + 1 if turn + 1 < n else 0
    if policy != 3:
        return first + turn
    best = first + turn
    for step in range(1, n):
        t = first + (turn + step) % n
        if s.stat[s.target[t, k.T_COMP], k.Q_OPEN] < s.stat[s.target[best, k.T_COMP], k.Q_OPEN]:
            best = t
    return best


@subroutine
def _breaker_lets(s: State, c: int, t: int) -> bool:
    state = s.target[t, k.T_STATE]
    if state == 0:
        return True
    if state == 1 and s.clock[k.NOW] >= s.target_f[t, k.T_UNTIL]:
        state = 2
        s.target[t, k.T_STATE] = 2
        s.target[t, k.T_TRIAL] = 0
    if state == 2 and s.target[t, k.T_TRIAL] == 0:
        s.target[t, k.T_TRIAL] = 1
        s.call[c, k.C_TRIAL] = 1
        return True
    return False


@subroutine
def _breaker_learns(s: State, c: int, t: int, failed: bool) -> None:
    """Book the outcome of a try in a window of ten buckets and open or close the breaker."""
    if s.call[c, k.C_TRIAL] == 1:
        s.call[c, k.C_TRIAL] = 0
        s.target[t, k.T_TRIAL] = 0
        s.target[t, k.T_STATE] = 1 if failed else 0
        s.target_f[t, k.T_UNTIL] = s.clock[k.NOW] + s.target_f[t, k.T_OPEN]
        s.bucket[t] = 0
        return
    if s.target[t, k.T_STATE] != 0:
        return
    serial = int(s.clock[k.NOW] * k.BUCKETS / s.target_f[t, k.T_WINDOW])
    at = serial % k.BUCKETS
    if s.bucket[t, at, 0] != serial + 1:
        s.bucket[t, at, 0] = serial + 1
        s.bucket[t, at, 1] = 0
        s.bucket[t, at, 2] = 0
    s.bucket[t, at, 1] += 1
    s.bucket[t, at, 2] += 1 if failed else 0
    if not failed:
        return
    calls, errors = 0, 0
    for b in range(k.BUCKETS):
        if s.bucket[t, b, 0] > serial + 1 - k.BUCKETS:
            calls += s.bucket[t, b, 1]
            errors += s.bucket[t, b, 2]
    if calls >= s.target[t, k.T_MINIMUM] and errors >= s.target_f[t, k.T_SHARE] * calls:
        s.target[t, k.T_STATE] = 1
        s.target_f[t, k.T_UNTIL] = s.clock[k.NOW] + s.target_f[t, k.T_OPEN]
        s.bucket[t] = 0


@subroutine
def try_call(s: State, c: int) -> None:
    """Send a request to a callee."""
    site = s.call[c, k.C_SITE]
    t = _pick_target(s, site)
    s.call[c, k.C_EDGE] = t
    if s.call[c, k.C_TRIES] == 0 and s.site_f[site, k.S_BUDGET] >= 0.0:
        # the bucket holds ten retries, so that a budget limits bursts of retries as well as their long-run share
        s.site_f[site, k.S_TOKENS] = min(s.site_f[site, k.S_TOKENS] + s.site_f[site, k.S_BUDGET], 10.0)
    if s.site[site, k.S_BREAKER] == 1 and not _breaker_lets(s, c, t):
        _end_branch(s, c, k.BROKEN)
        return
    j = new_job(s, s.target[t, k.T_COMP], c, -1)
    s.job[j, k.J_EDGE] = t
    s.call[c, k.C_CHILD] = j
    now = s.clock[k.NOW]
    timeout, latency = s.site_f[site, k.S_TIMEOUT], s.site_f[site, k.S_LATENCY]
    if timeout > 0.0:
        schedule(s, now + timeout, pack(k.E_TIMEOUT, c, s.call[c, k.C_GEN]))
    if latency > 0.0:
        schedule(s, now + 0.5 * latency, pack(k.E_DELIVER, j, s.job[j, k.J_GEN]))
    else:
        now_do(s, pack(k.E_DELIVER, j, s.job[j, k.J_GEN]))


@subroutine
def resolve(s: State, c: int, why: int) -> None:
    """Take note of how a try ended: go on, try again, or give up."""
    site = s.call[c, k.C_SITE]
    if why == k.TIMED_OUT:
        target = s.target[s.call[c, k.C_EDGE], k.T_COMP]
        s.stat[target, k.Q_LOST] += 1
    _orphan(s, c)
    s.call[c, k.C_GEN] = (s.call[c, k.C_GEN] + 1) & k.GEN_MASK
    if s.site[site, k.S_BREAKER] == 1:
        _breaker_learns(s, c, s.call[c, k.C_EDGE], why != k.OK)
    if why == k.OK:
        if s.call[c, k.C_LEFT] > 0:
            s.call[c, k.C_LEFT] -= 1
            s.call[c, k.C_TRIES] = 0
            now_do(s, pack(k.E_TRY, c, s.call[c, k.C_GEN]))
        else:
            _end_branch(s, c, k.OK)
        return
    if s.call[c, k.C_TRIES] < s.site[site, k.S_RETRIES]:
        allowed = True
        if s.site_f[site, k.S_BUDGET] >= 0.0:
            allowed = s.site_f[site, k.S_TOKENS] >= 1.0
            if allowed:
                s.site_f[site, k.S_TOKENS] -= 1.0
        if allowed:
            s.call[c, k.C_TRIES] += 1
            code = pack(k.E_TRY, c, s.call[c, k.C_GEN])
            pause = s.site_f[site, k.S_BACKOFF]
            if pause > 0.0:
                schedule(s, s.clock[k.NOW] + backoff(s, pause), code)
            else:
                now_do(s, code)
            return
    _end_branch(s, c, why)


@subroutine
def _end_branch(s: State, c: int, why: int) -> None:
    j, site = s.call[c, k.C_JOB], s.call[c, k.C_SITE]
    if why != k.OK and s.site[site, k.S_REQUIRED] == 0 and s.call[c, k.C_LEFT] > 0:
        # the fallback stands in for this call only; the other calls of the site are still made
        s.call[c, k.C_LEFT] -= 1
        s.call[c, k.C_TRIES] = 0
        s.call[c, k.C_GEN] = (s.call[c, k.C_GEN] + 1) & k.GEN_MASK
        now_do(s, pack(k.E_TRY, c, s.call[c, k.C_GEN]))
        return
    _free_call(s, c)
    if j < 0:
        return
    if why != k.OK and s.site[site, k.S_REQUIRED] == 1:
        # a rejection deeper down is a failure of this request, not a rejection of it
        s.job[j, k.J_FAIL] = k.TIMED_OUT if why == k.TIMED_OUT else k.FAILED
    s.job[j, k.J_PENDING] -= 1
    if s.job[j, k.J_PENDING] == 0:
        touch(s, s.job[j, k.J_COMP])
        if s.job[j, k.J_FAIL] != k.OK:
            finish(s, j, s.job[j, k.J_FAIL])
        else:
            advance(s, j)
