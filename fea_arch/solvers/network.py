"""The architecture as a network of stations in solver order: sorted edges, in-edges and per-station parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture
from fea_arch.kernels.components import strong_components
from fea_arch.laws.station import state_rates

__all__ = ["Network", "build_network"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

_SPREAD = {"round_robin": 0, "random": 1, "least_outstanding": 2}


@dataclass(frozen=True, eq=False)
class Network:
    """Station and edge arrays of an architecture, edges sorted by caller.

    Attributes
    ----------
    order, start : (n,), (n_strong + 1,) int64
        Components, callees first, and where each strong component begins.
    position : (n,) int64
        Place of each component in ``order``.
    edge : (n_edges,) int64
        Row of ``arch.graph`` behind each sorted edge.
    ptr, target, source : CSR of the out-edges.
    in_ptr, in_edge : CSR of the in-edges, as sorted edge numbers.
    places : (n,) int64
        Waiting places, -1 without bound.
    law : (n,) int64
        0 M/M/c, 1 delay, 2 state-dependent rates.
    rate_first, rates : (n,) int64, (n_rates,) float64
        Completion rates ``X(1..servers)`` of state-dependent stations.
    """

    arch: Architecture
    n: int
    order: Index
    position: Index
    start: Index
    edge: Index
    ptr: Index
    target: Index
    source: Index
    in_ptr: Index
    in_edge: Index
    calls: Array
    sync: Flags
    latency: Array
    timeout: Array
    retries: Index
    backoff: Array
    budget: Array
    stage: Index
    required: Flags
    group: Index
    policy: Index
    external: Array
    service: Array
    scv: Array
    cpu: Array
    host: Index
    servers: Index
    replicas: Index
    spread: Index
    blocking: Flags
    places: Index
    law: Index
    rate_first: Index
    rates: Array
    arrival_scv: Array
    available: Flags
    rate_limit: Array

    @property
    def names(self) -> Any:
        """Component names."""
        return self.arch.names


#: Calls from which arrays are shared with the graph instead of copied.
_SHARED = 100_000


def _by_edge(values: NDArray[Any], edge: Index, ordered: bool) -> NDArray[Any]:
    """Return values in the order of the network's edges, without a copy of a large array where none is needed.

    Nothing writes to these arrays. A large one that needs no sorting is the memory behind the graph's read-only view:
    kernels are compiled for writeable arrays only.
    """
    if values.size < _SHARED:
        return values[edge]
    first = values[0]
    whole = values.base
    if whole is not None and whole.size == values.size and whole.flags.writeable:
        same = np.isnan(values).all() if values.dtype == np.float64 and np.isnan(first) else (values == first).all()
        if ordered or same:
            return whole
    return values[edge]


def build_network(arch: Architecture) -> Network:
    """Sort the edges and collect the station parameters of an architecture."""
    graph, columns = arch.graph, arch.component_columns
    n, m = graph.n, graph.n_edges
    key = graph.source * n + graph.target if n < 3_000_000_000 else graph.source
    ordered = not m or not (np.diff(graph.source) < 0).any()
    edge = np.arange(m) if ordered else np.argsort(key, kind="stable")
    source, target = _by_edge(graph.source, edge, ordered), _by_edge(graph.target, edge, ordered)
    ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=n), out=ptr[1:])
    in_edge = np.argsort(target, kind="stable").astype(np.int64)
    in_ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(target, minlength=n), out=in_ptr[1:])
    order, start = strong_components(ptr, np.ascontiguousarray(target))
    position = np.empty(n, np.int64)
    position[order] = np.arange(n)
    law_name = columns.column("law")
    servers = np.ascontiguousarray(columns.column("servers"), np.int64).copy()
    law = np.zeros(n, np.int64)
    if "law" in columns.data:
        law[law_name == "delay"] = 1
        law[np.isin(law_name.astype(str), ["usl", "tabulated", "memory"])] = 2
    places = np.ascontiguousarray(columns.column("queue_capacity"), np.int64).copy()
    special = np.flatnonzero((law == 2) | ((places >= 0) & (law == 0)))
    rate_first = np.zeros(n, np.int64)
    pieces: list[Array] = []
    filled = 0
    for i in special.tolist():
        table, limit = state_rates(arch.components[i])
        rate_first[i] = filled
        servers[i] = table.size
        if limit is not None:
            places[i] = limit if places[i] < 0 else min(places[i], limit)
        pieces.append(table)
        filled += table.size
    host = np.full(n, -1, np.int64)
    if arch.hosts and "host" in columns.data:
        number = {h.name: k for k, h in enumerate(arch.hosts)}
        host = np.array([-1 if name is None else number[name] for name in columns.column("host")], np.int64)
    spread = np.zeros(n, np.int64)
    if "balancing" in columns.data:
        spread = np.array([_SPREAD[b] for b in columns.column("balancing")], np.int64)
    arrival_scv = np.ones(n)
    for load in arch.loads:
        if load.rate_per_s and load.arrival_scv != 1.0:
            i = arch.index[load.entry]
            arrival_scv[i] += (load.arrival_scv - 1.0) * load.rate_per_s / graph.rate_per_s[i]
    limit_column = columns.column("rate_limit_per_s")

    def flat(values: NDArray[Any], dtype: type) -> NDArray[Any]:
        return np.ascontiguousarray(values, dtype)

    return Network(
        arch=arch,
        n=n,
        order=order,
        position=position,
        start=start,
        edge=flat(edge, np.int64),
        ptr=ptr,
        target=target,
        source=source,
        in_ptr=in_ptr,
        in_edge=in_edge,
        calls=_by_edge(graph.calls, edge, ordered),
        sync=_by_edge(graph.sync, edge, ordered),
        latency=_by_edge(graph.latency_s, edge, ordered),
        timeout=_by_edge(graph.timeout_s, edge, ordered),
        retries=_by_edge(graph.retries, edge, ordered),
        backoff=_by_edge(graph.backoff_s, edge, ordered),
        budget=_by_edge(graph.retry_budget, edge, ordered),
        stage=_by_edge(graph.stage, edge, ordered),
        required=_by_edge(graph.required, edge, ordered),
        group=_by_edge(graph.group, edge, ordered),
        policy=_by_edge(graph.policy, edge, ordered),
        external=flat(graph.rate_per_s, np.float64),
        service=flat(columns.column("service_time_s"), np.float64),
        scv=flat(columns.column("service_scv"), np.float64),
        cpu=np.nan_to_num(flat(columns.column("cpu_s"), np.float64)),
        host=host,
        servers=servers,
        replicas=flat(columns.column("replicas"), np.int64),
        spread=spread,
        blocking=flat(columns.column("blocking"), np.bool_),
        places=places,
        law=law,
        rate_first=rate_first,
        rates=np.concatenate(pieces) if pieces else np.ones(1),
        arrival_scv=arrival_scv,
        available=flat(columns.column("available"), np.bool_),
        rate_limit=np.where(np.isnan(limit_column), np.inf, limit_column),
    )
