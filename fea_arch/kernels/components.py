"""Strongly connected components of a call graph in topological order (Tarjan 1972, without recursion)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["strong_components"]


@kernel(work=lambda ptr, target: 40.0 * (ptr.size + target.size))
def strong_components(ptr: Any, target: Any) -> Any:
    """Return nodes ordered callees first, and the first position of each strong component.

    Parameters
    ----------
    ptr : (n + 1,) int64
        Row pointer of the out-edges.
    target : (n_edges,) int64
        Target of each edge, by source.

    Returns
    -------
    order : (n,) int64
        Nodes; every edge between components points to an earlier position.
    start : (n_components + 1,) int64
        Where each component begins in ``order``.
    """
    n = ptr.size - 1
    index = np.full(n, -1, np.int64)
    low = np.zeros(n, np.int64)
    on_stack = np.zeros(n, np.bool_)
    stack = np.empty(n, np.int64)
    work = np.empty(n, np.int64)
    edge = np.empty(n, np.int64)
    order = np.empty(n, np.int64)
    start = np.empty(n + 1, np.int64)
    counter = 0
    top = 0
    placed = 0
    found = 0
    for root in range(n):
        if index[root] >= 0:
            continue
        depth = 0
        work[0] = root
        edge[root] = ptr[root]
        index[root] = counter
        low[root] = counter
        counter += 1
        stack[top] = root
        top += 1
        on_stack[root] = True
        while depth >= 0:
            v = work[depth]
            if edge[v] < ptr[v + 1]:
                w = target[edge[v]]
                edge[v] += 1
                if index[w] < 0:
                    index[w] = counter
                    low[w] = counter
                    counter += 1
                    stack[top] = w
                    top += 1
                    on_stack[w] = True
                    edge[w] = ptr[w]
                    depth += 1
                    work[depth] = w
                elif on_stack[w] and index[w] < low[v]:
                    low[v] = index[w]
            else:
                depth -= 1
                if depth >= 0 and low[v] < low[work[depth]]:
                    low[work[depth]] = low[v]
                if low[v] == index[v]:
                    start[found] = placed
                    found += 1
                    while True:
                        top -= 1
                        w = stack[top]
                        on_stack[w] = False
                        order[placed] = w
                        placed += 1
                        if w == v:
                            break
    start[found] = placed
    return order, start[: found + 1].copy()
