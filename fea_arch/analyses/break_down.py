"""``break_down``: quasi-static fracture of a structure, one element at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ModelError, suggestion
from fea_arch.kernels.local_sharing import share_locally
from fea_arch.laws.base import Array
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.structure import BreakDownResult
from fea_arch.solvers.fracture import FractureModel

__all__ = ["break_down"]


def break_down(
    mesh: Mesh,
    f: ArrayLike | None = None,
    strength: ArrayLike | None = None,
    prescribed: Mapping[int, float] | None = None,
    max_breaks: int | None = None,
    sharing: Literal["equilibrium", "local"] = "equilibrium",
) -> BreakDownResult:
    """Break a structure of linear elements, always the one nearest to its strength, until it comes apart.

    At every step ``K u = f`` is solved and the element with the largest ``|q_e| / strength_e`` is taken out; the load
    factor of the break is the inverse of that ratio. This is the random fuse (random spring) model; parallel bars are
    the equal-load-sharing fibre bundle. The factor of ``K`` is downdated, never computed afresh.

    Parameters
    ----------
    mesh : Mesh
        The structure; broken elements are gone for good.
    f : (n_nodes,) float, optional
        Load that is scaled up (force control).
    strength : (n_elements,) float, optional
        Absolute force at which each element breaks. Default: that of the mesh.
    prescribed : mapping of node number to float, optional
        Displacements that are scaled up instead of a load, for instance ``{top: 1.0}`` for a bus bar.
    max_breaks : int, optional
        Stop after this many breaks.
    sharing : str
        ``"equilibrium"``, or ``"local"``: the elements in their order form a ring of parallel fibres, and an intact
        fibre carries ``1 + (l + r) / 2`` times the mean load with ``l``, ``r`` broken neighbours on its sides. ``f`` is
        then not used and the load factor is the load per fibre of the intact ring.

    Returns
    -------
    BreakDownResult
        ``stiffness`` is the prescribed displacements' work-conjugate reaction over the largest of them,
        ``sum(u_p R_p) / max|u_p|^2``, or under a load ``(sum |f|)^2 / (f.u)``.

    Raises
    ------
    ModelError
        For strengths that are missing, not positive or of the wrong length; for elements that are not linear; if both
        or neither of ``f`` and ``prescribed`` act; for a loaded part without a support.

    Examples
    --------
    Five equal parallel bars; the bundle carries 9 after two breaks:

    >>> bars = Mesh.from_bars(2, [(1, 0)] * 5, 1.0, strength=[3, 1, 4, 2, 5])
    >>> r = break_down(bars, [0.0, 1.0])
    >>> r.sequence.tolist(), r.load_factor.tolist(), r.peak, r.peak_index
    ([1, 3, 0, 2, 4], [5.0, 8.0, 9.0, 8.0, 5.0], 9.0, 2)
    """
    limit = _strength(mesh, strength)
    if max_breaks is not None and max_breaks < 0:
        raise ModelError(f"max_breaks is {max_breaks}", field="max_breaks", fix="use a number of breaks, at least 0")
    if sharing == "local":
        return _ring(mesh, limit, max_breaks)
    if sharing != "equilibrium":
        known = ("equilibrium", "local")
        raise ModelError(f"unknown sharing {sharing!r}.{suggestion(sharing, known)}", field="sharing")
    model = FractureModel(mesh, f, prescribed)
    run = model.run(limit, max_breaks)
    if model.control == "force":
        stiffness = np.abs(model.load).sum() ** 2 / run.energy
        load = run.factor.copy()
    else:
        largest = np.abs(model.values).max()
        stiffness = run.energy / largest**2
        load = run.factor * stiffness * largest
    for array in (run.sequence, run.factor, stiffness, load):
        array.setflags(write=False)
    return BreakDownResult(
        run.sequence, run.factor, stiffness, load, model.control, run.separated, run.residual, mesh.element_names
    )


def _strength(mesh: Mesh, strength: ArrayLike | None) -> Array:
    limit = np.array(mesh.strength if strength is None else strength, np.float64)
    if limit.ndim == 0:
        limit = np.full(mesh.n_elements, float(limit))
    if limit.shape != (mesh.n_elements,):
        raise ModelError(f"needs {mesh.n_elements} strengths, got shape {limit.shape}", field="strength")
    wrong = np.flatnonzero(~(limit > 0))
    if wrong.size:
        raise ModelError(
            f"the strength of element {mesh.element_name(int(wrong[0]))} is {limit[wrong[0]]}", field="strength",
            fix="use positive strengths, inf for an element that never breaks",
        )
    if not np.isfinite(limit).any():
        raise ModelError("no element has a finite strength", field="strength", fix="pass strength=")
    return limit


def _ring(mesh: Mesh, strength: Array, max_breaks: int | None) -> BreakDownResult:
    if not np.isfinite(strength).all():
        raise ModelError("local sharing needs a finite strength for every fibre", field="strength")
    n = mesh.n_elements
    sequence, factor = np.empty(n, np.int64), np.empty(n)
    share_locally(strength, sequence, factor)
    count = n if max_breaks is None else min(max_breaks, n)
    sequence, factor = sequence[:count].copy(), factor[:count].copy()
    k = mesh.stiffness()
    left = np.cumsum(k[sequence][::-1])[::-1] + (k.sum() - k[sequence].sum())
    for array in (sequence, factor, left):
        array.setflags(write=False)
    return BreakDownResult(sequence, factor, left, factor, "force", count == n, 0.0, mesh.element_names)
