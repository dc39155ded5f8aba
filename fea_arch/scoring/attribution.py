"""Every lost point belongs to a component and a situation, and the parts sum to the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["attribute", "value_of"]

Array = NDArray[np.float64]


def attribute(share: float, weight: float, blame: Array, entries: Sequence[int]) -> Array:
    """Return the points lost by each component in one run, (n,) float64.

    Parameters
    ----------
    share : float
        Share of the requests answered within the objective [1].
    weight : float
        Share of the score [1].
    blame : (n,) float64
        Lost requests by component, in any unit.
    entries : sequence of int
        Where the load enters: they answer for a loss that nobody is blamed for.
    """
    lost = 100.0 * weight * max(1.0 - share, 0.0)
    points = np.maximum(np.nan_to_num(blame), 0.0)
    if lost <= 0.0:
        return np.zeros(points.size)
    total = float(points.sum())
    if total <= 0.0:
        points = np.zeros(points.size)
        points[list(entries)] = 1.0
        total = float(points.sum())
    return np.asarray(points * (lost / total))


def value_of(losses: Array) -> float:
    """Return ``100 - sum(losses)`` between 0 and 100 [points]."""
    return min(max(100.0 - math.fsum(losses.ravel().tolist()), 0.0), 100.0)
