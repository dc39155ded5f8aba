"""Distributions of times by two moments: scalar functions that kernels share.

The gamma distribution with the mean and variance of a response time stands for it wherever a share in time, a time-out
or the longest of several calls is asked for.
"""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import subroutine

__all__ = [
    "cut_gamma", "cut_groups", "expected_tries", "gamma_cdf", "gamma_tail", "larger", "longest_moments",
    "slow_and_fast",
]  # fmt: skip


@subroutine
def gamma_cdf(shape: float, x: float, accuracy: float = 1e-15, normal_from: float = 2e4) -> float:
    """Regularised lower incomplete gamma function (series and continued fraction, DLMF 8.11, 8.9).

    To a relative ``accuracy``; beyond the shape ``normal_from`` its cube root is taken as normal (Wilson and Hilferty
    1931), which is right to 1e-4 at the default.
    """
    if x <= 0.0:
        return 0.0
    if shape > normal_from:
        z = ((x / shape) ** (1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        a = shape
        for _ in range(10000):
            a += 1.0
            term *= x / a
            total += term
            if term < total * accuracy:
                break
        return min(1.0, front * total)
    tiny = 1e-300
    b = x + 1.0 - shape
    c = 1.0 / tiny
    d = 1.0 / b
    h = d
    for k in range(1, 10000):
        an = -k * (k - shape)
        b += 2.0
        d = an * d + b
        if abs(d) < tiny:
            d = tiny
        c = b + an / c
        if abs(c) < tiny:
            c = tiny
        d = 1.0 / d
        delta = d * c
        h *= delta
        if abs(delta - 1.0) < accuracy:
            break
    return max(0.0, 1.0 - front * h)


@subroutine
def gamma_tail(mean: float, variance: float, t: float) -> float:
    """P(T > t) of the gamma distribution with these moments."""
    if mean <= 0.0:
        return 0.0
    if variance <= 1e-12 * mean * mean:
        return 1.0 if t < mean else 0.0
    return 1.0 - gamma_cdf(mean * mean / variance, t * mean / variance)


@subroutine
def cut_gamma(mean: float, variance: float, t: float, accuracy: float = 1e-10) -> Any:
    """P(T > t) and the first two moments of min(T, t) of the gamma distribution with these moments."""
    if variance <= 1e-9 * mean * mean:
        over = 1.0 if mean > t else 0.0
        m1 = min(mean, t)
        return over, m1, m1 * m1
    shape = mean * mean / variance
    x = t * mean / variance
    over = 1.0 - gamma_cdf(shape, x, accuracy)
    m1 = mean * gamma_cdf(shape + 1.0, x, accuracy) + t * over
    return over, m1, (mean * mean + variance) * gamma_cdf(shape + 2.0, x, accuracy) + t * t * over


@subroutine
def slow_and_fast(mean: float, share: float, gap: float) -> Any:
    """Means of the fast and the slow requests, that differ by ``gap``."""
    return mean - share * gap, mean + (1.0 - share) * gap


@subroutine
def cut_groups(mean: float, fast_var: float, slow_var: float, share: float, gap: float, t: float) -> Any:
    """As :func:`cut_gamma` for a fast and a slow group of requests with variances of their own."""
    fast, slow = slow_and_fast(mean, share, gap)
    over, m1, m2 = cut_gamma(fast, fast_var, t)
    over_2, first_2, second_2 = cut_gamma(slow, slow_var, t)
    return over + share * (over_2 - over), m1 + share * (first_2 - m1), m2 + share * (second_2 - m2)


@subroutine
def larger(m1: float, v1: float, m2: float, v2: float) -> Any:
    """Mean and variance of the larger of two independent times (C. E. Clark, Operations Research 9, 1961)."""
    spread = math.sqrt(v1 + v2)
    if spread <= 1e-12 * (m1 + m2) or spread <= 0.0:
        return (m1, v1) if m1 >= m2 else (m2, v2)
    a = (m1 - m2) / spread
    big = 0.5 * math.erfc(-a / math.sqrt(2.0))
    dens = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    mean = m1 * big + m2 * (1.0 - big) + spread * dens
    square = (m1 * m1 + v1) * big + (m2 * m2 + v2) * (1.0 - big) + (m1 + m2) * spread * dens
    return mean, max(square - mean * mean, 0.0)


@subroutine
def longest_moments(mean: Any, variance: Any, share: Any, m: int) -> Any:
    """Mean and variance of the maximum of m independent branches, each taken with its probability."""
    top = 0.0
    for k in range(m):
        reach = mean[k] + 14.0 * math.sqrt(variance[k])
        if reach > top:
            top = reach
    if top <= 0.0:
        return 0.0, 0.0
    first = 0.0
    second = 0.0
    steps = 200
    h = top / steps
    for s in range(steps + 1):
        t = s * h
        inside = 1.0
        for k in range(m):
            inside *= 1.0 - share[k] * gamma_tail(mean[k], variance[k], t)
        w = (1.0 if s in (0, steps) else (4.0 if s % 2 == 1 else 2.0)) * h / 3.0
        first += w * (1.0 - inside)
        second += w * 2.0 * t * (1.0 - inside)
    return first, max(second - first * first, 0.0)


@subroutine
def expected_tries(bad: float, retries: int, budget: float) -> float:
    """Mean number of tries of a call that fails with ``bad``, at most ``1 + budget`` on average."""
    if retries <= 0 or bad <= 0.0:
        return 1.0
    tries = (1.0 - bad ** (retries + 1)) / (1.0 - bad) if bad < 1.0 else retries + 1.0
    return min(tries, 1.0 + budget)
