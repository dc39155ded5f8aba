"""Column names of tables in the wild: what they mean, and their units."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fea_arch.errors import ModelError
from fea_arch.sources.loading import read_text

__all__ = ["Column", "Table", "read_table"]

_SOURCES = [
    "source",
    "src",
    "from",
    "caller",
    "parent",
    "client",
    "upstream",
    "start",
    "tail",
    "parentservice",
    "sourceservice",
    "parentms",
    "consumer",
    "um",
]
_TARGETS = [
    "target",
    "dst",
    "dest",
    "destination",
    "to",
    "callee",
    "child",
    "server",
    "downstream",
    "end",
    "head",
    "childservice",
    "targetservice",
    "childms",
    "dm",
]
_NAMES = ["name", "component", "service", "node", "id", "app", "workload", "pod", "servicename", "microservice"]
_KINDS: dict[str, tuple[str, ...]] = {
    "source": tuple(_SOURCES),
    "target": tuple(_TARGETS),
    "name": tuple(_NAMES),
    "calls": ("calls", "callsperrequest", "visits", "visitratio", "ratio", "weight"),
    "count": ("count", "callcount", "requests", "numcalls", "samples", "value"),
    "rate": ("rate", "rps", "qps", "requestrate", "callrate", "throughput", "actualrps", "actualqps"),
    "mode": ("mode", "calltype"),
    "time": (
        "servicetime",
        "latency",
        "responsetime",
        "duration",
        "mean",
        "avg",
        "average",
        "meanlatency",
        "avglatency",
        "avgresponsetime",
        "meanresponsetime",
        "childduration",
        "time",
        "avgduration",
    ),
    "memory": ("memory", "mem", "memoryusage", "residentmemory", "rss", "memoryworkingset", "workingset"),
    "memory_limit": ("memorylimit", "memlimit", "limitmemory"),
    "cpu": ("cpu", "cputime", "cpuperrequest"),
    "servers": ("servers", "workers", "threads", "concurrency", "poolsize"),
    "replicas": ("replicas", "instances", "pods"),
    "kind": ("kind", "type"),
}
_MEANING = {alias: kind for kind, aliases in _KINDS.items() for alias in aliases}
_UNITS = {
    "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "ns": 1e-9, "µs": 1e-6,
    "b": 1.0, "bytes": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30,
    "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "pers": 1.0, "persecond": 1.0, "permin": 1 / 60,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """What a column means and the factor to SI units (NaN: the unit is not stated)."""

    index: int
    title: str
    kind: str
    factor: float


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a CSV file with the columns that are understood."""

    path: str
    columns: dict[str, Column]
    titles: tuple[str, ...]
    rows: Sequence[Sequence[str]]

    def line(self, row: int) -> int:
        """Return the line of a row in the file, from 1."""
        return row + 2


def _meaning(title: str) -> tuple[str, float]:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", title.strip()).lower()
    words = words.replace("/s", "_pers").replace("1/s", "pers")
    parts = [p for p in re.split(r"[^a-z0-9µ]+", words) if p]
    whole = "".join(parts)
    if whole in _MEANING:
        return _MEANING[whole], float("nan")
    for cut in (1, 2):  # the unit is the last word, or the last two ("per s")
        unit, rest = "".join(parts[-cut:]), "".join(parts[:-cut])
        if rest in _MEANING and unit in _UNITS:
            return _MEANING[rest], _UNITS[unit]
    return "", float("nan")


def read_table(path: str | Path, content: str | None = None) -> Table:
    """Read a CSV (or tab, semicolon separated) table and recognise its columns.

    Parameters
    ----------
    path : str or Path
    content : str, optional
        The text, if it was read already.

    Returns
    -------
    Table

    Raises
    ------
    ModelError
        No header, rows of another length, two columns of one meaning and name.

    Examples
    --------
    >>> table = read_table("edges.csv", "Source,Target,latency_ms\\nweb,db,12\\n")
    >>> sorted(table.columns), table.columns["time"].factor
    (['source', 'target', 'time'], 0.001)
    """
    text = read_text(path) if content is None else content
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    try:
        rows = [r for r in csv.reader(text.lstrip("\ufeff").splitlines(), delimiter=delimiter, strict=True) if r]
    except csv.Error as error:
        raise ModelError(
            f"is not a table: {error}", path=str(path), fix="comma-separated values with a header"
        ) from error
    if not rows or len(rows[0]) < 1:
        raise ModelError("has no header", path=str(path), line=1, fix="column names in the first line")
    titles = tuple(t.strip() for t in rows[0])
    wrong = next((i for i, r in enumerate(rows[1:]) if len(r) != len(titles)), None)
    if wrong is not None:
        raise ModelError(
            f"has {len(rows[wrong + 1])} values, the header {len(titles)}",
            path=str(path),
            line=wrong + 2,
            fix="a value per column",
        )
    columns: dict[str, Column] = {}
    for i, title in enumerate(titles):
        kind, factor = _meaning(title)
        if kind and kind not in columns:
            columns[kind] = Column(i, title, kind, factor)
    return Table(str(path), columns, titles, rows[1:])
