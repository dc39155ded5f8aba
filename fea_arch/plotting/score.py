"""The score as a waterfall: from 100 down to the value, one step for each situation or component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.score import Score

__all__ = ["plot_score"]


def plot_score(
    result: Score, ax: Any = None, *, by: str = "situation", limit: int = 12, theme: str | None = None
) -> Any:
    """Draw where the points are lost, the largest loss first; the last bar is the score with its interval.

    Parameters
    ----------
    result : Score
    ax : matplotlib.axes.Axes, optional
    by : {"situation", "component"}
    limit : int
        Steps that are shown; the rest is one step.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For another ``by``.
    """
    if by not in ("situation", "component"):
        raise ModelError(f"is {by!r}", field="by", fix="situation or component")
    lost = result.by_situation() if by == "situation" else result.by_component()
    steps = [(name, points) for name, points in lost.items() if points > 0]
    rest = steps[limit:]
    steps = steps[:limit] + ([(f"{len(rest)} others", sum(p for _, p in rest))] if rest else [])
    ax, colours = axes_for(ax, theme, (7.5, 1.7 + 0.3 * (len(steps) + 2)))
    names = ["all requests", *(cut(name, 40) for name, _ in steps), f"score: {result.label}"]
    ax.barh(0, 100.0, color=colours.faint, height=0.7)
    at = 100.0
    for row, (_, points) in enumerate(steps, 1):
        ax.barh(row, points, left=at - points, color=colours.cycle[1], hatch="//", edgecolor=colours.paper, height=0.7,
                label="lost" if row == 1 else None)
        ax.annotate(f"-{points:.2g}", (at - points, row), xytext=(-4, 0), textcoords="offset points", ha="right",
                    va="center", fontsize=8, color=colours.ink)
        ax.plot([at - points] * 2, [row - 0.35, row + 1.35], color=colours.muted, linewidth=0.7)
        at -= points
    last = len(steps) + 1
    low, high = result.interval
    ax.barh(last, result.value, color=colours.cycle[0], height=0.7, label="score")
    if low == low and high == high:
        ax.plot([low, high], [last, last], color=colours.ink, linewidth=2.2, solid_capstyle="butt",
                label="95 % interval")
    ax.annotate(f"{result.value:.1f}", (0, last), xytext=(5, 0), textcoords="offset points", va="center",
                fontsize=9, color=colours.paper, weight="bold")
    ax.set_yticks(range(last + 1), names)
    ax.invert_yaxis()
    ax.set_xlim(0, 101)
    ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False)
    finish(ax, colours, x="points (share of requests answered within the objective, %)", grid="x")
    ax.set_title(f"Where the points are lost, by {by}", color=colours.ink, fontsize=11, loc="left", pad=26)
    return ax
