"""The score as a waterfall: from 100 down to the value, one step for each situation or component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fea_arch.errors import ModelError
from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.score import Score

__all__ = ["plot_score"]

#: Smallest loss with a step of its own [points].
LEAST = 0.05
#: Points that the text of a number takes.
ROOM = 10.0


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
        Steps that are shown; the rest, and what is below 0.05 points, is one step.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For another ``by``.
    """
    if by not in ("situation", "component"):
        raise ModelError(f"is {by!r}", field="by", fix="situation or component")
    lost = result.by_situation() if by == "situation" else result.by_component()
    found = [(name, points) for name, points in lost.items() if points > 0]
    steps = [step for step in found[:limit] if step[1] >= LEAST] or found[:1]
    rest = found[len(steps) :]
    if rest:
        steps.append((f"{len(rest)} others" if len(rest) > 1 else rest[0][0], sum(p for _, p in rest)))
    ax, colours = axes_for(ax, theme, (7.5, 1.7 + 0.3 * (len(steps) + 2)))
    names = ["all requests", *(cut(name, 34) for name, _ in steps), f"score: {result.label}"]
    ax.barh(0, 100.0, color=colours.faint, height=0.7)
    at = 100.0
    for row, (_, points) in enumerate(steps, 1):
        ax.barh(row, points, left=at - points, color=colours.cycle[1], hatch="//", edgecolor=colours.paper, height=0.7,
                label="lost" if row == 1 else None)
        left = at - points > ROOM  # the number stands where there is room for it
        ax.annotate(f"-{points:.2g}", (at - points if left else at, row), xytext=(-4 if left else 4, 0), va="center",
                    textcoords="offset points", ha="right" if left else "left", fontsize=8, color=colours.ink)
        ax.plot([at - points] * 2, [row - 0.35, row + 1.35], color=colours.muted, linewidth=0.7)
        at -= points
    last = len(steps) + 1
    low, high = result.interval
    ax.barh(last, result.value, color=colours.cycle[0], height=0.7, label="score")
    if low == low and high == high:
        ax.plot([low, high], [last, last], color=colours.ink, linewidth=2.2, solid_capstyle="butt",
                label="95 % interval")
    inside = min(result.value, low if low == low else result.value) > ROOM
    ax.annotate(f"{result.value:.1f}", (0 if inside else max(result.value, high if high == high else 0.0), last),
                xytext=(5, 0), textcoords="offset points", va="center", fontsize=9, weight="bold",
                color=colours.paper if inside else colours.ink)
    ax.set_yticks(range(last + 1), names)
    ax.invert_yaxis()
    ax.set_xlim(0, 101)
    title = f"Score {result.value:.1f} of 100, {result.label}: where the points are lost, by {by}"
    return finish(ax, colours, title=title, x="points (% of the requests)", grid="x", above=True)
