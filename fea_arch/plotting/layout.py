"""Where the components of a call graph stand in a picture: layers from callers to callees.

Layered drawing in the manner of Sugiyama, Tagawa and Toda (Methods for visual understanding of hierarchical system
structures, IEEE Transactions on Systems, Man, and Cybernetics 11, 1981): cycles are opened inside each strong
component by the greedy order of Eades, Lin and Smyth (A fast and effective heuristic for the feedback arc set problem,
Information Processing Letters 47, 1993), layers are longest paths, and the order within layers follows barycentres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.components import strong_components

__all__ = ["Layout", "layers", "place"]

Index = NDArray[np.int64]
Array = NDArray[np.float64]

#: Components in one column before a layer is staggered over two or more.
COLUMN = 22
#: Free width between two columns, in characters.
GAP = 9.0
#: Columns of the block of components that nobody calls and that call nobody.
LOOSE_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions of components.

    Attributes
    ----------
    x, y : (n,) float64
        Position: characters to the right, rows downwards.
    layer : (n,) int64
        Layer from 0 (callers); -1 for components without calls.
    backward : (n_edges,) bool
        Edges that close a cycle and run against the layers.
    width, height : float
        Extent with labels, in characters and rows.
    """

    x: Array
    y: Array
    layer: Index
    backward: NDArray[np.bool_]
    width: float
    height: float


def layers(n: int, source: Index, target: Index, weight: Array | None = None) -> tuple[Index, NDArray[np.bool_]]:
    """Return the layer of each component and which edges run backwards.

    Parameters
    ----------
    n : int
        Number of components.
    source, target : (n_edges,) int64
        Calls.
    weight : (n_edges,) float64, optional
        Calls with more weight are less likely to run backwards.

    Returns
    -------
    layer : (n,) int64
        Longest path from a component that nobody calls, backward edges turned round.
    backward : (n_edges,) bool
        Edges inside a strong component that run against the order; self calls among them.
    """
    w = np.ones(source.size) if weight is None else np.asarray(weight, float)
    order = np.argsort(source, kind="stable")
    pointer = np.searchsorted(source[order], np.arange(n + 1)).astype(np.int64)
    nodes, start = strong_components(pointer, np.ascontiguousarray(target[order], dtype=np.int64))
    rank = np.empty(n, np.int64)
    rank[nodes] = np.arange(n - 1, -1, -1)  # callers first
    group = np.empty(n, np.int64)
    group[nodes] = np.repeat(np.arange(start.size - 1), np.diff(start))
    inside = group[source] == group[target]
    for g in np.flatnonzero(np.diff(start) > 1).tolist():
        members = nodes[start[g] : start[g + 1]]
        edges = np.flatnonzero(inside & (group[source] == g))
        places = np.sort(rank[members])
        rank[np.array(_opened(members, source[edges], target[edges], w[edges]))] = places
    backward = rank[source] >= rank[target]
    layer = np.zeros(n, np.int64)
    low = np.where(backward, target, source)
    high = np.where(backward, source, target)
    keep = low != high
    by_rank = np.argsort(rank[low[keep]], kind="stable")
    for a, b in zip(low[keep][by_rank].tolist(), high[keep][by_rank].tolist()):
        layer[b] = max(layer[b], layer[a] + 1)
    return layer, backward


def _opened(members: Index, source: Index, target: Index, weight: Array) -> list[int]:
    """Return the members of a strong component in the greedy order that keeps most weight forwards."""
    left = set(members.tolist())
    after: dict[int, dict[int, float]] = {v: {} for v in left}
    before: dict[int, dict[int, float]] = {v: {} for v in left}
    for a, b, w in zip(source.tolist(), target.tolist(), weight.tolist()):
        if a != b:
            after[a][b] = after[a].get(b, 0.0) + w + 1e-12
            before[b][a] = before[b].get(a, 0.0) + w + 1e-12
    head: list[int] = []
    tail: list[int] = []

    def take(v: int) -> None:
        left.discard(v)
        for b in after[v]:
            before[b].pop(v, None)
        for a in before[v]:
            after[a].pop(v, None)

    while left:
        sink = min((v for v in left if not after[v]), default=None)
        if sink is not None:
            tail.append(sink)
            take(sink)
            continue
        root = min((v for v in left if not before[v]), default=None)
        if root is None:
            root = max(left, key=lambda v: (sum(after[v].values()) - sum(before[v].values()), -v))
        head.append(root)
        take(root)
    return head + tail[::-1]


def place(
    labels: Sequence[str],
    source: Index,
    target: Index,
    weight: Array | None = None,
    layer: Index | None = None,
) -> Layout:
    """Return positions with callers on the left and room for each label to the right of its component.

    Parameters
    ----------
    labels : sequence of str
        Text beside each component; sets the distance of columns.
    source, target : (n_edges,) int64
        Calls.
    weight : (n_edges,) float64, optional
        Importance of each call.
    layer : (n,) int64, optional
        Prescribed layers instead of longest paths.

    Examples
    --------
    >>> found = place(["a", "b"], np.array([0]), np.array([1]))
    >>> bool(found.x[0] < found.x[1])
    True
    """
    n = len(labels)
    source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
    found, backward = layers(n, source, target, weight)
    layer = found if layer is None else np.asarray(layer, np.int64)
    loose = np.ones(n, bool)
    loose[source[source != target]] = loose[target[source != target]] = False
    layer = np.where(loose, -1, layer)
    w = np.ones(source.size) if weight is None else np.asarray(weight, float)
    order = _ordered(layer, source, target, w)
    size = np.array([max(len(text), 3) for text in labels], float)
    x, y = np.zeros(n), np.zeros(n)
    rows = max((min(len(o), COLUMN * 2) for o in order), default=0)
    at = 1.0
    for nodes in order:
        columns = -(-len(nodes) // COLUMN)
        span = max(len(nodes) - 1, 1)
        step = min(rows / max(len(nodes), 1), 3.0) if len(nodes) > 1 else 0.0
        used = step * span if len(nodes) > 1 else 0.0
        for position, v in enumerate(nodes):
            y[v] = (rows - 1 - used) / 2 + step * position
        for column in range(columns):
            mine = nodes[column::columns]
            x[mine] = at
            at += size[mine].max() + (2.5 if column < columns - 1 else GAP)
    width = max(at - GAP, 1.0)
    height = float(rows)
    alone = np.flatnonzero(loose)
    if alone.size:
        columns = min(LOOSE_COLUMNS, alone.size, max(int(max(width, 90.0) // (size[alone].max() + 4.0)), 1))
        columns = min(columns, -(-alone.size // 3)) if not order else columns
        pitch = size[alone].max() + 4.0
        x[alone] = 1.0 + pitch * (np.arange(alone.size) % columns)
        y[alone] = height + (1.0 if order else 0.0) + np.arange(alone.size) // columns
        width = max(width, pitch * columns)
        height = float(y[alone].max() + 1.0)
    return Layout(x, y, layer, backward, float(width), max(height, 1.0))


def _ordered(layer: Index, source: Index, target: Index, weight: Array, sweeps: int = 12) -> list[list[int]]:
    """Return the members of each layer, ordered so that few calls cross."""
    depth = int(layer.max(initial=-1)) + 1
    order = [np.flatnonzero(layer == k).tolist() for k in range(depth)]
    if not depth:
        return []
    n = layer.size
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for a, b, w in zip(source.tolist(), target.tolist(), weight.tolist()):
        if a != b:
            near = (0.2 + w) / abs(int(layer[a]) - int(layer[b]) or 1)
            neighbours[a].append((b, near))
            neighbours[b].append((a, near))
    height = np.zeros(n)
    best, fewest = order, np.inf
    for sweep in range(sweeps):
        for nodes in order:
            for i, v in enumerate(nodes):
                height[v] = (i + 0.5) / len(nodes)
        crossings = _crossings(layer, height, source, target)
        if crossings < fewest:
            best, fewest = [list(nodes) for nodes in order], crossings
        down = sweep % 2 == 0
        for k in range(depth) if down else range(depth - 1, -1, -1):
            pull = {}
            for v in order[k]:
                near = [(b, w) for b, w in neighbours[v] if (layer[b] < k) == down and layer[b] != k] or neighbours[v]
                total = sum(w for _, w in near)
                pull[v] = sum(height[b] * w for b, w in near) / total if total else height[v]
            order[k] = sorted(order[k], key=lambda v: (pull[v], height[v]))
            for i, v in enumerate(order[k]):
                height[v] = (i + 0.5) / len(order[k])
    return best


def _crossings(layer: Index, height: Array, source: Index, target: Index) -> float:
    """Return how many pairs of calls between the same two layers cross."""
    turned = layer[source] > layer[target]
    a, b = np.where(turned, target, source), np.where(turned, source, target)
    total = 0.0
    pairs = layer[a] * (layer.max() + 1) + layer[b]
    for p in np.unique(pairs).tolist():
        edges = np.flatnonzero(pairs == p)[:400]
        da = np.sign(height[a[edges]][:, None] - height[a[edges]][None, :])
        db = np.sign(height[b[edges]][:, None] - height[b[edges]][None, :])
        total += float(np.count_nonzero(da * db < 0)) / 2
    return total
