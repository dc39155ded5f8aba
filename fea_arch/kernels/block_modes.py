"""Products of a sparse symmetric matrix, its incomplete factor and small dense matrices with a block of vectors.

A block (n, c) is row-major: each matrix entry is read once for all its vectors, and the loop over them is the inner
one. The factor is that of :mod:`fea_arch.kernels.pcg`, with everything in its order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["combine", "inner", "multiply", "precondition", "residuals", "shifted_pivots"]


@kernel(work=lambda pointer, column, value, diagonal, x: 4.0 * column.size * x.shape[1])
def multiply(pointer: Any, column: Any, value: Any, diagonal: Any, x: Any) -> Any:
    """Return the product of a symmetric matrix with a block ``x`` (n, c), (n, c) float64.

    The matrix is its diagonal (n,) and its strict upper half by rows: each entry serves both of its places.
    """
    n, many = x.shape
    out = np.empty((n, many), np.float64)
    for i in range(n):
        d = diagonal[i]
        for c in range(many):
            out[i, c] = d * x[i, c]
    for i in range(n):
        for p in range(pointer[i], pointer[i + 1]):
            v = value[p]
            j = column[p]
            for c in range(many):
                out[i, c] += v * x[j, c]
                out[j, c] += v * x[i, c]
    return out


@kernel(work=lambda pointer, column, *rest: 8.0 * column.size + 8.0 * pointer.size)
def shifted_pivots(pointer: Any, column: Any, value: Any, diagonal: Any, least: float) -> Any:
    """Return (scaled values, scale) of the incomplete factor, whose pivots may be negative: their size counts.

    ``value`` and ``diagonal`` are those of ``K - sigma M``; a pivot below ``least`` times the diagonal of the row is
    raised to that size, so that the preconditioner stays positive definite.
    """
    n = diagonal.size
    e = diagonal.copy()
    for i in range(n):
        floor = least * abs(diagonal[i])
        if abs(e[i]) < floor:
            e[i] = floor
        if e[i] == 0.0:
            e[i] = 1.0
        for p in range(pointer[i], pointer[i + 1]):
            v = value[p]
            e[column[p]] -= v * v / e[i]
        e[i] = abs(e[i])
    scale = np.empty(n, np.float64)
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(e[i])
    scaled = np.empty(value.size, np.float64)
    for i in range(n):
        for p in range(pointer[i], pointer[i + 1]):
            scaled[p] = value[p] * scale[i] * scale[column[p]]
    return scaled, scale


@kernel(work=lambda pointer, column, value, scale, x: 4.0 * column.size * x.shape[1])
def precondition(pointer: Any, column: Any, value: Any, scale: Any, x: Any) -> Any:
    """Return ``E^-1/2 (I + U)^-1 (I + U^T)^-1 E^-1/2 x`` for a block ``x`` (n, c), (n, c) float64."""
    n, many = x.shape
    out = np.empty((n, many), np.float64)
    for k in range(n):
        s = scale[k]
        for c in range(many):
            out[k, c] = x[k, c] * s
    for k in range(n):
        for p in range(pointer[k], pointer[k + 1]):
            v = value[p]
            j = column[p]
            for c in range(many):
                out[j, c] -= v * out[k, c]
    for k in range(n - 1, -1, -1):
        for p in range(pointer[k], pointer[k + 1]):
            v = value[p]
            j = column[p]
            for c in range(many):
                out[k, c] -= v * out[j, c]
    for k in range(n):
        s = scale[k]
        for c in range(many):
            out[k, c] *= s
    return out


@kernel(work=lambda x, kx, mass: 8.0 * x.size)
def residuals(x: Any, kx: Any, mass: Any) -> Any:
    """Return (Rayleigh quotients, residual block, relative residuals) of the columns of ``x`` (n, c).

    The residual is ``K x - lambda M x``, its size relative to ``|K x| + lambda |M x|``.
    """
    n, many = x.shape
    value = np.zeros(many, np.float64)
    weight = np.zeros(many, np.float64)
    for i in range(n):
        m = mass[i]
        for c in range(many):
            value[c] += x[i, c] * kx[i, c]
            weight[c] += m * x[i, c] * x[i, c]
    for c in range(many):
        value[c] /= weight[c]
    out = np.empty((n, many), np.float64)
    gap = np.zeros(many, np.float64)
    elastic = np.zeros(many, np.float64)
    inertia = np.zeros(many, np.float64)
    for i in range(n):
        m = mass[i]
        for c in range(many):
            mx = m * x[i, c]
            k = kx[i, c]
            r = k - value[c] * mx
            out[i, c] = r
            gap[c] += r * r
            elastic[c] += k * k
            inertia[c] += mx * mx
    for c in range(many):
        gap[c] = np.sqrt(gap[c]) / max(np.sqrt(elastic[c]) + abs(value[c]) * np.sqrt(inertia[c]), 1e-300)
    return value, out, gap


@kernel(work=lambda s, t: 2.0 * s.size * t.shape[1])
def inner(s: Any, t: Any) -> Any:
    """Return ``s^T t`` of two blocks (n, a) and (n, c), (a, c) float64."""
    n, rows = s.shape
    many = t.shape[1]
    out = np.zeros((rows, many), np.float64)
    whole = n - n % 4
    for r in range(0, whole, 4):  # four rows a pass: the small result is loaded and stored a quarter as often
        for i in range(rows):
            s0 = s[r, i]
            s1 = s[r + 1, i]
            s2 = s[r + 2, i]
            s3 = s[r + 3, i]
            for c in range(many):
                out[i, c] += (s0 * t[r, c] + s1 * t[r + 1, c]) + (s2 * t[r + 2, c] + s3 * t[r + 3, c])
    for r in range(whole, n):
        for i in range(rows):
            for c in range(many):
                out[i, c] += s[r, i] * t[r, c]
    return out


@kernel(work=lambda s, small, out: 2.0 * s.size * small.shape[1])
def combine(s: Any, small: Any, out: Any) -> None:
    """Add ``s @ small`` to ``out``: blocks (n, a) and (n, c), small matrix (a, c)."""
    n, rows = s.shape
    many = small.shape[1]
    whole = rows - rows % 4
    for r in range(n):
        for i in range(0, whole, 4):
            s0 = s[r, i]
            s1 = s[r, i + 1]
            s2 = s[r, i + 2]
            s3 = s[r, i + 3]
            for c in range(many):
                out[r, c] += (s0 * small[i, c] + s1 * small[i + 1, c]) + (s2 * small[i + 2, c] + s3 * small[i + 3, c])
        for i in range(whole, rows):
            for c in range(many):
                out[r, c] += s[r, i] * small[i, c]
