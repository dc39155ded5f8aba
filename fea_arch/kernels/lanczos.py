"""Gram-Schmidt of one vector against a basis, as loops: two passes keep a Krylov basis orthogonal to rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.compile import kernel

__all__ = ["orthogonalise"]

Array = NDArray[np.float64]


@kernel(work=lambda basis, count, w, out: 4.0 * count * w.size, threshold=200_000.0)
def orthogonalise(basis: Array, count: int, w: Array, out: Array) -> float:
    """Remove from ``w`` (n,) its parts along the first ``count`` rows of ``basis`` (m, n), in place.

    ``out`` (m,) receives the coefficients. Returns the norm of what is left.
    """
    n = w.size
    out[:count] = 0.0
    chunk = 2048  # the piece of w stays in the first-level cache while all basis rows pass by
    part = np.zeros(count)
    for _ in range(2):
        part[:] = 0.0
        for start in range(0, n, chunk):
            end = min(start + chunk, n)
            for j in range(count):
                total = 0.0
                for i in range(start, end):
                    total += basis[j, i] * w[i]
                part[j] += total
        for start in range(0, n, chunk):
            end = min(start + chunk, n)
            for j in range(count):
                c = part[j]
                for i in range(start, end):
                    w[i] -= c * basis[j, i]
        for j in range(count):
            out[j] += part[j]
    square = 0.0
    for i in range(n):
        square += w[i] * w[i]
    return float(np.sqrt(square))
