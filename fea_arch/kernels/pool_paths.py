"""What arrives at components from inside bounded pools, along synchronous calls, and the transposes of these sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["find_exclusive", "pull_flow", "pull_trace", "push_flow"]


@kernel(work=lambda order, ptr, *rest: 10.0 * order.size)
def push_flow(order: Any, ptr: Any, target: Any, sync: Any, calls: Any, source: Any, start: Any, used: Any) -> Any:
    """Return what arrives over synchronous calls, callers first.

    Parameters
    ----------
    order : (n,) int64
        Components, callees first.
    ptr, target, sync, calls
        Sorted edges.
    source : (n,) float64
        What a component sends per call where it is not NaN; elsewhere it sends what arrives.
    start : int
        Place in ``order`` to start from.
    used : (n,) float64, filled in place
        What each component sent.

    Returns
    -------
    (n,) float64
    """
    into = np.zeros(order.size)
    used[:] = 0.0
    for place in range(start, -1, -1):
        i = order[place]
        sent = source[i] if source[i] == source[i] else into[i]
        used[i] = sent
        if sent <= 0.0:
            continue
        for e in range(ptr[i], ptr[i + 1]):
            if sync[e]:
                into[target[e]] += sent * calls[e]
    return into


@kernel(work=lambda order, ptr, *rest: 10.0 * order.size)
def pull_flow(
    order: Any, ptr: Any, target: Any, sync: Any, calls: Any, source: Any, start: Any, used: Any, by: Any,
    by_source: Any, by_calls: Any,
) -> None:  # fmt: skip
    """Add the derivatives of ``by . push_flow(...)`` by the sources and by the calls.

    Parameters
    ----------
    order, ptr, target, sync, calls, source, start, used
        As :func:`push_flow` left them.
    by : (n,) float64
        Changed in place: it ends as the derivative by what arrives at each component, all ways included.
    by_source, by_calls : (n,), (n_edges,) float64, added to
    """
    for place in range(start + 1):
        i = order[place]
        if used[i] <= 0.0:
            continue
        total = 0.0
        for e in range(ptr[i + 1] - 1, ptr[i] - 1, -1):
            if sync[e]:
                total += calls[e] * by[target[e]]
                by_calls[e] += used[i] * by[target[e]]
        if source[i] == source[i]:
            by_source[i] += total
        else:
            by[i] += total


@kernel(work=lambda tight, ptr, *rest: 100.0 * ptr.size)
def find_exclusive(
    tight: Any, ptr: Any, target: Any, sync: Any, in_ptr: Any, in_source: Any, flow: Any, arriving: Any
) -> Any:
    """Return whether everything below each component is reached through it alone, (n_tight,) bool."""
    n = ptr.size - 1
    out = np.zeros(tight.size, np.bool_)
    seen = np.full(n, -1)
    stack = np.empty(n + 1, np.int64)
    below = np.empty(n, np.int64)
    for k in range(tight.size):
        i = tight[k]
        filled = 1
        stack[0] = i
        count = 0
        while filled > 0:
            filled -= 1
            v = stack[filled]
            for e in range(ptr[v], ptr[v + 1]):
                j = target[e]
                if sync[e] and seen[j] != k:
                    seen[j] = k
                    below[count] = j
                    count += 1
                    stack[filled] = j
                    filled += 1
        alone = seen[i] != k
        for b in range(count):
            if not alone:
                break
            j = below[b]
            if arriving[j] > 1e-9 * flow[j]:
                alone = False
            for a in range(in_ptr[j], in_ptr[j + 1]):
                c = in_source[a]
                if seen[c] != k and c != i and flow[c] > 0.0:
                    alone = False
        out[k] = alone
    return out


@kernel(work=lambda edge, *rest: 20.0 * edge.size)
def pull_trace(
    edge: Any, parent: Any, sent: Any, station: Any, calls: Any, latency: Any, by_station: Any, by_latency: Any,
    out_calls: Any, out_latency: Any,
) -> None:  # fmt: skip
    """Add the derivatives of visits and network time by calls and latencies, along the calls that were followed.

    Parameters
    ----------
    edge, parent, station : (n_steps,) int64
        Calls in the order in which they were followed, the step that led to each caller (-1 at the pool), the station.
    sent : (n_steps,) float64
        Visits of the caller on this way.
    calls, latency : (n_edges,) float64
    by_station : (k,) float64
        Derivative by the visits of each station.
    by_latency : float
        Derivative by the network time of a request.
    out_calls, out_latency : (n_edges,) float64, added to
    """
    own = np.zeros(edge.size)
    for t in range(edge.size - 1, -1, -1):
        e = edge[t]
        total = own[t] + by_station[station[t]] + by_latency * latency[e]
        out_calls[e] += sent[t] * total
        out_latency[e] += by_latency * sent[t] * calls[e]
        if parent[t] >= 0:
            own[parent[t]] += calls[e] * total
