"""What a factorisation is, what a solve reports, and the symmetric matrix as arrays for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.kernels import pcg as kernels
from fea_arch.laws.base import Array

__all__ = ["Factorisation", "SolveInfo", "Symmetric", "refined"]

RESIDUAL = 1e-10
BACKWARD = 1e-13


@dataclass(frozen=True, slots=True)
class SolveInfo:
    """How a linear system was solved.

    Parameters
    ----------
    method : str
        ``"dense"``, ``"ldl"``, ``"pcg"`` or ``"superlu"``.
    n : int
        Number of unknowns.
    iterations : int
        Iterations of the conjugate gradients; refinement steps of a direct method.
    residual : float
        ``|f - K u| / |f|`` [1], computed from the matrix after the solve.
    fill : int
        Entries of the factor below the diagonal; 0 for an iterative method.
    reason : str
        Why this method was chosen.
    """

    method: str
    n: int
    iterations: int
    residual: float
    fill: int
    reason: str


class Factorisation(Protocol):
    """A matrix made ready for solves."""

    @property
    def method(self) -> str:
        """Name of the method."""
        ...

    def solve(self, right: Array) -> Array:
        """Return ``K^-1 right`` for one right-hand side (n,)."""
        ...

    def solve_many(self, right: Array) -> Array:
        """Return ``K^-1 right`` for many right-hand sides (n, k)."""
        ...

    def refactor(self, values: Array) -> None:
        """Replace the matrix by one with the same pattern; ``values`` (nnz,) is its CSR data."""
        ...

    @property
    def logdet(self) -> float:
        """Natural logarithm of ``|det K|``."""
        ...

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Numbers of negative, zero and positive eigenvalues."""
        ...

    @property
    def info(self) -> SolveInfo:
        """Report of the latest solve."""
        ...


class Symmetric:
    """A symmetric CSR matrix as the arrays that kernels take (int32 structure, float64 data).

    Parameters
    ----------
    matrix : sparse or array_like (n, n)
        Any square matrix; its structure is shared, not copied, if it has the right types already.
    """

    __slots__ = ("data", "indices", "indptr", "n")

    def __init__(self, matrix: Any) -> None:
        from scipy.sparse import csr_array, issparse

        rows: Any = csr_array(cast(Any, matrix if issparse(matrix) else np.asarray(matrix, np.float64)))
        if rows.shape[0] != rows.shape[1]:
            raise ModelError(f"the matrix is {rows.shape[0]} x {rows.shape[1]}, not square", field="K")
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        self.n = int(rows.shape[0])
        self.indptr: NDArray[np.int32] = _writable(rows.indptr, np.int32)
        self.indices: NDArray[np.int32] = _writable(rows.indices, np.int32)
        self.data: Array = _writable(rows.data, np.float64)
        if not np.isfinite(self.data).all():
            raise ModelError("the matrix holds a value that is not finite", field="K")

    @classmethod
    def of(cls, indptr: NDArray[np.int32], indices: NDArray[np.int32], data: Array) -> Symmetric:
        """Wrap CSR arrays in canonical form, without scipy."""
        if not np.isfinite(data).all():
            raise ModelError("the matrix holds a value that is not finite", field="K")
        other = cls.__new__(cls)
        other.n, other.indptr, other.indices, other.data = int(indptr.size - 1), indptr, indices, data
        return other

    def diagonal(self) -> Array:
        """Return the diagonal, (n,) float64."""
        out = np.zeros(self.n)
        row = np.repeat(np.arange(self.n), np.diff(self.indptr))
        own = self.indices == row
        out[row[own]] = self.data[own]
        return out

    def replaced(self, values: Array) -> Symmetric:
        """Return a matrix with the same structure and other data."""
        data = np.array(values, np.float64)
        if data.shape != self.data.shape or not np.isfinite(data).all():
            raise ModelError(f"needs {self.data.size} finite matrix values, got shape {data.shape}", field="values")
        other = Symmetric.__new__(Symmetric)
        other.n, other.indptr, other.indices, other.data = self.n, self.indptr, self.indices, data
        return other

    def residual(self, x: Array, right: Array) -> tuple[Array, float, float]:
        """Return (``right - K x``, its norm relative to ``right``, its norm relative to ``|K| |x|``)."""
        out = np.empty(self.n)
        gap, size, scale = kernels.residual(self.indptr, self.indices, self.data, x, right, out)
        return out, float(gap / size) if size else float(gap > 0), float(gap / scale) if scale else float(gap > 0)

    def to_scipy(self) -> Any:
        """Return the scipy ``csr_array``."""
        from scipy.sparse import csr_array

        return csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))


def _writable(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    out = np.ascontiguousarray(array, dtype)
    return out if out.flags.writeable else out.copy()


def right_side(values: Any, n: int) -> Array:
    """Return a contiguous right-hand side (n,), or raise for a wrong shape or value."""
    right = _writable(np.asarray(values), np.float64)
    if right.shape != (n,):
        raise ModelError(f"needs {n} entries, got shape {right.shape}", field="f")
    wrong = np.flatnonzero(~np.isfinite(right))
    if wrong.size:
        raise ModelError(f"entry {wrong[0]} is {right[wrong[0]]}, not a finite number", field="f")
    return right


def refined(matrix: Symmetric, direct: Any, right: Array) -> tuple[Array, int, float]:
    """Solve with a direct method and refine until the residual is at rounding level; return (x, steps, residual).

    Raises
    ------
    ConvergenceError
        If the relative residual stays above 1e-10 and the backward error above 1e-13.
    """
    x = direct(right)
    rest, relative, backward = matrix.residual(x, right)
    steps = 0
    while steps < 3 and np.isfinite(relative) and relative > 1e-14 and backward > 2e-16:
        better = x + direct(rest)
        rest_better, relative_better, backward_better = matrix.residual(better, right)
        if not relative_better < 0.5 * relative:
            break
        x, rest, relative, backward = better, rest_better, relative_better, backward_better
        steps += 1
        if relative < 1e-12:
            break
    check(x, relative, backward)
    return x, steps, relative


def check(x: Array, relative: float, backward: float) -> None:
    """Raise a ConvergenceError unless the solution is finite and meets the tolerance."""
    if not (relative <= RESIDUAL or backward <= BACKWARD) or not np.isfinite(x).all():
        raise ConvergenceError(
            f"the linear solve left a relative residual of {relative:.1e}: the matrix is singular or nearly so",
            partial=x, residual=relative,
        )
