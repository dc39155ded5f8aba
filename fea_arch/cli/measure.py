"""``fea-arch measure``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import json_option

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture, Measurement
    from fea_arch.architecture.health import Health
    from fea_arch.probes import Target

__all__ = ["command", "described"]


@click.command("measure", short_help="Probe what a configuration names and write a measured architecture.")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, readable=True))
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write the architecture there.")
@click.option("--measurements", type=click.Path(dir_okay=False), metavar="FILE", help="Write every sample as JSON.")
@click.option(
    "--samples", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Requests for each part."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Parts at the same time.  [default: 1]")
@click.option("--start-timeout", type=click.FloatRange(0.1), default=30.0, help="Longest start [s].  [default: 30]")
@click.option("--timeout", type=click.FloatRange(0.1), default=10.0, help="Longest request [s].  [default: 10]")
@click.option("--round-trip", is_flag=True, help="Also write messages to the event bus and read them back.")
@click.option("--only", multiple=True, metavar="NAME", help="Probe only this part (repeatable).")
@json_option
def command(
    config: str, output: str | None, measurements: str | None, samples: int, workers: int, start_timeout: float,
    timeout: float, only: tuple[str, ...], *, round_trip: bool, as_json: bool,
) -> int:  # fmt: skip
    """Start or reach everything that CONFIG names, measure it, and write the architecture with its provenance.

    CONFIG is an MCP client configuration, an event-router configuration or a native document. Servers are started
    with the arguments and the environment that CONFIG gives, and ended afterwards; no tool of a server is called.

    \b
    Examples:
      fea-arch measure .mcp.json -o arch.yaml
      KAFKA_BROKERS=localhost:9092 fea-arch measure configs/event-router.json -o arch.yaml --round-trip
    """
    import fea_arch as fa
    from fea_arch.architecture.health import health
    from fea_arch.cli import FAILED, FINE
    from fea_arch.cli.console import progress
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.errors import ModelError

    arch, targets = described(config)
    for name in only:
        arch.number(name)
    if only:
        targets = [t for t in targets if t.component in only]
    if not targets:
        raise ModelError("names nothing that can be probed", path=config, fix="mcpServers, cliTools or eventBus")
    with progress() as line:
        done: list[str] = []

        def say(found: Measurement) -> None:
            done.append(found.component)
            line.say(f"{len(done)}/{len(targets)} {found.component}", len(done) / len(targets))

        found = fa.measure(
            arch, targets, samples=samples, workers=workers, start_timeout_s=start_timeout, timeout_s=timeout,
            round_trip=round_trip, on_result=say,
        )  # fmt: skip
    measured = arch.measured(found)
    state = health(measured, found)
    if output:
        fa.write(measured, output)
    if measurements:
        _save(measurements, to_json({"measurements": [m.to_dict() for m in found.values()]}))
    if as_json:
        click.echo(to_json(_document(measured, found, state)), nl=False)
    else:
        _print(measured, found, state, output)
    return FINE if any(m.ok for m in found.values()) else FAILED


def described(config: str) -> tuple[Architecture, list[Target]]:
    """Return the architecture of a file and what can be probed of it."""
    import fea_arch as fa
    from fea_arch.architecture import Component
    from fea_arch.probes.targets import targets_from_document, targets_of

    arch: Architecture = fa.read(Path(config))
    document = _raw(config)
    known = ("mcpServers", "servers", "context_servers", "cliTools", "eventBus", "mcp")
    if not isinstance(document, dict) or "fea_arch" in document or not any(k in document for k in known):
        return arch, targets_of(arch)
    targets = targets_from_document(document, path=config)
    covered = {t.component for t in targets}
    # handlers that the file only names, and tools of the same name on the PATH
    targets += [t for t in targets_of(arch) if t.component not in covered and t.kind == "cli"]
    missing = [t for t in targets if t.component not in arch]
    if missing:
        from dataclasses import replace

        kinds = {"mcp": "mcp", "cli": "cli", "kafka": "bus"}
        added = [Component(t.component, kind=kinds.get(t.kind, "service")) for t in missing]
        arch = replace(arch, components=[*arch.components, *added])
    return arch, targets


def _raw(config: str) -> Any:
    from fea_arch.sources.loading import read_text
    from fea_arch.sources.relaxed_json import parse_relaxed_json

    if Path(config).suffix.lower() in (".yaml", ".yml"):
        return None  # native documents; configurations of clients and routers are JSON
    return parse_relaxed_json(read_text(config, max_bytes=64 * 2**20), config)


def _save(path: str, content: str) -> None:
    from fea_arch.errors import ModelError

    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ModelError(f"cannot be written: {error.strerror}", path=path) from error


def _document(arch: Architecture, found: dict[str, Measurement], state: Health) -> dict[str, Any]:
    return {
        "architecture": arch.name,
        "measured_share": arch.measured_share(),
        "health": state.to_dict(),
        "measurements": [m.to_dict() for m in found.values()],
    }


def _print(arch: Architecture, found: dict[str, Measurement], state: Health, output: str | None) -> None:
    from fea_arch.cli.console import show
    from fea_arch.report.blocks import Table, shown

    rows = []
    for m in found.values():
        mean = f"{1e3 * sum(m.latency_s) / len(m.latency_s):.3g}" if m.latency_s else "-"
        start = f"{1e3 * m.cold_start_s:.0f}" if m.cold_start_s is not None else "-"
        memory = f"{m.memory_bytes / 2**20:.0f}" if m.memory_bytes is not None else "-"
        why = shown("; ".join(m.errors))[:100]
        rows.append(
            (shown(m.component), m.kind, "yes" if m.ok else "no", mean, str(len(m.latency_s)), start, memory, why)
        )
    heads = ("part", "probe", "answers", "latency ms", "samples", "start ms", "memory MiB", "remarks")
    total = sum(m.memory_bytes or 0.0 for m in found.values() if m.kind == "mcp")
    lines = [shown(line) for line in state.lines()]
    lines.append(f"Memory of the MCP servers: {total / 2**20:.0f} MiB")
    lines.append(f"Measured: {arch.measured_share():.0%} of the key numbers of {len(arch)} components")
    if output:
        lines.append(f"Written: {output}")
    show([Table(heads, rows, numeric=(3, 4, 5, 6)), "", *lines])
