"""The block iteration for graphs that expand: against dense LAPACK, scipy and its own slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

import fea_arch as fa
from fea_arch.assembly import assemble
from fea_arch.kernels import block_modes as kernels
from fea_arch.kernels.pcg import scaled_upper
from fea_arch.solvers import eigen as modal
from fea_arch.solvers.block_modes import block_modes


def expander(n, seed, supports, degree=2):
    """A graph where every node knows a few random earlier ones, stiffness and mass over decades."""
    rng = np.random.default_rng(seed)
    late = np.repeat(np.arange(1, n), degree)
    ends = np.unique(np.column_stack([late, (rng.random(late.size) ** 2 * late).astype(int)]), axis=0)
    return fa.Mesh.from_bars(
        n, ends, 10 ** rng.uniform(-1, 1, len(ends)), mass=10 ** rng.uniform(-0.5, 0.5, n),
        supports=rng.choice(n, supports, replace=False),
    )  # fmt: skip


def symmetric(n, seed):
    rng = np.random.default_rng(seed)
    part = random_array((n, n), density=6.0 / n, rng=rng)
    dense = (part + part.T).toarray()
    np.fill_diagonal(dense, 3.0 + np.abs(dense).sum(axis=1))
    return csr_array(dense), rng


@pytest.mark.parametrize("columns", [1, 3, 16])
def test_kernels_agree_with_dense_algebra(columns):
    matrix, rng = symmetric(60, columns)
    pointer, column, value, diagonal = scaled_upper(matrix.indptr, matrix.indices, matrix.data, np.arange(60))
    x, y = rng.standard_normal((60, columns)), rng.standard_normal((60, 5))
    for kind in (lambda kernel: kernel.py_func, lambda kernel: kernel.compiled()):
        np.testing.assert_allclose(kind(kernels.multiply)(pointer, column, value, diagonal, x), matrix @ x, atol=1e-13)
        np.testing.assert_allclose(kind(kernels.inner)(y, x), y.T @ x, atol=1e-13)
        out = x.copy()
        kind(kernels.combine)(y, np.ones((5, columns)), out)
        np.testing.assert_allclose(out, x + y @ np.ones((5, columns)), atol=1e-13)
        scaled, scale = kind(kernels.shifted_pivots)(pointer, column, value, diagonal, 1e-6)
        upper = np.eye(60)
        for i in range(60):
            upper[i, column[pointer[i] : pointer[i + 1]]] = scaled[pointer[i] : pointer[i + 1]]
        factor = np.diag(1.0 / scale) @ upper.T
        found = kind(kernels.precondition)(pointer, column, scaled, scale, x)
        np.testing.assert_allclose(found, np.linalg.solve(factor @ factor.T, x), atol=1e-12)
        # (E + U^T) E^-1 (E + U) with the diagonal of the matrix and nothing filled in
        dense = matrix.toarray()
        pivot, above = np.diag(dense).copy(), np.triu(dense, 1)
        for i in range(60):
            pivot -= above[i] ** 2 / pivot[i]
        product = (np.diag(pivot) + above.T) @ np.diag(1.0 / pivot) @ (np.diag(pivot) + above)
        np.testing.assert_allclose(factor @ factor.T, product, atol=1e-13)
        np.testing.assert_allclose(np.diag(product), np.diag(dense), rtol=1e-13)
        mass = rng.uniform(0.5, 2.0, 60)
        rayleigh, rest, size = kind(kernels.residuals)(x, matrix @ x, mass)
        weight = np.einsum("ij,i,ij->j", x, mass, x)
        np.testing.assert_allclose(rayleigh, np.einsum("ij,ij->j", x, matrix @ x) / weight)
        np.testing.assert_allclose(rest, matrix @ x - mass[:, None] * x * rayleigh, atol=1e-12)
        np.testing.assert_allclose(size, modal.residual_norms(matrix, csr_array(np.diag(mass)), rayleigh, x))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("modes", [1, 12, 25])
def test_block_iteration_agrees_with_dense(seed, modes):
    mesh = expander(900, seed, 9)
    system = assemble(mesh)
    exact, shapes = modal._dense(system.K, system.M)
    mass = system.M.diagonal()
    smooth = np.linalg.solve(system.K.toarray(), mass)[:, None]
    none = np.empty((mass.size, 0))
    values, vectors = block_modes(system.K, mass, modes, rigid=none, tolerance=1e-9, first=smooth)
    np.testing.assert_allclose(values[:modes], exact[:modes], rtol=1e-10)
    overlap = np.abs(np.einsum("ij,i,ij->j", vectors[:, :modes], mass, shapes[:, :modes]))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-7)


@pytest.mark.parametrize("supports", [0, 30])
def test_large_expander_is_complete(supports):
    mesh = expander(1500, 7, supports, degree=4)
    found = fa.eigen(mesh, 12, check=True)
    assert found.method == "block iteration"
    assert found.complete is True
    assert found.residuals.max() < 1e-8
    assert found.rigid.sum() == (supports == 0)
    system = assemble(mesh)
    exact = modal._dense(system.K, system.M)[0][:12]
    np.testing.assert_allclose(found.angular_per_s**2, exact, rtol=1e-12, atol=1e-9)
    gram = found.shapes.T @ (mesh.mass[:, None] * found.shapes)
    np.testing.assert_allclose(gram, np.eye(12), atol=1e-10)


def test_repeated_modes_of_equal_parts_are_all_found():
    one = expander(800, 3, 8, degree=4)
    ends = one.indices.reshape(-1, 2)
    copies = 4
    mesh = fa.Mesh.from_bars(
        800 * copies, np.vstack([ends + 800 * c for c in range(copies)]), np.tile(one.stiffness(), copies),
        mass=np.tile(one.mass, copies), supports=np.concatenate([one.supports + 800 * c for c in range(copies)]),
    )  # fmt: skip
    single = fa.eigen(one, 3).angular_per_s**2
    found = fa.eigen(mesh, 12, check=True)
    assert found.complete is not False
    np.testing.assert_allclose(found.angular_per_s**2, np.repeat(single, copies), rtol=1e-11)
