"""``fea-arch nonlinear``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import Input, Number, input_options, json_option, load_factor_option, out_option

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

#: Cases beyond which only components are taken out, not calls.
MANY_CASES = 2_000


@click.command("nonlinear", short_help="Raise the load to collapse and say what stays down.")
@input_options
@load_factor_option
@json_option
@out_option
@click.option("--max-load-factor", type=Number(1e-9), metavar="NUMBER", help="Stop raising the load here.")
@click.option("--order", type=click.IntRange(0, 2), default=1, help="Outages at a time; 0 for none.  [default: 1]")
@click.option("--fail-under", type=Number(0.0), metavar="FACTOR", help="Exit with 1 if it collapses below FACTOR.")
def command(
    given: Input,
    load_factor: float,
    as_json: bool,
    out: str | None,
    *,
    max_load_factor: float | None,
    order: int,
    fail_under: float | None,
) -> int:
    """Raise the load until the architecture collapses: what yields, what breaks because of what, what is left, whether
    it comes back by itself, and what the loss of each component and call costs.

    Load factors of the crack path are multiples of the design load; contact, metastability and outages are those at
    --load-factor. Exit code 1 if it collapses below --fail-under times the design load.

    \b
    Examples:
      fea-arch nonlinear
      fea-arch nonlinear --set cipher.servers=48 --fail-under 2
      fea-arch nonlinear traces.json --json | jq .fracture_analysis
    """
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.cli.console import progress, show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report
    from fea_arch.report.nonlinear import nonlinear_text

    arch = given.load()
    with progress() as line:
        document = analyse(arch, load_factor, max_load_factor, order, given.label, line)
    collapse = document["fracture_analysis"]["collapse_factor"]
    written = None
    if out is not None:
        state = "no collapse" if collapse is None else f"collapse at {collapse:.4g} times the design load"
        written = write_report(out, "nonlinear_analysis", document, f"{arch.name}: {state}")
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(nonlinear_text(document))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    if fail_under is not None and collapse is not None and collapse < fail_under:
        click.echo(below_the_bar(collapse, fail_under), err=True)
        return BELOW_THE_BAR
    return FINE


def analyse(
    arch: Architecture, load_factor: float, most: float | None, order: int, source: str, line: Any = None
) -> dict[str, Any]:
    """Run the analyses of the nonlinear report and return its document."""
    import fea_arch as fa
    from fea_arch.analyses.contact import contact
    from fea_arch.errors import ModelError
    from fea_arch.report.nonlinear import nonlinear_document

    def say(text: str) -> None:
        if line is not None:
            line.say(text)

    if load_factor <= 0.0:
        raise ModelError(f"is {load_factor!r}", field="--load-factor", fix="a number above 0")
    say("path to collapse")
    fractured = fa.fracture(arch, most)
    interfaces = contact(arch, load_factor)
    say("metastability")
    metastable, reason = None, ""
    try:
        metastable = fa.metastability(arch if load_factor == 1.0 else arch.scaled(load_factor))
    except ModelError as error:  # retries without a time-out: the other analyses stand
        reason = str(error)
    outages, findings = None, list[str]()
    if order:
        say("outages")
        parts = len(arch) + len(arch.graph.source)
        calls = (parts if order == 1 else parts * (parts - 1) // 2) <= MANY_CASES
        if not calls:
            findings.append(f"{parts} components and calls are many: only components are taken out")
        outages = fa.contingency(arch, order, load_factor=load_factor, dependencies=calls)
    return nonlinear_document(
        arch, fractured, interfaces, metastable, outages, reason=reason, findings=findings, load_factor=load_factor,
        source=source,
    )  # fmt: skip
