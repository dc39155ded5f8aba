"""Recovery from outages against the recovery time objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.recovery import RecoveryResult

__all__ = ["plot_recovery"]


def plot_recovery(result: RecoveryResult, ax: Any = None, *, limit: int = 20, theme: str | None = None) -> Any:
    """Draw recovery time over its objective for the outage of each component, the worst first.

    Parameters
    ----------
    result : RecoveryResult
    ax : matplotlib.axes.Axes, optional
    limit : int
    theme : {"light", "dark"}, optional
    """
    ratio = np.asarray(result.recovery_time_s) / np.asarray(result.objective_s)
    order = np.argsort(-ratio, kind="stable")[:limit]
    ax, colours = axes_for(ax, theme, (7.5, 1.4 + 0.27 * max(order.size, 3)))
    top = float(max(np.max(ratio[np.isfinite(ratio)], initial=1.0), 1.0)) * 1.1
    for met, word, colour, hatch in ((True, "met", colours.cycle[0], None), (False, "missed", colours.cycle[1], "//")):
        rows = np.flatnonzero(np.asarray(result.met)[order] == met)
        if rows.size:
            ax.barh(rows, np.minimum(ratio[order[rows]], top), color=colour, hatch=hatch, label=word, height=0.7,
                    edgecolor=colours.paper)
    for row, i in enumerate(order.tolist()):
        seconds = float(result.recovery_time_s[i])
        ax.annotate(f"{seconds:.3g} s" if np.isfinite(seconds) else "does not recover", (min(ratio[i], top), row),
                    xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=colours.muted)
    ax.axvline(1.0, color=colours.ink, linestyle="--", linewidth=1.0, label="objective")
    ax.set_yticks(range(order.size), [cut(result.components[i]) for i in order])
    ax.invert_yaxis()
    ax.set_xlim(0, top * 1.15)
    kept = int(np.count_nonzero(result.met))
    title = f"Recovery from an outage of {result.outage_s:g} s: {kept} of {len(result.components)} objectives are met"
    return finish(ax, colours, title=title, x="recovery time / objective", grid="x", above=True)
