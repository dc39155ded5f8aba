"""The span tables and the folder layout of the Nezha microservice data sets (Yu et al., ESEC/FSE 2023).

One row a span: TraceID, SpanID, ParentID ("root" for none), PodName, OperationName, Start- and EndTimeUnixNano and
Duration [us]. The service is the pod's name less its last two parts. A call has two spans: the caller's carries the
callee's operation, the callee's own span is its child.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fea_arch.architecture.container import Architecture
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import ModelError, suggestion
from fea_arch.sources.loading import MAX_STREAM_BYTES, decode, existing, open_lines
from fea_arch.sources.registry import Source
from fea_arch.sources.span_architecture import build
from fea_arch.sources.spans import SpanLog

__all__ = ["COLUMNS", "SOURCE", "is_nezha", "read_nezha"]

COLUMNS = ("TraceID", "SpanID", "ParentID", "PodName", "OperationName", "StartTimeUnixNano", "EndTimeUnixNano")
_MIB = 2.0**20


def read_nezha(
    path: str | Path, *, by: str = "service", trace: str | None = None, max_bytes: int = MAX_STREAM_BYTES
) -> Architecture:
    """Read a Nezha span table, or a folder of them with pod metrics.

    Parameters
    ----------
    path : str or Path
        A ``*_trace.csv`` (gzip is unpacked), or a folder with ``trace/`` and ``metric/``: then memory and its limit
        come from the pods' metrics.
    by : {"service", "operation"}
        What becomes a component.
    trace : str, optional
        Which trace file of a folder; without it the first that is called normal.
    max_bytes : int
        Largest unpacked size [bytes].

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not such a table or folder; a row with a wrong number.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration",
    ...         "t,1,root,web-5f6-x1,Recv,0,9000000,9000", "t,2,1,web-5f6-x1,shop.Cart/Get,1000000,5000000,4000",
    ...         "t,3,2,cart-77-b2,shop.Cart/Get,2000000,4000000,2000"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "trace.csv"
    ...     _ = file.write_text(chr(10).join(rows))
    ...     arch = read_nezha(file)
    >>> arch["web"].service_time_s, arch.dependencies[0].network_latency_s
    (0.005, 0.002)
    """
    target = existing(path)
    if not target.is_dir():
        return _read_table(target, by, max_bytes)
    arch = _read_table(_chosen(target, trace), by, max_bytes)
    if by != "service":
        return replace(arch, name=target.name or arch.name)
    found, notes = _memory(target, arch)
    arch = arch.measured(found) if found else arch
    return replace(arch, name=target.name or arch.name, notes=(*arch.notes, *notes))


def is_nezha(header: str) -> bool:
    """Return whether the first line of a table names the columns of a Nezha span table."""
    return set(COLUMNS) <= {word.strip().strip('"') for word in header.split(",")}


def _rows(path: Path, max_bytes: int) -> Iterator[tuple[int, list[str]]]:
    numbers: list[int] = [0]

    def texts() -> Iterator[str]:
        for number, line in open_lines(path, max_bytes=max_bytes):
            numbers[0] = number
            yield decode(line, path).rstrip("\r") + "\n"

    table = csv.reader(texts(), strict=True)
    while True:
        try:
            row = next(table, None)
        except csv.Error as error:
            raise ModelError(f"is not a table: {error}", path=str(path), line=numbers[0]) from error
        if row is None:
            return
        yield numbers[0], row


def _columns(header: list[str] | None, names: tuple[str, ...], path: Path) -> list[int]:
    words = [w.strip() for w in header or ()]
    for name in names:
        if name not in words:
            raise ModelError(
                f"has no column {name!r}.{suggestion(name, words)}", path=str(path), line=1, fix=", ".join(names)
            )
    return [words.index(name) for name in names]


def _read_table(path: Path, by: str, max_bytes: int) -> Architecture:
    rows = _rows(path, max_bytes)
    at = _columns(next(rows, (0, None))[1], COLUMNS, path)
    log = SpanLog()
    services: dict[str, str] = {}
    for number, row in rows:
        try:
            trace, span, parent, pod, operation, start, end = (row[i] for i in at)
            begin, finish = int(start), int(end)
        except (IndexError, ValueError) as error:
            if number and len(row) < len(at):
                log.count("incomplete")
                continue
            raise ModelError(f"the row is not a span: {error}", path=str(path), line=number) from error
        service = services.get(pod)
        if service is None:
            service = services[pod] = pod.rsplit("-", 2)[0]
        log.add(
            trace,
            span,
            None if parent == "root" else parent,
            start_ns=begin,
            end_ns=finish,
            kind=0,
            service=service,
            name=operation,
        )
    return build(log, path, by=by, what="Nezha")


def _chosen(folder: Path, trace: str | None) -> Path:
    places = [folder / "trace", folder]
    files = sorted(f for p in places if p.is_dir() for f in p.iterdir() if "trace" in f.name and ".csv" in f.suffixes)
    if trace is not None:
        hit = [f for f in files if f.name == trace or f.name.split(".")[0] == trace]
        if not hit:
            names = [f.name for f in files]
            raise ModelError(f"has no trace {trace!r}.{suggestion(trace, names)}", path=str(folder), field="trace")
        return hit[0]
    if not files:
        raise ModelError("holds no *trace*.csv", path=str(folder), fix="a folder with trace/*_trace.csv")
    return next((f for f in files if "normal" in f.name), files[0])


def _memory(folder: Path, arch: Architecture) -> tuple[list[Measurement], list[Finding]]:
    """Return mean memory (and the limit, from the share of it) of each service's pods."""
    found: list[Measurement] = []
    for file in sorted((folder / "metric").glob("*_metric.csv*")) if (folder / "metric").is_dir() else ():
        service = file.name.split("_metric")[0].rsplit("-", 2)[0]
        if service not in arch:
            continue
        rows = _rows(file, 2**30)
        used, share = _columns(next(rows, (0, None))[1], ("MemoryUsage(Mi)", "MemoryUsageRate(%)"), file)
        pairs = []
        for number, row in rows:
            try:
                pair = float(row[used]), float(row[share])
            except (IndexError, ValueError) as error:
                raise ModelError(f"the row has no memory: {error}", path=str(file), line=number) from error
            if all(math.isfinite(x) and x > 0 for x in pair):
                pairs.append(pair)
        if not pairs:
            continue
        use, percent = np.array(pairs).T
        values: dict[str, Any] = {"memory_bytes": float(use.mean()) * _MIB}
        limit = float(np.median(use / percent)) * 100.0 * _MIB
        if limit > values["memory_bytes"]:
            values["memory_limit_bytes"] = limit
        found.append(Measurement(service, kind="pod metrics", values=values, details={"samples": len(pairs)}))
    text = (
        f"memory of {len(found)} components is the mean of their pods' metrics, its limit follows from the share used"
    )
    return found, [Finding("info", text, field="memory_bytes", count=len(found))] if found else []


def _sniff(head: bytes, path: Path) -> float:
    if path.is_dir():
        try:
            return 0.9 if any(".csv" in f.suffixes and "trace" in f.name for f in (path / "trace").iterdir()) else 0.0
        except OSError:
            return 0.0
    return 1.0 if is_nezha(head.split(b"\n", 1)[0].decode("utf-8", "replace").lstrip("\ufeff")) else 0.0


SOURCE = Source("nezha", _sniff, read_nezha, "Nezha span tables and folders", folders=True)
