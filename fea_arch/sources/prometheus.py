"""Prometheus query results: service graphs, Istio, cAdvisor and kube-state metrics.

A file holds one saved answer of ``/api/v1/query`` or ``/api/v1/query_range``, or several: a list of them, a mapping
of query to answer, or JSON objects one a line. Which metric a series belongs to is told by its name, or by the query
where ``rate()`` has taken the name away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.sources.loading import parse_json, read_text
from fea_arch.sources.mesh_metrics import from_series
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source

__all__ = ["QUERIES", "SOURCE", "Series", "answers_of", "read_prometheus", "series_of"]

#: Metrics that are understood; a counter is asked for as a rate.
COUNTERS = (
    "traces_service_graph_request_total",
    "traces_service_graph_request_failed_total",
    "traces_service_graph_request_server_seconds_sum",
    "traces_service_graph_request_server_seconds_count",
    "traces_service_graph_request_server_seconds_bucket",
    "istio_requests_total",
    "istio_request_duration_milliseconds_sum",
    "istio_request_duration_milliseconds_count",
    "istio_request_duration_milliseconds_bucket",
    "container_cpu_usage_seconds_total",
)
GAUGES = (
    "container_memory_working_set_bytes",
    "container_spec_memory_limit_bytes",
    "kube_pod_container_resource_limits",
    "kube_deployment_status_replicas",
    "kube_deployment_spec_replicas",
    "kube_statefulset_replicas",
)
QUERIES = (*(f"rate({name}[{{window}}])" for name in COUNTERS if not name.endswith("_bucket")), *GAUGES)
_KNOWN = re.compile(r"\b(" + "|".join(sorted((*COUNTERS, *GAUGES), key=len, reverse=True)) + r")\b")


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its metric, its labels and its value.

    Attributes
    ----------
    metric : str
    labels : mapping of str to str
    value : float
        A rate per second where ``is_rate``, else the value itself.
    is_rate : bool
    """

    metric: str
    labels: Mapping[str, str]
    value: float
    is_rate: bool


def read_prometheus(path: str | Path, *, rate_per_s: float | None = None) -> Architecture:
    """Read saved answers of the Prometheus HTTP API.

    Parameters
    ----------
    path : str or Path
    rate_per_s : float, optional
        Sum of the arrivals from outside [1/s]; default: as the rates say. Plain counters (saved without ``rate()``)
        hold no rate: 1/s is then assumed and noted.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not an answer of Prometheus, a failed query, no metric that is understood, a number that is none.

    Examples
    --------
    >>> import tempfile, pathlib, json
    >>> answer = {"status": "success", "data": {"resultType": "vector", "result": [
    ...     {"metric": {"client": "web", "server": "db"}, "value": [0, "12.5"]}]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "graph.json"
    ...     _ = file.write_text(json.dumps({"rate(traces_service_graph_request_total[5m])": answer}))
    ...     read_prometheus(file).loads[0].rate_per_s
    12.5
    """
    place = str(path)
    content = read_text(path)
    documents = _documents(content, path)
    found = [
        s
        for document in documents
        for query, answer in answers_of(document, place)
        for s in series_of(answer, query, place)
    ]
    return from_series(found, place, name=Path(path).stem or "prometheus", rate_per_s=rate_per_s)


def _documents(content: str, path: str | Path) -> list[Any]:
    """Return the JSON document of a text, or the documents of its lines."""
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines):
        return [parse_json(line, path, line=i) for i, line in enumerate(lines, 1)]
    return [parse_json(content, path)]


def answers_of(document: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (query, answer) of everything a document holds.

    Raises
    ------
    ModelError
        For anything that is not an answer of Prometheus.
    """
    if isinstance(document, list):
        for item in document:
            yield from answers_of(item, path)
    elif not isinstance(document, Mapping):
        raise ModelError("is not an answer of Prometheus", path=path, fix='{"status": "success", "data": ...}')
    elif "status" in document or "resultType" in document or "data" in document:
        query = document.get("query")
        yield query if isinstance(query, str) else "", document
    elif isinstance(document.get("response"), Mapping):
        yield str(document.get("query") or ""), document["response"]
    else:
        for query, answer in document.items():
            if not isinstance(answer, Mapping):
                raise ModelError("is not an answer of Prometheus", path=path, component=str(query)[:80])
            for inner, part in answers_of(answer, path):
                yield inner or str(query), part


def series_of(answer: Mapping[str, Any], query: str, path: str) -> Iterator[Series]:
    """Yield the series of one answer that are understood.

    Raises
    ------
    ModelError
        For a failed query or a malformed answer.
    """
    where = query[:120] or "answer"
    if answer.get("status", "success") != "success":
        raise ModelError(f"the query failed: {str(answer.get('error'))[:200]}", path=path, component=where)
    data = answer.get("data", answer)
    if not isinstance(data, Mapping) or not isinstance(data.get("result"), list):
        raise ModelError("has no list data.result", path=path, component=where, field="data.result")
    if data.get("resultType") not in ("vector", "matrix", None):
        raise ModelError(
            f"is a {str(data.get('resultType'))[:20]!r}",
            path=path,
            component=where,
            field="resultType",
            fix="vector or matrix",
        )
    named = _KNOWN.search(query)
    rated = bool(re.search(r"\b(i?rate|increase|deriv)\s*\(", query))
    for row in data["result"]:
        labels = row.get("metric") if isinstance(row, Mapping) else None
        if not isinstance(labels, Mapping):
            raise ModelError("a series has no labels", path=path, component=where, field="metric")
        metric = str(labels.get("__name__") or (named.group(1) if named else ""))
        if metric not in COUNTERS and metric not in GAUGES:
            continue
        value, is_rate = _value(row, metric in COUNTERS and not rated, path, metric)
        if value is not None:
            yield Series(metric, {str(k): str(v) for k, v in labels.items()}, value, rated or is_rate)


def _value(row: Mapping[str, Any], is_counter: bool, path: str, metric: str) -> tuple[float | None, bool]:
    """Return the value of a series: the last one, or the rate of a counter over its range."""
    samples = row.get("values") if "values" in row else [row.get("value")]
    if not isinstance(samples, list) or not samples:
        raise ModelError("a series has no value", path=path, component=metric, field="value")
    points = []
    for sample in samples:
        try:
            at, text = sample
            points.append((float(at), float(text)))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"a sample is {json.dumps(sample, default=str)[:80]}",
                path=path,
                component=metric,
                field="value",
                fix="[time, text]",
            ) from error
    number = points[-1][1]
    if is_counter and len(points) > 1 and points[-1][0] > points[0][0]:
        # a counter that falls was set back to zero in between
        grown = sum(b[1] - a[1] if b[1] >= a[1] else b[1] for a, b in zip(points, points[1:]))
        number = grown / (points[-1][0] - points[0][0])
        is_counter = False
        rate = True
    else:
        rate = False
    if number != number:  # Prometheus writes NaN for "no data in the window"
        return None, rate
    if not 0.0 <= number < float("inf"):
        raise ModelError(f"is {number!r}", path=path, component=metric, field="value", fix="a finite number >= 0")
    return number, rate


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form not in ("object", "array"):
        return 0.0
    places = [p for p in look.paths if p.rsplit(".", 1)[-1] in ("resultType", "result")]
    metric = any(p.endswith(("result[].metric", "result[].value", "result[].values")) for p in look.paths)
    return 0.95 if places and (metric or "resultType" in " ".join(places)) else 0.0


SOURCE = Source("prometheus", _sniff, read_prometheus, "saved answers of the Prometheus HTTP API")
