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
    kind = I[I[k.POOL] + k.N_POOL * p + k.P_KIND]
    a, b = F[I[k.POOL_F] + k.N_POOL_F * p + k.P_A], F[I[k.POOL_F] + k.N_POOL_F * p + k.P_B]
    if kind == 0:
        return F[I[k.POOL_F] + k.N_POOL_F * p + k.P_SPEED] * (1.0 if n <= a else a / n)
    if kind == 1:
        return F[I[k.POOL_F] + k.N_POOL_F * p + k.P_SPEED] / (1.0 + a * (n - 1) + b * n * (n - 1))
    first, rows = I[I[k.POOL] + k.N_POOL * p + k.P_TABLE], I[I[k.POOL] + k.N_POOL * p + k.P_ROWS]
    # the table gives X(n) S at n = 1, 2, ...; beyond it the last throughput stays
    at = n if n < rows else rows
    return F[I[k.POOL_F] + k.N_POOL_F * p + k.P_SPEED] * F[I[k.TABLE] + first + at - 1] / n


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
    now = F[k.NOW]
    n = I[I[k.POOL] + k.N_POOL * p + k.P_N]
    if n > 0:
        F[I[k.POOL_F] + k.N_POOL_F * p + k.P_V] += (now - F[I[k.POOL_F] + k.N_POOL_F * p + k.P_T]) * speed(I, F, p, n)
        if I[I[k.POOL] + k.N_POOL * p + k.P_KIND] == 0:
            F[I[k.POOL_F] + k.N_POOL_F * p + k.P_AREA] += (now - F[I[k.POOL_F] + k.N_POOL_F * p + k.P_T]) * min(
                float(n), F[I[k.POOL_F] + k.N_POOL_F * p + k.P_A]
            )
    F[I[k.POOL_F] + k.N_POOL_F * p + k.P_T] = now


@subroutine
def retime(I: Ints, F: Floats, p: int) -> None:
    """Schedule the next departure of a pool anew; the former one becomes stale."""
    I[I[k.POOL] + k.N_POOL * p + k.P_GEN] = (I[I[k.POOL] + k.N_POOL * p + k.P_GEN] + 1) & k.GEN_MASK
    root = I[I[k.POOL] + k.N_POOL * p + k.P_ROOT]
    if root < 0:
        return
    rate = speed(I, F, p, I[I[k.POOL] + k.N_POOL * p + k.P_N])
    if rate > 0.0:
        wait = max(F[I[k.JOB_F] + k.N_JOB_F * root + k.F_WORK] - F[I[k.POOL_F] + k.N_POOL_F * p + k.P_V], 0.0) / rate
        schedule(I, F, F[k.NOW] + wait, pack(k.E_SHARE, p, I[I[k.POOL] + k.N_POOL * p + k.P_GEN]))


@subroutine
def join(I: Ints, F: Floats, p: int, j: int, work: float) -> None:
    """Let a request into a pool with work in seconds of being alone."""
    _advance(I, F, p)
    if I[I[k.POOL] + k.N_POOL * p + k.P_N] == 0:
        F[I[k.POOL_F] + k.N_POOL_F * p + k.P_V] = (
            0.0  # keeps the virtual time small, so that it does not lose digits in long runs
        )
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_WORK] = F[I[k.POOL_F] + k.N_POOL_F * p + k.P_V] + work
    I[I[k.JOB] + k.N_JOB * j + k.J_POOL] = p
    I[I[k.JOB] + k.N_JOB * j + k.J_CHILD] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_NEXT] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_PREV] = -1
    I[I[k.POOL] + k.N_POOL * p + k.P_ROOT] = _meld(I, F, I[I[k.POOL] + k.N_POOL * p + k.P_ROOT], j)
    I[I[k.POOL] + k.N_POOL * p + k.P_N] += 1
    retime(I, F, p)


@subroutine
def leave(I: Ints, F: Floats, p: int, j: int) -> None:
    """Take a request out of a pool, finished or not."""
    _advance(I, F, p)
    rest = _combine(I, F, I[I[k.JOB] + k.N_JOB * j + k.J_CHILD])
    if I[I[k.POOL] + k.N_POOL * p + k.P_ROOT] == j:
        I[I[k.POOL] + k.N_POOL * p + k.P_ROOT] = rest
    else:
        before, after = I[I[k.JOB] + k.N_JOB * j + k.J_PREV], I[I[k.JOB] + k.N_JOB * j + k.J_NEXT]
        if I[I[k.JOB] + k.N_JOB * before + k.J_CHILD] == j:
            I[I[k.JOB] + k.N_JOB * before + k.J_CHILD] = after
        else:
            I[I[k.JOB] + k.N_JOB * before + k.J_NEXT] = after
        if after >= 0:
            I[I[k.JOB] + k.N_JOB * after + k.J_PREV] = before
        I[I[k.POOL] + k.N_POOL * p + k.P_ROOT] = _meld(I, F, I[I[k.POOL] + k.N_POOL * p + k.P_ROOT], rest)
    I[I[k.JOB] + k.N_JOB * j + k.J_CHILD] = -1
    I[I[k.JOB] + k.N_JOB * j + k.J_POOL] = -1
    I[I[k.POOL] + k.N_POOL * p + k.P_N] -= 1
    retime(I, F, p)


@subroutine
def change_speed(I: Ints, F: Floats, p: int, factor: float) -> None:
    """Change the speed of a pool, as when part of its capacity fails or returns."""
    _advance(I, F, p)
    F[I[k.POOL_F] + k.N_POOL_F * p + k.P_SPEED] = factor
    retime(I, F, p)
