"""``fea-arch sensitivity``."""

from __future__ import annotations

import click

from fea_arch.cli.options import Input, input_options, json_option, load_factor_option


@click.command("sensitivity", short_help="Say which parameter moves an answer, and how much.")
@input_options
@json_option
@load_factor_option
@click.option(
    "--of", metavar="ANSWER",
    help="A component (its end-to-end response), collapse_factor, score, damping, stability_margin or recovery_time."
    "  [default: the response of all entries]",
)  # fmt: skip
@click.option("--quantile", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), help="A percentile instead.")
@click.option("--limit", type=click.IntRange(1), default=10, help="Rows.  [default: 10]")
def command(
    given: Input, as_json: bool, load_factor: float, *, of: str | None, quantile: float | None, limit: int
) -> int:
    """Differentiate one answer by every parameter of every component and call.

    \b
    Examples:
      fea-arch sensitivity
      fea-arch sensitivity shop.yaml --of gateway --quantile 0.95
      fea-arch sensitivity --of score --json
    """
    import fea_arch as fa
    from fea_arch.cli import FINE
    from fea_arch.cli.console import progress
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.report.blocks import shown

    arch = given.load()
    with progress() as line:
        line.say("differentiating")
        found = fa.sensitivity(arch, of=of, quantile=quantile, load_factor=load_factor)
    if as_json:
        click.echo(to_json(found.to_dict()), nl=False)
        return FINE
    unit = " s" if "response" in found.quantity else ""
    click.echo(f"{found.quantity} of {shown(found.of)}: {found.value:.6g}{unit} ({found.method})")
    for name, elasticity in found.ranking(limit):
        if elasticity == elasticity:
            row = found[name]
            more = row["by_servers"]
            text = f", one server more {more:+.3g}{unit}" if more == more else ""
            click.echo(f"  {shown(name)}: 1 % more service time {elasticity:+.3g} %{text}")
    for name, slope in found.influence.items():
        click.echo(f"  load at {shown(name)}: {slope:+.3g}{unit} for one request/s more")
    for text in found.findings:
        click.echo(f"  {shown(text)}")
    return FINE
