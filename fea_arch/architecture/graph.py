"""The architecture as arrays: one row per component, one row per call edge.

This is the common ground of meshing, analyses and the event simulation; balancers are expanded into one edge per
target that share a group number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError, suggestion

if TYPE_CHECKING:
    from fea_arch.architecture.container import Architecture
    from fea_arch.architecture.dependency import Balancer, Breaker

__all__ = ["POLICY_LEAST_OUTSTANDING", "POLICY_NONE", "POLICY_ROUND_ROBIN", "POLICY_WEIGHTED", "Graph", "build_graph"]

POLICY_NONE, POLICY_ROUND_ROBIN, POLICY_WEIGHTED, POLICY_LEAST_OUTSTANDING = 0, 1, 2, 3
_POLICY = {
    "round_robin": POLICY_ROUND_ROBIN,
    "weighted": POLICY_WEIGHTED,
    "least_outstanding": POLICY_LEAST_OUTSTANDING,
}

Index = NDArray[np.int64]
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Graph:
    """Call edges and loads by number.

    Attributes
    ----------
    n : int
        Number of components.
    source, target : (n_edges,) int64
        Component numbers.
    calls : (n_edges,) float64
        Expected calls per request of the source; balancer edges carry calls times share.
    sync, cancel, required : (n_edges,) bool
    latency_s, timeout_s, backoff_s, retry_budget : (n_edges,) float64
        NaN where not given (timeout, budget).
    retries, stage : (n_edges,) int64
        Stage -1: sequential.
    group : (n_edges,) int64
        Balancer number, -1 for plain dependencies.
    policy : (n_edges,) int64
        ``POLICY_*`` of the balancer.
    dependency : (n_edges,) int64
        Row in ``arch.dependencies`` columns, or balancer number where ``group >= 0``.
    breakers : sequence of Breaker or None
        One entry per edge, or empty when no edge has one.
    rate_per_s : (n,) float64
        Open arrivals at each component, all open loads added.
    """

    n: int
    source: Index
    target: Index
    calls: Array
    sync: Flags
    cancel: Flags
    required: Flags
    latency_s: Array
    timeout_s: Array
    backoff_s: Array
    retry_budget: Array
    retries: Index
    stage: Index
    group: Index
    policy: Index
    dependency: Index
    breakers: Sequence[Breaker | None]
    rate_per_s: Array

    @property
    def n_edges(self) -> int:
        """Number of call edges."""
        return int(self.source.size)


def numbered(arch: Architecture) -> tuple[Index, Index]:
    """Return source and target of the plain dependencies as component numbers, each (n_dependencies,) int64.

    Raises
    ------
    ModelError
        For a name that is not a component.
    """
    rows, index = arch.dependency_columns, arch.index
    known = rows.cache.get("numbers")
    if known is not None and known[0] is index:
        return known[1], known[2]
    names, coded = rows.numbers or (None, {})
    own = arch.component_columns.data.get("name")
    same = names is not None and own is not None and (names is own or np.array_equal(names, own))
    pair = tuple(
        coded[end] if same and end in coded else _numbers(rows.column(end), index, end) for end in ("source", "target")
    )
    rows.cache["numbers"] = (index, *pair)
    return pair[0], pair[1]


def _numbers(names: NDArray[np.object_], index: dict[str, int], field: str) -> Index:
    try:
        return np.fromiter(map(index.__getitem__, names.tolist()), np.int64, len(names))
    except KeyError as error:
        name = error.args[0]
        raise ModelError(
            f"dependency {field} {name!r} is not a component.{suggestion(name, index)}",
            component=str(name),
            field=field,
            fix="add the component or correct the name",
        ) from None


def build_graph(arch: Architecture) -> Graph:
    """Number components and expand balancers.

    Raises
    ------
    ModelError
        For a dependency or load that names an unknown component.
    """
    index = arch.index
    rows = arch.dependency_columns
    balancers: tuple[Balancer, ...] = arch.balancers
    reach = [(b, g, i, share) for g, b in enumerate(balancers) for i, share in zip(b.targets, b.shares())]
    m, extra = len(rows), len(reach)

    shared: dict[str, NDArray[np.generic]] = {}

    def joined(name: str, dtype: type, blank: float = np.nan) -> NDArray[np.generic]:
        head = rows.column(name)
        tail = [getattr(b, name) for b, _, _, _ in reach]
        tail = [blank if v is None else v for v in tail]
        if tail or name in rows.data or not m:
            return np.ascontiguousarray(np.concatenate([np.asarray(head, dtype), np.asarray(tail, dtype)]))
        # columns that nobody filled in share one array: they are read-only
        key = f"{np.dtype(dtype)} {head[0]}"
        if key not in shared:
            shared[key] = np.full(m, head[0], dtype)
        return shared[key]

    rate = np.zeros(len(index))
    for load in arch.loads:
        if load.rate_per_s is not None:
            rate[index[load.entry]] += load.rate_per_s
    rate.setflags(write=False)
    built = rows.cache.get("graph")
    if built is not None and built[0] is index and built[1] is balancers:
        same: Graph = replace(built[2], rate_per_s=rate)
        return same
    row_source, row_target = numbered(arch)
    source = np.concatenate([row_source, _numbers(np.array([b.source for b, *_ in reach], object), index, "source")])
    target = np.concatenate([row_target, _numbers(np.array([t for _, _, t, _ in reach], object), index, "targets")])
    calls = np.concatenate([np.asarray(rows.column("calls"), float), [b.calls * share for b, _, _, share in reach]])
    mode = np.concatenate(
        [np.asarray(rows.column("mode") == "sync", bool), np.array([b.mode == "sync" for b, *_ in reach], bool)]
    )
    breakers: list[Breaker | None] = []
    if "breaker" in rows.data or any(b.breaker is not None for b in balancers):
        breakers = [*rows.column("breaker"), *(b.breaker for b, *_ in reach)]
        breakers = breakers if any(b is not None for b in breakers) else []
    graph = Graph(
        n=len(index),
        source=source,
        target=target,
        calls=calls,
        sync=mode,
        cancel=joined("cancel_on_timeout", bool),  # type: ignore[arg-type]
        required=joined("required", bool),  # type: ignore[arg-type]
        latency_s=joined("network_latency_s", float),  # type: ignore[arg-type]
        timeout_s=joined("timeout_s", float),  # type: ignore[arg-type]
        backoff_s=joined("backoff_s", float),  # type: ignore[arg-type]
        retry_budget=joined("retry_budget", float),  # type: ignore[arg-type]
        retries=joined("retries", np.int64),  # type: ignore[arg-type]
        stage=joined("stage", np.int64, -1),  # type: ignore[arg-type]
        group=np.concatenate([np.full(m, -1, np.int64), np.array([g for _, g, _, _ in reach], np.int64)]),
        policy=np.concatenate(
            [np.full(m, POLICY_NONE, np.int64), np.array([_POLICY[b.policy] for b, *_ in reach], np.int64)]
        ),
        dependency=np.concatenate([np.arange(m), np.array([g for _, g, _, _ in reach], np.int64)]),
        breakers=breakers,
        rate_per_s=rate,
    )
    assert extra + m == graph.n_edges
    for name, value in vars(graph).items():
        if isinstance(value, np.ndarray):
            view = value.view()
            view.setflags(write=False)
            object.__setattr__(graph, name, view)
    rows.cache["graph"] = (index, balancers, graph)
    return graph
