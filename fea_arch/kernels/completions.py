"""What queues inside a full pool add to the dispersion of its completions, with all derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["sum_completions"]


@subroutine
def _two_stages(a: float, o: float, v: float) -> Any:
    """Squared coefficient of variation of two exponential stages and its slopes by both means and the visits."""
    if v <= 1.0:
        top = a * a + v * (2.0 - v) * o * o
        s = a + v * o
        value = top / (s * s)
        return (
            value,
            2.0 * a / (s * s) - 2.0 * value / s,
            2.0 * v * (2.0 - v) * o / (s * s) - 2.0 * v * value / s,
            (2.0 - 2.0 * v) * o * o / (s * s) - 2.0 * o * value / s,
        )
    u = a / v
    s = u + o
    value = (u * u + o * o) / (s * s) / v
    by_u = 2.0 * u / (s * s) / v - 2.0 * value / s
    by_o = 2.0 * o / (s * s) / v - 2.0 * value / s
    return value, by_u / v, by_o, -value / v - by_u * a / (v * v)


@subroutine
def _dispersion(rest: Any, own: Any, visits: float, by_rest: Any, by_own: Any) -> Any:
    """Index of dispersion of the completions of a full pool and its slope by the visits; fills those by rates."""
    pool = rest.size
    rounds, share = max(visits, 1.0), min(visits, 1.0)
    left = np.zeros(pool + 1)
    done = np.zeros(pool + 1)
    for k in range(pool):
        left[k] = rest[pool - 1 - k] * rounds
        done[k + 1] = own[k]
    logs = np.zeros(pool + 1)
    top = 0.0
    mode = 0
    for k in range(pool):
        logs[k + 1] = logs[k] + math.log(share * left[k]) - math.log(done[k + 1])
        if logs[k + 1] > top:
            top = logs[k + 1]
            mode = k + 1
    p = np.exp(logs - top)
    p /= p.sum()
    out = (1.0 - share) * left + done
    mean = 0.0
    for k in range(pool + 1):
        mean += p[k] * out[k]
    # slope[k] = h[k+1] - h[k], summed from either end so that nothing cancels
    slope = np.zeros(pool)
    total = 0.0
    for k in range(mode):
        total += p[k] * (out[k] - mean)
        flux = p[k] * share * left[k]
        slope[k] = -total / flux if flux > 0.0 else 0.0
    total = 0.0
    for k in range(pool - 1, mode - 1, -1):
        total += p[k + 1] * (out[k + 1] - mean)
        flux = p[k + 1] * done[k + 1]
        slope[k] = total / flux if flux > 0.0 else 0.0
    h = np.zeros(pool + 1)
    for k in range(pool):
        h[k + 1] = h[k] + slope[k]
    level = 0.0
    for k in range(pool + 1):
        level += p[k] * h[k]
    for k in range(pool + 1):
        h[k] -= level
    ahead = np.zeros(pool + 1)
    moved = 0.0
    for k in range(pool + 1):
        ahead[k] = (1.0 - share) * left[k] * h[k]
        if k > 0:
            ahead[k] += done[k] * h[k - 1]
        moved += p[k] * ahead[k]
    value = (1.0 + 2.0 * moved / mean) / rounds
    # -- back ----------------------------------------------------------------
    on_moved = 2.0 / mean / rounds
    on_mean = -2.0 * moved / (mean * mean) / rounds
    on_p = np.zeros(pool + 1)
    on_left = np.zeros(pool + 1)
    on_done = np.zeros(pool + 1)
    on_h = np.zeros(pool + 1)
    on_share = 0.0
    for k in range(pool + 1):
        on_p[k] += on_moved * ahead[k]
        on = on_moved * p[k]
        on_left[k] += on * (1.0 - share) * h[k]
        on_share -= on * left[k] * h[k]
        on_h[k] += on * (1.0 - share) * left[k]
        if k > 0:
            on_done[k] += on * h[k - 1]
            on_h[k - 1] += on * done[k]
    every = 0.0
    for k in range(pool + 1):
        every += on_h[k]
    for k in range(pool + 1):  # h = raw - p . raw
        on_p[k] -= every * (h[k] + level)
        on_h[k] -= every * p[k]
    on_slope = np.zeros(pool)
    total = 0.0
    for k in range(pool - 1, -1, -1):
        total += on_h[k + 1]
        on_slope[k] = total
    on_excess = np.zeros(pool + 1)
    total = 0.0
    for k in range(mode - 1, -1, -1):
        flux = p[k] * share * left[k]
        if flux > 0.0:
            total -= on_slope[k] / flux
            on_p[k] -= on_slope[k] * slope[k] / p[k]
            on_left[k] -= on_slope[k] * slope[k] / left[k]
            on_share -= on_slope[k] * slope[k] / share
        on_excess[k] += total
    total = 0.0
    for k in range(mode, pool):
        flux = p[k + 1] * done[k + 1]
        if flux > 0.0:
            total += on_slope[k] / flux
            on_p[k + 1] -= on_slope[k] * slope[k] / p[k + 1]
            on_done[k + 1] -= on_slope[k] * slope[k] / done[k + 1]
        on_excess[k + 1] += total
    on_out = np.zeros(pool + 1)
    for k in range(pool + 1):
        on_p[k] += on_excess[k] * (out[k] - mean)
        on_out[k] += on_excess[k] * p[k]
        on_mean -= on_excess[k] * p[k]
    for k in range(pool + 1):
        on_p[k] += on_mean * out[k]
        on_out[k] += on_mean * p[k]
    for k in range(pool + 1):
        on_left[k] += on_out[k] * (1.0 - share)
        on_share -= on_out[k] * left[k]
        on_done[k] += on_out[k]
    level = 0.0
    for k in range(pool + 1):
        level += on_p[k] * p[k]
    total = 0.0
    for k in range(pool - 1, -1, -1):
        total += p[k + 1] * (on_p[k + 1] - level)
        on_left[k] += total / left[k]
        on_done[k + 1] -= total / done[k + 1]
        on_share += total / share
    on_rounds = -value / rounds
    for k in range(pool):
        by_rest[pool - 1 - k] = on_left[k] * rounds
        on_rounds += on_left[k] * rest[pool - 1 - k]
        by_own[k] = on_done[k + 1]
    return value, on_rounds if visits > 1.0 else on_share


@kernel(work=lambda rest, *more: 150.0 * rest.size)
def sum_completions(
    rest: Any, own: Any, visits: Any, extra: Any, scv: Any, share: Any, waiting: float, by_rest: Any, by_own: Any,
    by_visits: Any, by_share: Any,
) -> Any:  # fmt: skip
    """Return the sum of ``completion_terms`` over the callees of a full pool, and its slope by ``waiting``.

    Parameters
    ----------
    rest, own : (k, pool) float64
        Completion rates of all else, and of each callee, with 1, 2, ... workers there [1/s].
    visits, extra, scv, share : (k,) float64
        As of :func:`fea_arch.solvers.queue_variability.completion_terms`.
    waiting : float
    by_rest, by_own, by_visits, by_share
        Derivatives, filled in place. Those by ``scv`` and ``extra`` are ``share waiting / visits`` and
        ``share waiting``.
    """
    value = 0.0
    by_waiting = 0.0
    for k in range(visits.size):
        v = visits[k]
        found, on_visits = _dispersion(rest[k], own[k], v, by_rest[k], by_own[k])
        a, o = 1.0 / rest[k, 0], 1.0 / own[k, 0]
        plain, by_a, by_o, by_v = _two_stages(a, o, v)
        gap = (scv[k] - 1.0) / v + extra[k]
        term = found - (1.0 - waiting) * plain + waiting * gap
        value += share[k] * term
        by_waiting += share[k] * (plain + gap)
        by_share[k] = term
        by_visits[k] = share[k] * (on_visits - (1.0 - waiting) * by_v - waiting * (scv[k] - 1.0) / (v * v))
        for n in range(rest.shape[1]):
            by_rest[k, n] *= share[k]
            by_own[k, n] *= share[k]
        by_rest[k, 0] += share[k] * (1.0 - waiting) * by_a * a * a
        by_own[k, 0] += share[k] * (1.0 - waiting) * by_o * o * o
    return value, by_waiting
