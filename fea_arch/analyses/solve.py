"""``solve``: the equilibrium of a structure given directly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.assembly import Pattern
from fea_arch.errors import ModelError
from fea_arch.laws.linear import Linear
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.structure import SolveResult
from fea_arch.solvers.diagnosis import check_supported, held_values, nodal_load
from fea_arch.solvers.linear import SolveInfo, Symmetric, solve_spd
from fea_arch.solvers.newton import elongation, equilibrium, nodal_force

__all__ = ["solve"]


def solve(
    mesh: Mesh,
    f: ArrayLike | None = None,
    load_factor: float = 1.0,
    method: str | None = None,
    prescribed: Mapping[int, float] | None = None,
) -> SolveResult:
    """Solve ``A^T g(A u) = Lambda f`` for the displacement of a structure.

    Equilibrium ``A^T q = f``, compatibility ``e = A u`` and the laws ``q = g(e)``. Linear laws take one linear solve
    with ``K = A^T G A``; others Newton's method from the linear zero-displacement state.

    Parameters
    ----------
    mesh : Mesh
        The structure.
    f : (n_nodes,) float, optional
        Nodal load at load factor one [force]. Default: none.
    load_factor : float
        Multiple of the load and of the prescribed displacements [1].
    method : str, optional
        Linear solver: ``"dense"``, ``"ldl"``, ``"pcg"`` or ``"superlu"``; chosen if not given.
    prescribed : mapping of node number to float, optional
        Displacements held besides the supports [length].

    Raises
    ------
    ModelError
        For a bad load, or for a part of the structure that no support holds (it names the nodes).
    ConvergenceError
        If the residual cannot be met: a mechanism, or a load beyond the capacity.

    Examples
    --------
    Two springs in series, 2 and 3 N/m, pulled with 6 N:

    >>> r = solve(Mesh.from_bars(3, [(1, 0), (2, 1)], [2.0, 3.0]), [0.0, 0.0, 6.0])
    >>> r.displacement.round(12).tolist(), r.force.round(12).tolist(), r.reaction.round(12).tolist()
    ([0.0, 3.0, 5.0], [6.0, 6.0], [-6.0])
    """
    load = nodal_load(mesh, f)
    if not np.isfinite(load_factor):
        raise ModelError(f"load_factor is {load_factor}, not a finite number", field="load_factor")
    held, u = held_values(mesh, prescribed)
    load *= load_factor
    u *= load_factor
    pattern = Pattern.of(mesh, fixed=held)
    check_supported(mesh, pattern)
    iterations = 0
    info = SolveInfo("none", 0, 0, 0.0, 0, "no free node")
    if pattern.n:
        linear = all(isinstance(block.law, Linear) for block in mesh.blocks)
        if linear:
            k = mesh.stiffness()
            right = load[pattern.free]
            if u.any():
                right = right - nodal_force(mesh, k * elongation(mesh, u))[pattern.free]
            matrix = Symmetric.of(pattern.indptr, pattern.indices, pattern.values(k))
            u[pattern.free], info = solve_spd(matrix, right, method)
        else:
            state = equilibrium(mesh, load, pattern, u, method=method)
            u, info, iterations = state.displacement, state.info, state.iterations
    e = elongation(mesh, u)
    q = mesh.force(e)
    balance = nodal_force(mesh, q)
    scale = float(np.linalg.norm(load[pattern.free])) or float(np.linalg.norm(balance)) or 1.0
    residual = float(np.linalg.norm(balance[pattern.free] - load[pattern.free])) / scale
    reaction = balance[held] - load[held]
    for array in (u, e, q, reaction, held):
        array.setflags(write=False)
    return SolveResult(
        u, e, q, held, reaction, residual, float(load_factor), info, iterations, mesh.node_names, mesh.element_names
    )
