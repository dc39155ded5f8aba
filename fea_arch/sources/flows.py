r"""Counted calls as a flow: how much must come from outside so that everything seen has a cause.

With ``C_ij`` calls counted from i to j and ``x_i`` requests counted at i, the visit ratios are ``P_ij = C_ij / x_i``
and conservation reads ``x = f + P^T x`` with the arrivals ``f >= 0`` from outside. As ``x > 0`` solves it, the spectral
radius of ``P`` is at most 1 (Perron and Frobenius), and it is below 1 exactly when every component is reached by some
``f_i > 0``: then no group of components feeds itself alone. So arrivals are added to every group that nothing reaches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cycles", "outside_arrivals", "reached"]

Index = NDArray[np.int64]
Array = NDArray[np.float64]


def reached(n: int, source: Index, target: Index, begin: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of n components are reached from ``begin`` (n,) bool along the edges (n_edges,) int64."""
    order = np.argsort(source, kind="stable")
    to = target[order]
    first = np.searchsorted(source[order], np.arange(n + 1))
    seen = begin.copy()
    front = np.flatnonzero(begin)
    while front.size:
        length = first[front + 1] - first[front]
        at = np.repeat(first[front] - np.concatenate([[0], np.cumsum(length)[:-1]]), length) + np.arange(length.sum())
        new = np.unique(to[at])
        front = new[~seen[new]]
        seen[front] = True
    return seen


def outside_arrivals(
    n: int, source: Index, target: Index, count: Array, stated: Array | None = None
) -> tuple[Array, Array, Index]:
    """Return requests and outside arrivals that balance counted calls.

    Parameters
    ----------
    n : int
        Number of components.
    source, target : (n_edges,) int64
    count : (n_edges,) float64
        Calls seen on each edge, above 0.
    stated : (n,) float64, optional
        Arrivals from outside that were seen.

    Returns
    -------
    requests : (n,) float64
        Inflow of each component, arrivals included.
    arrivals : (n,) float64
        Arrivals from outside, stated and added.
    closed : (k,) int64
        Components at which arrivals were added because their group has no other inflow although it calls itself.

    Notes
    -----
    A component that nobody calls gets as many arrivals as its busiest outgoing edge has calls: at least one of its
    calls then happens once a request. In a closed group the component that sends most more than it receives gets them.
    """
    inflow = np.bincount(target, count, n)
    busiest = np.zeros(n)
    np.maximum.at(busiest, source, count)
    arrivals = np.zeros(n) if stated is None else stated.astype(float).copy()
    alone = (inflow <= 0) & (arrivals <= 0)
    arrivals[alone] = np.maximum(busiest[alone], 0.0)
    closed: list[int] = []
    seen = reached(n, source, target, arrivals > 0)
    lost = ~seen & (inflow > 0)
    if lost.any():
        surplus = np.bincount(source, count, n) - inflow
        for group in _source_groups(n, source, target, lost):
            best = int(group[np.argmax(surplus[group])])
            arrivals[best] += max(float(surplus[best]), float(busiest[best]))
            closed.append(best)
    return inflow + arrivals, arrivals, np.array(closed, np.int64)


def _strong(n: int, source: Index, target: Index) -> Index:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    matrix = csr_array((np.ones(source.size, np.int8), (source, target)), shape=(n, n))
    _, label = connected_components(matrix, directed=True, connection="strong")
    return np.asarray(label, np.int64)


def _source_groups(n: int, source: Index, target: Index, lost: NDArray[np.bool_]) -> list[Index]:
    """Return the strongly connected groups of lost components that no other group feeds."""
    label = _strong(n, source, target)
    fed = np.zeros(int(label.max()) + 1, bool)
    across = label[source] != label[target]
    fed[label[target[across]]] = True
    rows = np.flatnonzero(lost & ~fed[label])
    rows = rows[np.argsort(label[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1) if rows.size else []


def cycles(n: int, source: Index, target: Index) -> list[Index]:
    """Return the groups of two or more components that call each other in circles, largest first."""
    if not source.size:
        return []
    label = _strong(n, source, target)
    rows = np.flatnonzero(np.bincount(label)[label] > 1)
    rows = rows[np.argsort(label[rows], kind="stable")]
    groups = np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1) if rows.size else []
    return sorted(groups, key=lambda g: (-g.size, int(g[0])))
