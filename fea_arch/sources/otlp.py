"""OpenTelemetry traces: OTLP as JSON (one object, JSON lines, Tempo's ``batches``) and as protobuf."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from fea_arch.architecture.container import Architecture
from fea_arch.errors import MissingExtraError, ModelError
from fea_arch.sources.loading import (
    MAX_BYTES,
    MAX_STREAM_BYTES,
    line_parser,
    load_json,
    open_lines,
    read_bytes,
    uncollected,
)
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.span_architecture import build
from fea_arch.sources.spans import CLIENT, PRODUCER, SpanLog

__all__ = ["SOURCE", "read_otlp"]

_KINDS: dict[Any, int] = {
    **{i: i for i in range(6)},
    **{
        f"SPAN_KIND_{word}": i
        for i, word in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
    },
}
#: Attributes with which a caller names its callee, best first.
_PEERS = ("peer.service", "service.peer.name", "db.system.name", "db.system", "messaging.system")
_GROUPS = ("resourceSpans", "batches", "resource_spans")
_SCOPES = ("scopeSpans", "instrumentationLibrarySpans", "scope_spans")


def read_otlp(path: str | Path, *, by: str = "service", max_bytes: int | None = None) -> Architecture:
    """Read OpenTelemetry traces.

    Parameters
    ----------
    path : str or Path
        OTLP/JSON as one object, as JSON lines (the collector's file exporter) or as Tempo returns it, or OTLP
        protobuf (one message, or messages with a length before each); gzip is unpacked. JSON lines are read in
        bounded memory per line.
    by : {"service", "operation"}
        What becomes a component.
    max_bytes : int, optional
        Largest unpacked size [bytes].

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not OTLP, no usable span, too large.
    MissingExtraError
        Protobuf without the ``otlp`` extra.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> def span(i, parent, service, start, end, kind):
    ...     attribute = {"key": "service.name", "value": {"stringValue": service}}
    ...     s = {"traceId": "a", "spanId": i, "parentSpanId": parent, "name": "get", "kind": kind,
    ...          "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    ...     return {"resource": {"attributes": [attribute]}, "scopeSpans": [{"spans": [s]}]}
    >>> rows = [span("1", "", "web", 0, 10_000_000, 2), span("2", "1", "db", 2_000_000, 8_000_000, 2)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "traces.json"
    ...     _ = file.write_text(json.dumps({"resourceSpans": rows}))
    ...     arch = read_otlp(file)
    >>> arch["web"].service_time_s, arch["db"].service_time_s
    (0.004, 0.006)
    """
    log = SpanLog()
    limit = MAX_BYTES if max_bytes is None else max_bytes
    with uncollected():
        if _is_protobuf(path):
            _take_protobuf(read_bytes(path, max_bytes=limit), log, path)
        elif not _take_lines(path, log, MAX_STREAM_BYTES if max_bytes is None else max_bytes):
            _take(load_json(path, max_bytes=limit), log, path, None)
    return build(log, path, by=by, what="OTLP")


def _is_protobuf(path: str | Path) -> bool:
    for _, line in open_lines(path):
        return outline(line[:4096]).form in ("binary", "text") and line.lstrip()[:1] not in b"{["
    return False


def _take_lines(path: str | Path, log: SpanLog, limit: int) -> bool:
    """Read JSON lines; return False if the first line is not a whole document."""
    parse = line_parser(path)
    failed: ModelError | None = None
    for number, line in open_lines(path, max_bytes=limit):
        if failed is not None:
            raise failed
        try:
            document = parse(line, number)
        except ModelError as error:
            if not log.trace and not log.counts:
                return False
            failed = error  # forgiven if nothing follows: a file that is being written
            continue
        _take(document, log, path, number)
    if failed is not None:
        log.count("cut off")
    return True


def _take(document: Any, log: SpanLog, path: str | Path, line: int | None) -> None:
    """Append the spans of one document."""
    try:
        inner = document.get("trace") or document.get("data") or document
        key = next((g for g in _GROUPS if g in inner), None)
        if key is None:
            if any(k in document for k in ("resourceLogs", "resourceMetrics")):
                return  # a file may hold other signals too
            raise ModelError("is not OTLP: no resourceSpans", path=str(path), line=line, fix='{"resourceSpans": [...]}')
        for group in inner[key] or ():
            service = _service(group)
            scopes = next((group[s] for s in _SCOPES if s in group), None)
            for scope in scopes or ():
                _take_spans(scope.get("spans") or (), log, service)
    except ModelError:
        raise
    except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ModelError(
            f"is not OTLP: {type(error).__name__} {error}", path=str(path), line=line, fix='{"resourceSpans": [...]}'
        ) from error


def _service(group: dict[str, Any]) -> int | str:
    attributes = (group.get("resource") or {}).get("attributes") or ()
    for item in attributes:
        if item.get("key") == "service.name":
            return str((item.get("value") or {}).get("stringValue") or "unknown_service")
    return "unknown_service"


def _take_spans(spans: Any, log: SpanLog, service_name: Any) -> None:
    """Append the spans of one scope: column by column where all are complete, else one by one."""
    service, names, kinds = log.service_row(service_name), log.names, _KINDS
    first = len(log.trace)
    try:
        traces, ids = [s["traceId"] for s in spans], [s["spanId"] for s in spans]
        starts, ends = [int(s["startTimeUnixNano"]) for s in spans], [int(s["endTimeUnixNano"]) for s in spans]
        kind = [kinds[s["kind"]] for s in spans]
        name = [names[w] if (w := s["name"]) in names else log.name_row(w) for s in spans]
        parents = [s.get("parentSpanId") for s in spans]
        whole = all(traces) and all(ids) and all(ends) and (not starts or min(starts) >= 0)
    except (KeyError, ValueError, TypeError, OverflowError):
        whole = False
    if not whole:
        _take_one_by_one(spans, log, service)
        return
    log.trace += traces
    log.span += ids
    log.parent += parents
    log.start += starts
    log.end += ends
    log.kind += kind
    log.service += [service] * len(traces)
    log.name += name
    for row, (sort, span) in enumerate(zip(kind, spans), first):
        if sort == CLIENT or sort == PRODUCER or "links" in span:  # noqa: SIM109 (the inner loop of reading)
            _take_extras(span, log, row, sort)


def _take_one_by_one(spans: Any, log: SpanLog, service: int) -> None:
    for span in spans:
        if not isinstance(span, dict):
            raise TypeError("a span is not an object")
        trace, own, parent = span.get("traceId"), span.get("spanId"), span.get("parentSpanId")
        try:
            start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            name, kind = log.name_row(span.get("name")), _KINDS.get(span.get("kind"), 0)
        except (KeyError, ValueError, TypeError, OverflowError):
            start, end, name, kind = -1, 0, 0, 0
        if not trace or not own or end == 0 or start < 0:
            log.leave_out(trace, own, parent)
            continue
        row = len(log.trace)
        log.trace.append(trace)
        log.span.append(own)
        log.parent.append(parent)
        log.start.append(start)
        log.end.append(end)
        log.kind.append(kind)
        log.service.append(service)
        log.name.append(name)
        _take_extras(span, log, row, kind)


def _take_extras(span: dict[str, Any], log: SpanLog, row: int, kind: int) -> None:
    """Take what few spans have: the name of the callee and links."""
    if kind in (CLIENT, PRODUCER):
        found = None
        for item in span.get("attributes") or ():
            if item["key"] in _PEERS:
                found = found or {}
                found[item["key"]] = (item.get("value") or {}).get("stringValue")
        if found:
            peer = next((found[k] for k in _PEERS if found.get(k)), None)
            if peer:
                log.peer[row] = log.service_row(peer)
    for link in span.get("links") or ():
        log.links.append((row, link.get("traceId"), link.get("spanId")))


def _take_protobuf(content: bytes, log: SpanLog, path: str | Path) -> None:
    try:
        message = import_module("opentelemetry.proto.trace.v1.trace_pb2").TracesData
        errors = import_module("google.protobuf.message")
    except ImportError:
        raise MissingExtraError("opentelemetry-proto", "otlp") from None
    try:
        for part in _messages(content):
            data = message()
            data.ParseFromString(part)
            for group in data.resource_spans:
                service = next((a.value.string_value for a in group.resource.attributes if a.key == "service.name"), "")
                for scope in group.scope_spans:
                    for span in scope.spans:
                        _take_message(span, log, service or "unknown_service")
    except (errors.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ModelError(f"is not OTLP protobuf: {error}", path=str(path), fix="a TracesData message") from error


def _take_message(span: Any, log: SpanLog, service: str) -> None:
    if not span.span_id or not span.end_time_unix_nano:
        log.count("incomplete")
        return
    peer = None
    if span.kind in (CLIENT, PRODUCER):
        named = {a.key: a.value.string_value for a in span.attributes if a.key in _PEERS}
        peer = next((named[k] for k in _PEERS if named.get(k)), None)
    row = log.add(
        span.trace_id,
        span.span_id,
        span.parent_span_id or None,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=span.kind if 0 <= span.kind <= 5 else 0,
        service=service,
        name=span.name,
        peer=peer,
    )
    log.links += [(row, x.trace_id, x.span_id) for x in span.links]


def _messages(content: bytes) -> list[bytes]:
    """Split messages with a four-byte length before each; a single message starts with field 1 (0x0a)."""
    if content[:1] == b"\x0a":
        return [content]
    parts, at = [], 0
    while at + 4 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if size == 0 or at + 4 + size > len(content):
            return [content]
        parts.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return parts if at == len(content) else [content]


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form == "object":
        if look.any("resourceSpans", "resource_spans", "trace.resourceSpans", "data.resourceSpans"):
            return 1.0
        return 0.95 if look.any("batches[].scopeSpans", "batches[].instrumentationLibrarySpans", "batches") else 0.0
    if look.form == "binary" or head[:1] == b"\x0a":
        # a length-delimited field 1 with a resource (field 1) inside
        framed = head[4:5] == b"\x0a" and b"service.name" in head[:4096]
        return 0.8 if head[:1] == b"\x0a" and b"service.name" in head[:4096] else 0.75 if framed else 0.0
    return 0.0


SOURCE = Source("otlp", _sniff, read_otlp, "OpenTelemetry traces (OTLP JSON, JSON lines, protobuf)")
