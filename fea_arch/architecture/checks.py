"""Checks of a description: errors stop an analysis, warnings and infos do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.findings import Finding
from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.architecture.container import Architecture

__all__ = ["findings", "require_valid"]


def findings(arch: Architecture) -> list[Finding]:
    """Return every finding, worst first; reader notes are included."""
    found = [*_boundary_conditions(arch), *_reachability(arch), *_dependencies(arch), *_memory(arch), *_numbers(arch)]
    found += list(arch.notes)
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda f: order[f.level])


def require_valid(arch: Architecture) -> None:
    """Raise for the first error of :func:`findings` that stops an analysis.

    Raises
    ------
    ModelError
        Naming the component, the field and the fix; all errors are listed.
    """
    errors = [f for f in (*_boundary_conditions(arch), *_dependencies(arch)) if f.level == "error"]
    if errors:
        first, rest = errors[0], errors[1:]
        more = f" ({len(rest)} more: {'; '.join(str(r) for r in rest[:4])})" if rest else ""
        raise ModelError(
            first.message + more, component=first.component or None, field=first.field or None, fix=first.fix or None
        )


def _boundary_conditions(arch: Architecture) -> list[Finding]:
    if len(arch) == 0:
        return [Finding("error", "the architecture has no components", field="components", fix="add a component")]
    if not arch.loads:
        return [
            Finding(
                "error",
                "nothing loads the architecture",
                field="loads",
                fix="add fa.Load(entry, rate_per_s=...) or users=...",
            )
        ]
    zero = all((load.rate_per_s == 0.0) for load in arch.loads if load.rate_per_s is not None) and not any(
        load.closed for load in arch.loads
    )
    found = [Finding("warning", "all loads are zero", field="loads", fix="state an arrival rate")] if zero else []
    down = ~arch.component_columns.column("available")
    for load in arch.loads:
        if down[arch.index[load.entry]]:
            found.append(
                Finding(
                    "error",
                    "a load enters at a component that is not available",
                    load.entry,
                    "loads",
                    "start the component or move the load",
                )
            )
    if arch.objective.latency_s is None:
        found.append(
            Finding(
                "info",
                "no latency objective is stated; scores use the default of 1 s",
                field="objective",
                fix="fa.Objective(latency_s=...)",
            )
        )
    return found


def _reachability(arch: Architecture) -> list[Finding]:
    reached = np.zeros(len(arch), bool)
    for load in arch.loads:
        reached[arch.index[load.entry]] = True
    graph = arch.graph
    live = graph.calls > 0
    _spread(reached, graph.source[live], graph.target[live])
    lost = np.flatnonzero(~reached & arch.component_columns.column("available"))
    if not lost.size or not arch.loads:
        return []
    shown = ", ".join(arch.names[i] for i in lost[:5]) + (" ..." if lost.size > 5 else "")
    return [
        Finding(
            "warning",
            f"no load reaches {lost.size} components: {shown}",
            arch.names[lost[0]],
            "dependencies",
            "add the missing dependency or load, or remove the component",
            count=int(lost.size),
        )
    ]


def _spread(reached: NDArray[np.bool_], source: NDArray[np.int64], target: NDArray[np.int64]) -> None:
    """Mark everything that calls reach, in place; every edge is looked at once."""
    order = np.argsort(source, kind="stable")
    callee = target[order]
    start = np.searchsorted(source[order], np.arange(len(reached) + 1))
    front = np.flatnonzero(reached)
    while front.size:
        if front.size < 16:  # long thin paths: numpy calls would cost more than the work
            stack = front.tolist()
            while stack and len(stack) < 64:
                i = stack.pop()
                for j in callee[start[i] : start[i + 1]].tolist():
                    if not reached[j]:
                        reached[j] = True
                        stack.append(j)
            front = np.array(stack, np.int64)
            continue
        counts = start[front + 1] - start[front]
        ends = np.cumsum(counts)
        place = np.arange(int(ends[-1])) + np.repeat(start[front] - ends + counts, counts)
        found = callee[place]
        front = np.unique(found[~reached[found]])
        reached[front] = True


def _dependencies(arch: Architecture) -> list[Finding]:
    graph, found = arch.graph, []

    def label(edge: int) -> str:
        return f"{arch.names[graph.source[edge]]}->{arch.names[graph.target[edge]]}"

    for edge in np.flatnonzero((graph.retries > 0) & np.isnan(graph.timeout_s))[:20]:
        found.append(
            Finding(
                "warning", "retries without a time-out only follow errors", label(edge), "timeout_s", "state timeout_s"
            )
        )
    for edge in np.flatnonzero((graph.source == graph.target) & (graph.calls >= 1.0))[:20]:
        found.append(
            Finding(
                "error",
                f"a component calls itself {graph.calls[edge]:g} times a request: its load never ends",
                label(edge),
                "calls",
                "a self-call ratio below 1",
            )
        )
    down = ~arch.component_columns.column("available")
    for edge in np.flatnonzero(down[graph.target] & graph.required & ~down[graph.source])[:20]:
        found.append(
            Finding(
                "warning",
                "requires a component that is not available",
                label(edge),
                "required",
                "start it, or make the dependency optional (required=False)",
            )
        )
    return found


def _memory(arch: Architecture) -> list[Finding]:
    columns = arch.component_columns
    resident, limit = columns.column("memory_bytes"), columns.column("memory_limit_bytes")
    found = []
    for i in np.flatnonzero(resident >= limit)[:20]:
        found.append(
            Finding(
                "error",
                f"resident memory {resident[i]:.4g} B is at or above the limit {limit[i]:.4g} B",
                arch.names[i],
                "memory_limit_bytes",
                "raise the limit",
            )
        )
    budget = arch.objective.memory_bytes
    total = float(np.nansum(np.where(columns.column("available"), resident * columns.column("replicas"), 0.0)))
    if budget is not None and total > budget:
        found.append(
            Finding(
                "warning",
                f"resident memory of all components is {total:.4g} B, above the budget of {budget:.4g} B",
                field="memory_bytes",
                fix="stop components or raise the budget",
            )
        )
    return found


def _numbers(arch: Architecture) -> list[Finding]:
    codes = arch.component_columns.codes("service_time_s")
    assumed = np.flatnonzero(codes == 0)
    if not assumed.size:
        return []
    return [
        Finding(
            "info",
            f"the service time of {assumed.size} of {len(arch)} components is assumed, not measured",
            arch.names[assumed[0]],
            "service_time_s",
            "overlay measurements: fea-arch measure, arch.measured(...)",
            count=int(assumed.size),
        )
    ]
