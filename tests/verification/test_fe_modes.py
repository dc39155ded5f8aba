"""Natural modes against closed forms and published values: V-FE-05, 06, 08, 09."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.sparse import csr_array, diags_array

import fea_arch as fa
from fea_arch.assembly import assemble
from fea_arch.solvers.eigen import sturm_count


def rod(n):
    """Fixed-free bar of unit length, stiffness and mass: lumped mesh and consistent mass matrix."""
    h = 1.0 / n
    mass = np.full(n + 1, h)
    mass[[0, -1]] = h / 2
    mesh = fa.Mesh.from_bars(n + 1, np.column_stack([np.arange(1, n + 1), np.arange(n)]), np.full(n, 1 / h), mass=mass)
    matrix = np.diag(np.r_[2.0, np.full(n - 1, 4.0), 2.0]) + np.diag(np.ones(n), 1) + np.diag(np.ones(n), -1)
    return mesh, csr_array(matrix * h / 6)


ROD = {
    1: ([1.732050807569], [1.414213562373]),
    2: ([1.611415682344, 5.629303134883], [1.530733729460, 3.695518130045]),
    4: ([1.580908018849, 4.987195699048, 9.059400893379], [1.560722576129, 4.444561864157, 6.651756898420]),
    8: ([1.573320825388, 4.780780116751, 8.171904288827], [1.568274245273, 4.644554836071, 7.542347789216]),
}


@pytest.mark.parametrize("n", ROD)
def test_rod(n):
    mesh, consistent = rod(n)
    for expected, mass in zip(ROD[n], (consistent, "lumped")):
        found = fa.eigen(mesh, len(expected), mass=mass)
        np.testing.assert_allclose(found.angular_per_s, expected, rtol=0, atol=1e-10)
        assert found.complete


@pytest.mark.parametrize("kind", ["consistent", "lumped"])
def test_rod_converges_at_order_two(kind):
    errors = []
    for n in (50, 100, 400, 800):  # the last two go through the sparse solver
        mesh, consistent = rod(n)
        found = fa.eigen(mesh, 3, mass=consistent if kind == "consistent" else "lumped")
        errors.append(found.angular_per_s - np.pi * np.array([0.5, 1.5, 2.5]))
    errors = np.array(errors)
    assert np.all(errors > 0) if kind == "consistent" else np.all(errors < 0)
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, atol=0.2)
    np.testing.assert_allclose(errors[2] / errors[3], 4.0, atol=0.2)


def test_eight_masses():
    ends = np.column_stack([np.arange(1, 10), np.arange(9)])
    mesh = fa.Mesh.from_bars(10, ends, np.full(9, 1e5), mass=10.0, supports=(0, 9))
    found = fa.eigen(mesh, 8)
    np.testing.assert_allclose(found.frequencies_hz, 100.0 / np.pi * np.sin(np.arange(1, 9) * np.pi / 18), rtol=1e-9)
    printed = [5.5274, 10.8868, 15.9155, 20.4606, 24.384, 27.5664, 29.9113, 31.3474]
    np.testing.assert_allclose(found.frequencies_hz, printed, atol=1e-4)
    shape = np.array([0.347296, 0.652704, 0.879385, 1, 1, 0.879385, 0.652704, 0.347296])
    first, last = found.shapes[1:9, 0], found.shapes[1:9, 7]
    np.testing.assert_allclose(first / np.abs(first).max() * np.sign(first[0]), shape, atol=1e-6)
    np.testing.assert_allclose(np.abs(last) / np.abs(last).max(), shape, atol=1e-6)
    assert np.all(last[1:] * last[:-1] < 0)
    system = assemble(mesh)
    np.testing.assert_allclose(found.shapes[1:9].T @ system.M @ found.shapes[1:9], np.eye(8), atol=1e-12)
    for hz, count in ((5.0, 0), (21.0, 4), (32.0, 8)):
        assert sturm_count(system.K, system.M, (2 * np.pi * hz) ** 2) == count


def test_small_eigen():
    mesh = fa.Mesh.from_bars(4, [(1, 0), (2, 1), (3, 2)], [30.0, 20.0, 10.0], mass=[0.0, 11.1, 22.2, 33.3])
    found = fa.eigen(mesh, 3)
    expected = [0.139300647653736, 1.05865310768512, 4.9582024008173]
    np.testing.assert_allclose(found.angular_per_s**2, expected, rtol=1e-10)


def test_two_masses_between_walls():
    mesh = fa.Mesh.from_bars(4, [(1, 0), (2, 1), (3, 2)], [200.0, 800.0, 200.0], mass=[0, 0.5, 1.0, 0], supports=(0, 3))
    found = fa.eigen(mesh, 2)
    np.testing.assert_allclose(found.frequencies_hz, [2.581394622, 8.326301072], rtol=1e-9)
    np.testing.assert_allclose(found.angular_per_s, [16.219380762, 52.315692557], rtol=1e-9)


def graph(n, seed, held=0.01):
    """Random tree with extra bars."""
    rng = np.random.default_rng(seed)
    tree = np.column_stack([np.arange(1, n), rng.integers(0, np.arange(1, n))])
    extra = rng.integers(0, n, (n, 2))
    ends = np.vstack([tree, extra[extra[:, 0] != extra[:, 1]]])
    k = 10 ** rng.uniform(-1, 1, len(ends))
    supports = rng.choice(n, max(1, int(held * n)), replace=False) if held else ()
    return fa.Mesh.from_bars(n, ends, k, mass=10 ** rng.uniform(-0.5, 0.5, n), supports=supports)


@pytest.mark.parametrize("held", [0.01, 0.0])
def test_sparse_solver_agrees_with_dense(held):
    mesh = graph(900, 3, held)
    found = fa.eigen(mesh, 10, check=True)
    system = assemble(mesh)
    exact = eigh(system.K.toarray(), system.M.toarray(), eigvals_only=True, subset_by_index=(0, 9))
    np.testing.assert_allclose(found.angular_per_s**2, np.maximum(exact, 0), rtol=1e-9, atol=1e-11)
    assert found.method != "dense"
    assert found.complete
    assert found.residuals.max() < 1e-8
    assert found.rigid.sum() == (held == 0.0)


def test_repeated_frequencies_are_all_found():
    """Forty equal separate chains: every frequency is forty-fold, which one start vector cannot see."""
    chains, length = 40, 10
    node = np.arange(chains * length).reshape(chains, length) + 1
    ends = np.vstack([np.column_stack([node[:, 0], np.zeros(chains, int)]),
                      np.column_stack([node[:, 1:].ravel(), node[:, :-1].ravel()])])  # fmt: skip
    mesh = fa.Mesh.from_bars(chains * length + 1, ends, np.ones(len(ends)), mass=1.0)
    found = fa.eigen(mesh, 6, check=True)
    np.testing.assert_allclose(found.angular_per_s, 2 * np.sin(np.pi / 42), rtol=1e-9)


def test_square_lattice_pairs():
    n = 20
    i = np.arange((n + 2) ** 2).reshape(n + 2, n + 2)
    ends = np.vstack([np.column_stack([i[:, :-1].ravel(), i[:, 1:].ravel()]),
                      np.column_stack([i[:-1].ravel(), i[1:].ravel()])])  # fmt: skip
    edge = np.unique(np.r_[i[0], i[-1], i[:, 0], i[:, -1]])
    mesh = fa.Mesh.from_bars(i.size, ends, np.ones(len(ends)), mass=1.0, supports=edge)
    one = 4 * np.sin(np.arange(1, n + 1) * np.pi / (2 * (n + 1))) ** 2
    exact = np.sort((one[:, None] + one).ravel())[:8]
    found = fa.eigen(mesh, 8, check=True)
    np.testing.assert_allclose(found.angular_per_s**2, exact, rtol=1e-9)
    assert found.complete


def test_rigid_parts_are_reported():
    mesh = fa.Mesh.from_bars(6, [(0, 1), (1, 2), (3, 4)], [1.0, 2.0, 3.0], mass=[1.0] * 6, supports=())
    found = fa.eigen(mesh, 6)
    np.testing.assert_array_equal(found.rigid, [True] * 3 + [False] * 3)
    np.testing.assert_allclose(found.frequencies_hz[:3], 0.0)
    total = (found.participation**2).sum()
    assert total == pytest.approx(6.0)


def test_nodes_without_mass_follow():
    mesh = fa.Mesh.from_bars(3, [(1, 0), (2, 1)], [2.0, 2.0], mass=[0.0, 0.0, 1.0])
    found = fa.eigen(mesh, 5)
    np.testing.assert_allclose(found.angular_per_s, [1.0])
    np.testing.assert_allclose(found.shapes[:, 0], [0.0, 0.5, 1.0])


def test_shift_finds_modes_inside_the_spectrum():
    mesh = graph(900, 5)
    system = assemble(mesh)
    exact = eigh(system.K.toarray(), system.M.toarray(), eigvals_only=True)
    sigma = 0.5 * (exact[400] + exact[401])
    found = fa.eigen(mesh, 4, sigma=sigma)
    nearest = np.sort(exact[np.argsort(np.abs(exact - sigma))[:4]])
    np.testing.assert_allclose(found.angular_per_s**2, nearest, rtol=1e-8)


def test_bad_input_is_named():
    mesh, _ = rod(3)
    for options, word in [({"modes": 0}, "modes"), ({"mass": "heavy"}, "mass"), ({"mass": np.eye(2)}, "mass"),
                          ({"sigma": np.inf}, "sigma")]:
        with pytest.raises(fa.ModelError, match=word):
            fa.eigen(mesh, **{"modes": 2, **options})
    with pytest.raises(fa.ModelError, match="mass"):
        fa.eigen(fa.Mesh.from_bars(2, [(1, 0)], [1.0]), 1)
    with pytest.raises(fa.ModelError, match="support"):
        fa.eigen(fa.Mesh.from_bars(2, [(1, 0)], [1.0], mass=1.0, supports=(0, 1)), 1)
    assert sturm_count(diags_array([1.0, 2.0]), diags_array([1.0, 1.0]), 1.5) == 1
