"""From observed call rates to an architecture: visit ratios, arrivals from outside, own times.

Every reader of metrics and graphs ends here, so that all of them mean the same by a call and by an arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture, Component, Dependency, Finding, Host, Load, Provenance
from fea_arch.architecture.fields import specs
from fea_arch.errors import ModelError
from fea_arch.sources.flows import outside_arrivals

__all__ = ["Call", "Rates", "finite", "mapping"]

#: Share of a response time that is left as own time where the callees explain all of it [1].
_LEAST_OWN = 0.01
#: Utilisation at the observed load that is assumed where the number of servers is not known [1].
_ASSUMED_UTILISATION = 0.5
#: Service time of a component about which nothing is known [s].
DEFAULT_SERVICE_S = float(specs(Component)["service_time_s"].default)


@dataclass
class Call:
    """What was seen on one edge; rates of equal edges add up."""

    rate: float = 0.0
    mode: str = "sync"


@dataclass
class Rates:
    """Collects components, call rates and response times, and builds the architecture.

    Attributes
    ----------
    name, path, source : str
        Name of the architecture, file, and the words for the provenance.
    unit_known : bool
        Whether rates are per second; counts of unknown length only give ratios.
    """

    name: str
    path: str
    source: str
    unit_known: bool = True
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[str, dict[str, Provenance]] = field(default_factory=dict)
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    arrivals: dict[str, float] = field(default_factory=dict)
    responses: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)

    def part(self, name: str, **fields: Any) -> None:
        """Add a component, or fields to one; numbers are measured."""
        if not name:
            raise ModelError("a component has no name", path=self.path, field="name", fix="a non-empty name")
        self.parts.setdefault(name, {"blocking": False}).update({k: v for k, v in fields.items() if v is not None})

    def measured(self, name: str, kind: str = "measured", **numbers: float | int | None) -> None:
        """Add numbers with their provenance."""
        given = {k: v for k, v in numbers.items() if v is not None}
        self.part(name, **given)
        self.origins.setdefault(name, {}).update({k: Provenance(kind, source=self.source) for k in given})

    def call(self, source: str, target: str, rate: float, mode: str = "sync") -> None:
        """Add a rate on an edge [1/s]."""
        self.part(source)
        self.part(target)
        known = self.calls.setdefault((source, target), Call(mode=mode))
        known.rate += rate
        if mode == "sync":
            known.mode = "sync"

    def respond(self, name: str, total_s: float, count: float) -> None:
        """Add response times of a component: their sum [s] and number."""
        self.part(name)
        before = self.responses.get(name, (0.0, 0.0))
        self.responses[name] = (before[0] + total_s, before[1] + count)

    def note(
        self, level: str, message: str, component: str = "", field: str = "", fix: str = "", count: int = 1
    ) -> None:
        """Add a finding."""
        self.notes.append(Finding(level, message, component, field, fix, count))

    def build(self, rate_per_s: float | None = None) -> Architecture:
        """Return the architecture; ``rate_per_s`` scales all arrivals to this sum [1/s]."""
        names = list(self.parts)
        if not names:
            raise ModelError("shows no component", path=self.path, fix="data with at least one call or component")
        index = {n: i for i, n in enumerate(names)}
        pairs = list(self.calls)
        source = np.array([index[a] for a, _ in pairs], np.int64)
        target = np.array([index[b] for _, b in pairs], np.int64)
        rate = np.array([self.calls[p].rate for p in pairs], float)
        stated = np.array([self.arrivals.get(n, 0.0) for n in names], float)
        live = rate > 0
        requests, arrivals, closed = outside_arrivals(len(names), source[live], target[live], rate[live], stated)
        calls = np.divide(rate, requests[source], out=np.zeros(len(pairs)), where=requests[source] > 0)
        self._say(names, stated, arrivals, closed)
        self._own_times(names, source, target, calls)
        total = float(arrivals.sum())
        wanted = rate_per_s if rate_per_s is not None else (None if self.unit_known else 1.0)
        scale = 1.0 if wanted is None or total <= 0 else wanted / total
        if rate_per_s is None and not self.unit_known and total > 0:
            self.note(
                "warning",
                "the data hold counts over an unknown time: arrivals of 1/s in all are assumed",
                field="loads",
                fix="rate_per_s=...",
            )
        self._size(names, requests * scale)
        return Architecture(
            name=self.name,
            components=[
                Component(name=n, **fields, provenance=self.origins.get(n, {})) for n, fields in self.parts.items()
            ],
            dependencies=[
                Dependency(
                    a,
                    b,
                    calls=float(c),
                    mode=self.calls[a, b].mode,
                    provenance={"calls": Provenance("measured", source=self.source)},
                )
                for (a, b), c in zip(pairs, calls)
            ],
            loads=[
                Load(names[i], rate_per_s=float(arrivals[i] * scale), measured=bool(self.unit_known and stated[i] > 0))
                for i in np.flatnonzero(arrivals > 0)
            ],
            notes=self.notes,
            hosts=self.hosts,
            origin=self.path.rsplit("/", 1)[-1],
        )

    def _size(self, names: list[str], requests: NDArray[np.float64]) -> None:
        """Assume enough servers for the load that was seen to be served, where their number is not known."""
        sized = 0
        for name, rate in zip(names, requests.tolist()):
            fields = self.parts[name]
            needed = ceil(rate * fields.get("service_time_s", DEFAULT_SERVICE_S) / _ASSUMED_UTILISATION)
            if "servers" not in fields and fields.get("law") != "delay" and needed > 1:
                self.measured(name, "assumed", servers=needed)
                sized += 1
        if sized:
            self.note(
                "warning",
                f"the number of servers is not known: {sized} components get as many as keep them at or below "
                f"{_ASSUMED_UTILISATION:.0%} utilisation at the load that was seen",
                field="servers",
                fix="state servers: arch.replaced(name, servers=...)",
                count=sized,
            )
        timeless = sum("service_time_s" not in f for f in self.parts.values())
        if timeless:
            self.note(
                "info",
                f"the data hold no times of {timeless} components: 10 ms are assumed",
                field="service_time_s",
                fix="overlay measurements: arch.measured(...)",
                count=timeless,
            )

    def _say(
        self, names: list[str], stated: NDArray[np.float64], arrivals: NDArray[np.float64], closed: NDArray[np.int64]
    ) -> None:
        added = np.flatnonzero((arrivals > stated) & (arrivals > 0))
        if added.size:
            shown = ", ".join(names[i] for i in added[:5]) + (" ..." if added.size > 5 else "")
            self.note(
                "info",
                f"{added.size} components send more than they are seen to receive ({shown}): arrivals as large as"
                " their busiest call are taken to come from outside",
                names[added[0]],
                "loads",
                "state the arrivals",
                count=int(added.size),
            )
        if closed.size:
            self.note(
                "warning",
                "a circle of components calls itself without any arrival from outside: arrivals were added",
                names[closed[0]],
                "loads",
                "state the arrivals",
                count=int(closed.size),
            )

    def _own_times(
        self, names: list[str], source: NDArray[np.int64], target: NDArray[np.int64], calls: NDArray[np.float64]
    ) -> None:
        """Take the time in callees out of mean response times."""
        response = np.array(
            [t / c if c > 0 else np.nan for t, c in (self.responses.get(n, (0.0, 0.0)) for n in names)], float
        )
        sync = np.array([c.mode == "sync" for c in self.calls.values()], np.bool_)
        known = sync & ~np.isnan(response[target]) & (source != target) if len(self.calls) else sync
        inside = calls * np.nan_to_num(response[target])
        total = np.bincount(source[known], inside[known], len(names))
        longest = np.zeros(len(names))
        np.maximum.at(longest, source[known], inside[known])
        hidden = 0
        for i in np.flatnonzero(response > 0):
            own = response[i] - total[i]
            if own <= 0:
                hidden += 1
                own = response[i] - longest[i]
            own = max(own, _LEAST_OWN * response[i])
            cpu = self.parts[names[i]].get("cpu_s")
            self.measured(names[i], service_time_s=max(float(own), cpu or 0.0))
        if hidden:
            self.note(
                "warning",
                f"{hidden} components answer sooner than their callees take in all: calls run in parallel or differ by "
                "path; the longest callee was taken off instead",
                field="service_time_s",
                fix="read traces, which show the order of calls",
                count=hidden,
            )
        timed = int(np.count_nonzero(response > 0))
        if timed:
            self.note(
                "info",
                f"service times of {timed} components are mean response times less the time in callees; waiting at"
                " that load is still inside",
                field="service_time_s",
                count=timed,
            )


def finite(value: Any, path: str, component: str, field: str) -> float:
    """Return a number that a file holds as a number or a text.

    Raises
    ------
    ModelError
        If it is none, negative or not finite.
    """
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not 0.0 <= number < float("inf"):
        raise ModelError(
            f"is {str(value)[:80]!r}", path=path, component=component[:120], field=field, fix="a finite number >= 0"
        )
    return number


def mapping(value: Any, path: str, what: str) -> Mapping[str, Any]:
    """Return a mapping of a file.

    Raises
    ------
    ModelError
        If it is none.
    """
    if not isinstance(value, Mapping):
        raise ModelError(f"{what} is not an object", path=path, field=what)
    return value
