"""Reinforcement: what each change takes away of the shortfall to the target, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.reinforcement import ReinforcementResult

__all__ = ["plot_reinforcement"]


def plot_reinforcement(
    result: ReinforcementResult, ax: Any = None, *, limit: int = 15, theme: str | None = None
) -> Any:
    """Draw the kept changes one below the other as steps towards the target, each with its cost.

    Parameters
    ----------
    result : ReinforcementResult
    ax : matplotlib.axes.Axes, optional
    limit : int
        Changes that are shown; the rest is one step.
    theme : {"light", "dark"}, optional
    """
    steps = [(cut(s.change, 48), 100.0 * s.verified, s.cost) for s in result.steps]
    rest = steps[limit:]
    if rest:
        steps = [*steps[:limit], (f"{len(rest)} more", sum(s[1] for s in rest), sum(s[2] for s in rest))]
    ax, colours = axes_for(ax, theme, (8.0, 1.6 + 0.32 * max(len(steps), 2)))
    at = 0.0
    for row, (_, gain, cost) in enumerate(steps):
        ax.barh(row, gain, left=at, color=colours.cycle[0], height=0.66, edgecolor=colours.paper,
                label="taken away by the change" if row == 0 else None)
        at += gain
        ax.annotate(f"cost {cost:g}", (max(at, at - gain), row), xytext=(5, 0), textcoords="offset points",
                    va="center", fontsize=8, color=colours.ink)
        if row + 1 < len(steps):
            ax.plot([at, at], [row - 0.33, row + 1.33], color=colours.muted, linewidth=0.7)
    ax.axvline(100.0, color=colours.cycle[1], linestyle="--", linewidth=1.3, label="target")
    ax.set_yticks(range(len(steps)), [name for name, _, _ in steps])
    ax.invert_yaxis()
    ax.set_xlim(min(0.0, float(np.min([0.0, *(g for _, g, _ in steps)]))), 118.0)
    goal = ", ".join(f"{name} {value:g}" for name, value in result.target.items())
    state = "reached" if result.reached else "not reached"
    title = f"{cut(goal, 60)}: {state} at cost {result.cost:g}"
    return finish(ax, colours, title=title, x="shortfall to the target that is gone [%]", grid="x", above=True)
