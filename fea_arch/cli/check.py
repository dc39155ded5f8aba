"""``fea-arch check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import Input, input_options, json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fea_arch.architecture import Architecture, Finding, Measurement
    from fea_arch.architecture.health import Health

_LONGEST_REMARK = 160


@click.command("check", short_help="Check a description and say which parts run.")
@input_options
@json_option
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning, too.")
@click.option("--live", is_flag=True, help="Start or reach every part that the file names and count what answers.")
@click.option("--no-score", is_flag=True, help="With --live: do not score what was measured.")
@click.option("--required-mcp", type=click.IntRange(0), help="MCP servers that must run.  [default: 15 of 17]")
@click.option(
    "--required-share", type=click.FloatRange(0.0, 1.0), help="Share of the MCP servers that must run, instead."
)
@click.option("--workers", type=click.IntRange(1, 64), default=4, help="With --live: parts at the same time.")
@click.option("--start-timeout", type=click.FloatRange(0.1), default=20.0, help="With --live: longest start [s].")
@click.option("--timeout", type=click.FloatRange(0.1), default=5.0, help="With --live: longest request [s].")
def command(
    given: Input, as_json: bool, *, strict: bool, live: bool, no_score: bool, required_mcp: int | None,
    required_share: float | None, workers: int, start_timeout: float, timeout: float,
) -> int:  # fmt: skip
    """Check a description: mistakes, weak spots, what is not running, and the incident level.

    Without --live nothing is started: the description says what runs. With --live the servers, tools and the event
    bus that ARCH names (an MCP client configuration, an event-router configuration) are started or reached with their
    own commands and ended again; no tool of a server is called.

    Exit code 1 if the check finds an error (with --strict: or a warning) or the incident level is above 0.

    \b
    Examples:
      fea-arch check
      fea-arch check docker-compose.yml --strict
      fea-arch check configs/event-router.json --live
    """
    from fea_arch.architecture.health import health
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.report.blocks import shown

    required: dict[str, Any] = {"required_mcp": required_mcp, "required_share": required_share}
    measurements: Mapping[str, Measurement] = {}
    notes: list[str] = []
    if live:
        limits = {"workers": workers, "start_timeout_s": start_timeout, "timeout_s": timeout}
        arch, state, measurements, notes = _probed(given, {**required, **limits}, scored=not no_score)
    else:
        arch = given.load()
        state = health(arch, **required)
    found = arch.check()
    bad = ("error", "warning") if strict else ("error",)
    below = state.level > 0 or any(f.level in bad for f in found)
    if as_json:
        document = _document(arch, found, state)
        if live:
            document |= {"notes": notes, "measurements": [m.to_dict() for m in measurements.values()]}
        click.echo(to_json(document), nl=False)
    else:
        remarks = [f"  {m.component}: {_remark(m)}" for m in measurements.values() if not m.ok]
        show([shown(line) for line in (*_lines(arch, found, state, remarks), *notes)])
    return BELOW_THE_BAR if below else FINE


def _probed(
    given: Input, options: dict[str, Any], *, scored: bool
) -> tuple[Architecture, Health, Mapping[str, Measurement], list[str]]:
    """Probe everything the input names; a failing analysis leaves the counts as they are."""
    import fea_arch as fa
    from fea_arch.cli.console import progress
    from fea_arch.cli.measure import described
    from fea_arch.errors import FeaArchError, ModelError
    from fea_arch.probes.health import check_health
    from fea_arch.probes.targets import targets_of

    if given.path is None:
        arch = given.load()
        targets = targets_of(arch)
    else:
        whole, targets = described(given.path)
        arch = given.changed(whole)
        targets = [t for t in targets if t.component in arch]
    if not targets:
        raise ModelError("names nothing that can be probed", path=given.label, fix="mcpServers, cliTools or eventBus")
    notes: list[str] = []

    def score(measured: Architecture) -> float | None:
        line.say("scoring what was measured")
        try:
            value = float(fa.score(measured).value)
        except FeaArchError as error:
            notes.append(f"Score: none ({error})")
            return None
        notes.append(f"Score: {value:.1f} of 100")
        return value

    with progress() as line:
        done: list[str] = []

        def say(found: Measurement) -> None:
            done.append(found.component)
            line.say(f"{len(done)}/{len(targets)} {found.component}", len(done) / len(targets))

        state, found = check_health(arch, targets, score=score if scored else None, on_result=say, **options)
    return arch.measured(found), state, found, notes


def _remark(m: Measurement) -> str:
    text = " ".join("; ".join(m.errors).split()) or "does not answer"
    return text if len(text) <= _LONGEST_REMARK else text[:_LONGEST_REMARK] + " ..."


def _document(arch: Architecture, found: list[Finding], state: Health) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "architecture": arch.name,
        "components": len(arch),
        "dependencies": arch.graph.n_edges,
        "measured_share": arch.measured_share(),
        "findings": [asdict(f) for f in found],
        "health": state.to_dict(),
    }


def _lines(arch: Architecture, found: list[Finding], state: Health, remarks: list[str]) -> list[str]:
    counts = {level: sum(f.level == level for f in found) for level in ("error", "warning", "info")}
    lines = [
        f"{arch.name}: {len(arch)} components, {arch.graph.n_edges} calls, "
        f"{arch.measured_share():.0%} of the numbers measured",
        f"Findings: {counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes",
    ]
    lines += [f"  {f}" for f in found[:50]]
    if len(found) > 50:
        lines.append(f"  ... and {len(found) - 50} more (--json lists all)")
    if remarks:
        lines += ["", "Did not answer:", *remarks]
    if state.mcp_total or state.cli_total:
        return [*lines, "", *state.lines()]
    down = f"{len(state.down)} of {len(arch)} components do not run" if state.down else "every component runs"
    return [*lines, "", *state.lines()[2:], f"Components: {down}"]
