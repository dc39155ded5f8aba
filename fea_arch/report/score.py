"""The score in words and tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.quantities import number_text, share_text, time_text

if TYPE_CHECKING:
    from fea_arch.results.score import Score

__all__ = ["loss_table", "score_text", "situation_table"]


def situation_table(score: Score, limit: int = 12) -> Table:
    """Return the situations, the largest loss first; single failures in one row each."""
    lost = score.losses.sum(axis=0)
    order = sorted(range(len(score.situations)), key=lambda k: (-float(lost[k]), k))
    checked = score.simulated is not None
    rows = []
    for k in order[:limit]:
        row = [
            shown(score.situations[k]), score.groups[k], share_text(score.weights[k]), share_text(score.shares[k]),
            number_text(lost[k]),
        ]  # fmt: skip
        if checked:
            simulated: Any = score.simulated
            width: Any = score.simulated_half_width
            done = math.isfinite(simulated[k])
            row.append(f"{share_text(simulated[k])} +- {100 * float(width[k]):.1f}" if done else "-")
        rows.append(row)
    headers = ["situation", "group", "weight", "answered in time", "points lost"] + (["simulated"] if checked else [])
    rest = len(order) - len(rows)
    title = "Situations, the largest loss first" + (f" ({rest} more)" if rest > 0 else "")
    return Table(headers, rows, title, range(2, len(headers)))


def loss_table(score: Score, limit: int = 8) -> Table:
    """Return the largest losses by component and situation."""
    rows = [[shown(c), shown(s), number_text(v)] for c, s, v in score.worst(limit)]
    return Table(("component", "situation", "points lost"), rows, "Where the points are lost", (2,))


def score_text(score: Score, name: str) -> list[Block]:
    """Return the score as text and tables, the verdict first."""
    low, high = score.interval
    parts = [
        f"{g} {getattr(score, g):.1f}"
        for g in ("static", "dynamic", "modal", "nonlinear")
        if not math.isnan(getattr(score, g))
    ]
    blocks: list[Block] = [
        f"{shown(name)}: {score.value:.1f} of 100, {score.label}"
        + (f" (a level {score.incident_level} incident)." if score.incident_level else "."),
        f"Over the situations of the catalogue {score.value:.1f} % of the requests are answered correctly within "
        f"{time_text(score.objective_s)}{'' if score.objective_stated else ' (assumed: no objective is stated)'}.",
        f"As the service times are known it lies between {low:.1f} and {high:.1f} with 95 % probability; "
        f"{share_text(score.measured_share)} of the numbers are measured.",
        f"By group: {', '.join(parts)}.",
    ]
    if score.simulated is not None:
        blocks.append(f"The event simulation of the same situations gives {score.simulated_value:.1f}.")
    blocks += ["", situation_table(score)]
    if score.losses.sum() > 0:
        blocks += ["", loss_table(score)]
    return [*blocks, *(f"  note: {shown(f)}" for f in score.findings)]
