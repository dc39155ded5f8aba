"""The assembled system at an operating point: stiffness, mass, damping and load on the free nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.architecture.rendering import HtmlText
from fea_arch.assembly.pattern import Index, Pattern
from fea_arch.errors import ModelError
from fea_arch.laws.base import Array
from fea_arch.meshing.mesh import Mesh

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["System", "assemble"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class System(HtmlText):
    """``M u'' + C u' + K u = f`` on the free nodes.

    Parameters
    ----------
    K, M, C : csr_array (n_free, n_free)
        Tangent stiffness ``A^T G A``, lumped mass, damping ``A^T diag(c) A``.
    f : (n_free,) float64
        Load times the load factor.
    free : (n_free,) int64
        Node number of each row.
    pattern : Pattern
        For refilling ``K`` with other tangent moduli.
    """

    K: csr_array
    M: csr_array
    C: csr_array
    f: Array
    free: Index
    pattern: Pattern

    def __repr__(self) -> str:
        return (
            f"<System of {self.free.size} free nodes: K with {self.K.nnz} entries>\n"
            f"  trace K {self.K.trace():.6g}, trace M {self.M.trace():.6g}, trace C {self.C.trace():.6g}, "
            f"sum of f {self.f.sum():.6g}"
        )


def assemble(
    mesh: Mesh, load_factor: float = 0.0, tangent: ArrayLike | None = None, f: ArrayLike | None = None
) -> System:
    """Assemble the system of a mesh at an operating point.

    ``K = A^T G A`` with ``G = diag(dq/dN)``; ``M`` is lumped at the nodes; ``C = A^T diag(c) A``.

    Parameters
    ----------
    mesh : Mesh
        The structure.
    load_factor : float
        Multiple of ``f`` that acts [1].
    tangent : (n_elements,) float, optional
        Tangent moduli ``dq/de`` at the operating point. Default: the zero-load stiffness.
    f : (n_nodes,) float, optional
        Nodal load at load factor one. Default: none.

    Raises
    ------
    ModelError
        For a tangent, load factor or load that is not finite or has the wrong length.

    Examples
    --------
    >>> system = assemble(Mesh.from_bars(3, [(0, 1), (1, 2)], [2.0, 3.0], mass=1.0))
    >>> system.K.toarray().tolist(), system.M.diagonal().tolist()
    ([[5.0, -3.0], [-3.0, 3.0]], [1.0, 1.0])
    """
    from scipy.sparse import csr_array, diags_array

    if not np.isfinite(load_factor):
        raise ModelError(f"load_factor is {load_factor}, not a finite number", field="load_factor")
    moduli = mesh.stiffness() if tangent is None else np.asarray(tangent, np.float64)
    if moduli.shape != (mesh.n_elements,):
        raise ModelError(f"needs {mesh.n_elements} tangent moduli, got shape {moduli.shape}", field="tangent")
    wrong = np.flatnonzero(~np.isfinite(moduli))
    if wrong.size:
        raise ModelError(
            f"the tangent of element {mesh.element_name(int(wrong[0]))} is {moduli[wrong[0]]}", field="tangent",
            fix="give finite tangent moduli, or mesh rigid elements with a large finite stiffness",
        )
    load = np.zeros(mesh.n_nodes) if f is None else np.asarray(f, np.float64)
    if load.shape != (mesh.n_nodes,) or not np.all(np.isfinite(load)):
        raise ModelError(f"needs {mesh.n_nodes} finite nodal loads, got shape {load.shape}", field="f")
    pattern = Pattern.of(mesh)
    right = load_factor * load[pattern.free]
    right.setflags(write=False)
    mass = csr_array(diags_array(mesh.mass[pattern.free], format="csr"))
    damping = pattern.refill(mesh.damping)
    return System(pattern.refill(moduli), mass, damping, right, pattern.free, pattern)
