"""Paths of a station with time-outs and retries to its collapse: multilevel splitting, try by try."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["collapse_paths"]

#: Columns of a group of callers.
SHARE, TIMEOUT, DELAY, PAUSE, RETRIES, BUDGET = 0, 1, 2, 3, 4, 5
#: Largest number of retries that a budget saves up, as in the event simulation.
BUCKET = 10.0
#: How a path ended.
CALM, REACHED, COLLAPSED, LOST = 0, 1, 2, 3
@subroutine
def _uniform(bits: Any) -> float:
    """Draw from (0, 1): Tausworthe generator with three components (L'Ecuyer 1996), in 32 bits of an int64."""
    a, b, c = bits[0], bits[1], bits[2]
    full = 0xFFFFFFFF
    a = ((a & 0xFFFFFFFE) << 12 & full) ^ (((a << 13 & full) ^ a) >> 19)
    b = ((b & 0xFFFFFFF8) << 4 & full) ^ (((b << 2 & full) ^ b) >> 25)
    c = ((c & 0xFFFFFFF0) << 17 & full) ^ (((c << 3 & full) ^ c) >> 11)
    bits[0], bits[1], bits[2] = a, b, c
    return float(((a ^ b ^ c) + 0.5) * 2.3283064365386963e-10)


@subroutine
def _exponential(bits: Any) -> float:
    return -math.log(_uniform(bits))


@subroutine
def _push(due: Any, kind: Any, size: int, when: float, what: int) -> int:
    """Put a retry into the binary heap of those that are to come."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if due[up] <= when:
            break
        due[i], kind[i] = due[up], kind[up]
        i = up
    due[i], kind[i] = when, what
    return size + 1


@subroutine
def _pop(due: Any, kind: Any, size: int) -> int:
    """Take the earliest retry away."""
    size -= 1
    when, what = due[size], kind[size]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and due[down + 1] < due[down]:
            down += 1
        if due[down] >= when:
            break
        due[i], kind[i] = due[down], kind[down]
        i = down
    due[i], kind[i] = when, what
    return size


@subroutine
def _late(groups: Any, group: int, left: int, now: float, due: Any, kind: Any, size: int, bits: Any) -> int:
    """Put down the next try of a call that is late: one time-out and the pause from now."""
    when = now + groups[group, DELAY]
    if groups[group, PAUSE] > 0.0:
        when += groups[group, PAUSE] * _exponential(bits)
    return int(_push(due, kind, size, when, (left - 1) * groups.shape[0] + group))


@subroutine
def _overshoot(groups: Any, station: Any, free: Any, tokens: Any, due: Any, kind: Any, bits: Any) -> int:
    """Begin where an arrival takes the wait behind it past the edge, with nothing pending: pending retries."""
    servers = free.size
    soonest = min(int(_uniform(bits) * servers), servers - 1)
    free[soonest] = station[3] + _exponential(bits) * station[1] / servers
    for i in range(servers):
        if i != soonest:
            free[i] = free[soonest] + _exponential(bits) * station[1]
    tokens[:] = BUCKET
    u = _uniform(bits)
    for g in range(groups.shape[0]):  # the arrival is at the first server
        if u < groups[g, SHARE]:
            if groups[g, RETRIES] > 0 and free[0] > groups[g, TIMEOUT]:
                return int(_late(groups, g, int(groups[g, RETRIES]), 0.0, due, kind, 0, bits))
            break
        u -= groups[g, SHARE]
    return 0


@subroutine
def _walk(
    groups: Any, station: Any, goal: float, low: float, free: Any, tokens: Any, due: Any, kind: Any, size: int,
    bits: Any, events: Any, most: int,
) -> Any:  # fmt: skip
    """Follow a path until it is calm, has ``goal`` seconds of work in sight, or has collapsed: end, pending, time.

    It is calm with ``low`` seconds of work in sight (nan: never), or, where that is negative, with a wait below
    the edge and nothing pending.
    """
    first, service, gone, edge, enough = station[0], station[1], station[2], station[3], station[5]
    many, servers = groups.shape[0], free.size
    now = 0.0
    end = -1
    while True:
        k = 0
        work = 0.0
        for i in range(servers):
            if free[i] > now:
                work += free[i] - now
            if free[i] < free[k]:
                k = i
        wait = max(free[k] - now, 0.0)
        sight = (wait if low < 0.0 else work / servers) + size / gone
        if events[0] > most:
            end = LOST
            break
        if wait >= enough or size >= due.size - 1:
            end = COLLAPSED
            break
        if sight >= goal:
            end = REACHED
            break
        if (size == 0 and wait <= edge) if low < 0.0 else sight <= low:
            end = CALM
            break
        step = _exponential(bits) / first
        again = size > 0 and due[0] - now <= step
        if again:
            step = due[0] - now
        if low < 0.0 and size == 0 and wait - step <= edge:
            now += wait - edge
            end = CALM
            break
        now += step
        wait = max(wait - step, 0.0)
        events[0] += 1
        # who comes, and how often it may still try
        group, left = -1, 0
        if again:
            group, left = kind[0] % many, kind[0] // many
            size = _pop(due, kind, size)
            if groups[group, BUDGET] < math.inf:
                if tokens[group] < 1.0:
                    continue
                tokens[group] -= 1.0
        else:
            u = _uniform(bits)
            for g in range(many):
                if u < groups[g, SHARE]:
                    group, left = g, int(groups[g, RETRIES])
                    break
                u -= groups[g, SHARE]
            if group >= 0 and groups[group, BUDGET] < math.inf:
                tokens[group] = min(tokens[group] + groups[group, BUDGET], BUCKET)
        answer = wait + service * _exponential(bits)
        free[k] = now + answer
        if left > 0 and answer > groups[group, TIMEOUT]:
            size = _late(groups, group, left, now, due, kind, size, bits)
    for i in range(size):
        due[i] -= now
    for i in range(servers):
        free[i] -= now
    return end, size, now


@kernel
def collapse_paths(
    groups: Any, station: Any, calm: Any, levels: Any, paths: int, most: int, longest: int, seed: int
) -> Any:  # fmt: skip
    """Follow paths from the calm station until it is calm again or has collapsed, by fixed-effort splitting.

    Parameters
    ----------
    groups : (n_groups, 6) float64
        Share of the first tries, time-out [s], time from a late try to the next one [s], mean exponential pause on top
        of that [s], retries, retries per first try (inf without a budget).
    station : (7,) float64
        First tries [1/s], service time [s], ``c / S`` [1/s], edge: wait at which paths start [s], servers, wait from
        which the station does not come back [s], work in sight of a calm station [s]; negative where it is calm below
        the edge with nothing pending.
    calm : (4,) float64
        Mean time from a wait ``w`` with nothing pending until the wait passes the edge,
        ``calm[0] + calm[1] E(w) - calm[2] (E(w) - w) / calm[3]`` with ``E(w) = (exp(calm[3] w) - 1) / calm[3]`` [s].
    levels : (n_levels,) float64
        Work in sight, the wait and the pending retries, at which paths are split, rising [s]. Where a calm station has
        retries pending it is what is inside and pending, for each server; paths start at the first of them, and what
        they start with is sampled.
    paths : int
        Paths per level.
    most : int
        Pending retries that are kept.
    longest : int
        Arrivals that are followed at the most.
    seed : int

    Returns
    -------
    first : float
        Mean time from a calm station to the start of a path [s], where it is sampled.
    chance : float
        Probability that a path ends in collapse [1]; -1 where that took too long to follow.
    spent : float
        Mean time of a path, until collapse or until the next path starts [s].
    events : int
        Arrivals that were followed.
    """
    many, servers = groups.shape[0], int(station[4])
    bits = np.empty(3, np.int64)
    for i in range(3):
        bits[i] = (seed * 7919 + 104729 * (i + 1)) % 4294967291 + 64
    for _ in range(20):
        _uniform(bits)
    events = np.zeros(1, np.int64)
    due, kind = np.empty(most), np.empty(most, np.int64)
    tokens, free = np.full(many, BUCKET), np.zeros(servers)
    # states in which paths reached this level, and the next one
    frees, buckets, times = np.empty((2, paths, servers)), np.empty((2, paths, many)), np.zeros((2, paths))
    dues, kinds = np.empty((2, paths, most)), np.empty((2, paths, most), np.int64)
    sizes = np.zeros((2, paths), np.int64)
    first, weight, chance, spent = 0.0, 1.0, 0.0, 0.0
    entered, side, begin, low = 0, 0, 0, station[6]
    sampled = low >= 0.0
    if sampled:
        size, begin, entered = 0, 1, paths
        for path in range(paths):
            end, size, time = _walk(
                groups, station, levels[0], math.nan, free, tokens, due, kind, size, bits, events, longest
            )
            first += time / paths
            sizes[0, path] = size
            dues[0, path, :size], kinds[0, path, :size] = due[:size], kind[:size]
            frees[0, path], buckets[0, path] = free, tokens
            end, size, time = _walk(
                groups, station, math.inf, low, free, tokens, due, kind, size, bits, events, longest
            )
            if end == LOST:
                return first, -1.0, spent, events[0]
            if end == COLLAPSED:
                size = 0
                free[:] = 0.0
    for level in range(begin, levels.size + 1):
        goal = levels[level] if level < levels.size else math.inf
        reached = 0
        for path in range(paths):
            past = 0.0
            if level == 0:
                size = _overshoot(groups, station, free, tokens, due, kind, bits)
            else:
                source = path * entered // paths
                size, past = sizes[side, source], times[side, source]
                due[:size], kind[:size] = dues[side, source, :size], kinds[side, source, :size]
                free[:], tokens[:] = frees[side, source], buckets[side, source]
            end, size, time = _walk(groups, station, goal, low, free, tokens, due, kind, size, bits, events, longest)
            time += past
            if end == REACHED:
                other = 1 - side
                sizes[other, reached], times[other, reached] = size, time
                dues[other, reached, :size], kinds[other, reached, :size] = due[:size], kind[:size]
                frees[other, reached], buckets[other, reached] = free, tokens
                reached += 1
                continue
            if end == LOST:
                return first, -1.0, spent, events[0]
            share = weight / paths
            spent += share * time
            if end == COLLAPSED:
                chance += share
            elif sampled:
                spent += share * first
            else:
                w, rate = free[0], calm[3]
                for i in range(servers):
                    w = min(w, free[i])
                w = max(w, 0.0)
                x = rate * w
                grown = w * (1.0 + x * (0.5 + x / 6.0)) if abs(x) < 1e-4 else math.expm1(x) / rate
                bent = w * w * (0.5 + x / 6.0) if abs(x) < 1e-4 else (grown - w) / rate
                spent += share * (calm[0] + calm[1] * grown - calm[2] * bent)
        weight *= reached / paths
        if reached == 0:
            break
        entered, side = reached, 1 - side
    return first, chance, spent, events[0]
