"""String: stiff in tension beyond its slack, without force before (unilateral contact)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.laws.base import Array
from fea_arch.laws.columns import columns

__all__ = ["TensionOnly"]


@dataclass(frozen=True, slots=True, init=False)
class TensionOnly:
    """A block of strings ``q = k max(e - slack, 0)``.

    Parameters
    ----------
    stiffness : (n,) float64
        Stiffness ``k`` when taut, positive.
    slack : (n,) float64
        Elongation at which the string becomes taut, zero or more.

    Raises
    ------
    ModelError
        For a stiffness that is not positive or a slack that is negative.

    Examples
    --------
    >>> TensionOnly(2.0, slack=1.0).force(np.array([-1.0])), TensionOnly(2.0, slack=1.0).force(np.array([1.5]))
    (array([0.]), array([1.]))
    """

    k: Array
    slack: Array
    name: str = field(default="tension_only")

    def __init__(self, stiffness: ArrayLike, slack: ArrayLike = 0.0) -> None:
        k, gap = columns("tension_only", stiffness=(stiffness, "positive"), slack=(slack, "non-negative"))
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "slack", gap)
        object.__setattr__(self, "name", "tension_only")

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.k.size)

    def take(self, index: NDArray[np.int64]) -> TensionOnly:
        """Return the law of a subset, ``index`` (k,) int64."""
        return TensionOnly(self.k[index], self.slack[index])

    def force(self, elongation: Array) -> Array:
        """Return ``k max(e - slack, 0)``, (n,) float64."""
        return self.k * np.maximum(elongation - self.slack, 0.0)

    def tangent(self, elongation: Array) -> Array:
        """Return ``k`` when taut, 0 when slack, (n,) float64."""
        return np.where(elongation > self.slack, self.k, 0.0)

    def elongation(self, force: Array) -> Array:
        """Return ``slack + q / k``, (n,) float64; a force that is not positive leaves it at ``slack``."""
        return self.slack + np.maximum(force, 0.0) / self.k

    def energy(self, elongation: Array) -> Array:
        """Return ``k max(e - slack, 0)^2 / 2``, (n,) float64."""
        stretch = np.maximum(elongation - self.slack, 0.0)
        return 0.5 * self.k * stretch * stretch

    def capacity(self) -> Array:
        """Return infinity: a string of this law never breaks, (n,) float64."""
        return np.full(self.k.shape, np.inf)

    def stiffness(self) -> Array:
        """Return ``k`` when taut, (n,) float64: the stiffness a linear analysis starts from."""
        return self.k
