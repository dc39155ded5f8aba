"""Linear solvers: every method gives the dense answer, meets its residual and reports itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.linear_algebra import dense_stiffness, lattice, random_tree_graph, scale_free
from scipy.sparse import csr_array, random_array

import fea_arch as fa
from fea_arch.kernels import ldl as ldl_kernels
from fea_arch.kernels import ordering, pcg
from fea_arch.solvers.linear import METHODS, factor, solve_spd

ALL = ("dense", "ldl", "pcg", "superlu")


@st.composite
def structures(draw):
    """A connected weighted graph with one to three supports and a load."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 40))
    ends = random_tree_graph(rng, n, draw(st.integers(0, 60)))
    k = 10.0 ** rng.uniform(-2, 2, len(ends))
    supports = np.unique(rng.integers(0, n, draw(st.integers(1, 3))))
    return n, ends, k, supports, rng.normal(size=n)


@given(structures(), st.sampled_from(ALL))
@settings(max_examples=120, deadline=None)
def test_every_method_gives_the_dense_answer(case, method):
    n, ends, k, supports, f = case
    mesh = fa.Mesh.from_bars(n, ends, k, supports=supports)
    if not mesh.free.size:
        return
    r = fa.solve(mesh, f, method=method)
    full = dense_stiffness(mesh, k)
    exact = np.linalg.solve(full, f[mesh.free])
    np.testing.assert_allclose(r.displacement[mesh.free], exact, rtol=1e-7, atol=1e-8 * np.abs(exact).max())
    assert r.info.method == method
    assert r.info.residual <= 1e-10 or r.info.residual * np.linalg.norm(f[mesh.free]) <= 1e-13 * np.linalg.norm(
        np.abs(full) @ np.abs(exact)
    )
    assert r.displacement[supports].tolist() == [0.0] * len(supports)
    assert r.reaction.sum() == pytest.approx(-f.sum(), abs=1e-6 * max(1, np.abs(r.force).max()))


@given(structures(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_numbering_and_orientation_do_not_matter(case, seed):
    n, ends, k, supports, f = case
    rng = np.random.default_rng(seed)
    node, element = rng.permutation(n), rng.permutation(len(ends))
    flip = rng.random(len(ends)) < 0.5
    turned = node[ends[element]]
    turned[flip] = turned[flip][:, ::-1]
    moved = np.empty(n)
    moved[node] = f
    first = fa.solve(fa.Mesh.from_bars(n, ends, k, supports=supports), f, method="ldl")
    second = fa.solve(fa.Mesh.from_bars(n, turned, k[element], supports=node[supports]), moved, method="ldl")
    scale = np.abs(first.displacement).max() + 1e-300
    np.testing.assert_allclose(second.displacement[node], first.displacement, rtol=1e-9, atol=1e-9 * scale)
    scale = np.abs(first.force).max() + 1e-300
    np.testing.assert_allclose(second.force * np.where(flip, -1, 1), first.force[element], rtol=1e-8, atol=1e-8 * scale)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.02, 0.4))
@settings(max_examples=60, deadline=None)
def test_minimum_degree_is_a_permutation_and_its_fill_is_a_bound(seed, n, density):
    rng = np.random.default_rng(seed)
    a = csr_array(random_array((n, n), density=density, rng=rng))
    a = csr_array(a + a.T)
    a.setdiag(1.0 + np.abs(a).sum(axis=1))
    a = csr_array(a)
    order, fill, work, done = ordering.minimum_degree.py_func(a.indptr, a.indices, np.inf)
    assert done
    assert sorted(order) == list(range(n))
    parent = ldl_kernels.elimination_tree.py_func(a.indptr, a.indices, order)
    upper = ldl_kernels.permuted_upper.py_func(a.indptr, a.indices, order)
    count = ldl_kernels.column_counts.py_func(upper[0], upper[1], parent)
    assert count.sum() <= fill
    assert (count * (count + 1.0)).sum() <= 2 * work + 2 * n
    ready = factor(a, method="ldl")
    x = rng.normal(size=n)
    np.testing.assert_allclose(ready.solve(a @ x), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ready.solve_many(np.c_[a @ x, a @ (2 * x)]), np.c_[x, 2 * x], rtol=1e-9, atol=1e-9)
    assert ready.logdet == pytest.approx(np.linalg.slogdet(a.toarray())[1], rel=1e-10, abs=1e-10)
    values = np.linalg.eigvalsh(a.toarray())
    shift = float(rng.uniform(values[0] - 0.1, values[-1] + 0.1))
    if np.abs(values - shift).min() > 1e-6:
        moved = a.copy()
        moved.setdiag(a.diagonal() - shift)
        for method in ("ldl", "dense"):
            assert factor(moved, method, definite=False).inertia == ((values < shift).sum(), 0, (values > shift).sum())


@pytest.mark.parametrize("method", METHODS)
def test_refactor_keeps_the_pattern(method):
    n, ends = lattice(12, 9)
    rng = np.random.default_rng(3)
    k = rng.uniform(0.1, 10, len(ends))
    pattern = fa.assemble(fa.Mesh.from_bars(n, ends, 1.0)).pattern
    ready = factor(pattern.refill(k), method)
    f = rng.normal(size=n - 1)
    for moduli in (k, k[::-1].copy()):
        ready.refactor(pattern.values(moduli))
        np.testing.assert_allclose(pattern.refill(moduli) @ ready.solve(f), f, atol=1e-9)
        assert ready.info.residual <= 1e-10
        np.testing.assert_allclose(ready.solve_many(np.c_[f, -f]), np.c_[ready.solve(f), -ready.solve(f)], atol=1e-8)


def test_interpreted_and_compiled_solvers_agree(monkeypatch):
    n, ends = lattice(9, 6)
    mesh = fa.Mesh.from_bars(n, ends, np.random.default_rng(0).uniform(0.1, 10, len(ends)))
    f = np.cos(np.arange(n))
    answers = []
    modules = ((ordering, "minimum_degree"), (ldl_kernels, "elimination_tree"), (ldl_kernels, "postorder"),
               (ldl_kernels, "permuted_upper"), (ldl_kernels, "column_counts"), (ldl_kernels, "factorise"),
               (ldl_kernels, "solve"), (pcg, "scaled_upper"), (pcg, "pivots"), (pcg, "transform"), (pcg, "iterate"),
               (pcg, "recover"), (pcg, "residual"))
    for mode in ("py_func", "compiled"):
        with monkeypatch.context() as patch:
            for module, name in modules:
                kernel = getattr(module, name)
                patch.setattr(module, name, kernel.py_func if mode == "py_func" else kernel.compiled())
            if mode == "py_func":
                from fea_arch.solvers import linear_direct

                patch.setattr(linear_direct, "minimum_degree", ordering.minimum_degree)
            answers.append([fa.solve(mesh, f, method=m).displacement for m in ("ldl", "pcg")])
    np.testing.assert_allclose(answers[0][0], answers[1][0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-8, atol=1e-10)


def test_the_method_follows_the_structure():
    rng = np.random.default_rng(0)

    def chosen(n, ends, supports):
        k = 10 ** rng.uniform(-1, 1, len(ends))
        r = fa.solve(fa.Mesh.from_bars(n, ends, k, supports=supports), rng.random(n))
        assert r.info.residual <= 1e-10
        return r.info.method

    assert chosen(200, scale_free(200, 2), [0]) == "dense"
    assert chosen(5000, scale_free(5000, 2), np.arange(0, 5000, 100)) == "pcg"
    assert chosen(*lattice(60, 60), np.arange(60)) == "ldl"
    tree = np.c_[np.arange(1, 3000), (np.arange(1, 3000) - 1) // 2]
    assert chosen(3000, tree, [0]) == "ldl"


def test_a_long_chain_falls_back_to_a_direct_method_and_stays_accurate():
    n = 2000
    r = fa.solve(fa.Mesh.from_bars(n, np.c_[np.arange(1, n), np.arange(n - 1)], 1.0), np.eye(n)[n - 1])
    np.testing.assert_allclose(r.displacement, np.arange(n), rtol=1e-10)
    assert r.info.method == "ldl"


def test_unsymmetric_and_indefinite_matrices():
    rng = np.random.default_rng(1)
    a = csr_array(random_array((400, 400), density=0.01, rng=rng)) + csr_array(3 * np.eye(400))
    x = rng.normal(size=400)
    ready = factor(a, symmetric=False)
    assert ready.method == "superlu"
    np.testing.assert_allclose(ready.solve(a @ x), x, rtol=1e-9)
    _, ends = lattice(20, 20)
    k = fa.assemble(fa.Mesh.from_bars(400, ends, 1.0)).K
    shifted = k.copy()
    shifted.setdiag(k.diagonal() - 1.7)
    ready = factor(shifted, definite=False)
    x = rng.normal(size=399)
    np.testing.assert_allclose(ready.solve(shifted @ x), x, rtol=1e-7, atol=1e-7)


def test_general_rows_are_solved():
    """Levers: positive couplings make ``K`` no graph matrix, but it stays positive definite."""
    rng = np.random.default_rng(2)
    n = 600
    rows = np.zeros((n, n))
    rows[np.arange(n), np.arange(n)] = 1.0
    rows[np.arange(1, n), rng.integers(0, np.arange(1, n))] = -rng.uniform(0.2, 2.0, n - 1)
    f = rng.random(n)
    r = fa.solve(fa.Mesh.from_incidence(rows), f)
    np.testing.assert_allclose(r.force, np.linalg.solve(rows.T, f), rtol=1e-7, atol=1e-9)


def test_floating_parts_are_named_before_the_solve():
    mesh = fa.Mesh.from_bars(6, [(0, 1), (2, 3), (4, 5)], 1.0, supports=[0, 5])
    with pytest.raises(fa.ModelError, match="nodes without a path to a support: 2, 3;"):
        fa.solve(mesh, np.zeros(6))
    lonely = fa.Mesh.from_bars(3, [(0, 1)], 1.0)
    with pytest.raises(fa.ModelError, match="support: 2;"):
        fa.solve(lonely, np.zeros(3))


@pytest.mark.parametrize(("arguments", "field"), [
    ({"f": [1.0]}, "f"), ({"f": [0, np.nan, 0]}, "f"), ({"f": ["a", "b", "c"]}, "f"),
    ({"f": [0, 1, 0], "load_factor": np.inf}, "load_factor"), ({"f": [0, 1, 0], "method": "ldk"}, "method"),
    ({"prescribed": {7: 1.0}}, "prescribed"), ({"prescribed": {1: np.nan}}, "prescribed"),
])
def test_bad_input_is_named(arguments, field):
    with pytest.raises(fa.ModelError) as caught:
        fa.solve(fa.Mesh.from_bars(3, [(1, 0), (2, 1)], 1.0), **arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("method", ["dense", "ldl", "superlu"])
def test_a_singular_matrix_is_an_error_not_a_number(method):
    singular = csr_array([[1.0, -1.0], [-1.0, 1.0]])
    with pytest.raises(fa.ConvergenceError):
        solve_spd(singular, [1.0, 0.0], method)


def test_nothing_to_solve():
    r = fa.solve(fa.Mesh.from_bars(2, [(1, 0)], 3.0, supports=[0, 1]), prescribed={1: 2.0})
    assert r.force.tolist() == [6.0]
    assert r.reaction.tolist() == [-6.0, 6.0]
    one = fa.solve(fa.Mesh.from_bars(1, [], [], supports=[0]), [1.0])
    assert one.reaction.tolist() == [-1.0]


def test_nonlinear_bars_are_balanced_by_newton():
    """Two parallel bars and one in series, all stiffening: q = e + e^3 (reference: dense Newton by bisection)."""
    from dataclasses import dataclass

    from scipy.optimize import brentq

    @dataclass(frozen=True)
    class Stiffening:
        k: np.ndarray
        name: str = "stiffening"

        def size(self):
            return self.k.size

        def take(self, index):
            return Stiffening(self.k[index])

        def force(self, e):
            return self.k * (e + e**3)

        def tangent(self, e):
            return self.k * (1 + 3 * e**2)

        def elongation(self, q):
            raise NotImplementedError

        def energy(self, e):
            return self.k * (e**2 / 2 + e**4 / 4)

        def capacity(self):
            return np.full(self.k.shape, np.inf)

        def stiffness(self):
            return self.k

    k = np.array([1.0, 2.0, 4.0])
    mesh = fa.Mesh.from_incidence([[0, 1.0, 0], [0, 1.0, 0], [0, -1.0, 1.0]], laws=Stiffening(k), supports=[0])
    r = fa.solve(mesh, [0, 0, 50.0])
    lower = brentq(lambda e: 3 * (e + e**3) - 50, 0, 50, xtol=1e-15)
    upper = brentq(lambda e: 4 * (e + e**3) - 50, 0, 50, xtol=1e-15)
    np.testing.assert_allclose(r.displacement, [0, lower, lower + upper], rtol=1e-10)
    assert r.residual <= 1e-10
    assert 1 < r.newton_iterations < 30
    half = fa.solve(mesh, [0, 0, 50.0], load_factor=0.5)
    assert half.displacement[1] == pytest.approx(brentq(lambda e: 3 * (e + e**3) - 25, 0, 50, xtol=1e-15), rel=1e-10)
