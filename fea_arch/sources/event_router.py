"""Event-router JSON of a tool platform: a bus with topics, MCP servers, command-line tools, and routes to handlers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture import Architecture, Component, Dependency, Finding, Load, Provenance
from fea_arch.errors import ModelError, suggestion
from fea_arch.sources.loading import read_text
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.relaxed_json import parse_relaxed_json

__all__ = ["SOURCE", "read_event_router"]

_BUS = "event-bus"
_AI = ("code-generation", "inference", "llm", "embedding")
_MEMORY = ("memory", "vector", "knowledge")
#: Words of an event type that stand for a topic in other words.
_ALIKE = {"code": "code-generation", "context": "context-management", "infra": "infrastructure", "test": "testing"}


def read_event_router(path: str | Path, *, rate_per_s: float | None = None) -> Architecture:
    """Read an event-router configuration.

    Parameters
    ----------
    path : str or Path
    rate_per_s : float, optional
        Events of each route [1/s]; default: 1, noted as assumed.

    Returns
    -------
    Architecture
        Bus, topics, servers, tools; one ``route`` component per event type hands its events to the handlers, which
        the bus reaches asynchronously. Service times are assumed (10 ms).

    Raises
    ------
    ModelError
        With the part and the field that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> text = '''{"eventBus": {"topics": {"testing": "test-events"}}, "cliTools": {"git": {"command": "git"}},
    ...            "routes": [{"eventType": "test-run", "handlers": ["git"], "priority": "high"}]}'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "event-router.json"
    ...     _ = file.write_text(text)
    ...     arch = read_event_router(file)
    >>> arch.names
    ['event-bus', 'test-events', 'git', 'route:test-run']
    """
    place = str(path)
    document = parse_relaxed_json(read_text(path, max_bytes=16 * 2**20), path)
    if not isinstance(document, Mapping):
        raise ModelError("is not an object", path=place, fix="eventBus, mcpServers, cliTools, routes")
    reader = _Router(place)
    bus = _part(document, "eventBus", place)
    reader.component(_BUS, kind="bus")
    for topic, channel in _part(bus, "topics", place, "eventBus.topics").items():
        if not isinstance(channel, str) or not channel:
            raise ModelError("is not a text", path=place, component=str(topic)[:80], field="eventBus.topics")
        reader.component(channel, kind="queue")
        reader.topics[str(topic)] = channel
    for name, body in _part(document, "mcpServers", place).items():
        reader.server(str(name), body)
    for name, body in _part(document, "cliTools", place).items():
        reader.tool(str(name), body)
    routes = document.get("routes")
    if not isinstance(routes, list) or not routes:
        raise ModelError(
            "is not a list of routes", path=place, field="routes", fix='[{"eventType": ..., "handlers": [...]}]'
        )
    for i, route in enumerate(routes):
        reader.route(i, route, 1.0 if rate_per_s is None else rate_per_s)
    return reader.build(Path(path), assumed=rate_per_s is None, rate=rate_per_s or 1.0)


def _part(owner: Mapping[str, Any], key: str, path: str, field: str | None = None) -> Mapping[str, Any]:
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ModelError("is not an object", path=path, field=field or key)
    return value


class _Router:
    """Collects components and edges of a router configuration."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.components: dict[str, Component] = {}
        self.capabilities: dict[str, list[str]] = {}
        self.topics: dict[str, str] = {}
        self.edges: dict[tuple[str, str], Dependency] = {}
        self.rates: dict[str, dict[str, float]] = {}
        self.notes: list[Finding] = []

    def component(self, name: str, **fields: Any) -> None:
        if name in self.components:
            raise ModelError("two parts have this name", path=self.path, component=name[:80], fix="make names unique")
        self.components[name] = Component(name, blocking=False, **fields)

    def _capable(self, name: str, body: Any, section: str) -> list[str]:
        if not isinstance(body, Mapping):
            raise ModelError("is not an object", path=self.path, component=name[:80], field=section)
        words = body.get("capabilities") or []
        if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
            raise ModelError("is not a list of texts", path=self.path, component=name[:80], field="capabilities")
        self.capabilities[name] = words
        return words

    def server(self, name: str, body: Any) -> None:
        words = self._capable(name, body, "mcpServers")
        safety = 1.5 if any(m in w for w in words for m in _MEMORY) else None
        safety = 3.0 if any(m in w for w in words for m in _AI) else safety
        self.component(name, kind="mcp", required_safety=safety)

    def tool(self, name: str, body: Any) -> None:
        self._capable(name, body, "cliTools")
        self.component(name, kind="cli", law="delay")

    def handler(self, word: str, event: str) -> str:
        """Return the component behind a handler's name, adding an unknown one."""
        if word in self.components:
            return word
        owners = [c for c in self.capabilities if word.startswith(c + "-") or c.startswith(word + "-")]
        if owners:
            owner = max(owners, key=len)
            self.notes.append(
                Finding(
                    "info", f"handler {word!r} of {event!r} is taken as a capability of {owner!r}", owner, "handlers"
                )
            )
            return owner
        self.component(word, kind="cli" if re.fullmatch(r"[a-z0-9_.+]{1,20}", word) else "service")
        self.notes.append(
            Finding(
                "warning",
                f"handler {word!r} of {event!r} is declared nowhere: it is taken as a part of its own."
                f"{suggestion(word, [c for c in self.components if c != word])}",
                word,
                "handlers",
                "declare it under mcpServers or cliTools",
            )
        )
        return word

    def route(self, i: int, route: Any, rate: float) -> None:
        place = f"routes[{i}]"
        if not isinstance(route, Mapping):
            raise ModelError("is not an object", path=self.path, field=place)
        event, handlers = route.get("eventType"), route.get("handlers")
        if not isinstance(event, str) or not event:
            raise ModelError("is not a text", path=self.path, field=f"{place}.eventType")
        if not isinstance(handlers, list) or not handlers or not all(isinstance(h, str) and h for h in handlers):
            raise ModelError("is not a list of names", path=self.path, component=event[:80], field=f"{place}.handlers")
        runner = f"route:{event}"
        self.component(runner, kind="service")
        topic = self._topic(event)
        self.rates.setdefault(topic or _BUS, {})[runner] = rate
        for word in handlers:
            self._link(runner, self.handler(word, event), f"routes: {event}")

    def _topic(self, event: str) -> str | None:
        first = event.split("-")[0].lower()
        for topic, channel in self.topics.items():
            if topic.startswith(first) or _ALIKE.get(first, first) == topic:
                return channel
        if self.topics:
            self.notes.append(
                Finding(
                    "warning", f"no topic fits the event type {event!r}: its events reach the bus only", _BUS, "topics"
                )
            )
        return None

    def _link(self, source: str, target: str, evidence: str, calls: float = 1.0, mode: str = "sync") -> None:
        if (source, target) in self.edges:  # two handlers that lead to one component are two calls of it
            calls += self.edges[source, target].calls
        self.edges[source, target] = Dependency(
            source,
            target,
            calls=calls,
            mode=mode,
            provenance={
                "target": Provenance("declared", source=evidence),
                "calls": Provenance("assumed", source="once per event"),
            },
        )

    def build(self, path: Path, *, assumed: bool, rate: float) -> Architecture:
        loads = []
        for entry, runners in self.rates.items():
            total = sum(runners.values())
            if entry != _BUS:
                self._link(entry, _BUS, "eventBus.topics")
            for runner, part in runners.items():
                self._link(
                    entry, runner, "routes", calls=part / total if total > 0 else 1.0 / len(runners), mode="async"
                )
            loads.append(Load(entry, rate_per_s=total, name=entry))
        unused = [t for t in self.topics.values() if t not in self.rates]
        if unused:
            self.notes.append(
                Finding("info", f"no route uses the topics {', '.join(unused)}", unused[0], "routes", count=len(unused))
            )
        self.notes.append(
            Finding(
                "info",
                "the configuration holds no times: 10 ms are assumed for every part",
                _BUS,
                "service_time_s",
                "overlay measurements: fea-arch measure",
                len(self.components),
            )
        )
        if assumed:
            self.notes.append(
                Finding(
                    "warning", f"{rate:g} events a second of each route are assumed", _BUS, "loads", "rate_per_s=..."
                )
            )
        return Architecture(
            name=path.stem or "event-router",
            components=list(self.components.values()),
            dependencies=list(self.edges.values()),
            loads=loads,
            notes=self.notes,
            origin=path.name,
        )


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    return 0.95 if look.form == "object" and look.has("eventBus") and look.any("routes", "eventBus.topics") else 0.0


SOURCE = Source("event-router", _sniff, read_event_router, "event-router JSON: bus, MCP servers, CLI tools, routes")
