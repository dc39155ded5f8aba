"""Reinforcement: the cheapest set of changes that reaches a target, every step verified by a new solve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

from fea_arch.advice.margins import MARGINS, checked_target, margins, push_margin
from fea_arch.advice.moves import (
    COSTS,
    DECISIONS,
    HITS,
    Move,
    calls_to_change,
    candidates,
    checked_bounds,
    checked_costs,
    checked_hits,
    merged,
    within,
)
from fea_arch.advice.places import weak_places
from fea_arch.advice.separable import cheapest_servers
from fea_arch.advice.topology import leading_calls, suggest_changes
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import FeaArchError, ModelError, suggestion
from fea_arch.results.reinforcement import ReinforcementResult, ReinforcementStep

__all__ = ["reinforce"]

#: Kinds that change numbers only, not what calls what.
NUMBERS = ("servers", "replicas", "memory", "timeout", "retry_budget")
#: Components that are looked at in each round.
PLACES = 5
#: Sets of one or two changes of what calls what that are tried in place of a plan, by what each gains alone.
MOST_SETS = 40
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
    hits: float | Mapping[str, float] = HITS,
    suggest: int = 2,
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
        ``fallback``, ``cache``, ``decouple``, ``remove``) or by place and kind (``"orders.servers"``); ``inf`` forbids.
        A required call is removed only where it has a cost of its own (``"web->ads.remove"``).
    bounds : mapping, optional
        Largest value by kind or by place and kind; for ``fallback``, ``cache``, ``decouple`` and ``remove`` the
        largest number of calls that are changed.
    kinds : tuple of str
        What may be changed; default only numbers, not what calls what.
    budget : float
        Largest sum of costs.
    most_steps : int
        Largest number of steps.
    hits : float or mapping
        Share of the calls that a cache takes away, for all or by call [1].
    suggest : int
        Calls of each kind that are solved again for suggestions about what calls what; 0 for none.

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
    with predictions of earlier designs as the order of trial, and what turns out not to be needed is taken back. Where
    only what calls what may change, one or two changes that do the same for less are looked for at the end.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=2)
    >>> found = fa.reinforce(arch, {"collapse_factor": 3.0})
    >>> found.reached, bool(fa.fracture(found.architecture).collapse_factor >= 3.0)
    (True, True)
    """
    require_valid(arch)
    goal = checked_target(target)
    for kind in kinds:
        if kind not in COSTS:
            raise ModelError(f"no kind of change {kind!r}.{suggestion(str(kind), COSTS)}", field="kinds")
    prices = checked_costs(costs)
    limits = checked_bounds(bounds)
    shares = checked_hits(arch, hits)
    exact = cheapest_servers(arch, goal, prices, limits) if tuple(kinds) == ("servers",) else None
    search = _Search(arch, goal, prices, limits, tuple(kinds), budget, shares)
    if exact is not None:
        moves, method, optimal = exact, "integer programme over the tables of the stations, verified", True
        search.take(moves)
        if search.shortfall > 0.0 or search.cost > budget:  # the tables are exact: only the budget can be too small
            search, optimal, exact = _Search(arch, goal, prices, limits, tuple(kinds), budget, shares), False, None
    if exact is None:
        search.climb(most_steps)
        search.prune()
        search.exchange()
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
        suggestions=suggest_changes(
            arch, goal, (search.start, search.gap), search.solved, search.short, prices, limits, shares, suggest
        ),
        solves=search.solves,
        findings=() if search.shortfall <= 0.0 else ("no change of the allowed kinds brings the target nearer",),
    )


def _whole(arch: Architecture, found: dict[str, float]) -> dict[str, float]:
    """Return the margins with the collapse factor itself where the search only looked as far as the target."""
    if found.get("collapse_factor") != math.inf:
        return found
    return found | margins(arch, ("collapse_factor",))


@dataclass
class _Search:
    """A design on its way to the target."""

    arch: Architecture
    goal: dict[str, float]
    prices: dict[str, float]
    bounds: dict[str, float]
    kinds: tuple[str, ...]
    budget: float
    hits: dict[str, float]
    solves: int = 0
    cost: float = 0.0
    moves: list[Move] = field(default_factory=list)
    first: list[Move] = field(default_factory=list)
    alone: dict[tuple[str, str], float] = field(default_factory=dict)
    kept: list[ReinforcementStep] = field(default_factory=list)
    visited: list[tuple[float, float, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.design = self.arch
        self.margins, self.shortfall = self.start, self.gap = self.solved(self.arch)
        self.visited.append((0.0, self.shortfall, self.start))

    def solved(self, arch: Architecture) -> tuple[dict[str, float], float]:
        """Return the margins of a design and its shortfall."""
        self.solves += 1
        names = tuple(n for n in self.goal if n != "vulnerable")
        found = margins(arch, names, at_most=1.02 * self.goal.get("collapse_factor", math.inf))
        short = self.short(found)
        if "vulnerable" in self.goal:
            found["vulnerable"], low = push_margin(arch)
            # yes or no would not tell which change comes nearer: how far the failed state reaches below the load does
            short += found["vulnerable"] * max(1.0 - low, LEAST) if self.goal["vulnerable"] < 1.0 else 0.0
        return found, short

    def short(self, found: dict[str, float]) -> float:
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
            found, short = self.solved(after := move.apply(self.design))
            self._keep(move, after, found, short, math.nan)

    def _keep(self, move: Move, design: Architecture, found: dict[str, float], short: float, predicted: float) -> None:
        base = self.gap or 1.0
        gain = (self.shortfall - short) / base
        self.kept.append(
            ReinforcementStep(
                str(move),
                move.place,
                move.field,
                move.before,
                move.after,
                move.cost,
                gain if math.isnan(predicted) else predicted / base,
                gain,
                found,
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
            taken = [(m.kind, m.place) for m in self.moves if m.kind in DECISIONS]
            places = weak_places(self.design, self.goal, PLACES)
            moves = candidates(
                self.design, places, self.prices, self.bounds, self.kinds, self._stretch(),
                hits=self.hits, taken=taken, labels=self._calls(taken),
            )  # fmt: skip
            moves = [m for m in moves if self.cost + m.cost <= self.budget]
            self.first = moves if not self.moves else self.first
            # expectations of an earlier design order the trials; a step is taken when its fresh gain beats them all
            moves.sort(key=lambda m: -known.get((m.kind, m.place), math.inf) / m.cost)
            best: tuple[float, Move, Architecture, dict[str, float], float, float] | None = None
            for move in moves:
                expected = known.get((move.kind, move.place), math.nan)
                if best is not None and not math.isnan(expected) and expected / move.cost <= best[0]:
                    break
                try:
                    found, short = self.solved(after := move.apply(self.design))
                except FeaArchError:
                    continue
                gain = self.shortfall - short
                known[move.kind, move.place] = gain
                if not self.moves:
                    self.alone[move.kind, move.place] = gain
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
            _, short = self.solved(trial)
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
        self.moves = merged(self.moves)
        for k in sorted(range(len(self.moves)), key=lambda k: -self.moves[k].cost):
            move = self.moves[k]
            if move.kind == "fallback" and self._goes(move.place):
                continue  # that it can go rests on the fallback
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
        self._again([m for m in self.moves if m.cost > 0.0])

    def exchange(self) -> None:
        """Take one or two changes of what calls what instead that reach the target for less, if there are any."""
        if self.shortfall > 0.0 or not set(self.kinds) <= set(DECISIONS):
            return
        sets = [c for k in (1, 2) for c in combinations(self.first, k) if math.fsum(m.cost for m in c) < self.cost]
        sets = [c for c in sets if within(c, self.bounds) and (len(c) < 2 or c[0].place != c[1].place)]
        sets.sort(key=lambda c: -sum(self.alone.get((m.kind, m.place), 0.0) for m in c))
        for chosen in sorted(sets[:MOST_SETS], key=lambda c: math.fsum(m.cost for m in c)):
            design = self.arch
            try:
                for move in chosen:
                    design = move.apply(design)
                short = self.solved(design)[1]
            except FeaArchError:
                continue
            if short <= 0.0:
                self._again(list(chosen))
                return

    def _again(self, left: list[Move]) -> None:
        """Start again with these moves."""
        expected = {(s.place, s.field): s.predicted for s in self.kept}
        self.moves, self.kept, self.cost, self.design = [], [], 0.0, self.arch
        self.margins, self.shortfall = self.start, self.gap
        base = self.shortfall or 1.0
        for move in left:
            found, short = self.solved(after := move.apply(self.design))
            self._keep(move, after, found, short, expected.get((move.place, move.field), math.nan) * base)

    def _goes(self, place: str) -> bool:
        """Return whether a call is removed that nobody has said can go."""
        gone = any(m.kind == "remove" and m.place == place and m.cost > 0.0 for m in self.moves)
        return gone and f"{place}.remove" not in self.prices

    def _reaches(self, k: int, after: float | None) -> bool:
        """Return whether the target is reached with move ``k`` ended at ``after``, or left out."""
        design = self.arch
        for j, move in enumerate(self.moves):
            if j != k or after is not None:
                chosen = move if j != k else replace(move, after=after)
                if chosen.after != chosen.before:
                    design = chosen.apply(design)
        try:
            return self.solved(design)[1] <= 0.0
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

    def _calls(self, taken: list[tuple[str, str]]) -> list[str]:
        """Return the calls that should gain most by a change of what calls what."""
        kinds = set(self.kinds) & set(DECISIONS) - {"fallback"}
        if not kinds:
            return []
        moves = [m for m in calls_to_change(self.design, self.prices, self.hits, taken) if m.kind in kinds]
        return [m.place for m in leading_calls(self.design, self.goal, moves, PLACES)]
