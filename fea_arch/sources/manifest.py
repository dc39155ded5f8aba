"""What manifests have in common: they declare parts and addresses, and say nothing about rates or times.

A manifest becomes an architecture with assumed service times and an assumed load on every component that nobody
depends on. Everything assumed is said in the notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture, Component, Dependency, Finding, Load, Provenance
from fea_arch.errors import ModelError
from fea_arch.sources.gain import limit_gain, source_groups

__all__ = ["Manifest", "hosts_in", "kind_of_image", "mode_of"]

#: An authority in an address: optional scheme and user, a host name, optionally a port.
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30})://)?(?:[^\s/@,;\"']{0,200}@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._\-]{0,250}[A-Za-z0-9])?)(?::(?P<port>\d{1,5}))?(?![A-Za-z0-9_])"
)
_NAMES_A_HOST = re.compile(
    r"(HOST|HOSTS|HOSTNAME|ADDR|ADDRS|ADDRESS|ADDRESSES|ENDPOINT|ENDPOINTS|SERVER|SERVERS|SERVICE|URL|URLS|URI|BROKER"
    r"|BROKERS|NODES?|UPSTREAM|TARGET|BACKEND|DSN|CONNECTION|CONNECTION_STRING)$",
    re.IGNORECASE,
)
_TELEMETRY = re.compile(
    r"OTEL|OTLP|JAEGER|ZIPKIN|TRAC(E|ING)|METRIC|STATSD|TELEMETRY|SENTRY|LOGSTASH|FLUENT", re.IGNORECASE
)
_EVENTS = re.compile(r"KAFKA|RABBIT|AMQP|NATS|PULSAR|MQTT", re.IGNORECASE)
_IMAGES = (
    ("bus", ("kafka", "redpanda", "pulsar", "nats")),
    ("queue", ("rabbitmq", "activemq", "mosquitto", "nsqd")),
    ("cache", ("redis", "valkey", "memcached", "dragonfly")),
    (
        "database",
        ("postgres", "mysql", "mariadb", "mongo", "cassandra", "cockroach", "couchdb", "elasticsearch", "opensearch"),
    ),
    ("gateway", ("nginx", "envoy", "haproxy", "traefik", "kong", "edge-router", "frontend-proxy")),
    ("client", ("load-generator", "loadgenerator", "load-test", "locust", "k6")),
)


def hosts_in(variable: str, value: str) -> list[str]:
    """Return the host names that a variable's value points to, without user names and passwords.

    Examples
    --------
    >>> hosts_in("ORDERS_ADDR", "http://user:word@orders:8080/v1,stock:81"), hosts_in("LOG_LEVEL", "debug")
    (['orders', 'stock'], [])
    """
    bare = bool(_NAMES_A_HOST.search(variable))
    found = []
    for piece in re.split(r"[,;\s]+", value[:20_000]):
        match = _ADDRESS.match(piece.strip("\"'[]"))
        if match and (match["scheme"] or match["port"] or (bare and match.end() == len(piece))):
            found.append(match["host"].lower())
    return found


def mode_of(evidence: str) -> str:
    """Return ``async`` for what is sent without waiting by its name (telemetry, events), else ``sync``."""
    return "async" if _TELEMETRY.search(evidence) or _EVENTS.search(evidence) else "sync"


def kind_of_image(*words: object) -> str:
    """Return the kind of component that image and service names suggest."""
    joined = " ".join(str(w).lower() for w in words if w)
    return next((kind for kind, marks in _IMAGES if any(m in joined for m in marks)), "service")


@dataclass
class Manifest:
    """Collects the parts of a manifest and builds the architecture."""

    name: str
    path: str
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)

    def add(self, name: str, declared: Mapping[str, Any], **fixed: Any) -> None:
        """Add a component with the fields that the manifest declares (None: not declared)."""
        if name in self.parts:
            raise ModelError("is described twice", path=self.path, component=name, fix="make names unique")
        given = {k: v for k, v in declared.items() if v is not None}
        self.parts[name] = {"blocking": False, **fixed, **given}
        self.parts[name]["provenance"] = {k: Provenance("declared", source=self.name) for k in given}

    def link(self, source: str, target: str, evidence: str) -> None:
        """Add a declared edge; further evidence for the same edge is kept beside it."""
        if source != target:
            seen = self.edges.setdefault((source, target), [])
            if evidence not in seen:
                seen.append(evidence)

    def note(
        self, level: str, message: str, component: str = "", field: str = "", fix: str = "", count: int = 1
    ) -> None:
        """Add a finding."""
        self.notes.append(Finding(level, message, component, field, fix, count))

    def build(self, rate_per_s: float | None, words: str) -> Architecture:
        """Return the architecture; ``words`` says what the edges come from."""
        names = list(self.parts)
        if not names:
            raise ModelError("describes no service", path=self.path, fix="a manifest with at least one service")
        index = {name: i for i, name in enumerate(names)}
        pairs = list(self.edges)
        source = np.array([index[a] for a, _ in pairs], np.int64)
        target = np.array([index[b] for _, b in pairs], np.int64)
        once = np.array([0.0 if self._against_order(a, b) else 1.0 for a, b in pairs])
        calls, circles = limit_gain(names, source, target, once)
        rate = 1.0 if rate_per_s is None else rate_per_s
        entries = [names[i] for i in source_groups(len(names), source, target)]
        running = [e for e in entries if self.parts[e].get("available", True)]
        self._say(len(pairs), words, running, rate, assumed=rate_per_s is None)
        return Architecture(
            name=self.name,
            components=[Component(name=name, **fields) for name, fields in self.parts.items()],
            dependencies=[self._edge(a, b, float(c)) for (a, b), c in zip(pairs, calls)],
            loads=[Load(entry, rate_per_s=rate) for entry in running],
            notes=[*self.notes, *circles],
            origin=self.path.rsplit("/", 1)[-1],
        )

    def _against_order(self, source: str, target: str) -> bool:
        """Whether an address points back to a part that needs this one to be started first.

        A collector that scrapes its clients does so on its own clock: such a call belongs to no request.
        """
        if "depends_on" in self.edges[source, target]:
            return False
        after: dict[str, list[str]] = {}
        for (a, b), evidence in self.edges.items():
            if "depends_on" in evidence:
                after.setdefault(a, []).append(b)
        seen, waiting = {target}, [target]
        while waiting:
            for other in after.get(waiting.pop(), ()):
                if other == source:
                    self.note(
                        "warning",
                        f"its address of {target} points against the start-up order: taken as a background call that"
                        " no request makes (calls = 0)",
                        f"{source}->{target}",
                        "calls",
                        "state calls",
                    )
                    return True
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return False

    def _edge(self, source: str, target: str, calls: float) -> Dependency:
        evidence = self.edges[source, target]
        modes = [mode_of(e) for e in evidence if e not in ("depends_on", "links")] or ["sync"]
        return Dependency(
            source,
            target,
            calls=calls,
            mode="async" if set(modes) == {"async"} else "sync",
            provenance={
                "target": Provenance("declared", source=", ".join(evidence)[:200]),
                "calls": Provenance(
                    "assumed", source="one call per request" if calls == 1.0 else "reduced, see the notes"
                ),
            },
        )

    def _say(self, n_edges: int, words: str, entries: Iterable[str], rate: float, *, assumed: bool) -> None:
        listed = list(entries)
        shown = ", ".join(listed[:5]) + (" ..." if len(listed) > 5 else "")
        if n_edges:
            self.note(
                "info",
                f"{n_edges} dependencies are declared ({words}); how often each is called is not, one call "
                "per request is assumed",
                field="calls",
                fix="read traces or metrics, or state calls",
                count=n_edges,
            )
        else:
            self.note("warning", "no dependency is declared: the components stand alone", field="dependencies")
        self.note(
            "info",
            "service times are not declared: the default of 10 ms is assumed",
            field="service_time_s",
            fix="overlay measurements: arch.measured(...)",
            count=len(self.parts),
        )
        self.note(
            "info" if not assumed else "warning",
            f"arrivals of {rate:g}/s {'are assumed' if assumed else 'were stated'} at "
            + (f"each of the {len(listed)} parts" if len(listed) != 1 else "the only part")
            + f" that nobody depends on: {shown}",
            listed[0] if listed else "",
            "loads",
            "rate_per_s=..." if assumed else "",
            count=max(len(listed), 1),
        )
