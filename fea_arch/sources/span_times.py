"""Times of requests from their calls: own work, how many work at once, which calls run in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.sources.span_calls import Calls

__all__ = ["OwnWork", "own_work", "stages"]

Index = NDArray[np.int64]

#: Calls of one request are compared with this many later ones.
_NEIGHBOURS = 8
#: Two calls run in parallel if they overlap by more than this share of the shorter one.
_OVERLAP = 0.1


@dataclass(frozen=True, eq=False, slots=True)
class OwnWork:
    """Own work of requests.

    Attributes
    ----------
    own_ns : (n_requests,) int64
        Duration less the union of the calls it waited for.
    peak : (n_components,) int64
        Largest number of requests of a component that were at their own work at the same time.
    """

    own_ns: Index
    peak: Index


def own_work(calls: Calls) -> OwnWork:
    """Return exclusive times and the peak concurrency of own work."""
    duration = calls.end_ns - calls.start_ns
    base = np.concatenate([[0], np.cumsum(duration)])[:-1]
    rows = np.flatnonzero(calls.waits & (calls.high_ns > calls.low_ns))
    caller = calls.caller[rows]
    # every request gets a stretch of its own on one long time line; there the union is one running maximum
    shift = base[caller] - calls.start_ns[caller]
    low, high = calls.low_ns[rows] + shift, calls.high_ns[rows] + shift
    order = np.lexsort((low, caller))
    caller, low, high, shift = caller[order], low[order], high[order], shift[order]
    covered = np.maximum.accumulate(high) if high.size else high
    before = np.concatenate([[np.int64(0)], covered[:-1]])[: high.size]
    union = np.zeros(duration.size, np.int64)
    np.add.at(union, caller, np.maximum(high - np.maximum(low, before), 0))
    # waiting begins where a call starts after all earlier ones have ended, and ends just before the next such place
    begins = np.ones(low.size, bool)
    if low.size:
        begins[1:] = (low[1:] > before[1:]) | (caller[1:] != caller[:-1])
    head = np.flatnonzero(begins)
    tail = np.concatenate([head[1:], [low.size]])[: head.size] - 1
    component = calls.component
    groups = np.concatenate([component, component, component[caller[head]], component[caller[head]]])
    times = np.concatenate([calls.start_ns, calls.end_ns, low[head] - shift[head], covered[tail] - shift[head]])
    steps = np.concatenate(
        [np.ones(duration.size), -np.ones(duration.size), -np.ones(head.size), np.ones(head.size)]
    ).astype(np.int64)
    order = np.lexsort((steps, times, groups))
    level = np.cumsum(steps[order])
    n = len(calls.components)
    first = np.searchsorted(groups[order], np.arange(n))
    peak = np.maximum.reduceat(level, first) if n else np.zeros(0, np.int64)
    return OwnWork(duration - union, np.maximum(peak, 0))


def stages(calls: Calls, edge: Index, edge_source: Index, n_edges: int) -> tuple[Index, Index]:
    """Return the stage of each edge, -1 for calls by themselves, and how often calls of one edge overlap.

    Two edges of a component share a stage if, in most requests that use both, one of their calls overlaps another.

    Parameters
    ----------
    calls : Calls
    edge : (n_calls,) int64
        Edge of each call.
    edge_source : (n_edges,) int64
        Calling component of each edge.
    n_edges : int

    Returns
    -------
    stage : (n_edges,) int64
    own_overlaps : (n_edges,) int64
        Requests in which calls of the same edge overlap.
    """
    rows = np.flatnonzero(calls.waits)
    order = rows[np.lexsort((calls.low_ns[rows], calls.caller[rows]))]
    caller, low, high, which = calls.caller[order], calls.low_ns[order], calls.high_ns[order], edge[order]
    seen: list[NDArray[np.int64]] = []
    hit: list[NDArray[np.int64]] = []
    for lag in range(1, min(_NEIGHBOURS, max(order.size - 1, 0)) + 1):
        same = np.flatnonzero(caller[:-lag] == caller[lag:])
        if not same.size:
            break
        i, j = same, same + lag
        shared = np.minimum(high[i], high[j]) - np.maximum(low[i], low[j])
        shorter = np.minimum(high[i] - low[i], high[j] - low[j])
        parallel = (shared > 0) & (shared > _OVERLAP * shorter)
        pair = np.minimum(which[i], which[j]) * np.int64(n_edges) + np.maximum(which[i], which[j])
        seen.append(np.stack([pair, caller[i]]))
        hit.append(np.stack([pair, caller[i]])[:, parallel])
    stage = np.full(n_edges, -1, np.int64)
    own = np.zeros(n_edges, np.int64)
    if not seen:
        return stage, own
    both, times = _requests_per_pair(np.concatenate(seen, axis=1))
    over, overlaps = _requests_per_pair(np.concatenate(hit, axis=1))
    together = times[np.searchsorted(both, over)]
    a, b = over // n_edges, over % n_edges
    own[a[a == b]] = overlaps[a == b]
    joined = (a != b) & (2 * overlaps > together)
    group = np.arange(n_edges)
    for x, y in zip(a[joined].tolist(), b[joined].tolist()):
        x, y = _root(group, x), _root(group, y)
        group[max(x, y)] = min(x, y)
    roots = np.array([_root(group, e) for e in range(n_edges)], np.int64)
    shared_roots = np.bincount(roots, minlength=n_edges) > 1
    number: dict[int, int] = {}
    following: dict[int, int] = {}
    for e in np.flatnonzero(shared_roots[roots]).tolist():
        root = int(roots[e])
        if root not in number:
            of = int(edge_source[e])
            number[root] = following.get(of, 0)
            following[of] = number[root] + 1
        stage[e] = number[root]
    return stage, own


def _requests_per_pair(pairs: NDArray[np.int64]) -> tuple[Index, Index]:
    if not pairs.shape[1]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort((pairs[1], pairs[0]))
    pair, request = pairs[0][order], pairs[1][order]
    new = np.concatenate([[True], (pair[1:] != pair[:-1]) | (request[1:] != request[:-1])])
    codes, times = np.unique(pair[new], return_counts=True)
    return codes, times.astype(np.int64)


def _root(group: Index, at: int) -> int:
    while group[at] != at:
        group[at] = group[group[at]]
        at = int(group[at])
    return at
