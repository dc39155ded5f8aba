"""A load sweep of DeathStarBench's hotel reservation: latencies, processor and memory by rate, and counted calls.

The folder holds ``latency_stats.csv`` (a row a rate), ``metrics_summary.csv`` (a row a rate and service) and
``jaeger/service_dependencies.csv`` with ``jaeger/latency_breakdown.csv`` (calls and spans of an hour).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from fea_arch.architecture import Architecture, Host, Provenance
from fea_arch.architecture.units import parse_seconds
from fea_arch.errors import ModelError
from fea_arch.sources.loading import existing, read_text
from fea_arch.sources.rates import Rates, finite
from fea_arch.sources.registry import Source

__all__ = ["SOURCE", "read_hotel_sweep"]

_STATS, _METRICS = "latency_stats.csv", "metrics_summary.csv"
_CALLS, _SPANS = "jaeger/service_dependencies.csv", "jaeger/latency_breakdown.csv"
_STORE = re.compile(r"^(memcached|mongodb)-(.+)$")


def read_hotel_sweep(path: str | Path, *, rate: float = 100) -> Architecture:
    """Read one rate of a hotel-reservation sweep.

    Parameters
    ----------
    path : str or Path
        The folder.
    rate : float
        Target rate of the row to read [1/s].

    Returns
    -------
    Architecture
        Calls per request from the counted calls, CPU demand per request from processor use over rate, memory as seen,
        one host as large as the largest processor use of the whole sweep.

    Raises
    ------
    ModelError
        With the file, the row and the column that is wrong, or the rates there are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         read_hotel_sweep(folder)
    ...     except ModelError as error:
    ...         print(error.fix)
    a folder of the hotel-reservation sweep
    """
    folder = existing(path)
    if not folder.is_dir():
        raise ModelError("is not a folder", path=str(path), fix=f"the folder that holds {_STATS}")
    missing = [f for f in (_STATS, _METRICS, _CALLS, _SPANS) if not (folder / f).is_file()]
    if missing:
        raise ModelError(f"lacks {', '.join(missing)}", path=str(path), fix="a folder of the hotel-reservation sweep")
    stats = {}
    for row, place in _rows(folder / _STATS):
        stats[finite(row.get("Target_RPS"), place, "row", "Target_RPS")] = (row, place)
    if rate not in stats:
        known = ", ".join(f"{r:g}" for r in sorted(stats))
        raise ModelError(
            f"there is no row for {rate:g}/s", path=str(folder / _STATS), field="rate", fix=f"one of {known}"
        )
    row, place = stats[rate]
    actual = finite(row.get("Actual_RPS"), place, f"{rate:g}/s", "Actual_RPS")
    if actual <= 0:
        raise ModelError("is 0", path=place, component=f"{rate:g}/s", field="Actual_RPS", fix="a rate above 0")
    rates = Rates(f"hotel reservation at {rate:g}/s", str(folder), "hotel-reservation sweep")
    entry = _calls(folder, rates, actual)
    _resources(folder, rates, rate, entry)
    mean = parse_seconds(row.get("Mean_Latency"))
    rates.note(
        "info",
        f"measured at {actual:g}/s: mean {mean:.4g} s, median {parse_seconds(row.get('P50_Latency')):.4g} s, "
        f"99 % {parse_seconds(row.get('P99_Latency')):.4g} s",
        entry,
        "response_s",
    )
    return rates.build()


def _rows(path: Path, *, skip: int = 0) -> Iterator[tuple[dict[str, str], str]]:
    lines = read_text(path, max_bytes=2**26).splitlines()[skip:]
    for number, row in enumerate(csv.DictReader(lines), 2 + skip):
        yield {str(k): v for k, v in row.items() if isinstance(v, str)}, f"{path}:{number}"


def _calls(folder: Path, rates: Rates, actual: float) -> str:
    counts: dict[tuple[str, str], float] = {}
    for row, place in _rows(folder / _CALLS):
        pair = (row.get("Parent") or "", row.get("Child") or "")
        if not all(pair):
            raise ModelError("a call has no parent or no child", path=place, field="Parent, Child")
        counts[pair] = counts.get(pair, 0.0) + finite(row.get("CallCount"), place, "->".join(pair), "CallCount")
    roots = sorted({a for a, _ in counts} - {b for _, b in counts})
    if len(roots) != 1:
        raise ModelError(f"has {len(roots)} services that nobody calls", path=str(folder / _CALLS), fix="one entry")
    entry = roots[0]
    spans = {r.get("Service") or "": finite(r.get("Count"), p, "span", "Count") for r, p in _rows(folder / _SPANS)}
    # a service's spans are its own requests and one for each call it makes to another service
    requests = spans.get(entry, 0.0) - sum(c for (a, _), c in counts.items() if a == entry)
    if requests <= 0:
        raise ModelError("has fewer spans than calls", path=str(folder / _SPANS), component=entry, field="Count")
    for (a, b), count in counts.items():
        rates.call(a, b, actual * count / requests)
    rates.arrivals[entry] = actual
    for row, place in _rows(folder / _SPANS):
        name = row.get("Service") or ""
        incoming = sum(c for (_, b), c in counts.items() if b == name)
        leaf = all(a != name for a, _ in counts)
        # spans of a service that calls a store count the request and the call to the store; only a service with as
        # many spans as requests shows its own latency
        if leaf and incoming and abs(spans[name] - incoming) <= 0.01 * incoming:
            mean = finite(row.get("Avg_us"), place, name, "Avg_us") * 1e-6
            rates.measured(name, service_time_s=max(mean, 1e-6))
    return entry


def _resources(folder: Path, rates: Rates, rate: float, entry: str) -> None:
    cores: dict[float, float] = {}
    here: dict[str, tuple[float, float]] = {}
    path = folder / _METRICS
    lines = read_text(path, max_bytes=2**26).splitlines()
    if len(lines) < 4:
        raise ModelError("has no rows", path=str(path), fix="three header rows and one row a rate and service")
    columns = next(csv.reader(lines[:1]))
    try:
        cpu_at, memory_at = columns.index("CPU_Total(m)"), columns.index("Memory_WorkingSet(Mi)")
    except ValueError as error:
        raise ModelError("lacks CPU_Total(m) or Memory_WorkingSet(Mi)", path=str(path), line=1) from error
    for number, row in enumerate(csv.reader(lines[3:]), 4):
        if not row:
            continue
        place = f"{path}:{number}"
        if len(row) <= max(cpu_at, memory_at):
            raise ModelError(f"has {len(row)} columns", path=str(path), line=number, fix=f"{len(columns)} columns")
        at, name = finite(row[0], place, "row", "RPS"), row[1]
        cpu = finite(row[cpu_at] or 0, place, name, "CPU_Total(m)") * 1e-3
        cores[at] = cores.get(at, 0.0) + cpu
        if at == rate:
            here[name] = (cpu, finite(row[memory_at] or 0, place, name, "Memory_WorkingSet(Mi)") * 2**20)
    cpus = ceil(max(cores.values()))
    origin = Provenance("assumed", source=f"the largest processor use of the sweep, {max(cores.values()):.1f} cores")
    rates.hosts = [Host("node", cpus=cpus, provenance={"cpus": origin})]
    stores = _stores(rates, here)
    requests = {n: sum(c.rate for (_, b), c in rates.calls.items() if b == n) for n in rates.parts}
    requests[entry] = rates.arrivals[entry]
    for name, fields in rates.parts.items():
        rates.part(name, host="node", kind="cache" if name.startswith("memcached") else "service")
        if name.startswith("mongodb"):
            rates.part(name, kind="database")
        rates.measured(name, "assumed", servers=cpus)
        if name in here and requests[name] > 0:
            cpu, memory = here[name]
            demand = cpu / requests[name]
            # a service that answers sooner than its process uses the processor works in the background, too
            rates.measured(name, cpu_s=demand, memory_bytes=memory)
            rates.measured(name, service_time_s=max(demand, fields.get("service_time_s", 0.0), 1e-6))
    rates.note(
        "info",
        f"{len(stores)} caches and databases appear in the processor data only: one call per request of the service"
        " they are named after is assumed",
        stores[0] if stores else "",
        "calls",
        "count their calls",
        count=max(len(stores), 1),
    )
    rates.note("info", "goroutines use every core: each service has as many servers as the host", field="servers")


def _stores(rates: Rates, here: dict[str, tuple[float, float]]) -> list[str]:
    found = []
    inflow = {n: sum(c.rate for (_, b), c in rates.calls.items() if b == n) for n in rates.parts}
    for name in here:
        match = _STORE.match(name)
        owner = next((s for s in inflow if _same_stem(s, match.group(2))), None) if match else None
        if owner is not None and inflow[owner] > 0:
            rates.call(owner, name, inflow[owner])
            found.append(name)
    return found


def _same_stem(service: str, word: str) -> bool:
    # "reserve" belongs to "reservation": five letters in common are enough, short words must begin alike in full
    return service.startswith(word) or (len(word) > 5 and service[:5] == word[:5])


def _sniff(head: bytes, path: Path) -> float:
    return 1.0 if path.is_dir() and all((path / f).is_file() for f in (_STATS, _METRICS, _CALLS, _SPANS)) else 0.0


SOURCE = Source("hotel-sweep", _sniff, read_hotel_sweep, "folder of a hotel-reservation load sweep", folders=True)
