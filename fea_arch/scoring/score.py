"""The architecture score: share of requests answered correctly within the objective over a catalogue of situations."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture, Load, require_valid
from fea_arch.errors import ModelError
from fea_arch.results.score import Score
from fea_arch.scoring.attribution import attribute, value_of
from fea_arch.scoring.catalogue import GROUPS, Catalogue, default_catalogue
from fea_arch.scoring.parts import parts_of
from fea_arch.scoring.situations import Case, cases, leaked
from fea_arch.scoring.uncertainty import interval
from fea_arch.solvers.quasi_static import March, Tables, build_march, walk
from fea_arch.solvers.side_by_side import side_by_side

__all__ = ["DEFAULT_OBJECTIVE_S", "score"]

Array = NDArray[np.float64]

#: Latency objective where none is stated [s].
DEFAULT_OBJECTIVE_S = 1.0
#: Events that a check by simulation may take; a million take about a second or less.
MOST_EVENTS = 2e9


def score(
    arch: Architecture,
    catalogue: Catalogue | str | Path | None = None,
    check: str | None = None,
    *,
    samples: int = 12,
    seed: int = 0,
    replications: int = 4,
) -> Score:
    """Score an architecture between 0 and 100.

    100 x the share of the offered requests that are answered correctly within ``objective.latency_s`` (1 s if none is
    stated), averaged over a catalogue of situations. Independent parts of an architecture are scored on their own and
    averaged by their load. Computed from the quasi-static march of the queues, never by simulation.

    Parameters
    ----------
    arch : Architecture
        With at least one load above zero. Closed loads enter as open loads of the throughput they have at the design
        point.
    catalogue : Catalogue or path, optional
        Situations and weights; default the bundled catalogue.
    check : {"simulate"}, optional
        Replay each situation in the event simulation and keep both shares side by side. Ctrl-C ends it; what was not
        simulated is NaN.
    samples : int
        Samples of the interval; 0 for none.
    seed, replications : int
        Of the interval and of the simulation.

    Returns
    -------
    Score

    Raises
    ------
    ModelError
        No load, an invalid catalogue or one that names unknown components, an unknown ``check``.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.01)],
    ...                        loads=[fa.Load("api", rate_per_s=5.0)])
    >>> result = fa.score(arch)
    >>> result.label, bool(abs(100 - result.losses.sum() - result.value) < 1e-9)
    ('good', True)
    """
    begin = time.perf_counter()
    if check not in (None, "simulate"):
        raise ModelError(f"is {check!r}", field="check", fix='"simulate" or None')
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 0:
        raise ModelError(f"is {samples!r}", field="samples", fix="a whole number of 0 or more")
    book = _catalogue(catalogue)
    require_valid(arch)
    book.check(arch)
    findings: list[str] = []
    opened = _opened(arch, findings)
    if not any((load.rate_per_s or 0.0) > 0 for load in opened.loads):
        raise ModelError("there is no load, so no request to answer", field="loads", fix="a load above zero")
    stated = arch.objective.latency_s
    if stated is None:
        findings.append(f"no latency objective is stated: {DEFAULT_OBJECTIVE_S:g} s is used")
    objective = stated or DEFAULT_OBJECTIVE_S
    parts = parts_of(opened)
    total = math.fsum(_offered(p) for p in parts)
    if check:
        _affordable(parts, book, replications)
    rows: dict[str, dict[str, Any]] = {}
    spread = np.zeros(2)
    runs, interrupted = 0, False
    half = np.zeros(2)
    for part in parts:
        weight = _offered(part) / total
        tables, todo = build_march(part), cases(part, book)
        entries = [part.index[load.entry] for load in part.loads]
        where = [opened.index[name] for name in part.names]
        leak = {share: build_march(leaked(part, share)) for share in {c.memory_share for c in todo} - {0.0}}
        predict = partial(_predict, part, tables, leak, objective)
        shares = []
        for case, found in zip(todo, side_by_side(predict, todo)):
            runs += 1
            shares.append(found.share)
            row = rows.setdefault(case.label, _row(case, len(opened)))
            row["weight"] += case.weight * weight
            row["good"] += case.weight * weight * found.share
            row["losses"][where] += attribute(found.share, case.weight * weight, found.blame, entries)
            if check and not interrupted:
                share, width, interrupted = _simulate(part, case, objective, seed, replications)
                if interrupted:
                    findings.append(f"the simulation was interrupted at {case.label}: what follows is not simulated")
            elif check:
                share, width = math.nan, math.nan
            if check:
                row["simulated"] += case.weight * weight * share
                row["width"] += (case.weight * weight * width) ** 2
        if samples:
            half = interval(part, tables, todo, shares, objective, samples, seed)
            spread += weight * half
    labels = sorted(rows, key=lambda name: (GROUPS.index(rows[name]["group"]), rows[name]["order"], name))
    losses = np.stack([rows[name]["losses"] for name in labels], axis=1)
    weights = np.array([rows[name]["weight"] for name in labels])
    groups = tuple(rows[name]["group"] for name in labels)
    value = value_of(losses)
    subs = {g: _sub(losses, weights, groups, g) for g in GROUPS}
    return Score(
        value=value,
        **subs,
        components=tuple(opened.names),
        situations=tuple(labels),
        groups=groups,
        weights=weights,
        shares=np.array([rows[n]["good"] for n in labels]) / weights,
        losses=losses,
        interval=(max(value - float(spread[0]), 0.0), min(value + float(spread[1]), 100.0)),
        measured_share=arch.measured_share(),
        objective_s=objective,
        objective_stated=stated is not None,
        catalogue=f"{book.title or 'catalogue'} {book.version}",
        findings=tuple(findings),
        simulated=np.array([rows[n]["simulated"] for n in labels]) / weights if check else None,
        simulated_half_width=np.sqrt([rows[n]["width"] for n in labels]) / weights if check else None,
        runs=runs,
        elapsed_s=time.perf_counter() - begin,
    )


def _catalogue(given: Catalogue | str | Path | None) -> Catalogue:
    if given is None:
        return default_catalogue()
    if isinstance(given, Catalogue):
        return given
    if isinstance(given, (str, Path)):
        return Catalogue.read(given)
    raise ModelError(f"is {given!r}", field="catalogue", fix="a fa.Catalogue or the path of a catalogue file")


def _row(case: Case, n: int) -> dict[str, Any]:
    s = case.situation
    return {
        "group": s.group, "order": _order(case), "weight": 0.0, "good": 0.0, "losses": np.zeros(n), "simulated": 0.0,
        "width": 0.0,
    }  # fmt: skip


def _order(case: Case) -> tuple[str, float]:
    swing = getattr(case.load, "period_s", 0.0)
    return case.situation.name, float(swing)


def _offered(arch: Architecture) -> float:
    return math.fsum(load.rate_per_s or 0.0 for load in arch.loads)


def _sub(losses: Array, weights: Array, groups: Sequence[str], group: str) -> float:
    chosen = [k for k, g in enumerate(groups) if g == group]
    total = math.fsum(weights[chosen].tolist())
    if total <= 0.0:
        return float("nan")
    return min(max(100.0 - math.fsum(losses[:, chosen].ravel().tolist()) / total, 0.0), 100.0)


def _predict(
    part: Architecture, tables: Tables, leak: Mapping[float, Tables], objective: float, case: Case
) -> March:
    dead = None
    if case.down is not None:
        dead = np.zeros(len(part), bool)
        dead[part.index[case.down]] = True
    if case.memory_share:
        tables = leak[case.memory_share]
    events: list[Any] = []
    if case.lost_share:
        whole = (case.start_s, case.end_s, case.lost_share)
        events = [whole] if case.hit is None else list(case.outages(part))
    return walk(
        tables, objective_s=objective, duration_s=case.window_s, load=case.load, events=events, dead=dead
    )


def _affordable(parts: Sequence[Architecture], book: Catalogue, replications: int) -> None:
    """Estimate the events of a check before it begins."""
    from fea_arch.simulation.pattern import mean_factor, segments
    from fea_arch.simulation.plan import build_plan

    expected = 0.0
    for part in parts:
        rate = build_plan(part).events_per_s
        todo = cases(part, book)
        expected += math.fsum(rate * mean_factor(segments(c.load, c.window_s)) * c.window_s for c in todo)
    expected *= replications
    if expected > MOST_EVENTS:
        raise ModelError(
            f"about {expected:.2g} events are expected, more than {MOST_EVENTS:.2g} "
            f"(around {expected / 1e6 / 3600:.2g} h on one core)",
            field="check", fix="a catalogue with shorter windows, fewer replications, or a smaller load",
        )  # fmt: skip


def _simulate(
    part: Architecture, case: Case, objective: float, seed: int, replications: int
) -> tuple[float, float, bool]:
    from fea_arch.simulation import simulate

    arch = replace(case.architecture(part), objective=replace(part.objective, latency_s=objective))
    found = simulate(
        arch, case.window_s, seed=seed, load=case.load, events=case.outages(part), warm_up_s=0.0,
        replications=replications,
    )  # fmt: skip
    width = found.served_within_objective_half_width
    share = found.served_within_objective
    return (share if math.isfinite(share) else 1.0), (width if math.isfinite(width) else 0.0), found.interrupted


def _opened(arch: Architecture, findings: list[str]) -> Architecture:
    """Replace closed loads by open ones of the same throughput at the design point."""
    if not any(load.closed for load in arch.loads):
        return arch
    from fea_arch.analyses.static import static

    result = static(arch)
    rate = dict(zip(result.entries, np.asarray(result.entry_rate_per_s, float).tolist()))
    for load in arch.loads:
        if load.rate_per_s is not None:
            rate[load.entry] = rate.get(load.entry, 0.0) - load.rate_per_s
    closed: dict[str, int] = {}
    for load in arch.loads:
        if load.users is not None:
            closed[load.entry] = closed.get(load.entry, 0) + load.users
    loads: list[Load] = []
    for load in arch.loads:
        if load.users is not None:
            load = Load(load.entry, rate_per_s=max(rate[load.entry], 0.0) * load.users / closed[load.entry])
        loads.append(load)
    findings.append("closed loads enter as open loads of the throughput they have at the design point")
    return replace(arch, loads=tuple(loads))
