"""The mesh: hand-off points (nodes), stations (elements), their incidence and their laws.

Row ``a_e`` of the incidence ``A`` (elements x nodes) has ``+1`` at the element's ingress node and ``-P_ej`` at the
ingress node of each dependency. A row ``[+1, -1]`` is an ordinary bar, other ratios make a lever and ``[+1]`` a
grounded spring. Columns of fixed (supported) nodes are kept; solvers leave them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.architecture.rendering import HtmlText
from fea_arch.errors import ModelError
from fea_arch.laws.base import Array, Law
from fea_arch.laws.linear import Linear

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Block", "Mesh"]

Index = NDArray[np.int64]


def _frozen(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    array = np.array(values, dtype=dtype, order="C")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True)
class Block:
    """Elements that share one law object.

    Parameters
    ----------
    elements : (k,) int64
        Element numbers; every element belongs to exactly one block.
    law : Law
        Their constitutive law, with parameters of length ``k``.
    """

    elements: Index
    law: Law


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mesh(HtmlText):
    """A meshed structure.

    Parameters
    ----------
    n_nodes : int
        Number of nodes, supports included.
    indptr, indices, data : (n_elements + 1,) int64, (nnz,) int64, (nnz,) float64
        Incidence ``A`` as CSR rows, one per element.
    blocks : tuple of Block
        Constitutive laws.
    mass : (n_nodes,) float64
        Lumped mass (warm-up time [s] for an architecture).
    damping : (n_elements,) float64
        Element dashpots; the assembled matrix is ``A^T diag(damping) A``.
    supports : (n_supports,) int64
        Fixed nodes, ``u = 0``.
    strength : (n_elements,) float64
        Force at which an element breaks; ``inf`` if never.
    element_names, node_names : tuple of str
        Names, or empty: then elements and nodes are named by number.
    element_component : (n_elements,) int64
        Component of each element (architectures), else -1.
    ingress : (n_elements,) int64
        Ingress node of each element (the ``+1`` of its row), -1 for a row without one.
    refine : int
        Delay elements per station (linear-chain refinement).
    """

    n_nodes: int
    indptr: Index
    indices: Index
    data: Array
    blocks: tuple[Block, ...]
    mass: Array
    damping: Array
    supports: Index
    strength: Array
    element_names: Sequence[str] = ()
    node_names: Sequence[str] = ()
    element_component: Index = field(default_factory=lambda: np.empty(0, np.int64))
    ingress: Index = field(default_factory=lambda: np.empty(0, np.int64))
    refine: int = 1
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        laws = ", ".join(f"{block.elements.size} {type(block.law).__name__}" for block in self.blocks[:6])
        finite = int(np.isfinite(self.strength).sum())
        return (
            f"<Mesh: {self.n_nodes} nodes, {self.n_elements} elements, {self.supports.size} supports>\n"
            f"  laws: {laws}{' ...' if len(self.blocks) > 6 else ''}\n"
            f"  mass {self.mass.sum():.4g}, {finite} elements can break"
        )

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return int(self.indptr.size - 1)

    @property
    def incidence(self) -> csr_array:
        """Incidence ``A`` as a scipy ``csr_array`` (n_elements, n_nodes)."""
        from scipy.sparse import csr_array

        return csr_array((self.data, self.indices, self.indptr), shape=(self.n_elements, self.n_nodes))

    @property
    def free(self) -> Index:
        """Node numbers that are not supported, (n_free,) int64."""
        mask = np.ones(self.n_nodes, bool)
        mask[self.supports] = False
        return np.flatnonzero(mask)

    @property
    def two_node_bars(self) -> bool:
        """Whether every row is ``[+1, -1]`` or ``[+1]``: an ordinary bar mesh."""
        length = np.diff(self.indptr)
        if length.size and length.max(initial=0) > 2:
            return False
        total = np.add.reduceat(np.append(self.data, 0.0), self.indptr[:-1]) if length.size else np.zeros(0)
        return bool(np.all(np.abs(self.data) == 1.0) and np.all(np.where(length == 2, total, 0.0) == 0.0))

    def element_name(self, element: int) -> str:
        """Return the name of an element, or its number as text."""
        return str(self.element_names[element]) if len(self.element_names) else str(int(element))

    def node_name(self, node: int) -> str:
        """Return the name of a node, or its number as text."""
        return str(self.node_names[node]) if len(self.node_names) else str(int(node))

    def force(self, elongation: Array) -> Array:
        """Return element forces ``q = g(e)``, (n_elements,) float64."""
        return self._gather("force", elongation)

    def tangent(self, elongation: Array) -> Array:
        """Return tangent moduli ``dq/de``, (n_elements,) float64."""
        return self._gather("tangent", elongation)

    def elongation(self, force: Array) -> Array:
        """Return elongations ``e = h(q)``, (n_elements,) float64."""
        return self._gather("elongation", force)

    def energy(self, elongation: Array) -> Array:
        """Return stored energy of each element, (n_elements,) float64."""
        return self._gather("energy", elongation)

    def stiffness(self) -> Array:
        """Return zero-load stiffness of each element, (n_elements,) float64."""
        return self._gather("stiffness")

    def capacity(self) -> Array:
        """Return capacity of each element, (n_elements,) float64."""
        return self._gather("capacity")

    def _gather(self, method: str, *inputs: Array) -> Array:
        out = np.empty(self.n_elements)
        for block in self.blocks:
            arguments = (np.asarray(values, float)[block.elements] for values in inputs)
            out[block.elements] = getattr(block.law, method)(*arguments)
        return out

    @classmethod
    def from_bars(
        cls,
        n_nodes: int,
        ends: ArrayLike,
        stiffness: ArrayLike,
        mass: ArrayLike | None = None,
        damping: ArrayLike | None = None,
        supports: Sequence[int] = (0,),
        strength: ArrayLike | None = None,
    ) -> Mesh:
        """Mesh a structure of two-node bars.

        Parameters
        ----------
        n_nodes : int
            Number of nodes.
        ends : (n_elements, 2) int
            Node numbers of each bar; the elongation is ``u[ends[:, 0]] - u[ends[:, 1]]``.
        stiffness : (n_elements,) float
            Positive axial stiffness.
        mass : (n_nodes,) float, optional
            Lumped nodal masses.
        damping : (n_elements,) float, optional
            Dashpot parallel to each bar.
        supports : sequence of int
            Fixed nodes.
        strength : (n_elements,) float, optional
            Absolute force at which a bar breaks.

        Raises
        ------
        ModelError
            Names the array, the element and the fix.
        """
        pairs = np.asarray(ends)
        if pairs.size == 0:
            pairs = np.empty((0, 2), np.int64)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
            raise ModelError("ends is not an (n_elements, 2) array of whole numbers", field="ends")
        n_elements = pairs.shape[0]
        outside = np.flatnonzero((pairs < 0).any(axis=1) | (pairs >= n_nodes).any(axis=1))
        if outside.size:
            raise ModelError(
                f"element {outside[0]} joins nodes {pairs[outside[0]].tolist()}, outside 0..{n_nodes - 1}", field="ends"
            )
        loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
        if loops.size:
            raise ModelError(f"element {loops[0]} joins node {pairs[loops[0], 0]} to itself", field="ends")
        modulus = _column("stiffness", stiffness, n_elements, positive=True)
        return cls(
            n_nodes=int(n_nodes),
            indptr=_frozen(np.arange(n_elements + 1) * 2, np.int64),
            indices=_frozen(pairs.reshape(-1), np.int64),
            data=_frozen(np.tile([1.0, -1.0], n_elements), np.float64),
            blocks=(Block(_frozen(np.arange(n_elements), np.int64), Linear(modulus)),),
            mass=_column("mass", 0.0 if mass is None else mass, n_nodes),
            damping=_column("damping", 0.0 if damping is None else damping, n_elements),
            supports=_supports(supports, n_nodes),
            strength=_column("strength", np.inf if strength is None else strength, n_elements, positive=True, inf=True),
            ingress=_frozen(pairs[:, 0], np.int64),
            element_component=_frozen(np.full(n_elements, -1), np.int64),
        )

    @classmethod
    def from_incidence(
        cls,
        A: Any,
        laws: Law | Sequence[tuple[Law, Sequence[int]]] | None = None,
        mass: ArrayLike | None = None,
        damping: ArrayLike | None = None,
        supports: Sequence[int] = (),
        strength: ArrayLike | None = None,
    ) -> Mesh:
        """Mesh a structure from general compatibility rows ``e = A u``.

        Parameters
        ----------
        A : array_like or sparse (n_elements, n_nodes)
            Compatibility matrix.
        laws : Law or sequence of (Law, element numbers), optional
            One law for all elements, or one per block of elements. Default: unit springs.
        mass, damping, supports, strength
            As in :meth:`from_bars`.

        Raises
        ------
        ModelError
            For a matrix that is not two-dimensional and finite, or laws that do not cover each element once.
        """
        from scipy.sparse import csr_array

        try:
            rows = csr_array(A, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(
                "A is not a numeric matrix", field="A", fix="pass an (n_elements, n_nodes) array"
            ) from error
        rows.sum_duplicates()
        rows.eliminate_zeros()
        if not np.all(np.isfinite(rows.data)):
            raise ModelError("A holds a value that is not finite", field="A")
        n_elements, n_nodes = rows.shape
        everything = np.arange(n_elements)
        if laws is None:
            laws = Linear(np.ones(n_elements))
        pairs = [(laws, everything)] if isinstance(laws, Law) else [(law, np.asarray(e, np.int64)) for law, e in laws]
        covered = np.concatenate([e for _, e in pairs]) if pairs else np.empty(0, np.int64)
        if not np.array_equal(np.sort(covered), everything):
            raise ModelError("laws do not cover every element exactly once", field="laws")
        for law, elements in pairs:
            if law.size() != len(elements):
                raise ModelError(
                    f"law {law.name!r} has {law.size()} parameters for {len(elements)} elements", field="laws"
                )
        ingress = np.full(n_elements, -1, np.int64)
        owner = np.repeat(everything, np.diff(rows.indptr))
        plus = np.flatnonzero(rows.data > 0)[::-1]
        ingress[owner[plus]] = rows.indices[plus]
        return cls(
            n_nodes=int(n_nodes),
            indptr=_frozen(rows.indptr, np.int64),
            indices=_frozen(rows.indices, np.int64),
            data=_frozen(rows.data, np.float64),
            blocks=tuple(Block(_frozen(e, np.int64), law) for law, e in pairs),
            mass=_column("mass", 0.0 if mass is None else mass, n_nodes),
            damping=_column("damping", 0.0 if damping is None else damping, n_elements),
            supports=_supports(supports, n_nodes),
            strength=_column("strength", np.inf if strength is None else strength, n_elements, positive=True, inf=True),
            ingress=_frozen(ingress, np.int64),
            element_component=_frozen(np.full(n_elements, -1), np.int64),
        )


def _supports(supports: Sequence[int], n_nodes: int) -> Index:
    fixed = np.unique(np.asarray(supports, np.int64).reshape(-1))
    if fixed.size and (fixed[0] < 0 or fixed[-1] >= n_nodes):
        raise ModelError(
            f"support {fixed[0] if fixed[0] < 0 else fixed[-1]} is outside 0..{n_nodes - 1}", field="supports"
        )
    return _frozen(fixed, np.int64)


def _column(name: str, values: ArrayLike, n: int, *, positive: bool = False, inf: bool = False) -> Array:
    try:
        column = np.broadcast_to(np.asarray(values, np.float64), (n,))
    except (TypeError, ValueError) as error:
        raise ModelError(f"needs {n} numbers", field=name, fix=f"pass one number or an array of length {n}") from error
    wrong = np.isnan(column) | (column <= 0 if positive else column < 0) | (np.isinf(column) & (not inf))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        kind = "positive" if positive else "non-negative"
        raise ModelError(f"entry {first} is {column[first]}, not a {kind} number", field=name)
    return _frozen(column, np.float64)
