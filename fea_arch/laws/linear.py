"""Linear spring ``q = k e``: the delay station (infinite servers) and the ordinary bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.laws.base import Array

__all__ = ["Linear"]


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear spring block.

    Parameters
    ----------
    stiffness_ : (n,) float64
        Stiffness of each element [force per elongation; 1/s for a delay station, ``1/S``].
    """

    stiffness_: Array
    name: str = "linear"

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.stiffness_.size)

    def take(self, index: NDArray[np.int64]) -> Linear:
        """Return the law of a subset, ``index`` (k,) int64."""
        return Linear(self.stiffness_[index])

    def force(self, elongation: Array) -> Array:
        """Return ``k e``, (n,) float64."""
        return self.stiffness_ * elongation

    def tangent(self, elongation: Array) -> Array:
        """Return ``k``, (n,) float64."""
        return np.broadcast_to(self.stiffness_, np.shape(elongation)).copy()

    def elongation(self, force: Array) -> Array:
        """Return ``q / k``, (n,) float64."""
        return force / self.stiffness_

    def energy(self, elongation: Array) -> Array:
        """Return ``k e^2 / 2``, (n,) float64."""
        return 0.5 * self.stiffness_ * elongation**2

    def capacity(self) -> Array:
        """Return infinity: a linear spring never yields, (n,) float64."""
        return np.full(self.stiffness_.shape, np.inf)

    def stiffness(self) -> Array:
        """Return ``k``, (n,) float64."""
        return self.stiffness_
