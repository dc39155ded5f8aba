"""The architecture as a picture: layers from callers to callees, colour by stress, size by memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import (
    BANDS,
    MARKS,
    STATE_COLOURS,
    Theme,
    axes_for,
    columns_that_fit,
    cut,
    finish,
    stress_map,
    text_width,
)
from fea_arch.plotting.view import LIMIT, View, view

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["draw_calls", "draw_names", "draw_view", "paper_size", "plot_architecture"]

#: Inches per character and per row, at a label size of 8 points.
PER_CHARACTER, PER_ROW = 0.078, 0.225


def plot_architecture(
    arch: Architecture, ax: Any = None, *, result: Any = None, theme: str | None = None, limit: int = LIMIT
) -> Any:
    """Draw an architecture and return the Axes.

    Callers stand on the left, callees on the right; a dashed call is an event that nobody waits for, a dotted one
    closes a cycle. With ``result`` the colour is the utilisation, the line width the rate of calls.

    Parameters
    ----------
    arch : Architecture
    ax : matplotlib.axes.Axes, optional
        Default a new figure of a size at which every label is legible.
    result : StaticResult or SimulationResult, optional
    theme : {"light", "dark"}, optional
    limit : int
        Components beyond which groups are drawn.

    Examples
    --------
    >>> import fea_arch as fa, matplotlib
    >>> matplotlib.use("Agg")
    >>> arch = fa.load_sample("shop")
    >>> arch.plot(result=fa.static(arch)).get_title(loc="left")
    'shop: 5 components, 5 calls at load factor 1'
    """
    found = view(arch, result, limit=limit)
    ax, colours = axes_for(ax, theme, paper_size(found))
    title = f"{cut(arch.name, 60)}: {len(arch)} components, {arch.graph.n_edges} calls"
    if result is not None and hasattr(result, "load_factor"):
        title += f" at load factor {result.load_factor:g}"
    return draw_view(found, ax, colours, title, stressed=result is not None)


def paper_size(found: View) -> tuple[float, float]:
    """Return width and height of a figure in which every label of a view is legible [inch]."""
    return (
        min(max(PER_CHARACTER * found.layout.width + 0.6, 6.4), 40.0),
        min(max(PER_ROW * (1.6 if found.aggregated else 1.0) * found.layout.height + 1.7, 3.4), 40.0),
    )


def draw_view(found: View, ax: Any, theme: Theme, title: str, *, stressed: bool) -> Any:
    """Draw nodes, calls, labels and legend of a view."""
    x, y = found.layout.x, -found.layout.y
    ax.set_xlim(-1.0, found.layout.width + 1.0)
    ax.set_ylim(-found.layout.height - 0.3, 0.9)
    area = _areas(found.memory_bytes)
    radius = np.sqrt(area + np.where(found.entry, 70.0, 0.0)) / 2.0
    top = float(found.rate_per_s.max(initial=0.0))

    def look(k: int) -> dict[str, Any]:
        share = float(found.rate_per_s[k]) / top if top > 0 else 0.0
        backward = bool(found.layout.backward[k])
        return {
            "linewidth": 0.7 + 2.1 * share**0.5, "linestyle": ":" if backward else "--" if found.events[k] else "-",
            "color": theme.muted if backward else theme.cycle[0], "alpha": 0.4 + 0.45 * share**0.5,
        }

    draw_calls(ax, found.layout, found.texts, (found.source, found.target), radius, look)
    for state in dict.fromkeys(found.state):
        mine = np.flatnonzero([s == state for s in found.state])
        shape = {"marker": MARKS.get(state, "o"), "s": area[mine], "zorder": 3, "linewidths": 0.8}
        edge = [theme.ink if found.entry[i] else theme.muted for i in mine.tolist()]
        if state == "down" or not stressed:
            fill = STATE_COLOURS[theme.name]["down" if state == "down" else "elastic"]
            ax.scatter(x[mine], y[mine], c=fill, edgecolors=edge, **shape)
        else:
            stress = np.clip(np.nan_to_num(found.stress[mine]), 0.0, 1.0)
            ax.scatter(
                x[mine], y[mine], c=stress, cmap=stress_map(theme), vmin=0.0, vmax=1.0, edgecolors=edge, **shape
            )
    ring = found.entry
    ax.scatter(x[ring], y[ring], s=area[ring] + 70, facecolors="none", edgecolors=theme.ink, linewidths=1.1, zorder=2.5)
    ink = [theme.muted if state == "down" else theme.ink for state in found.state]
    draw_names(ax, found.layout, found.texts, radius, ink, theme)
    _legend(found, ax, theme, stressed=stressed)
    finish(ax, theme, title=title, grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if found.note:
        ax.set_xlabel(found.note, color=theme.muted, fontsize=8, loc="left")
    return ax


def _areas(memory: Any) -> Any:
    """Return the area of each mark [points^2], from the memory relative to the largest."""
    top = np.nanmax(memory) if np.isfinite(memory).any() else 0.0
    if not top > 0:
        return np.full(memory.size, 55.0)
    return 28.0 + 190.0 * np.where(np.isfinite(memory), memory, 0.0) / top


def draw_calls(
    ax: Any, layout: Any, texts: Sequence[str], ends: tuple[Any, Any], radius: Any,
    look: Callable[[int], dict[str, Any]],
) -> None:
    """Draw calls as curves from the end of the caller's label to the mark of the callee.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With its limits set.
    layout : Layout
    texts : sequence of str
        Labels.
    ends : (source, target) of (n_edges,) int64
    radius : (n,) float64
        Radius of the marks [points].
    look : callable
        Style of the call of a number: line width, colour and so on.
    """
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    x, y = layout.x, -layout.y
    # data units per inch: a call leaves where the label of its caller ends
    inches = ax.figure.get_size_inches()[0] * (0.97 if ax.figure.get_layout_engine() else ax.get_position().width)
    unit = float(np.ptp(ax.get_xlim())) / inches
    wide = [text_width(cut(text, 80)) for text in texts]
    for k, (a, b) in enumerate(zip(ends[0].tolist(), ends[1].tolist())):
        out = x[a]
        if a == b:
            curve = [(x[a], y[a]), (x[a] - 2.5, y[a] + 1.1), (x[a] + 2.5, y[a] + 1.1), (x[a], y[a])]
        elif abs(x[b] - x[a]) < 3.0:
            curve = [(x[a], y[a]), (x[a] - 4.0, y[a]), (x[b] - 4.0, y[b]), (x[b], y[b])]
        else:
            if x[b] > x[a]:
                label = unit * ((radius[a] + 8.5) / 72.0 + wide[a])
                out = min(x[a] + label, 0.1 * x[a] + 0.9 * x[b])
            bend = np.sign(x[b] - x[a]) * max(0.45 * abs(x[b] - out), 4.0)
            curve = [(out, y[a]), (out + bend, y[a]), (x[b] - bend, y[b]), (x[b], y[b])]
        ax.add_patch(
            FancyArrowPatch(
                path=Path(curve, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]),
                arrowstyle="-|>,head_length=3.6,head_width=1.6", shrinkA=3 if out == x[a] else 0,
                shrinkB=radius[b] + 1, joinstyle="miter", capstyle="butt", zorder=1, **look(k),
            )
        )


def draw_names(
    ax: Any, layout: Any, texts: Sequence[str], radius: Any, ink: Sequence[str], theme: Theme
) -> None:
    """Write the labels to the right of the marks, on a strip of paper so that calls do not strike them through."""
    strip = {"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.72, "pad": 0.6}
    for i, text in enumerate(texts):
        ax.annotate(
            cut(text, 80), (layout.x[i], -layout.y[i]), xytext=(radius[i] + 3.5, 0), textcoords="offset points",
            va="center", ha="left", fontsize=8, bbox=strip, zorder=2, color=ink[i], annotation_clip=False,
        )


def _legend(found: View, ax: Any, theme: Theme, *, stressed: bool) -> None:
    from matplotlib.lines import Line2D

    def mark(label: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="", markeredgecolor=theme.muted, label=label, **style)

    fill = STATE_COLOURS[theme.name]
    items = []
    if stressed:
        words = {
            "elastic": f"elastic, to {BANDS[0]:.0%} (paler: less)", "yielding": f"yielding, to {BANDS[1]:.0%}",
            "failing": "failing, above",
        }
        items += [
            mark(text, marker=MARKS[state], markersize=7, markerfacecolor=fill[state])
            for state, text in words.items()
        ]
    if "down" in found.state:
        items.append(mark("not available", marker="X", markersize=7, markerfacecolor=fill["down"]))
    if found.entry.any():
        items.append(
            Line2D([], [], linestyle="", marker="o", markersize=10, markerfacecolor="none",
                   markeredgecolor=theme.ink, label="load enters")
        )
    if found.events.any():
        items.append(Line2D([], [], color=theme.cycle[0], linestyle="--", linewidth=1.2, label="event"))
    if found.layout.backward.any():
        items.append(Line2D([], [], color=theme.muted, linestyle=":", linewidth=1.2, label="closes a cycle"))
    top = np.nanmax(found.memory_bytes) if np.isfinite(found.memory_bytes).any() else 0.0
    if top > 0:
        items.append(mark(f"area: memory, largest {top / 1e6:,.0f} MB", marker="o", markersize=14,
                          markerfacecolor="none"))
    if items:
        columns = columns_that_fit([str(i.get_label()) for i in items], ax.figure.get_size_inches()[0] - 0.2)
        ax.legend(
            handles=items, loc="upper left", bbox_to_anchor=(0.0, -0.01 if not found.note else -0.09), fontsize=8,
            ncols=columns, frameon=False, borderaxespad=0.2, handletextpad=0.5, columnspacing=1.4,
        )
