"""``fea-arch watch``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.probes.watch import Assessment, Snapshot

__all__ = ["assess", "command"]


@click.command("watch", short_help="Probe on a schedule, keep a history, serve metrics, raise events.")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, readable=True))
@click.option("--interval", type=click.FloatRange(0.1), default=60.0, help="Time between rounds [s].  [default: 60]")
@click.option("--duration", type=click.FloatRange(0.0), help="Stop after this time [s].  [default: never]")
@click.option("--history", default="logs/fea-watch.sqlite", show_default=True, metavar="FILE", help="SQLite file.")
@click.option("--log", default="logs/fea-watch.log", show_default=True, metavar="FILE", help="Text file to append to.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9464, show_default=True, help="Metrics; 0: any free port."
)
@click.option("--address", default="127.0.0.1", show_default=True, help="Interface of the metrics.")
@click.option("--no-metrics", is_flag=True, help="Serve no metrics.")
@click.option("--memory-limit", default="2GB", show_default=True, help="Budget of all servers together.")
@click.option("--tools-every", type=click.IntRange(1), default=10, help="Start the tools in every n-th round.")
@click.option("--required-mcp", type=click.IntRange(0), help="MCP servers that must run.  [default: 15 of 17]")
@click.option("--no-score", is_flag=True, help="Do not analyse the measured architecture.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a round.")
def command(
    config: str, interval: float, duration: float | None, history: str, log: str, port: int, address: str,
    memory_limit: str, tools_every: int, required_mcp: int | None, *, no_metrics: bool, no_score: bool, as_json: bool,
) -> int:  # fmt: skip
    """Watch everything that CONFIG names until it is interrupted.

    Servers over stdio are kept running; one that ends is reported and started again in the next round. Exit code 1 if
    the incident level of the last round is above 0.

    \b
    Examples:
      fea-arch watch configs/event-router.json --interval 30
      fea-arch watch .mcp.json --duration 600 --port 0
    """
    import signal

    from fea_arch.architecture.units import parse_bytes
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.measure import described
    from fea_arch.probes.history import History
    from fea_arch.probes.watch import Watch
    from fea_arch.report.prometheus import Exporter

    arch, targets = described(config)
    exporter = None if no_metrics else Exporter(address=address, port=port)
    if exporter is not None:
        click.echo(f"metrics at http://{exporter.address}:{exporter.port}/metrics", err=True)
    kept = History(history)
    last: list[Snapshot] = []

    def publish(snapshot: Snapshot) -> None:
        last[:] = [snapshot]
        if exporter is not None:
            exporter.update(snapshot)
        _print(snapshot, as_json=as_json)

    try:
        watch = Watch(
            arch, targets, kept, interval_s=interval, log=log, assess=None if no_score else assess,
            memory_limit_bytes=parse_bytes(memory_limit), tools_every=tools_every, required_mcp=required_mcp,
            on_probed=None if exporter is None else exporter.probed, on_snapshot=publish,
        )  # fmt: skip
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, lambda *_: watch.stop())
        try:
            watch.run(duration_s=duration)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        kept.close()
        if exporter is not None:
            exporter.close()
    return BELOW_THE_BAR if last and last[0].health.level > 0 else FINE


def assess(arch: Architecture) -> Assessment:
    """Score an architecture and name the components that break at its design load."""
    import fea_arch as fa
    from fea_arch.errors import UnstableLoadError
    from fea_arch.probes.watch import Assessment

    running = arch.running()
    try:
        result = fa.static(running)
        limit = dict(zip(running.names, running.component_columns.column("failure_limit")))
        cracks = tuple(n for n, rho in zip(result.components, result.utilisation) if rho > limit[n])
    except UnstableLoadError as error:
        cracks = (error.limiting,)
    return Assessment(score=float(fa.score(arch).value), cracks=cracks)


def _print(snapshot: Snapshot, *, as_json: bool) -> None:
    from fea_arch.report.blocks import shown

    if as_json:
        document: dict[str, Any] = {
            "at": snapshot.round.at,
            "health": snapshot.health.to_dict(),
            "score": snapshot.round.score,
            "memory_bytes": snapshot.round.memory_bytes,
            "events": [{"kind": e.kind, "component": e.component, "message": e.message} for e in snapshot.events],
        }
        click.echo(json.dumps(document, allow_nan=False))
        return
    first, second = snapshot.health.lines()[:2]
    score = "" if snapshot.round.score is None else f", score {snapshot.round.score:.1f}"
    click.echo(f"{first}, {second}, level {snapshot.health.level}{score}")
    for event in snapshot.events:
        click.echo(shown(f"  {event.kind} {event.component} {event.message}"))
