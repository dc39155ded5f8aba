"""``fea-arch static``."""

from __future__ import annotations

from typing import Any

import click

from fea_arch.cli.options import (
    Input,
    fail_under_option,
    input_options,
    json_option,
    load_factor_option,
    out_option,
)


@click.command("static", short_help="Answer how the system stands under its load.")
@input_options
@load_factor_option
@json_option
@out_option
@fail_under_option
@click.option("--linear", is_flag=True, help="Linear analysis: no waiting, zero-load stiffness.")
@click.option("--all", "every", is_flag=True, help="Show every component.")
def command(
    given: Input,
    load_factor: float,
    as_json: bool,
    out: str | None,
    fail_under: float | None,
    *,
    linear: bool,
    every: bool,
) -> int:
    """Answer how the system stands under its load: verdict, limits, response, memory and safety of each part.

    Exit code 1 if no steady state exists at this load, or if fewer than --fail-under percent of the requests are
    answered within the latency objective (1 s where none is stated).

    \b
    Examples:
      fea-arch static
      fea-arch static traces.json --load-factor 3
      fea-arch static compose.yml --set orders.servers=16 --without cache
      fea-arch static --json | jq .boundary_conditions
    """
    import fea_arch
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.errors import UnstableLoadError
    from fea_arch.report import static as report

    arch = given.load()
    try:
        result = fea_arch.static(arch, load_factor, linear=linear)
    except UnstableLoadError as error:
        document = report.collapsed_document(arch, error, load_factor, source=given.label)
        _deliver(document, report.collapsed_text(arch, error, load_factor), as_json=as_json, out=out)
        return BELOW_THE_BAR
    blocks = [] if as_json else report.static_text(arch, result, limit=len(arch) if every else 15)
    document = report.static_document(arch, result, source=given.label) if as_json or out else {}
    _deliver(document, blocks, as_json=as_json, out=out)
    if fail_under is not None:
        served = 100 * report.served_within_objective(arch, result)
        if served < fail_under:
            click.echo(below_the_bar(served, fail_under), err=True)
            return BELOW_THE_BAR
    return FINE


def _deliver(document: dict[str, Any], blocks: list[Any], *, as_json: bool, out: str | None) -> None:
    written = None
    if out is not None:
        from fea_arch.cli.files import write_report

        message = (
            f"{document['architecture']} at load factor {document['load_factor']:g}: {document['verdict']['text']}"
        )
        written = write_report(out, "static_analysis", document, message)
    if as_json:
        from fea_arch.cli.files import as_json as to_json

        click.echo(to_json(document), nl=False)
    else:
        from fea_arch.cli.console import show

        show(blocks)
    if written is not None:
        click.echo(f"written: {written}", err=True)
