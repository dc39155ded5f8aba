"""Lines in front of the stations of the quasi-static march: their mean, what fills them, and what overflows."""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import subroutine

__all__ = ["begun_and_left", "fill_line", "hits_room", "swing", "waiting_line"]


@subroutine
def waiting_line(rho: float, expo: float, most: float, spread: float, free: float) -> Any:
    """Mean number waiting at a utilisation, ``spread rho^e / (1 - rho)``, where at most ``most`` can wait.

    While all servers are busy the line is geometric with the mean ``spread rho / (1 - rho)``, cut off at ``most``. A
    part ``free`` of the arrivals is not bounded: to the others it is a slower server (mixed networks, F. Baskett et
    al., Journal of the ACM 22, 1975).
    """
    if free <= 1e-6 or most > 1e5:
        return _cut_line(rho, expo, most, spread)
    slow = 1.0 - free * rho
    bounded = (1.0 - free) * rho / slow
    gap = 1.0 - rho
    rest = expo * (1.0 - slow) / slow if gap < 1e-6 else (rho**expo - bounded**expo) / gap
    return spread * rest + _cut_line(bounded, expo, most, spread) / slow


@subroutine
def _cut_line(rho: float, expo: float, most: float, spread: float) -> Any:
    """Mean number waiting where all arrivals are bounded."""
    if most <= 1e-9 or rho <= 0.0:
        return 0.0
    gap = 1.0 - rho
    if most > 1e5:
        return spread * rho**expo / max(gap, 1e-12)
    tail = spread * rho / (spread * rho + gap)
    if 1.0 - tail < 1e-4:
        return most * (most + 1.0) / (2.0 * (expo - 1.0 + most))
    power, busy = tail**most, rho ** (expo - 1.0)
    part = (1.0 - (most + 1.0) * power + most * power * tail) / (1.0 - busy * power)
    return spread * busy * rho / gap * max(part, 0.0)


@subroutine
def begun_and_left(carried: float, leaving: float, hold: float, scv: float) -> Any:
    """Time that a caller's patience leaves to a request once it has a worker of an overloaded station [s].

    In order of arrival all wait about as long, and what is withdrawn gives its worker back at once. The wait rises
    until every request is begun and cut off after ``r``, with ``E[min(H, r)]`` what the workers have for each. Exact
    for constant and for exponential hold times ``H``, by the power of the scv between and beyond.
    """
    part = (carried - 1.0 + leaving) / leaving
    if part <= 0.0:
        return 0.0
    part = min(part, 1.0 - 1e-9)
    return hold * part * (-math.log1p(-part) / part) ** scv


@subroutine
def swing(
    sent: float, wait_var: float, crowd: float, top: float, spread: float, flow: float, hold: float, passed: float
) -> float:
    """What a callee's line adds to the dispersion of the completions of a full pool, times the hold time squared [s^2].

    All workers meet the same line, and it changes slowly: while it is long the pool completes less. The covariance of
    the wait fades at the rate ``mu (1 - rho)^2 / (1 + rho)`` of an M/M/1 line (asymptotic variance: W. Whitt,
    Operations Research 40, 1992), and quicker because a long line holds the workers that feed it. Its integral counts
    ``2 passed / fade`` times for each completion; once it is in the variance of the hold time.
    """
    gap = max(1.0 - crowd, 1e-3)
    fade = top * gap * gap / ((1.0 + crowd) * max(spread, 0.1))
    fade += sent * sent * flow / (max(hold, 1e-12) * top)
    return sent * sent * wait_var * max(2.0 * passed / fade - 1.0, 0.0)


@subroutine
def fill_line(
    size: float, spread: float, expo: float, most: float, free: float, others: float, work: float, goal: float,
    rho: float,
) -> float:
    """Utilisation with ``size line(others rho) / others + work rho = goal``, at most 1, by false position."""
    if goal <= 0.0:
        return 0.0
    size = size / others
    low, f_low = 0.0, -goal
    high = min(1.0 - 1e-10, goal / work)
    if low < rho < high:  # in a steady state the last answer is the answer
        line = size * waiting_line(others * rho, expo, most, spread, free)
        if abs(line + work * rho - goal) <= 1e-6 * line + 1e-10 * goal:
            return rho
    f_high = size * waiting_line(others * high, expo, most, spread, free) + work * high - goal
    if f_high <= 0.0:
        return high
    if low < rho < high:  # the last answer is a good guess
        for k in range(2):
            x = rho * (1.0 - 0.02 * k) if k == 0 else min(rho + 0.02 * (1.0 - rho), high)
            f = size * waiting_line(others * x, expo, most, spread, free) + work * x - goal
            if f > 0.0 and x < high:
                high, f_high = x, f
            elif f <= 0.0 and x > low:
                low, f_low = x, f
    side = 0
    for _ in range(60):
        x = (low * f_high - high * f_low) / (f_high - f_low)
        if not low < x < high:
            x = 0.5 * (low + high)
        line = size * waiting_line(others * x, expo, most, spread, free)
        f = line + work * x - goal
        # to a part of what waits, not of what passes in a long step: else lines of nearly nothing never come to rest
        if abs(f) <= 1e-7 * line + 1e-11 * goal or high - low <= 1e-12 * (1.0 - low):
            return x
        if f > 0.0:
            high, f_high = x, f
            if side == 1:
                f_low *= 0.5
            side = 1
        else:
            low, f_low = x, f
            if side == -1:
                f_high *= 0.5
            side = -1
    return 0.5 * (low + high)


@subroutine
def hits_room(
    room: float, busy: float, queue: float, rho: float, tail: float, servers: float, blocking: float
) -> Any:
    """Chance that an arrival takes a replica over its memory limit: Poisson in service, geometric in line."""
    top = math.floor(room) - 1.0
    if top < 0.0:
        return 1.0
    if blocking > 0.0 and top > servers:
        # each kill begins again with nothing: the mean first passage of the line counts, not its stationary tail
        x = min(max(tail, 1e-9), 1.0 - 1e-6)
        levels = top - servers + 2.0
        if levels * -math.log(x) > 500.0:
            return 0.0
        up = (((1.0 / x) ** levels - 1.0) / (1.0 - x) - levels) * x / (1.0 - x)
        busy = min(max(rho, 1e-9) ** (math.sqrt(2.0 * (servers + 1.0)) - 1.0) / x, 1.0)
        return busy / max(up, levels)
    mean = busy + queue
    if mean <= 0.0:
        return 0.0
    return math.exp(top * math.log(mean) - mean - math.lgamma(top + 1.0)) if top < 1e6 else 0.0
