"""Single changes that can strengthen an architecture, with their costs and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError, suggestion

__all__ = ["COSTS", "Move", "candidates", "checked_costs"]

#: Default cost of one step of each kind: a server is 1; memory is per GiB, a replica per server in it.
COSTS: dict[str, float] = {
    "servers": 1.0,
    "replicas": 1.5,
    "memory": 0.5,
    "timeout": 0.5,
    "retry_budget": 0.5,
    "fallback": 3.0,
    "cache": 4.0,
    "remove": 6.0,
}
#: Share of the calls that a cache takes away, factor of a time-out, retries a budget allows per call.
CACHE_HITS, LONGER, BUDGET = 0.5, 2.0, 0.1


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
        return arch.replaced(self.place, **{self.field: self.after})

    def __str__(self) -> str:
        words = {
            "fallback": f"give {self.place} a fallback",
            "cache": f"cache {self.place}: {CACHE_HITS:.0%} of the calls",
            "remove": f"remove {self.place}",
        }
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


def candidates(
    arch: Architecture,
    places: list[str],
    costs: Mapping[str, float],
    bounds: Mapping[str, float],
    kinds: tuple[str, ...],
    stretch: float = 1.0,
) -> list[Move]:
    """Return the next step of every allowed change at the given components and the calls to them.

    ``stretch`` is how many times more a component has to carry: steps of servers grow with it.
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
        if d.required:
            add("fallback", d.label, "required", True, False)
        else:
            add("remove", d.label, "", d.label, None)
        if d.calls > 0.05:
            add("cache", d.label, "calls", d.calls, (1.0 - CACHE_HITS) * d.calls)
    return out
