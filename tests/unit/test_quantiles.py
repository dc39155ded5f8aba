"""Percentiles of mixtures: against plain bisection, for smooth parts, fixed times and both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammainc

from fea_arch.results.quantiles import mixture_quantile, mixture_within


def share(t, mean, variance, weight):
    """The share of at most ``t``, part by part with scipy."""
    parts = [
        float(m <= t) if v <= 1e-12 * m * m else float(gammainc(m * m / v, t * m / v)) for m, v in zip(mean, variance)
    ]
    return float(np.dot(parts, weight) / np.sum(weight))


def bisected(p, mean, variance, weight):
    low, high = 0.0, 1e6
    for _ in range(400):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle, mean, variance, weight) < p else (low, middle)
    return high


@pytest.mark.parametrize("parts", [1, 2, 6, 250])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.95, 0.99, 0.9999])
def test_percentiles_are_those_of_bisection(parts, p):
    rng = np.random.default_rng(parts)
    for fixed in (0.0, 0.4):
        mean = 10.0 ** rng.uniform(-4.0, 1.0, parts)
        variance = mean**2 * 10.0 ** rng.uniform(-2.0, 1.0, parts) * (rng.random(parts) >= fixed)
        weight = rng.random(parts) + 0.01
        expected = bisected(p, mean, variance, weight)
        assert mixture_quantile(p, mean, variance, weight) == pytest.approx(expected, rel=1e-9)
        at = expected * 0.7
        assert mixture_within(at, mean, variance, weight) == pytest.approx(share(at, mean, variance, weight), abs=1e-12)


def test_a_fixed_time_is_every_percentile_of_its_own():
    assert mixture_quantile(0.3, np.array([0.25]), np.zeros(1), np.ones(1)) == 0.25
    two = (np.array([0.25, 1.0]), np.zeros(2), np.array([3.0, 1.0]))
    assert mixture_quantile(0.7, *two) == pytest.approx(0.25, rel=1e-11)
    assert mixture_quantile(0.8, *two) == pytest.approx(1.0, rel=1e-11)
