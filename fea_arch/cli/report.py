"""``fea-arch report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fea_arch.cli.options import Input, fail_under_option, input_options, json_option, load_factor_option

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

#: Endings that ask for the picture alone.
PICTURES = ("svg", "png", "pdf")


@click.command("report", short_help="Write one page that explains the whole answer.")
@input_options
@load_factor_option
@json_option
@fail_under_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Write Markdown, for a comment on a change.")
@click.option("--quick", is_flag=True, help="Leave out the longer analyses: score and progressive collapse.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE",
              help="File to write; .html, .md or .json says in which form, .svg, .png or .pdf asks for the picture "
              "alone.  [default: stdout]")
@click.option("--dark", is_flag=True, help="With a picture: on dark paper.")
def command(
    given: Input,
    load_factor: float,
    as_json: bool,
    fail_under: float | None,
    *,
    as_markdown: bool,
    quick: bool,
    output: str | None,
    dark: bool,
) -> int:
    """Write one page that explains the whole answer: verdict, limits, what breaks, what to do, picture, tables, basis.

    The page is one file without network access. Exit code 1 if no steady state exists at this load, or if fewer than
    --fail-under percent of the requests are answered within the latency objective.

    \b
    Examples:
      fea-arch report -o report.html
      fea-arch report docker-compose.yml -o report.html
      fea-arch report docker-compose.yml -o picture.svg
      fea-arch report traces.json --load-factor 3 --markdown > comment.md
    """
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.report.overview import overview

    form = _form(output, as_json=as_json, as_markdown=as_markdown)
    if dark and form != "picture":
        raise click.UsageError("--dark goes with -o FILE.svg, .png or .pdf; the page follows the reader's setting")
    arch = given.load()
    if form == "picture" and output is not None:
        stands = _draw(arch, load_factor, output, theme="dark" if dark else "light")
        click.echo(f"written: {output}", err=True)
        return FINE if stands else BELOW_THE_BAR
    from os.path import basename

    from fea_arch.cli.console import progress

    with progress() as line:
        line.say(f"analysing {len(arch)} components")
        found = overview(arch, load_factor, source=basename(given.label), quick=quick)
    if form == "json":
        from fea_arch.cli.files import as_json as to_json

        content = to_json(found.to_dict())
    elif form == "markdown":
        from fea_arch.report.markdown import markdown

        content = markdown(found)
    else:
        from fea_arch.report.page import page

        content = page(found)
    if output is None or output == "-":
        click.echo(content, nl=False)
    else:
        _write(output, content)
        click.echo(f"written: {output}", err=True)
    if found.collapse is not None:
        return BELOW_THE_BAR
    if fail_under is not None and not 100 * found.served >= fail_under:
        click.echo(below_the_bar(100 * found.served, fail_under), err=True)
        return BELOW_THE_BAR
    return FINE


def _form(output: str | None, *, as_json: bool, as_markdown: bool) -> str:
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    if as_json or as_markdown:
        return "json" if as_json else "markdown"
    ending = (output or "").lower().rpartition(".")[2]
    if ending in PICTURES:
        return "picture"
    return {"md": "markdown", "markdown": "markdown", "json": "json"}.get(ending, "html")


def _draw(arch: Architecture, load_factor: float, output: str, *, theme: str) -> bool:
    """Write the loaded architecture as a picture; return whether it stands (if not, it is drawn without stresses)."""
    import fea_arch
    from fea_arch.cli.console import progress
    from fea_arch.errors import UnstableLoadError
    from fea_arch.plotting.paper import printed

    with progress() as line:
        line.say(f"analysing and drawing {len(arch)} components")
        result = None
        try:
            result = fea_arch.static(arch, load_factor)
        except UnstableLoadError as error:
            click.echo(f"fea-arch: {error.message}; drawn without stresses", err=True)
        content = printed(arch, output.lower().rpartition(".")[2], result=result, theme=theme)
    _write(output, content)
    return result is not None


def _write(output: str, content: str | bytes) -> None:
    from pathlib import Path

    from fea_arch.errors import ModelError

    try:
        Path(output).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise ModelError(
            f"cannot be written: {error.strerror or error}", path=output, field="-o", fix="a file that is writable"
        ) from error
