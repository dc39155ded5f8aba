"""Jaeger traces, as its query API and its user interface write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture.container import Architecture
from fea_arch.errors import ModelError
from fea_arch.sources.loading import MAX_BYTES, load_json, uncollected
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.span_architecture import build
from fea_arch.sources.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, SpanLog

__all__ = ["SOURCE", "read_jaeger"]

_KINDS = {"client": CLIENT, "server": SERVER, "producer": PRODUCER, "consumer": CONSUMER, "internal": INTERNAL}
_PEERS = ("peer.service", "db.system", "db.type")


def read_jaeger(path: str | Path, *, by: str = "service", max_bytes: int = MAX_BYTES) -> Architecture:
    """Read Jaeger traces.

    Parameters
    ----------
    path : str or Path
        JSON of the query API (``{"data": [trace, ...]}``), a list of traces, or one trace; gzip is unpacked.
    by : {"service", "operation"}
        What becomes a component.
    max_bytes : int
        Largest unpacked size [bytes].

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not Jaeger JSON, no usable span, too large.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> span = {"traceID": "t", "spanID": "1", "processID": "p", "startTime": 0, "duration": 5000}
    >>> trace = {"traceID": "t", "processes": {"p": {"serviceName": "web"}}, "spans": [span]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "traces.json"
    ...     _ = file.write_text(json.dumps({"data": [trace]}))
    ...     read_jaeger(file)["web"].service_time_s
    0.005
    """
    with uncollected():
        document = load_json(path, max_bytes=max_bytes)
    log = SpanLog()
    try:
        for trace in _traces(document, path):
            _take(trace, log)
    except ModelError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"is not Jaeger JSON: {type(error).__name__} {error}", path=str(path), fix='{"data": [trace, ...]}'
        ) from error
    return build(log, path, by=by, what="Jaeger")


def _traces(document: Any, path: str | Path) -> list[Any]:
    if isinstance(document, Mapping):
        document = document.get("data", [document])
    if isinstance(document, Mapping):
        document = [document]
    if not isinstance(document, list) or not all(isinstance(t, Mapping) and "spans" in t for t in document):
        raise ModelError("is not Jaeger JSON: no traces with spans", path=str(path), fix='{"data": [trace, ...]}')
    return document


def _take(trace: Mapping[str, Any], log: SpanLog) -> None:
    processes = trace.get("processes") or {}
    for span in trace["spans"] or ():
        process = span.get("process") or processes.get(span.get("processID")) or {}
        try:
            start, duration = int(span["startTime"]), int(span["duration"])
            own, of = span["spanID"], span.get("traceID") or trace["traceID"]
        except (KeyError, ValueError, TypeError, OverflowError):
            parent = _references(span, span.get("traceID"))[0]
            log.leave_out(span.get("traceID") or trace.get("traceID"), span.get("spanID"), parent)
            continue
        tags = {t.get("key"): t.get("value") for t in span.get("tags") or ()}
        kind = _KINDS.get(str(tags.get("span.kind", "")).lower(), 0)
        parent, follows, links = _references(span, of)
        peer = next((tags[k] for k in _PEERS if tags.get(k)), None) if kind in (CLIENT, PRODUCER) else None
        if str(tags.get("error", "")).lower() == "true":
            log.count("errors")
        row = log.add(
            of,
            own,
            parent,
            start_ns=1000 * start,
            end_ns=1000 * (start + duration),
            kind=kind,
            service=process.get("serviceName"),
            name=span.get("operationName"),
            peer=peer,
            follows=follows,
        )
        log.links += [(row, t, s) for t, s in links]


def _references(span: Mapping[str, Any], trace: Any) -> tuple[Any, bool, list[tuple[Any, Any]]]:
    """Return the parent, whether it only precedes the span, and the references that are links."""
    waiting: list[tuple[Any, Any]] = []
    before: list[tuple[Any, Any]] = []
    for item in span.get("references") or ():
        (before if item.get("refType") == "FOLLOWS_FROM" else waiting).append((item.get("traceID"), item.get("spanID")))
    own = [r for r in waiting if r[0] in (trace, None)]
    if own:
        return own[0][1], False, [r for r in waiting if r is not own[0]] + before
    near = [r for r in before if r[0] in (trace, None)]
    if near:
        return near[0][1], True, waiting + [r for r in before if r is not near[0]]
    return span.get("parentSpanID") or None, False, waiting + before


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form not in ("object", "array"):
        return 0.0
    for base in ("data[].", "[].", "", "data."):
        if look.has(f"{base}spans") or (look.has(f"{base}processes") and look.has(f"{base}traceID")):
            sure = look.any(f"{base}traceID", f"{base}processes", f"{base}spans[].spanID")
            return 0.95 if sure else 0.4
        if look.any(f"{base}processes.S.serviceName") or (base == "data[]." and look.has(f"{base}processes")):
            return 0.7
    return 0.0


SOURCE = Source("jaeger", _sniff, read_jaeger, "Jaeger traces (query API JSON)")
