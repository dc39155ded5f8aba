"""Conjugate gradients with an incomplete factor that keeps the off-diagonals of the matrix.

The preconditioner is ``(E + U)^T E^-1 (E + U)`` with ``U`` the strict upper half of the permuted matrix and ``E`` its
own pivots: on a graph without triangles this is IC(0). Because it shares ``U`` with the matrix, one backward and one
forward sweep over ``U`` apply preconditioner and matrix together (Eisenstat, SIAM J. Sci. Stat. Comput. 2 (1981) 1).
Light nodes first: then most rows reach into the few heavy nodes at the end, which stay in cache, and little fill is
dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["iterate", "pivots", "recover", "residual", "scaled_upper", "transform"]


@kernel(work=lambda indptr, indices, data, order: 12.0 * indices.size)
def scaled_upper(indptr: Any, indices: Any, data: Any, order: Any) -> Any:
    """Return (pointer, column, value, diagonal) of the strict upper half of the permuted matrix, by rows."""
    n = order.size
    place = np.empty(n, np.int32)
    for k in range(n):
        place[order[k]] = k
    pointer = np.zeros(n + 1, np.int64)
    for k in range(n):
        node = order[k]
        count = 0
        for p in range(indptr[node], indptr[node + 1]):
            if place[indices[p]] > k:
                count += 1
        pointer[k + 1] = pointer[k] + count
    column = np.empty(pointer[n], np.int32)
    value = np.empty(pointer[n], np.float64)
    diagonal = np.zeros(n, np.float64)
    t = 0
    for k in range(n):
        node = order[k]
        for p in range(indptr[node], indptr[node + 1]):
            j = place[indices[p]]
            if j > k:
                column[t] = j
                value[t] = data[p]
                t += 1
            elif j == k:
                diagonal[k] = data[p]
    return pointer, column, value, diagonal


@kernel(work=lambda pointer, column, *rest: 8.0 * column.size + 8.0 * pointer.size)
def pivots(pointer: Any, column: Any, value: Any, diagonal: Any, relax: float) -> Any:
    """Return (scale, excess) and scale ``value`` in place so that the preconditioner's pivots are one.

    ``relax`` in [0, 1) is the share of the dropped fill that is moved to the pivots (0: IC(0) pivots; near 1: row sums
    are kept, which cuts the iterations on lattices). ``scale`` is ``E^-1/2``, ``excess`` the scaled diagonal minus two.
    """
    n = diagonal.size
    e = diagonal.copy()
    for i in range(n):
        if not e[i] > 1e-10 * diagonal[i]:
            e[i] = diagonal[i]
        total = 0.0
        for p in range(pointer[i], pointer[i + 1]):
            total += value[p]
        for p in range(pointer[i], pointer[i + 1]):
            v = value[p]
            e[column[p]] -= v * (v + relax * (total - v)) / e[i]
    scale = np.empty(n, np.float64)
    excess = np.empty(n, np.float64)
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(e[i])
        excess[i] = diagonal[i] / e[i] - 2.0
    for i in range(n):
        for p in range(pointer[i], pointer[i + 1]):
            value[p] *= scale[i] * scale[column[p]]
    return scale, excess


@kernel(work=lambda pointer, column, *rest: 6.0 * column.size + 10.0 * pointer.size)
def transform(pointer: Any, column: Any, value: Any, scale: Any, order: Any, right: Any) -> Any:
    """Return the right-hand side of the preconditioned system, ``(I + U^T)^-1 E^-1/2 right``."""
    n = order.size
    r = np.empty(n, np.float64)
    for k in range(n):
        r[k] = right[order[k]] * scale[k]
    for k in range(n):
        rk = r[k]
        if rk != 0.0:
            for p in range(pointer[k], pointer[k + 1]):
                r[column[p]] -= value[p] * rk
    return r


@kernel(work=lambda pointer, column, *rest: min(rest[8], 50) * (12.0 * column.size + 20.0 * pointer.size))
def iterate(
    pointer: Any, column: Any, value: Any, excess: Any,
    r: Any, z: Any, sum_z: Any, t: Any, w: Any, rr: float, steps: int, goal: float,
) -> Any:
    """Run up to ``steps`` iterations; return (iterations, squared residual norm).

    State, updated in place: residual ``r``, direction ``z`` (zero at the start), accumulated solution ``sum_z`` of the
    preconditioned unknown; ``t`` and ``w`` are scratch. ``rr`` is the squared norm of ``r``, a negative one means that
    the direction is to be restarted.
    """
    n = r.size
    beta = 0.0
    if rr < 0.0:
        rr = 0.0
        for i in range(n):
            rr += r[i] * r[i]
            z[i] = r[i]
    done = 0
    while done < steps and rr > goal:
        done += 1
        for i in range(n - 1, -1, -1):
            total = z[i]
            for p in range(pointer[i], pointer[i + 1]):
                total -= value[p] * t[column[p]]
            t[i] = total
            w[i] = z[i] + excess[i] * total
        curvature = 0.0
        for i in range(n):
            wi = w[i]
            for p in range(pointer[i], pointer[i + 1]):
                w[column[p]] -= value[p] * wi
            wi += t[i]
            w[i] = wi
            curvature += z[i] * wi
        if not curvature > 0.0:
            break
        alpha = rr / curvature
        fresh = 0.0
        for i in range(n):
            sum_z[i] += alpha * z[i]
            ri = r[i] - alpha * w[i]
            r[i] = ri
            fresh += ri * ri
        beta = fresh / rr
        rr = fresh
        for i in range(n):
            z[i] = r[i] + beta * z[i]
    return done, rr


@kernel(work=lambda indptr, indices, *rest: 4.0 * indices.size)
def residual(indptr: Any, indices: Any, data: Any, x: Any, right: Any, out: Any) -> Any:
    """Write ``right - K x`` to ``out``; return its norm, the norm of ``right`` and the norm of ``|K| |x|``."""
    gap = 0.0
    size = 0.0
    scale = 0.0
    for i in range(right.size):
        total = right[i]
        terms = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            term = data[p] * x[indices[p]]
            total -= term
            terms += abs(term)
        out[i] = total
        gap += total * total
        size += right[i] * right[i]
        scale += terms * terms
    return np.sqrt(gap), np.sqrt(size), np.sqrt(scale)


@kernel(work=lambda pointer, column, *rest: 6.0 * column.size + 10.0 * pointer.size)
def recover(pointer: Any, column: Any, value: Any, scale: Any, order: Any, sum_z: Any, x: Any) -> None:
    """Add ``E^-1/2 (I + U)^-1 sum_z`` to the solution ``x`` in the original numbering; ``sum_z`` is used up."""
    for i in range(order.size - 1, -1, -1):
        total = sum_z[i]
        for p in range(pointer[i], pointer[i + 1]):
            total -= value[p] * sum_z[column[p]]
        sum_z[i] = total
        x[order[i]] += total * scale[i]
