"""Mode shapes of an architecture: which components swell together, on the graph or as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.architecture import draw_calls, draw_names
from fea_arch.plotting.style import axes_for, cut, finish, signed_map

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.modal import ModalResult

__all__ = ["animate_modal", "plot_modal"]


def _title(result: ModalResult, mode: int) -> str:
    text = f"Mode {mode + 1} of {result.frequencies_hz.size} ({result.coupling}): {result.frequencies_hz[mode]:.4g} Hz"
    drain = result.drain_times_s[mode]
    text += f"\ndamping {result.damping_ratios[mode]:.3g}"
    return text + (f", drains in {drain:.3g} s" if np.isfinite(drain) else ", does not drain")


def plot_modal(
    result: ModalResult,
    ax: Any = None,
    *,
    mode: int = 0,
    arch: Architecture | None = None,
    limit: int = 15,
    theme: str | None = None,
) -> Any:
    """Draw one mode shape: bars of the components that move most, or with ``arch`` colours on the graph.

    Parameters
    ----------
    result : ModalResult
    ax : matplotlib.axes.Axes, optional
    mode : int
        Number of the mode, from 0.
    arch : Architecture, optional
        The architecture that was solved (up to 60 components).
    limit : int
        Bars.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        If there is no such mode.
    """
    if not 0 <= mode < result.frequencies_hz.size:
        raise ModelError(f"is {mode}", field="mode", fix=f"0 to {result.frequencies_hz.size - 1}")
    if arch is not None:
        return _on_graph(result, arch, ax, mode, theme)
    shape = result.shapes[:, mode]
    order = np.argsort(-np.abs(shape), kind="stable")[:limit]
    order = order[np.abs(shape[order]) > 1e-2]
    ax, colours = axes_for(ax, theme, (7.0, 1.4 + 0.27 * max(order.size, 3)))
    for sign, word, colour, hatch in ((1, "swells", colours.cycle[0], None), (-1, "empties", colours.cycle[1], "//")):
        rows = np.flatnonzero(np.sign(shape[order]) == sign)
        if rows.size:
            ax.barh(rows, shape[order[rows]], color=colour, hatch=hatch, label=word, height=0.7,
                    edgecolor=colours.paper)
    ax.axvline(0.0, color=colours.muted, linewidth=0.8)
    ax.set_yticks(range(order.size), [cut(result.components[i]) for i in order])
    ax.set_ylim(max(order.size, 3) - 0.4, -0.6)
    ax.set_xlim(-1.05, 1.05)
    return finish(ax, colours, title=_title(result, mode), x="displacement, largest 1", grid="x", above=True)


def _on_graph(result: ModalResult, arch: Architecture, ax: Any, mode: int, theme: str | None) -> Any:
    from fea_arch.plotting.view import view

    found = view(arch, limit=max(len(arch), 1))
    at = {name: i for i, name in enumerate(result.components)}
    shape = np.array([result.shapes[at[name], mode] if name in at else 0.0 for name in arch.names])
    ax, colours = axes_for(ax, theme, (max(0.078 * found.layout.width + 1.4, 6.8), 0.225 * found.layout.height + 2.0))
    ax.set_xlim(-1.0, found.layout.width + 1.0)
    ax.set_ylim(-found.layout.height - 0.3, 0.9)
    size = 25 + 160 * np.abs(shape)
    radius = np.sqrt(size) / 2.0

    def look(_: int) -> dict[str, Any]:
        return {"linewidth": 0.8, "color": colours.muted, "alpha": 0.55}

    draw_calls(ax, found.layout, found.labels, (found.source, found.target), radius, look)
    marks = ax.scatter(found.layout.x, -found.layout.y, c=shape, s=size, cmap=signed_map(colours), vmin=-1, vmax=1,
                       zorder=3, edgecolors=colours.ink, linewidths=0.6)
    ink = [colours.ink if abs(value) > 0.05 else colours.muted for value in shape.tolist()]
    draw_names(ax, found.layout, found.labels, radius, ink, colours)
    tall = min(0.95, 2.6 / ax.figure.get_size_inches()[1])
    bar = ax.figure.colorbar(marks, ax=ax, shrink=tall, aspect=18, pad=0.01, ticks=[-1, 0, 1])
    bar.set_label("displacement", color=colours.ink, fontsize=8)
    bar.ax.tick_params(colors=colours.ink, labelsize=8)
    finish(ax, colours, title=_title(result, mode), grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def animate_modal(
    result: ModalResult, arch: Architecture, mode: int = 0, *, frames: int = 24, theme: str | None = None
) -> Any:
    """Return a matplotlib animation of one mode swinging on the graph.

    Parameters
    ----------
    result : ModalResult
    arch : Architecture
    mode : int
        Number of the mode, from 0.
    frames : int
        Frames of one period.
    theme : {"light", "dark"}, optional
    """
    from matplotlib.animation import FuncAnimation

    ax = plot_modal(result, mode=mode, arch=arch, theme=theme)
    marks = ax.collections[-1]
    at = {name: i for i, name in enumerate(result.components)}
    rows = [at.get(name, -1) for name in arch.names]
    shape = np.array([result.shapes[i, mode] if i >= 0 else 0.0 for i in rows])
    phase = np.array([result.phases_rad[i, mode] if i >= 0 else 0.0 for i in rows])

    def step(frame: int) -> tuple[Any]:
        now = np.abs(shape) * np.cos(2 * np.pi * frame / frames + phase)
        marks.set_array(now)
        marks.set_sizes(25 + 160 * np.abs(now))
        return (marks,)

    return FuncAnimation(ax.figure, step, frames=frames, interval=60)
