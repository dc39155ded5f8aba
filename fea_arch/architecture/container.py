"""The architecture: components, dependencies, loads, hosts and objective, frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.columns import Columns
from fea_arch.architecture.component import Component, Host
from fea_arch.architecture.dependency import Balancer, Dependency
from fea_arch.architecture.fields import specs, strict
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.graph import Graph, build_graph, numbered
from fea_arch.architecture.loads import Load, LoadCase, Objective, Period, Workflow
from fea_arch.architecture.rendering import Rendered
from fea_arch.errors import ModelError, suggestion

if TYPE_CHECKING:
    from fea_arch.architecture.measurement import Measurement

__all__ = ["Architecture"]


def _as_columns(kind: type[Any], rows: Any) -> Columns[Any]:
    if isinstance(rows, Columns):
        return rows
    items = _items(rows, kind)
    for item in items:
        if not isinstance(item, kind):
            raise ModelError(f"{item!r} is not a {kind.__name__}", fix=f"a list of fa.{kind.__name__}")
    return Columns.from_rows(kind, items)


def _items(rows: Any, kind: type[Any]) -> list[Any]:
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise ModelError(f"{rows!r:.80} is not a list", fix=f"a list of fa.{kind.__name__}")
    return list(rows)


@strict
@dataclass(frozen=True, eq=False, repr=False)
class Architecture(Rendered):
    """A system of components that call each other, and what acts on it.

    Parameters
    ----------
    components : sequence of Component
        Stored by column; ``arch.components[i]`` builds one on demand.
    dependencies : sequence of Dependency or Balancer
    loads : sequence of Load
    hosts : sequence of Host
    objective : Objective
    load_cases, workflows, periods : sequences of LoadCase, Workflow, Period
    notes : sequence of Finding
        Data-quality findings of the reader.
    origin : str
        Where the description came from.

    Raises
    ------
    ModelError
        Duplicate names, unknown references.

    Examples
    --------
    >>> arch = Architecture(name="pair", components=[Component("a"), Component("b")],
    ...                     dependencies=[Dependency("a", "b")], loads=[Load("a", rate_per_s=5.0)])
    >>> arch.replaced("b", servers=4)["b"].servers
    4
    """

    name: str
    components: Sequence[Component] = ()
    dependencies: Sequence[Dependency | Balancer] = ()
    loads: Sequence[Load] = ()
    hosts: Sequence[Host] = ()
    objective: Objective = Objective()
    load_cases: Sequence[LoadCase] = ()
    workflows: Sequence[Workflow] = ()
    periods: Sequence[Period] = ()
    notes: Sequence[Finding] = ()
    origin: str = ""
    balancers: tuple[Balancer, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ModelError(f"is {self.name!r}, not a non-empty text", field="name")
        object.__setattr__(self, "components", _as_columns(Component, self.components))
        calls = self.dependencies
        if not isinstance(calls, Columns):
            found = _items(calls, Dependency)
            extra = tuple(d for d in found if isinstance(d, Balancer))
            object.__setattr__(self, "balancers", (*self.balancers, *extra))
            calls = _as_columns(Dependency, [d for d in found if not isinstance(d, Balancer)])
        object.__setattr__(self, "dependencies", calls)
        if not isinstance(self.objective, Objective):
            raise ModelError(f"is {self.objective!r}", field="objective", fix="fa.Objective(latency_s=...)")
        for field, kind in _PARTS.items():
            given = getattr(self, field)
            values = given if isinstance(given, tuple) else tuple(_items(given, kind))
            wrong = next((v for v in values if not isinstance(v, kind)), None)
            if wrong is not None:
                raise ModelError(f"{wrong!r} is not a {kind.__name__}", field=field)
            object.__setattr__(self, field, values)
        self._check_references()

    def _check_references(self) -> None:
        index = self.index
        if len(index) != len(self.components):
            twice = next(name for i, name in enumerate(self.names) if index[name] != i)
            raise ModelError("component name is used twice", component=twice, field="name", fix="make names unique")
        for load in self.loads:
            if load.entry not in index:
                raise ModelError(
                    f"load enters at unknown component.{suggestion(load.entry, index)}",
                    component=load.entry,
                    field="loads",
                )
        machines = {h.name for h in self.hosts}
        if len(machines) != len(self.hosts):
            raise ModelError("host name is used twice", field="hosts", fix="make names unique")
        if "host" in self.component_columns.data:
            for i, host in enumerate(self.component_columns.column("host")):
                if host is not None and host not in machines:
                    raise ModelError(
                        f"unknown host {host!r}.{suggestion(host, machines)}",
                        component=self.names[i],
                        field="host",
                        fix="add a fa.Host of that name",
                    )
        paths = [(w.name, name, "workflows") for w in self.workflows for name in w.path]
        for owner, name, field in (*paths, *((p.name, p.at, "periods") for p in self.periods if p.at is not None)):
            if name not in index:
                raise ModelError(
                    f"names the unknown component {name!r}.{suggestion(name, index)}", component=owner, field=field
                )
        _ = self.graph

    @property
    def component_columns(self) -> Columns[Component]:
        """Components by column."""
        assert isinstance(self.components, Columns)
        return self.components

    @property
    def dependency_columns(self) -> Columns[Dependency]:
        """Plain dependencies by column (balancers are in ``balancers``)."""
        assert isinstance(self.dependencies, Columns)
        return self.dependencies

    @cached_property
    def names(self) -> Sequence[str]:
        """Component names in order."""
        cache = self.component_columns.cache
        if "names" not in cache:
            cache["names"] = self.component_columns.column("name").tolist()
        found: list[str] = cache["names"]
        return found

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each component by name."""
        cache = self.component_columns.cache
        if "index" not in cache:
            cache["index"] = dict(zip(self.names, range(len(self))))
        found: dict[str, int] = cache["index"]
        return found

    @cached_property
    def graph(self) -> Graph:
        """Components and call edges as arrays."""
        return build_graph(self)

    def __len__(self) -> int:
        return len(self.components)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __getitem__(self, name: str) -> Component:
        return self.components[self.number(name)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in _COMPARED)

    __hash__ = None  # type: ignore[assignment]

    def number(self, name: str) -> int:
        """Return the number of a component.

        Raises
        ------
        ModelError
            If there is none of that name, with a suggestion.
        """
        try:
            return self.index[name]
        except (KeyError, TypeError):
            close = suggestion(str(name), self.index)
            raise ModelError(f"no component of this name in {self.name!r}.{close}", component=str(name)) from None

    def replaced(self, name: str, /, **changes: Any) -> Architecture:
        """Return a copy with fields of one component, dependency (``"a->b"``) or host changed.

        Raises
        ------
        ModelError
            Unknown name or field.
        """
        if isinstance(name, str) and "->" in name and name not in self.index:
            return self._replaced_dependency(name, changes)
        machine = next((k for k, h in enumerate(self.hosts) if h.name == name), None)
        if machine is not None and name not in self.index:
            hosts = list(self.hosts)
            hosts[machine] = _edited(hosts[machine], name, changes)
            return replace(self, hosts=hosts)
        i = self.number(name)
        new = _edited(self.components[i], name, changes)
        if new.name != name:
            return self._renamed(i, new)
        return replace(self, components=self.component_columns.with_rows({i: new}))

    def _replaced_dependency(self, label: str, changes: Mapping[str, Any]) -> Architecture:
        source, target = label.split("->", 1)
        hits = self._edges(source, target).tolist()
        groups = [g for g, b in enumerate(self.balancers) if b.label == label]
        if not hits and not groups:
            raise ModelError(f"no such dependency.{suggestion(label, self._labels())}", component=label)
        rows = {i: _edited(self.dependency_columns[i], label, changes) for i in hits}
        balancers = tuple(_edited(b, label, changes) if g in groups else b for g, b in enumerate(self.balancers))
        return replace(self, dependencies=self.dependency_columns.with_rows(rows), balancers=balancers)

    def _edges(self, source: str, target: str) -> NDArray[np.int64]:
        """Return the rows of the plain dependencies from one component to another."""
        if source not in self.index or target not in self.index:
            return np.zeros(0, np.int64)
        start, end = numbered(self)
        return np.flatnonzero((start == self.index[source]) & (end == self.index[target]))

    def _labels(self) -> list[str]:
        """Return the first dependencies and all balancers by label, for suggestions."""
        return [d.label for d in self.dependency_columns[:5000]] + [b.label for b in self.balancers]

    def _renamed(self, i: int, new: Component) -> Architecture:
        old = self.names[i]

        def swap(name: str) -> str:
            return new.name if name == old else name

        calls = self.dependency_columns
        for end, numbers in zip(("source", "target"), numbered(self)):
            column = calls.column(end).copy()
            column[numbers == i] = new.name
            calls = calls.with_column(end, column)
        return replace(
            self,
            components=self.component_columns.with_rows({i: new}),
            dependencies=calls,
            balancers=tuple(
                replace(b, source=swap(b.source), targets=tuple(map(swap, b.targets))) for b in self.balancers
            ),
            loads=[replace(load, entry=swap(load.entry)) for load in self.loads],
            workflows=[replace(w, path=tuple(map(swap, w.path))) for w in self.workflows],
            periods=[replace(p, at=swap(p.at) if p.at else None) for p in self.periods],
        )

    def without(self, *names: str) -> Architecture:
        """Return a copy in which components (or dependencies ``"a->b"``) are gone, with all that touches them."""
        gone = {n for n in names if n in self.index or "->" not in str(n)}
        for name in gone:
            self.number(name)
        cut = set(names) - gone
        keep = np.ones(len(self), bool)
        keep[[self.index[n] for n in gone]] = False
        source, target = numbered(self)
        stay = keep[source] & keep[target]
        for label in sorted(cut):
            edges = self._edges(*label.split("->", 1))
            stay[edges] = False
            if not edges.size and label not in {b.label for b in self.balancers}:
                raise ModelError(f"no such dependency.{suggestion(label, self._labels())}", component=label)
        balancers = []
        for b in self.balancers:
            left = [i for i, t in enumerate(b.targets) if t not in gone]
            if b.source in gone or b.label in cut or not left:
                continue
            weights = None if b.weights is None else tuple(b.weights[i] for i in left)
            balancers.append(replace(b, targets=tuple(b.targets[i] for i in left), weights=weights))
        components = self.component_columns.take(np.flatnonzero(keep)) if gone else self.component_columns
        dependencies = self.dependency_columns.take(np.flatnonzero(stay))
        renumbered = np.cumsum(keep) - 1
        dependencies.numbers = (
            components.column("name"),
            {"source": renumbered[source[stay]], "target": renumbered[target[stay]]},
        )
        return replace(
            self,
            components=components,
            dependencies=dependencies,
            balancers=tuple(balancers),
            loads=[load for load in self.loads if load.entry not in gone],
            workflows=[w for w in self.workflows if not gone & set(w.path)],
            periods=[p for p in self.periods if p.at not in gone],
        )

    def scaled(self, factor: float) -> Architecture:
        """Return a copy with all loads multiplied (closed populations are rounded, at least one user)."""
        if not (isinstance(factor, (int, float, np.number)) and 0 <= float(factor) < float("inf")):
            raise ModelError(f"is {factor!r}", field="factor", fix="a non-negative finite number")
        loads = [
            replace(load, rate_per_s=load.rate_per_s * float(factor))
            if load.rate_per_s is not None
            else replace(load, users=max(round((load.users or 1) * float(factor)), 1))
            for load in self.loads
        ]
        return replace(self, loads=loads)

    def case(self, name: str) -> Architecture:
        """Return the architecture under a named load case."""
        for case in self.load_cases:
            if case.name == name:
                return self.scaled(case.factor)
        raise ModelError(
            f"no load case {name!r}.{suggestion(name, [c.name for c in self.load_cases])}", field="load_cases"
        )

    def running(self) -> Architecture:
        """Return the architecture without components that are configured but not available."""
        down = np.flatnonzero(~self.component_columns.column("available"))
        return self.without(*(self.names[i] for i in down.tolist())) if down.size else self

    def measured(self, measurements: Mapping[str, Measurement] | Iterable[Measurement]) -> Architecture:
        """Return a copy with measured numbers overlaid on the declared topology.

        Raises
        ------
        ModelError
            A measurement names an unknown component.
        """
        from fea_arch.architecture.measurement import overlay

        return overlay(self, measurements)

    def measured_share(self, field: str | None = None) -> float:
        """Return the share of the components' numbers that were measured [1]."""
        from fea_arch.architecture.measurement import KEY_FIELDS

        names = KEY_FIELDS if field is None else (field,)
        if not len(self):
            return 0.0
        return float(np.mean([np.mean(self.component_columns.codes(f) == 2) for f in names]))

    def check(self) -> list[Finding]:
        """Return findings: errors and warnings that name the component, the field and the fix."""
        from fea_arch.architecture.checks import findings

        return findings(self)


_PARTS: dict[str, type] = {
    "loads": Load,
    "hosts": Host,
    "load_cases": LoadCase,
    "workflows": Workflow,
    "periods": Period,
    "notes": Finding,
    "balancers": Balancer,
}
_COMPARED = tuple(n for n in specs(Architecture) if n not in ("notes", "origin"))


def _edited(item: Any, label: str, changes: Mapping[str, Any]) -> Any:
    known = specs(type(item))
    for field in changes:
        if field not in known:
            raise ModelError(
                f"{type(item).__name__} has no field {field!r}.{suggestion(field, known)}", component=label, field=field
            )
    # a what-if value is somebody's word, whatever stood there before
    provenance = {k: v for k, v in item.provenance.items() if k not in changes}
    return replace(item, **{"provenance": provenance, **changes})
