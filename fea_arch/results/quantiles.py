"""Percentiles of response times from mean and variance: gamma distributions and their mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.kernels.distributions import gamma_cdf

__all__ = ["mixture_quantile", "mixture_within"]

#: Parts of a mixture beyond which scipy's vectorised function pays for its import.
_MANY = 200


def mixture_within(t: float, mean: ArrayLike, variance: ArrayLike, weight: ArrayLike) -> float:
    """Return the share of responses of at most ``t`` in a mixture of gamma distributions [1].

    Parameters
    ----------
    t : float
        Time [s].
    mean, variance, weight : (n,) float
        Mean [s], variance [s^2] and weight of each part; a part without variance is a fixed time.
    """
    m, v, w = (np.atleast_1d(np.asarray(x, float)) for x in (mean, variance, weight))
    fixed = v <= 1e-12 * m * m
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = np.where(fixed, 1.0, m * m / v)
        scaled = np.maximum(t, 0.0) * shape / m
    if m.size > _MANY:
        from scipy.special import gammainc

        spread: NDArray[np.float64] = gammainc(shape, scaled)
    else:  # a team-sized architecture does not wait for scipy
        spread = np.array([gamma_cdf(a, x) for a, x in zip(shape.tolist(), scaled.tolist())])
    below = np.where(fixed, (m <= t).astype(float), spread)
    return float(below @ w / w.sum())


def mixture_quantile(
    p: float, mean: NDArray[np.float64], variance: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the ``p``-quantile of a mixture of gamma distributions [s]."""
    if np.all(variance <= 1e-12 * mean * mean) and mean.size == 1:
        return float(mean[0])
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
