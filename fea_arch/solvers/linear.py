"""Linear systems ``K u = f``: the method is chosen by structure and predicted fill, and reported.

Interface
---------
``factor(K, ...)`` returns a :class:`Factorisation`, whatever the method:

``.solve(right)``
    (n,) -> (n,), refined or iterated until ``|f - K u| <= 1e-10 |f|`` as computed from ``K``, or to rounding level
    (``<= 1e-13 | |K| |u| |``, all that double precision allows on badly conditioned chains); else ConvergenceError.
``.solve_many(B)``
    (n, k) -> (n, k); with ``"ldl"`` the factor is read once for all columns.
``.refactor(values)``
    other CSR data on the same pattern: ordering and symbolic factor are kept.
``.logdet``, ``.inertia``
    ``log |det K|`` and (negative, zero, positive) eigenvalue counts: ``factor(K - sigma M, definite=False,
    method="ldl")`` is a Sturm count. ``"pcg"`` has neither.
``.info``
    :class:`SolveInfo` of the latest solve.

``solve_spd(K, f)`` is factor and solve for one right-hand side, with a direct method as the way out if the iteration
stalls.

Methods
-------
``"dense"``
    LAPACK through numpy, up to 300 unknowns: no compiled kernel.
``"pcg"``
    conjugate gradients with an incomplete factor, light nodes first: graphs that expand have quadratic fill and a kind
    spectrum. On lattice-like graphs the dropped fill goes to the pivots.
``"ldl"``
    sparse ``L D L^T`` on an approximate minimum degree ordering, which stops as soon as the factor would cost more than
    the iteration.
``"superlu"``
    SuperLU with pivoting: unsymmetric matrices, and indefinite ones that fail without pivoting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ConvergenceError, ModelError, suggestion
from fea_arch.kernels.connectivity import distance_to_ground
from fea_arch.laws.base import Array
from fea_arch.solvers.linear_base import Factorisation, SolveInfo, Symmetric
from fea_arch.solvers.linear_direct import Dense, SparseLDL, SuperLU
from fea_arch.solvers.linear_pcg import ConjugateGradients, expected_iterations

__all__ = ["DENSE_LIMIT", "METHODS", "Factorisation", "SolveInfo", "Symmetric", "factor", "solve_spd"]

METHODS = ("dense", "ldl", "pcg", "superlu")
DENSE_LIMIT = 300
# measured costs [s]: one iteration a matrix entry, the ordering a matrix entry, one multiplication of the factor
ITERATION, ORDERING, MULTIPLICATION = 3.5e-9, 1.2e-7, 7e-10
LARGEST_FACTOR = 3e11  # multiplications: some minutes


def factor(
    K: Any, method: str | None = None, *, solves: float = 20.0, definite: bool = True, symmetric: bool = True
) -> Factorisation:
    """Make a matrix ready for solves.

    Parameters
    ----------
    K : sparse (n, n) or Symmetric
        Stiffness or another square matrix.
    method : str, optional
        One of ``"dense"``, ``"ldl"``, ``"pcg"``, ``"superlu"``; chosen if not given.
    solves : float
        How many right-hand sides to expect: a factor pays for many.
    definite : bool
        False for an indefinite symmetric matrix (shifted, or past a limit point): excludes ``"pcg"``.
    symmetric : bool
        False for an unsymmetric matrix.

    Raises
    ------
    ModelError
        For a matrix that is not square and finite, or an unknown method.
    ConvergenceError
        For a singular matrix.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> ready = factor(csr_array([[4.0, -1.0], [-1.0, 3.0]]))
    >>> ready.solve(np.array([3.0, 2.0])).round(12).tolist(), ready.method
    ([1.0, 1.0], 'dense')
    """
    if method is not None and method not in METHODS:
        raise ModelError(
            f"unknown method {method!r}.{suggestion(method, METHODS)}", field="method",
            fix=f"one of {', '.join(METHODS)}",
        )
    matrix = K if isinstance(K, Symmetric) else Symmetric(K)
    if method is None:
        if matrix.n <= DENSE_LIMIT:
            return Dense(matrix, f"{matrix.n} unknowns")
        if not symmetric:
            return SuperLU(matrix, "unsymmetric")
        return _chosen(matrix, solves, definite)
    if method == "dense":
        return Dense(matrix)
    if method == "superlu":
        return SuperLU(matrix, symmetric=symmetric)
    if not symmetric:
        raise ModelError(f"method {method!r} needs a symmetric matrix", field="method", fix="use 'dense' or 'superlu'")
    return SparseLDL(matrix) if method == "ldl" else ConjugateGradients(matrix, depth=_depth(matrix)[0])


def _depth(matrix: Symmetric) -> tuple[int, bool]:
    """Return (bars from the farthest node to a support, whether no coupling is positive)."""
    row = np.repeat(np.arange(matrix.n), np.diff(matrix.indptr))
    off = matrix.indices != row
    graph = not bool((matrix.data[off] > 0).any())
    total = np.bincount(row, matrix.data, matrix.n)
    size = np.bincount(row, np.abs(matrix.data), matrix.n)
    _, depth = distance_to_ground(matrix.indptr, matrix.indices, total > 1e-12 * size)
    return max(int(depth), 1), graph


def _chosen(matrix: Symmetric, solves: float, definite: bool) -> Factorisation:
    if not definite:
        try:
            ldl = SparseLDL(matrix, "indefinite", LARGEST_FACTOR)
            if ldl.possible:
                probe = np.cos(np.arange(matrix.n))  # growth of the pivot-free factor shows in a trial residual
                _, relative, backward = matrix.residual(ldl._apply(probe), probe)
                if min(relative, backward) < 1e-8:
                    return ldl
        except ConvergenceError:
            pass
        return SuperLU(matrix, "indefinite, needs pivoting", symmetric=True)
    depth, graph = _depth(matrix)
    entries = matrix.indices.size
    iteration = solves * expected_iterations(depth) * entries * ITERATION
    ordering = entries * ORDERING
    tree_like = entries < 3.2 * matrix.n
    if not graph or tree_like or iteration > 1.5 * ordering:
        budget = LARGEST_FACTOR if not graph else max(iteration - ordering, 0.5 * ordering) / MULTIPLICATION
        ldl = SparseLDL(matrix, "small predicted fill" if graph else "general rows", budget)
        if ldl.possible:
            return ldl
    return ConjugateGradients(matrix, "the factor would fill in", depth)


def solve_spd(K: Any, f: ArrayLike, method: str | None = None) -> tuple[Array, SolveInfo]:
    """Solve a symmetric positive definite system for one right-hand side.

    Parameters
    ----------
    K : sparse (n, n) or Symmetric
        Stiffness of a structure without floating parts.
    f : (n,) float
        Right-hand side.
    method : str, optional
        See :func:`factor`.

    Returns
    -------
    u : (n,) float64
        Solution.
    info : SolveInfo
        Method, iterations, residual.

    Raises
    ------
    ConvergenceError
        If no method reaches a relative residual of 1e-10.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> u, info = solve_spd(csr_array([[2.0]]), [4.0])
    >>> u.tolist(), info.method
    ([2.0], 'dense')
    """
    ready = factor(K, method, solves=1.0)
    right = np.array(f, np.float64)
    try:
        u = ready.solve(right)
    except ConvergenceError:
        if method is not None or ready.method != "pcg":
            raise
        matrix = K if isinstance(K, Symmetric) else Symmetric(K)
        direct = SparseLDL(matrix, "conjugate gradients stalled", LARGEST_FACTOR)
        if not direct.possible:
            raise
        ready, u = direct, direct.solve(right)
    return u, ready.info
