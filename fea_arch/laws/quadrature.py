"""Stored energy of a law by Gauss quadrature of its force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fea_arch.laws.base import Array

__all__ = ["work_of"]

_PANELS, _POINTS = 8, 12


def work_of(force: Callable[[Array], Array], elongation: Array) -> Array:
    """Return ``integral_0^e g(e') de'`` by composite Gauss-Legendre quadrature, (n,) float64."""
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    e = np.asarray(elongation, float)
    total = np.zeros(e.shape)
    edges = np.linspace(0.0, 1.0, _PANELS + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        for x, w in zip(points, weights):
            s = low + (high - low) * 0.5 * (x + 1.0)
            total += 0.5 * (high - low) * w * force(s * e) * e
    return total
