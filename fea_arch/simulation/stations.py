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
    dt = F[k.NOW] - F[I[k.STAT_F] + k.N_STAT_F * i + k.A_TIME]
    if dt > 0.0:
        F[I[k.STAT_F] + k.N_STAT_F * i + k.A_OWN] += dt * I[I[k.STAT] + k.N_STAT * i + k.Q_OWN]
        F[I[k.STAT_F] + k.N_STAT_F * i + k.A_OPEN] += dt * I[I[k.STAT] + k.N_STAT * i + k.Q_OPEN]
        F[I[k.STAT_F] + k.N_STAT_F * i + k.A_BUSY] += dt * I[I[k.STAT] + k.N_STAT * i + k.Q_BUSY]
        F[I[k.STAT_F] + k.N_STAT_F * i + k.A_TIME] = F[k.NOW]


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
    I[k.FREE_JOB] = I[I[k.JOB] + k.N_JOB * j + k.J_NEXT]
    I[k.JOBS] += 1
    I[I[k.JOB] + k.N_JOB * j + k.J_COMP] = comp
    I[I[k.JOB] + k.N_JOB * j + k.J_REP] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_CALL] = call
    I[I[k.JOB] + k.N_JOB * j + k.J_LOAD] = load
    I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.TRANSIT
    I[I[k.JOB] + k.N_JOB * j + k.J_STEP] = 0
    I[I[k.JOB] + k.N_JOB * j + k.J_PENDING] = 0
    I[I[k.JOB] + k.N_JOB * j + k.J_CALLS] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_FAIL] = 0
    I[I[k.JOB] + k.N_JOB * j + k.J_HOLD] = 0
    I[I[k.JOB] + k.N_JOB * j + k.J_EDGE] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_COUNTED] = I[k.COUNTING]
    I[I[k.JOB] + k.N_JOB * j + k.J_POOL] = -1
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE] = F[k.NOW]
    return j


@subroutine
def free_job(I: Ints, F: Floats, j: int) -> None:
    """Give a request back to the pool; its events become stale."""
    I[I[k.JOB] + k.N_JOB * j + k.J_GEN] = (I[I[k.JOB] + k.N_JOB * j + k.J_GEN] + 1) & k.GEN_MASK
    I[I[k.JOB] + k.N_JOB * j + k.J_NEXT] = I[k.FREE_JOB]
    I[k.FREE_JOB] = j
    I[k.JOBS] -= 1


@subroutine
def pick_replica(I: Ints, F: Floats, i: int) -> int:
    """Choose a replica that is up by the balancing policy, -1 if there is none."""
    first, n = I[I[k.COMP] + k.N_COMP * i + k.K_REP], I[I[k.COMP] + k.N_COMP * i + k.K_REPLICAS]
    if n == 1:
        return first if I[I[k.REP] + k.N_REP * first + k.R_DOWN] == 0 else -1
    policy = I[I[k.COMP] + k.N_COMP * i + k.K_BALANCING]
    if policy == 1:
        start = min(int(uniform(I, F) * n), n - 1)
    else:
        start = I[I[k.COMP] + k.N_COMP * i + k.K_TURN]
        I[I[k.COMP] + k.N_COMP * i + k.K_TURN] = start + 1 if start + 1 < n else 0
    best, least = -1, 0
    for step in range(n):
        at = start + step
        r = first + (at - n if at >= n else at)
        if I[I[k.REP] + k.N_REP * r + k.R_DOWN] != 0:
            continue
        if policy != 2:
            return r
        if best < 0 or I[I[k.REP] + k.N_REP * r + k.R_OPEN] < least:
            best, least = r, I[I[k.REP] + k.N_REP * r + k.R_OPEN]
    return best


@subroutine
def begin(I: Ints, F: Floats, j: int) -> None:
    """Start the own service of a request that has a server."""
    i, r = I[I[k.JOB] + k.N_JOB * j + k.J_COMP], I[I[k.JOB] + k.N_JOB * j + k.J_REP]
    mean = F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SERVICE]
    time = draw(I, F, mean, F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SCV], F[I[k.COMP_F] + k.N_COMP_F * i + k.K_BRANCH])
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_DRAW] = time
    if I[I[k.REP] + k.N_REP * r + k.R_POOL] >= 0:
        I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.SHARING
        join(I, F, I[I[k.REP] + k.N_REP * r + k.R_POOL], j, time)
        return
    I[I[k.JOB] + k.N_JOB * j + k.J_HOLD] = 1
    I[I[k.REP] + k.N_REP * r + k.R_BUSY] += 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_BUSY] += 1
    I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.SERVING
    now = F[k.NOW]
    if I[I[k.COMP] + k.N_COMP * i + k.K_HOST] >= 0:
        # the part that is no CPU time passes first, then the host is visited
        cpu = time * F[I[k.COMP_F] + k.N_COMP_F * i + k.K_CPU_SHARE]
        F[I[k.JOB_F] + k.N_JOB_F * j + k.F_WORK] = cpu
        rest = (time - cpu) * F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SLOW]
        if rest > 0.0:
            schedule(I, F, now + rest, pack(k.E_STEP, j, I[I[k.JOB] + k.N_JOB * j + k.J_GEN]))
        else:
            I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.SHARING
            join(I, F, I[I[k.COMP] + k.N_COMP * i + k.K_HOST], j, cpu)
        return
    schedule(
        I,
        F,
        now + time * F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SLOW],
        pack(k.E_SERVED, j, I[I[k.JOB] + k.N_JOB * j + k.J_GEN]),
    )


@subroutine
def release(I: Ints, F: Floats, j: int) -> None:
    """Give the server of a request back and start the next one in line."""
    if I[I[k.JOB] + k.N_JOB * j + k.J_HOLD] == 0:
        return
    i, r = I[I[k.JOB] + k.N_JOB * j + k.J_COMP], I[I[k.JOB] + k.N_JOB * j + k.J_REP]
    I[I[k.JOB] + k.N_JOB * j + k.J_HOLD] = 0
    I[I[k.REP] + k.N_REP * r + k.R_BUSY] -= 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_BUSY] -= 1
    while (
        I[I[k.REP] + k.N_REP * r + k.R_HEAD] >= 0
        and I[I[k.REP] + k.N_REP * r + k.R_BUSY] < I[I[k.REP] + k.N_REP * r + k.R_SERVERS]
        and I[I[k.REP] + k.N_REP * r + k.R_DOWN] == 0
    ):
        nxt = I[I[k.REP] + k.N_REP * r + k.R_HEAD]
        unqueue(I, F, nxt)
        begin(I, F, nxt)


@subroutine
def unqueue(I: Ints, F: Floats, j: int) -> None:
    """Take a request out of the waiting line of its replica."""
    r = I[I[k.JOB] + k.N_JOB * j + k.J_REP]
    before, after = I[I[k.JOB] + k.N_JOB * j + k.J_PREV], I[I[k.JOB] + k.N_JOB * j + k.J_NEXT]
    if before >= 0:
        I[I[k.JOB] + k.N_JOB * before + k.J_NEXT] = after
    else:
        I[I[k.REP] + k.N_REP * r + k.R_HEAD] = after
    if after >= 0:
        I[I[k.JOB] + k.N_JOB * after + k.J_PREV] = before
    else:
        I[I[k.REP] + k.N_REP * r + k.R_TAIL] = before
    I[I[k.REP] + k.N_REP * r + k.R_QUEUED] -= 1


@subroutine
def enter(I: Ints, F: Floats, j: int, r: int) -> None:
    """Let a request into a replica: serve it or put it in line."""
    i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
    I[I[k.JOB] + k.N_JOB * j + k.J_REP] = r
    I[I[k.STAT] + k.N_STAT * i + k.Q_OWN] += 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_OPEN] += 1
    I[I[k.REP] + k.N_REP * r + k.R_OPEN] += 1
    head = I[I[k.REP] + k.N_REP * r + k.R_MEMBERS]
    I[I[k.JOB] + k.N_JOB * j + k.J_MNEXT] = head
    I[I[k.JOB] + k.N_JOB * j + k.J_MPREV] = -1
    if head >= 0:
        I[I[k.JOB] + k.N_JOB * head + k.J_MPREV] = j
    I[I[k.REP] + k.N_REP * r + k.R_MEMBERS] = j
    if (
        I[I[k.REP] + k.N_REP * r + k.R_POOL] >= 0
        or I[I[k.REP] + k.N_REP * r + k.R_BUSY] < I[I[k.REP] + k.N_REP * r + k.R_SERVERS]
    ):
        begin(I, F, j)
        return
    I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.QUEUED
    tail = I[I[k.REP] + k.N_REP * r + k.R_TAIL]
    I[I[k.JOB] + k.N_JOB * j + k.J_NEXT] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_PREV] = tail
    if tail >= 0:
        I[I[k.JOB] + k.N_JOB * tail + k.J_NEXT] = j
    else:
        I[I[k.REP] + k.N_REP * r + k.R_HEAD] = j
    I[I[k.REP] + k.N_REP * r + k.R_TAIL] = j
    I[I[k.REP] + k.N_REP * r + k.R_QUEUED] += 1


@subroutine
def admit(I: Ints, F: Floats, j: int) -> int:
    """Decide on admission; return the replica or -1 when the request is turned away."""
    i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
    if I[I[k.COMP] + k.N_COMP * i + k.K_AVAILABLE] == 0:
        return -1
    limit = F[I[k.COMP_F] + k.N_COMP_F * i + k.K_RATE_LIMIT]
    if limit > 0.0:
        # token bucket that holds the tokens of one second, at least one
        tokens = F[I[k.COMP_F] + k.N_COMP_F * i + k.K_TOKENS] + limit * (
            F[k.NOW] - F[I[k.COMP_F] + k.N_COMP_F * i + k.K_TOKEN_TIME]
        )
        F[I[k.COMP_F] + k.N_COMP_F * i + k.K_TOKEN_TIME] = F[k.NOW]
        tokens = min(tokens, max(limit, 1.0))
        F[I[k.COMP_F] + k.N_COMP_F * i + k.K_TOKENS] = tokens
        if tokens < 1.0:
            return -1
        F[I[k.COMP_F] + k.N_COMP_F * i + k.K_TOKENS] = tokens - 1.0
    r = pick_replica(I, F, i)
    if r < 0:
        return -1
    capacity = I[I[k.COMP] + k.N_COMP * i + k.K_CAPACITY]
    if capacity >= 0:
        if I[I[k.REP] + k.N_REP * r + k.R_POOL] >= 0:
            if (
                I[I[k.POOL] + k.N_POOL * (I[I[k.REP] + k.N_REP * r + k.R_POOL]) + k.P_N]
                >= I[I[k.REP] + k.N_REP * r + k.R_SERVERS] + capacity
            ):
                return -1
        elif (
            I[I[k.REP] + k.N_REP * r + k.R_BUSY] >= I[I[k.REP] + k.N_REP * r + k.R_SERVERS]
            and I[I[k.REP] + k.N_REP * r + k.R_QUEUED] >= capacity
        ):
            return -1
    return r


@subroutine
def out_of_memory(I: Ints, F: Floats, r: int) -> bool:
    """Tell whether a replica has reached its memory limit."""
    i = I[I[k.REP] + k.N_REP * r + k.R_COMP]
    limit = F[I[k.COMP_F] + k.N_COMP_F * i + k.K_LIMIT]
    return (
        limit > 0.0
        and F[I[k.COMP_F] + k.N_COMP_F * i + k.K_RESIDENT]
        + F[I[k.COMP_F] + k.N_COMP_F * i + k.K_PER_REQUEST] * I[I[k.REP] + k.N_REP * r + k.R_OPEN]
        >= limit
    )


@subroutine
def detach(I: Ints, F: Floats, j: int) -> None:
    """Take a request out of its component, wherever it is in its life there."""
    i, r, state = (
        I[I[k.JOB] + k.N_JOB * j + k.J_COMP],
        I[I[k.JOB] + k.N_JOB * j + k.J_REP],
        I[I[k.JOB] + k.N_JOB * j + k.J_STATE],
    )
    touch(I, F, i)
    if state == k.QUEUED:
        unqueue(I, F, j)
    elif state == k.SHARING:
        leave(I, F, I[I[k.JOB] + k.N_JOB * j + k.J_POOL], j)
    if state == k.QUEUED or state == k.SHARING or state == k.SERVING:
        I[I[k.STAT] + k.N_STAT * i + k.Q_OWN] -= 1
    I[I[k.JOB] + k.N_JOB * j + k.J_GEN] = (I[I[k.JOB] + k.N_JOB * j + k.J_GEN] + 1) & k.GEN_MASK
    I[I[k.STAT] + k.N_STAT * i + k.Q_OPEN] -= 1
    I[I[k.REP] + k.N_REP * r + k.R_OPEN] -= 1
    before, after = I[I[k.JOB] + k.N_JOB * j + k.J_MPREV], I[I[k.JOB] + k.N_JOB * j + k.J_MNEXT]
    if before >= 0:
        I[I[k.JOB] + k.N_JOB * before + k.J_MNEXT] = after
    else:
        I[I[k.REP] + k.N_REP * r + k.R_MEMBERS] = after
    if after >= 0:
        I[I[k.JOB] + k.N_JOB * after + k.J_MPREV] = before
    release(I, F, j)
    I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.ANSWERING


@subroutine
def backoff(I: Ints, F: Floats, mean: float) -> float:
    """Draw the pause before a retry: exponential, so that retries do not arrive in step."""
    return mean * exponential(I, F)
