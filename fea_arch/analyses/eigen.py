"""Natural modes of a directly given structure."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.structure_dynamics import ModesResult

__all__ = ["eigen"]


def eigen(
    mesh: Mesh, modes: int = 5, *, mass: Any = "lumped", sigma: float | None = None, check: bool | None = None
) -> ModesResult:
    r"""Find natural modes ``K phi = omega^2 M phi`` of a structure at rest.

    Parameters
    ----------
    mesh : Mesh
        The structure; ``K`` is the zero-load stiffness.
    modes : int
        Number of modes wanted; rigid modes count. Fewer come back if the structure has fewer.
    mass : "lumped" or (n_nodes, n_nodes) matrix
        The nodal masses of the mesh, or a consistent mass matrix.
    sigma : float, optional
        Find the modes nearest to ``omega^2 = sigma`` [rad^2/s^2] instead of the lowest.
    check : bool, optional
        Confirm by a Sturm count that no mode was missed, and look again if one was. By default where a factor is cheap:
        not on large graphs that expand, whose count would cost more than their modes.

    Returns
    -------
    ModesResult

    Raises
    ------
    ModelError
        Without any mass, free node or mode asked for.
    ConvergenceError
        If a residual stays above 1e-8.

    Examples
    --------
    >>> import numpy as np
    >>> chain = Mesh.from_bars(3, [(1, 0), (2, 1)], [1.0, 1.0], mass=[0.0, 1.0, 0.5])
    >>> eigen(chain, 2).angular_per_s.round(6)
    array([0.765367, 1.847759])
    """
    from fea_arch.assembly import assemble
    from fea_arch.solvers.eigen import lowest_modes, rigid_shapes

    if not isinstance(modes, (int, np.integer)) or modes < 1:
        raise ModelError(f"is {modes}, not a positive whole number", field="modes")
    if sigma is not None and not np.isfinite(sigma):
        raise ModelError(f"is {sigma}, not a finite number", field="sigma")
    system = assemble(mesh)
    free = system.free
    if not free.size:
        raise ModelError("every node is a support", field="supports", fix="leave a node free")
    M = system.M
    if not isinstance(mass, str):
        M = _mass_matrix(mass, mesh.n_nodes)[free][:, free]
    elif mass != "lumped":
        raise ModelError(f"{mass!r} is not known", field="mass", fix="'lumped' or a matrix")
    if not M.diagonal().max(initial=0.0) > 0.0:
        raise ModelError("no free node has a mass", field="mass", fix="give Mesh.from_bars(..., mass=)")
    K = system.K
    rigid = rigid_shapes(K, M) if mesh.two_node_bars else np.empty((free.size, 0))
    found = lowest_modes(K, M, int(modes), rigid=rigid, sigma=sigma, check=check)
    values, shapes = found.values, found.vectors
    scale = float((K.diagonal()[M.diagonal() > 0.0] / M.diagonal()[M.diagonal() > 0.0]).max())
    is_rigid = values <= 1e-13 * scale
    if mesh.two_node_bars and sigma is None:  # the graph knows their number: a soft mode is no rigid one
        is_rigid = np.arange(values.size) < rigid.shape[1]
    sign = np.sign(shapes[np.argmax(np.abs(shapes), axis=0), np.arange(shapes.shape[1])])
    shapes = shapes * np.where(sign == 0.0, 1.0, sign)
    full = np.zeros((mesh.n_nodes, values.size))
    full[free] = shapes
    frequencies = np.where(is_rigid, 0.0, np.sqrt(np.maximum(values, 0.0))) / (2.0 * np.pi)
    return ModesResult(
        frequencies, full, is_rigid, np.asarray(shapes.T @ (M @ np.ones(free.size))), found.residuals,
        found.sturm_count, found.expected_count, found.method,
    )  # fmt: skip


def _mass_matrix(values: Any, n: int) -> Any:
    from scipy.sparse import csr_array

    try:
        matrix = csr_array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError("is not a matrix", field="mass", fix="'lumped' or an (n_nodes, n_nodes) matrix") from error
    if matrix.shape != (n, n) or not np.all(np.isfinite(matrix.data)):
        raise ModelError(f"is not a finite ({n}, {n}) matrix", field="mass")
    if abs(matrix - matrix.T).max() > 1e-10 * abs(matrix).max():
        raise ModelError("is not symmetric", field="mass")
    return matrix
