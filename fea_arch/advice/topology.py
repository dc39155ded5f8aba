"""Which call to change in what calls what: first-order effects choose, solving again decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from fea_arch.advice.moves import DECISIONS, Move, calls_to_change, within
from fea_arch.advice.sensitivity import opened
from fea_arch.architecture import Architecture
from fea_arch.errors import FeaArchError
from fea_arch.results.reinforcement import TopologySuggestion
from fea_arch.solvers.adjoint import build_adjoint
from fea_arch.solvers.gradient import build_gradient
from fea_arch.solvers.limit_load import largest_load_factor
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.outages import OutageSolver
from fea_arch.solvers.statics import solve_network

__all__ = ["expected_margins", "leading_calls", "suggest_changes"]

#: Share of the collapse load at which a response tells what bends the collapse factor, and its accuracy [1].
BELOW, ACCURACY = 0.99, 1e-3
#: Calls whose loss is followed for a fallback.
FALLBACKS = 3
#: Gain from which a change is worth a line [1].
LEAST = 1e-3
#: Weight of the margin that was not asked for: it decides where the other one does not move [1].
TIE = 0.05
#: Key of an effect that only ranks.
WAITING = "waiting_s"

Solve = Callable[[Architecture], tuple[dict[str, float], float]]
Effects = dict[tuple[str, str], dict[str, float]]


def expected_margins(arch: Architecture, moves: Iterable[Move]) -> Effects:
    """Return by (kind, call) the first-order changes of the mean response [s] and of the collapse factor [1].

    Notes
    -----
    Fewer calls act by ``dg/d calls``; an event takes the time of the answer away from the caller and leaves the load
    where it is, which is ``dg/d latency`` times that time. The collapse factor follows from the response just below it,
    ``-(dg/dp) / (dg/d Lambda)``. A fallback has no slope. What cannot be solved is left out. Where pools could not be
    linearised there is no prediction, only ``waiting_s``: the change of the time that a request spends waiting for the
    answers, with everything else held, at the load of the margin.
    """
    moves = [m for m in moves if m.kind != "fallback"]
    try:
        network = build_network(opened(arch)[0])
        if not moves or not network.external.sum() > 0.0:
            return {}
        factor = largest_load_factor(network, network.external, accuracy=ACCURACY)[0]
    except FeaArchError:
        return {}
    whole: dict[str, float] = {}
    for d in arch.dependency_columns:
        whole[d.label] = whole.get(d.label, 0.0) + d.calls
    out: Effects = {}
    for margin, load in (("response_s", 1.0), ("collapse_factor", BELOW * factor)):
        if not math.isfinite(load) or (margin == "response_s" and factor <= 1.0):
            continue
        try:
            found, linear = _effects(network, load, margin == "collapse_factor")
        except FeaArchError:
            continue
        for move in moves:
            if move.place in found:
                by_calls, by_waiting = found[move.place]
                calls = move.before - move.after if move.kind == "cache" else whole[move.place]
                change = by_waiting if move.kind == "decouple" else -calls * by_calls
                out.setdefault((move.kind, move.place), {})[margin if linear else WAITING] = float(change)
    return out


def _effects(network: Network, load_factor: float, collapse: bool) -> tuple[dict[str, tuple[float, float]], bool]:
    """Return by call the derivative by calls, and the change where nobody waits; and whether these are derivatives."""
    state = solve_network(network, load_factor=load_factor, tol=1e-9)
    if state.limiting >= 0:
        return {}, True
    adjoint = build_adjoint(state)
    time = network.latency + state.response[network.target]
    limit = np.where(np.isnan(network.timeout), np.inf, network.timeout)  # a caller waits no longer
    time = np.minimum(time, limit)
    linear = adjoint.exact
    if linear:
        weight = network.external / network.external.sum()
        gradient = build_gradient(adjoint, *adjoint.solve(adjoint.seed(weight)))
        slope = float(gradient.rate @ network.external)
        if collapse and not (math.isfinite(slope) and slope > 0.0):
            return {}, True
        scale = -1.0 / slope if collapse else 1.0
        by_calls, waiting = scale * gradient.calls, -scale * gradient.latency * time
    else:
        entering = load_factor * network.external.sum()
        by_calls = (state.arrivals * state.admitted)[network.source] / entering * time
        waiting = -by_calls * network.calls
    out: dict[str, tuple[float, float]] = {}
    for e in np.flatnonzero(network.sync & (network.group < 0)).tolist():
        label = f"{network.names[network.source[e]]}->{network.names[network.target[e]]}"
        values = np.nan_to_num(np.array([by_calls[e], waiting[e]]))
        before = out.get(label, (0.0, 0.0))
        out[label] = (max(before[0], float(values[0]), key=abs), before[1] + float(values[1]))
    return out, linear


def leading_calls(arch: Architecture, goal: Mapping[str, float], moves: list[Move], count: int) -> list[Move]:
    """Return the moves of each kind that should gain most for the target, the best first."""
    effects = expected_margins(arch, moves)
    return _leading(effects, goal, moves, count)


def _leading(effects: Effects, goal: Mapping[str, float], moves: list[Move], count: int) -> list[Move]:
    signs = {"response_s": -1.0, "collapse_factor": 1.0, WAITING: -1.0}
    asked = set(signs) & set(goal) or set(signs)
    top = {n: max((abs(e.get(n, 0.0)) for e in effects.values()), default=0.0) or 1.0 for n in signs}

    def gain(move: Move) -> float:
        found = effects.get((move.kind, move.place), {})
        return sum((1.0 if n in asked else TIE) * sign * found.get(n, 0.0) / top[n] for n, sign in signs.items())

    out: list[Move] = []
    for kind in DECISIONS:
        out += sorted((m for m in moves if m.kind == kind), key=lambda m: -gain(m))[:count]
    return out


def suggest_changes(
    arch: Architecture,
    goal: Mapping[str, float],
    start: tuple[dict[str, float], float],
    solve: Solve,
    shortfall: Callable[[dict[str, float]], float],
    costs: Mapping[str, float],
    bounds: Mapping[str, float],
    hits: Mapping[str, float],
    count: int,
) -> tuple[TopologySuggestion, ...]:
    """Return the changes of what calls what that gain most, each alone on the architecture as it is, solved again.

    Parameters
    ----------
    start : (dict, float)
        Margins and shortfall of the architecture.
    solve, shortfall : callable
        Architecture -> margins and shortfall; margins -> shortfall.
    count : int
        Calls of each kind that are solved again; 0 for no suggestions.

    Notes
    -----
    Fallbacks are tried at the calls whose loss costs most: responses of the intact system do not move with them, but
    what is served when the callee is gone does, and so do margins that count what breaks.
    """
    if count <= 0:
        return ()
    moves = [m for m in calls_to_change(arch, costs, hits) if within([m], bounds)]
    margins, gap = start
    saved = _saved(arch, {m.place: m for m in moves if m.kind == "fallback"})
    effects = expected_margins(arch, moves) if gap > 0.0 else {}
    trials = [m for m in _leading(effects, goal, moves, count) if m.kind != "fallback"] if gap > 0.0 else []
    out: list[TopologySuggestion] = []
    for move in [*(m for m in moves if m.kind == "fallback" and m.place in saved), *trials]:
        found, verified, predicted, short = dict[str, float](), math.nan, math.nan, math.inf
        if gap > 0.0:
            try:
                found, short = solve(move.apply(arch))
            except FeaArchError:
                continue
            verified = (gap - short) / gap
            predicted = _predicted(effects.get((move.kind, move.place), {}), goal, margins, gap, shortfall)
        keeps = saved.get(move.place, 0.0) if move.kind == "fallback" else math.nan
        if verified > LEAST or keeps > LEAST:
            out.append(
                TopologySuggestion(str(move), move.kind, move.place, move.cost, predicted, verified,
                                   short <= 0.0, found, keeps, DECISIONS[move.kind])
            )  # fmt: skip
    out.sort(key=lambda s: (-max(s.verified, 0.0) if s.verified > LEAST else 0.0, -np.nan_to_num(s.saved_share)))
    return tuple(out)


def _predicted(
    effect: Mapping[str, float],
    goal: Mapping[str, float],
    margins: dict[str, float],
    gap: float,
    shortfall: Callable[[dict[str, float]], float],
) -> float:
    """Return the share of the shortfall that should go; NaN where a part of the target has no derivative."""
    if any(name not in effect or not math.isfinite(margins[name]) for name in goal):
        return math.nan
    return (gap - shortfall({name: margins[name] + effect[name] for name in goal})) / gap


def _saved(arch: Architecture, fallbacks: Mapping[str, Move]) -> dict[str, float]:
    """Return, for the calls whose loss costs most, the served share that a fallback saves when the callee is gone."""
    from fea_arch.analyses.contingency import contingency

    if not fallbacks:
        return {}
    found = contingency(arch)
    out: dict[str, float] = {}
    for label in [n for n in found.worst(len(found.outages)) if n in fallbacks][:FALLBACKS]:
        lost = found[label]["served_share"]
        soft = _served_without(fallbacks[label].apply(arch), label)
        if soft - lost > 1e-9:
            out[label] = float(soft - lost)
    return out


def _served_without(arch: Architecture, label: str) -> float:
    """Return the served share without one call, as a row of a contingency has it."""
    from fea_arch.analyses.fracture import open_model

    model, _ = open_model(arch)
    network = model.network
    ends = zip(network.source.tolist(), network.target.tolist())
    cut = tuple(e for e, (a, b) in enumerate(ends) if f"{network.names[a]}->{network.names[b]}" == label)
    return OutageSolver(model, 1.0).without((), cut).served_share
