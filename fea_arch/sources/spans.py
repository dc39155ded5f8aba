"""Spans by column: what every trace reader fills and the builder of architectures reads.

A reader appends plain values while it parses; :meth:`SpanLog.spans` then resolves parents, shared ids, links and
duplicates once and leaves integer arrays only. Nothing that is odd stops it: it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError

__all__ = ["CLIENT", "CONSUMER", "INTERNAL", "PRODUCER", "SERVER", "UNSPECIFIED", "SpanLog", "Spans"]

UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(6)

Index = NDArray[np.int64]

#: Durations are added up in nanoseconds; the sum of all must stay far from the end of 64-bit integers.
_MAX_SUM_NS = 4.0e18


@dataclass(frozen=True, eq=False, slots=True)
class Spans:
    """Resolved spans of any number of traces.

    Attributes
    ----------
    start_ns, end_ns : (n,) int64
        Times since the first start [ns].
    parent : (n,) int64
        Row of the parent, -1 for none; free of cycles.
    kind : (n,) int64
        ``UNSPECIFIED`` to ``CONSUMER``, the numbers of OpenTelemetry.
    service, name : (n,) int64
        Rows of ``services`` and ``names``.
    peer : (n,) int64
        Row of ``services``: the callee as the caller names it, -1 if it does not.
    follows : (n,) bool
        Whether the parent does not wait for it (an OpenTracing FOLLOWS_FROM reference).
    link_from, link_to : (n_links,) int64
        Span links: row ``link_from`` was caused by row ``link_to``.
    services, names : sequence of str
    n_traces : int
    counts : dict
        What was odd, and how often.
    """

    start_ns: Index
    end_ns: Index
    parent: Index
    kind: Index
    service: Index
    name: Index
    peer: Index
    follows: NDArray[np.bool_]
    link_from: Index
    link_to: Index
    services: Sequence[str]
    names: Sequence[str]
    n_traces: int
    counts: dict[str, int]

    def __len__(self) -> int:
        return int(self.start_ns.size)


@dataclass(slots=True)
class SpanLog:
    """Growing columns of one reader; parallel lists with one entry per span."""

    trace: list[Any] = field(default_factory=list)
    span: list[Any] = field(default_factory=list)
    parent: list[Any] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    service: list[int] = field(default_factory=list)
    name: list[int] = field(default_factory=list)
    peer: dict[int, int] = field(default_factory=dict)
    follows: set[int] = field(default_factory=set)
    links: list[tuple[int, Any, Any]] = field(default_factory=list)
    services: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    absent: dict[tuple[Any, Any], Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def leave_out(self, trace: Any, span: Any, parent: Any) -> None:
        """Count a span without times; its children pass to its parent."""
        self.count("incomplete")
        if isinstance(trace, (str, bytes)) and isinstance(span, (str, bytes)):
            self.absent[trace, span] = parent

    def count(self, what: str, times: int = 1) -> None:
        """Count something odd."""
        if times:
            self.counts[what] = self.counts.get(what, 0) + int(times)

    def service_row(self, name: Any) -> int:
        """Return the row of a service name."""
        return self.services.setdefault(_word(name, "unknown"), len(self.services))

    def name_row(self, name: Any) -> int:
        """Return the row of an operation name."""
        return self.names.setdefault(_word(name, "unnamed"), len(self.names))

    def add(
        self,
        trace: Any,
        span: Any,
        parent: Any,
        *,
        start_ns: int,
        end_ns: int,
        kind: int,
        service: Any,
        name: Any,
        peer: Any = None,
        follows: bool = False,
    ) -> int:
        """Append one span and return its row."""
        row = len(self.trace)
        self.trace.append(trace)
        self.span.append(span)
        self.parent.append(parent)
        self.start.append(start_ns)
        self.end.append(end_ns)
        self.kind.append(kind)
        self.service.append(self.service_row(service))
        self.name.append(self.name_row(name))
        if peer:
            self.peer[row] = self.service_row(peer)
        if follows:
            self.follows.add(row)
        return row

    def spans(self, path: str) -> Spans:
        """Resolve parents, shared ids, links and duplicates; the log is emptied.

        Raises
        ------
        ModelError
            There is no usable span, or times do not fit into 64-bit nanoseconds.
        """
        n = len(self.trace)
        if n == 0:
            left = self.counts.get("incomplete", 0)
            more = f"; {left} have no id, no start or no end" if left else ""
            raise ModelError(f"holds no usable span{more}", path=path, fix="spans with id, start and end")
        start, end = self._times(path)
        kind, service = np.array(self.kind, np.int64), np.array(self.service, np.int64)
        keep = np.ones(n, bool)
        client: dict[int, int] = {}
        try:
            find = self._finder(keep, client)
            parent = self._parents(find)
            n_traces = len(set(self.trace))
            links = [(i, find(t, s)) for i, t, s in self.links]
        except TypeError as error:
            raise ModelError("a trace or span id is not a text", path=path, fix="ids as texts") from error
        lost = [i for i in np.flatnonzero(parent < 0).tolist() if _stated(self.parent[i])]
        if self.absent:
            for i in lost:
                parent[i] = self._next_known(self.trace[i], self.parent[i], find)
            lost = [i for i in lost if parent[i] < 0]
        self.count("missing parents", len(lost))
        for server, caller in client.items():
            # children of a shared id belong to the callee unless they run in the caller's service
            near = np.flatnonzero((parent == server) & (service == service[caller]) & (service != service[server]))
            parent[near] = caller
            parent[server] = caller
        self.count("duplicates", int(np.count_nonzero(~keep)))
        self.count("links to unknown spans", sum(t < 0 for _, t in links))
        self.count("cycles of parents", _break_cycles(parent))
        peer, follows = np.full(n, -1, np.int64), np.zeros(n, bool)
        if self.peer:
            peer[list(self.peer)] = list(self.peer.values())
        follows[list(self.follows)] = True
        pairs = np.array([p for p in links if p[1] >= 0 and p[0] != p[1]], np.int64).reshape(-1, 2)
        new = np.cumsum(keep) - 1
        pairs = pairs[keep[pairs[:, 0]]]
        parent = np.where(parent >= 0, new[parent], -1)
        found = Spans(
            start_ns=start[keep],
            end_ns=end[keep],
            parent=parent[keep],
            kind=kind[keep],
            service=service[keep],
            name=np.array(self.name, np.int64)[keep],
            peer=peer[keep],
            follows=follows[keep],
            link_from=new[pairs[:, 0]],
            link_to=new[pairs[:, 1]],
            services=list(self.services),
            names=list(self.names),
            n_traces=n_traces,
            counts=dict(self.counts),
        )
        for values in (self.trace, self.span, self.parent, self.start, self.end, self.kind, self.service, self.name):
            values.clear()
        return found

    def _finder(self, keep: NDArray[np.bool_], client: dict[int, int]) -> Callable[[Any, Any], int]:
        """Return ``find(trace, span)``, the row of a span or -1; duplicates and shared ids are sorted out first."""
        n = len(self.trace)
        short = dict(zip(self.span, range(n)))
        if len(short) == n:  # the usual case: span ids differ over all traces

            def find(trace: Any, span: Any) -> int:
                row = short.get(span, -1)
                return row if row >= 0 and self.trace[row] == trace else -1

            return find
        rows = dict(zip(zip(self.trace, self.span), range(n)))
        if len(rows) < n:
            client.update(self._resolve_shared(rows, keep))
        return lambda trace, span: rows.get((trace, span), -1)

    def _parents(self, find: Callable[[Any, Any], int]) -> Index:
        return np.fromiter(map(find, self.trace, self.parent), np.int64, len(self.trace))

    def _next_known(self, trace: Any, span: Any, find: Callable[[Any, Any], int]) -> int:
        """Climb over spans that were left out."""
        for _ in range(100):
            span = self.absent.get((trace, span))
            row = find(trace, span) if span else -1
            if not span or row >= 0:
                return row
        return -1

    def _times(self, path: str) -> tuple[Index, Index]:
        try:
            start, end = np.array(self.start, np.int64), np.array(self.end, np.int64)
        except (OverflowError, ValueError, TypeError) as error:
            raise ModelError(
                "a time does not fit into 64-bit nanoseconds", path=path, fix="times since 1970 in the format's unit"
            ) from error
        spread = float(end.max()) - float(start.min())
        backward = end < start
        end = np.where(backward, start, end)
        total = float((end.astype(float) - start.astype(float)).sum())
        if spread > _MAX_SUM_NS or total > _MAX_SUM_NS:
            raise ModelError("the spans last longer than a century", path=path, fix="times in the format's unit")
        self.count("negative durations", int(np.count_nonzero(backward)))
        self.count("zero durations", int(np.count_nonzero(end == start)) - int(np.count_nonzero(backward)))
        zero = start.min()
        return start - zero, end - zero

    def _resolve_shared(self, rows: dict[tuple[Any, Any], int], keep: NDArray[np.bool_]) -> dict[int, int]:
        """Tell client and server halves of one id from duplicates; return server row -> client row."""
        twice: dict[tuple[Any, Any], list[int]] = {}
        first: dict[tuple[Any, Any], int] = {}
        for i, key in enumerate(zip(self.trace, self.span)):
            if first.setdefault(key, i) != i:
                twice.setdefault(key, [first[key]]).append(i)
        client: dict[int, int] = {}
        for key, group in twice.items():
            callers = [i for i in group if self.kind[i] in (CLIENT, PRODUCER)]
            callees = [i for i in group if self.kind[i] not in (CLIENT, PRODUCER)]
            chosen = [*callers[:1], *callees[:1]]
            keep[[i for i in group if i not in chosen]] = False
            rows[key] = chosen[-1]
            if len(chosen) == 2:
                client[chosen[1]] = chosen[0]
                self.parent[chosen[1]] = None
        return client


def _word(value: Any, blank: str) -> str:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    # lone surrogates cannot be written as UTF-8 later
    return text.encode("utf-8", "replace").decode("utf-8")[:500].strip() or blank


def _stated(parent: Any) -> bool:
    """Whether a parent id is given; all-zero ids (hex or base64) mean none."""
    return bool(parent) and bool(str(parent).strip("0A="))


def _break_cycles(parent: Index) -> int:
    """Cut every cycle of parents once, in place; return how many there were."""
    ancestor = parent.copy()
    for _ in range(max(int(parent.size), 2).bit_length()):
        up = np.where(ancestor >= 0, ancestor[ancestor], -1)
        if np.array_equal(up, ancestor) or (up < 0).all():
            ancestor = up
            break
        ancestor = up
    state: dict[int, int] = {}
    cycles = 0
    for begin in np.flatnonzero(ancestor >= 0).tolist():
        at = begin
        while at >= 0 and at not in state:
            state[at] = begin
            at = int(parent[at])
        if at >= 0 and state[at] == begin:
            parent[at] = -1
            cycles += 1
    return cycles
