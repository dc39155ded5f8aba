"""The ends of a nested dissection: whether a graph is spread out at all, and the order within its smallest parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["depth_from", "order_parts"]

AROUND = 256  # nodes around a part that are counted at most


@kernel(work=lambda indptr, indices, start: 10.0 * indices.size)
def depth_from(indptr: Any, indices: Any, start: int) -> Any:
    """Return how many ties the farthest node of its part is away from a node."""
    n = indptr.size - 1
    queue = np.empty(n, np.int64)
    away = np.full(n, -1, np.int64)
    away[start] = 0
    queue[0] = start
    last = 1
    first = 0
    while first < last:
        v = queue[first]
        first += 1
        for p in range(indptr[v], indptr[v + 1]):
            x = indices[p]
            if away[x] < 0:
                away[x] = away[v] + 1
                queue[last] = x
                last += 1
    return away[queue[last - 1]]


@subroutine
def _least_degree(
    begin: int, end: int, order: Any, position: Any, indptr: Any, indices: Any, linked: Any, halo: Any, degree: Any,
    out: Any,
) -> None:
    """Order the nodes at places ``begin`` to ``end`` by exact minimum degree, counting ties to later nodes."""
    size = end - begin
    around = 0
    for a in range(size):
        for p in range(indptr[order[begin + a]], indptr[order[begin + a] + 1]):
            x = indices[p]
            if position[x] >= end and halo[x] < 0 and size + around < linked.shape[1]:
                halo[x] = size + around
                around += 1
    width = size + around
    for a in range(size):
        degree[a] = 0
        for c in range(width):
            linked[a, c] = False
    for a in range(size):
        for p in range(indptr[order[begin + a]], indptr[order[begin + a] + 1]):
            x = indices[p]
            c = position[x] - begin if position[x] < end else halo[x]
            if position[x] >= begin and c >= 0 and c != a and not linked[a, c]:
                linked[a, c] = True
                degree[a] += 1
    for a in range(size):
        for p in range(indptr[order[begin + a]], indptr[order[begin + a] + 1]):
            halo[indices[p]] = -1
    for k in range(size):
        pick = -1
        for a in range(size):
            if degree[a] >= 0 and (pick < 0 or degree[a] < degree[pick]):
                pick = a
        out[k] = order[begin + pick]
        degree[pick] = -1
        for a in range(size):
            if linked[pick, a] and degree[a] >= 0:
                linked[a, pick] = False
                degree[a] -= 1
                for c in range(width):
                    if linked[pick, c] and c != a and not linked[a, c]:
                        linked[a, c] = True
                        degree[a] += 1
    for k in range(size):
        order[begin + k] = out[k]
        position[out[k]] = begin + k


@kernel(work=lambda indptr, indices, order, begin, end: 100.0 * order.size)
def order_parts(indptr: Any, indices: Any, order: Any, begin: Any, end: Any) -> None:
    """Sort the places ``begin[i] .. end[i] - 1`` of an elimination order by minimum degree, in place."""
    n = order.size
    position = np.empty(n, np.int64)
    for k in range(n):
        position[order[k]] = k
    widest = 0
    for i in range(begin.size):
        widest = max(widest, end[i] - begin[i])
    linked = np.empty((widest, widest + AROUND), np.bool_)
    halo = np.full(n, -1, np.int64)
    degree = np.empty(widest, np.int64)
    out = np.empty(widest, np.int64)
    for i in range(begin.size):
        _least_degree(begin[i], end[i], order, position, indptr, indices, linked, halo, degree, out)
