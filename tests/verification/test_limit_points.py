"""Equilibrium paths through limit points, snap-back and folds: V-NL-01 to V-NL-05, V-ME-03, V-CO-05."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.laws.custom import Custom, Polynomial
from fea_arch.laws.elastic_plastic import ElasticPlastic
from fea_arch.laws.linear import Linear
from fea_arch.laws.softening import ExponentialSoftening, LinearSoftening
from fea_arch.laws.tension_only import TensionOnly
from fea_arch.solvers.path_following import follow

EA, RISE, SPAN = 5e7, 25.0, 2500.0


# --- V-NL-01: Crisfield's shallow truss; displacement counted positive downwards -----------------------------------
def shallow(spring=0.0):
    c = EA / SPAN**3
    return fa.Mesh.from_incidence(np.ones((1, 1)), Polynomial([[c * RISE**2 + spring, -1.5 * c * RISE, 0.5 * c]]))


@pytest.mark.parametrize("control", ["arc_length", "displacement"])
def test_shallow_truss_limit_points(control):
    path = fa.trace(shallow(), [1.0], control, step=0.5, stop=lambda factor, u: u[0] >= 60.0)
    at = path.limit_points
    np.testing.assert_allclose(path.displacement[at, 0], [10.566243270259, 39.433756729741], atol=1e-8)
    np.testing.assert_allclose(path.load_factor[at], [9.622504486494, -9.622504486494], atol=1e-8)
    u, off = path.displacement[:, 0], np.setdiff1d(np.arange(path.load_factor.size), at)
    np.testing.assert_array_equal(path.stable[off], ((u < 10.56624327) | (u > 39.43375673))[off])
    assert not path.stable[at].any()
    assert not path.bifurcations.size
    q, w = path.load_factor, 0.5 * 2.0 * u**2 - 0.04 * u**3 + 0.0004 * u**4
    np.testing.assert_allclose(path.work, w, atol=1e-9 * np.abs(w).max())
    np.testing.assert_allclose(path.force[:, 0], q, atol=1e-9)


def test_shallow_truss_tangents():
    law = shallow().blocks[0].law
    assert law.tangent(np.array([0.0]))[0] == pytest.approx(2.0)
    assert law.tangent(np.array([25.0]))[0] == pytest.approx(-1.0)


def test_shallow_truss_with_spring():
    mesh = shallow(1.35)
    path = fa.trace(mesh, [7.0], "load", step=1.0, max_step=1.0, max_points=6)
    np.testing.assert_allclose(path.load_factor, np.arange(6), atol=1e-9)
    expected = [2.268280168, 5.022046980, 8.628992259, 14.250193437, 28.392879624]
    np.testing.assert_allclose(path.displacement[1:, 0], expected, atol=1e-8)
    assert path.stable.all()
    assert not path.limit_points.size


def test_load_control_stops_at_the_limit():
    with pytest.raises(fa.ConvergenceError, match="arc_length") as caught:
        fa.trace(shallow(), [1.0], "load", step=0.5)
    assert caught.value.partial.load_factor.max() == pytest.approx(9.622504486494, rel=1e-3)


# --- V-NL-02: von Mises truss, exact rotation, engineering strain -------------------------------------------------
def von_mises(b=1.0, h=0.5, stiffness=1.0):
    def force(u, scale):
        y = h - u
        L, L0 = np.hypot(b, y), np.hypot(b, h)
        return 2.0 * scale * (L0 - L) / L0 * y / L

    def tangent(u, scale):
        y = h - u
        L, L0 = np.hypot(b, y), np.hypot(b, h)
        return -2.0 * scale / L0 * (L0 * b**2 / L**3 - 1.0)

    return Custom(force, tangent, [[stiffness]])


def test_von_mises_truss():
    mesh = fa.Mesh.from_incidence(np.ones((1, 1)), von_mises())
    path = fa.trace(mesh, [1.0], step=2e-3, stop=lambda factor, u: u[0] > 1.2)
    at = path.limit_points
    np.testing.assert_allclose(path.displacement[at, 0], [0.222119908925, 0.777880091075], atol=1e-8)
    np.testing.assert_allclose(path.load_factor[at], [0.0383837398174, -0.0383837398174], atol=1e-8)


# --- V-NL-03: exponential softening behind a spring ---------------------------------------------------------------
def cohesive(k0, own=4.0, unloading="secant"):
    """A crack with stiffness ``own`` before the peak, and a spring so that both together have stiffness ``k0``."""
    rows = np.array([[1.0, 0.0], [-1.0, 1.0]])
    spring = Linear(np.array([1.0 / (1.0 / k0 - 1.0 / own)]))
    crack = ExponentialSoftening(own, 1.0, 1.0, unloading=unloading)
    return fa.Mesh.from_incidence(rows, [(crack, [0]), (spring, [1])])


@pytest.mark.parametrize("control", ["arc_length", "dissipation"])
@pytest.mark.parametrize(("k0", "turning"), [(0.5, 1.693147180560), (0.25, 2.386294361120)])
def test_cohesive_snap_back(k0, turning, control):
    path = fa.trace(cohesive(k0), [0.0, 1.0], control, step=0.1, max_step=0.5, stop=lambda factor, u: factor < 1e-9)
    U, q = path.displacement[:, 1], path.load_factor
    (peak,), (corner, turn) = path.limit_points, path.turning_points
    assert corner == peak  # the displacement turns back at the peak and forward again at the turning point
    assert (U[peak], q[peak]) == (pytest.approx(1.0 / k0, abs=1e-8), pytest.approx(1.0, abs=1e-8))
    assert (U[turn], q[turn]) == (pytest.approx(turning, abs=1e-8), pytest.approx(k0, abs=1e-8))
    after = slice(peak + 1, None)
    np.testing.assert_allclose(U[after], q[after] / k0 - np.log(q[after]), atol=1e-8)
    assert path.work[-1] == pytest.approx(1.0, abs=1e-8)
    assert path.dissipated[-1] == pytest.approx(1.0, abs=1e-8)
    assert not path.stable[after].any()


def test_displacement_control_cannot_pass_snap_back():
    with pytest.raises(fa.ConvergenceError, match="dissipation") as caught:
        fa.trace(cohesive(0.5), [0.0, 1.0], "displacement", step=0.1)
    assert caught.value.partial.displacement[:, 1].max() == pytest.approx(2.0, rel=1e-6)


# --- V-NL-04: chain of linear-softening elements ------------------------------------------------------------------
def softening_chain(n, unloading):
    rows = np.eye(n) - np.eye(n, k=-1)
    weak = 1.0 - 1e-7 * (np.arange(n) == 0)  # selects the element that breaks
    return fa.Mesh.from_incidence(rows, LinearSoftening(np.ones(n), weak, np.full(n, 3.0), unloading=unloading))


@pytest.mark.parametrize("control", ["arc_length", "dissipation"])
@pytest.mark.parametrize("unloading", ["secant", "elastic"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_softening_chain(n, unloading, control):
    load = np.zeros(n)
    load[-1] = 1.0
    path = fa.trace(
        softening_chain(n, unloading), load, control, step=0.1, max_step=0.1, stop=lambda factor, u: u[0] > 3.0
    )
    e1, q, U = path.displacement[:, 0], path.load_factor, path.displacement[:, -1]
    falling = (e1 > 1.0) & (e1 < 3.0)
    assert falling.sum() >= 5
    np.testing.assert_allclose(q[falling], 1.0 - 0.5 * (e1[falling] - 1.0), atol=1e-6)
    np.testing.assert_allclose(U[falling], (n - 1) * q[falling] + e1[falling], atol=1e-9)
    closed = {2: lambda e: 1.5 + 0.5 * e, 3: lambda e: 3.0 + 0.0 * e, 4: lambda e: 4.5 - 0.5 * e}
    if n in closed:
        np.testing.assert_allclose(U[falling], closed[n](e1[falling]), atol=3e-6)
    peak = path.limit_points[0]
    assert (q[peak], U[peak]) == (pytest.approx(1.0, abs=2e-6), pytest.approx(n, abs=1e-5))
    assert path.dissipated[-1] == pytest.approx(1.5, abs=3e-6)
    assert bool(path.turning_points.size) == (n == 4)


# --- V-NL-05: three bars from a ceiling, elastic-plastic (Popov) --------------------------------------------------
def three_bars(hardening=0.0):
    cosine, area, modulus, strength, height = np.cos(np.pi / 6), 10.0, 3000.0, 60.0, 200.0
    k = modulus * area / height
    law = ElasticPlastic([k, k * cosine, k * cosine], np.full(3, strength * area), hardening)
    return fa.Mesh.from_incidence(np.array([[1.0], [cosine], [cosine]]), law)


def test_three_bars_elastic():
    path = fa.trace(three_bars(), [200.0], "load", step=1.0, max_points=2)
    np.testing.assert_allclose(path.force[-1], [86.992903470, 65.244677602, 65.244677602], atol=1e-8)
    assert path.displacement[-1, 0] == pytest.approx(0.579952689797, abs=1e-11)


def test_three_bars_to_collapse():
    path = fa.trace(three_bars(), [1.0], step=100.0, stop=lambda factor, u: u[0] > 8.0)
    P, v = path.load_factor, path.displacement[:, 0]
    first = np.argmin(np.abs(v - 4.0))
    assert (P[first], v[first]) == (pytest.approx(1379.4228634, rel=1e-10), pytest.approx(4.0, rel=1e-10))
    second = path.limit_points[0]
    assert P[second] == pytest.approx(1639.2304845, rel=1e-10)
    assert v[second] == pytest.approx(16.0 / 3.0, rel=1e-9)
    assert P.max() == pytest.approx(1639.2304845, rel=1e-10)


# --- V-ME-03: retries with a smooth time-out law ------------------------------------------------------------------
def retry_curve(w, mu=10.0, m=2.0):
    def timeouts(load):
        return 1.0 / (1.0 + np.exp(-(load - mu) / w))

    def rate(load):
        return load / (1.0 + m * timeouts(load))

    def slope(load, width):
        s = 1.0 / (1.0 + np.exp(-(load - mu) / width))
        return (1.0 + m * s - load * m * s * (1.0 - s) / width) / (1.0 + m * s) ** 2

    return rate, slope


@pytest.mark.parametrize(
    ("w", "folds"),
    [(0.5, [(8.3137375298352, 7.7965860722894), (11.309489001984, 3.9486425515109)]),
     (1.0, [(7.6075011446102, 6.5161001442196), (11.876961601175, 4.3433386805298)])],
)  # fmt: skip
def test_retry_folds(w, folds):
    rate, slope = retry_curve(w)
    path = follow(lambda u, p: rate(u) - p, lambda u, p: (np.diag(slope(u, w)), [-1.0]), [0.0], 0.0, step=0.2,
                  stop=lambda u, p: u[0] > 20.0)
    found = np.column_stack([path.state[path.folds, 0], path.parameter[path.folds]])
    np.testing.assert_allclose(found, folds, atol=1e-8)


def test_no_fold_beyond_the_cusp():
    rate, slope = retry_curve(2.6)
    path = follow(lambda u, p: rate(u) - p, lambda u, p: (np.diag(slope(u, 2.6)), [-1.0]), [0.0], 0.0, step=0.2,
                  stop=lambda u, p: u[0] > 20.0)
    assert not path.folds.size


def test_cusp_is_the_fold_of_the_fold_curve():
    """Follow both folds in the width ``w``: they meet at w = 2.5, load 10, rate 5."""

    def residual(u, w):
        rate, slope = retry_curve(w)
        return np.array([rate(u[0]) - u[1], slope(u[0], w)])

    def jacobian(u, w):
        slope = retry_curve(w)[1]
        h = 1e-30  # complex step: the derivative to machine precision
        curved, widened = slope(u[0] + 1j * h, w).imag / h, slope(u[0], w + 1j * h).imag / h
        s = 1.0 / (1.0 + np.exp(-(u[0] - 10.0) / w))
        by_width = -u[0] * 2.0 / (1.0 + 2.0 * s) ** 2 * s * (1.0 - s) * -(u[0] - 10.0) / w**2
        return np.array([[slope(u[0], w), -1.0], [curved, 0.0]]), np.array([by_width, widened])

    path = follow(residual, jacobian, [7.6075, 6.5161], 1.0, step=0.1, stop=lambda u, w: w < 0.9)
    (cusp,) = path.folds
    assert path.parameter[cusp] == pytest.approx(2.5, abs=1e-8)
    np.testing.assert_allclose(path.state[cusp], [10.0, 5.0], atol=1e-7)
    assert path.state[-1, 0] > 11.0  # the other fold


# --- V-CO-05: Cohen & Horowitz, springs and strings ---------------------------------------------------------------
def hanging(linked, stiff=1e9):
    """Nodes: bottom of the upper spring, top of the lower spring, weight. Lengths are elongations from zero."""
    rows = [[1, 0, 0], [0, -1, 1], [0, 1, 0], [-1, 0, 1]]
    laws = [(Linear(np.ones(2)), [0, 1]), (TensionOnly([stiff, stiff], 1.0), [2, 3])]
    if linked:
        rows.append([-1, 1, 0])
        laws.append((TensionOnly(stiff, 3.0 / 8.0), [4]))
    return fa.Mesh.from_incidence(np.array(rows, float), laws)


def test_weight_rises_when_the_link_is_cut():
    depth = {}
    for linked, start in ((True, [0.4, 0.8, 1.3]), (False, [0.2, 1.01, 1.22])):
        mesh = hanging(linked)
        A, load = mesh.incidence, np.array([0.0, 0.0, 0.5])
        u = np.array(start)
        for _ in range(30):
            e = A @ u
            u = u + np.linalg.solve((A.T @ (mesh.tangent(e)[:, None] * A.toarray())), load - A.T @ mesh.force(e))
        np.testing.assert_allclose(A.T @ mesh.force(A @ u), load, atol=1e-7)
        depth[linked] = u[2]
    assert depth[True] == pytest.approx(1.375, abs=1e-8)
    assert depth[False] == pytest.approx(1.25, abs=1e-8)
    assert depth[True] - depth[False] == pytest.approx(0.125, abs=1e-8)


# --- bifurcation, bad input ---------------------------------------------------------------------------------------
def test_pitchfork_is_located():
    """Two softening elements side by side: swaying to one side costs nothing once g' = -k2 / 2 = -0.1."""
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    pair = Polynomial([[1.0, 0.0, -0.3], [1.0, 0.0, -0.3]])
    mesh = fa.Mesh.from_incidence(rows, [(pair, [0, 1]), (Linear(np.array([4.0, 0.2])), [2, 3])])
    path = fa.trace(mesh, [1.0, 0.0], step=0.3, stop=lambda factor, u: u[0] > 1.4)
    (row,) = path.bifurcations
    assert path.displacement[row, 0] == pytest.approx(np.sqrt(1.1 / 0.9), abs=1e-8)
    assert not path.limit_points.size
    assert path.stable[:row].all()
    assert not path.stable[row + 1 :].any()


def test_bad_input_is_named():
    mesh = shallow()
    for f, options, word in [([1.0, 2.0], {}, "f: "), ([np.nan], {}, "f: "), ([0.0], {}, "loaded"),
                             ([1.0], {"control": "arclength"}, "arc_length"), ([1.0], {"step": -1.0}, "step"),
                             ([1.0], {"node": 7}, "node")]:
        with pytest.raises(fa.ModelError, match=word):
            fa.trace(mesh, f, **options)
    free = fa.Mesh.from_bars(2, [(0, 1)], [1.0], supports=())
    with pytest.raises(fa.ModelError, match="stiffness"):
        fa.trace(free, [1.0, 0.0])
