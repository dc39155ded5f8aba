"""Elastic-plastic element with linear kinematic hardening: the server that yields at its capacity and keeps carrying.

Return mapping in one dimension (Simo & Hughes, Computational Inelasticity, section 1.4): with plastic elongation
``e_p`` and back force ``H e_p`` the trial force ``k (e - e_p)`` is brought back to the yield surface
``|q - H e_p| = q_y``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.laws.base import Array
from fea_arch.laws.columns import columns

__all__ = ["ElasticPlastic"]


@dataclass(frozen=True, slots=True, init=False)
class ElasticPlastic:
    """A block of elastic-plastic elements.

    Parameters
    ----------
    stiffness : (n,) float64
        Elastic stiffness ``k``, positive.
    yield_force : (n,) float64
        Force ``q_y`` at which plastic flow starts, positive.
    hardening : (n,) float64
        Plastic modulus ``H``; 0 is perfect plasticity. The tangent when yielding is ``k H / (k + H)``.
    plastic : (n,) float64
        Committed plastic elongation.
    dissipated : (n,) float64
        Committed plastic work ``integral q_y |de_p|``.

    Raises
    ------
    ModelError
        For a parameter that is not a positive (``hardening``: non-negative) number.

    Examples
    --------
    >>> law = ElasticPlastic(2.0, 1.0)
    >>> law.force(np.array([3.0])), law.committed(np.array([3.0])).force(np.array([2.75]))
    (array([1.]), array([0.5]))
    """

    k: Array
    qy: Array
    hardening: Array
    plastic: Array
    work: Array
    name: str = field(default="elastic_plastic")

    def __init__(
        self,
        stiffness: ArrayLike,
        yield_force: ArrayLike,
        hardening: ArrayLike = 0.0,
        plastic: ArrayLike = 0.0,
        dissipated: ArrayLike = 0.0,
    ) -> None:
        k, qy, hard, ep, work = columns(
            "elastic_plastic",
            stiffness=(stiffness, "positive"),
            yield_force=(yield_force, "positive"),
            hardening=(hardening, "non-negative"),
            plastic=(plastic, "finite"),
            dissipated=(dissipated, "non-negative"),
        )
        for key, value in (("k", k), ("qy", qy), ("hardening", hard), ("plastic", ep), ("work", work)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "name", "elastic_plastic")

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.k.size)

    def take(self, index: NDArray[np.int64]) -> ElasticPlastic:
        """Return the law of a subset, ``index`` (k,) int64."""
        return ElasticPlastic(
            self.k[index], self.qy[index], self.hardening[index], self.plastic[index], self.work[index]
        )

    def _flow(self, elongation: Array) -> Array:
        """Return the plastic increment from the committed state, (n,) float64."""
        drive = self.k * (elongation - self.plastic) - self.hardening * self.plastic
        return np.sign(drive) * np.maximum(np.abs(drive) - self.qy, 0.0) / (self.k + self.hardening)

    def force(self, elongation: Array) -> Array:
        """Return the force after return mapping, (n,) float64."""
        return self.k * (elongation - self.plastic - self._flow(elongation))

    def tangent(self, elongation: Array) -> Array:
        """Return ``k`` inside the yield surface, ``k H / (k + H)`` on it, (n,) float64."""
        flows = self._flow(elongation) != 0.0
        return np.where(flows, self.k * self.hardening / (self.k + self.hardening), self.k)

    def elongation(self, force: Array) -> Array:
        """Return the elongation on the rising branch, ``inf`` at or beyond the capacity, (n,) float64."""
        back = self.hardening * self.plastic
        excess = np.maximum(np.abs(force - back) - self.qy, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            flow = np.where(excess > 0.0, np.sign(force - back) * excess / self.hardening, 0.0)
        out = force / self.k + self.plastic + flow
        return np.where(np.abs(force) >= self.capacity(), np.copysign(np.inf, force), out)

    def energy(self, elongation: Array) -> Array:
        """Return ``integral_0^e g`` from the committed state, (n,) float64."""
        return self._work(elongation) - self._work(np.zeros_like(elongation))

    def _work(self, elongation: Array) -> Array:
        back = self.hardening * self.plastic
        side = np.where(self.k * (elongation - self.plastic) >= back, 1.0, -1.0)
        knee_force = back + side * self.qy
        knee = self.plastic + knee_force / self.k
        beyond = np.maximum(side * (elongation - knee), 0.0) * side
        elastic = np.where(beyond != 0.0, knee, elongation) - self.plastic
        slope = self.k * self.hardening / (self.k + self.hardening)
        return np.asarray(0.5 * self.k * elastic**2 + knee_force * beyond + 0.5 * slope * beyond**2)

    def capacity(self) -> Array:
        """Return ``q_y`` for perfect plasticity, infinity with hardening, (n,) float64."""
        return np.where(self.hardening > 0.0, np.inf, self.qy)

    def stiffness(self) -> Array:
        """Return ``k``, (n,) float64."""
        return self.k

    def committed(self, elongation: Array) -> ElasticPlastic:
        """Return the law after a converged state ``e`` (n,) float64."""
        flow = self._flow(elongation)
        work = self.work + self.qy * np.abs(flow)
        return ElasticPlastic(self.k, self.qy, self.hardening, self.plastic + flow, work)

    def dissipated(self) -> Array:
        """Return the plastic work of the committed state, (n,) float64."""
        return self.work
