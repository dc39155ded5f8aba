"""``fea-arch sweep``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from fea_arch.cli.options import Input, input_options, json_option
from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.report.blocks import Table
    from fea_arch.results.sweep import SweepResult

#: Most designs of one sweep.
MOST = 10_000
_SHOWN = {
    "response": ("response_s", "mean response"),
    "percentile": ("percentile_s", "p{percent:g} of the response"),
    "utilisation": ("worst_utilisation", "highest utilisation"),
}


@click.command("sweep", short_help="Vary one or two parameters and tabulate the answer.")
@input_options
@json_option
@click.option(
    "--vary", multiple=True, required=True, metavar="PARAMETER=VALUES",
    help="orders.servers=1,2,4,8 or load_factor=1:5:0.5 (from:to:step); once or twice.",
)  # fmt: skip
@click.option(
    "--show", type=click.Choice(list(_SHOWN)), default="response",
    help="What a table of two parameters shows.  [default: response]",
)  # fmt: skip
def command(given: Input, as_json: bool, *, vary: tuple[str, ...], show: str) -> int:
    """Solve the static equilibrium for every value of one parameter, or of two.

    A dash is a design that does not stand. Exit code 1 if none does.

    \b
    Examples:
      fea-arch sweep --vary load_factor=0.5:1.5:0.25
      fea-arch sweep shop.yaml --vary orders.servers=1,2,4,8 --vary load_factor=1:5:0.5
      fea-arch sweep shop.yaml --vary "gateway->orders.timeout_s=50ms,100ms,1s" --json
    """
    import fea_arch as fa
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import progress
    from fea_arch.cli.console import show as print_blocks
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.report.blocks import shown

    over: dict[str, list[float]] = {}
    for text in vary:
        name, values = _varied(text)
        if name in over:
            raise click.UsageError(f"--vary {name} is given twice")
        over[name] = values
    designs = math.prod(len(values) for values in over.values())
    if designs > MOST:
        raise click.UsageError(f"{designs} designs; at most {MOST} at a time")
    arch = given.load()
    with progress() as line:
        line.say(f"solving {designs} designs")
        found = fa.sweep(arch, over)
    if as_json:
        click.echo(to_json(found.to_dict()), nl=False)
    else:
        percent = 100.0 * arch.objective.quantile
        head = f"{shown(arch.name)}: {int(found.stable.sum())} of {designs} designs stand"
        print_blocks([head, "", _line(found, percent) if len(over) == 1 else _grid(found, show, percent)])
    return FINE if found.stable.any() else BELOW_THE_BAR


def _varied(text: str) -> tuple[str, list[float]]:
    """Return the parameter and its values."""
    name, equals, listed = text.rpartition("=")
    name = name.strip()
    if not equals or not name or not listed.strip():
        raise click.UsageError(f"--vary {text!r} is not PARAMETER=VALUES")
    try:
        if ":" not in listed:
            return name, [_number(name, value) for value in listed.split(",")]
        ends = [_number(name, value) for value in listed.split(":")]
    except ModelError as error:
        raise click.UsageError(f"--vary {name}: {error.message}") from error
    if len(ends) != 3 or not ends[2] > 0.0 or ends[1] < ends[0]:
        raise click.UsageError(f"--vary {text!r}: a range is from:to:step with a step above 0")
    count = (ends[1] - ends[0]) / ends[2] * (1.0 + 1e-12) + 1e-9  # the end belongs to it, rounding aside
    if count >= MOST:
        raise click.UsageError(f"--vary {name} has more than {MOST} values")
    return name, [float(f"{ends[0] + k * ends[2]:.12g}") for k in range(int(count) + 1)]


def _number(name: str, text: str) -> float:
    from fea_arch.architecture.units import parse_bytes, parse_rate, parse_seconds

    units = {"_bytes": parse_bytes, "_per_s": parse_rate, "_s": parse_seconds}
    for end, parse in units.items():
        if name.strip('"').endswith(end):
            return parse(text.strip())
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ModelError(f"{text.strip()!r} is not a finite number")
    return value


def _cell(field: str, value: float) -> str:
    from fea_arch.report.quantities import share_text, time_text

    if math.isnan(value):
        return "-"
    return share_text(value) if field == "worst_utilisation" else time_text(value)


def _line(found: SweepResult, percent: float) -> Table:
    """Return all answers over one parameter."""
    from fea_arch.report.blocks import Table, shown

    titles = [title.format(percent=percent) for _, title in _SHOWN.values()]
    rows = [
        [f"{value:g}", *(_cell(field, float(getattr(found, field)[k])) for field, _ in _SHOWN.values())]
        for k, value in enumerate(found.values[0].tolist())
    ]
    return Table((shown(found.parameters[0]), *titles), rows, "", range(len(titles) + 1))


def _grid(found: SweepResult, show: str, percent: float) -> Table:
    """Return one answer over two parameters, the first one downwards."""
    from fea_arch.report.blocks import Table, shown

    field, title = _SHOWN[show]
    down, across = (shown(name) for name in found.parameters)
    table = getattr(found, field)
    starts = found.values[0].tolist()
    rows = [[f"{value:g}", *(_cell(field, x) for x in table[k].tolist())] for k, value in enumerate(starts)]
    headers = (down, *(f"{value:g}" for value in found.values[1].tolist()))
    return Table(headers, rows, f"{title.format(percent=percent)} over {across} (to the right)", range(len(headers)))
