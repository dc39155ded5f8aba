"""Progressive collapse: the pushover curve, and the crack on the graph, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.architecture import draw_calls, draw_names
from fea_arch.plotting.style import LABEL, STATE_COLOURS, axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.fracture import FractureResult

__all__ = ["plot_crack", "plot_fracture"]

#: Events that carry a name in the pushover curve.
NAMED = 6


def plot_fracture(
    result: FractureResult, ax: Any = None, *, arch: Architecture | None = None, theme: str | None = None
) -> Any:
    """Draw the pushover curve: requests served over requests offered, first events named; ``arch`` draws the crack.

    Parameters
    ----------
    result : FractureResult
    ax : matplotlib.axes.Axes, optional
    arch : Architecture, optional
        Draw the crack path on its graph instead.
    theme : {"light", "dark"}, optional
    """
    if arch is not None:
        return plot_crack(result, arch, ax, theme=theme)
    ax, colours = axes_for(ax, theme)
    offered, served = np.asarray(result.offered_per_s), np.asarray(result.served_per_s)
    ax.plot(offered, offered, ":", color=colours.muted, linewidth=1.0, label="all are served")
    ax.plot(offered, served, "-", color=colours.cycle[0], linewidth=1.8, label="served")
    loaded = np.asarray(result.load_factor) > 0
    scale = float(np.max(offered[loaded] / np.asarray(result.load_factor)[loaded], initial=0.0))
    if np.isfinite(result.collapse_factor) and scale > 0:
        ax.axvline(result.collapse_factor * scale, color=colours.cycle[1], linestyle="--", linewidth=1.3,
                   label=f"collapse at {result.collapse_factor:.3g} times the design load")
    shown: dict[str, Any] = {}  # each component once, with its break if it breaks
    for event in result.path:
        if event.component not in shown or (event.breaks and not shown[event.component].breaks):
            shown[event.component] = event
    chosen = sorted(shown.values(), key=lambda e: (not e.breaks, e.load_factor))[:NAMED]
    named: list[str] = []
    marks: list[tuple[float, list[str]]] = []
    for event in sorted(chosen, key=lambda e: e.load_factor) if scale > 0 else ():
        number = str(len(named) + 1)
        named.append(f"{number}  {cut(event.component)}: {event.criterion}, {event.load_factor:.3g}x")
        x = event.load_factor * scale
        if marks and x - marks[-1][0] < 0.02 * offered[-1]:  # too close to be told apart: one label
            marks[-1][1].append(number)
        else:
            marks.append((x, [number]))
        ax.plot(x, float(np.interp(x, offered, served)), "D" if event.breaks else "o", markersize=6, zorder=3,
                color=colours.cycle[1] if event.breaks else colours.ink)
    for x, numbers in marks:
        ax.annotate(", ".join(numbers), (x, float(np.interp(x, offered, served))), xytext=(7, -3), va="top",
                    textcoords="offset points", fontsize=8.5, color=colours.ink, weight="bold")
    if named:  # nothing is served above the line of all requests, so the corner above it is free
        ax.text(0.015, 0.98, "\n".join(named), transform=ax.transAxes, ha="left", va="top", fontsize=8,
                multialignment="left", color=colours.ink,
                bbox={"facecolor": colours.paper, "edgecolor": colours.faint, "alpha": 0.9})
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    gives = (
        f"gives way at {result.collapse_factor:.3g} times the design load, {result.failure} failure"
        if np.isfinite(result.collapse_factor) else f"{result.failure} failure"
    )
    return finish(ax, colours, title=f"Pushover curve: {gives}", x="offered [requests/s]", y="served [requests/s]",
                  above=True)


def plot_crack(
    result: FractureResult,
    arch: Architecture,
    ax: Any = None,
    *,
    frame: int | None = None,
    theme: str | None = None,
) -> Any:
    """Draw the crack path on the graph: events are numbered in their order, broken components are crossed out.

    Parameters
    ----------
    result : FractureResult
    arch : Architecture
    ax : matplotlib.axes.Axes, optional
    frame : int, optional
        Events up to this one (from 0) are drawn; default all.
    theme : {"light", "dark"}, optional
    """
    from fea_arch.plotting.layout import place

    path = result.path if frame is None else result.path[: frame + 1]
    first: dict[str, int] = {}
    for event in path:
        first.setdefault(event.component, len(first))
    order = {name: next(e for e in path if e.component == name) for name in first}
    texts = []
    for name in arch.names:
        text = name if len(name) <= LABEL else name[: LABEL - 1] + "…"
        if name in first:
            event = order[name]
            text = f"{first[name] + 1}. {text}: {event.criterion} {event.load_factor:.3g}x"
        texts.append(text)
    source, target = arch.graph.source, arch.graph.target
    found = place(texts, source, target)
    ax, colours = axes_for(ax, theme, (max(0.078 * found.width + 0.6, 6.4), 0.225 * found.height + 2.0))
    x, y = found.x, -found.y
    ax.set_xlim(-1.0, found.width + 1.0)
    ax.set_ylim(-found.height - 0.3, 0.9)
    cut_calls = {e.dependency for e in path if e.dependency and e.breaks}
    names = list(arch.names)
    gone = [f"{names[a]}->{names[b]}" in cut_calls for a, b in zip(source.tolist(), target.tolist())]

    def look(k: int) -> dict[str, Any]:
        if gone[k]:
            return {"linewidth": 1.8, "color": colours.cycle[1], "linestyle": "--"}
        return {"linewidth": 0.8, "color": colours.muted, "alpha": 0.5}

    radius = np.full(len(names), 4.0)
    draw_calls(ax, found, texts, (source, target), radius, look)
    broken = {e.component for e in path if e.breaks and not e.dependency}
    fill = STATE_COLOURS[colours.name]
    kinds = (
        ("no event", "o", fill["idle"], [n for n in names if n not in first]),
        ("limit passed", "s", fill["yielding"], [n for n in first if n not in broken]),
        ("broken", "X", fill["failing"], sorted(broken)),
    )
    for word, marker, colour, members in kinds:
        at = [arch.index[n] for n in members if n in arch]
        if at:
            ax.scatter(x[at], y[at], marker=marker, s=85 if word == "broken" else 48, c=colour, label=word, zorder=3,
                       edgecolors=colours.muted, linewidths=0.7)
    ink = [colours.ink if name in first else colours.muted for name in names]
    draw_names(ax, found, texts, radius, ink, colours)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=3, frameon=False)
    now = f", up to {path[-1].load_factor:.3g} times the design load" if path else ""
    finish(ax, colours, title=f"{cut(arch.name, 40)}: crack path{now}", grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax
