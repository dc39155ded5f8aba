"""Metrics of calls and containers -> Architecture: OpenTelemetry service graph, Istio, cAdvisor, kube-state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.sources.rates import Rates

__all__ = ["from_series", "workload_of"]

_GRAPH = "traces_service_graph_request_"
_OUTSIDE = ("", "user", "unknown", "external", "client")
_SKIPPED = ("", "POD", "istio-proxy", "istio-init", "linkerd-proxy")
_REPLICA = re.compile(
    r"-[a-f0-9]{6,10}-[a-z0-9]{5}$|-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[a-z0-9]{5}$|-[a-z0-9]{5}$|-\d{1,4}$"
)


class SeriesLike(Protocol):
    """What is needed of a series."""

    @property
    def metric(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...
    @property
    def is_rate(self) -> bool: ...


def workload_of(pod: str, known: Iterable[str] = ()) -> str:
    """Return the workload that a pod belongs to by its name.

    Examples
    --------
    >>> workload_of("cartservice-579f59597d-wc2lz"), workload_of("kafka-0"), workload_of("web")
    ('cartservice', 'kafka', 'web')
    """
    inside = [k for k in known if pod == k or pod.startswith(k + "-")]
    return max(inside, key=len) if inside else _REPLICA.sub("", pod) or pod


def from_series(
    series: Iterable[SeriesLike], path: str, *, name: str = "prometheus", rate_per_s: float | None = None
) -> Architecture:
    """Build an architecture from series.

    Parameters
    ----------
    series : iterable of Series
    path : str
        Where they come from, for messages.
    name : str
    rate_per_s : float, optional
        Sum of the arrivals from outside [1/s].

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        If no series tells of a component.
    """
    rows = list(series)
    calls = [s for s in rows if s.metric in (_GRAPH + "total", "istio_requests_total")]
    resources = [s for s in rows if s.metric.startswith(("container_", "kube_"))]
    if not calls and not resources:
        raise ModelError(
            "holds no metric that is understood",
            path=path,
            fix="traces_service_graph_request_total, istio_requests_total, container_memory_working_set_bytes, ...",
        )
    rates = Rates(name, path, "Prometheus", unit_known=all(s.is_rate for s in calls))
    reporter = _one_reporter(calls)
    failed = 0.0
    for s in calls:
        if s.metric.startswith("istio_") and s.labels.get("reporter", reporter) != reporter:
            continue
        source, target = _ends(s)
        if s.labels.get("response_code", "").startswith("5"):
            failed += s.value
        if target in _OUTSIDE:
            continue
        if source in _OUTSIDE:
            rates.part(target)
            rates.arrivals[target] = rates.arrivals.get(target, 0.0) + s.value
        else:
            mode = "async" if s.labels.get("connection_type") == "messaging_system" else "sync"
            rates.call(source, target, s.value, mode)
    failed += sum(s.value for s in rows if s.metric == _GRAPH + "failed_total")
    if failed > 0:
        rates.note("info", f"{failed:.4g} requests{'/s' if rates.unit_known else ''} failed", field="errors")
    _times(rows, reporter, rates)
    _containers(resources, rates)
    return rates.build(rate_per_s)


def _one_reporter(calls: list[SeriesLike]) -> str:
    seen = {s.labels.get("reporter") for s in calls}
    return "destination" if "destination" in seen else "source" if "source" in seen else ""


def _ends(s: SeriesLike) -> tuple[str, str]:
    if s.metric.startswith("istio_"):
        source = s.labels.get("source_workload") or s.labels.get("source_app") or ""
        target = (
            s.labels.get("destination_workload")
            or s.labels.get("destination_app")
            or s.labels.get("destination_service_name")
            or s.labels.get("destination_service", "").split(".")[0]
        )
        if target in _OUTSIDE:
            target = s.labels.get("destination_service_name", "")
        return source, target
    return s.labels.get("client", ""), s.labels.get("server", "")


def _times(rows: list[SeriesLike], reporter: str, rates: Rates) -> None:
    """Add mean response times of servers: sums over counts, or the middles of histogram buckets."""
    sums: dict[str, list[float]] = {}
    buckets: dict[str, dict[float, float]] = {}
    for s in rows:
        istio = s.metric.startswith("istio_request_duration_milliseconds_")
        if not istio and not s.metric.startswith(_GRAPH + "server_seconds_"):
            continue
        if istio and s.labels.get("reporter", reporter) != reporter:
            continue
        target = _ends(s)[1]
        if target in _OUTSIDE or target not in rates.parts:
            continue
        unit = 1e-3 if istio else 1.0
        entry = sums.setdefault(target, [0.0, 0.0])
        if s.metric.endswith("_sum"):
            entry[0] += s.value * unit
        elif s.metric.endswith("_count"):
            entry[1] += s.value
        else:
            try:
                edge = float(s.labels.get("le", "")) * unit
            except ValueError as error:
                raise ModelError(
                    f"is {s.labels.get('le')!r}",
                    path=rates.path,
                    component=s.metric,
                    field="le",
                    fix="a number or +Inf",
                ) from error
            table = buckets.setdefault(target, {})
            table[edge] = table.get(edge, 0.0) + s.value
    for target, (total, count) in sums.items():
        if total > 0 and count > 0:
            rates.respond(target, total, count)
        elif target in buckets:
            total, count = _from_buckets(buckets[target])
            if count > 0:
                rates.respond(target, total, count)
                rates.note(
                    "info",
                    "mean response time from the middles of histogram buckets",
                    target,
                    "service_time_s",
                    "save the _sum",
                )


def _from_buckets(table: Mapping[float, float]) -> tuple[float, float]:
    total = count = low = below = 0.0
    for edge in sorted(table):
        inside = max(table[edge] - below, 0.0)
        middle = 0.5 * (low + edge) if edge < float("inf") else low
        total, count, below = total + inside * middle, count + inside, table[edge]
        low = edge if edge < float("inf") else low
    return total, count


def _containers(resources: list[SeriesLike], rates: Rates) -> None:
    """Add memory, limits, replicas and CPU demand; values of a workload's pods are averaged."""
    names = list(rates.parts)
    pods: dict[str, dict[str, dict[str, float]]] = {}
    replicas: dict[str, int] = {}
    for s in resources:
        owner = s.labels.get("deployment") or s.labels.get("statefulset")
        if s.metric.startswith(("kube_deployment", "kube_statefulset")):
            if owner and s.value == int(s.value):
                replicas[owner] = max(replicas.get(owner, 0), int(s.value))
            continue
        pod, container = s.labels.get("pod") or s.labels.get("pod_name", ""), s.labels.get("container", "app")
        if not pod or container in _SKIPPED:
            continue
        kind = {
            "container_memory_working_set_bytes": "memory",
            "container_spec_memory_limit_bytes": "limit",
            "container_cpu_usage_seconds_total": "cpu" if s.is_rate else "",
        }.get(s.metric, {"memory": "limit", "cpu": "cpus"}.get(s.labels.get("resource", ""), ""))
        if kind:
            found = pods.setdefault(workload_of(pod, names), {}).setdefault(kind, {})
            # the limit is told by two exporters; memory and CPU add up over the containers of a pod
            found[pod] = max(found.get(pod, 0.0), s.value) if kind == "limit" else found.get(pod, 0.0) + s.value
    inflow = {n: rates.arrivals.get(n, 0.0) + sum(c.rate for (_, b), c in rates.calls.items() if b == n) for n in names}
    for name, kinds in pods.items():
        mean = {k: sum(v.values()) / len(v) for k, v in kinds.items() if v}
        count = replicas.get(name) or max((len(v) for v in kinds.values()), default=1)
        memory, limit = mean.get("memory"), mean.get("limit") or None
        if memory is not None and limit is not None and memory >= limit:
            rates.note("warning", "uses all of its memory limit; the limit is left out", name, "memory_limit_bytes")
            limit = None
        rates.measured(name, memory_bytes=memory, replicas=count)
        rates.measured(name, "declared", memory_limit_bytes=limit)
        if mean.get("cpus"):
            rates.measured(name, "declared", servers=max(1, round(mean["cpus"])))
        if "cpu" in mean and rates.unit_known and inflow.get(name, 0.0) > 0:
            demand = sum(kinds["cpu"].values()) / inflow[name]
            if name in rates.responses:
                rates.measured(name, cpu_s=demand)
            else:  # no time is known: the processor time is the least it can be
                rates.measured(name, cpu_s=demand, service_time_s=max(demand, 1e-6))
    for name, count in replicas.items():
        if name in rates.parts and name not in pods and count > 0:
            rates.measured(name, replicas=count)
        elif name in rates.parts and count == 0:
            rates.part(name, available=False)
