"""Finite element basics: patch test, springs, fixed bars, bar under self weight (V-FE-01 to V-FE-04)."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa

EXACT = 1e-12


def irregular_bar():
    x = np.array([0, 0.13, 0.41, 0.5, 0.97, 1.0])
    ends = np.c_[np.arange(1, 6), np.arange(5)]
    return x, ends, 7.0 / np.diff(x)


def test_patch_test_on_an_irregular_mesh():
    """V-FE-01: a linear displacement field is reproduced exactly (EA = 7 N, u(0) = 0.2, u(1) = 0.7 m)."""
    x, ends, k = irregular_bar()
    r = fa.solve(fa.Mesh.from_bars(6, ends, k, supports=[]), prescribed={0: 0.2, 5: 0.7})
    np.testing.assert_allclose(r.displacement, 0.2 + 0.5 * x, rtol=EXACT)
    np.testing.assert_allclose(r.force, 3.5, rtol=EXACT)
    np.testing.assert_allclose(r.reaction, [-3.5, 3.5], rtol=EXACT)
    energy = fa.Mesh.from_bars(6, ends, k).energy(r.elongation).sum()
    assert energy == pytest.approx(0.875, rel=EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_patch_test_does_not_depend_on_numbering_or_orientation(seed):
    """V-FE-01: a permutation of nodes and elements changes nothing, an orientation only the sign of e and q."""
    x, ends, k = irregular_bar()
    rng = np.random.default_rng(seed)
    node, element = rng.permutation(6), rng.permutation(5)
    flip = rng.random(5) < 0.5
    turned = node[ends[element]]
    turned[flip] = turned[flip][:, ::-1]
    mesh = fa.Mesh.from_bars(6, turned, k[element], supports=[])
    r = fa.solve(mesh, prescribed={int(node[0]): 0.2, int(node[5]): 0.7})
    np.testing.assert_allclose(r.displacement[node], 0.2 + 0.5 * x, rtol=EXACT)
    np.testing.assert_allclose(r.force, np.where(flip, -3.5, 3.5), rtol=EXACT)


def test_springs_in_series_and_in_parallel():
    """V-FE-02: series 2, 3, 6 N/m has 1 N/m; parallel 11 N/m; (2 series 3) parallel 6 has 7.2 N/m."""
    series = fa.solve(fa.Mesh.from_bars(4, [(1, 0), (2, 1), (3, 2)], [2.0, 3.0, 6.0]), [0, 0, 0, 12.0])
    np.testing.assert_allclose(series.elongation, [6, 4, 2], rtol=EXACT)
    assert series.displacement[3] == pytest.approx(12, rel=EXACT)
    parallel = fa.solve(fa.Mesh.from_bars(2, [(1, 0)] * 3, [2.0, 3.0, 6.0]), [0, 12.0])
    assert parallel.displacement[1] == pytest.approx(12 / 11, rel=EXACT)
    mixed = fa.solve(fa.Mesh.from_bars(3, [(1, 0), (2, 1), (2, 0)], [2.0, 3.0, 6.0]), [0, 0, 7.2])
    assert mixed.displacement[2] == pytest.approx(1.0, rel=EXACT)


def test_fixed_bar_with_two_axial_loads():
    """V-FE-03: Timoshenko, Strength of Materials I, p. 26 prob. 10; Ansys VM1: reactions 900 and 600 lb."""
    ends = [(1, 0), (2, 1), (3, 2)]
    mesh = fa.Mesh.from_bars(4, ends, 30e6 / np.array([4.0, 3.0, 3.0]), supports=[0, 3])
    r = fa.solve(mesh, [0, 500.0, 1000.0, 0])
    np.testing.assert_allclose(-r.reaction, [600, 900], rtol=EXACT)


@pytest.mark.parametrize(("n", "energy"), [(1, 0.125), (2, 0.15625), (4, 0.1640625)])
def test_bar_under_self_weight(n, energy):
    """V-FE-04: nodes are exact, the energy is short of 1/6 by 1/(24 n^2)."""
    h = 1.0 / n
    load = np.full(n + 1, h)
    load[[0, -1]] = h / 2
    mesh = fa.Mesh.from_bars(n + 1, np.c_[np.arange(1, n + 1), np.arange(n)], np.full(n, n * 1.0))
    r = fa.solve(mesh, load)
    x = np.linspace(0, 1, n + 1)
    np.testing.assert_allclose(r.displacement, x - x**2 / 2, rtol=EXACT)
    assert mesh.energy(r.elongation).sum() == pytest.approx(energy, rel=EXACT)
    assert 1 / 6 - energy == pytest.approx(1 / (24 * n**2), rel=EXACT)
