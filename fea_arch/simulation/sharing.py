"""Processor sharing: everybody in a pool is served at a speed that depends on how many there are.

A pool keeps a virtual time that runs at the speed of one request; a request that needs ``w`` seconds alone leaves when
the virtual time has advanced by ``w``. So each arrival and departure costs O(log n), whatever the number inside
(Parekh and Gallager, IEEE/ACM Trans. Networking 1 (1993) 344). The requests inside are an intrusive pairing heap.
"""

from __future__ import annotations

from fea_arch.kernels.compile import subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.columns import State
from fea_arch.simulation.event_queue import pack, schedule

__all__ = ["join", "leave", "retime", "speed"]


@subroutine
def speed(s: State, p: int, n: int) -> float:
    """Return the speed of one request when ``n`` share the pool [1]."""
    kind = s.pool[p, k.P_KIND]
    a, b = s.pool_f[p, k.P_A], s.pool_f[p, k.P_B]
    if kind == 0:
        return s.pool_f[p, k.P_SPEED] * (1.0 if n <= a else a / n)
    if kind == 1:
        return s.pool_f[p, k.P_SPEED] / (1.0 + a * (n - 1) + b * n * (n - 1))
    first, rows = s.pool[p, k.P_TABLE], s.pool[p, k.P_ROWS]
    # the table gives X(n) S at n = 1, 2, ...; beyond it the last throughput stays
    at = n if n < rows else rows
    return s.pool_f[p, k.P_SPEED] * s.table[first + at - 1] / n


@subroutine
def _meld(s: State, a: int, b: int) -> int:
    if a < 0:
        return b
    if b < 0:
        return a
    if s.job_f[b, k.F_WORK] < s.job_f[a, k.F_WORK]:
        a, b = b, a
    child = s.job[a, k.J_CHILD]
    s.job[b, k.J_NEXT] = child
    if child >= 0:
        s.job[child, k.J_PREV] = b
    s.job[b, k.J_PREV] = a
    s.job[a, k.J_CHILD] = b
    s.job[a, k.J_NEXT] = -1
    s.job[a, k.J_PREV] = -1
    return a


@subroutine
def _combine(s: State, first: int) -> int:
    """Meld a list of siblings in pairs, then the pairs from the back."""
    done = -1
    while first >= 0:
        a = first
        b = s.job[a, k.J_NEXT]
        first = s.job[b, k.J_NEXT] if b >= 0 else -1
        s.job[a, k.J_NEXT] = -1
        if b >= 0:
            s.job[b, k.J_NEXT] = -1
        pair = _meld(s, a, b)
        s.job[pair, k.J_NEXT] = done
        done = pair
    root = -1
    while done >= 0:
        nxt = s.job[done, k.J_NEXT]
        s.job[done, k.J_NEXT] = -1
        root = _meld(s, root, done)
        done = nxt
    if root >= 0:
        s.job[root, k.J_PREV] = -1
    return root


@subroutine
def _advance(s: State, p: int) -> None:
    now = s.clock[k.NOW]
    n = s.pool[p, k.P_N]
    if n > 0:
        s.pool_f[p, k.P_V] += (now - s.pool_f[p, k.P_T]) * speed(s, p, n)
        if s.pool[p, k.P_KIND] == 0:
            s.pool_f[p, k.P_AREA] += (now - s.pool_f[p, k.P_T]) * min(float(n), s.pool_f[p, k.P_A])
    s.pool_f[p, k.P_T] = now


@subroutine
def retime(s: State, p: int) -> None:
    """Schedule the next departure of a pool anew; the former one becomes stale."""
    s.pool[p, k.P_GEN] = (s.pool[p, k.P_GEN] + 1) & k.GEN_MASK
    root = s.pool[p, k.P_ROOT]
    if root < 0:
        return
    rate = speed(s, p, s.pool[p, k.P_N])
    if rate > 0.0:
        wait = max(s.job_f[root, k.F_WORK] - s.pool_f[p, k.P_V], 0.0) / rate
        schedule(s, s.clock[k.NOW] + wait, pack(k.E_SHARE, p, s.pool[p, k.P_GEN]))


@subroutine
def join(s: State, p: int, j: int, work: float) -> None:
    """Let a request into a pool with work in seconds of being alone."""
    _advance(s, p)
    if s.pool[p, k.P_N] == 0:
        s.pool_f[p, k.P_V] = 0.0  # keeps the virtual time small, so that it does not lose digits in long runs
    s.job_f[j, k.F_WORK] = s.pool_f[p, k.P_V] + work
    s.job[j, k.J_POOL] = p
    s.job[j, k.J_CHILD] = -1
    s.job[j, k.J_NEXT] = -1
    s.job[j, k.J_PREV] = -1
    s.pool[p, k.P_ROOT] = _meld(s, s.pool[p, k.P_ROOT], j)
    s.pool[p, k.P_N] += 1
    retime(s, p)


@subroutine
def leave(s: State, p: int, j: int) -> None:
    """Take a request out of a pool, finished or not."""
    _advance(s, p)
    rest = _combine(s, s.job[j, k.J_CHILD])
    if s.pool[p, k.P_ROOT] == j:
        s.pool[p, k.P_ROOT] = rest
    else:
        before, after = s.job[j, k.J_PREV], s.job[j, k.J_NEXT]
        if s.job[before, k.J_CHILD] == j:
            s.job[before, k.J_CHILD] = after
        else:
            s.job[before, k.J_NEXT] = after
        if after >= 0:
            s.job[after, k.J_PREV] = before
        s.pool[p, k.P_ROOT] = _meld(s, s.pool[p, k.P_ROOT], rest)
    s.job[j, k.J_CHILD] = -1
    s.job[j, k.J_POOL] = -1
    s.pool[p, k.P_N] -= 1
    retime(s, p)


@subroutine
def change_speed(s: State, p: int, factor: float) -> None:
    """Change the speed of a pool, as when part of its capacity fails or returns."""
    _advance(s, p)
    s.pool_f[p, k.P_SPEED] = factor
    retime(s, p)
