"""From requests and calls to an architecture: ratios, times, rates, servers, and what must be said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.columns import Columns
from fea_arch.architecture.component import Component
from fea_arch.architecture.container import Architecture
from fea_arch.architecture.dependency import Dependency
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.loads import Load
from fea_arch.architecture.provenance import Provenance
from fea_arch.sources.flows import outside_arrivals
from fea_arch.sources.span_calls import Calls, find_calls
from fea_arch.sources.span_findings import findings
from fea_arch.sources.span_times import own_work, stages
from fea_arch.sources.spans import SpanLog

__all__ = ["ASSUMED_RATE_PER_S", "MIN_ROOTS", "build", "title"]

#: Fewer requests from outside than this give no arrival rate.
MIN_ROOTS = 10
#: Rate that is assumed then, over all entries [1/s] ...
ASSUMED_RATE_PER_S = 1.0
#: ... unless it would use a component more than this.
_ASSUMED_UTILISATION = 0.5
#: Least service time: one microsecond, the resolution of most tracers [s].
_RESOLUTION_S = 1e-6
_KINDS = np.array(["service", "external", "queue"], object)

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def title(path: str | Path) -> str:
    """Return a name for an architecture from its file's name."""
    word = Path(path).name
    for ending in (".gz", ".jsonl", ".json", ".csv", ".binpb", ".pb", ".txt"):
        word = word.removesuffix(ending)
    return word.encode("utf-8", "replace").decode() or "traces"


def build(log: SpanLog, path: str | Path, *, by: str = "service", what: str = "spans") -> Architecture:
    """Return the architecture that the spans of a log show.

    Parameters
    ----------
    log : SpanLog
        Emptied by the call.
    path : str or Path
        For messages, the origin and the name.
    by : {"service", "operation"}
    what : str
        Name of the format.

    Raises
    ------
    ModelError
        No usable span, or an unknown ``by``.
    """
    spans = log.spans(str(path))
    calls = find_calls(spans, by)
    n = len(calls.components)
    work = own_work(calls)
    source_name = f"{what} {Path(path).name}".encode("utf-8", "replace").decode()
    requests = np.bincount(calls.component, minlength=n)
    own_s = work.own_ns * 1e-9
    mean = np.bincount(calls.component, own_s, n) / requests
    deviation = own_s - mean[calls.component]
    variance = np.bincount(calls.component, deviation**2, n) / np.maximum(requests - 1, 1)
    service = np.maximum(mean, _RESOLUTION_S)
    short = mean < _RESOLUTION_S
    servers = np.maximum(work.peak, 1)

    edges, flow, arrivals, notes = _edges(calls, requests, source_name)
    window = float(calls.end_ns.max() - calls.start_ns.min()) * 1e-9
    roots = int(np.count_nonzero(calls.root))
    measured = roots >= MIN_ROOTS and window > _RESOLUTION_S
    if measured:
        rate = arrivals / window
    else:
        rate = arrivals * (ASSUMED_RATE_PER_S / arrivals.sum())
        busiest = float((flow / arrivals.sum() * ASSUMED_RATE_PER_S * service / servers).max())
        rate *= min(1.0, _ASSUMED_UTILISATION / busiest)

    loads = [
        Load(calls.components[i], rate_per_s=float(rate[i]), measured=measured)
        for i in np.flatnonzero(rate > 0).tolist()
    ]
    notes += findings(
        calls, rate=rate, roots=roots, window_s=window, measured=measured, n_traces=spans.n_traces, short=short
    )
    return Architecture(
        name=title(path),
        components=_stations(calls, requests, service, variance, servers, short, source_name),
        dependencies=edges,
        loads=loads,
        notes=tuple(notes),
        origin=source_name,
    )


def _origins(samples: Index, spread: Array, source: str) -> NDArray[np.object_]:
    """Return one shared Provenance for each pair of sample count and spread."""
    made: dict[tuple[int, float], Provenance] = {}
    out = np.empty(samples.size, object)
    for i, key in enumerate(zip(samples.tolist(), np.round(spread, 6).tolist())):
        if key not in made:
            made[key] = Provenance("measured", samples=key[0], source=source, spread=key[1])
        out[i] = made[key]
    return out


def _either(where: NDArray[np.bool_], value: Provenance | None, origin: NDArray[np.object_]) -> NDArray[np.object_]:
    out = origin.copy()
    out[where] = value
    return out


def _stations(
    calls: Calls,
    requests: Index,
    service: Array,
    variance: Array,
    servers: Index,
    short: NDArray[np.bool_],
    source: str,
) -> Columns[Component]:
    spread = np.sqrt(variance / requests) / service
    origin = _origins(requests, spread, source)
    enough = (requests >= 10) & ~short
    scv = np.where(enough, variance / service**2, 1.0)
    assumed = Provenance("assumed", source=f"peak concurrency of {source}")
    stated = {
        "service_time_s": _either(short, assumed, origin),
        "service_scv": _either(~enough, None, origin),
        "servers": np.full(requests.size, assumed, object),
    }
    columns = Columns.from_arrays(
        Component,
        {
            "name": np.array([*calls.components, None], object)[:-1],
            "service_time_s": service,
            "service_scv": scv,
            "servers": servers,
            "blocking": np.zeros(requests.size, bool),
            "kind": _KINDS[calls.remote],
        },
    )
    return Columns(Component, len(columns), columns.data, stated)


def _edges(calls: Calls, requests: Index, source: str) -> tuple[Columns[Dependency], Array, Array, list[Finding]]:
    """Return the dependencies, the inflow of each component and the arrivals from outside in the window."""
    n = len(calls.components)
    roots = np.bincount(calls.component[calls.root], minlength=n).astype(np.float64)
    if not calls.caller.size:
        return Columns.from_arrays(Dependency, {}), roots, roots, []
    key = (calls.component[calls.caller] * n + calls.component[calls.callee]) * 2 + ~calls.waits
    codes, edge, times = np.unique(key, return_inverse=True, return_counts=True)
    i, j, unheard = codes // 2 // n, codes // 2 % n, codes % 2 == 1
    count = np.asarray(np.bincount(edge, calls.weight, codes.size), np.float64)
    flow, arrivals, closed = outside_arrivals(n, i, j, count, roots)
    stage, overlaps = stages(calls, edge, i, codes.size)
    known = calls.network_ns >= 0
    pairs = np.bincount(edge[known], minlength=codes.size)
    network = np.bincount(edge[known], calls.network_ns[known] * 1e-9, codes.size) / np.maximum(pairs, 1)
    off = (calls.network_ns * 1e-9 - network[edge]) ** 2
    variance = np.bincount(edge[known], off[known], codes.size) / np.maximum(pairs - 1, 1)
    spread = np.sqrt(variance / np.maximum(pairs, 1)) / np.where(network > 0, network, 1.0)
    names = np.array([*calls.components, None], object)[:-1]
    arrays: dict[str, Any] = {
        "source": names[i],
        "target": names[j],
        "calls": count / flow[i],
        "mode": np.where(unheard, "async", "sync").astype(object),
        "network_latency_s": network,
        "stage": np.where(stage >= 0, stage, np.nan),
    }
    made = Columns.from_arrays(Dependency, arrays)
    # the number of calls of a request scatters about like a Poisson count
    stated = {
        "calls": _origins(times, 1.0 / np.sqrt(times), source),
        "network_latency_s": _either(pairs == 0, None, _origins(pairs, spread, source)),
    }
    notes = []
    if closed.size:
        notes.append(
            Finding(
                "warning",
                "links and parents make requests their own cause; arrivals from outside are assumed there",
                str(names[closed[0]]),
                "loads",
                "synchronise clocks",
                count=int(closed.size),
            )
        )
    fans = np.flatnonzero(2 * overlaps > requests[i])
    if fans.size:
        shown = ", ".join(f"{names[i[e]]}->{names[j[e]]}" for e in fans[:5])
        notes.append(
            Finding(
                "info",
                f"several calls of the same request to the same callee run in parallel ({shown}); "
                "they are counted one after another",
                f"{names[i[fans[0]]]}->{names[j[fans[0]]]}",
                "stage",
                "split the callee's calls over parallel dependencies if that matters",
                count=int(fans.size),
            )
        )
    return Columns(Dependency, len(made), made.data, stated), flow, arrivals, notes
