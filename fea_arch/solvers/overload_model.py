"""The arrays of an architecture that the steady answer above capacity works on, and the bounds that pools set."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from fea_arch.solvers.network import Array, Flags, Index, Network

__all__ = ["OverloadModel", "overload_model"]


@dataclass(frozen=True, eq=False)
class OverloadModel:
    """The arrays that :func:`fea_arch.kernels.overload.settle` works on.

    Attributes
    ----------
    network : Network
    external : (n,) float64
        Arrivals from outside at load factor 1 [1/s].
    call_ptr, call_edge : CSR of each caller's edges in the order in which it makes the calls.
    population : (n,) float64
        Largest number of requests that bounded pools of callers let into a component; inf where nothing bounds it.
    patience : (n,) float64
        Longest wait before every caller has withdrawn its call [s].
    fracture_number : (n,) float64
        Requests held by all replicas at which the memory limit is reached [req].
    breaker : (n_edges,) float64
        Share of failed calls that opens the circuit breaker of an edge; inf without one [1].
    """

    network: Network
    external: Array
    call_ptr: Index
    call_edge: Index
    cancel: Flags
    population: Array
    patience: Array
    fracture_number: Array
    breaker: Array

    @cached_property
    def offered(self) -> float:
        """Requests from outside at load factor 1 [1/s]."""
        return float(self.external.sum())


def overload_model(network: Network, external: Array | None = None) -> OverloadModel:
    """Prepare a network for :func:`overload`.

    Parameters
    ----------
    network : Network
    external : (n,) float64, optional
        Arrivals from outside at load factor 1 [1/s]; default the open loads.
    """
    network = _writable(network)
    graph = network.arch.graph
    flow = network.external if external is None else np.array(external, float)
    call_edge = np.lexsort((network.edge, network.source)).astype(np.int64)
    if (network.group >= 0).any():  # targets of one balancer side by side
        call_edge = np.lexsort((network.edge, _first_of_group(network), network.source)).astype(np.int64)
    cancel = np.ascontiguousarray(graph.cancel[network.edge])
    columns = network.arch.component_columns
    resident = np.nan_to_num(columns.column("memory_bytes"))
    per = columns.column("memory_per_request_bytes")
    limit = columns.column("memory_limit_bytes")
    with np.errstate(divide="ignore", invalid="ignore"):
        room = (limit - resident) / per * network.replicas
    room = np.where(np.isnan(room) | ~(per > 0), np.inf, room)
    breaker = np.full(network.target.size, np.inf)
    if graph.breakers:
        for e, row in enumerate(network.edge.tolist()):
            found = graph.breakers[row]
            if found is not None:
                breaker[e] = found.failure_share
    return OverloadModel(
        network=network,
        external=flow,
        call_ptr=network.ptr,
        call_edge=call_edge,
        cancel=cancel,
        population=_population(network, flow, cancel),
        patience=_patience(network, flow, cancel),
        fracture_number=room,
        breaker=breaker,
    )


def _writable(network: Network) -> Network:
    """Copy arrays that are read-only: a kernel is compiled once for each combination of the two."""
    found: dict[str, Any] = {}
    for field in fields(network):
        value = getattr(network, field.name)
        if isinstance(value, np.ndarray) and not (value.flags.writeable and value.flags.c_contiguous):
            found[field.name] = np.array(value, order="C")
    return replace(network, **found) if found else network


def _first_of_group(network: Network) -> Index:
    """Return the declaration row by which each edge is ordered: its own, or that of its balancer's first target."""
    first = network.edge.copy()
    for g in np.unique(network.group[network.group >= 0]).tolist():
        member = network.group == g
        first[member] = network.edge[member].min()
    return first


def _population(network: Network, external: Array, cancel: Flags) -> Array:
    """Return the largest number that bounded pools let into each component: those of its callers, or of a dominator.

    Every path to a component leads through its dominators; a blocking one lets in no more than it has workers.
    """
    n = network.n
    pool = np.where((network.law == 0) & network.blocking, network.servers * network.replicas, np.inf).tolist()
    forgets = ((~np.isnan(network.timeout) & ~cancel) | ~network.sync).tolist()
    dominator, depth = [-1] * n, [0] * n
    reached = [False] * n
    start, order, outside = network.start.tolist(), network.order.tolist(), (external > 0).tolist()
    ptr, into, source = network.in_ptr.tolist(), network.in_edge.tolist(), network.source.tolist()
    used = (network.calls > 0).tolist()
    bound = [math.inf] * n
    for k in range(len(start) - 2, -1, -1):
        if start[k + 1] - start[k] > 1:
            for i in order[start[k] : start[k + 1]]:
                reached[i] = True
            continue
        i = order[start[k]]
        edges = [e for e in into[ptr[i] : ptr[i + 1]] if used[e] and reached[source[e]]]
        reached[i] = outside[i] or bool(edges)
        if outside[i] or not edges or any(forgets[e] for e in edges):
            continue
        callers = {source[e] for e in edges}
        if i in callers:
            continue
        bound[i] = sum(min(pool[j], bound[j]) for j in callers)
        common = -2
        for j in callers:
            common = j if common == -2 else _meet(common, j, dominator, depth)
        dominator[i] = common
        if common >= 0:
            depth[i] = depth[common] + 1
            bound[i] = min(bound[i], pool[common], bound[common])
    return np.array(bound, float)


def _meet(a: int, b: int, dominator: list[int], depth: list[int]) -> int:
    """Return the nearest component that dominates both, or -1."""
    while a != b:
        if a < 0 or b < 0:
            return -1
        if depth[a] >= depth[b]:
            a = dominator[a]
        else:
            b = dominator[b]
    return a


def _patience(network: Network, external: Array, cancel: Flags) -> Array:
    patience = np.zeros(network.n)
    each = np.where(cancel & network.sync & ~np.isnan(network.timeout), network.timeout, np.inf)
    live = network.calls > 0
    np.maximum.at(patience, network.target[live], each[live])
    return np.where((external > 0) | (patience == 0), np.inf, patience)
