"""Nested dissection and panels: permutations, shorter paths than minimum degree, the same factor in another storage."""

from __future__ import annotations

import numpy as np
import pytest
from reference.linear_algebra import lattice, scale_free
from scipy.sparse import csr_array, diags_array

from fea_arch.kernels import dissection, dissection_parts, downdate, ldl, supernodes
from fea_arch.kernels.ordering import minimum_degree
from fea_arch.solvers.linear import Symmetric
from fea_arch.solvers.linear_direct import SparseLDL


def laplacian(n, ends):
    ends = np.asarray(ends)
    a = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    a = a + a.T
    full = (diags_array(a.sum(axis=1) + 0.1) - a).tocsr()
    return Symmetric(full)


def cut(matrix, leaf=20, compiled=True):
    first = dissection.nested_dissection.compiled() if compiled else dissection.nested_dissection.py_func
    then = dissection_parts.order_parts.compiled() if compiled else dissection_parts.order_parts.py_func
    order, begin, end = first(matrix.indptr, matrix.indices, leaf)
    then(matrix.indptr, matrix.indices, order, begin, end)
    return order


def fill_and_path(matrix, order):
    parent = ldl.elimination_tree(matrix.indptr, matrix.indices, order)
    upper = ldl.permuted_upper(matrix.indptr, matrix.indices, order)
    count = ldl.column_counts(upper[0], upper[1], parent)
    return int(count.sum()), supernodes.mean_path(parent, count)


GRAPHS = {
    "lattice": lattice(17, 17, periodic=True),
    "star": (200, [(0, i) for i in range(1, 200)]),
    "complete": (90, [(i, j) for i in range(90) for j in range(i)]),
    "two parts": (120, [(i, i + 1) for i in range(119) if i != 59]),
    "no ties": (70, np.empty((0, 2), int)),
    "scale-free": (400, scale_free(400, 2, 1)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_is_ordered_whole_compiled_and_interpreted_alike(name):
    matrix = laplacian(*GRAPHS[name])
    order = cut(matrix)
    np.testing.assert_array_equal(np.sort(order), np.arange(matrix.n))
    np.testing.assert_array_equal(order, cut(matrix, compiled=False))


def test_a_lattice_has_less_fill_and_far_shorter_paths_than_by_minimum_degree():
    matrix = laplacian(*lattice(100, 100, periodic=True))
    fill, path = fill_and_path(matrix, cut(matrix, 64))
    least, longer = fill_and_path(matrix, minimum_degree(matrix.indptr, matrix.indices, np.inf)[0])
    assert fill < least
    assert path < 0.6 * longer
    assert fill < 7.75 * matrix.n * np.log2(matrix.n) / 2  # George's bound for a square is 31/4 n log2 n


def test_a_part_is_ordered_by_minimum_degree():
    """A star whose hub comes first fills in; last it does not."""
    matrix = laplacian(30, [(0, i) for i in range(1, 30)])
    assert fill_and_path(matrix, np.arange(30))[0] == 29 * 30 // 2
    assert fill_and_path(matrix, cut(matrix, 30))[0] == 29


def test_depth_tells_a_path_from_a_star():
    path, star = laplacian(50, [(i, i + 1) for i in range(49)]), laplacian(*GRAPHS["star"])
    for kernel in (dissection_parts.depth_from.py_func, dissection_parts.depth_from.compiled()):
        assert kernel(path.indptr, path.indices, 0) == 49
        assert kernel(star.indptr, star.indices, 1) == 2


@pytest.mark.parametrize("room", [(0.0, 0.0), (20.0, 1.0), (1e9, 0.0)])
def test_panels_hold_the_factor_and_zeros(room):
    matrix = laplacian(*lattice(12, 12, periodic=True))
    ready = SparseLDL(matrix, order=cut(matrix))
    n = matrix.n
    lower = np.eye(n)
    for j in range(n):
        rows = ready.l_row[ready.l_pointer[j] : ready.l_pointer[j + 1]]
        lower[rows, j] = ready.l_value[ready.l_pointer[j] : ready.l_pointer[j + 1]]
    first = supernodes.relaxed_supernodes(ready.parent, np.diff(ready.l_pointer), *room)
    panel, above, row_pointer, row, column = supernodes.panel_layout(
        first, ready.parent, ready.l_pointer, ready.l_row
    )
    value = supernodes.fill_panels(first, row_pointer, row, column, ready.l_pointer, ready.l_row, ready.l_value)
    again = np.eye(n)
    for j in range(n):
        s = panel[j]
        rows = np.concatenate([np.arange(j + 1, first[s + 1]), row[row_pointer[s] : row_pointer[s + 1]]])
        again[rows, j] = value[column[j] : column[j + 1]]
    np.testing.assert_array_equal(again, lower)
    assert (above[above >= 0] > np.flatnonzero(above >= 0)).all()
    if room[0] == 0.0:
        assert value.size == ready.fill
    y = np.random.default_rng(0).normal(size=n)
    for kernel in (downdate.back_substitute.py_func, downdate.back_substitute.compiled()):
        np.testing.assert_allclose(kernel(first, row_pointer, row, column, value, y), np.linalg.solve(lower.T, y))
