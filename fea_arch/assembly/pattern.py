"""The sparsity pattern of ``K = A^T G A``: found once, refilled many times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ModelError
from fea_arch.kernels import assembly as kernels
from fea_arch.laws.base import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from fea_arch.meshing.mesh import Mesh

__all__ = ["Pattern"]

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of ``K`` go; supported (fixed) nodes are eliminated.

    Built by :meth:`of`. The matrix is symmetric with sorted columns and a full diagonal.

    Parameters
    ----------
    free : (n_free,) int64
        Node number of each row.
    number : (n_nodes,) int64
        Row of each node, -1 for a fixed one.
    indptr, indices : (n_free + 1,) int32, (nnz,) int32
        CSR structure.
    diagonal : (n_free,) int64
        Place of each diagonal entry in the CSR data.

    Notes
    -----
    Elements are sorted once by (row, column) of the pair of nodes they join. In that order the strict upper half of
    ``K`` of a bar mesh is ``-k``, so that a refill only has to sum the diagonal.

    Examples
    --------
    >>> import numpy as np
    >>> from fea_arch.meshing import Mesh
    >>> pattern = Pattern.of(Mesh.from_bars(3, [(0, 1), (1, 2)], [2.0, 3.0]))
    >>> pattern.refill(np.array([2.0, 3.0])).toarray().tolist()
    [[5.0, -3.0], [-3.0, 3.0]]
    """

    n_elements: int
    free: Index
    number: Index
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    diagonal: Index
    _half: Any
    _own: Any
    _bars: Any

    @classmethod
    def of(cls, mesh: Mesh, fixed: ArrayLike | None = None) -> Pattern:
        """Find the pattern of a mesh.

        Parameters
        ----------
        mesh : Mesh
            The structure.
        fixed : (n_fixed,) int, optional
            Nodes to eliminate; the supports of the mesh unless given.
        """
        nodes = mesh.supports if fixed is None else np.asarray(fixed, np.int64)
        mask = np.ones(mesh.n_nodes, bool)
        mask[nodes] = False
        free = np.flatnonzero(mask)
        number = np.where(mask, np.cumsum(mask) - 1, -1)
        rows, nodes, values = (_borrowed(a) for a in (mesh.indptr, mesh.indices, mesh.data))
        lo, hi, bars = kernels.bar_pairs(rows, nodes, values, number)
        if bars:
            indptr, indices, diagonal, source, parallel = kernels.bar_pattern(lo, hi, free.size)
            if not parallel:
                ground = np.flatnonzero((hi < 0) & (lo >= 0))
                quick = (indptr, diagonal, source, ground, lo[ground])
                return cls(mesh.n_elements, free, number, indptr, indices, diagonal, (), None, quick)
        lo, hi, element, coefficient = kernels.row_pairs(rows, nodes, values, number)
        order, slot, pointer, column = kernels.sort_pairs(lo, hi, free.size)
        indptr, indices, diagonal, lower = kernels.csr_positions(pointer, column)
        row = np.repeat(np.arange(free.size), np.diff(pointer))
        upper = diagonal[row] + 1 + np.arange(column.size) - pointer[row]
        owner = np.repeat(np.arange(mesh.n_elements), np.diff(mesh.indptr))
        node = number[mesh.indices]
        kept = np.flatnonzero(node >= 0)
        half = (order, slot, element, coefficient, upper, lower, diagonal)
        own = (node[kept], owner[kept], np.square(mesh.data[kept]))
        return cls(mesh.n_elements, free, number, indptr, indices, diagonal, half, own, None)

    @property
    def n(self) -> int:
        """Number of free nodes: the order of ``K``."""
        return int(self.free.size)

    def values(self, moduli: ArrayLike, out: Array | None = None) -> Array:
        """Return the CSR data of ``A^T diag(moduli) A``, (nnz,) float64, into ``out`` if given.

        Raises
        ------
        ModelError
            If there is not one modulus an element.
        """
        g = np.ascontiguousarray(moduli, np.float64)
        if g.shape != (self.n_elements,):
            raise ModelError(f"needs {self.n_elements} moduli, got shape {g.shape}", field="G")
        g = _borrowed(g)
        data = np.empty(self.indices.size) if out is None else out
        if self._bars is not None:
            kernels.bar_values(*(*self._bars, g, data))
        else:
            assert self._own is not None
            kernels.general_values(*(*self._half, *self._own, g, data))
        return data

    @property
    def order(self) -> Index:
        """Elements in (row, column) order of the strict upper half of ``K``, grounded bars left out.

        In this order the strict upper half of a bar mesh is ``-moduli[order]``. Empty for general rows and for
        meshes with parallel bars, where several elements share an entry.
        """
        if self._bars is None:
            return np.empty(0, np.int64)
        return np.asarray(self._bars[2][self._above()], np.int64)

    def _above(self) -> NDArray[np.bool_]:
        row = np.repeat(np.arange(self.n), np.diff(self.indptr))
        return np.asarray(self.indices > row)

    @cached_property
    def _upper(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Row and column of each entry of the strict upper half: what :meth:`diagonal_values` reads."""
        row = np.repeat(np.arange(self.n, dtype=np.uint32), np.diff(self.indptr))
        above = self.indices > row
        return row[above], self.indices[above].astype(np.uint32)

    def diagonal_values(self, moduli: Array, ground: Array, out: Array | None = None) -> Array:
        """Return the diagonal of ``K``, (n_free,), from moduli that are already in :attr:`order`.

        This is the whole numeric assembly of a bar mesh: the strict upper half is ``-moduli`` as it stands.

        Parameters
        ----------
        moduli : (n_pairs,) float64
            Moduli of the bars between free nodes, in :attr:`order`.
        ground : (n_grounded,) float64
            Moduli of the grounded bars, in element order.

        Raises
        ------
        ModelError
            For a mesh whose upper half is not ``-k``.
        """
        if self._bars is None:
            raise ModelError("the mesh has general rows or parallel bars", field="mesh", fix="use refill")
        total = np.empty(self.n) if out is None else out
        kernels.bar_diagonal(*self._upper, moduli, self._bars[-1], ground, total)
        return total

    def refill(self, moduli: ArrayLike) -> csr_array:
        """Return ``K = A^T diag(moduli) A`` on the free nodes, CSR (n_free, n_free)."""
        from scipy.sparse import csr_array

        matrix = csr_array((self.values(moduli), self.indices, self.indptr), shape=(self.n, self.n))
        matrix.has_sorted_indices = matrix.has_canonical_format = True
        return matrix


class _Window:
    """A window on a read-only array that numba types like any other; kernels do not write to what they read."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.base = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _borrowed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same memory without the read-only mark: kernels are compiled once, for writable arrays."""
    return array if array.flags.writeable or not array.size else np.asarray(_Window(array))
