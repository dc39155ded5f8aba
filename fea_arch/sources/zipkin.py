"""Zipkin v2 spans, as its API and its reporters write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture.container import Architecture
from fea_arch.errors import ModelError
from fea_arch.sources.loading import MAX_BYTES, MAX_STREAM_BYTES, line_parser, load_json, open_lines
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.span_architecture import build
from fea_arch.sources.spans import CLIENT, CONSUMER, PRODUCER, SERVER, SpanLog

__all__ = ["SOURCE", "read_zipkin"]

_KINDS = {"CLIENT": CLIENT, "SERVER": SERVER, "PRODUCER": PRODUCER, "CONSUMER": CONSUMER}


def read_zipkin(path: str | Path, *, by: str = "service", max_bytes: int = MAX_BYTES) -> Architecture:
    """Read Zipkin v2 spans.

    Parameters
    ----------
    path : str or Path
        A list of spans, a list of traces (lists of spans), or JSON lines of such lists; gzip is unpacked. Client and
        server halves that share one id are told apart by kind and by the ``shared`` flag.
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
        Not Zipkin v2 JSON, no usable span, too large.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> spans = [{"traceId": "t", "id": "1", "kind": "SERVER", "name": "get", "timestamp": 1, "duration": 5000,
    ...           "localEndpoint": {"serviceName": "web"}}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "spans.json"
    ...     _ = file.write_text(json.dumps(spans))
    ...     read_zipkin(file)["web"].service_time_s
    0.005
    """
    log = SpanLog()
    try:
        for document in _documents(path, max_bytes):
            if not isinstance(document, list):
                raise ModelError("is not Zipkin v2 JSON: no list", path=str(path), fix="a list of spans")
            for item in document:
                for span in item if isinstance(item, list) else (item,):
                    _take(span, log)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"is not Zipkin v2 JSON: {type(error).__name__} {error}", path=str(path), fix="a list of spans"
        ) from error
    return build(log, path, by=by, what="Zipkin")


def _documents(path: str | Path, max_bytes: int) -> Iterator[Any]:
    lines = open_lines(path, max_bytes=MAX_STREAM_BYTES)
    first = next(lines, None)
    if first is not None and first[1].rstrip().endswith(b"]"):
        parse = line_parser(path)
        try:
            document = parse(first[1], first[0])
        except ModelError:
            pass  # one document over several lines
        else:
            yield document
            for number, line in lines:
                yield parse(line, number)
            return
    yield load_json(path, max_bytes=max_bytes)


def _take(span: Mapping[str, Any], log: SpanLog) -> None:
    try:
        start, duration = int(span["timestamp"]), int(span["duration"])
        trace, own = span["traceId"], span["id"]
    except (KeyError, ValueError, TypeError, OverflowError):
        if not isinstance(span, Mapping):
            raise TypeError("a span is not an object") from None
        log.leave_out(span.get("traceId"), span.get("id"), span.get("parentId"))
        return
    local, remote = span.get("localEndpoint") or {}, span.get("remoteEndpoint") or {}
    kind = _KINDS.get(str(span.get("kind", "")), 0)
    if not kind and span.get("shared"):
        kind = SERVER
    if "error" in (span.get("tags") or {}):
        log.count("errors")
    log.add(
        trace,
        own,
        span.get("parentId"),
        start_ns=1000 * start,
        end_ns=1000 * (start + duration),
        kind=kind,
        service=local.get("serviceName") or local.get("ipv4") or local.get("ipv6"),
        name=span.get("name"),
        peer=remote.get("serviceName") if kind in (CLIENT, PRODUCER) else None,
    )


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form != "array":
        return 0.0
    for base in ("[].", "[][]."):
        if look.has(f"{base}traceId", f"{base}id"):
            return 0.95 if look.any(f"{base}localEndpoint", f"{base}timestamp", f"{base}duration") else 0.5
    return 0.0


SOURCE = Source("zipkin", _sniff, read_zipkin, "Zipkin v2 spans")
