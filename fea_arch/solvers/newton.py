"""Equilibrium of a nonlinear structure: Newton with a backtracking line search on ``A^T g(A u) = f``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fea_arch.assembly import Pattern
from fea_arch.errors import ConvergenceError
from fea_arch.laws.base import Array
from fea_arch.meshing.mesh import Mesh
from fea_arch.solvers.linear import SolveInfo, Symmetric, factor

__all__ = ["Equilibrium", "elongation", "equilibrium", "nodal_force"]


def elongation(mesh: Mesh, u: Array) -> Array:
    """Return ``A u``, (n_elements,) float64, from nodal displacements (n_nodes,)."""
    owner = np.repeat(np.arange(mesh.n_elements), np.diff(mesh.indptr))
    return np.asarray(np.bincount(owner, mesh.data * u[mesh.indices], mesh.n_elements), np.float64)


def nodal_force(mesh: Mesh, q: Array) -> Array:
    """Return ``A^T q``, (n_nodes,) float64, from element forces (n_elements,)."""
    weights = mesh.data * np.repeat(q, np.diff(mesh.indptr))
    return np.asarray(np.bincount(mesh.indices, weights, mesh.n_nodes), np.float64)


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """A converged state: displacement (n_nodes,), force (n_elements,), residual [1], iterations, last solve."""

    displacement: Array
    force: Array
    residual: float
    iterations: int
    info: SolveInfo


def equilibrium(
    mesh: Mesh,
    load: Array,
    pattern: Pattern,
    start: Array,
    *,
    method: str | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 60,
) -> Equilibrium:
    """Find ``u`` with ``A^T g(A u) = load`` on the free nodes of a pattern.

    Parameters
    ----------
    mesh : Mesh
        The structure.
    load : (n_nodes,) float64
        Nodal load, already times the load factor.
    pattern : Pattern
        Its free nodes are the unknowns; the others keep the displacement they have in ``start``.
    start : (n_nodes,) float64
        First guess.
    method : str, optional
        Linear solver, see :func:`fea_arch.solvers.linear.factor`.
    tolerance : float
        Relative residual to reach [1].

    Raises
    ------
    ConvergenceError
        If the residual does not fall below the tolerance; carries the best state and names the worst nodes.
    """
    u = np.array(start, np.float64)
    free = pattern.free

    def out_of_balance(displacement: Array) -> tuple[Array, Array, float]:
        force = mesh.force(elongation(mesh, displacement))
        internal = nodal_force(mesh, force)
        rest = load[free] - internal[free]
        scale = float(np.linalg.norm(load[free])) or float(np.linalg.norm(internal)) or 1.0
        gap = float(np.linalg.norm(rest)) / scale
        return force, rest, gap if np.isfinite(gap) else np.inf

    q, rest, gap = out_of_balance(u)
    info = SolveInfo("none", pattern.n, 0, gap, 0, "in equilibrium at the start")
    for iteration in range(max_iterations):
        if gap <= tolerance:
            return Equilibrium(u, q, gap, iteration, info)
        tangent = mesh.tangent(elongation(mesh, u))
        matrix = Symmetric.of(pattern.indptr, pattern.indices, pattern.values(tangent))
        try:
            ready = factor(matrix, method, solves=1.0)
            step = ready.solve(rest)
        except (ConvergenceError, ValueError):
            if method is not None:
                raise
            ready = factor(matrix, definite=False, solves=1.0)
            step = ready.solve(rest)
        info = ready.info
        best = (gap, u, q, rest)
        length = 1.0
        for _ in range(30):
            trial = u.copy()
            trial[free] += length * step
            force, unbalanced, gap_trial = out_of_balance(trial)
            if gap_trial < (1.0 - 1e-4 * length) * gap:
                best = (gap_trial, trial, force, unbalanced)
                break
            length *= 0.5
        if best[0] >= gap:
            break
        gap, u, q, rest = best
    if gap <= tolerance:
        return Equilibrium(u, q, gap, max_iterations, info)
    worst = free[np.argsort(-np.abs(rest))[:3]]
    raise ConvergenceError(
        f"Newton's method stopped at a relative residual of {gap:.1e}: the load may be beyond the capacity",
        partial=u, worst=tuple(mesh.node_name(int(node)) for node in worst), residual=gap,
    )
