"""The picture of a quasi-static fracture: load at each break, and what the structure carried at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, finish

if TYPE_CHECKING:
    from fea_arch.results.structure import BreakDownResult

__all__ = ["plot_break_down"]


def plot_break_down(result: BreakDownResult, ax: Any = None, *, theme: str | None = None) -> Any:
    """Draw the load at each break and its running maximum, the load under slow loading; the peak is marked."""
    ax, colours = axes_for(ax, theme)
    count = np.arange(1, result.load.size + 1)
    ax.plot(count, result.load, ".-", color=colours.cycle[0], linewidth=0.8, markersize=4, label="load at the break")
    if result.load.size:
        ax.plot(count, np.maximum.accumulate(result.load), "--", color=colours.muted, linewidth=1.0,
                label="largest load so far")
        ax.plot(result.peak_index + 1, result.peak, "D", color=colours.cycle[1], markersize=7,
                label=f"peak {result.peak:.4g}")
    title = f"Fracture under {result.control} control"
    if result.load.size:
        title += f": it carries {result.peak:.4g} at most, at break {result.peak_index + 1} of {result.load.size}"
    return finish(ax, colours, title=title, x="broken elements", y="load", above=True)
