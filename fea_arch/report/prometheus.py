"""Metrics of a watch in the Prometheus exposition format, served on loopback by default."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fea_arch.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from fea_arch.architecture import Measurement
    from fea_arch.architecture.health import Health
    from fea_arch.probes.watch import Snapshot

__all__ = ["Exporter"]


class Exporter:
    """Serves the latest snapshot of a watch.

    Counters come from the history, so they go on counting after a restart. Labels hold names of components and kinds
    of events only.

    Parameters
    ----------
    address : str
        Interface to bind; loopback by default.
    port : int
        0 takes any free port; ``port`` then tells which.

    Raises
    ------
    MissingExtraError
        Without prometheus-client.
    ModelError
        The port is in use or not allowed.
    """

    def __init__(self, *, address: str = "127.0.0.1", port: int = 9464) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise MissingExtraError("prometheus-client", "watch") from None
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, addr=address, registry=self.registry)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ModelError(f"{address}:{port} cannot be served: {why}", field="port", fix="a free port") from error
        self.address, self.port = address, int(self._server.server_port)

    def update(self, snapshot: Snapshot) -> None:
        """Publish a snapshot."""
        with self._lock:
            self._snapshot = snapshot

    def probed(self, state: Health, measurements: Mapping[str, Measurement]) -> None:
        """Publish what a round found before it is analysed; before the first snapshot nothing is published."""
        with self._lock:
            if self._snapshot is not None:
                self._snapshot = replace(self._snapshot, health=state, measurements=measurements)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

    def describe(self) -> list[Any]:
        """Return nothing: the families depend on the snapshot."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metric families of the latest snapshot."""
        with self._lock:
            snapshot = self._snapshot
        if snapshot is None:
            return
        yield from _components(snapshot)
        yield from _platform(snapshot)
        yield from _memory(snapshot)
        yield from _counters(snapshot)


def _gauge(name: str, text: str, value: float | None) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    if value is not None:
        yield GaugeMetricFamily(f"fea_arch_{name}", text, value=value)


def _components(snapshot: Snapshot) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    tables: dict[str, tuple[str, Callable[[Measurement], float | None]]] = {
        "component_up": ("Whether the component answered its last probe.", lambda m: float(m.ok)),
        "component_latency_seconds": (
            "Mean latency of the last probe.",
            lambda m: sum(m.latency_s) / len(m.latency_s) if m.latency_s else None,
        ),
        "component_cold_start_seconds": ("Start to first answer.", lambda m: m.cold_start_s),
        "component_memory_bytes": ("Resident memory of the process tree.", lambda m: m.memory_bytes),
    }
    for name, (text, value) in tables.items():
        family = GaugeMetricFamily(f"fea_arch_{name}", text, labels=["component", "kind"])
        for component, m in snapshot.measurements.items():
            found = value(m)
            if found is not None:
                family.add_metric([component, m.kind], found)
        yield family


def _platform(snapshot: Snapshot) -> Iterator[Any]:
    state = snapshot.health
    yield from _gauge("mcp_servers_running", "MCP servers that answer.", state.mcp_running)
    yield from _gauge("mcp_servers_configured", "MCP servers that are configured.", state.mcp_total)
    yield from _gauge("cli_tools_available", "Command line tools that can be started.", state.cli_available)
    yield from _gauge("cli_tools_configured", "Command line tools that are configured.", state.cli_total)
    yield from _gauge("incident_level", "Incident level, 0 (none) to 3 (nothing runs).", state.level)
    yield from _gauge("score", "Architecture score, 0 to 100.", snapshot.round.score)
    yield from _gauge("cracks", "Components that break at the design load.", snapshot.round.cracks)
    yield from _gauge("last_round_timestamp_seconds", "End of the last round.", snapshot.round.at)
    yield from _gauge("round_duration_seconds", "Length of the last round.", snapshot.round.duration_s)


def _memory(snapshot: Snapshot) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    yield from _gauge("memory_bytes", "Resident memory of all servers.", snapshot.round.memory_bytes)
    yield from _gauge("memory_limit_bytes", "Memory budget of all servers.", snapshot.memory_limit_bytes)
    trend = snapshot.trend
    if trend is None:
        return
    slope = GaugeMetricFamily("fea_arch_memory_trend_bytes_per_second", "Slope of memory.", labels=["bound"])
    left = GaugeMetricFamily("fea_arch_memory_exhaustion_seconds", "Time until the memory limit.", labels=["bound"])
    for bound, rate in (
        ("low", trend.low_bytes_per_s),
        ("mean", trend.slope_bytes_per_s),
        ("high", trend.high_bytes_per_s),
    ):
        slope.add_metric([bound], rate)
    for bound, time in (("earliest", trend.earliest_s), ("mean", trend.left_s), ("latest", trend.latest_s)):
        left.add_metric([bound], time if math.isfinite(time) else math.inf)
    yield slope
    yield left


def _counters(snapshot: Snapshot) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    counts = snapshot.counts
    yield CounterMetricFamily("fea_arch_rounds", "Rounds since the history began.", value=counts.get("rounds", 0))
    events = CounterMetricFamily("fea_arch_events", "Events since the history began.", labels=["kind"])
    for kind, number in sorted(counts.get("events", {}).items()):
        events.add_metric([kind], number)
    yield events
    failures = CounterMetricFamily("fea_arch_probe_failures", "Probes without an answer.", labels=["component"])
    for component, number in sorted(counts.get("failures", {}).items()):
        failures.add_metric([component], number)
    yield failures
