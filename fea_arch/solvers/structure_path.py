"""The equilibrium curve ``A^T g(A u) = Lambda f`` of a structure, with memory, kinks of the laws and controls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.laws.base import Array
from fea_arch.laws.history import HistoryLaw
from fea_arch.solvers.path_following import Curve
from fea_arch.solvers.structure import Structure

__all__ = ["EquilibriumCurve"]


class EquilibriumCurve(Curve):
    """Residual ``p(u) - Lambda f`` on the free nodes, with the committed state of the laws.

    Parameters
    ----------
    structure : Structure
        Elements, laws and free nodes.
    load : (n_nodes,) float64
        Load at ``Lambda = 1``.
    control : {"arc_length", "load", "displacement", "dissipation"}
        What each step prescribes.
    node : int
        Free row whose displacement is prescribed under displacement control.
    """

    def __init__(self, structure: Structure, load: Array, control: str, node: int = -1) -> None:
        self.structure, self.kind, self.node = structure, control, node
        self.load = load[structure.free]
        self.full = np.zeros(structure.mesh.n_nodes)
        self.work, self.lost = [0.0], [structure.dissipated()]
        self.forces: list[Array] = []
        self.last: Array | None = None
        super().__init__(self._residual, self._jacobian)

    def spread(self, u: Array) -> Array:
        """Return the displacement of all nodes, zero at supports."""
        out = self.full.copy()
        out[self.structure.free] = u
        return out

    def _residual(self, u: Array, factor: float) -> Array:
        return np.asarray(self.structure.internal(self.spread(u))[self.structure.free] - factor * self.load)

    def _jacobian(self, u: Array, factor: float) -> tuple[Any, Array]:
        return self.structure.tangent(self.spread(u)), -self.load

    def scale(self, u: Array, parameter: float) -> float:
        """Return the largest nodal force, or the load where that vanishes."""
        q = np.abs(self.structure.mesh.force(self.structure.A @ self.spread(u))).max(initial=0.0)
        return max(float(q), abs(parameter) * float(np.abs(self.load).max()), 1e-3 * float(np.abs(self.load).max()))

    def _active(self, elongation: Array) -> NDArray[np.bool_]:
        """Return which elements dissipate on the way from the committed state to an elongation."""
        out = np.zeros(elongation.size, bool)
        for block in self.structure.mesh.blocks:
            if isinstance(block.law, HistoryLaw):
                before = block.law.dissipated()
                after = block.law.committed(elongation[block.elements]).dissipated()
                out[block.elements] = after > before + 1e-15 * (1.0 + np.abs(before))
        return out

    def beyond(self, u: Array, direction: Array) -> Array:
        """Return the state just past a kink that ``u`` sits on."""
        if not self.structure.has_history:
            return u
        size = max(float(np.abs(u).max(initial=0.0)), 1e-300)
        reach = max(float(np.abs(direction).max(initial=0.0)), 1e-300)
        return np.asarray(u + 1e-8 * size / reach * direction)

    def forward(self, u: Array, direction: Array) -> float:
        """Return the dissipation per step: laws with memory tell forward from back."""
        if not self.structure.has_history:
            return 0.0
        elongation, rate = self.structure.A @ self.spread(u), self.structure.A @ self.spread(direction)
        active = self._active(elongation)
        if not active.any():
            return 0.0
        power = np.abs(self.structure.mesh.force(elongation)) * rate * np.sign(elongation)
        value = float(power[active].sum())
        return value if abs(value) > 1e-14 * float(np.abs(power).max(initial=0.0)) else float(rate[active].sum())

    def kink(self, u: Array, direction: Array, step: float) -> float:
        """Return the step to the first element that starts to dissipate, by linear prediction."""
        if not self.structure.has_history:
            return step
        elongation, rate = self.structure.A @ self.spread(u), self.structure.A @ self.spread(direction)
        now = self._active(self.structure.A @ self.spread(self.beyond(u, direction)))

        def starts(s: float) -> bool:
            return bool(np.any(self._active(elongation + s * rate) & ~now))

        if not starts(step):
            return step
        low, high = 0.0, step
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if starts(middle) else (middle, high)
        return high if high > 1e-9 * step else step

    def control(self, u: Array, tangent: Array) -> Array | None:
        """Return the plane of the corrector for the chosen control."""
        plane = np.zeros(tangent.size)
        if self.kind == "load":
            plane[-1] = 1.0
            return plane if tangent[-1] > 0.0 else np.zeros_like(plane)
        if self.kind == "displacement":
            plane[self.node] = 1.0
            first = self.sense * tangent[self.node]
            return plane if first > 0.0 else np.zeros_like(plane)
        if self.kind == "dissipation" and self.structure.has_history:
            elongation = self.structure.A @ self.spread(self.beyond(u, tangent[:-1]))
            active = self._active(elongation)
            if active.any():
                weight = np.where(active, np.sign(elongation), 0.0)
                plane[:-1] = (self.structure.At @ weight)[self.structure.free]
                return plane
        return None

    sense: float = 1.0

    def stretch(self, tangent: Array) -> float:
        """Return the arc length per load factor under load control: equal steps of the load."""
        return float(np.sqrt(0.5) / tangent[-1]) if self.kind == "load" and tangent[-1] > 1e-9 else 1.0

    def watched(self, tangent: Array) -> Array:
        """Return the rates of the load factor and of the displacement along the load."""
        return np.array([tangent[-1], float(self.load @ tangent[:-1])])

    def accept(self, u: Array, parameter: float) -> None:
        """Commit the state; add up work and dissipation in closed form from the laws."""
        displacement = self.spread(u)
        elongation = self.structure.A @ displacement
        mesh = self.structure.mesh
        before = np.zeros_like(elongation) if self.last is None else self.last
        self.work.append(self.work[-1] + float((mesh.energy(elongation) - mesh.energy(before)).sum()))
        self.forces.append(mesh.force(elongation))
        self.last = elongation
        self.structure.commit(displacement)
        self.lost.append(self.structure.dissipated())
