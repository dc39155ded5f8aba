"""``fea-arch simulate``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import Input, Number, input_options, json_option, out_option

if TYPE_CHECKING:
    from fea_arch.architecture.loads import Outage


@click.command("simulate", short_help="Simulate the architecture event by event.")
@input_options
@json_option
@out_option
@click.option("--duration", type=Number(0.0), metavar="SECONDS",
              help="Simulated time of one replication.  [default: about 20,000 requests]")
@click.option("--replications", type=click.IntRange(1, 10_000), default=8, show_default=True,
              help="Independent runs; the confidence intervals come from them.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same numbers.")
@click.option("--burst", metavar="FACTOR@START+LENGTH", help="Multiply the load for a time: 10@20+30.")
@click.option("--outage", "outages", multiple=True, metavar="NAME@START+LENGTH",
              help="A component is gone for a time: cipher@20+30.")
@click.option("--max-events", type=Number(1.0), default=5e8, help="Refuse longer runs.  [default: 5e8]")
def command(
    given: Input,
    as_json: bool,
    out: str | None,
    *,
    duration: float | None,
    replications: int,
    seed: int,
    burst: str | None,
    outages: tuple[str, ...],
    max_events: float,
) -> int:
    """Simulate every request and every call, and count what an observer would see.

    Ctrl-C ends it and shows what was simulated so far.

    \b
    Examples:
      fea-arch simulate
      fea-arch simulate --duration 120 --burst 10@20+30
      fea-arch simulate --outage cipher@20+30 --json
    """
    import fea_arch
    from fea_arch.cli import FINE
    from fea_arch.cli.console import progress, show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report

    arch = given.load()
    load: Any = None
    if burst is not None:
        factor, start, length = _event("--burst", burst)
        load = fea_arch.Burst(factor=_number("--burst", factor), start_s=start, duration_s=length)
    with progress() as line:
        line.say("simulating")
        found = fea_arch.simulate(
            arch, duration, seed=seed, load=load, events=[_outage(text) for text in outages],
            replications=replications, max_events=max_events,
        )  # fmt: skip
    document = {"report_type": "simulation", "architecture": arch.name, "source": given.label} | found.to_dict()
    written = None
    if out is not None:
        message = f"{arch.name}: {100 * found.served_within_objective:.2f} % within the objective"
        written = write_report(out, "simulation", document, message)
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(_text(arch.name, found))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    return FINE


def _event(option: str, text: str) -> tuple[str, float, float]:
    from fea_arch.errors import ModelError

    what, at, rest = text.rpartition("@")
    start, plus, length = rest.partition("+")
    if not (at and plus and what):
        raise ModelError(f"{text!r} is no event", field=option, fix="WHAT@START+LENGTH, for instance 10@20+30")
    return what, _number(option, start), _number(option, length)


def _number(option: str, text: str) -> float:
    from fea_arch.errors import ModelError

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ModelError(f"{text!r} is not a number", field=option, fix="a finite number")
    return value


def _outage(text: str) -> Outage:
    import fea_arch

    name, start, length = _event("--outage", text)
    outage: Outage = fea_arch.Outage(name, start_s=start, end_s=start + length)
    return outage


def _text(name: str, found: Any) -> list[Any]:
    import numpy as np

    from fea_arch.report.blocks import Table, shown
    from fea_arch.report.quantities import number_text, share_text, time_text

    state = "" if found.complete else (", interrupted" if found.interrupted else ", stopped at --max-events")
    rows = []
    for i in np.argsort(-found.utilisation, kind="stable")[:15].tolist():
        rows.append([
            shown(found.components[i]), number_text(found.throughput_per_s[i]), share_text(found.utilisation[i]),
            number_text(found.in_flight[i]), time_text(found.response_s[i]), str(int(found.failed[i])),
            str(int(found.kills[i])),
        ])  # fmt: skip
    headers = ("component", "req/s", "utilisation", "in flight", "response", "failed", "kills")
    blocks: list[Any] = [
        f"{shown(name)}: {found.replications} x {number_text(found.duration_s)} s simulated, "
        f"{found.events} events{state}.",
        f"Answered correctly: {share_text(found.served_share)}; within the objective: "
        f"{share_text(found.served_within_objective)} +- {100 * found.served_within_objective_half_width:.1f}.",
    ]
    if int(np.sum(found.served)) > 0:
        times = ", ".join(f"p{100 * p:g} {time_text(found.latency_quantile_s(p))}" for p in (0.5, 0.95, 0.99))
        blocks.append(f"Response times: {times}.")
    return [*blocks, "", Table(headers, rows, "Components, the most utilised first", range(1, 7))]
