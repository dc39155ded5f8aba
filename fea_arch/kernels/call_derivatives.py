"""Derivatives of what calls add to their caller: time-outs, tries, parallel stages.

The gamma distribution of time-outs is differentiated in closed form by its argument and by a four-point difference by
its shape; the quadrature of a parallel stage by a four-point difference of itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.kernels.distributions import gamma_cdf, longest_moments

__all__ = ["differentiate_calls"]


@subroutine
def _gamma_slopes(shape: float, x: float) -> Any:
    """Derivatives of the gamma distribution function by shape and by argument."""
    if x <= 0.0:
        return 0.0, 0.0
    step = 2e-3 * shape
    near = gamma_cdf(shape + step, x) - gamma_cdf(shape - step, x)
    far = gamma_cdf(shape + 2.0 * step, x) - gamma_cdf(shape - 2.0 * step, x)
    by_shape = (8.0 * near - far) / (12.0 * step)
    if shape > 2.0e4:
        gap = 1e-4 * x
        near = gamma_cdf(shape, x + gap) - gamma_cdf(shape, x - gap)
        far = gamma_cdf(shape, x + 2.0 * gap) - gamma_cdf(shape, x - 2.0 * gap)
        return by_shape, (8.0 * near - far) / (12.0 * gap)
    return by_shape, math.exp((shape - 1.0) * math.log(x) - x - math.lgamma(shape))


@subroutine
def _stage_slopes(mean: Any, variance: Any, share: Any, m: int, which: Any, k: int) -> Any:
    """Four-point difference of the stage moments by one entry of ``which`` (mean, variance or share)."""
    base = which[k]
    step = 1e-3 * base
    if step <= 0.0:
        return 0.0, 0.0
    which[k] = base + step
    p1, p2 = longest_moments(mean, variance, share, m)
    which[k] = base - step
    q1, q2 = longest_moments(mean, variance, share, m)
    which[k] = base + 2.0 * step
    r1, r2 = longest_moments(mean, variance, share, m)
    which[k] = base - 2.0 * step
    s1, s2 = longest_moments(mean, variance, share, m)
    which[k] = base
    return (8.0 * (p1 - q1) - (r1 - s1)) / (12.0 * step), (8.0 * (p2 - q2) - (r2 - s2)) / (12.0 * step)


@subroutine
def _attempts(lost: float, retries: int, budget: float) -> Any:
    """Tries per call and their derivative by the lost share; none where the retry budget binds."""
    total = 1.0
    slope = 0.0
    power = 1.0
    for k in range(1, retries + 1):
        slope += k * power
        power *= lost
        total += power
    if budget == budget and total > 1.0 + budget:
        return 1.0 + budget, 0.0
    return total, slope


@kernel(
    work=lambda ptr, target, calls, sync, latency, timeout, retries, backoff, budget, stage, *rest: (
        60.0 * target.size + 2e4 * float((stage >= 0).sum()) + 2e3 * float((timeout == timeout).sum())
    )
)
def differentiate_calls(
    ptr: Any,
    target: Any,
    calls: Any,
    sync: Any,
    latency: Any,
    timeout: Any,
    retries: Any,
    backoff: Any,
    budget: Any,
    stage: Any,
    required: Any,
    response: Any,
    variance: Any,
    success: Any,
    mean_by: Any,
    variance_by: Any,
    good_by: Any,
    attempts_by: Any,
) -> None:
    """Differentiate what each call adds to its caller.

    Parameters
    ----------
    ptr, target, calls, ... : network arrays, edges sorted by caller
    response, variance, success : (n,) float64
        Moments of the callees' response [s, s^2] and share of requests they answer [1].
    mean_by, variance_by, good_by, attempts_by : (n_edges, 7) float64
        Results: derivatives of the caller's time outside, of its variance, of the logarithm of its success and of the
        tries, by (mean, variance and success of the callee, calls, time-out, back-off, one retry more). The last
        column is a difference. At whole calls, where the variance has a kink, the mean of both slopes is given.
    """
    n = ptr.size - 1
    b_mean = np.empty(64)
    b_var = np.empty(64)
    b_share = np.empty(64)
    b_edge = np.empty(64, np.int64)
    first = np.empty(7)
    second = np.empty(7)
    chance = np.empty(7)
    tries = np.empty(7)
    fail = np.empty(7)
    total_by = np.empty(7)
    spread_by = np.empty(7)
    for i in range(n):
        staged = 0
        for e in range(ptr[i], ptr[i + 1]):
            for v in range(7):
                mean_by[e, v] = 0.0
                variance_by[e, v] = 0.0
                good_by[e, v] = 0.0
                attempts_by[e, v] = 0.0
            if not sync[e]:
                continue
            j = target[e]
            mean = latency[e] + response[j]
            var = variance[j]
            for v in range(7):
                first[v] = 0.0
                second[v] = 0.0
                chance[v] = 0.0
            first[0] = 1.0
            second[1] = 1.0
            p = 0.0
            if timeout[e] == timeout[e]:
                t = timeout[e]
                if var <= 1e-12 * mean * mean:
                    if mean > t:
                        p = 1.0
                        first[0] = 0.0
                        first[4] = 1.0
                        mean = t
                    var = 0.0
                    second[1] = 0.0
                else:
                    k = mean * mean / var
                    x = t * mean / var
                    whole = gamma_cdf(k, x)
                    one = gamma_cdf(k + 1.0, x)
                    two = gamma_cdf(k + 2.0, x)
                    p = 1.0 - whole
                    m1 = mean * one + t * p
                    m2 = (mean * mean + var) * two + t * t * p
                    s0, x0 = _gamma_slopes(k, x)
                    s1, x1 = _gamma_slopes(k + 1.0, x)
                    s2, x2 = _gamma_slopes(k + 2.0, x)
                    for v in (0, 1, 4):
                        dk = 2.0 * mean / var if v == 0 else (-k / var if v == 1 else 0.0)
                        dx = t / var if v == 0 else (-x / var if v == 1 else mean / var)
                        dp = -(s0 * dk + x0 * dx)
                        d1 = mean * (s1 * dk + x1 * dx) + t * dp
                        d2 = (mean * mean + var) * (s2 * dk + x2 * dx) + t * t * dp
                        if v == 0:
                            d1 += one
                            d2 += 2.0 * mean * two
                        elif v == 1:
                            d2 += two
                        else:
                            d1 += p
                            d2 += 2.0 * t * p
                        chance[v] = dp
                        first[v] = d1
                        second[v] = d2 - 2.0 * m1 * d1
                    mean = m1
                    var = m2 - m1 * m1
                    if var <= 0.0:
                        var = 0.0
                        for v in range(7):
                            second[v] = 0.0
            lost = 1.0 - (1.0 - p) * success[j]
            many, slope = _attempts(lost, retries[e], budget[e])
            more, _ = _attempts(lost, retries[e] + 1, budget[e])
            failed = max(0.0, 1.0 - (1.0 - lost) * many)
            total = many * mean + (many - 1.0) * backoff[e]
            spread = many * var + (many - 1.0) * mean * mean
            for v in range(7):
                dl = chance[v] * success[j]
                if v == 2:
                    dl = -(1.0 - p)
                tries[v] = slope * dl
                fail[v] = many * dl - (1.0 - lost) * tries[v]
                if v == 6:
                    tries[v] = more - many
                    fail[v] = -(1.0 - lost) * tries[v]
                total_by[v] = tries[v] * (mean + backoff[e]) + many * first[v]
                spread_by[v] = tries[v] * (var + mean * mean) + many * second[v]
                spread_by[v] += 2.0 * (many - 1.0) * mean * first[v]
                if v == 5:
                    total_by[v] += many - 1.0
                attempts_by[e, v] = tries[v]
                if required[e] and failed < 1.0:
                    good_by[e, v] = -calls[e] * fail[v] / (1.0 - failed)
            if required[e] and failed < 1.0:
                good_by[e, 3] = math.log(1.0 - failed)
            if stage[e] < 0:
                part = calls[e] - math.floor(calls[e])
                rough = 0.0 if j == i else 1.0  # a call of itself adds to the mean only
                for v in range(7):
                    mean_by[e, v] = calls[e] * total_by[v]
                    ragged = 2.0 * part * (1.0 - part) * total * total_by[v]
                    variance_by[e, v] = rough * (calls[e] * spread_by[v] + ragged)
                mean_by[e, 3] = total
                kink = 1.0 - 2.0 * part if part > 0.0 else 0.0
                variance_by[e, 3] = rough * (spread + kink * total * total)
            else:
                # kept until the whole stage is known: time of the branch by each variable
                staged += 1
                for v in range(7):
                    mean_by[e, v] = total_by[v]
                mean_by[e, 3] = total
        if staged == 0:
            continue
        done = -1
        while True:
            now = -1
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and stage[e] > done and (now < 0 or stage[e] < now):
                    now = stage[e]
            if now < 0:
                break
            m = 0
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and stage[e] == now:
                    if m < 64 and calls[e] > 0.0:
                        per = max(1.0, calls[e])
                        total = mean_by[e, 3]
                        b_edge[m] = e
                        b_share[m] = min(1.0, calls[e])
                        b_mean[m] = per * total
                        b_var[m] = per * (
                            variance[target[e]]
                            if timeout[e] != timeout[e]
                            else min(variance[target[e]], total * total)
                        )
                        m += 1
                    else:
                        for v in range(7):
                            mean_by[e, v] = 0.0
            for k in range(m):
                e = b_edge[k]
                per = max(1.0, calls[e])
                total = mean_by[e, 3]
                m_mean, v_mean = _stage_slopes(b_mean, b_var, b_share, m, b_mean, k)
                m_var, v_var = _stage_slopes(b_mean, b_var, b_share, m, b_var, k)
                m_share, v_share = _stage_slopes(b_mean, b_var, b_share, m, b_share, k)
                capped = timeout[e] == timeout[e] and total * total < variance[target[e]]
                for v in range(7):
                    if v == 3:
                        continue
                    by_mean = per * mean_by[e, v]
                    by_var = 2.0 * per * total * mean_by[e, v] if capped else (per if v == 1 else 0.0)
                    mean_by[e, v] = m_mean * by_mean + m_var * by_var
                    variance_by[e, v] = v_mean * by_mean + v_var * by_var
                up = 1.0 if calls[e] > 1.0 else (0.5 if calls[e] == 1.0 else 0.0)
                mean_by[e, 3] = up * (m_mean * total + m_var * b_var[k] / per) + (1.0 - up) * m_share
                variance_by[e, 3] = up * (v_mean * total + v_var * b_var[k] / per) + (1.0 - up) * v_share
            done = now
