"""Trace the equilibrium path of a directly given structure through limit points and snap-back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ConvergenceError, ModelError, suggestion
from fea_arch.laws.base import Array
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.structure_dynamics import PathResult

__all__ = ["trace"]

CONTROLS = ("arc_length", "load", "displacement", "dissipation")


def trace(
    mesh: Mesh,
    f: ArrayLike,
    control: str = "arc_length",
    *,
    step: float = 0.05,
    max_step: float | None = None,
    max_points: int = 1000,
    node: int | None = None,
    stop: Callable[[float, Array], bool] | None = None,
) -> PathResult:
    r"""Follow ``A^T g(A u) = Lambda f`` from the unloaded state.

    Limit points of the load, turning points of the displacement (snap-back) and bifurcations are sign changes of
    ``dLambda/ds``, of ``f.du/ds`` and of the inertia of ``K = A^T G A``. They are located and are points of the path.

    Parameters
    ----------
    mesh : Mesh
        The structure; elements with any law. Laws with memory are committed at each point.
    f : (n_nodes,) float
        Load at load factor 1.
    control : {"arc_length", "load", "displacement", "dissipation"}
        What a step prescribes. Only arc length and dissipation pass snap-back; dissipation (the elongation of the
        elements that dissipate) is the robust choice where softening is local.
    step : float
        First step, as a change of the load factor along the initial stiffness.
    max_step : float, optional
        Largest step, default four times ``step``.
    max_points : int
        Bound on the number of points.
    node : int, optional
        Node of displacement control; default the one that moves most at the start.
    stop : callable, optional
        ``(load_factor, displacement (n_nodes,)) -> bool``: end after this point.

    Returns
    -------
    PathResult

    Raises
    ------
    ModelError
        For a load, control or node that makes no sense, or a structure that is a mechanism at the start.
    ConvergenceError
        If the path is lost, as at a limit point under load control; ``partial`` holds the path so far.

    Examples
    --------
    >>> from fea_arch.laws.custom import Polynomial
    >>> truss = Mesh.from_incidence([[1.0]], Polynomial([[2.0, -0.12, 0.0016]]))  # shallow truss pushed through
    >>> path = trace(truss, [1.0], step=0.5, stop=lambda factor, u: u[0] > 60)
    >>> path.load_factor[path.limit_points].round(6)
    array([ 9.622504, -9.622504])
    """
    from fea_arch.solvers.path_following import Path, trace_curve
    from fea_arch.solvers.structure import Structure, factor
    from fea_arch.solvers.structure_path import EquilibriumCurve

    if control not in CONTROLS:
        raise ModelError(f"{control!r} is not a control.{suggestion(control, CONTROLS)}", field="control",
                         fix="one of " + ", ".join(CONTROLS))
    load = np.asarray(f, np.float64)
    if load.shape != (mesh.n_nodes,) or not np.all(np.isfinite(load)):
        raise ModelError(f"is not {mesh.n_nodes} finite numbers", field="f")
    structure = Structure(mesh)
    if not np.any(load[structure.free]):
        raise ModelError("no free node is loaded", field="f", fix="load a node that is not a support")
    initial = structure.tangent(np.zeros(mesh.n_nodes))
    try:
        first = factor(initial)(load[structure.free])
    except ModelError as error:
        raise ModelError("the structure has no stiffness at the start", field="mesh", fix="add supports") from error
    if not np.all(np.isfinite(first)):
        raise ModelError("the structure has no stiffness at the start", field="mesh", fix="add supports")
    row = int(np.argmax(np.abs(first)))
    if node is not None:
        rows = np.flatnonzero(structure.free == int(node))
        if not rows.size:
            raise ModelError(f"node {node} is a support or does not exist", field="node")
        row = int(rows[0])
    curve = EquilibriumCurve(structure, load, control, row)
    curve.sense = float(np.sign(first[row])) or 1.0
    curve.forces.append(mesh.force(np.zeros(mesh.n_elements)))
    weight = 1.0 / float(first @ first)
    # the unit tangent of the start has dLambda = 1/sqrt(2): a step of the load factor is sqrt(2) of arc length
    scale = float(np.sqrt(2.0))
    halt = None if stop is None else (lambda u, factor_: bool(stop(float(factor_), curve.spread(u))))

    def result(path: Path) -> PathResult:
        points = path.parameter.size
        stable = path.negative == 0
        stable[path.folds[path.folds < points]] = False
        return PathResult(
            path.parameter, np.array([curve.spread(u) for u in path.state]), np.array(curve.forces[:points]), stable,
            path.folds, path.bifurcations, path.events[1], np.array(curve.work[:points]),
            np.array(curve.lost[:points]), control,
        )  # fmt: skip

    try:
        return result(trace_curve(
            curve, np.zeros(structure.free.size), 0.0, step=scale * step, max_points=max_points, direction=1.0,
            stop=halt, max_step=None if max_step is None else scale * max_step, weight=weight,
        ))  # fmt: skip
    except ConvergenceError as error:
        raise ConvergenceError(
            f"{str(error).rstrip('.')} (control={control!r}; try 'arc_length' or 'dissipation').",
            partial=None if error.partial is None else result(error.partial),
        ) from error
    except np.linalg.LinAlgError as error:
        raise ModelError("the structure has no unique path at the start", field="mesh") from error
