"""The compiled event simulation: the test rig, independent of the solvers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from numpy.random import SeedSequence

    from fea_arch.architecture import Architecture
    from fea_arch.architecture.loads import Outage
    from fea_arch.results.simulation import SimulationResult
    from fea_arch.simulation.plan import Plan
    from fea_arch.simulation.replication import Run, Tally

__all__ = ["simulate"]

#: Requests per replication when no duration is given.
REQUESTS = 20_000


def simulate(
    arch: Architecture,
    duration_s: float | None = None,
    *,
    seed: int = 0,
    load: Callable[[float], float] | None = None,
    events: Sequence[Outage] = (),
    warm_up_s: float | None = None,
    replications: int = 8,
    executor: Executor | None = None,
    series_dt_s: float | None = None,
    max_events: float = 5e8,
) -> SimulationResult:
    """Simulate an architecture event by event and measure what an observer would see.

    Parameters
    ----------
    arch : Architecture
        With at least one load.
    duration_s : float, optional
        Simulated time of one replication, warm-up included [s]; by default long enough for about 20 000 requests from
        outside.
    seed : int
        The same seed gives the same numbers, whatever the executor.
    load : callable, optional
        Load factor of the open loads over time: ``fa.Burst``, ``fa.Ramp``, ``fa.Periodic``, ``fa.Recorded`` or a
        function of the time [s].
    events : sequence of Outage
        A full outage fails every request inside and rejects what comes; a partial one takes servers away.
    warm_up_s : float, optional
        Time that is not counted [s]; by default a tenth of the duration, or nothing when ``load``, ``events`` or
        ``series_dt_s`` is given.
    replications : int
        Independent runs, from which the confidence half-widths come.
    executor : concurrent.futures.Executor, optional
        Where to run them; one after the other by default.
    series_dt_s : float, optional
        Interval of the time series [s].
    max_events : float
        Largest expected number of events over all replications; a million take about a second.

    Returns
    -------
    SimulationResult
        Ctrl-C returns what was simulated so far, marked ``interrupted``.

    Raises
    ------
    ModelError
        No load, an argument out of range, something that the simulation cannot do, or too many events.

    Notes
    -----
    Own service first, then the calls: those without a stage one after the other, then stage by stage; repeated calls of
    one dependency follow one another. A blocking component holds its worker until the answer. A stage waits for all its
    calls, then a request with a failed required call fails. Requests are served in the order of arrival.
    ``network_latency_s`` is spent half on the way there and half on the way back.

    Service times: deterministic, gamma (scv below 1), exponential, hyperexponential with balanced means (above 1).
    ``usl``, ``tabulated`` and ``memory`` are processor sharing at the measured speed among those in service. The part
    ``cpu_s`` of a service on a host is processor sharing among all its components; the rest is a delay.

    A time-out starts when the call is sent; the callee works on unless ``cancel_on_timeout``. Retries wait an
    exponential time of mean ``backoff_s``. A retry budget is a bucket of ten retries, a rate limit a bucket of one
    second; breakers look at ten parts of their window and reject without a retry. A full outage fails what is inside.
    The periods of the architecture are not simulated: give them as ``load``.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("a", service_time_s=0.01)],
    ...                        loads=[fa.Load("a", rate_per_s=50.0)])
    >>> result = fa.simulate(arch, replications=2)
    >>> round(float(result.utilisation[0]), 1)
    0.5
    """
    import numpy as np

    from fea_arch.simulation.pattern import mean_factor, outages, segments
    from fea_arch.simulation.plan import build_plan
    from fea_arch.simulation.replication import Run
    from fea_arch.simulation.summary import summarise

    if not arch.loads:
        raise ModelError("has no load: nothing would happen", field="loads", fix="a fa.Load")
    if load is not None and any(item.closed for item in arch.loads):
        raise ModelError(
            "a load factor over time acts on open loads only", field="load", fix="loads with rate_per_s, or no load="
        )
    if isinstance(replications, bool) or replications != int(replications) or replications < 1:
        raise ModelError(f"is {replications!r}", field="replications", fix="a whole number of at least 1")
    replications = int(replications)
    plan = build_plan(arch)
    if duration_s is None:
        if plan.roots_per_s <= 0:
            raise ModelError("all loads are zero: give a duration_s", field="duration_s")
        duration_s = REQUESTS / plan.roots_per_s
    duration_s = _checked("duration_s", duration_s, above=0.0)
    if warm_up_s is None:
        warm_up_s = 0.0 if load is not None or events or series_dt_s is not None else 0.1 * duration_s
    warm_up_s = _checked("warm_up_s", warm_up_s, at_least=0.0)
    if warm_up_s >= duration_s:
        raise ModelError(f"{warm_up_s:g} s leave nothing of {duration_s:g} s", field="warm_up_s")
    dt = 0.0 if series_dt_s is None else _checked("series_dt_s", series_dt_s, above=0.0)
    if dt > 0 and duration_s / dt * len(arch) > 5e7:
        raise ModelError(f"{dt:g} s gives a series that does not fit into memory", field="series_dt_s")
    pieces = segments(load, duration_s)
    expected = plan.events_per_s * mean_factor(pieces) * duration_s * replications
    if expected > max_events:
        raise ModelError(
            f"about {expected:.2g} events are expected, more than max_events = {max_events:.2g} "
            f"(around {expected / 1e6 / 3600:.2g} h on one core)",
            field="duration_s",
            fix="a shorter duration_s, fewer replications, or a larger max_events",
        )
    number, times = outages(arch, events, duration_s)
    limit = int(min(max(max_events, 1.0) / replications * 10.0, 2**62))
    job = Run(duration_s, warm_up_s, dt, limit, pieces, number, times)
    seeds = np.random.SeedSequence(seed).spawn(replications)
    begin = time.perf_counter()
    tallies = _run_all(plan, job, seeds, executor)
    return summarise(arch, plan, job, tallies, time.perf_counter() - begin)


def _checked(field: str, value: float, *, above: float = -1.0, at_least: float = 0.0) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (above < number < float("inf") and number >= at_least):
        raise ModelError(f"is {value!r}", field=field, fix=f"a finite number of seconds above {max(above, at_least):g}")
    return number


def _run_all(plan: Plan, job: Run, seeds: list[SeedSequence], executor: Executor | None) -> list[Tally]:
    from fea_arch.simulation.replication import replicate

    tallies: list[Tally] = []
    if executor is not None:
        return list(executor.map(replicate, [plan] * len(seeds), [job] * len(seeds), seeds))
    for seed in seeds:
        tally = replicate(plan, job, seed)
        if tally.interrupted and tallies and tally.observed_s <= 0:
            break
        tallies.append(tally)
        if tally.interrupted:
            break
    return tallies
