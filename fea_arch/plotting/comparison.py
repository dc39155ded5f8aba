"""Comparison of two architectures: the relative change of each margin with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.comparison import ComparisonResult

__all__ = ["plot_comparison"]

_LOOK = {"worse": ("X", 1), "same": ("o", 6), "better": ("^", 2)}
#: Relative changes beyond this are drawn at the border [%].
_MOST = 300.0


def plot_comparison(result: ComparisonResult, ax: Any = None, *, theme: str | None = None) -> Any:
    """Draw the change of each margin relative to its value before; bars are the intervals.

    Parameters
    ----------
    result : ComparisonResult
    ax : matplotlib.axes.Axes, optional
    theme : {"light", "dark"}, optional
    """
    size = np.abs(np.asarray(result.before, float))
    size = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    change, low, high = (
        np.clip(np.nan_to_num(100.0 * np.asarray(v, float) / size, posinf=_MOST, neginf=-_MOST), -_MOST, _MOST)
        for v in (result.change, result.low, result.high)
    )
    count = len(result.margins)
    ax, colours = axes_for(ax, theme, (8.0, 1.5 + 0.32 * max(count, 2)))
    ax.axvline(0.0, color=colours.muted, linewidth=0.9)
    for verdict, (mark, number) in _LOOK.items():
        rows = np.flatnonzero([v == verdict for v in result.verdicts])
        if rows.size:
            colour = colours.cycle[number]
            ax.hlines(rows, low[rows], high[rows], color=colour, linewidth=2.2, alpha=0.6)
            ax.scatter(change[rows], rows, marker=mark, s=52, color=colour, edgecolors=colours.ink, linewidths=0.5,
                       label=verdict, zorder=3)
    for row in range(count):
        unit = "" if result.units[row] == "1" else f" {result.units[row]}"
        text = f"{result.before[row]:.4g} to {result.after[row]:.4g}{unit}"
        ax.annotate(text, (max(change[row], high[row]), row), xytext=(7, 0), textcoords="offset points", va="center",
                    fontsize=8, color=colours.muted)
    ax.set_yticks(range(count), [cut(title, 60) for title in result.titles])
    ax.invert_yaxis()
    ends = np.concatenate([change, low, high, [-1.0, 1.0]])
    room = float(np.ptp(ends))
    ax.set_xlim(float(ends.min()) - 0.06 * room, float(ends.max()) + 0.45 * room)
    counts = {word: list(result.verdicts).count(word) for word in ("worse", "better")}
    title = (
        f"{cut(result.head, 30)} against {cut(result.base, 30)}: of {count} margins {counts['worse']} are worse, "
        f"{counts['better']} better"
    )
    return finish(ax, colours, title=title, x="change of the value before [%]", grid="x", above=True)
