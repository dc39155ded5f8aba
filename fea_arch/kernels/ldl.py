"""Sparse ``L D L^T`` without pivoting: elimination tree, symbolic and up-looking numeric factor, solves.

Rows and columns are in elimination order. ``L`` has a unit diagonal that is not stored; its columns are CSC with rows
in ascending order, which the up-looking factor produces by itself. See Davis, Direct Methods for Sparse Linear Systems
(SIAM 2006), chapters 4 and 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = [
    "column_counts", "elimination_tree", "factorise", "forward_load", "permuted_upper", "postorder", "solve",
    "solve_block",
]


@kernel(work=lambda indptr, indices, order: 20.0 * indices.size)
def elimination_tree(indptr: Any, indices: Any, order: Any) -> Any:
    """Return the parent of each column in elimination order, -1 at a root, for the full structure."""
    n = order.size
    place = np.empty(n, np.int64)
    for k in range(n):
        place[order[k]] = k
    parent = np.full(n, -1, np.int64)
    ancestor = np.full(n, -1, np.int64)
    for k in range(n):
        node = order[k]
        for p in range(indptr[node], indptr[node + 1]):
            i = place[indices[p]]
            while i >= 0 and i < k:
                up = ancestor[i]
                ancestor[i] = k
                if up < 0:
                    parent[i] = k
                i = up
    return parent


@kernel(work=lambda parent: 20.0 * parent.size)
def postorder(parent: Any) -> Any:
    """Return a postorder of a forest: every subtree is contiguous and comes before its root."""
    n = parent.size
    child = np.full(n, -1, np.int64)
    sibling = np.full(n, -1, np.int64)
    for i in range(n - 1, -1, -1):
        if parent[i] >= 0:
            sibling[i] = child[parent[i]]
            child[parent[i]] = i
    post = np.empty(n, np.int64)
    stack = np.empty(n, np.int64)
    put = 0
    for root in range(n):
        if parent[root] >= 0:
            continue
        depth = 0
        stack[0] = root
        while depth >= 0:
            i = stack[depth]
            j = child[i]
            if j >= 0:
                child[i] = sibling[j]
                depth += 1
                stack[depth] = j
            else:
                post[put] = i
                put += 1
                depth -= 1
    return post


@kernel(work=lambda indptr, indices, order: 20.0 * indices.size)
def permuted_upper(indptr: Any, indices: Any, order: Any) -> Any:
    """Return (pointer, row, source, diagonal) of the strict upper half of the permuted matrix, by columns.

    ``source`` and ``diagonal`` are places in the data of the full matrix; a missing diagonal entry gives -1.
    """
    n = order.size
    place = np.empty(n, np.int64)
    for k in range(n):
        place[order[k]] = k
    pointer = np.zeros(n + 1, np.int64)
    row = np.empty((indices.size + 1) // 2 + n, np.int32)
    source = np.empty(row.size, np.int32)
    diagonal = np.full(n, -1, np.int64)
    t = 0
    for k in range(n):
        node = order[k]
        for p in range(indptr[node], indptr[node + 1]):
            i = place[indices[p]]
            if i < k:
                row[t] = i
                source[t] = p
                t += 1
            elif i == k:
                diagonal[k] = p
        pointer[k + 1] = t
    return pointer, row[:t].copy(), source[:t].copy(), diagonal


@kernel(work=lambda pointer, row, parent: 30.0 * row.size + 10.0 * parent.size)
def column_counts(pointer: Any, row: Any, parent: Any) -> Any:
    """Return the entries below the diagonal of each column of ``L``, (n,) int64: exact, by walking the row subtrees."""
    n = parent.size
    count = np.zeros(n, np.int64)
    seen = np.full(n, -1, np.int64)
    for k in range(n):
        seen[k] = k
        for p in range(pointer[k], pointer[k + 1]):
            i = row[p]
            while seen[i] != k:
                seen[i] = k
                count[i] += 1
                i = parent[i]
    return count


@kernel(work=lambda *arguments: 20.0 * arguments[7].size + 30.0 * arguments[5].size)
def factorise(
    pointer: Any, row: Any, source: Any, diagonal: Any, data: Any, parent: Any,
    l_pointer: Any, l_row: Any, l_value: Any, d: Any,
) -> Any:
    """Fill ``L`` and ``D`` of the permuted matrix; return (failed column or -1, number of negative pivots).

    ``l_pointer`` (n + 1,) from :func:`column_counts`; ``l_row``, ``l_value`` (nnz,) and ``d`` (n,) are written.
    """
    n = d.size
    filled = np.empty(n, np.int64)
    seen = np.full(n, -1, np.int64)
    pattern = np.empty(n, np.int64)
    stack = np.empty(n, np.int64)
    y = np.zeros(n, np.float64)
    negative = 0
    for k in range(n):
        filled[k] = l_pointer[k]
        pivot = data[diagonal[k]] if diagonal[k] >= 0 else 0.0
        size = abs(pivot)
        seen[k] = k
        top = n
        for p in range(pointer[k], pointer[k + 1]):
            i = row[p]
            y[i] += data[source[p]]
            depth = 0
            while seen[i] != k:
                seen[i] = k
                stack[depth] = i
                depth += 1
                i = parent[i]
            while depth > 0:
                depth -= 1
                top -= 1
                pattern[top] = stack[depth]
        for t in range(top, n):
            i = pattern[t]
            yi = y[i]
            y[i] = 0.0
            stop = filled[i]
            for p in range(l_pointer[i], stop):
                y[l_row[p]] -= l_value[p] * yi
            lki = yi / d[i]
            pivot -= lki * yi
            l_row[stop] = k
            l_value[stop] = lki
            filled[i] = stop + 1
        if not abs(pivot) > 1e-15 * size:
            return k, negative
        if pivot < 0.0:
            negative += 1
        d[k] = pivot
    return -1, negative


@kernel(work=lambda order, l_pointer, l_row, *rest: 4.0 * l_row.size + 10.0 * order.size)
def solve(order: Any, l_pointer: Any, l_row: Any, l_value: Any, d: Any, right: Any) -> Any:
    """Return the solution for one right-hand side (n,) in the original numbering."""
    n = d.size
    x = np.empty(n, np.float64)
    for k in range(n):
        x[k] = right[order[k]]
    for k in range(n):
        xk = x[k]
        if xk != 0.0:
            for p in range(l_pointer[k], l_pointer[k + 1]):
                x[l_row[p]] -= l_value[p] * xk
    out = np.empty(n, np.float64)
    for k in range(n - 1, -1, -1):
        total = x[k] / d[k]
        for p in range(l_pointer[k], l_pointer[k + 1]):
            total -= l_value[p] * x[l_row[p]]
        x[k] = total
        out[order[k]] = total
    return out


@kernel(work=lambda order, l_pointer, l_row, l_value, d, right: (4.0 * l_row.size + 10.0 * order.size) * right.shape[1])
def solve_block(order: Any, l_pointer: Any, l_row: Any, l_value: Any, d: Any, right: Any) -> Any:
    """Return the solutions for many right-hand sides (n, k): the factor is read once for all of them."""
    n, many = right.shape
    x = np.empty((n, many), np.float64)
    out = np.empty((n, many), np.float64)
    for k in range(n):
        for c in range(many):
            x[k, c] = right[order[k], c]
    for k in range(n):
        for p in range(l_pointer[k], l_pointer[k + 1]):
            value = l_value[p]
            i = l_row[p]
            for c in range(many):
                x[i, c] -= value * x[k, c]
    for k in range(n - 1, -1, -1):
        for c in range(many):
            x[k, c] /= d[k]
        for p in range(l_pointer[k], l_pointer[k + 1]):
            value = l_value[p]
            i = l_row[p]
            for c in range(many):
                x[k, c] -= value * x[i, c]
        for c in range(many):
            out[order[k], c] = x[k, c]
    return out


@kernel(work=lambda l_pointer, l_row, *rest: 3.0 * l_row.size + 5.0 * l_pointer.size)
def forward_load(l_pointer: Any, l_row: Any, l_value: Any, d: Any, load: Any) -> Any:
    """Return the load row ``y = D^-1 L^-1 load``, (n,) float64."""
    n = d.size
    y = load.copy()
    for k in range(n):
        yk = y[k]
        if yk != 0.0:
            for p in range(l_pointer[k], l_pointer[k + 1]):
                y[l_row[p]] -= l_value[p] * yk
    for k in range(n):
        y[k] /= d[k]
    return y
