"""Reinforcement: the cheapest set of changes that reaches a target, every step verified by a new solve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fea_arch.advice.margins import MARGINS, margins, push_margin
from fea_arch.advice.moves import COSTS, Move, candidates, checked_costs
from fea_arch.advice.separable import cheapest_servers
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import FeaArchError, ModelError, suggestion
from fea_arch.results.reinforcement import ReinforcementResult, ReinforcementStep

__all__ = ["reinforce"]

#: Kinds that change numbers only, not what calls what.
NUMBERS = ("servers", "replicas", "memory", "timeout", "retry_budget")
#: Components that are looked at in each round.
PLACES = 5
#: Share of the shortfall below which a step is no help [1].
LEAST = 0.01
#: Accuracy of a memory limit, as a share of what is added [1].
MEMORY_ACCURACY = 0.02


def reinforce(
    arch: Architecture,
    target: float | Mapping[str, float],
    *,
    costs: Mapping[str, float] | None = None,
    bounds: Mapping[str, float] | None = None,
    kinds: tuple[str, ...] = NUMBERS,
    budget: float = math.inf,
    most_steps: int = 60,
) -> ReinforcementResult:
    """Find a cheap set of changes that reaches a target, and prove by solving again that it does.

    Parameters
    ----------
    arch : Architecture
        Stays as it is.
    target : float or mapping
        A score, or margins to reach: ``score``, ``collapse_factor``, ``single_failure`` (served share after the worst
        single failure behind the entries) at least; ``response_s``, ``percentile_s``, ``worst_utilisation`` at
        most; ``vulnerable: 0`` for no metastability.
    costs : mapping, optional
        Cost of one step by kind (``servers``, ``replicas``, ``memory`` per GiB, ``timeout``, ``retry_budget``,
        ``fallback``, ``cache``, ``remove``) or by place and kind (``"orders.servers"``); ``inf`` forbids.
    bounds : mapping, optional
        Largest value by kind or by place and kind.
    kinds : tuple of str
        What may be changed; default only numbers, not what calls what.
    budget : float
        Largest sum of costs.
    most_steps : int
        Largest number of steps.

    Returns
    -------
    ReinforcementResult

    Raises
    ------
    ModelError
        Unknown margin, kind or cost.

    Notes
    -----
    Where only servers are changed, nothing feeds back and the target is a mean response, the choice is separable: an
    integer programme over the exact tables of every station finds the cheapest set, provably; at equal costs it is what
    marginal allocation finds (Fox 1966). Otherwise steps are taken by shortfall removed for the cost, each re-solved,
    with predictions of earlier designs as the order of trial, and what turns out not to be needed is taken back.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=2)
    >>> found = fa.reinforce(arch, {"collapse_factor": 3.0})
    >>> found.reached, bool(fa.fracture(found.architecture).collapse_factor >= 3.0)
    (True, True)
    """
    require_valid(arch)
    goal = _goal(target)
    for kind in kinds:
        if kind not in COSTS:
            raise ModelError(f"no kind of change {kind!r}.{suggestion(str(kind), COSTS)}", field="kinds")
    prices = checked_costs(costs)
    limits = dict(bounds or {})
    exact = cheapest_servers(arch, goal, prices, limits) if tuple(kinds) == ("servers",) else None
    search = _Search(arch, goal, prices, limits, tuple(kinds), budget)
    if exact is not None:
        moves, method, optimal = exact, "integer programme over the tables of the stations, verified", True
        search.take(moves)
        if search.shortfall > 0.0 or search.cost > budget:  # the tables are exact: only the budget can be too small
            search, optimal, exact = _Search(arch, goal, prices, limits, tuple(kinds), budget), False, None
    if exact is None:
        search.climb(most_steps)
        search.prune()
        method = "steps by shortfall removed for the cost, each re-solved, then pruned"
        optimal = search.shortfall <= 0.0 and not search.kept  # nothing had to be done
    return ReinforcementResult(
        architecture=search.design,
        target=goal,
        reached=search.shortfall <= 0.0,
        before=_whole(arch, search.start),
        after=_whole(search.design, search.margins),
        steps=tuple(search.kept),
        cost=search.cost,
        front=search.front(),
        optimal=optimal,
        method=method,
        suggestions=_topology(arch),
        solves=search.solves,
        findings=() if search.shortfall <= 0.0 else ("no change of the allowed kinds brings the target nearer",),
    )


def _whole(arch: Architecture, found: dict[str, float]) -> dict[str, float]:
    """Return the margins with the collapse factor itself where the search only looked as far as the target."""
    if found.get("collapse_factor") != math.inf:
        return found
    return found | margins(arch, ("collapse_factor",))


def _goal(target: float | Mapping[str, float]) -> dict[str, float]:
    goal = {"score": target} if isinstance(target, (int, float)) else dict(target)
    if not goal:
        raise ModelError("is empty", field="target", fix='for instance {"score": 80}')
    for name, value in goal.items():
        if name not in MARGINS:
            raise ModelError(f"no margin {name!r}.{suggestion(str(name), MARGINS)}", field="target")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise ModelError(f"is {value!r}", field=f"target[{name!r}]", fix="a finite number of 0 or more")
    return {name: float(value) for name, value in goal.items()}


@dataclass
class _Search:
    """A design on its way to the target."""

    arch: Architecture
    goal: dict[str, float]
    prices: dict[str, float]
    bounds: dict[str, float]
    kinds: tuple[str, ...]
    budget: float
    solves: int = 0
    cost: float = 0.0
    moves: list[Move] = field(default_factory=list)
    kept: list[ReinforcementStep] = field(default_factory=list)
    visited: list[tuple[float, float, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.design = self.arch
        self.margins, self.shortfall = self.start, self.gap = self._solved(self.arch)
        self.visited.append((0.0, self.shortfall, self.start))

    def _solved(self, arch: Architecture) -> tuple[dict[str, float], float]:
        """Return the margins of a design and its shortfall."""
        self.solves += 1
        names = tuple(n for n in self.goal if n != "vulnerable")
        found = margins(arch, names, at_most=1.02 * self.goal.get("collapse_factor", math.inf))
        short = self._short(found)
        if "vulnerable" in self.goal:
            found["vulnerable"], low = push_margin(arch)
            # yes or no would not tell which change comes nearer: how far the failed state reaches below the load does
            short += found["vulnerable"] * max(1.0 - low, LEAST) if self.goal["vulnerable"] < 1.0 else 0.0
        return found, short

    def _short(self, found: dict[str, float]) -> float:
        """Return by how much the targets are missed, as a share of each, summed [1]."""
        total = 0.0
        for name, want in self.goal.items():
            if name not in found:
                continue
            gap = MARGINS[name].sign * (want - found[name])
            if name == "collapse_factor" and found[name] == math.inf:
                continue
            if not math.isfinite(gap):
                total += 1e3 if math.isnan(gap) or gap > 0 else 0.0
            elif gap > 0:
                total += gap / max(abs(want), 1e-12)
        return total

    def take(self, moves: list[Move]) -> None:
        """Apply moves one after the other and keep their verified gains."""
        for move in moves:
            found, short = self._solved(after := move.apply(self.design))
            self._keep(move, after, found, short, math.nan)

    def _keep(
        self, move: Move, design: Architecture, found: dict[str, float], short: float, predicted: float
    ) -> None:
        base = self.gap or 1.0
        gain = (self.shortfall - short) / base
        self.kept.append(
            ReinforcementStep(
                str(move), move.place, move.field, move.before, move.after, move.cost,
                gain if math.isnan(predicted) else predicted / base, gain, found,
            )
        )
        self.moves.append(move)
        self.design, self.margins, self.shortfall = design, found, short
        self.cost += move.cost
        self.visited.append((self.cost, short, found))

    def climb(self, most_steps: int) -> None:
        """Take the step that removes most of the shortfall for its cost, until none is left."""
        known: dict[tuple[str, str], float] = {}
        least = LEAST * self.shortfall
        for _ in range(most_steps):
            if self.shortfall <= 0.0:
                return
            moves = candidates(self.design, self._places(), self.prices, self.bounds, self.kinds, self._stretch())
            moves = [m for m in moves if self.cost + m.cost <= self.budget]
            # expectations of an earlier design order the trials; a step is taken when its fresh gain beats them all
            moves.sort(key=lambda m: -known.get((m.kind, m.place), math.inf) / m.cost)
            best: tuple[float, Move, Architecture, dict[str, float], float, float] | None = None
            for move in moves:
                expected = known.get((move.kind, move.place), math.nan)
                if best is not None and not math.isnan(expected) and expected / move.cost <= best[0]:
                    break
                try:
                    found, short = self._solved(after := move.apply(self.design))
                except FeaArchError:
                    continue
                gain = self.shortfall - short
                known[move.kind, move.place] = gain
                if gain > least and (best is None or gain / move.cost > best[0]):
                    best = (gain / move.cost, move, after, found, short, gain if math.isnan(expected) else expected)
            if best is not None:
                self._keep(*best[1:])
            elif not self._together(moves):
                return
            else:
                known.clear()

    def _together(self, moves: list[Move]) -> bool:
        """Take the cheapest step at every place at once: two weakest links hide each other's gain."""
        by_place: dict[str, Move] = {}
        for move in sorted(moves, key=lambda m: m.cost):
            by_place.setdefault(move.place, move)
        chosen = list(by_place.values())
        if len(chosen) < 2 or self.cost + math.fsum(m.cost for m in chosen) > self.budget:
            return False
        trial = self.design
        try:
            for move in chosen:
                trial = move.apply(trial)
            _, short = self._solved(trial)
        except FeaArchError:
            return False
        if short >= self.shortfall - LEAST * self.gap:
            return False
        self.take(chosen)
        return True

    def prune(self) -> None:
        """Take back what is not needed, the dearest place first: the smallest number that still reaches the target."""
        if self.shortfall > 0.0:
            return
        self.moves = _merged(self.moves)
        for k in sorted(range(len(self.moves)), key=lambda k: -self.moves[k].cost):
            move = self.moves[k]
            if self._reaches(k, None):
                self.moves[k] = replace(move, after=move.before, cost=0.0)
                continue
            if move.kind in ("servers", "replicas", "memory"):
                whole = move.kind != "memory"
                low, high = move.before, move.after  # low is not enough
                while high - low > (1 if whole else MEMORY_ACCURACY * (high - move.before)):
                    middle = (low + high) // 2 if whole else 0.5 * (low + high)
                    low, high = (low, middle) if self._reaches(k, middle) else (middle, high)
                share = (high - move.before) / (move.after - move.before)
                self.moves[k] = replace(move, after=high, cost=move.cost * share)
        left = [m for m in self.moves if m.cost > 0.0]
        expected = {(s.place, s.field): s.predicted for s in self.kept}
        self.moves, self.kept, self.cost, self.design = [], [], 0.0, self.arch
        self.margins, self.shortfall = self.start, self.gap
        base = self.shortfall or 1.0
        for move in left:
            found, short = self._solved(after := move.apply(self.design))
            self._keep(move, after, found, short, expected.get((move.place, move.field), math.nan) * base)

    def _reaches(self, k: int, after: float | None) -> bool:
        """Return whether the target is reached with move ``k`` ended at ``after``, or left out."""
        design = self.arch
        for j, move in enumerate(self.moves):
            if j != k or after is not None:
                chosen = move if j != k else replace(move, after=after)
                if chosen.after != chosen.before:
                    design = chosen.apply(design)
        try:
            return self._solved(design)[1] <= 0.0
        except FeaArchError:
            return False

    def _stretch(self) -> float:
        """Return how many times more the components have to carry, at most [1]."""
        want, now = self.goal.get("collapse_factor"), self.margins.get("collapse_factor", 1.0)
        stretch = want / now if want is not None and 0.0 < now < want else 1.0
        if "vulnerable" in self.goal and self.shortfall > 0.0:
            stretch = max(stretch, 1.0 / max(1.0 - self.shortfall, 0.5))
        return stretch

    def front(self) -> tuple[tuple[float, dict[str, float]], ...]:
        """Return the visited designs that no other one beats in cost and shortfall."""
        out: list[tuple[float, dict[str, float]]] = []
        least = math.inf
        for cost, short, found in sorted(self.visited, key=lambda v: (v[0], v[1])):
            if short < least:
                out.append((cost, found))
                least = short
        return tuple(out)

    def _places(self) -> list[str]:
        """Return where help is needed: most points lost, least margin to capacity, worst to lose."""
        design = self.design
        names: list[str] = []
        if "score" in self.goal:
            from fea_arch.scoring.score import score

            names += list(score(design, samples=0).by_component())[:PLACES]
        if set(self.goal) - {"score", "single_failure"}:
            names += _busiest(design)[:PLACES]
        if "collapse_factor" in self.goal:
            from fea_arch.analyses.fracture import fracture

            names += [e.component for e in fracture(design).path][:PLACES]
        if "single_failure" in self.goal:
            from fea_arch.analyses.contingency import contingency

            entries = {load.entry for load in design.loads}
            found = contingency(design, dependencies=False)
            names += [n for n in found.worst(len(design)) if n in design and n not in entries][:PLACES]
        return [n for n in dict.fromkeys(names) if n in design]


def _merged(moves: list[Move]) -> list[Move]:
    """Return one move for each field, from its first value to its last."""
    out: dict[tuple[str, str], Move] = {}
    for move in moves:
        key = (move.place, move.field)
        first = out.get(key)
        out[key] = move if first is None else replace(first, after=move.after, cost=first.cost + move.cost)
    return list(out.values())


def _busiest(arch: Architecture) -> list[str]:
    from fea_arch.analyses.static import static

    for factor in (1.0, 0.5, 0.1, 1e-3):  # an overloaded design still has a busiest component at less load
        try:
            found = static(arch, factor)
        except FeaArchError:
            continue
        order = np.argsort(-found.utilisation, kind="stable")
        waits = np.argsort(-found.wait_s * found.throughput_per_s, kind="stable")
        mixed = [int(i) for pair in zip(order.tolist(), waits.tolist()) for i in pair]
        return [arch.names[i] for i in dict.fromkeys(mixed)]
    return list(arch.names)


def _topology(arch: Architecture, count: int = 3) -> tuple[tuple[str, float], ...]:
    """Return the required calls whose loss costs most, with what a fallback saves when the callee is gone."""
    from fea_arch.analyses.contingency import contingency

    found = contingency(arch)
    known = {d.label: d for d in arch.dependency_columns if d.required and d.mode == "sync"}
    out: list[tuple[str, float]] = []
    for label in [n for n in found.worst(len(found.outages)) if n in known][:count]:
        lost = found[label]["served_share"]
        soft = contingency(arch.replaced(label, required=False))[label]["served_share"]
        if soft - lost > 1e-9:
            out.append((f"give {label} a fallback", float(soft - lost)))
    return tuple(out)
