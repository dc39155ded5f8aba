"""Stations of the event simulation: admission, queues, servers, replicas, statistics."""

from __future__ import annotations

import math

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import State
from fea_arch.simulation.event_queue import draw, exponential, pack, schedule, uniform
from fea_arch.simulation.sharing import join, leave

__all__ = ["begin", "detach", "free_job", "new_job", "observe", "pick_replica", "release", "touch", "unqueue"]


@subroutine
def touch(s: State, i: int) -> None:
    """Bring the time integrals of a component up to now; call before its numbers change."""
    dt = s.clock[k.NOW] - s.stat_f[i, k.A_TIME]
    if dt > 0.0:
        s.stat_f[i, k.A_OWN] += dt * s.stat[i, k.Q_OWN]
        s.stat_f[i, k.A_OPEN] += dt * s.stat[i, k.Q_OPEN]
        s.stat_f[i, k.A_BUSY] += dt * s.stat[i, k.Q_BUSY]
        s.stat_f[i, k.A_TIME] = s.clock[k.NOW]


@subroutine
def observe(s: State, row: int, time: float) -> None:
    """Count a response time in a histogram row."""
    if row < 0:
        return
    at = 0
    if time > 0.0:
        at = int(k.HIST_PER_OCTAVE * (math.log2(time) - k.HIST_LOW))
        at = min(max(at, 0), k.HIST_BINS - 1)
    s.hist[row, at] += 1


@subroutine
def new_job(s: State, comp: int, call: int, load: int) -> int:
    """Take a request from the pool."""
    j = s.count[k.FREE_JOB]
    s.count[k.FREE_JOB] = s.job[j, k.J_NEXT]
    s.count[k.JOBS] += 1
    s.job[j, k.J_COMP] = comp
    s.job[j, k.J_REP] = -1
    s.job[j, k.J_CALL] = call
    s.job[j, k.J_LOAD] = load
    s.job[j, k.J_STATE] = k.TRANSIT
    s.job[j, k.J_STEP] = 0
    s.job[j, k.J_PENDING] = 0
    s.job[j, k.J_CALLS] = -1
    s.job[j, k.J_FAIL] = 0
    s.job[j, k.J_HOLD] = 0
    s.job[j, k.J_EDGE] = -1
    s.job[j, k.J_COUNTED] = s.count[k.COUNTING]
    s.job[j, k.J_POOL] = -1
    s.job_f[j, k.F_ARRIVE] = s.clock[k.NOW]
    return j


@subroutine
def free_job(s: State, j: int) -> None:
    """Give a request back to the pool; its events become stale."""
    s.job[j, k.J_GEN] = (s.job[j, k.J_GEN] + 1) & k.GEN_MASK
    s.job[j, k.J_NEXT] = s.count[k.FREE_JOB]
    s.count[k.FREE_JOB] = j
    s.count[k.JOBS] -= 1


@subroutine
def pick_replica(s: State, i: int) -> int:
    """Choose a replica that is up by the balancing policy, -1 if there is none."""
    first, n = s.comp[i, k.K_REP], s.comp[i, k.K_REPLICAS]
    if n == 1:
        return first if s.rep[first, k.R_DOWN] == 0 else -1
    policy = s.comp[i, k.K_BALANCING]
    if policy == 1:
        start = min(int(uniform(s) * n), n - 1)
    else:
        start = s.comp[i, k.K_TURN]
        s.comp[i, k.K_TURN] = start + 1 if start + 1 < n else 0
    best, least = -1, 0
    for step in range(n):
        at = start + step
        r = first + (at - n if at >= n else at)
        if s.rep[r, k.R_DOWN] != 0:
            continue
        if policy != 2:
            return r
        if best < 0 or s.rep[r, k.R_OPEN] < least:
            best, least = r, s.rep[r, k.R_OPEN]
    return best


@subroutine
def begin(s: State, j: int) -> None:
    """Start the own service of a request that has a server."""
    i, r = s.job[j, k.J_COMP], s.job[j, k.J_REP]
    mean = s.comp_f[i, k.K_SERVICE]
    time = draw(s, mean, s.comp_f[i, k.K_SCV], s.comp_f[i, k.K_BRANCH])
    s.job_f[j, k.F_DRAW] = time
    if s.rep[r, k.R_POOL] >= 0:
        s.job[j, k.J_STATE] = k.SHARING
        join(s, s.rep[r, k.R_POOL], j, time)
        return
    s.job[j, k.J_HOLD] = 1
    s.rep[r, k.R_BUSY] += 1
    s.stat[i, k.Q_BUSY] += 1
    s.job[j, k.J_STATE] = k.SERVING
    now = s.clock[k.NOW]
    if s.comp[i, k.K_HOST] >= 0:
        # the part that is no CPU time passes first, then the host is visited
        cpu = time * s.comp_f[i, k.K_CPU_SHARE]
        s.job_f[j, k.F_WORK] = cpu
        rest = (time - cpu) * s.comp_f[i, k.K_SLOW]
        if rest > 0.0:
            schedule(s, now + rest, pack(k.E_STEP, j, s.job[j, k.J_GEN]))
        else:
            s.job[j, k.J_STATE] = k.SHARING
            join(s, s.comp[i, k.K_HOST], j, cpu)
        return
    schedule(s, now + time * s.comp_f[i, k.K_SLOW], pack(k.E_SERVED, j, s.job[j, k.J_GEN]))


@subroutine
def release(s: State, j: int) -> None:
    """Give the server of a request back and start the next one in line."""
    if s.job[j, k.J_HOLD] == 0:
        return
    i, r = s.job[j, k.J_COMP], s.job[j, k.J_REP]
    s.job[j, k.J_HOLD] = 0
    s.rep[r, k.R_BUSY] -= 1
    s.stat[i, k.Q_BUSY] -= 1
    while (
        s.rep[r, k.R_HEAD] >= 0 and s.rep[r, k.R_BUSY] < s.rep[r, k.R_SERVERS] and s.rep[r, k.R_DOWN] == 0
    ):
        nxt = s.rep[r, k.R_HEAD]
        unqueue(s, nxt)
        begin(s, nxt)


@subroutine
def unqueue(s: State, j: int) -> None:
    """Take a request out of the waiting line of its replica."""
    r = s.job[j, k.J_REP]
    before, after = s.job[j, k.J_PREV], s.job[j, k.J_NEXT]
    if before >= 0:
        s.job[before, k.J_NEXT] = after
    else:
        s.rep[r, k.R_HEAD] = after
    if after >= 0:
        s.job[after, k.J_PREV] = before
    else:
        s.rep[r, k.R_TAIL] = before
    s.rep[r, k.R_QUEUED] -= 1


@subroutine
def enter(s: State, j: int, r: int) -> None:
    """Let a request into a replica: serve it or put it in line."""
    i = s.job[j, k.J_COMP]
    s.job[j, k.J_REP] = r
    s.stat[i, k.Q_OWN] += 1
    s.stat[i, k.Q_OPEN] += 1
    s.rep[r, k.R_OPEN] += 1
    head = s.rep[r, k.R_MEMBERS]
    s.job[j, k.J_MNEXT] = head
    s.job[j, k.J_MPREV] = -1
    if head >= 0:
        s.job[head, k.J_MPREV] = j
    s.rep[r, k.R_MEMBERS] = j
    if s.rep[r, k.R_POOL] >= 0 or s.rep[r, k.R_BUSY] < s.rep[r, k.R_SERVERS]:
        begin(s, j)
        return
    s.job[j, k.J_STATE] = k.QUEUED
    tail = s.rep[r, k.R_TAIL]
    s.job[j, k.J_NEXT] = -1
    s.job[j, k.J_PREV] = tail
    if tail >= 0:
        s.job[tail, k.J_NEXT] = j
    else:
        s.rep[r, k.R_HEAD] = j
    s.rep[r, k.R_TAIL] = j
    s.rep[r, k.R_QUEUED] += 1


@subroutine
def admit(s: State, j: int) -> int:
    """Decide on admission; return the replica or -1 when the request is turned away."""
    i = s.job[j, k.J_COMP]
    if s.comp[i, k.K_AVAILABLE] == 0:
        return -1
    limit = s.comp_f[i, k.K_RATE_LIMIT]
    if limit > 0.0:
        # token bucket that holds the tokens of one second, at least one
        tokens = s.comp_f[i, k.K_TOKENS] + limit * (s.clock[k.NOW] - s.comp_f[i, k.K_TOKEN_TIME])
        s.comp_f[i, k.K_TOKEN_TIME] = s.clock[k.NOW]
        tokens = min(tokens, max(limit, 1.0))
        s.comp_f[i, k.K_TOKENS] = tokens
        if tokens < 1.0:
            return -1
        s.comp_f[i, k.K_TOKENS] = tokens - 1.0
    r = pick_replica(s, i)
    if r < 0:
        return -1
    capacity = s.comp[i, k.K_CAPACITY]
    if capacity >= 0:
        if s.rep[r, k.R_POOL] >= 0:
            if s.pool[s.rep[r, k.R_POOL], k.P_N] >= s.rep[r, k.R_SERVERS] + capacity:
                return -1
        elif s.rep[r, k.R_BUSY] >= s.rep[r, k.R_SERVERS] and s.rep[r, k.R_QUEUED] >= capacity:
            return -1
    return r


@subroutine
def out_of_memory(s: State, r: int) -> bool:
    """Tell whether a replica has reached its memory limit."""
    i = s.rep[r, k.R_COMP]
    limit = s.comp_f[i, k.K_LIMIT]
    return limit > 0.0 and s.comp_f[i, k.K_RESIDENT] + s.comp_f[i, k.K_PER_REQUEST] * s.rep[r, k.R_OPEN] >= limit


@subroutine
def detach(s: State, j: int) -> None:
    """Take a request out of its component, wherever it is in its life there."""
    i, r, state = s.job[j, k.J_COMP], s.job[j, k.J_REP], s.job[j, k.J_STATE]
    touch(s, i)
    if state == k.QUEUED:
        unqueue(s, j)
    elif state == k.SHARING:
        leave(s, s.job[j, k.J_POOL], j)
    if state == k.QUEUED or state == k.SHARING or state == k.SERVING:
        s.stat[i, k.Q_OWN] -= 1
    s.job[j, k.J_GEN] = (s.job[j, k.J_GEN] + 1) & k.GEN_MASK
    s.stat[i, k.Q_OPEN] -= 1
    s.rep[r, k.R_OPEN] -= 1
    before, after = s.job[j, k.J_MPREV], s.job[j, k.J_MNEXT]
    if before >= 0:
        s.job[before, k.J_MNEXT] = after
    else:
        s.rep[r, k.R_MEMBERS] = after
    if after >= 0:
        s.job[after, k.J_MPREV] = before
    release(s, j)
    s.job[j, k.J_STATE] = k.ANSWERING


@subroutine
def backoff(s: State, mean: float) -> float:
    """Draw the pause before a retry: exponential, so that retries do not arrive in step."""
    return mean * exponential(s)
