"""From spans to requests and calls: which span is a request to which component, and who waited for it.

A *request* is the span with which work enters a component; spans below it in the same component are part of it. A
*call* is a request that another request caused. The caller's half of a call (a client span with the callee's span as
its child) belongs to the caller: its length beyond the callee's is the network's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError, suggestion
from fea_arch.sources.spans import CLIENT, CONSUMER, PRODUCER, SERVER, UNSPECIFIED, Spans

__all__ = ["BY", "Calls", "find_calls"]

BY = ("service", "operation")

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
_HALF = re.compile(r"[._\-\s]*(?:client|server)$")
#: Clocks of one machine agree within this; less is no skew [ns].
_SKEW_NS = 1000


@dataclass(frozen=True, eq=False, slots=True)
class Calls:
    """Requests and calls as arrays.

    Attributes
    ----------
    components : sequence of str
    remote : (n_components,) int64
        0: has spans of its own; 1: known from callers only; 2: the same, through messages.
    component, start_ns, end_ns : (n_requests,) int64
    root : (n_requests,) bool
        Whether nothing seen caused it.
    caller, callee : (n_calls,) int64
        Request numbers.
    low_ns, high_ns : (n_calls,) int64
        When the caller waited, clipped to its own request.
    waits : (n_calls,) bool
        False for messages and other calls nobody waits for.
    weight : (n_calls,) float64
        1, or the share of one of several links.
    network_ns : (n_calls,) int64
        Time on the way, -1 where only one half was seen.
    counts : dict
        What was odd, and how often.
    """

    components: Sequence[str]
    remote: Index
    component: Index
    start_ns: Index
    end_ns: Index
    root: Flags
    caller: Index
    callee: Index
    low_ns: Index
    high_ns: Index
    waits: Flags
    weight: NDArray[np.float64]
    network_ns: Index
    counts: dict[str, int]


def find_calls(spans: Spans, by: str = "service") -> Calls:
    """Return requests and calls by service or by operation.

    Raises
    ------
    ModelError
        ``by`` is neither "service" nor "operation".
    """
    if by not in BY:
        raise ModelError(f"is {by!r}.{suggestion(str(by), BY)}", field="by", fix=f"one of {', '.join(BY)}")
    counts = dict(spans.counts)
    start, end, parent, kind, service, name, remote = _with_peers(spans, counts)
    n = parent.size
    up = np.maximum(parent, 0)
    below = parent >= 0
    crosses = below & (service != service[up])
    received = (kind == SERVER) | (kind == CONSUMER)
    sent = (kind == CLIENT) | (kind == PRODUCER)
    crosses |= below & received & sent[up]
    n_across = np.bincount(parent[crosses], minlength=n)
    sent = _inferred(spans, kind, name, parent, crosses, n_across, sent)
    # a link stands for the parent where there is none, or where the parent only fetched the message
    linked = ~below | ((kind == CONSUMER) & (service == service[up]))
    source, cause, weight = _links(spans, start, linked)
    by_link = np.zeros(n, bool)
    by_link[source] = True

    half = sent & (n_across == 1)  # the caller's half of a call that was seen on both sides
    if by == "service":
        entry = ~below | crosses | by_link
        half &= ~entry
    else:
        half &= below & ~by_link
        entry = ~half
    request = np.where(entry, np.arange(n), up)
    for _ in range(max(n, 2).bit_length() + 1):
        further = request[request]
        if np.array_equal(further, request):
            break
        request = further
    called = np.flatnonzero(entry & below & ~by_link)
    above = parent[called]
    paired = half[above] & crosses[called]
    caller = request[above]
    low, high = np.where(paired, start[above], start[called]), np.where(paired, end[above], end[called])
    waits = ~((kind[called] == CONSUMER) | (kind[above] == PRODUCER) | _follows(spans, n)[called])
    network = np.where(paired & waits & (remote[called] == 0), (high - low) - (end[called] - start[called]), -1)
    shorter = paired & waits & (remote[called] == 0) & (network < 0)
    network[shorter] = 0
    outside = waits & ((low < start[caller] - _SKEW_NS) | (high > end[caller] + _SKEW_NS))
    outside |= paired & waits & ((start[called] < low - _SKEW_NS) | (end[called] > high + _SKEW_NS))
    _count(counts, "calls outside their caller", int(np.count_nonzero(outside)))
    _count(counts, "unpaired client spans", int(np.count_nonzero((kind == CLIENT) & (n_across == 0) & (remote == 0))))
    low, high = np.clip(low, start[caller], end[caller]), np.clip(high, start[caller], end[caller])

    number = np.cumsum(entry) - 1
    rows = np.flatnonzero(entry)
    component, components, kinds = _components(spans, by, service[rows], name[rows], remote[rows])
    late = request[cause]
    return Calls(
        components=components,
        remote=kinds,
        component=component,
        start_ns=start[rows],
        end_ns=end[rows],
        root=(~below & ~by_link)[rows],
        caller=number[np.concatenate([caller, late])],
        callee=number[np.concatenate([called, source])],
        low_ns=np.concatenate([low, start[late]]),
        high_ns=np.concatenate([high, start[late]]),
        waits=np.concatenate([waits, np.zeros(source.size, bool)]),
        weight=np.concatenate([np.ones(called.size), weight]),
        network_ns=np.concatenate([network, np.full(source.size, -1, np.int64)]),
        counts=counts,
    )


def _count(counts: dict[str, int], what: str, times: int) -> None:
    if times:
        counts[what] = counts.get(what, 0) + times


def _follows(spans: Spans, n: int) -> Flags:
    return np.concatenate([spans.follows, np.zeros(n - len(spans), bool)])


def _with_peers(spans: Spans, counts: dict[str, int]) -> tuple[Index, Index, Index, Index, Index, Index, Index]:
    """Append a stand-in request for every callee that only its caller names."""
    up = np.maximum(spans.parent, 0)
    across = (spans.parent >= 0) & (
        (spans.service != spans.service[up]) | (spans.kind == SERVER) | (spans.kind == CONSUMER)
    )
    answered = np.zeros(len(spans), bool)
    answered[spans.parent[across]] = True
    sent = (spans.kind == CLIENT) | (spans.kind == PRODUCER)
    alone = np.flatnonzero(sent & ~answered & (spans.peer >= 0) & (spans.peer != spans.service))
    _count(counts, "callees known from callers only", alone.size)
    message = spans.kind[alone] == PRODUCER

    def grown(column: Index, extra: Index) -> Index:
        return np.concatenate([column, extra])

    remote = np.concatenate([np.zeros(len(spans), np.int64), np.where(message, 2, 1)])
    return (
        grown(spans.start_ns, spans.start_ns[alone]),
        grown(spans.end_ns, spans.end_ns[alone]),
        grown(spans.parent, alone),
        grown(spans.kind, np.where(message, CONSUMER, SERVER)),
        grown(spans.service, spans.peer[alone]),
        grown(spans.name, spans.name[alone]),
        remote,
    )


def _stem(word: str) -> str:
    """Return an operation name without the marks of its side: ``get_client``, ``grpc.get_server`` -> ``get``."""
    return _HALF.sub("", word.lower()).removeprefix("grpc.").lstrip("/")


def _inferred(
    spans: Spans, kind: Index, name: Index, parent: Index, crosses: Flags, n_across: Index, sent: Flags
) -> Flags:
    """Take a span without a kind as the caller's half if its one callee carries the same name."""
    rows = np.flatnonzero(crosses)
    above = parent[rows]
    maybe = (kind[above] == UNSPECIFIED) & (n_across[above] == 1)
    if not maybe.any():
        return sent
    stems: dict[str, int] = {}
    stem = np.array([stems.setdefault(_stem(w), len(stems)) for w in spans.names], np.int64)
    hit = above[maybe & (stem[name[rows]] == stem[name[above]])]
    sent = sent.copy()
    sent[hit] = True
    return sent


def _links(spans: Spans, start: Index, linked: Flags) -> tuple[Index, Index, NDArray[np.float64]]:
    """Return (row, cause, weight) of the links that stand for a parent; causes come first, so there is no cycle."""
    source, cause = spans.link_from, spans.link_to
    earlier = (start[cause] < start[source]) | ((start[cause] == start[source]) & (cause < source))
    keep = linked[source] & earlier
    source, cause = source[keep], cause[keep]
    times = np.bincount(source, minlength=start.size)
    return source, cause, 1.0 / np.maximum(times[source], 1)


def _components(
    spans: Spans, by: str, service: Index, name: Index, remote: Index
) -> tuple[Index, Sequence[str], Index]:
    """Number the components of requests and name them."""
    key = service if by == "service" else np.where(remote > 0, -service - 1, service * len(spans.names) + name)
    codes, first, component = np.unique(key, return_index=True, return_inverse=True)
    labels = []
    for at in first.tolist():
        word = spans.services[service[at]]
        labels.append(word if by == "service" or remote[at] else f"{word}: {spans.names[name[at]]}")
    taken: dict[str, int] = {}
    for i, word in enumerate(labels):
        if word in taken:
            taken[word] += 1
            labels[i] = f"{word} ({taken[word]})"
        taken.setdefault(labels[i], 1)
    seen = np.full(codes.size, 3, np.int64)
    np.minimum.at(seen, component, remote)
    return component, labels, seen
