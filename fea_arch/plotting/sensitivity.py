"""Which numbers an answer hangs on: relative change for a relative change of each service time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.sensitivity import SensitivityResult

__all__ = ["plot_sensitivity"]


def plot_sensitivity(result: SensitivityResult, ax: Any = None, *, limit: int = 15, theme: str | None = None) -> Any:
    """Draw the elasticities of the service times as bars, the largest first.

    Parameters
    ----------
    result : SensitivityResult
    ax : matplotlib.axes.Axes, optional
    limit : int
        Components that are shown.
    theme : {"light", "dark"}, optional
    """
    value = np.nan_to_num(np.asarray(result.elasticity))
    order = np.argsort(-np.abs(value), kind="stable")[:limit]
    order = order[np.abs(value[order]) > 1e-6 * max(float(np.abs(value).max(initial=0.0)), 1e-300)]
    ax, colours = axes_for(ax, theme, (7.5, 1.5 + 0.27 * max(order.size, 3)))
    for sign, word, colour, hatch in ((1, "rises with it", colours.cycle[1], "//"),
                                      (-1, "falls with it", colours.cycle[0], None)):
        rows = np.flatnonzero(np.sign(value[order]) == sign)
        if rows.size:
            ax.barh(rows, value[order[rows]], color=colour, hatch=hatch, label=word, height=0.7,
                    edgecolor=colours.paper)
    for row, i in enumerate(order.tolist()):
        ax.annotate(f"{value[i]:+.2g}", (value[i], row), xytext=(4 if value[i] >= 0 else -4, 0), fontsize=8,
                    textcoords="offset points", va="center", ha="left" if value[i] >= 0 else "right",
                    color=colours.muted)
    ax.axvline(0.0, color=colours.muted, linewidth=0.8)
    ax.set_yticks(range(order.size), [cut(result.components[i]) for i in order])
    ax.invert_yaxis()
    ax.margins(x=0.14)
    most = f"{cut(result.components[order[0]])} most" if order.size else "no service time"
    title = f"The {result.quantity} of {cut(result.of)} hangs on {most}, at load factor {result.load_factor:g}"
    return finish(ax, colours, title=title, x="relative change for a relative change of the service time", grid="x",
                  above=True)
