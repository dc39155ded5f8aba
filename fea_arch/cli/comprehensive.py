"""``fea-arch comprehensive``."""

from __future__ import annotations

import click

from fea_arch.cli.options import Input, fail_under_option, input_options, json_option, out_option


@click.command("comprehensive", short_help="Run every analysis and explain the answer.")
@input_options
@json_option
@out_option
@fail_under_option
@click.option("--catalogue", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Situations and weights of your own (JSON).")
def command(
    given: Input, as_json: bool, out: str | None, fail_under: float | None, *, catalogue: str | None
) -> int:
    """Run every analysis and explain the answer: how it stands, what limits it, what breaks it, what to do.

    Exit code 1 below --fail-under.

    \b
    Examples:
      fea-arch comprehensive
      fea-arch comprehensive docker-compose.yml --fail-under 75
      fea-arch comprehensive --json | jq .system_health
      fea-arch comprehensive --out reports
    """
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.cli.console import progress, show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report
    from fea_arch.report.comprehensive import comprehensive_document, examine
    from fea_arch.report.explanation import explanation
    from fea_arch.scoring.catalogue import Catalogue

    arch = given.load()
    with progress() as line:
        line.say(f"analysing {len(arch)} components")
        found = examine(
            arch, source=given.label, catalogue=None if catalogue is None else Catalogue.read(catalogue)
        )
    document = comprehensive_document(found) if as_json or out is not None else {}
    written = None
    if out is not None:
        message = f"{arch.name}: {found.score.value:.1f}, {found.status}"
        written = write_report(out, "comprehensive_fea_report", document, message)
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(explanation(found))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    if fail_under is not None and found.score.value < fail_under:
        click.echo(below_the_bar(found.score.value, fail_under), err=True)
        return BELOW_THE_BAR
    return FINE
