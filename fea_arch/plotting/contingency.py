"""What is left after each outage, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.contingency import ContingencyResult

__all__ = ["plot_contingency"]

_HATCH = {"ok": None, "failed": "xxx", "unstable": "//"}
_WORDS = {
    "ok": "the rest stands", "failed": "nothing is answered", "unstable": "a queue grows, or retries trap callers",
}


def plot_contingency(result: ContingencyResult, ax: Any = None, *, limit: int = 20, theme: str | None = None) -> Any:
    """Draw the share of requests that is lost by each outage, the worst first, coloured by what is left.

    Parameters
    ----------
    result : ContingencyResult
    ax : matplotlib.axes.Axes, optional
    limit : int
        Outages that are shown.
    theme : {"light", "dark"}, optional
    """
    lost = np.nan_to_num(result.served_share_intact - np.asarray(result.served_share), nan=1.0)
    order = np.lexsort((-np.asarray(result.worst_utilisation), -lost))[:limit]
    order = order[: max(int(np.count_nonzero(lost[order] > 5e-5)), 3)]  # those that lose nothing only to fill up
    ax, colours = axes_for(ax, theme, (7.5, 1.5 + 0.27 * max(order.size, 3)))
    for status, colour in zip(_HATCH, (colours.cycle[0], colours.cycle[1], colours.cycle[4])):
        rows = np.flatnonzero([result.status[i] == status for i in order])
        if rows.size:
            ax.barh(rows, 100 * np.maximum(lost[order[rows]], 0.0), color=colour, hatch=_HATCH[status], height=0.7,
                    label=_WORDS[status], edgecolor=colours.paper)
    for row, i in enumerate(order.tolist()):
        ax.annotate(f"{100 * max(lost[i], 0.0):.3g} %", (100 * max(lost[i], 0.0), row), xytext=(4, 0), fontsize=8,
                    textcoords="offset points", va="center", color=colours.muted)
    ax.set_yticks(range(order.size), [cut(result.components[i], 44) for i in order])
    ax.invert_yaxis()
    ax.set_xlim(0, max(5.0, 112 * float(lost.max(initial=0.0))))
    title = f"Outages of one component or call (N-{result.order})" if result.order == 1 else "Outages, two at a time"
    many = int(np.count_nonzero(lost > 0.01))
    title += f": {many} of {lost.size} lose more than 1\N{NO-BREAK SPACE}% of the requests"
    return finish(ax, colours, title=title, x="requests lost in addition [% of those offered]", grid="x", above=True)
