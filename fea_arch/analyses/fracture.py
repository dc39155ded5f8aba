"""Fracture: what breaks first under growing load, how it spreads, what is left."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fea_arch.analyses.static import static
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import ModelError, suggestion
from fea_arch.results.fracture import FractureEvent, FractureResult
from fea_arch.solvers.break_criteria import CRITERIA
from fea_arch.solvers.collapse import Break, CollapsePath, follow_collapse
from fea_arch.solvers.network import Array, build_network
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload_model

__all__ = ["fracture", "open_model"]


def fracture(
    arch: Architecture,
    max_load_factor: float | None = None,
    *,
    criteria: Iterable[str] = CRITERIA,
    tolerance: float = 0.01,
) -> FractureResult:
    """Raise the load until the architecture collapses, and say what broke because of what.

    Parameters
    ----------
    arch : Architecture
    max_load_factor : float, optional
        Where to stop [1]; by default three times the collapse load.
    criteria : iterable of str
        What can break: ``memory`` (limit reached: the component is gone), ``utilisation`` (failure limit: it yields),
        ``capacity`` (its queue grows: it carries no more than ``mu``), ``queue`` (1 % of the requests find a bounded
        queue full), ``timeout`` (mean response beyond a caller's time-out), ``breaker`` (a circuit breaker opens).
    tolerance : float
        Share of what is served without load that may go missing before it is called a collapse [1].

    Returns
    -------
    FractureResult

    Raises
    ------
    ModelError
        Without load, with everything broken from the start, with an unknown criterion, or with a limit that is not a
        positive number.

    Notes
    -----
    Event to event: the next critical element is the one with the smallest load factor that breaks anything. After a
    break balancers pass the component over, callers that require it fail, callers with a fallback carry on, and what is
    no longer asked for disappears downstream. Closed loads act as open ones at their rate of today.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.01)],
    ...                        loads=[fa.Load("api", rate_per_s=40.0)])
    >>> result = fa.fracture(arch)
    >>> round(result.collapse_factor, 3), [(e.criterion, round(e.load_factor, 3)) for e in result.path]
    (2.5, [('utilisation', 2.25), ('capacity', 2.5)])
    """
    chosen = tuple(criteria)
    for name in chosen:
        if name not in CRITERIA:
            raise ModelError(f"unknown criterion {name!r}.{suggestion(str(name), CRITERIA)}", field="criteria")
    if max_load_factor is not None and not (
        isinstance(max_load_factor, (int, float, np.number)) and 0.0 < float(max_load_factor) < math.inf
    ):
        raise ModelError(f"is {max_load_factor!r}", field="max_load_factor", fix="a positive finite number or None")
    if not 0.0 < tolerance < 1.0:
        raise ModelError(f"is {tolerance!r}", field="tolerance", fix="a share between 0 and 1, for instance 0.01")
    model, findings = open_model(arch)
    limit = None if max_load_factor is None else float(max_load_factor)
    path = follow_collapse(model, criteria=chosen, tolerance=tolerance, max_load_factor=limit)
    if limit is not None and not path.breaks and not np.isfinite(path.collapse_factor):
        findings = (*findings, f"nothing gives way up to {limit:g} times the load: raise max_load_factor")
    return _result(arch, model, path, tolerance, findings)


def open_model(arch: Architecture) -> tuple[OverloadModel, tuple[str, ...]]:
    """Check an architecture and prepare it; closed loads become open ones at their rate at the design load.

    Raises
    ------
    ModelError
        If it cannot be analysed or nothing loads it.
    """
    require_valid(arch)
    network = build_network(arch)
    external = network.external
    findings: tuple[str, ...] = ()
    if any(load.closed for load in arch.loads):
        answer = static(arch)
        external = np.zeros(network.n)
        for name, rate in zip(answer.entries, answer.entry_rate_per_s):
            external[arch.index[name]] += rate
        findings = ("closed loads are taken as open ones at the rate they have at the design load",)
    if not (external > 0).any():
        raise ModelError(
            "all loads are zero: nothing can break", component=arch.loads[0].entry, field="loads", fix="a rate above 0"
        )
    return overload_model(network, external), findings


def _result(
    arch: Architecture, model: OverloadModel, path: CollapsePath, tolerance: float, findings: tuple[str, ...]
) -> FractureResult:
    names = arch.names
    events = tuple(_event(model, path, event) for event in path.breaks)
    factor = np.array(path.load_factor)
    offered = model.offered * factor
    books = [state.books for state in path.states]
    book = {key: np.array([b[key] for b in books]) for key in books[0]}
    flight = np.array([np.inf if s.growing else float((s.served * (s.wait + _own(s))).sum()) for s in path.states])
    first, criterion = np.full(len(arch), np.inf), [""] * len(arch)
    for b in path.breaks:
        if b.load_factor < first[b.component]:
            first[b.component], criterion[b.component] = b.load_factor, b.criterion
    before = [k for k, f in enumerate(factor) if f < path.collapse_factor]
    last = path.states[before[-1]] if before else path.states[0]
    residual, failure = _residual(path, factor, book["served"])
    yields = _yield(arch, path)
    elastic = float(yields.min(initial=math.inf))
    steady = np.isfinite(flight) & (factor <= path.collapse_factor)
    return FractureResult(
        components=tuple(names),
        collapse_factor=float(path.collapse_factor),
        path=events,
        avalanches=_avalanches(path.breaks),
        load_factor=factor,
        offered_per_s=offered,
        served_per_s=book["served"],
        in_flight=flight,
        books=book,
        toughness=_toughness(factor, offered, flight, path.collapse_factor),
        residual_capacity=residual,
        failure=failure,
        elastic_factor=elastic,
        yield_factor=yields,
        yield_in_flight=float(np.interp(elastic, factor[steady], flight[steady])) if np.isfinite(elastic) else math.nan,
        break_factor=first,
        criterion=tuple(criterion),
        utilisation=last.utilisation.copy(),
        served_unloaded=path.served_unloaded,
        tolerance=tolerance,
        solves=path.solves,
        complete=path.complete,
        findings=findings,
    )


def _own(state: OverloadState) -> Array:
    network = state.model.network
    extra = np.zeros(network.n)
    on = network.host >= 0
    extra[on] = network.cpu[on] * (state.stretch[network.host[on]] - 1.0)
    return np.asarray(network.service + extra)


def _event(model: OverloadModel, path: CollapsePath, event: Break) -> FractureEvent:
    network = model.network
    names = network.names
    label = ""
    if event.edge >= 0:
        label = f"{names[network.source[event.edge]]}->{names[network.target[event.edge]]}"
    if event.after >= 0:
        cause = f"{names[path.breaks[event.after].component]} broke"
    else:
        k = int(np.argmin(np.abs(np.array(path.load_factor) - event.load_factor)))
        cause = _cause(path.states[k], event)
    return FractureEvent(
        load_factor=float(event.load_factor),
        component=names[event.component],
        criterion=event.criterion,
        cause=cause,
        dependency=label,
        breaks=event.criterion in ("memory", "breaker"),
    )


def _cause(state: OverloadState, event: Break) -> str:
    network, i = state.model.network, event.component
    names = network.names
    if event.criterion == "breaker":
        return "too many of its calls fail"
    if event.criterion == "timeout" and not network.blocking[i] and state.response[i] <= 2.0 * network.service[i]:
        return "service time near the time-out"
    slow, longest = -1, 0.0
    for e in range(network.ptr[i], network.ptr[i + 1]):
        time = network.calls[e] * state.edge_time[e]
        if network.sync[e] and time > longest:
            slow, longest = int(network.target[e]), time
    if network.blocking[i] and slow >= 0 and longest > network.service[i]:
        return f"its workers wait for {names[slow]}"
    if event.criterion in ("memory", "timeout") and slow >= 0 and longest > state.wait[i] + network.service[i]:
        return f"requests wait for {names[slow]}"
    host = network.host[i]
    if host >= 0 and state.stretch[host] > 2.0:
        return f"host {network.arch.hosts[host].name} is full"
    retried = network.in_edge[network.in_ptr[i] : network.in_ptr[i + 1]]
    if retried.size and (state.tries[retried] > 1.2).any():
        return "retries of its callers"
    return "own work"


def _avalanches(breaks: list[Break]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the number of structural breaks at each load factor that has any."""
    sizes: dict[float, int] = {}
    for b in breaks:
        if b.criterion in ("memory", "breaker"):
            sizes[b.load_factor] = sizes.get(b.load_factor, 0) + 1
    return np.array([sizes[f] for f in sorted(sizes)], np.int64)


def _toughness(factor: Array, offered: Array, flight: Array, collapse: float) -> float:
    inside = (factor <= 0.99 * collapse) & np.isfinite(flight)
    if np.isfinite(collapse) and np.isfinite(flight[factor < collapse]).all():
        near = np.flatnonzero(factor < collapse)
        if near.size and flight[near[-1]] < 2.0 * np.interp(0.99 * collapse, factor[near], flight[near]):
            inside = (factor < collapse) & np.isfinite(flight)  # broken in its stride: count to the break
    f, q = flight[inside], offered[inside]
    return float(np.sum(0.5 * (q[1:] + q[:-1]) * np.diff(f))) if f.size > 1 else 0.0


def _residual(path: CollapsePath, factor: Array, served: Array) -> tuple[float, str]:
    if not np.isfinite(path.collapse_factor):
        return 1.0, "none"
    before = served[factor < path.collapse_factor]
    beyond = factor > path.collapse_factor * (1.0 - 1e-9)
    if not before.size or before.max() <= 0 or not beyond.any():
        return math.nan, "unknown"
    kept = float(np.interp(1.5 * path.collapse_factor, factor[beyond], served[beyond]) / before.max())
    return kept, "ductile" if kept >= 0.9 else "brittle" if kept < 0.5 else "semi-brittle"


def _yield(arch: Architecture, path: CollapsePath) -> Array:
    """Return where each component's utilisation passes its elastic limit, by chords of the curve."""
    limit = np.asarray(arch.component_columns.column("elastic_limit"), float)
    found = np.full(len(arch), np.inf)
    before, begin = np.zeros(len(arch)), 0.0
    for factor, state in sorted(zip(path.load_factor, path.states), key=lambda p: p[0]):
        now = state.utilisation / limit
        new = np.flatnonzero((now >= 1.0) & ~np.isfinite(found))
        rise = np.maximum(now[new] - before[new], 1e-300)
        found[new] = begin + (factor - begin) * np.clip((1.0 - before[new]) / rise, 0.0, 1.0)
        before, begin = now, factor
    return found
