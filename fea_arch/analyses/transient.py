"""Transient analysis: bursts, ramps, periodic and recorded loads, outages and recoveries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.analyses.operating_point import static_state
from fea_arch.architecture import Architecture, require_valid
from fea_arch.architecture.loads import Outage
from fea_arch.errors import ConvergenceError, ModelError, UnstableLoadError, suggestion
from fea_arch.results.transient import TransientResult
from fea_arch.solvers.fluid import Fluid, fluid_model
from fea_arch.solvers.fluid_march import Change, run_fluid
from fea_arch.solvers.fluid_record import History
from fea_arch.solvers.fluid_response import NEVER, mixed_late_share, responses

__all__ = ["transient"]

Array = NDArray[np.float64]

LAGS = {"none": 0, "cold": 1, "full": 2}
#: Above this many components only this many times are kept unless times are given.
LARGE, KEPT = 2000, 101


def transient(
    arch: Architecture,
    load: Callable[[float], float] | None = None,
    duration_s: float | None = None,
    *,
    events: Sequence[Outage] = (),
    load_factor: float = 1.0,
    lag: str = "none",
    outage: str = "reject",
    initial: str = "steady",
    refine: int = 1,
    tolerance: float = 3e-3,
    dt_s: float | None = None,
    times_s: Any = None,
    progress: Callable[[float], None] | None = None,
    stream: Callable[[Array, Array, Array], None] | None = None,
) -> TransientResult:
    """Integrate the nonlinear fluid model of an architecture through time.

    Parameters
    ----------
    arch : Architecture
    load : callable, optional
        Load factor over time: ``fa.Burst``, ``fa.Ramp``, ``fa.Periodic``, ``fa.Recorded`` or a function of the time
        [s]; default constant.
    duration_s : float, optional
        Window [s]; default twice the end of the last disturbance and at least 60 s.
    events : sequence of Outage
    load_factor : float
        Multiple of the design load that ``load`` multiplies [1].
    lag : {"none", "cold", "full"}
        Capacity lag. ``none``: warm servers answer at once. ``cold``: capacity above what was in use at the start comes
        on line with the cold-start time. ``full``: every change of throughput lags (the linear theory).
    outage : {"reject", "hold"}
        A full outage loses what is inside and rejects what comes, or holds everything until it ends.
    initial : {"steady", "empty"}
        State at the start.
    refine : int
        Elements in series per component: the travel time of a request becomes an Erlang distribution.
    tolerance : float
        Relative error of a step [1].
    dt_s : float, optional
        Fixed step instead of adaptive ones [s].
    times_s : (k,) array_like, optional
        Times to keep [s]; default every step (101 times for very large architectures).
    progress : callable, optional
        Called with the share that is done.
    stream : callable, optional
        Called during the run with blocks of new rows: ``time_s`` (rows,), ``in_flight`` and ``throughput_per_s``
        (rows, n); for long runs that are watched or written to a file while they go on.

    Returns
    -------
    TransientResult

    Raises
    ------
    ModelError
        No load, senseless times, outages of unknown components.
    UnstableLoadError
        If the load at the start has no steady state (``initial="empty"`` starts without one).
    ConvergenceError
        If the time step collapses; carries the state.

    Notes
    -----
    ``dN/dt = f(t) - A^T y``, ``tau dy/dt = g(N) - y``: the pointwise stationary fluid flow approximation (Wang, Tipper
    and Banerjee, INFOCOM 1996) for a network, integrated by TR-BDF2 and exact at the jumps of load and capacity.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("db", service_time_s=0.01)],
    ...                        loads=[fa.Load("db", rate_per_s=20.0)])
    >>> result = fa.transient(arch, fa.Burst(factor=10, start_s=1, duration_s=5), 60.0)
    >>> int(round(result["db"]["peak"]))          # 5 s at 100/s too much, and what idles until the queue is long
    506
    """
    require_valid(arch)
    factor = _finite("load_factor", load_factor, low=0.0)
    for field, value, known in (("lag", lag, LAGS), ("outage", outage, ("reject", "hold")),
                                ("initial", initial, ("steady", "empty"))):  # fmt: skip
        if value not in known:
            raise ModelError(
                f"is {value!r}.{suggestion(str(value), known)}", field=field, fix=f"one of {', '.join(known)}"
            )
    if isinstance(refine, bool) or not isinstance(refine, (int, np.integer)) or refine < 1:
        raise ModelError(f"is {refine!r}", field="refine", fix="a whole number of at least 1")
    tolerance = _finite("tolerance", tolerance, low=1e-12, high=0.5)
    for field, given in (("progress", progress), ("stream", stream)):
        if given is not None and not callable(given):
            raise ModelError(f"is {given!r}", field=field, fix="a function")
    if load is not None and not callable(load):
        raise ModelError(f"is {load!r}", field="load", fix="fa.Burst, fa.Ramp, fa.Periodic, fa.Recorded or a function")
    closed = [item for item in arch.loads if item.closed]
    if load is not None and closed:
        raise ModelError("a load factor over time acts on open loads only", field="load", fix="loads with rate_per_s")
    checked = _events(arch, events)
    marks = _marks(load)
    last = max([0.0, *(m for m in marks if math.isfinite(m)), *(e.end_s for e in checked)])
    window = max(2.0 * last, 60.0) if duration_s is None else duration_s
    duration = _finite("duration_s", window, low=0.0, open_low=True)
    if dt_s is not None:
        dt_s = _finite("dt_s", dt_s, low=0.0, open_low=True)
        if dt_s > duration:
            raise ModelError(f"{dt_s:g} s is longer than the window of {duration:g} s", field="dt_s")
        if duration / dt_s > 1e7:
            raise ModelError(f"{dt_s:g} s makes {duration / dt_s:.1g} steps", field="dt_s", fix="a longer step")
    knots = _knots(load, marks, duration)
    start = float(knots[1][0]) * factor
    network, base = _base(arch, start, initial)
    model = fluid_model(network, base, int(refine))
    if initial == "steady":
        model.at_rest()
    else:
        model.empty()
    users, think = np.zeros(model.n), np.zeros(model.n)
    for item in closed:
        i = arch.index[item.entry]
        if users[i] > 0.0 or network.external[i] > 0.0:
            raise ModelError(
                "carries a closed load beside another load", component=item.entry, field="loads",
                fix="a gateway component for each population",
            )
        users[i], think[i] = round((item.users or 0) * factor), item.think_time_s
        flow = model.state["flow"][i] if initial == "steady" else 0.0
        model.state["waiting"][i] = flow * model.state["response"][i]
    if closed and initial == "steady":  # the exact means of a population are not quite those of the fluid: settle
        longest = float(np.max(think + model.state["response"]))
        run_fluid(model, 300.0 * longest, (np.zeros(1), np.ones(1)), [], network.external, closed=(users, think))
    model.state["lag_kind"] = LAGS[lag]
    if lag != "none":
        model.state["lag"][:] = model.lag
        if lag == "cold":
            model.state["ceiling"] = np.where(
                (model.lag > 0.0) & (model.row >= 0), np.maximum(model.state["flow"], 1e-9), np.inf
            )
    times = _times(times_s, duration, model.n)
    history = run_fluid(
        model, duration, (knots[0], knots[1] * factor), [*(m for m in marks if m < duration)], network.external,
        closed=(users, think), changes=_changes(arch, checked, outage), tolerance=tolerance, dt_s=dt_s,
        max_dt_s=_longest_step(load, duration), times=times, progress=progress,
        stream=stream,
    )  # fmt: skip
    return _result(arch, model, history, knots, factor, last, lag)


def _base(arch: Architecture, factor: float, initial: str) -> tuple[Any, Any]:
    if initial == "steady":
        try:
            return static_state(arch, factor)
        except UnstableLoadError as error:
            raise UnstableLoadError(
                f"the load at the start has no steady state: {error.message}", limiting=error.limiting,
                max_load_factor=error.max_load_factor, fix='a smaller load at the start, or initial="empty"',
            ) from error
    for share in (1.0, 0.3, 0.03, 1e-6):
        try:
            return static_state(arch, factor * share)
        except (UnstableLoadError, ConvergenceError):
            continue
    return static_state(arch, 0.0)


def _finite(field: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (low <= number <= high and number < math.inf) or (open_low and number <= low):
        least = "above" if open_low else "of at least"
        raise ModelError(f"is {value!r}", field=field, fix=f"a finite number {least} {low:g}")
    return number


def _events(arch: Architecture, events: Sequence[Outage]) -> list[Outage]:
    found = []
    for event in events:
        if not isinstance(event, Outage):
            raise ModelError(f"{event!r} is not an outage", field="events", fix="fa.Outage(component, start_s, end_s)")
        if event.component not in arch.index:
            raise ModelError(
                f"outage of an unknown component.{suggestion(event.component, arch.names)}",
                component=event.component, field="events",
            )
        found.append(event)
    for a in found:
        if any(b is not a and b.component == a.component and a.start_s <= b.start_s < a.end_s for b in found):
            raise ModelError("outages overlap", component=a.component, field="events", fix="one outage for both")
    return found


def _changes(arch: Architecture, events: Sequence[Outage], outage: str) -> list[Change]:
    changes = []
    for e in events:
        i = arch.index[e.component]
        dead = e.share >= 1.0
        rejects = dead and outage == "reject"
        changes.append(Change(e.start_s, i, 0.0 if dead else 1.0 - e.share, 0.0 if rejects else 1.0, empty=rejects))
        changes.append(Change(e.end_s, i, 1.0, 1.0))
    return changes


def _marks(load: Callable[[float], float] | None) -> tuple[float, ...]:
    given = getattr(load, "breakpoints", None)
    return tuple(float(t) for t in given()) if given is not None else ()


def _knots(load: Callable[[float], float] | None, marks: Sequence[float], duration: float) -> tuple[Array, Array]:
    """Sample the load factor: exact between marks where it is linear, finely elsewhere; jumps become equal times."""
    if load is None:
        return np.zeros(1), np.ones(1)
    edges = sorted({0.0, duration, *(m for m in marks if 0.0 < m < duration)})
    time: list[float] = []
    value: list[float] = []
    period = getattr(load, "period_s", None)
    for a, b in zip(edges, edges[1:]):
        pieces = 2 if marks and period is None else 2000
        if period is not None:
            pieces = int(min(max(64.0 * (b - a) / period, 2.0), 200_000.0))
        inner = np.linspace(a, b, pieces + 1)
        inner[-1] = b - 1e-9 * (b - a)
        for t in inner.tolist():
            try:
                number = float(load(t))
            except (TypeError, ValueError) as error:
                raise ModelError(f"returns no number at {t:g} s", field="load") from error
            if not 0.0 <= number < math.inf:
                raise ModelError(f"is {number!r} at {t:g} s", field="load", fix="a finite factor of at least 0")
            value.append(number)
        inner[-1] = b
        time += inner.tolist()
    return np.array(time), np.array(value)


def _longest_step(load: Callable[[float], float] | None, duration: float) -> float:
    period = getattr(load, "period_s", None)
    if period is not None:
        return float(period) / 12.0
    return duration / 20.0 if load is not None and not _marks(load) else duration


def _times(times: Any, duration: float, n: int) -> Array | None:
    if times is None:
        return np.linspace(0.0, duration, KEPT) if n > LARGE else None
    values = np.atleast_1d(np.asarray(times, float))
    if not values.size or not np.isfinite(values).all() or (np.diff(values) <= 0).any() or values[0] < 0.0:
        raise ModelError("must be increasing times of at least 0", field="times_s")
    if values[-1] > duration * (1.0 + 1e-12):
        raise ModelError(f"{values[-1]:g} s lies beyond the window of {duration:g} s", field="times_s")
    return values


def _result(
    arch: Architecture, model: Fluid, history: History, knots: tuple[Array, Array], factor: float, last: float, lag: str
) -> TransientResult:
    n0, refine, t = model.n0, model.refine, history.time
    number = history.number.reshape(t.size, refine, n0).sum(axis=1)
    found = responses(model, history)
    rest, peak = number[0].copy(), number.max(axis=0)
    when = np.argmax(number, axis=0)
    drain, calm = _drain(t, number, rest, peak, last)
    objective = arch.objective.latency_s or math.inf
    names: dict[str, float] = {}
    for item in arch.loads:
        rate = item.rate_per_s if item.rate_per_s is not None else 0.0
        names[item.entry] = names.get(item.entry, 0.0) + rate
    at = np.array([arch.index[e] for e in names], np.int64)
    mean, variance = found.mean[:, at], found.variance[:, at]
    detour, more, spread = found.detour
    within = found.success[:, at] * _below(objective, mean, variance, (detour[:, at], more[:, at], spread[:, at]))
    response = found.mean
    np.copyto(response, math.inf, where=response >= NEVER)
    rates = np.interp(t, knots[0], knots[1])  # the later value of a jump is read for the first of two equal times
    jump = np.flatnonzero(np.diff(t) == 0.0)
    rates[jump] = rates[np.maximum(jump - 1, 0)]
    inflow = history.inflow[:, at]
    step = np.diff(t)[:, None]
    if t.size > 1 and inflow.sum() > 0:
        offered = 0.5 * step * (inflow[1:] + inflow[:-1])
        good = 0.5 * step * (inflow[1:] * within[1:] + inflow[:-1] * within[:-1])
        share = float(good.sum() / offered.sum()) if offered.sum() > 0 else math.nan
    else:
        share = math.nan
    book = [a.reshape(refine, n0) for a in (history.offered, history.admitted, history.served, history.killed)]
    left = number[-1]
    return TransientResult(
        components=tuple(arch.names),
        time_s=t,
        load_factor=rates * factor,
        in_flight=number,
        throughput_per_s=history.flow[:, -n0:].copy(),
        response_s=response,
        success_share=found.success,
        rest=rest,
        peak=peak,
        peak_time_s=t[when],
        drain_time_s=drain,
        offered=book[0][0].copy(),
        served=book[2][-1].copy(),
        rejected=book[0][0] - book[1][0],
        lost=book[3].sum(axis=0),
        left=left.copy(),
        entries=tuple(names),
        entry_rate_per_s=np.array(list(names.values())) * factor,
        entry_response_s=np.where(mean >= NEVER, math.inf, mean),
        within_objective=within,
        within_objective_share=share,
        objective_s=objective,
        disturbance_end_s=last,
        kills=tuple((when_s, arch.names[i]) for when_s, i in history.kills),
        stable=calm,
        balance=history.balance,
        steps=history.steps,
        lag=lag,
        interrupted=history.interrupted,
    )


def _below(limit: float, mean: Array, variance: Array, detour: tuple[Array, Array, Array]) -> Array:
    """Return ``P(T <= limit)``."""
    if not limit < math.inf:
        return np.where(mean >= NEVER, 0.0, 1.0)
    late, _ = mixed_late_share(mean, variance, detour, limit)
    return np.where(mean >= NEVER, 0.0, 1.0 - late)


def _drain(t: Array, number: Array, rest: Array, peak: Array, last: float) -> tuple[Array, bool]:
    """Return the drain time of each component, and whether all is at rest or falling at the end."""
    level = rest + np.maximum(0.05 * (peak - rest), 0.02 * np.maximum(rest, 1.0))
    above = number > level
    drain = np.where(above[-1], math.inf, 0.0)
    left = np.flatnonzero(above.any(axis=0) & ~above[-1])
    final = t.size - 1 - np.argmax(above[::-1, left], axis=0)
    a, b = number[final, left], number[final + 1, left]
    x = np.where(a > b, (a - level[left]) / np.where(a > b, a - b, 1.0), 1.0)
    drain[left] = np.maximum(t[final] + x * (t[final + 1] - t[final]) - last, 0.0)
    stuck = np.flatnonzero(np.isinf(drain))
    if not stuck.size:
        return drain, True
    half = max(int(np.searchsorted(t, t[-1] - 0.2 * max(t[-1] - last, 0.0))), 0)
    falling = number[-1, stuck] < number[min(half, t.size - 2), stuck] * (1.0 - 1e-6) + 1e-9
    return drain, bool(falling.all())
