"""``fea-arch score``."""

from __future__ import annotations

import click

from fea_arch.cli.options import Input, fail_under_option, input_options, json_option, out_option


@click.command("score", short_help="Score the architecture between 0 and 100.")
@input_options
@json_option
@out_option
@fail_under_option
@click.option("--catalogue", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Situations and weights of your own (JSON).")
@click.option("--check", type=click.Choice(["simulate"]), help="Replay every situation in the event simulation.")
def command(
    given: Input, as_json: bool, out: str | None, fail_under: float | None, *, catalogue: str | None, check: str | None
) -> int:
    """Score: share of the requests answered correctly within the latency objective over a catalogue of situations.

    90 and more is excellent, 75 good, 50 degraded, less is critical. Exit code 1 below --fail-under.

    \b
    Examples:
      fea-arch score
      fea-arch score traces.json --fail-under 75
      fea-arch score --check simulate
      fea-arch score --json | jq '.losses[:3]'
    """
    import fea_arch
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.cli.console import progress, show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report
    from fea_arch.report.score import score_text

    arch = given.load()
    with progress() as line:
        line.say("scoring" if check is None else "scoring and simulating")
        found = fea_arch.score(arch, catalogue, check)
    document = {"report_type": "architecture_score", "architecture": arch.name, "source": given.label}
    document |= found.to_dict()
    written = None
    if out is not None:
        written = write_report(out, "architecture_score", document, f"{arch.name}: {found.value:.1f}, {found.label}")
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(score_text(found, arch.name))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    if fail_under is not None and found.value < fail_under:
        click.echo(below_the_bar(found.value, fail_under), err=True)
        return BELOW_THE_BAR
    return FINE
