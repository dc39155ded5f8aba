"""Percentiles of response times from mean and variance: gamma distributions and their mixtures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.kernels.distributions import gamma_cdf

__all__ = ["mixture_quantile", "mixture_within"]

#: Parts of a mixture beyond which scipy's vectorised function pays for its import.
_MANY = 200
#: Relative width of the bracket at which a percentile is found.
_CLOSE = 1e-12


class _Mixture:
    """Gamma distributions and fixed times with their weights: the share of all up to a time, and its density."""

    def __init__(self, mean: ArrayLike, variance: ArrayLike, weight: ArrayLike) -> None:
        m, v, w = (np.atleast_1d(np.asarray(x, float)) for x in (mean, variance, weight))
        w = w / w.sum()
        fixed = v <= 1e-12 * m * m
        self.fixed, self.fixed_weight = m[fixed], w[fixed]
        self.shape: NDArray[np.float64] = m[~fixed] ** 2 / v[~fixed]
        self.rate: NDArray[np.float64] = m[~fixed] / v[~fixed]
        self.weight = w[~fixed]
        self._parts = list(zip(self.shape.tolist(), self.rate.tolist(), self.weight.tolist()))

    def within(self, t: float) -> float:
        """Return the share of at most ``t`` [1]."""
        below = float(self.fixed_weight[self.fixed <= t].sum()) if self.fixed.size else 0.0
        if self.weight.size > _MANY:
            from scipy.special import gammainc

            return below + float(gammainc(self.shape, max(t, 0.0) * self.rate) @ self.weight)
        # a team-sized architecture does not wait for scipy
        return below + float(sum(w * gamma_cdf(shape, t * rate) for shape, rate, w in self._parts))

    def density(self, t: float) -> float:
        """Return the density of the gamma distributions at ``t > 0`` [1/s]."""
        if self.weight.size > _MANY:
            from scipy.special import gammaln

            x = np.maximum(t * self.rate, 1e-300)
            logs = (self.shape - 1.0) * np.log(x) - x - gammaln(self.shape)
            return float(np.exp(np.minimum(logs, 700.0)) * self.rate @ self.weight)
        total = 0.0
        for shape, rate, w in self._parts:
            x = t * rate
            if x > 0.0:
                logs = (shape - 1.0) * math.log(x) - x - math.lgamma(shape)
                total += w * rate * math.exp(min(logs, 700.0))
        return total


def mixture_within(t: float, mean: ArrayLike, variance: ArrayLike, weight: ArrayLike) -> float:
    """Return the share of responses of at most ``t`` in a mixture of gamma distributions [1].

    Parameters
    ----------
    t : float
        Time [s].
    mean, variance, weight : (n,) float
        Mean [s], variance [s^2] and weight of each part; a part without variance is a fixed time.
    """
    return _Mixture(mean, variance, weight).within(t)


def mixture_quantile(
    p: float, mean: NDArray[np.float64], variance: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the ``p``-quantile of a mixture of gamma distributions [s].

    By Newton's method on the share of slower responses, inside a bracket that is halved wherever a step leaves it or
    gains too little (a fixed time is a jump, where no derivative helps).
    """
    if np.all(variance <= 1e-12 * mean * mean) and mean.size == 1:
        return float(mean[0])
    mixture = _Mixture(mean, variance, weight)
    low, high = 0.0, float((mean + 10.0 * np.sqrt(variance)).max())
    while mixture.within(high) < p:
        high *= 2.0
    return _root(mixture, p, low, high, float(mean @ weight / weight.sum()))


def _root(mixture: _Mixture, p: float, low: float, high: float, start: float) -> float:
    """Return the least time in a bracket by which a share ``p`` is answered [s]."""
    t = start if low < start < high else 0.5 * (low + high)
    width = high - low
    for trip in range(200):
        share = mixture.within(t)
        if share < p:
            low = t
        else:
            high = t
        if high - low <= _CLOSE * high:
            break
        new = _newton(p, t, share, mixture.density(t), low, high)
        if low <= new <= high and abs(new - t) <= 1e-7 * t:  # the next error is the square of this one
            return new
        if trip % 4 == 3:  # four steps that gain less than half stand at a jump
            new, width = (new if high - low <= 0.5 * width else math.nan), high - low
        t = new if low < new < high else 0.5 * (low + high)
    return high


def _newton(p: float, t: float, share: float, density: float, low: float, high: float) -> float:
    """Return where Newton's method goes on from ``t`` in coordinates that make a gamma distribution nearly straight.

    In the upper half that is the logarithm of the rest over time, in the lower half the logarithm of the share over
    that of time; also where the first leaves the bracket.
    """
    if not 0.0 < share < 1.0 or density <= 0.0:
        return math.nan
    if p > 0.5:
        new = t + math.log((1.0 - share) / (1.0 - p)) * (1.0 - share) / density
        if low <= new <= high:
            return new
    return t * math.exp(min(math.log(p / share) * share / (t * density), 700.0))
