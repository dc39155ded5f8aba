"""Mode shapes of an architecture: which components swell together, on the graph or as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import Theme, axes_for, cut, finish

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
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, loc="lower left")
    return finish(ax, colours, title=_title(result, mode), x="displacement, largest 1", grid="x")


def _on_graph(result: ModalResult, arch: Architecture, ax: Any, mode: int, theme: str | None) -> Any:
    from fea_arch.plotting.view import view

    found = view(arch, limit=max(len(arch), 1))
    at = {name: i for i, name in enumerate(result.components)}
    shape = np.array([result.shapes[at[name], mode] if name in at else 0.0 for name in arch.names])
    ax, colours = axes_for(ax, theme, (max(0.078 * found.layout.width + 1.2, 6.4), 0.225 * found.layout.height + 1.6))
    _edges(found, ax, colours)
    x, y = found.layout.x, -found.layout.y
    marks = ax.scatter(x, y, c=shape, s=25 + 160 * np.abs(shape), cmap="PuOr_r", vmin=-1, vmax=1, zorder=3,
                       edgecolors=colours.ink, linewidths=0.6)
    for i in range(len(arch)):
        moves = abs(shape[i]) > 0.05
        ax.annotate(cut(found.labels[i]), (x[i], y[i]), xytext=(9, 0), textcoords="offset points", va="center",
                    fontsize=8, color=colours.ink if moves else colours.muted)
    ax.set_xlim(-1.0, found.layout.width + 1.0)
    bar = ax.figure.colorbar(marks, ax=ax, shrink=0.6, aspect=25, pad=0.01)
    bar.set_label("displacement, largest 1", color=colours.ink, fontsize=8)
    bar.ax.tick_params(colors=colours.ink, labelsize=8)
    finish(ax, colours, title=_title(result, mode), grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def _edges(found: Any, ax: Any, colours: Theme) -> None:
    from matplotlib.collections import LineCollection

    ends = np.stack([found.layout.x, -found.layout.y], axis=1)
    lines = list(np.stack([ends[found.source], ends[found.target]], axis=1))
    ax.add_collection(LineCollection(lines, colors=colours.faint, linewidths=0.8, zorder=1))


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
