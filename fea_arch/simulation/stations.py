"""Stations of the event simulation: admission, queues, servers, replicas, statistics."""

from __future__ import annotations

import math

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import Floats, Ints
from fea_arch.simulation.event_queue import draw, exponential, pack, schedule, uniform
from fea_arch.simulation.sharing import join, leave

__all__ = ["begin", "detach", "free_job", "new_job", "observe", "pick_replica", "release", "touch", "unqueue"]


@subroutine
def touch(I: Ints, F: Floats, i: int) -> None:
    """Bring the time integrals of a component up to now; call before its numbers change."""
    stat_f_i = I[k.STAT_F] + k.N_STAT_F * i
    stat_i = I[k.STAT] + k.N_STAT * i
    dt = F[k.NOW] - F[stat_f_i + k.A_TIME]
    if dt > 0.0:
        F[stat_f_i + k.A_OWN] += dt * I[stat_i + k.Q_OWN]
        F[stat_f_i + k.A_OPEN] += dt * I[stat_i + k.Q_OPEN]
        F[stat_f_i + k.A_BUSY] += dt * I[stat_i + k.Q_BUSY]
        F[stat_f_i + k.A_TIME] = F[k.NOW]


@subroutine
def observe(I: Ints, F: Floats, row: int, time: float) -> None:
    """Count a response time in a histogram row."""
    if row < 0:
        return
    at = 0
    if time > 0.0:
        at = int(k.HIST_PER_OCTAVE * (math.log2(time) - k.HIST_LOW))
        at = min(max(at, 0), k.HIST_BINS - 1)
    I[I[k.HIST] + k.HIST_BINS * row + at] += 1


@subroutine
def new_job(I: Ints, F: Floats, comp: int, call: int, load: int) -> int:
    """Take a request from the pool."""
    j = I[k.FREE_JOB]
    job_j = I[k.JOB] + k.N_JOB * j
    I[k.FREE_JOB] = I[job_j + k.J_NEXT]
    I[k.JOBS] += 1
    I[job_j + k.J_COMP] = comp
    I[job_j + k.J_REP] = -1
    I[job_j + k.J_CALL] = call
    I[job_j + k.J_LOAD] = load
    I[job_j + k.J_STATE] = k.TRANSIT
    I[job_j + k.J_STEP] = 0
    I[job_j + k.J_PENDING] = 0
    I[job_j + k.J_CALLS] = -1
    I[job_j + k.J_FAIL] = 0
    I[job_j + k.J_HOLD] = 0
    I[job_j + k.J_EDGE] = -1
    I[job_j + k.J_COUNTED] = I[k.COUNTING]
    I[job_j + k.J_POOL] = -1
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE] = F[k.NOW]
    return int(j)


@subroutine
def free_job(I: Ints, F: Floats, j: int) -> None:
    """Give a request back to the pool; its events become stale."""
    job_j = I[k.JOB] + k.N_JOB * j
    I[job_j + k.J_GEN] = (I[job_j + k.J_GEN] + 1) & k.GEN_MASK
    I[job_j + k.J_NEXT] = I[k.FREE_JOB]
    I[k.FREE_JOB] = j
    I[k.JOBS] -= 1


@subroutine
def pick_replica(I: Ints, F: Floats, i: int) -> int:
    """Choose a replica that is up by the balancing policy, -1 if there is none."""
    comp_i = I[k.COMP] + k.N_COMP * i
    first, n = I[comp_i + k.K_REP], I[comp_i + k.K_REPLICAS]
    if n == 1:
        return first if I[I[k.REP] + k.N_REP * first + k.R_DOWN] == 0 else -1
    policy = I[comp_i + k.K_BALANCING]
    if policy == 1:
        start = min(int(uniform(I, F) * n), n - 1)
    else:
        start = I[comp_i + k.K_TURN]
        I[comp_i + k.K_TURN] = start + 1 if start + 1 < n else 0
    best, least = -1, 0
    for step in range(n):
        at = start + step
        r = first + (at - n if at >= n else at)
        if I[I[k.REP] + k.N_REP * r + k.R_DOWN] != 0:
            continue
        if policy != 2:
            return int(r)
        if best < 0 or I[I[k.REP] + k.N_REP * r + k.R_OPEN] < least:
            best, least = r, I[I[k.REP] + k.N_REP * r + k.R_OPEN]
    return best


@subroutine
def begin(I: Ints, F: Floats, j: int) -> None:
    """Start the own service of a request that has a server."""
    job_f_j = I[k.JOB_F] + k.N_JOB_F * j
    job_j = I[k.JOB] + k.N_JOB * j
    i, r = I[job_j + k.J_COMP], I[job_j + k.J_REP]
    rep_r = I[k.REP] + k.N_REP * r
    comp_f_i = I[k.COMP_F] + k.N_COMP_F * i
    comp_i = I[k.COMP] + k.N_COMP * i
    mean = F[comp_f_i + k.K_SERVICE]
    time = draw(I, F, mean, F[comp_f_i + k.K_SCV], F[comp_f_i + k.K_BRANCH])
    F[job_f_j + k.F_DRAW] = time
    I[job_j + k.J_HOLD] = 1
    I[rep_r + k.R_BUSY] += 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_BUSY] += 1
    if I[rep_r + k.R_POOL] >= 0:
        I[job_j + k.J_STATE] = k.SHARING
        join(I, F, I[rep_r + k.R_POOL], j, time)
        return
    I[job_j + k.J_STATE] = k.SERVING
    now = F[k.NOW]
    if I[comp_i + k.K_HOST] >= 0:
        # the part that is no CPU time passes first, then the host is visited
        cpu = time * F[comp_f_i + k.K_CPU_SHARE]
        F[job_f_j + k.F_WORK] = cpu
        rest = (time - cpu) * F[comp_f_i + k.K_SLOW]
        if rest > 0.0:
            schedule(I, F, now + rest, pack(k.E_STEP, j, I[job_j + k.J_GEN]))
        else:
            I[job_j + k.J_STATE] = k.SHARING
            join(I, F, I[comp_i + k.K_HOST], j, cpu)
        return
    schedule(
        I,
        F,
        now + time * F[comp_f_i + k.K_SLOW],
        pack(k.E_SERVED, j, I[job_j + k.J_GEN]),
    )


@subroutine
def release(I: Ints, F: Floats, j: int) -> None:
    """Give the server of a request back and start the next one in line."""
    job_j = I[k.JOB] + k.N_JOB * j
    if I[job_j + k.J_HOLD] == 0:
        return
    i, r = I[job_j + k.J_COMP], I[job_j + k.J_REP]
    rep_r = I[k.REP] + k.N_REP * r
    I[job_j + k.J_HOLD] = 0
    I[rep_r + k.R_BUSY] -= 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_BUSY] -= 1
    while I[rep_r + k.R_HEAD] >= 0 and I[rep_r + k.R_BUSY] < I[rep_r + k.R_SERVERS] and I[rep_r + k.R_DOWN] == 0:
        nxt = I[rep_r + k.R_HEAD]
        unqueue(I, F, nxt)
        begin(I, F, nxt)


@subroutine
def unqueue(I: Ints, F: Floats, j: int) -> None:
    """Take a request out of the waiting line of its replica."""
    job_j = I[k.JOB] + k.N_JOB * j
    r = I[job_j + k.J_REP]
    rep_r = I[k.REP] + k.N_REP * r
    before, after = I[job_j + k.J_PREV], I[job_j + k.J_NEXT]
    if before >= 0:
        I[I[k.JOB] + k.N_JOB * before + k.J_NEXT] = after
    else:
        I[rep_r + k.R_HEAD] = after
    if after >= 0:
        I[I[k.JOB] + k.N_JOB * after + k.J_PREV] = before
    else:
        I[rep_r + k.R_TAIL] = before
    I[rep_r + k.R_QUEUED] -= 1


@subroutine
def enter(I: Ints, F: Floats, j: int, r: int) -> None:
    """Let a request into a replica: serve it or put it in line."""
    rep_r = I[k.REP] + k.N_REP * r
    job_j = I[k.JOB] + k.N_JOB * j
    i = I[job_j + k.J_COMP]
    stat_i = I[k.STAT] + k.N_STAT * i
    I[job_j + k.J_REP] = r
    I[stat_i + k.Q_OWN] += 1
    I[stat_i + k.Q_OPEN] += 1
    I[rep_r + k.R_OPEN] += 1
    head = I[rep_r + k.R_MEMBERS]
    I[job_j + k.J_MNEXT] = head
    I[job_j + k.J_MPREV] = -1
    if head >= 0:
        I[I[k.JOB] + k.N_JOB * head + k.J_MPREV] = j
    I[rep_r + k.R_MEMBERS] = j
    if I[rep_r + k.R_BUSY] < I[rep_r + k.R_SERVERS]:
        begin(I, F, j)
        return
    I[job_j + k.J_STATE] = k.QUEUED
    tail = I[rep_r + k.R_TAIL]
    I[job_j + k.J_NEXT] = -1
    I[job_j + k.J_PREV] = tail
    if tail >= 0:
        I[I[k.JOB] + k.N_JOB * tail + k.J_NEXT] = j
    else:
        I[rep_r + k.R_HEAD] = j
    I[rep_r + k.R_TAIL] = j
    I[rep_r + k.R_QUEUED] += 1


@subroutine
def admit(I: Ints, F: Floats, j: int) -> int:
    """Decide on admission; return the replica or -1 when the request is turned away."""
    i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
    comp_f_i = I[k.COMP_F] + k.N_COMP_F * i
    comp_i = I[k.COMP] + k.N_COMP * i
    if I[comp_i + k.K_AVAILABLE] == 0:
        return -1
    limit = F[comp_f_i + k.K_RATE_LIMIT]
    if limit > 0.0:
        # token bucket that holds the tokens of one second, at least one
        tokens = F[comp_f_i + k.K_TOKENS] + limit * (F[k.NOW] - F[comp_f_i + k.K_TOKEN_TIME])
        F[comp_f_i + k.K_TOKEN_TIME] = F[k.NOW]
        tokens = min(tokens, max(limit, 1.0))
        F[comp_f_i + k.K_TOKENS] = tokens
        if tokens < 1.0:
            return -1
        F[comp_f_i + k.K_TOKENS] = tokens - 1.0
    r = pick_replica(I, F, i)
    rep_r = I[k.REP] + k.N_REP * r
    if r < 0:
        return -1
    capacity = I[comp_i + k.K_CAPACITY]
    if capacity >= 0 and I[rep_r + k.R_BUSY] >= I[rep_r + k.R_SERVERS] and I[rep_r + k.R_QUEUED] >= capacity:
        return -1
    return r


@subroutine
def out_of_memory(I: Ints, F: Floats, r: int) -> bool:
    """Tell whether a replica has reached its memory limit."""
    rep_r = I[k.REP] + k.N_REP * r
    i = I[rep_r + k.R_COMP]
    comp_f_i = I[k.COMP_F] + k.N_COMP_F * i
    limit = F[comp_f_i + k.K_LIMIT]
    used = F[comp_f_i + k.K_RESIDENT] + F[comp_f_i + k.K_PER_REQUEST] * I[rep_r + k.R_OPEN]
    return bool(limit > 0.0 and used >= limit)


@subroutine
def detach(I: Ints, F: Floats, j: int) -> None:
    """Take a request out of its component, wherever it is in its life there."""
    job_j = I[k.JOB] + k.N_JOB * j
    i, r, state = (
        I[job_j + k.J_COMP],
        I[job_j + k.J_REP],
        I[job_j + k.J_STATE],
    )
    rep_r = I[k.REP] + k.N_REP * r
    stat_i = I[k.STAT] + k.N_STAT * i
    touch(I, F, i)
    if state == k.QUEUED:
        unqueue(I, F, j)
    elif state == k.SHARING:
        leave(I, F, I[job_j + k.J_POOL], j)
    if state == k.QUEUED or state == k.SHARING or state == k.SERVING:
        I[stat_i + k.Q_OWN] -= 1
    I[job_j + k.J_GEN] = (I[job_j + k.J_GEN] + 1) & k.GEN_MASK
    I[stat_i + k.Q_OPEN] -= 1
    I[rep_r + k.R_OPEN] -= 1
    before, after = I[job_j + k.J_MPREV], I[job_j + k.J_MNEXT]
    if before >= 0:
        I[I[k.JOB] + k.N_JOB * before + k.J_MNEXT] = after
    else:
        I[rep_r + k.R_MEMBERS] = after
    if after >= 0:
        I[I[k.JOB] + k.N_JOB * after + k.J_MPREV] = before
    release(I, F, j)
    I[job_j + k.J_STATE] = k.ANSWERING


@subroutine
def backoff(I: Ints, F: Floats, mean: float) -> float:
    """Draw the pause before a retry: exponential, so that retries do not arrive in step."""
    return mean * exponential(I, F)
