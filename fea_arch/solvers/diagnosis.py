"""Find what makes a structure unsolvable, before the solve, and name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ModelError
from fea_arch.kernels.connectivity import distance_to_ground
from fea_arch.laws.base import Array

if TYPE_CHECKING:
    from fea_arch.assembly import Pattern
    from fea_arch.meshing.mesh import Mesh

__all__ = ["check_supported", "floating_nodes", "held_values", "nodal_load"]


def floating_nodes(mesh: Mesh, pattern: Pattern) -> NDArray[np.int64]:
    """Return the nodes that no chain of elements ties to a support, (k,) int64.

    A row whose entries on free nodes do not sum to zero (a bar to a support, a grounded spring, a lever) resists the
    common displacement of its nodes and counts as a tie to the ground.
    """
    owner = np.repeat(np.arange(mesh.n_elements), np.diff(mesh.indptr))
    row = pattern.number[mesh.indices]
    kept = row >= 0
    total = np.bincount(owner[kept], mesh.data[kept], mesh.n_elements)
    tied = np.abs(total) > 1e-12
    grounded = np.zeros(pattern.n, bool)
    grounded[row[kept & tied[owner]]] = True
    distance, _ = distance_to_ground(pattern.indptr, pattern.indices, grounded)
    return np.asarray(pattern.free[distance < 0], np.int64)


def check_supported(mesh: Mesh, pattern: Pattern) -> None:
    """Raise a ModelError that names the nodes without a path to a support.

    Raises
    ------
    ModelError
        If a part of the structure floats.
    """
    floating = floating_nodes(mesh, pattern)
    if floating.size:
        names = ", ".join(mesh.node_name(int(node)) for node in floating[:8])
        more = f" and {floating.size - 8} more" if floating.size > 8 else ""
        raise ModelError(
            f"nodes without a path to a support: {names}{more}; the structure has no equilibrium there",
            field="supports", fix="support one node of each part, or connect it",
        )


def nodal_load(mesh: Mesh, f: ArrayLike | None) -> Array:
    """Return the nodal load (n_nodes,) float64, or raise a ModelError that says what is wrong with it."""
    if f is None:
        return np.zeros(mesh.n_nodes)
    try:
        load = np.array(f, np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError("the load is not numeric", field="f", fix=f"pass {mesh.n_nodes} numbers") from error
    if load.shape != (mesh.n_nodes,):
        raise ModelError(f"needs one load a node, shape ({mesh.n_nodes},), got {load.shape}", field="f")
    wrong = np.flatnonzero(~np.isfinite(load))
    if wrong.size:
        raise ModelError(f"the load at node {mesh.node_name(int(wrong[0]))} is {load[wrong[0]]}", field="f")
    return load


def held_values(mesh: Mesh, prescribed: Mapping[int, float] | None) -> tuple[NDArray[np.int64], Array]:
    """Return (held nodes, displacement of every node with zeros where free): supports and prescribed nodes."""
    values = np.zeros(mesh.n_nodes)
    nodes = {int(node) for node in mesh.supports}
    for node, value in (prescribed or {}).items():
        if isinstance(node, bool) or not isinstance(node, (int, np.integer)) or not 0 <= node < mesh.n_nodes:
            raise ModelError(f"prescribed node {node!r} is not a node number 0..{mesh.n_nodes - 1}", field="prescribed")
        if not np.isfinite(value):
            raise ModelError(f"the displacement of node {mesh.node_name(int(node))} is {value}", field="prescribed")
        nodes.add(int(node))
        values[node] = value
    return np.array(sorted(nodes), np.int64), values
