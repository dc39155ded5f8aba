"""Progressive collapse from event to event: the next break is the smallest load factor that breaks anything.

Elements yield (utilisation at the failure limit), are exhausted (their queue grows), overflow (a bounded queue turns
requests away), run into a caller's time-out, and break for good: out of memory, or cut off by a circuit breaker. Only
the last two change the structure; breaks at the same load factor form an avalanche.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fea_arch.solvers.avalanche import run_avalanche
from fea_arch.solvers.break_criteria import (
    CRITERIA,
    Solve,
    breaker_opens,
    measures,
    memory_breaks,
    stands_at,
    unloaded_share,
)
from fea_arch.solvers.network import Array, Flags
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload

__all__ = ["Break", "CollapsePath", "follow_collapse"]


#: Points of the curve up to the collapse, and multiples of the collapse load beyond it.
POINTS, BEYOND = 24, (1.0, 1.02, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0)
#: Relative accuracy of a break's load factor.
ACCURACY = 1e-6
#: How far beyond a break its consequences are looked for, where the equilibrium at the break itself does not settle.
AHEAD = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2)
#: Sweeps after which a load counts as one without equilibrium.
PATIENCE = 400


@dataclass(frozen=True)
class Break:
    """One event: a component (edge -1) or an edge meets a criterion; ``after`` is the event that caused it, or -1."""

    load_factor: float
    component: int
    criterion: str
    edge: int = -1
    after: int = -1
    wave: int = 0


@dataclass(eq=False)
class CollapsePath:
    """The crack path and the curve; ``states`` has one equilibrium for each entry of ``load_factor``."""

    collapse_factor: float
    served_unloaded: float
    breaks: list[Break] = field(default_factory=list)
    load_factor: list[float] = field(default_factory=list)
    states: list[OverloadState] = field(default_factory=list)
    solves: int = 0
    complete: bool = True


def follow_collapse(
    model: OverloadModel,
    *,
    criteria: Iterable[str] = CRITERIA,
    tolerance: float = 0.01,
    max_load_factor: float | None = None,
    max_breaks: int = 1000,
) -> CollapsePath:
    """Follow the architecture from rest to collapse and beyond.

    Parameters
    ----------
    model : OverloadModel
    criteria : iterable of str
        Of :data:`CRITERIA`.
    tolerance : float
        Share of what is served without load that may be missing before it counts as collapse [1].
    max_load_factor : float, optional
        Where to stop; by default three times the collapse load.
    max_breaks : int
        Bound on breaks.
    """
    chosen = set(criteria)
    n, m = model.network.n, model.network.target.size
    dead, cut = np.zeros(n, bool), np.zeros(m, bool)
    path = CollapsePath(np.inf, 0.0)

    def solve(factor: float, dead: Flags, cut: Flags) -> OverloadState:
        path.solves += 1
        return overload(model, factor, dead, cut=cut, max_sweeps=PATIENCE)

    def hits(state: OverloadState) -> tuple[list[int], list[int]]:
        return (
            memory_breaks(state) if "memory" in chosen else [],
            breaker_opens(state) if "breaker" in chosen else [],
        )

    unloaded = unloaded_share(model, solve, dead, cut)
    path.served_unloaded = unloaded
    top = 1e9 if max_load_factor is None else max_load_factor
    stage_end: list[tuple[float, Flags, Flags]] = []
    low = 0.0
    while len(path.breaks) < max_breaks:

        def holds(factor: float, dead: Flags = dead, cut: Flags = cut) -> bool:
            state = solve(factor, dead, cut)
            broken, opened = hits(state)
            return not broken and not opened and stands_at(state, unloaded, tolerance)

        found = _first_failure(holds, low, top)
        if found is None:
            stage_end.append((top, dead.copy(), cut.copy()))
            break
        stage_end.append((found * (1.0 - 2.0 * ACCURACY), dead.copy(), cut.copy()))
        last = _avalanche(path, solve, hits, found, dead, cut, max_breaks, _settled(solve, found, dead, cut))
        low = found
        if not stands_at(last, unloaded, tolerance):
            path.collapse_factor = found
            break
    _sample(path, solve, stage_end)
    _soft_events(path, solve, stage_end, chosen)
    if np.isfinite(path.collapse_factor):
        _note_exhausted(path, last, path.collapse_factor, chosen)
        end = 3.0 * path.collapse_factor if max_load_factor is None else max_load_factor
        for factor in [f * path.collapse_factor for f in BEYOND if f * path.collapse_factor <= end]:
            state = _avalanche(path, solve, hits, factor, dead, cut, max_breaks)
            path.load_factor.append(factor)
            path.states.append(state)
            _note_exhausted(path, state, factor, chosen)
    path.complete = len(path.breaks) < max_breaks
    order = sorted(range(len(path.breaks)), key=lambda k: (path.breaks[k].load_factor, path.breaks[k].wave))
    place = {old: new for new, old in enumerate(order)}
    path.breaks = [_renumbered(path.breaks[k], place) for k in order]
    return path


def _renumbered(event: Break, place: dict[int, int]) -> Break:
    return Break(
        event.load_factor, event.component, event.criterion, event.edge, place.get(event.after, -1), event.wave
    )


def _first_failure(holds: Callable[[float], bool], low: float, top: float) -> float | None:
    """Return the smallest load factor above ``low`` that does not hold, to relative :data:`ACCURACY`; None: none."""
    high = min(max(1.0, 1.5 * low), top)
    while holds(high):
        if high >= top:
            return None
        low, high = high, min(high * 1.5, top)
    while low == 0.0 and high > 1e-9:
        middle = high / 2.0
        if holds(middle):
            low = middle
        else:
            high = middle
    while high - low > ACCURACY * high:
        middle = 0.5 * (low + high)
        if holds(middle):
            low = middle
        else:
            high = middle
    return high


def _settled(solve: Solve, factor: float, dead: Flags, cut: Flags) -> float:
    """Return the load factor, at most 2 % above, from which the equilibrium beyond a fold is found: at the fold itself
    nothing pushes."""
    for ahead in AHEAD:
        if solve(factor * (1.0 + ahead), dead, cut).converged:
            return factor * (1.0 + ahead)
    return factor


def _avalanche(
    path: CollapsePath,
    solve: Solve,
    hits: Callable[[OverloadState], tuple[list[int], list[int]]],
    factor: float,
    dead: Flags,
    cut: Flags,
    max_breaks: int,
    at: float | None = None,
) -> OverloadState:
    """Break, redistribute and solve again at one load factor until nothing more breaks; changes ``dead``, ``cut``.

    ``at`` is the load factor that is solved where it differs from the one that is noted.
    """
    before = -1

    def overloaded(state: OverloadState) -> list[tuple[str, int, int]]:
        broken, opened = hits(state)
        if len(path.breaks) >= max_breaks:
            return []
        target = state.model.network.target
        return [*(("memory", i, -1) for i in broken), *(("breaker", int(target[e]), e) for e in opened)]

    def take_out(elements: Sequence[tuple[str, int, int]], wave: int) -> None:
        nonlocal before
        first = len(path.breaks)
        for criterion, component, edge in elements:
            path.breaks.append(Break(factor, component, criterion, edge, before, wave))
            if edge < 0:
                dead[component] = True
            else:
                cut[edge] = True
        before = first

    state, _ = run_avalanche(lambda: solve(factor if at is None else at, dead, cut), overloaded, take_out)
    return state


def _sample(path: CollapsePath, solve: Solve, stages: Sequence[tuple[float, Flags, Flags]]) -> None:
    """Put the curve up to the collapse into the path."""
    begin = 0.0
    for end, dead, cut in stages:
        if end <= begin or end >= 1e9:
            end = max(begin, min(end, 10.0 * max(begin, 1.0)))
        grid = begin + (end - begin) * (1.0 - (1.0 - np.linspace(0.0, 1.0, POINTS)) ** 1.5)
        for factor in (grid[1:] if begin > 0 else grid).tolist():
            path.load_factor.append(factor)
            path.states.append(solve(factor, dead, cut))
        begin = end


def _soft_events(
    path: CollapsePath, solve: Solve, stages: Sequence[tuple[float, Flags, Flags]], chosen: set[str]
) -> None:
    """Locate where components yield, queues overflow and callers time out on the way to the collapse."""
    previous: dict[str, Array] | None = None
    met: set[tuple[str, int]] = set()
    for k, state in enumerate(path.states):
        now = measures(state, chosen)
        for name, value in now.items():
            for i in np.flatnonzero(value >= 1.0).tolist():
                if (name, i) in met:
                    continue
                met.add((name, i))
                at = path.load_factor[k]
                if k > 0 and previous is not None:
                    a, b = path.load_factor[k - 1], at
                    ends = previous[name][i], value[i]
                    at = _crossing(solve, state, chosen, name, i, a, b, *ends, refine=len(met) <= 12)
                edge = i if name == "timeout" else -1
                component = int(state.model.network.target[i]) if name == "timeout" else i
                path.breaks.append(Break(float(at), component, name, edge))
        previous = now


def _crossing(
    solve: Solve,
    state: OverloadState,
    chosen: set[str],
    name: str,
    i: int,
    a: float,
    b: float,
    va: float,
    vb: float,
    *,
    refine: bool,
) -> float:
    """Return where a measure passes 1 between two points of the curve: by chord, refined by false position."""
    for _ in range(6 if refine else 1):
        x = b if vb <= va else a + (b - a) * min(max((1.0 - va) / (vb - va), 0.0), 1.0)
        if not refine or b - a <= 1e-6 * b:
            return x
        value = float(measures(solve(x, state.dead, state.cut), {name})[name][i])
        if abs(value - 1.0) < 1e-6:
            return x
        if value < 1.0:
            a, va = x, value
        else:
            b, vb = x, value
    return x


def _note_exhausted(path: CollapsePath, state: OverloadState, factor: float, chosen: set[str]) -> None:
    """Book components whose queue grows, callees first, and what yields or times out beyond the collapse."""
    if "capacity" in chosen:
        known = {e.component for e in path.breaks if e.criterion == "capacity"}
        full = np.flatnonzero((state.growth > 0) | (state.full & ~state.dead)).tolist()
        for i in sorted(full, key=lambda i: state.model.network.position[i]):
            if i not in known:
                path.breaks.append(Break(factor, i, "capacity"))
    known_soft = {(e.criterion, e.edge if e.edge >= 0 else e.component) for e in path.breaks}
    for name, value in measures(state, chosen).items():
        for i in np.flatnonzero(value >= 1.0).tolist():
            if (name, i) in known_soft:
                continue
            edge = i if name == "timeout" else -1
            component = int(state.model.network.target[i]) if name == "timeout" else i
            path.breaks.append(Break(factor, component, name, edge))
