"""Assembly of ``K = A^T G A``: sort the node pairs once, refill the values many times.

Every pair of free nodes of an element is one *pair* ``(lo, hi)``, ``lo < hi``, with the coefficient ``a_lo a_hi``.
Pairs sorted by (lo, hi) are the strict upper half of ``K`` in storage order: for bars with one element a pair the
values there are just ``-k``, and a refill is a single pass that sums the diagonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = [
    "bar_diagonal", "bar_pairs", "bar_pattern", "bar_values", "csr_positions", "general_values", "row_pairs",
    "sort_pairs",
]


@kernel(work=lambda indptr, *rest: 12.0 * indptr.size)
def bar_pairs(indptr: Any, indices: Any, data: Any, number: Any) -> Any:
    """Return (lo, hi, bars): the free nodes of each two-node bar, and whether every row is one.

    ``number`` (n_nodes,) maps a node to its free number or to -1; ``hi`` is -1 for a grounded bar, both are -1 between
    supports.
    """
    m = indptr.size - 1
    lo = np.empty(m, np.int64)
    hi = np.empty(m, np.int64)
    for e in range(m):
        p = indptr[e]
        k = indptr[e + 1] - p
        if k == 2:
            if data[p] + data[p + 1] != 0.0 or abs(data[p]) != 1.0:
                return lo, hi, False
            a = number[indices[p]]
            b = number[indices[p + 1]]
        elif k == 1:
            if abs(data[p]) != 1.0:
                return lo, hi, False
            a = number[indices[p]]
            b = -1
        else:
            return lo, hi, False
        if a < 0 or (b >= 0 and b < a):
            a, b = b, a
        lo[e] = a
        hi[e] = b
    return lo, hi, True


@kernel(work=lambda lo, hi, n: 30.0 * lo.size + 5.0 * n)
def bar_pattern(lo: Any, hi: Any, n: Any) -> Any:
    """Return (indptr, indices, diagonal, source, parallel) of the CSR matrix of a bar mesh.

    ``source`` (nnz,) is the bar behind each off-diagonal entry, -1 on the diagonal; ``diagonal`` (n,) the places of the
    diagonal. Bars are put in (lo, hi) order by two bucket passes (none if they come in it). ``parallel`` tells that two
    bars share a pair of nodes: then the result is of no use.
    """
    m = lo.size
    below = np.zeros(n + 1, np.int64)
    diagonal = np.zeros(n, np.int64)
    ready = True
    a_last = -1
    b_last = -1
    for e in range(m):
        b = hi[e]
        if b >= 0:
            a = lo[e]
            diagonal[a] += 1
            below[b] += 1
            ready = ready and (a > a_last or (a == a_last and b > b_last))
            a_last = a
            b_last = b
    indptr = np.empty(n + 1, np.int32)
    indptr[0] = 0
    cursor = np.empty(n, np.int32)
    start = 0
    for i in range(n):
        above = diagonal[i]
        diagonal[i] = indptr[i] + below[i]
        indptr[i + 1] = diagonal[i] + 1 + above
        cursor[i] = diagonal[i] + 1
        start, below[i] = start + below[i], start
    below[n] = start
    indices = np.empty(indptr[n], np.int32)
    source = np.empty(indptr[n], np.int32)
    if ready:
        for e in range(m):
            if hi[e] >= 0:
                p = cursor[lo[e]]
                cursor[lo[e]] = p + 1
                indices[p] = hi[e]
                source[p] = e
    else:
        bucket = np.empty((start, 2), np.int32)
        for e in range(m):
            b = hi[e]
            if b >= 0:
                p = below[b]
                below[b] = p + 1
                bucket[p, 0] = lo[e]
                bucket[p, 1] = e
        q = 0
        for b in range(n):
            for p in range(q, below[b]):
                a = bucket[p, 0]
                place = cursor[a]
                cursor[a] = place + 1
                indices[place] = b
                source[place] = bucket[p, 1]
            q = below[b]
    parallel = False
    for i in range(n):
        cursor[i] = indptr[i]
    for i in range(n):
        d = diagonal[i]
        indices[d] = i
        source[d] = -1
        last = i
        for p in range(d + 1, indptr[i + 1]):
            j = indices[p]
            parallel = parallel or j == last
            last = j
            place = cursor[j]
            cursor[j] = place + 1
            indices[place] = i
            source[place] = source[p]
    return indptr, indices, diagonal, source, parallel


@kernel(work=lambda lo, hi, n: 25.0 * lo.size + 5.0 * n)
def sort_pairs(lo: Any, hi: Any, n: Any) -> Any:
    """Return (order, slot, pointer, column): a stable counting sort of the pairs with ``hi >= 0`` by (lo, hi).

    ``order`` (n_pairs,) lists pair numbers, ``slot`` (n_pairs,) the place of each in the strict upper half (parallel
    pairs share one), ``pointer`` (n + 1,) and ``column`` (n_slots,) that half as CSR.
    """
    m = lo.size
    pairs = 0
    ready = True
    a_last = -1
    b_last = -1
    for e in range(m):
        if hi[e] >= 0:
            pairs += 1
            if lo[e] < a_last or (lo[e] == a_last and hi[e] < b_last):
                ready = False
            a_last = lo[e]
            b_last = hi[e]
    order = np.empty(pairs, np.int64)
    if ready:
        p = 0
        for e in range(m):
            if hi[e] >= 0:
                order[p] = e
                p += 1
    else:
        first = np.empty(pairs, np.int64)
        count = np.zeros(n + 1, np.int64)
        for e in range(m):
            if hi[e] >= 0:
                count[hi[e] + 1] += 1
        for i in range(n):
            count[i + 1] += count[i]
        for e in range(m):
            if hi[e] >= 0:
                first[count[hi[e]]] = e
                count[hi[e]] += 1
        count[:] = 0
        for p in range(pairs):
            count[lo[first[p]] + 1] += 1
        for i in range(n):
            count[i + 1] += count[i]
        for p in range(pairs):
            e = first[p]
            order[count[lo[e]]] = e
            count[lo[e]] += 1
    slot = np.empty(pairs, np.int64)
    pointer = np.zeros(n + 1, np.int64)
    column = np.empty(pairs, np.int64)
    s = -1
    a_last = -1
    b_last = -1
    for p in range(pairs):
        a = lo[order[p]]
        b = hi[order[p]]
        if a != a_last or b != b_last:
            s += 1
            column[s] = b
            pointer[a + 1] += 1
            a_last = a
            b_last = b
        slot[p] = s
    for i in range(n):
        pointer[i + 1] += pointer[i]
    return order, slot, pointer, column[: s + 1].copy()


@kernel(work=lambda pointer, column: 8.0 * (pointer.size + column.size))
def csr_positions(pointer: Any, column: Any) -> Any:
    """Return (indptr, indices, diagonal, lower) of the full symmetric CSR of a strict upper half.

    ``diagonal`` (n,) and ``lower`` (n_slots,) are places in its data: of the diagonal, and of the mirror image of each
    upper entry. Columns are sorted in every row.
    """
    n = pointer.size - 1
    below = np.zeros(n, np.int64)
    for s in range(column.size):
        below[column[s]] += 1
    indptr = np.zeros(n + 1, np.int32)
    diagonal = np.empty(n, np.int64)
    cursor = np.empty(n, np.int64)
    for i in range(n):
        cursor[i] = indptr[i]
        diagonal[i] = indptr[i] + below[i]
        indptr[i + 1] = diagonal[i] + 1 + pointer[i + 1] - pointer[i]
    indices = np.empty(indptr[n], np.int32)
    lower = np.empty(column.size, np.int64)
    for i in range(n):
        d = diagonal[i]
        indices[d] = i
        for s in range(pointer[i], pointer[i + 1]):
            d += 1
            j = column[s]
            indices[d] = j
            lower[s] = cursor[j]
            indices[cursor[j]] = i
            cursor[j] += 1
    return indptr, indices, diagonal, lower


@kernel(work=lambda indptr, diagonal, source, *rest: 8.0 * source.size)
def bar_values(indptr: Any, diagonal: Any, source: Any, ground: Any, ground_node: Any, moduli: Any, data: Any) -> None:
    """Refill the CSR ``data`` of a bar mesh without parallel bars: one gather, the diagonal is the row sum.

    ``ground`` lists the grounded bars, ``ground_node`` their free nodes.
    """
    for i in range(diagonal.size):
        total = 0.0
        d = diagonal[i]
        for p in range(indptr[i], d):
            k = moduli[source[p]]
            total += k
            data[p] = -k
        for p in range(d + 1, indptr[i + 1]):
            k = moduli[source[p]]
            total += k
            data[p] = -k
        data[d] = total
    for g in range(ground.size):
        data[diagonal[ground_node[g]]] += moduli[ground[g]]


@kernel(work=lambda row, *rest: 8.0 * row.size)
def bar_diagonal(row: Any, column: Any, moduli: Any, ground_node: Any, ground_moduli: Any, out: Any) -> None:
    """Sum the diagonal of ``K`` from moduli in (lo, hi) order, where the strict upper half is ``-moduli``.

    ``row`` and ``column`` are the places of that half. One flat loop: rows are short, and a loop over each costs more
    in mispredicted branches than in memory.
    """
    for i in range(out.size):
        out[i] = 0.0
    for g in range(ground_node.size):
        out[ground_node[g]] += ground_moduli[g]
    for s in range(moduli.size):
        k = moduli[s]
        out[row[s]] += k
        out[column[s]] += k


@kernel(work=lambda order, slot, *rest: 8.0 * (order.size + rest[7].size))
def general_values(
    order: Any, slot: Any, element: Any, coefficient: Any, upper: Any, lower: Any, diagonal: Any,
    own_node: Any, own_element: Any, own_square: Any, moduli: Any, data: Any,
) -> None:
    """Refill the CSR ``data`` of general compatibility rows, parallel pairs summed.

    Pair ``p`` of ``order`` adds ``coefficient * moduli[element]`` to its slot; ``own_*`` are the diagonal terms.
    """
    for p in range(data.size):
        data[p] = 0.0
    for p in range(order.size):
        pair = order[p]
        data[upper[slot[p]]] += coefficient[pair] * moduli[element[pair]]
    for s in range(upper.size):
        data[lower[s]] = data[upper[s]]
    for p in range(own_node.size):
        data[diagonal[own_node[p]]] += own_square[p] * moduli[own_element[p]]


@kernel(work=lambda indptr, indices, data, number: 30.0 * indices.size)
def row_pairs(indptr: Any, indices: Any, data: Any, number: Any) -> Any:
    """Return (lo, hi, element, coefficient) of every pair of free nodes of every compatibility row."""
    m = indptr.size - 1
    total = 0
    for e in range(m):
        k = 0
        for p in range(indptr[e], indptr[e + 1]):
            if number[indices[p]] >= 0:
                k += 1
        total += k * (k - 1) // 2
    lo = np.empty(total, np.int64)
    hi = np.empty(total, np.int64)
    element = np.empty(total, np.int64)
    coefficient = np.empty(total, np.float64)
    t = 0
    for e in range(m):
        for p in range(indptr[e], indptr[e + 1]):
            a = number[indices[p]]
            if a < 0:
                continue
            for q in range(p + 1, indptr[e + 1]):
                b = number[indices[q]]
                if b < 0:
                    continue
                lo[t] = min(a, b)
                hi[t] = max(a, b)
                element[t] = e
                coefficient[t] = data[p] * data[q]
                t += 1
    return lo, hi, element, coefficient
