"""Assembly: the refilled pattern is ``A^T G A``, in both modes, for bars and general rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.linear_algebra import dense_stiffness, lattice, scale_free

import fea_arch as fa
from fea_arch.assembly import Pattern
from fea_arch.kernels import assembly as kernels


@st.composite
def meshes(draw):
    """Bars (parallel ones too) or general rows, random supports, moduli that are exact in binary."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 12)), draw(st.integers(0, 30))
    supports = np.flatnonzero(rng.random(n) < 0.3)
    moduli = rng.integers(1, 64, m) / 8.0
    if draw(st.booleans()) and n > 1:
        ends = rng.integers(0, n, (m, 2))
        ends[:, 1] = np.where(ends[:, 0] == ends[:, 1], (ends[:, 1] + 1) % n, ends[:, 1])
        return fa.Mesh.from_bars(n, ends, 1.0, supports=supports), moduli
    rows = rng.integers(-4, 5, (m, n)) / 4.0 * (rng.random((m, n)) < 0.4)
    return fa.Mesh.from_incidence(rows, supports=supports), moduli


@given(meshes())
@settings(max_examples=80, deadline=None)
def test_refill_is_exactly_the_triple_product_of_scipy(case):
    mesh, moduli = case
    from scipy.sparse import diags_array

    pattern = Pattern.of(mesh)
    k = pattern.refill(moduli)
    a = mesh.incidence[:, mesh.free]
    product = (a.T @ diags_array(moduli, shape=(moduli.size, moduli.size)) @ a).toarray() if moduli.size else 0.0
    np.testing.assert_array_equal(k.toarray(), product)
    np.testing.assert_array_equal(k.toarray(), dense_stiffness(mesh, moduli))
    assert k.has_sorted_indices
    assert (np.diff(k.indptr) >= 1).all()
    np.testing.assert_array_equal(k.indices[pattern.diagonal], np.arange(pattern.n))
    twice = pattern.refill(2 * moduli)
    np.testing.assert_array_equal(twice.toarray(), 2 * k.toarray())


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_upper_half_of_sorted_bars_is_minus_k(shuffled):
    ends = scale_free(400, 3, seed=2)
    rng = np.random.default_rng(0)
    if shuffled:
        ends = rng.permutation(ends)
    k = rng.uniform(0.1, 10, len(ends))
    mesh = fa.Mesh.from_bars(400, ends, k, supports=[5])
    pattern = Pattern.of(mesh)
    matrix = pattern.refill(k)
    np.testing.assert_allclose(matrix.toarray(), dense_stiffness(mesh, k), rtol=1e-13, atol=1e-13)
    from scipy.sparse import triu

    np.testing.assert_array_equal(triu(matrix, 1).tocsr().data, -k[pattern.order])
    ground = np.setdiff1d(np.arange(len(ends)), pattern.order)
    diagonal = pattern.diagonal_values(k[pattern.order], k[ground])
    np.testing.assert_allclose(diagonal, matrix.diagonal(), rtol=1e-13)


def test_interpreted_and_compiled_kernels_agree():
    _, ends = lattice(7, 5, periodic=True)
    ends = np.random.default_rng(1).permutation(ends)
    mesh = fa.Mesh.from_bars(35, ends, 1.0, supports=[0, 1])
    number = Pattern.of(mesh).number
    arrays = [np.array(a) for a in (mesh.indptr, mesh.indices, mesh.data)]
    results = []
    for mode in ("py_func", "compiled"):
        def call(name, *arguments, mode=mode):
            kernel = getattr(kernels, name)
            return (kernel.py_func if mode == "py_func" else kernel.compiled())(*arguments)

        lo, hi, bars = call("bar_pairs", *arrays, number)
        pattern = call("bar_pattern", lo, hi, 33)
        rows = call("row_pairs", *arrays, number)
        order = call("sort_pairs", rows[0], rows[1], 33)
        results.append([lo, hi, bars, *pattern, *rows, *order, *call("csr_positions", order[2], order[3])])
    for plain, fast in zip(*results):
        np.testing.assert_array_equal(plain, fast)


def test_system_has_mass_damping_and_load_on_the_free_nodes():
    mesh = fa.Mesh.from_bars(3, [(1, 0), (2, 1)], [2.0, 3.0], mass=[1, 2, 4.0], damping=[0.5, 0.25])
    system = fa.assemble(mesh, load_factor=2.0, f=[9, 1, 3.0])
    assert system.M.toarray().tolist() == [[2, 0], [0, 4]]
    assert system.C.toarray().tolist() == [[0.75, -0.25], [-0.25, 0.25]]
    assert system.f.tolist() == [2, 6]
    assert system.free.tolist() == [1, 2]
    softer = fa.assemble(mesh, tangent=[1.0, 1.0])
    assert softer.K.toarray().tolist() == [[2, -1], [-1, 1]]


@pytest.mark.parametrize(("arguments", "field"), [
    ({"load_factor": np.nan}, "load_factor"), ({"tangent": [1.0]}, "tangent"), ({"tangent": [np.inf, 1]}, "tangent"),
    ({"f": [1.0]}, "f"), ({"f": [0, 0, np.nan]}, "f"),
])
def test_bad_input_is_named(arguments, field):
    mesh = fa.Mesh.from_bars(3, [(1, 0), (2, 1)], [2.0, 3.0])
    with pytest.raises(fa.ModelError) as caught:
        fa.assemble(mesh, **arguments)
    assert caught.value.field == field


def test_a_read_only_and_a_writable_mesh_share_one_compiled_signature():
    mesh = fa.Mesh.from_bars(4000, scale_free(4000, 2), 1.0)
    pattern = Pattern.of(mesh)
    k = np.ones(mesh.n_elements)
    pattern.values(k)
    k.setflags(write=False)
    pattern.values(k)
    assert len(kernels.bar_values.compiled().signatures) == 1
    assert len(kernels.bar_pattern.compiled().signatures) == 1
