"""Processor sharing: everybody in a pool is served at a speed that depends on how many there are.

A pool keeps a virtual time that runs at the speed of one request; a request that needs ``w`` seconds alone leaves when
the virtual time has advanced by ``w``. So each arrival and departure costs O(log n), whatever the number inside
(Parekh and Gallager, IEEE/ACM Trans. Networking 1 (1993) 344). The requests inside are an intrusive pairing heap.
"""

from __future__ import annotations

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import Floats, Ints
from fea_arch.simulation.event_queue import pack, schedule

__all__ = ["join", "leave", "retime", "speed"]


@subroutine
def speed(I: Ints, F: Floats, p: int, n: int) -> float:
    """Return the speed of one request when ``n`` share the pool [1]."""
    pool_f_p = I[k.POOL_F] + k.N_POOL_F * p
    pool_p = I[k.POOL] + k.N_POOL * p
    kind = I[pool_p + k.P_KIND]
    a, b = F[pool_f_p + k.P_A], F[pool_f_p + k.P_B]
    scale = F[pool_f_p + k.P_SPEED]
    if kind == 0:
        return float(scale if n <= a else scale * a / n)
    if kind == 1:
        return float(scale / (1.0 + a * (n - 1) + b * n * (n - 1)))
    if kind == 3:
        # memory pressure: full speed up to 80 % of the headroom, then falling to a twentieth
        return float(scale * min(n, a) / n * min(max((1.0 - n / b) / 0.2, 0.05), 1.0))
    first, rows = I[pool_p + k.P_TABLE], I[pool_p + k.P_ROWS]
    # the table gives X(n) S at n = 1, 2, ...; beyond it the last throughput stays
    return float(scale * F[I[k.TABLE] + first + min(n, rows) - 1] / n)


@subroutine
def _meld(I: Ints, F: Floats, a: int, b: int) -> int:
    if a < 0:
        return b
    if b < 0:
        return a
    if F[I[k.JOB_F] + k.N_JOB_F * b + k.F_WORK] < F[I[k.JOB_F] + k.N_JOB_F * a + k.F_WORK]:
        a, b = b, a
    child = I[I[k.JOB] + k.N_JOB * a + k.J_CHILD]
    I[I[k.JOB] + k.N_JOB * b + k.J_NEXT] = child
    if child >= 0:
        I[I[k.JOB] + k.N_JOB * child + k.J_PREV] = b
    I[I[k.JOB] + k.N_JOB * b + k.J_PREV] = a
    I[I[k.JOB] + k.N_JOB * a + k.J_CHILD] = b
    I[I[k.JOB] + k.N_JOB * a + k.J_NEXT] = -1
    I[I[k.JOB] + k.N_JOB * a + k.J_PREV] = -1
    return a


@subroutine
def _combine(I: Ints, F: Floats, first: int) -> int:
    """Meld a list of siblings in pairs, then the pairs from the back."""
    done = -1
    while first >= 0:
        a = first
        b = I[I[k.JOB] + k.N_JOB * a + k.J_NEXT]
        first = I[I[k.JOB] + k.N_JOB * b + k.J_NEXT] if b >= 0 else -1
        I[I[k.JOB] + k.N_JOB * a + k.J_NEXT] = -1
        if b >= 0:
            I[I[k.JOB] + k.N_JOB * b + k.J_NEXT] = -1
        pair = _meld(I, F, a, b)
        I[I[k.JOB] + k.N_JOB * pair + k.J_NEXT] = done
        done = pair
    root = -1
    while done >= 0:
        nxt = I[I[k.JOB] + k.N_JOB * done + k.J_NEXT]
        I[I[k.JOB] + k.N_JOB * done + k.J_NEXT] = -1
        root = _meld(I, F, root, done)
        done = nxt
    if root >= 0:
        I[I[k.JOB] + k.N_JOB * root + k.J_PREV] = -1
    return root


@subroutine
def _advance(I: Ints, F: Floats, p: int) -> None:
    pool_f_p = I[k.POOL_F] + k.N_POOL_F * p
    pool_p = I[k.POOL] + k.N_POOL * p
    now = F[k.NOW]
    n = I[pool_p + k.P_N]
    if n > 0:
        F[pool_f_p + k.P_V] += (now - F[pool_f_p + k.P_T]) * speed(I, F, p, n)
        if I[pool_p + k.P_KIND] == 0:
            F[pool_f_p + k.P_AREA] += (now - F[pool_f_p + k.P_T]) * min(float(n), F[pool_f_p + k.P_A])
    F[pool_f_p + k.P_T] = now


@subroutine
def retime(I: Ints, F: Floats, p: int) -> None:
    """Schedule the next departure of a pool anew; the former one becomes stale."""
    pool_p = I[k.POOL] + k.N_POOL * p
    I[pool_p + k.P_GEN] = (I[pool_p + k.P_GEN] + 1) & k.GEN_MASK
    root = I[pool_p + k.P_ROOT]
    if root < 0:
        return
    rate = speed(I, F, p, I[pool_p + k.P_N])
    if rate > 0.0:
        wait = max(F[I[k.JOB_F] + k.N_JOB_F * root + k.F_WORK] - F[I[k.POOL_F] + k.N_POOL_F * p + k.P_V], 0.0) / rate
        schedule(I, F, F[k.NOW] + wait, pack(k.E_SHARE, p, I[pool_p + k.P_GEN]))


@subroutine
def join(I: Ints, F: Floats, p: int, j: int, work: float) -> None:
    """Let a request into a pool with work in seconds of being alone."""
    job_j = I[k.JOB] + k.N_JOB * j
    pool_f_p = I[k.POOL_F] + k.N_POOL_F * p
    pool_p = I[k.POOL] + k.N_POOL * p
    _advance(I, F, p)
    if I[pool_p + k.P_N] == 0:
        F[pool_f_p + k.P_V] = 0.0  # keeps the virtual time small, so that it does not lose digits in long runs
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_WORK] = F[pool_f_p + k.P_V] + work
    I[job_j + k.J_POOL] = p
    I[job_j + k.J_CHILD] = -1
    I[job_j + k.J_NEXT] = -1
    I[job_j + k.J_PREV] = -1
    I[pool_p + k.P_ROOT] = _meld(I, F, I[pool_p + k.P_ROOT], j)
    I[pool_p + k.P_N] += 1
    retime(I, F, p)


@subroutine
def leave(I: Ints, F: Floats, p: int, j: int) -> None:
    """Take a request out of a pool, finished or not."""
    job_j = I[k.JOB] + k.N_JOB * j
    pool_p = I[k.POOL] + k.N_POOL * p
    _advance(I, F, p)
    rest = _combine(I, F, I[job_j + k.J_CHILD])
    if I[pool_p + k.P_ROOT] == j:
        I[pool_p + k.P_ROOT] = rest
    else:
        before, after = I[job_j + k.J_PREV], I[job_j + k.J_NEXT]
        if I[I[k.JOB] + k.N_JOB * before + k.J_CHILD] == j:
            I[I[k.JOB] + k.N_JOB * before + k.J_CHILD] = after
        else:
            I[I[k.JOB] + k.N_JOB * before + k.J_NEXT] = after
        if after >= 0:
            I[I[k.JOB] + k.N_JOB * after + k.J_PREV] = before
        I[pool_p + k.P_ROOT] = _meld(I, F, I[pool_p + k.P_ROOT], rest)
    I[job_j + k.J_CHILD] = -1
    I[job_j + k.J_POOL] = -1
    I[pool_p + k.P_N] -= 1
    retime(I, F, p)


@subroutine
def change_speed(I: Ints, F: Floats, p: int, factor: float) -> None:
    """Change the speed of a pool, as when part of its capacity fails or returns."""
    _advance(I, F, p)
    F[I[k.POOL_F] + k.N_POOL_F * p + k.P_SPEED] = factor
    retime(I, F, p)
