"""``fea-arch reinforce``."""

from __future__ import annotations

from typing import Any

import click

from fea_arch.cli.options import Input, Number, input_options, json_option

_KINDS = ("servers", "replicas", "memory", "timeout", "retry_budget", "fallback", "cache", "decouple", "remove")


def _pairs(values: tuple[str, ...], option: str, every: str | None = None) -> dict[str, float]:
    """Return numbers by name; ``every`` is the name that may be missing."""
    out: dict[str, float] = {}
    for text in values:
        name, equals, number = text.rpartition("=")
        try:
            out[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or (not name.strip() and every is None):
            raise click.UsageError(f"{option} {text!r} is not NAME=NUMBER")
    return out


@click.command("reinforce", short_help="Find the cheapest changes that reach a target.")
@input_options
@json_option
@click.option("--score", type=Number(0.0, 100.0), metavar="POINTS", help="Reach this score.")
@click.option("--collapse-factor", type=Number(0.0), help="Stand this multiple of the load.")
@click.option("--response", type=str, metavar="TIME", help="Mean response of at most, for instance 50ms.")
@click.option("--single-failure", type=Number(0.0, 1.0), metavar="SHARE", help="Serve this share after any failure.")
@click.option("--no-metastability", is_flag=True, help="Recover by itself after every push.")
@click.option("--allow", type=click.Choice(_KINDS), multiple=True, help="Kinds of changes.  [default: numbers only]")
@click.option("--cost", multiple=True, metavar="KIND=COST", help="Cost of one step: servers=1, orders.servers=5.")
@click.option(
    "--most",
    multiple=True,
    metavar="KIND=VALUE",
    help="Largest value: servers=32, orders.servers=8; of changed calls: decouple=2.",
)
@click.option("--hit-rate", multiple=True, metavar="[CALL=]SHARE", help="Share of the calls that a cache takes.  [0.5]")
@click.option(
    "--suggest",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    metavar="N",
    help="Calls of each kind that are tried as suggestions about what calls what.",
)
@click.option("--patch", type=click.Choice(["compose", "kubernetes", "native"]), help="Print a patch instead.")
def command(
    given: Input, as_json: bool, *, score: float | None, collapse_factor: float | None, response: str | None,
    single_failure: float | None, no_metastability: bool, allow: tuple[str, ...], cost: tuple[str, ...],
    most: tuple[str, ...], hit_rate: tuple[str, ...], suggest: int, patch: str | None,
) -> int:  # fmt: skip
    """Find a cheap set of changes that reaches a target; every step is solved again. Nothing is ever applied.

    Suggestions about what calls what (decouple: an event that nobody waits for; fallback; cache; remove) stand below
    the plan, each tried alone; they are part of it only where --allow names them. Exit code 1 if the target is not
    reached.

    \b
    Examples:
      fea-arch reinforce --collapse-factor 1.7
      fea-arch reinforce shop.yaml --score 90 --allow servers --allow fallback
      fea-arch reinforce --response 90ms --allow decouple --allow cache --hit-rate 0.8 --most decouple=1
      fea-arch reinforce docker-compose.yml --response 50ms --patch compose > override.yml
    """
    import fea_arch as fa
    from fea_arch.advice.patches import PATCHES
    from fea_arch.architecture.units import parse_seconds
    from fea_arch.cli import BELOW_THE_BAR, FINE
    from fea_arch.cli.console import progress
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.report.blocks import shown

    asked = {
        "score": score, "collapse_factor": collapse_factor, "single_failure": single_failure,
        "response_s": None if response is None else parse_seconds(response),
        "vulnerable": 0.0 if no_metastability else None,
    }  # fmt: skip
    target = {name: value for name, value in asked.items() if value is not None}
    if not target:
        raise click.UsageError("no target: --score, --collapse-factor, --response, --single-failure, ...")
    if as_json and patch:
        raise click.UsageError("--patch and --json exclude each other")
    arch = given.load()
    options: dict[str, Any] = {"kinds": allow} if allow else {}
    if hit_rate:
        options["hits"] = _pairs(tuple(text if "=" in text else f"={text}" for text in hit_rate), "--hit-rate", "")
    with progress() as line:
        line.say("trying changes")
        found = fa.reinforce(
            arch, target, costs=_pairs(cost, "--cost"), bounds=_pairs(most, "--most"), suggest=suggest, **options
        )
    if as_json:
        click.echo(to_json(found.to_dict()), nl=False)
    elif patch:
        click.echo(PATCHES[patch](arch, found.architecture), nl=False)
    else:
        state = "reached" if found.reached else "NOT reached"
        click.echo(f"{shown(arch.name)}: target {state} at cost {found.cost:g} after {found.solves} solves")
        for name in found.target:
            click.echo(f"  {name}: {found.before[name]:.4g} -> {found.after[name]:.4g}")
        for step in found.steps:
            gain = f"predicted {step.predicted:.1%}, verified {step.verified:.1%} of the shortfall"
            click.echo(f"  {shown(step.change)}  (cost {step.cost:g}; {gain})")
        for suggestion in found.suggestions:
            click.echo(f"  consider: {shown(str(suggestion))}")
    if not found.reached:
        click.echo("fea-arch: the target is not reached by changes of the allowed kinds", err=True)
        return BELOW_THE_BAR
    return FINE
