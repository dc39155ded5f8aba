"""Slow reference of the Gram-Schmidt kernel."""

from __future__ import annotations

import numpy as np


def orthogonalise(basis, count, w):
    """Return (what is left of ``w``, its coefficients, its norm) by two passes of modified Gram-Schmidt."""
    left, parts = w.copy(), np.zeros(count)
    for _ in range(2):
        for j in range(count):
            c = float(np.dot(basis[j], left))
            left = left - c * basis[j]
            parts[j] += c
    return left, parts, float(np.linalg.norm(left))
