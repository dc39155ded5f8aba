"""``fea-arch dynamic``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fea_arch.cli.options import (
    Input,
    Number,
    fail_under_option,
    input_options,
    json_option,
    load_factor_option,
    out_option,
)

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

#: Events that arrive together, and the time they take to arrive [s].
BATCHES, BATCH_S = (10, 50, 100, 200), 0.1


@click.command("dynamic", short_help="Follow bursts, load cases, periods and outages through time.")
@input_options
@load_factor_option
@json_option
@out_option
@fail_under_option
@click.option("--burst", type=Number(0.0), default=10.0, help="Height of the burst, times the load.  [default: 10]")
@click.option("--burst-duration", type=Number(1e-6), default=30.0, help="Its length in seconds.  [default: 30]")
@click.option("--recovery/--no-recovery", "recover", default=True, help="Take every component out in turn.")
def command(
    given: Input,
    load_factor: float,
    as_json: bool,
    out: str | None,
    fail_under: float | None,
    *,
    burst: float,
    burst_duration: float,
    recover: bool,
) -> int:
    """Follow a burst, batches of events, the load cases, periodic loads and outages through time.

    Exit code 1 if fewer than --fail-under percent of the requests around the burst are answered within the objective.

    \b
    Examples:
      fea-arch dynamic
      fea-arch dynamic --burst 3 --burst-duration 60 --no-recovery
      fea-arch dynamic traces.json --json | jq .load_handling.burst
    """
    from fea_arch.cli import BELOW_THE_BAR, FINE, below_the_bar
    from fea_arch.cli.console import progress, show
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.files import write_report
    from fea_arch.report.dynamic import dynamic_text

    arch = given.load()
    with progress() as line:
        document = analyse(arch, load_factor, burst, burst_duration, recover, given.label, line)
    written = None
    if out is not None:
        share = document["load_handling"]["burst"]["within_objective_share"]
        part = "nothing" if share is None else f"{share:.2%}"
        message = f"{arch.name}: {part} within objective around a burst of {burst:g}"
        written = write_report(out, "dynamic_analysis", document, message)
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        show(dynamic_text(document))
    if written is not None:
        click.echo(f"written: {written}", err=True)
    share = document["load_handling"]["burst"]["within_objective_share"]
    if fail_under is not None and (share is None or 100.0 * share < fail_under):
        click.echo(below_the_bar(100.0 * (share or 0.0), fail_under), err=True)
        return BELOW_THE_BAR
    return FINE


def analyse(
    arch: Architecture, load_factor: float, burst: float, burst_s: float, recover: bool, source: str, line: Any = None
) -> dict[str, Any]:
    """Run the analyses of the dynamic report and return its document."""
    from dataclasses import replace
    from functools import partial

    import fea_arch as fa
    from fea_arch.analyses.recovery import recovery
    from fea_arch.errors import ConvergenceError, UnstableLoadError
    from fea_arch.report.dynamic import DEFAULT_OBJECTIVE_S, dynamic_document

    def say(text: str) -> None:
        if line is not None:
            line.say(text)

    def bar(text: str, part: float) -> None:
        if line is not None:
            line.bar(text, part)

    objective = arch.objective
    if objective.latency_s is None:  # shares within the objective need one
        arch = replace(arch, objective=replace(objective, latency_s=DEFAULT_OBJECTIVE_S))
    base = fa.static(arch, load_factor)
    open_loads = not any(load.closed for load in arch.loads)
    common: dict[str, Any] = {"load_factor": load_factor, "tolerance": 1e-2}
    say("burst")
    window = 5.0 + burst_s + max(2.0 * burst_s, 60.0)
    pulse = fa.Burst(factor=burst, start_s=5.0, duration_s=burst_s) if open_loads else None
    main = fa.transient(arch, pulse, window, progress=lambda part: bar("burst", part), **common)
    say("waves")
    step = fa.Recorded(time_s=[0.0, 1.0, 1.000001], factor=[1.0, 1.0, 1.05]) if open_loads else None
    slow = 20.0 * max(base.mean_response_s, 0.05) + 10.0
    wave = fa.transient(arch, step, 1.0 + slow, refine=4 if len(arch) <= 200 else 1, load_factor=load_factor)
    rate = float(sum(base.entry_rate_per_s))
    batches = {}
    for n in BATCHES if open_loads and rate > 0 else ():
        say(f"{n} events at once")
        height = 1.0 + n / (rate * BATCH_S)
        batches[n] = fa.transient(arch, fa.Burst(factor=height, start_s=1.0, duration_s=BATCH_S), 31.0, **common)
    cases: dict[str, Any] = {}
    for case in arch.load_cases if open_loads else ():
        say(f"load case {case.name}")
        shape = None
        if case.factor != 1.0 or case.peak_factor is not None:
            top, length = case.peak_factor or case.factor, case.peak_s or 60.0
            shape = _case(case.factor, top, length)
        try:
            cases[case.name] = fa.transient(
                arch, shape, 120.0 + (case.peak_s or 0.0), progress=partial(bar, f"load case {case.name}"), **common
            )
        except (UnstableLoadError, ConvergenceError) as error:
            cases[case.name] = error
    modes = fa.modal(arch, 10, load_factor, coupling="open", lag="none")
    response = fa.harmonic(arch, load_factor=load_factor, lag="none")
    lagging = None
    if any(component.warm_up_s > 0.0 for component in arch.components):
        lagging = (fa.modal(arch, 10, load_factor, coupling="open"), fa.harmonic(arch, load_factor=load_factor))
    recovered = None
    if recover:
        recovered = recovery(arch, load_factor=load_factor, progress=lambda part: bar("outages", part))
    document = dynamic_document(
        arch, base, main, modes, response, wave, batches, cases, lagging=lagging, recovered=recovered,
        load_factor=load_factor, source=source,
    )
    document["event_propagation"]["target_assumed"] = objective.latency_s is None
    return document


def _case(factor: float, peak: float, peak_s: float) -> Any:
    """Design load, then the load of the case from 10 s on with its peak from 60 s on."""
    from fea_arch import Recorded

    tiny = 1e-6
    times = [0.0, 10.0, 10.0 + tiny, 60.0, 60.0 + tiny, 60.0 + peak_s, 60.0 + peak_s + tiny]
    return Recorded(time_s=times, factor=[1.0, 1.0, factor, factor, peak, peak, factor])
