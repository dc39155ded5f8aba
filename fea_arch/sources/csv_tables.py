"""Node and edge tables as CSV: columns are recognised by their names, whatever tool wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture
from fea_arch.architecture.component import KINDS
from fea_arch.errors import ModelError
from fea_arch.sources.csv_columns import Table, read_table
from fea_arch.sources.loading import existing
from fea_arch.sources.nezha import is_nezha, read_nezha
from fea_arch.sources.outline import outline
from fea_arch.sources.rates import Rates, finite
from fea_arch.sources.registry import Source

__all__ = ["SOURCE", "read_csv"]


def read_csv(
    path: str | Path,
    *,
    components: str | Path | None = None,
    rate_per_s: float | None = None,
    time_unit_s: float | None = None,
    self_calls: bool = False,
) -> Architecture:
    """Read an edge table, and optionally a node table.

    Parameters
    ----------
    path : str or Path
        A table with a source and a target column (``Source,Target``; ``caller,callee``; ``Parent,Child`` ...), one
        row a pair, or one row a call: rows of one pair are counted. Optional columns: calls per request, call counts,
        rates, latencies of the callee.
    components : str or Path, optional
        A table with a name column and service times, memory, limits, servers, replicas, kinds.
    rate_per_s : float, optional
        Sum of the arrivals from outside [1/s]; default: as rates say, else 1, noted as assumed.
    time_unit_s : float, optional
        Unit of time columns whose name states none [s], for instance 1e-6; without it they are not used.
    self_calls : bool
        Whether rows from a component to itself count; by default they are its own work.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        With the line and the column that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "edges.csv"
    ...     _ = file.write_text("caller,callee,rps,latency_ms\\nweb,db,30,5\\n")
    ...     arch = read_csv(file)
    >>> arch.loads[0].rate_per_s, arch["db"].service_time_s
    (30.0, 0.005)
    """
    table = read_table(existing(path))
    missing = [w for w in ("source", "target") if w not in table.columns]
    if missing and is_nezha(",".join(table.titles)):
        return read_nezha(path)
    if missing:
        raise ModelError(
            f"has no {' and no '.join(missing)} column (columns: {', '.join(t[:40] for t in table.titles[:12])})",
            path=str(path),
            line=1,
            field=missing[0],
            fix="columns such as source,target or caller,callee",
        )
    weights = "rate" if "rate" in table.columns else "count" if "count" in table.columns else "calls"
    rates = Rates(Path(path).stem, str(path), f"table {Path(path).name}", unit_known=weights == "rate")
    if components is not None:
        _nodes(read_table(existing(components)), rates, time_unit_s)
    _edges(table, rates, weights, time_unit_s, self_calls=self_calls)
    return rates.build(rate_per_s)


def _edges(table: Table, rates: Rates, weights: str, time_unit_s: float | None, *, self_calls: bool) -> None:
    source, target = table.columns["source"].index, table.columns["target"].index
    weight = table.columns.get(weights)
    ratios: dict[tuple[str, str], float] = {}
    inner = 0
    factor = 1.0 if weight is None or weight.factor != weight.factor else weight.factor
    time = _time_factor(table, rates, time_unit_s)
    for i, row in enumerate(table.rows):
        a, b = row[source].strip(), row[target].strip()
        place = f"{table.path}:{table.line(i)}"
        if not a or not b:
            raise ModelError(
                "a call has no source or no target", path=table.path, line=table.line(i), field="source, target"
            )
        number = 1.0 if weight is None else finite(row[weight.index], place, f"{a}->{b}", weight.title) * factor
        if time is not None:
            column = table.columns["time"]
            if row[column.index].strip():
                # a latency stands for all calls of its row; one without a weight for one call
                seen = finite(row[column.index], place, f"{a}->{b}", column.title) * time
                if a != b:
                    rates.respond(b, seen * max(number, 1e-300), max(number, 1e-300))
        if a == b and not self_calls:
            inner += 1
            rates.part(a)
            continue
        if weight is None or weights != "calls":
            rates.call(a, b, number)
        else:
            ratios[a, b] = ratios.get((a, b), 0.0) + number
    if ratios:
        _spread(ratios, rates)
    if inner:
        rates.note(
            "info",
            f"{inner} rows lead from a component to itself: its own work, not a call",
            field="source",
            count=inner,
        )


def _spread(ratios: dict[tuple[str, str], float], rates: Rates) -> None:
    """Turn calls per request into rates: one request a second enters where nobody calls."""
    from fea_arch.sources.gain import limit_gain, source_groups

    names = list(dict.fromkeys([*rates.parts, *(n for pair in ratios for n in pair)]))
    index = {n: i for i, n in enumerate(names)}
    source = np.array([index[a] for a, _ in ratios], np.int64)
    target = np.array([index[b] for _, b in ratios], np.int64)
    calls, circles = limit_gain(names, source, target, np.array(list(ratios.values()), float))
    rates.notes += circles
    entries = source_groups(len(names), source, target)
    outside = np.zeros(len(names))
    outside[entries] = 1.0
    through = _requests(source, target, calls, outside)
    for name in names:
        rates.part(name)
    for (a, b), c in zip(ratios, calls):
        rates.call(a, b, float(c * through[index[a]]))
    for i in entries.tolist():
        rates.arrivals[names[i]] = 1.0


def _requests(
    source: NDArray[np.int64], target: NDArray[np.int64], calls: NDArray[np.float64], outside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve ``x = f + P^T x``."""
    from scipy.sparse import csc_matrix, identity
    from scipy.sparse.linalg import spsolve

    n = len(outside)
    matrix = csc_matrix((calls, (target, source)), shape=(n, n))
    return np.atleast_1d(spsolve(csc_matrix(identity(n)) - matrix, outside))


def _time_factor(table: Table, rates: Rates, time_unit_s: float | None) -> float | None:
    column = table.columns.get("time")
    if column is None:
        return None
    if column.factor == column.factor:
        return column.factor
    if time_unit_s is None:
        rates.note(
            "warning",
            f"the column {column.title!r} states no unit and was not used",
            field="service_time_s",
            fix="time_unit_s=..., or a name such as latency_ms",
        )
        return None
    return float(time_unit_s)


def _nodes(table: Table, rates: Rates, time_unit_s: float | None) -> None:
    name_at = table.columns.get("name")
    if name_at is None:
        raise ModelError(
            "has no name column", path=table.path, line=1, field="name", fix="a column name, service or id"
        )
    time = _time_factor(table, rates, time_unit_s)
    fields = {"memory": "memory_bytes", "memory_limit": "memory_limit_bytes", "cpu": "cpu_s", "time": "service_time_s"}
    for i, row in enumerate(table.rows):
        name, place = row[name_at.index].strip(), f"{table.path}:{table.line(i)}"
        if not name or name in rates.parts:
            raise ModelError(
                "is used twice" if name else "is empty",
                path=table.path,
                line=table.line(i),
                component=name,
                field="name",
            )
        rates.part(name)
        numbers: dict[str, float | int | None] = {}
        for kind, column in table.columns.items():
            cell = row[column.index].strip()
            if not cell or kind not in (*fields, "servers", "replicas", "kind"):
                continue
            if kind == "kind":
                rates.part(name, kind=cell if cell in KINDS else "service")
                continue
            number = finite(cell, place, name, column.title)
            if kind in ("servers", "replicas"):
                numbers[kind] = max(1, round(number))
            else:
                factor = time if kind == "time" else (1.0 if column.factor != column.factor else column.factor)
                if factor is not None and number > 0:
                    numbers[fields[kind]] = number * factor
        if "cpu_s" in numbers and numbers["cpu_s"] > numbers.get("service_time_s", 0.010):  # type: ignore[operator]
            numbers["service_time_s"] = numbers["cpu_s"]
        rates.measured(name, "declared", **numbers)


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form != "text":
        return 0.0
    first = look.text.split("\n", 1)[0]
    if not any(d in first for d in ",;\t|") or first.lstrip().startswith(("<", "---", "#")):
        return 0.0
    try:
        table = read_table(path, first + "\n")
    except ModelError:
        return 0.0
    return 0.6 if {"source", "target"} <= set(table.columns) else 0.0


SOURCE = Source("csv", _sniff, read_csv, "CSV edge table, columns recognised by name")
