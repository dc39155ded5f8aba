"""``fea-arch check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import Input, input_options, json_option

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture, Finding
    from fea_arch.architecture.health import Health


@click.command("check", short_help="Check a description and say which parts run.")
@input_options
@json_option
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning, too.")
def command(given: Input, as_json: bool, *, strict: bool) -> int:
    """Check a description: mistakes, weak spots, what is not running, and the incident level.

    Exit code 1 if the check finds an error (with --strict: or a warning) or the incident level is above 0.

    \b
    Examples:
      fea-arch check
      fea-arch check docker-compose.yml --strict
    """
    from fea_arch.architecture.health import health
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.report.blocks import shown

    arch = given.load()
    found, state = arch.check(), health(arch)
    bad = ("error", "warning") if strict else ("error",)
    below = state.level > 0 or any(f.level in bad for f in found)
    if as_json:
        click.echo(to_json(_document(arch, found, state)), nl=False)
    else:
        show([shown(line) for line in _lines(arch, found, state)])
    return BELOW_THE_BAR if below else FINE


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


def _lines(arch: Architecture, found: list[Finding], state: Health) -> list[str]:
    counts = {level: sum(f.level == level for f in found) for level in ("error", "warning", "info")}
    lines = [
        f"{arch.name}: {len(arch)} components, {arch.graph.n_edges} calls, "
        f"{arch.measured_share():.0%} of the numbers measured",
        f"Findings: {counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes",
    ]
    lines += [f"  {f}" for f in found[:50]]
    if len(found) > 50:
        lines.append(f"  ... and {len(found) - 50} more (--json lists all)")
    if state.mcp_total or state.cli_total:
        return [*lines, "", *state.lines()]
    down = f"{len(state.down)} of {len(arch)} components do not run" if state.down else "every component runs"
    return [*lines, "", *state.lines()[2:], f"Components: {down}"]
