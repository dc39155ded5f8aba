"""Direct factorisations: dense LAPACK for small systems, own sparse ``L D L^T``, SuperLU for unsymmetric matrices."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.kernels import ldl as kernels
from fea_arch.kernels.ordering import minimum_degree
from fea_arch.laws.base import Array
from fea_arch.solvers.linear_base import SolveInfo, Symmetric, refined, right_side

__all__ = ["Dense", "SparseLDL", "SuperLU"]


class _Direct:
    """Solves with refinement and a checked residual; subclasses give ``_apply``."""

    method = "direct"
    fill = 0

    def __init__(self, matrix: Symmetric, reason: str) -> None:
        self.matrix, self.reason = matrix, reason
        self._info = SolveInfo(self.method, matrix.n, 0, float("nan"), 0, reason)

    @property
    def info(self) -> SolveInfo:
        """Report of the latest solve."""
        return self._info

    def _apply(self, right: Array) -> Array:
        raise NotImplementedError

    def solve(self, right: Array) -> Array:
        """Return ``K^-1 right`` (n,), refined; the residual is in :attr:`info`."""
        x, steps, residual = refined(self.matrix, self._apply, right_side(right, self.matrix.n))
        self._info = SolveInfo(self.method, self.matrix.n, steps, residual, self.fill, self.reason)
        return x

    def solve_many(self, right: Array) -> Array:
        """Return ``K^-1 right`` (n, k), without refinement."""
        block = np.ascontiguousarray(right, np.float64)
        if block.ndim != 2 or block.shape[0] != self.matrix.n:
            raise ModelError(f"needs an ({self.matrix.n}, k) block, got shape {block.shape}", field="B")
        if not block.shape[1]:
            return block.copy()
        return np.stack([self._apply(np.ascontiguousarray(column)) for column in block.T], axis=1)


class Dense(_Direct):
    """Dense inverse by LAPACK through numpy alone: for a few hundred unknowns."""

    method = "dense"

    def __init__(self, matrix: Symmetric, reason: str = "requested") -> None:
        super().__init__(matrix, reason)
        self.refactor(matrix.data)

    def refactor(self, values: Array) -> None:
        """Factor again with other values on the same pattern, ``values`` (nnz,)."""
        self.matrix = self.matrix.replaced(values)
        n = self.matrix.n
        self._full = np.zeros((n, n))
        row = np.repeat(np.arange(n), np.diff(self.matrix.indptr))
        self._full[row, self.matrix.indices] = self.matrix.data
        try:
            self._inverse = np.linalg.inv(self._full)
        except np.linalg.LinAlgError as error:
            raise ConvergenceError("the matrix is singular", residual=1.0) from error
        self.fill = n * (n - 1) // 2

    def _apply(self, right: Array) -> Array:
        return np.asarray(self._inverse @ right)

    @property
    def logdet(self) -> float:
        """Natural logarithm of ``|det K|``."""
        return float(np.linalg.slogdet(self._full)[1])

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Numbers of negative, zero and positive eigenvalues."""
        values = np.linalg.eigvalsh(self._full)
        small = np.finfo(float).eps * max(1, self.matrix.n) * np.abs(values).max(initial=0.0)
        return int((values < -small).sum()), int((np.abs(values) <= small).sum()), int((values > small).sum())


class SparseLDL(_Direct):
    """``P K P^T = L D L^T`` without pivoting, on an approximate minimum degree ordering.

    Parameters
    ----------
    matrix : Symmetric
        Symmetric matrix, definite or (for Sturm counts) not.
    budget : float
        Multiplications above which the ordering gives up: then :attr:`possible` is False and nothing was factored.
    order : (n,) int64, optional
        Elimination order to use instead; up to a postorder of its tree.

    Attributes
    ----------
    order, parent, l_pointer, l_row, l_value, d : ndarray
        Elimination order, elimination tree and factor, as :mod:`fea_arch.kernels.ldl` describes them.
    """

    method = "ldl"

    def __init__(
        self, matrix: Symmetric, reason: str = "requested", budget: float = np.inf, last: Any = None,
        order: Any = None,
    ) -> None:
        super().__init__(matrix, reason)
        self.work, self.possible = np.nan, True
        if order is None:
            order, _, self.work, self.possible = minimum_degree(matrix.indptr, matrix.indices, float(budget))
        if not self.possible:
            return
        if last is not None:  # keep these nodes at the end
            late = np.zeros(matrix.n, bool)
            late[last] = True
            order = np.concatenate([order[~late[order]], order[late[order]]])
        parent = kernels.elimination_tree(matrix.indptr, matrix.indices, order)
        post = kernels.postorder(parent)
        place = np.empty_like(post)
        place[post] = np.arange(matrix.n)
        above = parent[post]
        self.order = order[post]
        self.parent = np.where(above >= 0, place[above], -1)
        self._upper: Any = kernels.permuted_upper(matrix.indptr, matrix.indices, self.order)
        count = kernels.column_counts(self._upper[0], self._upper[1], self.parent)
        self.l_pointer = np.concatenate([[0], np.cumsum(count)])
        self.fill = int(self.l_pointer[-1])
        self.l_row = np.empty(self.fill, np.int32)
        self.l_value = np.empty(self.fill)
        self.d = np.empty(matrix.n)
        self._factor()

    def _factor(self) -> None:
        failed, self._negative = kernels.factorise(
            *(*self._upper, self.matrix.data, self.parent, self.l_pointer, self.l_row, self.l_value, self.d)
        )
        if failed >= 0:
            raise ConvergenceError(
                f"the matrix has a zero pivot at unknown {int(self.order[failed])}: it is singular", residual=1.0
            )

    def refactor(self, values: Array) -> None:
        """Factor again with other values on the same pattern, ``values`` (nnz,)."""
        self.matrix = self.matrix.replaced(values)
        self._factor()

    def _apply(self, right: Array) -> Array:
        return np.asarray(kernels.solve(self.order, self.l_pointer, self.l_row, self.l_value, self.d, right))

    def solve_many(self, right: Array) -> Array:
        """Return ``K^-1 right`` (n, k), without refinement; the factor is read once."""
        block = np.array(right, np.float64, order="C")
        if block.ndim != 2 or block.shape[0] != self.matrix.n:
            raise ModelError(f"needs an ({self.matrix.n}, k) block, got shape {block.shape}", field="B")
        return np.asarray(kernels.solve_block(self.order, self.l_pointer, self.l_row, self.l_value, self.d, block))

    @property
    def logdet(self) -> float:
        """Natural logarithm of ``|det K|``."""
        return float(np.log(np.abs(self.d)).sum())

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Numbers of negative, zero and positive pivots: those of the eigenvalues (Sylvester)."""
        return int(self._negative), 0, int(self.matrix.n - self._negative)


class SuperLU(_Direct):
    """scipy's SuperLU with pivoting: for unsymmetric matrices."""

    method = "superlu"

    def __init__(self, matrix: Symmetric, reason: str = "requested", *, symmetric: bool = False) -> None:
        super().__init__(matrix, reason)
        self._symmetric = symmetric
        self.refactor(matrix.data)

    def refactor(self, values: Array) -> None:
        """Factor again with other values on the same pattern, ``values`` (nnz,)."""
        from scipy.sparse.linalg import splu

        self.matrix = self.matrix.replaced(values)
        order: Literal["MMD_AT_PLUS_A", "COLAMD"] = "MMD_AT_PLUS_A" if self._symmetric else "COLAMD"
        try:
            self._lu = splu(self.matrix.to_scipy().tocsc(), permc_spec=order)
        except RuntimeError as error:
            raise ConvergenceError("the matrix is singular", residual=1.0) from error
        self.fill = int(self._lu.nnz)

    def _apply(self, right: Array) -> Array:
        return np.asarray(self._lu.solve(right))

    @property
    def logdet(self) -> float:
        """Natural logarithm of ``|det K|``."""
        return float(np.log(np.abs(self._lu.U.diagonal())).sum())

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Not defined for an unsymmetric factor: raises ModelError."""
        raise ModelError("SuperLU does not count eigenvalues", field="method", fix="use method='ldl' or 'dense'")
