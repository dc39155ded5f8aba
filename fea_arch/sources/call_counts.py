"""Service graphs with counted calls and no times: the dependencies of Jaeger and of Zipkin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.columns import Columns
from fea_arch.architecture.component import Component
from fea_arch.architecture.container import Architecture
from fea_arch.architecture.dependency import Dependency
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.loads import Load
from fea_arch.architecture.provenance import Provenance
from fea_arch.errors import ModelError
from fea_arch.sources.flows import cycles, outside_arrivals
from fea_arch.sources.loading import MAX_BYTES, load_json
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.span_architecture import title

__all__ = ["SOURCES", "WINDOW_S", "build", "read_jaeger_dependencies", "read_zipkin_dependencies"]

#: Window of the counts if none is stated: a day, the period over which both tools sum up dependencies [s].
WINDOW_S = 86400.0
#: Utilisation for which servers are assumed.
_ASSUMED_UTILISATION = 0.5
_KEYS = ("parent", "child", "callCount")


def read_jaeger_dependencies(
    path: str | Path, *, window_s: float = WINDOW_S, service_time_s: float = 0.010, max_bytes: int = MAX_BYTES
) -> Architecture:
    """Read the service graph of Jaeger: calls are counted, times are assumed.

    The requests of a component are the calls to it. A component that nobody calls receives as many requests from
    outside as its busiest edge has calls; so does one component of a group that calls only itself. That keeps the
    flow balanced and every circle of calls below a gain of 1. Cycles stay in.

    Parameters
    ----------
    path : str or Path
        ``[{"parent": ..., "child": ..., "callCount": ...}, ...]``, or the same under ``data``.
    window_s : float
        Time over which the calls were counted [s]; the file does not say.
    service_time_s : float
        Service time assumed for every component [s].
    max_bytes : int
        Largest unpacked size [bytes].

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not a dependency list, a negative count, a window that is not positive.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> edges = [("web", "cart", 60), ("cart", "db", 120)]
    >>> rows = [{"parent": a, "child": b, "callCount": n} for a, b, n in edges]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "dependencies.json"
    ...     _ = file.write_text(json.dumps(rows))
    ...     arch = read_jaeger_dependencies(file, window_s=60)
    >>> [(d.label, d.calls) for d in arch.dependencies], arch.loads[0].rate_per_s
    ([('web->cart', 1.0), ('cart->db', 2.0)], 1.0)
    """
    return _read(path, window_s, service_time_s, max_bytes, "Jaeger dependencies")


def read_zipkin_dependencies(
    path: str | Path, *, window_s: float = WINDOW_S, service_time_s: float = 0.010, max_bytes: int = MAX_BYTES
) -> Architecture:
    """Read the service graph of Zipkin: calls are counted, times are assumed.

    Parameters
    ----------
    path : str or Path
        ``[{"parent": ..., "child": ..., "callCount": ..., "errorCount": ...}, ...]``.
    window_s, service_time_s, max_bytes
        As for :func:`read_jaeger_dependencies`, which also explains how requests are balanced.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        As :func:`read_jaeger_dependencies`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "dependencies.json"
    ...     _ = file.write_text('[{"parent": "a", "child": "b", "callCount": 7, "errorCount": 1}]')
    ...     len(read_zipkin_dependencies(file))
    2
    """
    return _read(path, window_s, service_time_s, max_bytes, "Zipkin dependencies")


def _read(path: str | Path, window_s: float, service_time_s: float, max_bytes: int, what: str) -> Architecture:
    for field, value in (("window_s", window_s), ("service_time_s", service_time_s)):
        if not (isinstance(value, (int, float)) and 0 < value < float("inf")):
            raise ModelError(f"is {value!r}", field=field, fix="a positive number of seconds")
    document = load_json(path, max_bytes=max_bytes)
    rows = document.get("data") if isinstance(document, Mapping) else document
    if not isinstance(rows, list) or not rows or not all(isinstance(r, Mapping) for r in rows):
        raise ModelError(f"is not {what}: no list of edges", path=str(path), fix=f"objects with {', '.join(_KEYS)}")
    number: dict[str, int] = {}
    source, target, count = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64), np.empty(len(rows))
    errors = 0.0
    for i, row in enumerate(rows):
        try:
            ends = [str(row[k]).encode("utf-8", "replace").decode().strip() for k in ("parent", "child")]
            count[i] = float(row["callCount"])
            errors += float(row.get("errorCount") or 0.0)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(
                f"edge {i} is not complete: {type(error).__name__} {error}",
                path=str(path),
                fix=f"{', '.join(_KEYS)} with a number",
            ) from error
        if not 0 <= count[i] < 1e15 or not all(ends):
            raise ModelError(
                f"edge {i} ({ends[0]!r} to {ends[1]!r}) has {row['callCount']!r} calls",
                path=str(path),
                field="callCount",
                fix="two names and a non-negative number",
            )
        source[i], target[i] = (number.setdefault(e, len(number)) for e in ends)
    notes = [Finding("info", f"{errors:.0f} calls ended with an error", field="errorCount")] if errors else []
    return build(
        list(number),
        source,
        target,
        count,
        path,
        window_s=window_s,
        service_time_s=service_time_s,
        what=what,
        notes=notes,
    )


def build(
    names: list[str],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    count: NDArray[np.float64],
    path: str | Path,
    *,
    window_s: float,
    service_time_s: float,
    what: str,
    notes: list[Finding],
) -> Architecture:
    """Return the architecture of counted calls between numbered components.

    Parameters
    ----------
    names : list of str
    source, target : (n_edges,) int64
    count : (n_edges,) float64
        Repeated edges are added up, edges without calls left out.
    path : str or Path
    window_s, service_time_s : float
    what : str
    notes : list of Finding

    Raises
    ------
    ModelError
        No edge has calls.
    """
    n = len(names)
    codes, edge = np.unique(source * n + target, return_inverse=True)
    total = np.bincount(edge, count, codes.size).astype(np.float64)
    codes, total = codes[total > 0], np.asarray(total[total > 0], np.float64)
    if not codes.size:
        raise ModelError("no edge has calls", path=str(path), field="callCount", fix="a window with traffic")
    i, j = codes // n, codes % n
    requests, arrivals, closed = outside_arrivals(n, i, j, total)
    origin = f"{what} {Path(path).name}".encode("utf-8", "replace").decode()
    label = np.array([*names, None], object)[:-1]
    offered = requests / window_s * service_time_s
    stations = Columns.from_arrays(
        Component,
        {
            "name": label,
            "service_time_s": np.full(n, float(service_time_s)),
            "servers": np.maximum(np.ceil(offered / _ASSUMED_UTILISATION), 1.0),
            "blocking": np.zeros(n, bool),
        },
        {f: Provenance("assumed", source=origin) for f in ("service_time_s", "servers", "blocking")},
    )
    calls = Columns.from_arrays(Dependency, {"source": label[i], "target": label[j], "calls": total / requests[i]})
    measured = counted(np.minimum(total, 2.0**53).astype(np.int64), origin)
    calls = Columns(Dependency, len(calls), calls.data, {"calls": measured})
    loads = [
        Load(names[k], rate_per_s=float(arrivals[k] / window_s), measured=False)
        for k in np.flatnonzero(arrivals > 0).tolist()
    ]
    found = notes + _notes(names, cycles(n, i, j), closed, window_s, service_time_s)
    return Architecture(
        name=title(path), components=stations, dependencies=calls, loads=loads, notes=tuple(found), origin=origin
    )


def counted(samples: NDArray[np.int64], source: str) -> NDArray[np.object_]:
    """Return the provenance of counted calls, one shared object for each number of calls.

    Parameters
    ----------
    samples : (n,) int64
        Calls counted; the count scatters like a Poisson variable.
    source : str
    """
    values, at = np.unique(samples, return_inverse=True)
    made = np.empty(values.size, object)
    made[:] = [Provenance("measured", samples=s, source=source, spread=max(s, 1) ** -0.5) for s in values.tolist()]
    return np.asarray(made[at], object)


def _notes(
    names: list[str], rings: list[NDArray[np.int64]], closed: NDArray[np.int64], window_s: float, service_time_s: float
) -> list[Finding]:
    found = [
        Finding(
            "warning",
            f"the file does not say over which time calls were counted; {window_s:g} s is used for the arrival rates",
            field="loads",
            fix="window_s=<seconds>",
        ),
        Finding(
            "warning",
            f"the file holds no times; {service_time_s:g} s of service and servers for half of their use are assumed",
            field="service_time_s",
            fix="arch.measured(...), or service_time_s=",
        ),
        Finding(
            "info",
            "arrivals of components that nobody calls are set to the calls of their busiest edge",
            field="loads",
            fix="state the load where it is known",
        ),
    ]
    if rings:
        found.append(
            Finding(
                "info",
                f"{len(rings)} groups of components call each other in circles (the largest has {rings[0].size}); "
                "the counted calls of every group come in from outside, so each circle's gain is below 1",
                names[rings[0][0]],
                "dependencies",
                count=len(rings),
            )
        )
    if closed.size:
        shown = ", ".join(names[k] for k in closed[:5])
        found.append(
            Finding(
                "warning",
                f"{closed.size} groups call only themselves; arrivals from outside are assumed at {shown}",
                names[closed[0]],
                "loads",
                "state where requests come in",
                count=int(closed.size),
            )
        )
    return found


def _edges_seen(head: bytes) -> tuple[bool, bool]:
    look = outline(head)
    for base in ("[].", "data[]."):
        if look.has(*(base + k for k in _KEYS)):
            return True, look.has(f"{base}errorCount")
    return False, False


def _sniff_jaeger(head: bytes, path: Path) -> float:
    return 0.9 if _edges_seen(head)[0] else 0.0


def _sniff_zipkin(head: bytes, path: Path) -> float:
    return 0.92 if all(_edges_seen(head)) else 0.0


SOURCES = (
    Source("jaeger-dependencies", _sniff_jaeger, read_jaeger_dependencies, "Jaeger service graph (call counts)"),
    Source("zipkin-dependencies", _sniff_zipkin, read_zipkin_dependencies, "Zipkin service graph (call counts)"),
)
