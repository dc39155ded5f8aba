"""Arithmetic of many outages side by side: each function does one step for all lanes, in loops that fill vectors.

The loops have no way out before their end and write to few arrays each, so that the compiler vectorises them.
"""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import subroutine

__all__ = [
    "add_call",
    "all_answered",
    "calls_made",
    "copy",
    "fill",
    "hold_call",
    "hold_calls",
    "inverse_blocking",
    "leave",
    "note_highest",
    "scale",
    "set_some",
    "wait_for_a_server",
]

#: Whole calls up to which the probabilities are multiplied up: logarithms do not fill vectors.
MOST_ROUNDS = 64


@subroutine
def fill(row: Any, value: float) -> None:
    """Set all lanes to ``value``."""
    for b in range(row.size):
        row[b] = value


@subroutine
def copy(row: Any, values: Any) -> None:
    """Set each lane to its own of ``values``."""
    for b in range(row.size):
        row[b] = values[b]


@subroutine
def scale(row: Any, factor: float) -> None:
    """Multiply all lanes by ``factor``."""
    if factor != 1.0:
        for b in range(row.size):
            row[b] *= factor


@subroutine
def set_some(row: Any, value: float, item: int, items: Any, lane: Any) -> None:
    """Set the lanes in which ``item`` is gone."""
    for k in range(items.size):
        if items[k] == item:
            row[lane[k]] = value


@subroutine
def calls_made(go: Any, whole: int, part: float, made: Any, through: Any) -> None:
    """Expected calls of ``whole + part`` in a row when each goes on with probability ``go``, and P(all go on)."""
    if whole > MOST_ROUNDS:
        for b in range(go.size):
            fails = 1.0 - go[b]
            made[b], through[b] = whole, 1.0
            if fails >= 1.0:
                made[b], through[b] = 1.0, 0.0
            elif fails > 0.0:
                power = whole * math.log1p(-fails)
                made[b], through[b] = -math.expm1(power) / fails, math.exp(power)
    else:
        for b in range(go.size):
            made[b] = 0.0
            through[b] = 1.0
    for _ in range(whole if whole <= MOST_ROUNDS else 0):
        for b in range(go.size):
            made[b] += through[b]
            through[b] *= go[b]
    if part > 0.0:
        for b in range(go.size):
            made[b] += part * through[b]
            through[b] *= 1.0 - part * (1.0 - go[b])


@subroutine
def all_answered(go: Any, whole: int, part: float, made: Any, through: Any, reach: Any) -> None:
    """Multiply ``reach`` by the probability that all of ``whole + part`` calls are answered."""
    if whole == 0:
        for b in range(go.size):
            reach[b] *= 1.0 - part * (1.0 - go[b])
        return
    calls_made(go, whole, part, made, through)
    for b in range(go.size):
        reach[b] *= through[b]


@subroutine
def leave(go: Any, whole: int, part: float, made: Any, through: Any, x: Any, leaving: Any) -> None:
    """Flow of ``whole + part`` calls of ``x`` requests, of which ``x`` is what goes on then."""
    if whole == 0:
        for b in range(go.size):
            leaving[b] = x[b] * part
            x[b] *= 1.0 - part * (1.0 - go[b])
        return
    calls_made(go, whole, part, made, through)
    for b in range(go.size):
        leaving[b] = x[b] * made[b]
    for b in range(go.size):
        x[b] *= through[b]


@subroutine
def inverse_blocking(servers: int, rho: Any, step: Any, inverse: Any) -> None:
    """Inverse of Erlang's blocking probability at utilisation ``rho``; infinite where it is below 1e-308."""
    for b in range(rho.size):
        step[b] = 1.0 / (rho[b] * servers)
        inverse[b] = 1.0
    k = 1
    while k + 3 <= servers:  # four at a time: fewer trips to memory
        for b in range(rho.size):
            v = 1.0 + inverse[b] * (k * step[b])
            v = 1.0 + v * ((k + 1) * step[b])
            v = 1.0 + v * ((k + 2) * step[b])
            inverse[b] = 1.0 + v * ((k + 3) * step[b])
        k += 4
    while k <= servers:
        for b in range(rho.size):
            inverse[b] = 1.0 + inverse[b] * (k * step[b])
        k += 1


@subroutine
def wait_for_a_server(
    inverse: Any, rho: Any, hold: Any, factor: Any, servers: int, finite: float, wait: Any, spread: Any
) -> None:  # fmt: skip
    """Mean and variance of the wait for one of ``servers`` that each hold a request for ``hold`` seconds."""
    for b in range(rho.size):
        busy = 1.0 / (inverse[b] - rho[b] * (inverse[b] - 1.0))
        busy = busy if inverse[b] <= 1e300 else 0.0
        theta = hold[b] * factor[b] / (servers * max(1.0 - rho[b] * finite, 1e-12))
        wait[b] = busy * theta
        spread[b] = busy * (2.0 - busy) * theta * theta


@subroutine
def add_call(calls: float, rest: float, latency: float, ok: Any, response: Any, variance: Any, time: Any, var: Any) \
        -> None:  # fmt: skip
    """Add the time of ``calls`` calls, its variance with the ``rest`` of the fractional one."""
    for b in range(ok.size):
        one = ok[b] * (latency + response[b])
        time[b] += calls * one
        var[b] += calls * variance[b] + rest * one * one


@subroutine
def hold_call(latency: float, ok: Any, response: Any, reach: Any, made: Any, busy: Any) -> None:
    """Add the time for which a caller that blocks is held by the calls it comes to make."""
    for b in range(ok.size):
        busy[b] += reach[b] * made[b] * ok[b] * (latency + response[b])


@subroutine
def hold_calls(latency: float, ok: Any, response: Any, reach: Any, made: float, through: float, busy: Any) -> None:
    """Add the same where no lane makes another number of calls."""
    for b in range(ok.size):
        busy[b] += reach[b] * made * ok[b] * (latency + response[b])
    scale(reach, through)


@subroutine
def note_highest(rho: Any, me: int, highest: Any, worst: Any) -> None:
    """Keep the highest utilisation of each lane and whose it is, the lowest number among equals."""
    for b in range(rho.size):
        more = rho[b] > highest[b] or (rho[b] == highest[b] and me < worst[b])
        highest[b] = rho[b] if more else highest[b]
        worst[b] = me if more else worst[b]
