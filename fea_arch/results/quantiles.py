"""Percentiles of response times from mean and variance: gamma distributions and their mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mixture_quantile", "mixture_within"]


def mixture_within(t: float, mean: ArrayLike, variance: ArrayLike, weight: ArrayLike) -> float:
    """Return the share of responses of at most ``t`` in a mixture of gamma distributions [1].

    Parameters
    ----------
    t : float
        Time [s].
    mean, variance, weight : (n,) float
        Mean [s], variance [s^2] and weight of each part; a part without variance is a fixed time.
    """
    from scipy.special import gammainc

    m, v, w = (np.asarray(x, float) for x in (mean, variance, weight))
    fixed = v <= 1e-12 * m * m
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = np.where(fixed, 1.0, m * m / v)
        below = np.where(fixed, (m <= t).astype(float), gammainc(shape, np.maximum(t, 0.0) * shape / m))
    return float(below @ w / w.sum())


def mixture_quantile(
    p: float, mean: NDArray[np.float64], variance: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the ``p``-quantile of a mixture of gamma distributions [s]."""
    if mean.size == 1:
        from scipy.special import gammaincinv

        m, v = float(mean[0]), float(variance[0])
        if v <= 1e-12 * m * m:
            return m
        shape = m * m / v
        return float(gammaincinv(shape, p) * v / m)
    low, high = 0.0, float((mean + 10.0 * np.sqrt(variance)).max())
    while mixture_within(high, mean, variance, weight) < p:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if mixture_within(middle, mean, variance, weight) < p:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return high
