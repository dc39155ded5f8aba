"""Single changes that can strengthen an architecture, with their costs and bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.architecture.dependency import Dependency
from fea_arch.errors import ModelError, suggestion

__all__ = ["COSTS", "DECISIONS", "HITS", "Move", "calls_to_change", "candidates", "checked_bounds", "checked_costs",
           "checked_hits", "merged", "within"]  # fmt: skip

#: Default cost of one step of each kind: a server is 1; memory is per GiB, a replica per server in it.
COSTS: dict[str, float] = {
    "servers": 1.0,
    "replicas": 1.5,
    "memory": 0.5,
    "timeout": 0.5,
    "retry_budget": 0.5,
    "fallback": 3.0,
    "cache": 4.0,
    "decouple": 5.0,
    "remove": 6.0,
}
#: What no calculation can decide, by kind of change of what calls what.
DECISIONS: dict[str, str] = {
    "decouple": "whether the caller can go on without the answer",
    "fallback": "what is answered without it",
    "cache": "whether an old answer will do, and whether that many calls hit",
    "remove": "whether nobody needs it",
}
#: Share of the calls that a cache takes away, factor of a time-out, retries a budget allows per call.
HITS, LONGER, BUDGET = 0.5, 2.0, 0.1
#: An event: nobody waits, so nothing is late, repeated or one of several parallel calls.
EVENT: dict[str, Any] = {"mode": "async", "timeout_s": None, "retries": 0, "stage": None, "breaker": None}


@dataclass(frozen=True, slots=True)
class Move:
    """One change of one field.

    Parameters
    ----------
    kind : str
        Key of ``COSTS``.
    place, field : str
        What is changed.
    before, after : object
    cost : float
        In the user's unit.
    """

    kind: str
    place: str
    field: str
    before: Any
    after: Any
    cost: float

    def apply(self, arch: Architecture) -> Architecture:
        """Return the changed copy."""
        if self.kind == "remove":
            return arch.without(self.place)
        if self.kind == "decouple":
            return arch.replaced(self.place, **EVENT)
        return arch.replaced(self.place, **{self.field: self.after})

    def __str__(self) -> str:
        words = {
            "fallback": f"give {self.place} a fallback",
            "decouple": f"make {self.place} an event that nobody waits for",
            "remove": f"remove {self.place}",
        }
        if self.kind == "cache":
            return f"cache {self.place}: {1.0 - self.after / self.before:.3g} of the calls"
        return words.get(self.kind, f"{self.place}.{self.field}: {_shown(self.before)} -> {_shown(self.after)}")


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def checked_costs(costs: Mapping[str, float] | None) -> dict[str, float]:
    """Return the default costs with those of the user.

    Raises
    ------
    ModelError
        Unknown kind, or a cost that is not positive; ``inf`` forbids a kind.
    """
    table: dict[str, float] = dict(COSTS)
    for name, value in (costs or {}).items():
        kind = name.rpartition(".")[2]
        if kind not in COSTS:
            raise ModelError(f"no kind of change {kind!r}.{suggestion(kind, COSTS)}", field="costs")
        if not isinstance(value, (int, float)) or not float(value) > 0.0:
            raise ModelError(f"is {value!r}", field=f"costs[{name!r}]", fix="a positive number; inf forbids the change")
        table[name] = float(value)
    return table


def checked_bounds(bounds: Mapping[str, float] | None) -> dict[str, float]:
    """Return the bounds; a misspelt kind would bound nothing.

    Raises
    ------
    ModelError
        Unknown kind, or a bound that is no number of 0 or more.
    """
    for name, value in (bounds or {}).items():
        kind = name.rpartition(".")[2]
        if kind not in COSTS:
            raise ModelError(f"no kind of change {kind!r}.{suggestion(kind, COSTS)}", field="bounds")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not float(value) >= 0.0:
            raise ModelError(f"is {value!r}", field=f"bounds[{name!r}]", fix="a number of 0 or more")
    return dict(bounds or {})


def checked_hits(arch: Architecture, hits: float | Mapping[str, float]) -> dict[str, float]:
    """Return hit rates by call; the one of ``""`` is for all others.

    Raises
    ------
    ModelError
        A share outside (0, 1), or a call that is not there.
    """
    table = {"": HITS, **(hits if isinstance(hits, Mapping) else {"": hits})}
    known = {d.label for d in arch.dependency_columns}
    for label, share in table.items():
        if label and label not in known:
            raise ModelError(f"no such dependency.{suggestion(label, known)}", component=label, field="hits")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 < share < 1.0:
            raise ModelError(f"is {share!r}", field="hits", fix="a share of the calls between 0 and 1")
    return {label: float(share) for label, share in table.items()}


def within(moves: Sequence[Move], bounds: Mapping[str, float]) -> bool:
    """Return whether as many changes of what calls what, and these, are allowed."""
    used = Counter(m.kind for m in moves)
    few = all(count <= bounds.get(kind, math.inf) for kind, count in used.items())
    return few and all(bounds.get(f"{m.place}.{m.kind}", 1.0) >= 1.0 for m in moves)


def calls_to_change(
    arch: Architecture, costs: Mapping[str, float], hits: Mapping[str, float], taken: Iterable[tuple[str, str]] = ()
) -> list[Move]:
    """Return the changes of what calls what that make sense, with their costs.

    A call that is required is removed only where its own cost is given, which says that it can go. ``taken`` are the
    changes (kind, call) that were made already: a call is cached once.
    """
    rows: dict[str, list[Dependency]] = {}
    for d in arch.dependency_columns:
        rows.setdefault(d.label, []).append(d)
    out: list[Move] = []
    done = set(taken)

    def add(kind: str, place: str, field: str, before: Any, after: Any) -> None:
        cost = costs.get(f"{place}.{kind}", costs[kind])
        if np.isfinite(cost) and (kind, place) not in done:
            out.append(Move(kind, place, field, before, after, float(cost)))

    for label, same in rows.items():
        d = same[0]
        if d.mode != "sync" or not d.calls > 0:
            continue
        if d.required:
            add("fallback", label, "required", True, False)
        if not any(row.required for row in same) or f"{label}.remove" in costs:
            add("remove", label, "", label, None)
        if len(same) == 1:  # one number of calls for all rows would not be a share of each
            add("cache", label, "calls", d.calls, (1.0 - hits.get(label, hits[""])) * d.calls)
        add("decouple", label, "mode", "sync", "async")
    return out


def candidates(
    arch: Architecture,
    places: list[str],
    costs: Mapping[str, float],
    bounds: Mapping[str, float],
    kinds: tuple[str, ...],
    stretch: float = 1.0,
    *,
    hits: Mapping[str, float] | None = None,
    taken: Sequence[tuple[str, str]] = (),
    labels: Iterable[str] = (),
) -> list[Move]:
    """Return the next step of every allowed change at the given components and the calls to them.

    ``stretch`` is how many times more a component has to carry: steps of servers grow with it. ``labels`` are further
    calls that may be changed in what calls what; a bound of such a kind is the number of calls that are.
    """
    out: list[Move] = []

    def add(kind: str, place: str, field: str, before: Any, after: Any, size: float = 1.0) -> None:
        cost = costs.get(f"{place}.{kind}", costs[kind]) * size
        bound = bounds.get(f"{place}.{kind}", bounds.get(kind))
        within = bound is None or not isinstance(after, (int, float)) or after <= bound
        if kind in kinds and np.isfinite(cost) and within:
            out.append(Move(kind, place, field, before, after, float(cost)))

    chosen = set(places)
    for name in places:
        c = arch[name]
        if c.law == "mmc" and c.servers < 100_000:
            step = max(1, c.servers // 8, math.ceil(c.servers * (min(stretch, 2.0) - 1.0)))
            add("servers", name, "servers", c.servers, c.servers + step, step * c.replicas)
        if c.law != "delay":
            add("replicas", name, "replicas", c.replicas, c.replicas + 1, c.servers)
        if c.memory_limit_bytes is not None and c.memory_per_request_bytes:
            more = 0.25 * c.memory_limit_bytes
            add("memory", name, "memory_limit_bytes", c.memory_limit_bytes, c.memory_limit_bytes + more,
                more * c.replicas / 2**30)  # fmt: skip
    seen: set[str] = set()
    for d in arch.dependency_columns:
        if d.target not in chosen or d.label in seen or d.mode != "sync":
            continue
        seen.add(d.label)
        if d.retries and d.retry_budget is None:
            add("retry_budget", d.label, "retry_budget", None, BUDGET)
        if d.timeout_s is not None:
            add("timeout", d.label, "timeout_s", d.timeout_s, LONGER * d.timeout_s)
    if not set(kinds) & set(DECISIONS):
        return out
    made = [Move(kind, place, "", None, None, 0.0) for kind, place in taken]
    leading = set(labels)
    for move in calls_to_change(arch, costs, hits or {"": HITS}, taken):
        source, _, target = move.place.partition("->")
        near = target in chosen or move.place in leading or (source in chosen and move.kind in ("decouple", "remove"))
        if move.kind in kinds and near and within((*made, move), bounds):
            out.append(move)
    return out


def merged(moves: list[Move]) -> list[Move]:
    """Return one move for each field, from its first value to its last."""
    out: dict[tuple[str, str], Move] = {}
    for move in moves:
        key = (move.place, move.field)
        first = out.get(key)
        out[key] = move if first is None else replace(first, after=move.after, cost=first.cost + move.cost)
    return list(out.values())
