"""Quasi-static fracture of a structure of linear elements: one factor, downdated at every break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.assembly import Pattern
from fea_arch.errors import ModelError
from fea_arch.kernels import downdate as kernels
from fea_arch.kernels import ldl
from fea_arch.kernels import supernodes as panels
from fea_arch.kernels.dissection import nested_dissection
from fea_arch.kernels.dissection_parts import depth_from, order_parts
from fea_arch.kernels.ordering import minimum_degree
from fea_arch.laws.base import Array
from fea_arch.laws.linear import Linear
from fea_arch.meshing.mesh import Mesh
from fea_arch.solvers.diagnosis import floating_nodes, held_values, nodal_load
from fea_arch.solvers.linear import LARGEST_FACTOR, Symmetric
from fea_arch.solvers.linear_direct import SparseLDL
from fea_arch.solvers.newton import elongation, nodal_force

__all__ = ["FractureModel", "FractureRun"]

CHUNK = 512
LEAST_BLOCK, BLOCK_RATIO = 2000.0, 4.0  # entries of the factor in a smallest subtree, and from level to level
PER_PANEL, PER_ROW = 60.0, 2.0  # zeros worth storing to have one panel less
SPREAD, LEAF = 400, 64  # unknowns from which dissection is tried, and those of a part that is not cut
LIGHT = 15.0  # entries of the factor a column below which minimum degree is good enough
CLASSES = 16  # of elements with similar k / strength


@dataclass(frozen=True, slots=True, eq=False)
class FractureRun:
    """Raw course of a fracture: elements, load factors, twice the strain energy at load factor one, end state."""

    sequence: NDArray[np.int64]
    factor: Array
    energy: Array
    separated: bool
    residual: float


class FractureModel:
    """A structure made ready to be broken many times with different strengths.

    Parameters
    ----------
    mesh : Mesh
        Linear elements only.
    f : (n_nodes,) float, optional
        Load that is scaled up.
    prescribed : mapping of node to float, optional
        Displacements that are scaled up instead of a load.

    Raises
    ------
    ModelError
        If both or neither of the two are given, if an element is not linear, or if a loaded part has no support.
    """

    def __init__(self, mesh: Mesh, f: ArrayLike | None = None, prescribed: Mapping[int, float] | None = None) -> None:
        for block in mesh.blocks:
            if not isinstance(block.law, Linear):
                raise ModelError(
                    f"elements with the law {block.law.name!r} are not linear to the break", field="laws",
                    fix="use linear elements, or trace the equilibrium path",
                )
        load = nodal_load(mesh, f)
        held, values = held_values(mesh, prescribed)
        if bool(load.any()) == bool(values.any()):
            both = load.any()
            raise ModelError(
                "both a load and displacements are given" if both else "neither a load nor a displacement acts",
                field="f", fix="give one of f and prescribed, not zero everywhere",
            )
        self.mesh, self.load, self.values = mesh, load, values
        self.control = "displacement" if values.any() else "force"
        self.stiffness = mesh.stiffness()
        pattern = Pattern.of(mesh, fixed=held)
        floating = floating_nodes(mesh, pattern)
        if floating.size:  # carries nothing: kept at rest
            loaded = floating[load[floating] != 0]
            if loaded.size:
                raise ModelError(
                    f"the load at node {mesh.node_name(int(loaded[0]))} has no path to a support", field="f",
                    fix="connect the node to a support, or take the load away",
                )
            held = np.union1d(held, floating)
            pattern = Pattern.of(mesh, fixed=held)
        self.pattern, self.held = pattern, held
        self.offset = elongation(mesh, values)
        self.right = (load - nodal_force(mesh, self.stiffness * self.offset))[pattern.free]
        self._factor: SparseLDL | None = None

    def _ready(self) -> SparseLDL:
        """Factor once and lay out the compatibility rows in elimination order."""
        if self._factor is None:
            mesh, pattern = self.mesh, self.pattern
            matrix = Symmetric.of(pattern.indptr, pattern.indices, pattern.values(self.stiffness))
            ready = SparseLDL(matrix, "fracture", LARGEST_FACTOR, order=_order(matrix))
            if not ready.possible:
                raise ModelError(
                    f"the factor of {pattern.n} nodes would fill in beyond reason", field="mesh",
                    fix="break a smaller or a lower-dimensional structure",
                )
            place = np.empty(pattern.n, np.int64)
            place[ready.order] = np.arange(pattern.n)
            number = pattern.number[mesh.indices]
            kept = number >= 0
            owner = np.repeat(np.arange(mesh.n_elements), np.diff(mesh.indptr))[kept]
            self._row_node = place[number[kept]].astype(np.int32)
            self._row_value = np.ascontiguousarray(mesh.data[kept])
            count = np.bincount(owner, minlength=mesh.n_elements)
            self._row_pointer = np.concatenate([[0], np.cumsum(count)])
            self._bars = mesh.two_node_bars
            self._tail = np.full(mesh.n_elements, pattern.n, np.int32)
            self._tip = np.full(mesh.n_elements, pattern.n, np.int32)
            if self._bars:
                plus = self._row_value > 0
                self._tail[owner[plus]] = self._row_node[plus]
                self._tip[owner[~plus]] = self._row_node[~plus]
            self._lay_out_panels(ready, owner)
            self._value, self._d = self._panels(ready), ready.d.copy()
            self._y, self._corner = self._load_row(ready, self.stiffness)
            self._factor = ready
        return self._factor

    def _lay_out_panels(self, ready: SparseLDL, owner: NDArray[np.int64]) -> None:
        """Gather columns in panels, cut their tree into blocks, find the block of every element."""
        count = np.diff(ready.l_pointer)
        first = panels.relaxed_supernodes(ready.parent, count, PER_PANEL, PER_ROW)
        panel, above, row_pointer, row, column = panels.panel_layout(
            first, ready.parent, ready.l_pointer, ready.l_row
        )
        self._shape = first, row_pointer, row, column
        block, top = panels.tree_blocks(above, np.diff(column[first]), LEAST_BLOCK, BLOCK_RATIO)
        blocks = top.size
        up = np.full(blocks, blocks)
        inner = above[top] >= 0
        up[inner] = block[above[top[inner]]]
        panel_list = np.lexsort((-np.arange(panel[-1] + 1), block)).astype(np.int32)
        panel_pointer = _pointer(block, blocks)
        child = np.argsort(up, kind="stable").astype(np.int32)
        child_pointer = _pointer(up, blocks + 1)
        lowest = np.full(self.mesh.n_elements, self.pattern.n - 1, np.int64)
        np.minimum.at(lowest, owner, self._row_node)
        self._used = np.flatnonzero((np.diff(self._row_pointer) > 0) | (self.offset != 0))
        self._home = block[panel[lowest[self._used]]].astype(np.int64)
        free_sum = np.bincount(owner, self._row_value, self.mesh.n_elements)
        grounded = np.zeros(blocks, bool)
        grounded[self._home[np.abs(free_sum[self._used]) > 1e-12]] = True
        for b in np.flatnonzero(inner):  # children come first
            grounded[up[b]] |= grounded[b]
        self._factor_shape = first, panel, above, row_pointer, row, column
        self._blocks = block, panel_pointer, panel_list, top, child_pointer, child, grounded

    def _panels(self, ready: SparseLDL) -> Array:
        """Return the values of the factor in panels."""
        return np.asarray(panels.fill_panels(*self._shape, ready.l_pointer, ready.l_row, ready.l_value))

    def _classes(self, slack: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """Sort the elements by block and by their k / strength; return (element numbers, class pointer, ceilings)."""
        size = slack[self._used]
        acting = size[size > 0]
        low, high = (acting.min(), acting.max()) if acting.size else (1.0, 1.0)
        ceiling = np.geomspace(low, high, CLASSES + 1)[1:]
        ceiling[-1] = high
        key = self._home * CLASSES + np.minimum(np.searchsorted(ceiling, size), CLASSES - 1)
        return (
            self._used[np.argsort(key, kind="stable")].astype(np.int32),
            _pointer(key, self._blocks[3].size * CLASSES), ceiling,
        )

    def _load_row(self, ready: SparseLDL, left: Array) -> tuple[Array, float]:
        """Return the load row of the factor and its pivot: work of held displacements, or minus that of the load."""
        right = (self.load - nodal_force(self.mesh, left * self.offset))[self.pattern.free]
        y = ldl.forward_load(ready.l_pointer, ready.l_row, ready.l_value, ready.d, right[ready.order])
        if self.control == "force":
            return y, -float(ready.d @ y**2)
        u = self.values.copy()
        u[self.pattern.free] = ready._apply(right)
        return y, float((left * elongation(self.mesh, u)) @ self.offset)

    def run(self, strength: Array, max_breaks: int | None = None) -> FractureRun:
        """Break the structure with the given strengths (n_elements,), to separation or ``max_breaks``."""
        mesh = self.mesh
        limit = mesh.n_elements if max_breaks is None else min(int(max_breaks), mesh.n_elements)
        if self.pattern.n <= 1 and self._independent():
            return self._bundle(strength, limit)
        ready = self._ready()
        value, d, y = self._value.copy(), self._d.copy(), self._y.copy()
        u, corner = np.zeros(self.pattern.n + 1), np.array([self._corner])
        name, class_pointer, ceiling = self._classes(self.stiffness / strength)
        k = self.stiffness[name]
        slack, tail, tip, offset = k / strength[name], self._tail[name], self._tip[name], self.offset[name]
        known, highest = np.zeros(self._shape[2].size), np.zeros((self._blocks[3].size, CLASSES))
        stale = np.ones(highest.shape[0], bool)
        sequence, factor, energy = np.empty(limit, np.int64), np.empty(limit), np.empty(limit)
        least = 1e-7 * self._corner if self.control == "displacement" else -1.0
        done, separated = 0, False
        while done < limit:
            count, status = kernels.break_elements(
                *self._factor_shape, value, d, y, u, corner, tail, tip, k, slack, offset,
                self._row_pointer, self._row_node, self._row_value, self._bars, least,
                *self._blocks, class_pointer, name, ceiling, known, highest, stale,
                sequence[done:], factor[done:], energy[done:], min(CHUNK, limit - done),
            )
            done += count
            if status == 1:
                break
            if status in (2, 4):
                left = self._whole(name, k)
                if status == 2:
                    left[sequence[done - 1]] = 0.0
                separated = self._separated(left) if self._bars else True
                if separated:
                    break
                # a thin tie is left: factor what is whole afresh
                ready.refactor(self.pattern.values(left))
                k[:], value[:], d[:] = left[name], self._panels(ready), ready.d
                slack[:] = k / strength[name]
                y, corner[0] = self._load_row(ready, left)
                least = 1e-7 * corner[0] if self.control == "displacement" else -1.0
                stale[:] = True
        residual = self._residual(ready, value, y, self._whole(name, k))
        return FractureRun(sequence[:done].copy(), factor[:done].copy(), energy[:done].copy(), separated, residual)

    def _whole(self, name: NDArray[np.int64], k: Array) -> Array:
        """Return the stiffness of what is whole, by element number, from the block order."""
        left = np.zeros(self.mesh.n_elements)
        left[name] = k
        return left

    def _residual(self, ready: SparseLDL, value: Array, y: Array, left: Array) -> float:
        """Return ``|f - K u| / |f|`` of the last state, from the factor as it was downdated."""
        u = self.values.copy()
        u[self.pattern.free[ready.order]] = kernels.back_substitute(*self._shape, value, y)
        right = (self.load - nodal_force(self.mesh, left * self.offset))[self.pattern.free]
        rest = (self.load - nodal_force(self.mesh, left * elongation(self.mesh, u)))[self.pattern.free]
        size = float(np.linalg.norm(right))
        return float(np.linalg.norm(rest)) / size if size else float(np.linalg.norm(rest))

    def _separated(self, left: Array) -> bool:
        """Whether no part ties a load to a support, or two held nodes of different displacement together."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        mesh = self.mesh
        whole = np.flatnonzero((left > 0) & (np.diff(mesh.indptr) == 2))
        ends = mesh.indices[mesh.indptr[whole][:, None] + np.arange(2)]
        graph = csr_array((np.ones(whole.size), (ends[:, 0], ends[:, 1])), shape=(mesh.n_nodes, mesh.n_nodes))
        count, part = connected_components(graph, directed=False)
        single = np.flatnonzero((left > 0) & (np.diff(mesh.indptr) == 1))
        if self.control == "force":
            grounded = np.zeros(count, bool)
            grounded[part[self.held]] = True
            grounded[part[mesh.indices[mesh.indptr[single]]]] = True
            return bool((~grounded[part[self.load != 0]]).any())
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        node = np.concatenate([self.held, mesh.indices[mesh.indptr[single]]])
        value = np.concatenate([self.values[self.held], np.zeros(single.size)])
        np.minimum.at(low, part[node], value)
        np.maximum.at(high, part[node], value)
        return not bool((high > low).any())

    def _independent(self) -> bool:
        """Whether the structure is a bundle of parallel elements under one load, or of elements between held nodes."""
        if self.pattern.n == 0:
            return True
        return self.control == "force" and self.mesh.two_node_bars

    def _bundle(self, strength: Array, limit: int) -> FractureRun:
        """Break parallel elements: they go in the order of strength over elongation."""
        k = self.stiffness
        if self.pattern.n:
            active = (self.pattern.number[self.mesh.indices] >= 0).astype(float)
            active = np.bincount(np.repeat(np.arange(k.size), np.diff(self.mesh.indptr)), active, k.size)
            stretch, size = active, float(abs(self.right[0]))
        else:
            stretch, size = np.abs(self.offset), 1.0
        used = np.flatnonzero((stretch > 0) & np.isfinite(strength))
        limit_elongation = strength[used] / (k[used] * stretch[used])
        order = np.argsort(limit_elongation, kind="stable")
        carried = k * stretch**2
        forever = float(carried.sum() - carried[used].sum()) if used.size < np.count_nonzero(stretch) else 0.0
        left = (forever + np.cumsum(carried[used][order][::-1])[::-1])[:limit]  # summed from the end: no cancellation
        order = order[:limit]
        sequence = used[order]
        separated = sequence.size == np.count_nonzero(stretch)
        if self.pattern.n:
            return FractureRun(sequence, limit_elongation[order] * left / size, size**2 / left, separated, 0.0)
        return FractureRun(sequence, limit_elongation[order], left, separated, 0.0)


def _pointer(key: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return where the entries of each key begin when they are sorted, (size + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(key, minlength=size))])


def _order(matrix: Symmetric) -> NDArray[np.int64] | None:
    """Return minimum degree, or a nested dissection where its paths are shorter; None if the factor is out of reach."""
    degree, fill, _, possible = minimum_degree(matrix.indptr, matrix.indices, LARGEST_FACTOR)
    if not possible:
        return None
    if matrix.n < SPREAD or fill < LIGHT * matrix.n:
        return np.asarray(degree)
    if depth_from(matrix.indptr, matrix.indices, 0) < matrix.n ** (1 / 3):
        return np.asarray(degree)
    dissection, begin, end = nested_dissection(matrix.indptr, matrix.indices, LEAF)
    order_parts(matrix.indptr, matrix.indices, dissection, begin, end)
    return np.asarray(min(degree, dissection, key=lambda order: _path(matrix, order)))


def _path(matrix: Symmetric, order: NDArray[np.int64]) -> float:
    """Return the mean number of entries of the factor on the way from a column to the root."""
    parent = ldl.elimination_tree(matrix.indptr, matrix.indices, order)
    upper = ldl.permuted_upper(matrix.indptr, matrix.indices, order)
    return float(panels.mean_path(parent, ldl.column_counts(upper[0], upper[1], parent)))
