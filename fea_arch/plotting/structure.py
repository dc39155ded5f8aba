"""Pictures of structures given directly: the solved state, modes, time histories, equilibrium paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.plotting.style import axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.results.structure import SolveResult
    from fea_arch.results.structure_dynamics import HistoryResult, ModesResult, PathResult

__all__ = ["animate_mode", "plot_history", "plot_modes", "plot_path", "plot_solve"]

_DASHES = ("-", "--", "-.", ":")


def plot_solve(result: SolveResult, ax: Any = None, *, theme: str | None = None) -> Any:
    """Draw the displacement of every node and mark the supports."""
    ax, colours = axes_for(ax, theme)
    nodes = np.arange(result.displacement.size)
    ax.plot(nodes, result.displacement, "o-", color=colours.cycle[0], markersize=3.5, linewidth=1.2, label="nodes")
    ax.plot(result.support, result.displacement[result.support], "^", color=colours.cycle[1], markersize=8,
            label="held")
    if len(result.node_names) and nodes.size <= 30:
        ax.set_xticks(nodes, [cut(name, 18) for name in result.node_names], rotation=60, ha="right")
    far = int(np.argmax(np.abs(result.displacement)))
    title = f"Displacement at load factor {result.load_factor:g}: largest at node {far}, {result.displacement[far]:.4g}"
    return finish(ax, colours, title=title, x="node", y="displacement u", above=True)


def plot_modes(
    result: ModesResult, ax: Any = None, *, modes: int = 4, theme: str | None = None, phase: float = 1.0
) -> Any:
    """Draw the first mode shapes over the nodes, each scaled to one.

    Parameters
    ----------
    result : ModesResult
    ax : matplotlib.axes.Axes, optional
    modes : int
        Shapes that are shown.
    theme : {"light", "dark"}, optional
    phase : float
        Factor of every shape, for a frame of an animation [1].
    """
    ax, colours = axes_for(ax, theme)
    nodes = np.arange(result.shapes.shape[0])
    for k in range(min(modes, result.frequencies_hz.size)):
        shape = result.shapes[:, k]
        top = np.abs(shape).max(initial=0.0) or 1.0
        word = "rigid" if result.rigid[k] else f"{result.frequencies_hz[k]:.4g} Hz"
        ax.plot(nodes, phase * shape / top, _DASHES[k % 4], marker="o" if nodes.size <= 60 else None, markersize=3,
                color=colours.cycle[k % len(colours.cycle)], label=f"mode {k + 1}: {word}")
    ax.axhline(0.0, color=colours.muted, linewidth=0.8)
    ax.set_ylim(-1.1, 1.1)
    moving = np.asarray(result.frequencies_hz)[~np.asarray(result.rigid, bool)]
    title = "Mode shapes" + (f": the lowest swings at {moving[0]:.4g} Hz" if moving.size else "")
    return finish(ax, colours, title=title, x="node", y="shape, largest value 1", above=True)


def animate_mode(result: ModesResult, mode: int = 0, *, frames: int = 24, theme: str | None = None) -> Any:
    """Return a matplotlib animation of one mode swinging once to and fro.

    Parameters
    ----------
    result : ModesResult
    mode : int
        Number of the mode, from 0.
    frames : int
        Frames of one period.
    theme : {"light", "dark"}, optional
    """
    from matplotlib.animation import FuncAnimation

    ax, colours = axes_for(None, theme)
    nodes = np.arange(result.shapes.shape[0])
    shape = result.shapes[:, mode] / (np.abs(result.shapes[:, mode]).max(initial=0.0) or 1.0)
    ax.plot(nodes, 0 * shape, color=colours.faint)
    (line,) = ax.plot(nodes, shape, "o-", color=colours.cycle[0], markersize=3)
    ax.set_ylim(-1.1, 1.1)
    finish(ax, colours, title=f"Mode {mode + 1}: {result.frequencies_hz[mode]:.4g} Hz", x="node",
           y="shape, largest value 1")

    def step(frame: int) -> tuple[Any]:
        line.set_ydata(np.cos(2 * np.pi * frame / frames) * shape)
        return (line,)

    return FuncAnimation(ax.figure, step, frames=frames, interval=50, blit=True)


def plot_history(
    result: HistoryResult, ax: Any = None, *, nodes: Any = None, quantity: str = "displacement",
    theme: str | None = None,
) -> Any:
    """Draw the history of some nodes.

    Parameters
    ----------
    result : HistoryResult
    ax : matplotlib.axes.Axes, optional
    nodes : sequence of int, optional
        Default the four that move most.
    quantity : {"displacement", "velocity", "acceleration"}
    theme : {"light", "dark"}, optional
    """
    values = getattr(result, quantity)
    chosen = np.argsort(-np.abs(values).max(axis=0), kind="stable")[:4] if nodes is None else np.asarray(nodes)
    ax, colours = axes_for(ax, theme)
    for k, node in enumerate(chosen.tolist()):
        ax.plot(result.time_s, values[:, node], _DASHES[k % 4], color=colours.cycle[k % len(colours.cycle)],
                linewidth=1.3, label=f"node {node}")
    title = f"History of the {quantity}"
    if chosen.size:
        peak = float(np.abs(values[:, chosen[0]]).max())
        title += f": node {chosen[0]} reaches {peak:.4g}"
    return finish(ax, colours, title=title, x="time [s]", y=quantity, above=True)


def plot_path(result: PathResult, ax: Any = None, *, node: int | None = None, theme: str | None = None) -> Any:
    """Draw the equilibrium path: load factor over displacement, stable solid, unstable dashed, limit points marked.

    Parameters
    ----------
    result : PathResult
    ax : matplotlib.axes.Axes, optional
    node : int, optional
        Default the node that moves most.
    theme : {"light", "dark"}, optional
    """
    at = int(np.argmax(np.ptp(result.displacement, axis=0))) if node is None else node
    ax, colours = axes_for(ax, theme)
    u, load = result.displacement[:, at], result.load_factor
    # a stretch takes the style of its end, so both branches meet in the limit point
    for stable, style, colour in ((True, "-", colours.cycle[0]), (False, "--", colours.cycle[1])):
        runs = np.flatnonzero(result.stable[1:] == stable)
        label: str | None = "stable" if stable else "unstable"
        for run in np.split(runs, np.flatnonzero(np.diff(runs) > 1) + 1):
            if run.size:
                ax.plot(u[run[0] : run[-1] + 2], load[run[0] : run[-1] + 2], style, color=colour, label=label)
                label = None
    ax.plot(u[result.limit_points], load[result.limit_points], "o", color=colours.ink, markersize=6,
            markerfacecolor=colours.paper, label="limit point" if result.limit_points.size else None)
    folds = ", ".join(f"{value:.4g}" for value in load[result.limit_points][:3])
    title = "Equilibrium path" + (f": limit points at load factor {folds}" if folds else ": no limit point")
    return finish(ax, colours, title=title, x=f"displacement of node {at}", y="load factor", above=True)
