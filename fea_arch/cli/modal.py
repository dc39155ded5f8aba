"""``fea-arch modal``."""

from __future__ import annotations

import click

from fea_arch.cli.options import Input, input_options, json_option, load_factor_option, out_option


@click.command("modal", short_help="Find what swings together, how damped, and whether it is stable.")
@input_options
@load_factor_option
@json_option
@out_option
@click.option("--modes", type=click.IntRange(1, 1000), default=10, help="Number of modes.  [default: 10]")
def command(given: Input, load_factor: float, as_json: bool, out: str | None, *, modes: int) -> int:
    """Find natural frequencies, mode shapes and damping, and whether disturbances die out.

    Exit code 1 if the system is not stable at this load.

    \b
    Examples:
      fea-arch modal
      fea-arch modal --modes 3 --load-factor 1.4
      fea-arch modal --json | jq .damping_analysis.open
    """
    import fea_arch
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report
    from fea_arch.errors import ModelError, UnstableLoadError
    from fea_arch.report.modal import modal_document, modal_text

    arch = given.load()
    opened = fea_arch.modal(arch, modes, load_factor, coupling="open")
    reason, structural = "", None
    try:
        structural = fea_arch.modal(arch, modes, load_factor)
    except UnstableLoadError:
        raise
    except ModelError as error:  # nothing has a mass: the open modes remain
        reason = error.message
    document = modal_document(arch, structural, opened, reason=reason, source=given.label)
    written = None
    if out is not None:
        state = "stable" if opened.stable else "not stable"
        written = write_report(out, "modal_analysis", document, f"{arch.name} at load factor {load_factor:g}: {state}")
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(modal_text(arch, structural, opened, reason=reason))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    return FINE if opened.stable else BELOW_THE_BAR
