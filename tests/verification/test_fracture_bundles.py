"""Fracture of parallel bars: equal and local load sharing (V-NL-06 to V-NL-09)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fea_arch as fa


def bundle(strength):
    """Unit bars between a support and one loaded node."""
    n = len(strength)
    return fa.break_down(fa.Mesh.from_bars(2, np.tile([1, 0], (n, 1)), 1.0), [0.0, 1.0], strength)


@pytest.mark.parametrize(("n", "value"), [(4, 0.3), (9, 5 / 18), (10, 3 / 11), (99, 25 / 99)])
def test_evenly_spaced_thresholds(n, value):
    """V-NL-06: max_j x_j (N - j + 1)/N is (N + 1)/(4N) for odd N and (N + 2)/(4(N + 1)) for even N."""
    closed = (n + 1) / (4 * n) if n % 2 else (n + 2) / (4 * (n + 1))
    assert closed == pytest.approx(value, rel=1e-12)
    r = bundle(np.arange(1, n + 1)[::-1] / (n + 1))
    assert r.peak / n == pytest.approx(value, rel=1e-12)
    assert r.sequence.tolist() == list(range(n))[::-1]
    assert r.separated


@pytest.mark.parametrize(
    ("inverse", "stress", "intact"),
    [
        (lambda p: p, 0.25, 0.5),
        (lambda p: -np.log1p(-p), 0.367879441171, math.exp(-1)),
        (lambda p: (-np.log1p(-p)) ** 0.5, 0.428881942480, math.exp(-0.5)),
        (lambda p: (-np.log1p(-p)) ** 0.1, 0.718737908981, math.exp(-0.1)),
    ],
    ids=["uniform", "weibull-1", "weibull-2", "weibull-10"],
)
def test_critical_stress_in_the_limit_of_many_fibres(inverse, stress, intact):
    """V-NL-06: sigma_c = max x(1 - F(x)); the thresholds are the quantiles of N equal classes, error O(1/N)."""
    n = 200_000
    r = bundle(inverse((np.arange(n) + 0.5) / n))
    assert r.peak / n == pytest.approx(stress, abs=5 / n)
    assert 1 - r.peak_index / n == pytest.approx(intact, abs=5e-3)


@pytest.mark.parametrize(("n", "mean"), [(1, 0.5), (2, 5 / 12), (3, 0.3796296296), (4, 0.35859375), (5, 0.3446633333)])
def test_mean_strength_of_small_bundles(n, mean):
    """V-NL-07: Daniels' exact means for uniform thresholds, within 4 standard errors of the sample."""
    rng = np.random.default_rng(n)
    values = np.array([bundle(t).peak for t in rng.random((1500, n))]) / n
    assert abs(values.mean() - mean) < 4 * values.std(ddof=1) / math.sqrt(values.size)


@pytest.mark.parametrize(("n", "samples"), [(1000, 1000), (10_000, 300)])
def test_size_effect_of_large_bundles(n, samples):
    """V-NL-07: mean 1/4 + 0.31372 N^(-2/3), standard deviation 1/(4 sqrt N).

    The two-term mean has an error of its own: the published simulations deviate by up to 1.7e-4 at N = 1000 and
    3e-5 at 10000; the reference values here are those simulated means with their own standard errors.
    """
    reference, error = {1000: (0.252968, 1.1e-4), 10_000: (0.250549, 8e-5)}[n]
    rng = np.random.default_rng(n)
    values = np.array([bundle(rng.random(n)).peak for _ in range(samples)]) / n
    own = values.std(ddof=1) / math.sqrt(samples)
    assert abs(values.mean() - reference) < 4 * math.hypot(own, error)
    assert values.std(ddof=1) == pytest.approx(0.25 / math.sqrt(n), rel=4 / math.sqrt(2 * samples) + 0.05)


def test_avalanche_sizes_of_the_equal_load_sharing_bundle():
    """V-NL-08: Hemmer and Hansen 1992; 300 bundles of 20000 uniform fibres, 2 % for bursts up to 5."""
    reference = [0.241854581, 0.036822314, 0.012117208, 0.005513741, 0.003000495]
    rng = np.random.default_rng(8)
    n, bundles = 20_000, 300
    counts = np.zeros(n + 1)
    tail = 0
    for _ in range(bundles):
        sizes = bundle(rng.random(n)).avalanches
        assert sizes.sum() == n
        counts += np.bincount(sizes[:-1], minlength=n + 1)
        tail += int(sizes[:-1].sum())
    np.testing.assert_allclose(counts[1:6] / (n * bundles), reference, rtol=0.02)
    assert tail / (n * bundles) == pytest.approx(0.5, abs=0.01)


def test_given_strengths():
    """V-NL-09a: strengths 3, 1, 4, 2, 5: loads 5, 8, 9, 8, 5."""
    r = bundle([3.0, 1.0, 4.0, 2.0, 5.0])
    assert r.load_factor.tolist() == [5, 8, 9, 8, 5]
    assert (r.peak, r.peak_index) == (9, 2)
    assert r.avalanches.tolist() == [1, 1, 3]


def test_local_load_sharing_on_a_ring():
    """V-NL-09b: eight fibres by hand."""
    strength = [0.5, 0.9, 0.3, 0.8, 0.6, 0.7, 0.95, 0.4]
    mesh = fa.Mesh.from_bars(2, np.tile([1, 0], (8, 1)), 1.0, strength=strength)
    r = fa.break_down(mesh, sharing="local")
    assert r.sequence.tolist() == [2, 7, 0, 1, 3, 4, 5, 6]
    expected = [0.3, 0.4, 1 / 3, 0.36, 0.8 / 3, 0.6 / 3.5, 0.175, 0.11875]
    np.testing.assert_allclose(r.load_factor, expected, rtol=1e-12)
    assert r.peak == pytest.approx(0.4, rel=1e-12)
    assert r.avalanches.tolist() == [1, 7]
    assert bundle(strength).peak / 8 == pytest.approx(0.375, rel=1e-12)
