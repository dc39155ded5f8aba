"""The comprehensive report in words for whoever is on call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.quantities import bytes_text, number_text, share_text, time_text
from fea_arch.report.score import situation_table
from fea_arch.report.static import conditions

if TYPE_CHECKING:
    from fea_arch.report.comprehensive import Comprehensive

__all__ = ["explanation"]


def explanation(found: Comprehensive) -> list[Block]:
    """Return the report as text and tables: verdict, limits, what breaks, recovery, what to do, basis."""
    score = found.score
    low, high = score.interval
    blocks: list[Block] = [
        f"{shown(found.arch.name)}: {score.label}, {score.value:.1f} of 100 (between {low:.1f} and {high:.1f}).",
        f"Over {score.runs} situations (load, bursts, failures), weighted, {score.value:.1f} of 100 requests get a "
        f"correct answer within {time_text(score.objective_s)}"
        f"{'' if score.objective_stated else ' (assumed: no objective is stated)'}.",
        "",
        "Now",
        *(f"  {line}" for line in _now(found)),
        "",
        "What limits it",
        *(f"  {line}" for line in _limits(found)),
        "",
        "What breaks it",
        *(f"  {line}" for line in _breaks(found)),
        "",
        "Will it recover?",
        *(f"  {line}" for line in _recovers(found)),
        "",
        "What to do, by what it gains",
        *(f"  {line}" for line in _advice(found)),
        "",
        situation_table(score, 8),
        "",
        _basis(found),
    ]
    return blocks


def _now(found: Comprehensive) -> list[str]:
    out = []
    if found.static is None:
        out.append("There is no steady state at the design load: the backlog grows until requests are lost.")
    if not math.isnan(found.design_share):
        out.append(f"{share_text(found.design_share)} of the requests are answered in time at the design load.")
    out += _missed(found)
    health = found.health
    if health.mcp_total or health.cli_total:
        out.append(
            f"{health.mcp_running} of {health.mcp_total} MCP servers run, {health.cli_available} of "
            f"{health.cli_total} command line tools are available."
        )
    if health.level:
        out.append(f"Incident level {health.level}: {shown('; '.join(health.reasons))}.")
        out += [f"{k}. {shown(step)}" for k, step in enumerate(health.steps, 1)]
        if not found.score.objective_stated:
            out.append("The objective is assumed: state one before you act on the incident.")
    else:
        out.append("No incident.")
    return out


def _missed(found: Comprehensive) -> list[str]:
    """Return a line for each stated limit that is not kept at the design load."""
    if found.static is None:
        return []
    out = []
    for c in conditions(found.arch, found.static):
        if not c.met:
            show = {"s": time_text, "B": bytes_text}.get(c.unit, number_text)
            bound = "at most" if c.unit in ("s", "B") or c.name == "failing components" else "at least"
            where = f" ({shown(c.culprit)})" if c.culprit else ""
            wanted = "is assumed to be wanted" if c.assumed else "is wanted"
            out.append(f"A limit is not kept: {c.name} is {show(c.value)}{where}, {bound} {show(c.limit)} {wanted}.")
    return out


def _limits(found: Comprehensive) -> list[str]:
    if math.isnan(found.largest):
        return [f"Not found: {shown(found.reasons.get('largest load', 'unknown'))}"]
    if math.isinf(found.largest):
        return ["Nothing limits how far the load can grow."]
    rate = math.fsum(load.rate_per_s or 0.0 for load in found.arch.loads)
    more = f" ({number_text(rate * found.largest)} requests/s)" if rate else ""
    return [f"It carries {found.largest:.3g} times the design load{more}; then {shown(found.limited_by)} is full."]


def _breaks(found: Comprehensive) -> list[str]:
    score = found.score
    lost = score.losses.sum(axis=0) / score.weights
    single = [k for k, name in enumerate(score.situations) if ": " in name]
    out = []
    whole = [k for k in range(len(score.situations)) if k not in single]
    for k in sorted(whole, key=lambda k: -float(lost[k]))[:3]:
        if lost[k] < 1.0:
            continue
        worst = max(range(len(score.components)), key=lambda i: float(score.losses[i, k]))
        out.append(
            f"{shown(score.situations[k])}: {share_text(1.0 - score.shares[k])} of the requests are lost or late, "
            f"most of them because of {shown(score.components[worst])}."
        )
    failures = sorted(single, key=lambda k: float(score.shares[k]))[:3]
    named = [
        f"{shown(score.situations[k].partition(': ')[2])} ({share_text(1.0 - score.shares[k])} lost)" for k in failures
    ]
    limit = float(score.shares[failures[-1]]) + 1e-9 if failures else -1.0
    as_bad = sum(float(score.shares[k]) <= limit for k in single) - len(named)
    if named:
        more = f", and {as_bad} more as bad as the last" if as_bad > 0 else ""
        out.append(f"The failures that hurt most: {', '.join(named)}{more}.")
    return out or ["Nothing in the catalogue costs more than one request in a hundred."]


def _recovers(found: Comprehensive) -> list[str]:
    out = []
    for r in found.recoveries:
        what = f"{number_text(r.factor)} times the load for {time_text(r.duration_s)}" if r.factor != 1.0 else (
            f"half of the capacity gone for {time_text(r.duration_s)}"
            if "outage" in r.situation
            else r.situation
        )  # fmt: skip
        if r.recovered_after_s is None:
            out.append(f"After {what}: not within {time_text(r.window_s)}. The load has to be taken away.")
        elif r.recovered_after_s < 1.0:
            out.append(f"After {what}: at once.")
        else:
            out.append(f"After {what}: by itself, {time_text(r.recovered_after_s)} later.")
    return out or [shown(found.reasons.get("recovery", "The catalogue has no passing disturbance."))]


def _advice(found: Comprehensive) -> list[str]:
    if not found.advice:
        return ["No single change that was tried gains anything."]
    return [f"{k}. {shown(a.change)}: +{a.gain:.1f} points" for k, a in enumerate(found.advice, 1)]


def _basis(found: Comprehensive) -> str:
    total = math.fsum(found.elapsed_s.values())
    return (
        f"Basis: {share_text(found.score.measured_share)} of the numbers are measured. "
        f"{shown(found.score.catalogue)}, computed in {time_text(total)}."
    )


def summary_table(found: Comprehensive) -> Table:
    """Return the scores as a table."""
    score = found.score
    groups = ("static", "dynamic", "modal", "nonlinear")
    rows = [[g, number_text(getattr(score, g))] for g in groups] + [["overall", number_text(score.value)]]
    return Table(("analysis", "score"), rows, "Scores", (1,))
