"""Fragility: the probability of collapse over the load factor with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, finish

if TYPE_CHECKING:
    from fea_arch.results.fragility import FragilityResult

__all__ = ["plot_fragility"]


def plot_fragility(result: FragilityResult, ax: Any = None, *, theme: str | None = None) -> Any:
    """Draw the share of samples that collapse over the load, with the 95 % interval where it was asked for.

    The steps are the samples themselves; the vertical lines are the load factors at which 5, 50 and 95 % of them have
    collapsed.

    Parameters
    ----------
    result : FragilityResult
    ax : matplotlib.axes.Axes, optional
    theme : {"light", "dark"}, optional
    """
    ax, colours = axes_for(ax, theme)
    values = np.sort(np.asarray(result.collapse_factor))
    steps = np.arange(1, values.size + 1) / values.size
    order = np.argsort(result.load_factor, kind="stable")
    factor = np.asarray(result.load_factor)[order]
    low, share, high = (np.asarray(v)[order] for v in (result.lower, result.probability, result.upper))
    ax.step(np.r_[values[:1], values], np.r_[0.0, steps], where="post", color=colours.cycle[0], linewidth=1.6,
            label=f"{values.size:,} samples")
    ax.errorbar(factor, share, yerr=[np.maximum(share - low, 0), np.maximum(high - share, 0)], fmt="o", markersize=5,
                color=colours.cycle[1], ecolor=colours.cycle[1], capsize=3, linewidth=1.2, label="asked for, 95 %")
    for probability, dashes in ((0.05, ":"), (0.5, "--"), (0.95, ":")):
        at = result.factor_at(probability)
        ax.plot([at, at], [0, probability], dashes, color=colours.muted, linewidth=1.0)
        ax.annotate(f"{probability:.0%}: {at:.3g}x", (at, probability), xytext=(-6, 3), textcoords="offset points",
                    fontsize=8, color=colours.ink, ha="right")
    ends = np.r_[factor, values[[0, -1]]]
    room = 0.12 * float(np.ptp(ends)) or 0.1
    ax.set_xlim(max(float(ends.min()) - room, 0.0), float(ends.max()) + room)
    ax.set_ylim(-0.03, 1.06)
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    title = "Fragility" if result.complete else f"Fragility ({values.size} of {result.samples} samples)"
    title += f": one in twenty gives way below {result.factor_at(0.05):.3g} times the load"
    return finish(ax, colours, title=title, x="load factor", y="probability of collapse", above=True)
