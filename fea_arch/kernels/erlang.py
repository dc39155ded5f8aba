"""Erlang B and C by the stable recursion on the blocking probability.

``B(0, a) = 1``, ``1/B(k, a) = 1 + (k / a) / B(k - 1, a)``; ``C = B / (1 - rho (1 - B))``. The recursion on ``B``
neither overflows nor cancels, for thousands of servers.
"""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["erlang_b", "erlang_c", "mmc_load", "mmc_number", "waiting_probability"]


@subroutine
def _blocking(c: int, a: float) -> float:
    """Blocking probability of M/M/c/c at offered load ``a`` [1], by Erlang's recursion over the servers."""
    b = 1.0
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
        if b < 1e-300:
            return 0.0
    return b


@subroutine
def waiting_probability(c: int, a: float) -> float:
    """Probability of waiting in M/M/c at offered load ``a`` [1]; 1 at and above capacity."""
    if a >= c:
        return 1.0
    b = _blocking(c, a)
    return b / (1.0 - a / c * (1.0 - b))


@kernel(work=lambda servers, load, out: 8.0 * float(servers.sum()))
def erlang_b(servers: Any, load: Any, out: Any) -> None:
    """Write the blocking probability of ``M/M/c/c`` for each pair of servers and offered load [1].

    Parameters
    ----------
    servers : (n,) int64
    load : (n,) float64
        Offered load ``a = lambda S`` [1].
    out : (n,) float64
    """
    for i in range(servers.size):
        out[i] = _blocking(servers[i], load[i])


@kernel(work=lambda servers, load, out: 8.0 * float(servers.sum()))
def erlang_c(servers: Any, load: Any, out: Any) -> None:
    """Write the probability of waiting in ``M/M/c`` [1]; 1 at and above capacity.

    Parameters
    ----------
    servers : (n,) int64
    load : (n,) float64
    out : (n,) float64
    """
    for i in range(servers.size):
        out[i] = waiting_probability(servers[i], load[i])


@subroutine
def _number(c: int, a: float, v: float) -> Any:
    """Mean number in M/M/c at offered load ``a`` and its derivative."""
    b = _blocking(c, a)
    slope = b * (c / a - 1.0 + b) if a > 0.0 else (1.0 if c == 1 else 0.0)
    below = c - a * (1.0 - b)
    queue = c * b / below
    turn = (c * slope * below - c * b * (b - 1.0 + a * slope)) / (below * below)
    room = c - a
    return a + v * queue * a / room, 1.0 + v * (turn * a / room + queue * c / (room * room))


@kernel(work=lambda servers, variability, load, *rest: 20.0 * float(servers.sum()))
def mmc_number(servers: Any, variability: Any, load: Any, number: Any, slope: Any) -> None:
    """Write the mean number in M/M/c and its derivative by offered load; inf at capacity.

    Parameters
    ----------
    servers : (n,) int64
    variability, load : (n,) float64
        Factor on the waiting number; offered load.
    number, slope : (n,) float64
        Results.
    """
    for i in range(servers.size):
        if load[i] <= 0.0:
            number[i], slope[i] = load[i], 1.0
        elif load[i] >= servers[i]:
            number[i], slope[i] = math.inf, math.inf
        else:
            number[i], slope[i] = _number(servers[i], load[i], variability[i])


@kernel(work=lambda servers, variability, number, *rest: 200.0 * float(servers.sum()))
def mmc_load(servers: Any, variability: Any, number: Any, load: Any, slope: Any) -> None:
    """Write the offered load at which ``number`` requests are in M/M/c on average, and ``dN/da`` there."""
    for i in range(servers.size):
        c, v, e = servers[i], variability[i], number[i]
        if e <= 0.0:
            load[i], slope[i] = e, 1.0
            continue
        top = c * (1.0 - 1e-16)
        low, high = 0.0, min(top, e)
        a = min(high, c * e / (e + max(v, 1e-9)))
        turn = 1.0
        for _ in range(200):
            value, turn = _number(c, a, v)
            wrong = value - e
            if wrong > 0.0:
                high = a
            else:
                low = a
            new = a - wrong / turn
            if not (new >= low and new <= high):
                new = 0.5 * (low + high)
            done = abs(new - a) <= 2e-16 * a
            a = new
            if done or high - low <= 4e-16 * high:
                break
        load[i], slope[i] = a, turn
