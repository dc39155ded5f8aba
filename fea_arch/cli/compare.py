"""``fea-arch compare``."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=True, readable=True)
_NEW = click.Path(dir_okay=False, writable=True)


@click.command("compare", short_help="Compare two architectures and say what got weaker.")
@click.argument("base", type=click.Path())
@click.argument("head", type=_FILE)
@click.option("--fail-on-regression", is_flag=True, help="Exit with 1 if a margin is worse by more than its interval.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--junit", type=_NEW, metavar="FILE", help="Write JUnit XML.")
@click.option("--sarif", type=_NEW, metavar="FILE", help="Write SARIF 2.1.0.")
@click.option("--samples", type=click.IntRange(0, 1000), default=8, help="Of the 95 % intervals, or 0.  [default: 8]")
def command(
    base: str, head: str, *, fail_on_regression: bool, markdown: bool, as_json: bool, junit: str | None,
    sarif: str | None, samples: int,
) -> int:  # fmt: skip
    """Compare BASE with HEAD: what was edited, what it moved, which margins fell by more than their 95 % interval.

    BASE must exist: a baseline is committed by people and never written by this command.

    \b
    Examples:
      fea-arch compare main.yaml head.yaml --fail-on-regression
      fea-arch compare main.yaml head.yaml --markdown > comment.md
      fea-arch compare baseline.yaml docker-compose.yml --junit junit.xml --sarif arch.sarif
    """
    import fea_arch as fa
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import progress
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.errors import ModelError
    from fea_arch.report.blocks import shown
    from fea_arch.report.comparison import comparison_junit, comparison_markdown, comparison_sarif

    if not Path(base).exists():
        raise ModelError(
            "does not exist", path=base, field="BASE",
            fix="commit the architecture as it is meant to be; a baseline is never created silently",
        )  # fmt: skip
    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude each other")
    with progress() as line:
        line.say("comparing")
        found = fa.compare(fa.read(Path(base)), fa.read(Path(head)), samples=samples)
    reports = {junit: comparison_junit(found), sarif: to_json(comparison_sarif(found, head))}
    for target, content in reports.items():
        if target is not None:
            try:
                Path(target).write_text(content, encoding="utf-8")
            except OSError as error:
                raise ModelError(f"cannot be written: {error.strerror}", path=target) from error
    if as_json:
        click.echo(to_json(found.to_dict()), nl=False)
    elif markdown:
        click.echo(comparison_markdown(found), nl=False)
    else:
        click.echo(f"{shown(found.base)} -> {shown(found.head)}: {len(found.changes)} edits")
        for c in found.changes[:50]:
            click.echo(f"  {shown(str(c))}")
        for name in found.margins:
            click.echo(f"  {shown(found.sentence(name))}")
    if found.regressed:
        click.echo(f"fea-arch: weaker: {', '.join(found.regressions)}", err=True)
        if fail_on_regression:
            return BELOW_THE_BAR
    return FINE
