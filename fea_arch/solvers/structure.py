"""A mesh as a nonlinear structure: internal nodal force, tangent stiffness and committed history.

Shared by the solvers that step through states (time integration, path following): they ask for ``p(u) = A^T g(A u)``
and ``K(u) = A^T G A`` and commit a converged state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.assembly.pattern import Pattern
from fea_arch.errors import ModelError
from fea_arch.laws.base import Array
from fea_arch.laws.history import HistoryLaw
from fea_arch.laws.linear import Linear
from fea_arch.meshing.mesh import Block, Mesh

__all__ = ["Structure", "factor"]

Index = NDArray[np.int64]


def factor(matrix: Any) -> Callable[[Array], Array]:
    """Factorise a sparse symmetric matrix once and return ``rhs -> solution``.

    Uses SuperLU in symmetric mode with a minimum-degree order; rows are exchanged only where the diagonal vanishes.
    A matrix of order one or two is inverted in closed form.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    n = matrix.shape[0]
    if n <= 2:
        dense = np.asarray(matrix.toarray(), float)
        determinant = dense[0, 0] if n == 1 else dense[0, 0] * dense[1, 1] - dense[0, 1] * dense[1, 0]
        if determinant == 0.0 or not np.isfinite(determinant):
            raise ModelError("the stiffness is singular", fix="support the structure or check its laws")
        inverse = 1.0 / dense if n == 1 else np.linalg.inv(dense)
        return lambda rhs: np.asarray(inverse @ rhs)
    try:
        lu = splu(
            csc_array(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.001, options={"SymmetricMode": True}
        )
    except RuntimeError as error:
        raise ModelError("the stiffness is singular", fix="support every part of the structure") from error
    return lambda rhs: np.asarray(lu.solve(np.ascontiguousarray(rhs)))


class Structure:
    """A mesh with its current history state.

    Parameters
    ----------
    mesh : Mesh
        The structure; supported nodes and those of ``prescribed`` are eliminated.
    prescribed : (k,) int64
        Further nodes whose displacement is given.
    """

    def __init__(self, mesh: Mesh, prescribed: Index | None = None) -> None:
        self.mesh = mesh
        fixed = mesh.supports if prescribed is None else np.union1d(mesh.supports, prescribed)
        self.pattern = Pattern.of(mesh, fixed)
        self.free: Index = self.pattern.free
        self.A = mesh.incidence
        self.At = self.A.T.tocsr()
        self.linear = all(isinstance(block.law, Linear) for block in mesh.blocks)
        self.has_history = any(isinstance(block.law, HistoryLaw) for block in mesh.blocks)

    def internal(self, displacement: Array) -> Array:
        """Return ``A^T g(A u)`` at every node, (n_nodes,) float64."""
        return np.asarray(self.At @ self.mesh.force(self.A @ displacement))

    def tangent(self, displacement: Array) -> Any:
        """Return ``A^T G A`` on the free nodes, csr_array (n_free, n_free)."""
        return self.pattern.refill(self.mesh.tangent(self.A @ displacement))

    def full_stiffness(self) -> Any:
        """Return the zero-load ``A^T diag(k0) A`` over all nodes, csr_array (n_nodes, n_nodes)."""
        from scipy.sparse import diags_array

        return (self.At @ diags_array(self.mesh.stiffness()) @ self.A).tocsr()

    def full_damping(self) -> Any:
        """Return ``A^T diag(c) A`` over all nodes, csr_array (n_nodes, n_nodes)."""
        from scipy.sparse import diags_array

        return (self.At @ diags_array(self.mesh.damping) @ self.A).tocsr()

    def energy(self, displacement: Array) -> float:
        """Return the energy held by the elements from the committed state [force x displacement]."""
        return float(self.mesh.energy(self.A @ displacement).sum())

    def dissipated(self) -> float:
        """Return the work lost in plastic flow and damage up to the committed state."""
        return float(sum(b.law.dissipated().sum() for b in self.mesh.blocks if isinstance(b.law, HistoryLaw)))

    def commit(self, displacement: Array) -> None:
        """Make a converged state permanent: laws with memory advance."""
        if not self.has_history:
            return
        elongation = self.A @ displacement
        blocks = tuple(
            Block(b.elements, b.law.committed(elongation[b.elements])) if isinstance(b.law, HistoryLaw) else b
            for b in self.mesh.blocks
        )
        self.mesh = replace(self.mesh, blocks=blocks)
