"""The deformed shape: how far every hand-off point is displaced by the work in flight, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import MARKS, STATE_COLOURS, axes_for, cut, finish, in_short
from fea_arch.plotting.view import LIMIT, view

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["displacement", "plot_deformed"]

#: Labels of one layer are at least this share of the height apart.
_APART = 0.033


def displacement(arch: Architecture, result: StaticResult) -> Any:
    """Return nodal displacements ``u`` with ``A u = N`` (n,) float64 [req]."""
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.linalg import spsolve

    graph, n = arch.graph, len(arch)
    calls = csr_array((graph.calls, (graph.source, graph.target)), shape=(n, n))
    return np.asarray(spsolve((eye_array(n) - calls).tocsc(), np.asarray(result.in_flight, float))).reshape(n)


def plot_deformed(
    result: StaticResult, arch: Architecture, ax: Any = None, *, theme: str | None = None, limit: int = 40
) -> Any:
    """Draw the displacement of every component below the unloaded line, callers on the left, callees on the right.

    The displacement solves compatibility ``A u = N``: what is in flight in a component, plus the displacement of what
    it calls, weighted by the calls. It falls to zero along every load path; the fall at a component is its own work
    in flight.

    Parameters
    ----------
    result : StaticResult
    arch : Architecture
        The architecture that was solved.
    ax : matplotlib.axes.Axes, optional
    theme : {"light", "dark"}, optional
    limit : int
        Components that are drawn where there are more than 60, the most displaced first.

    Raises
    ------
    ModelError
        If the result belongs to another architecture.
    """
    if tuple(result.components) != tuple(arch.names):
        raise ModelError("the result belongs to another architecture", field="arch")
    whole, u = len(arch), displacement(arch, result)
    if whole > LIMIT:
        kept = {arch.names[i] for i in np.argsort(-u, kind="stable")[:limit].tolist()}
        u = np.array([value for name, value in zip(arch.names, u) if name in kept])
        arch = arch.without(*(name for name in arch.names if name not in kept))
    found = view(arch, result, limit=len(arch))
    top = float(u.max(initial=0.0)) or 1.0
    layer = np.maximum(found.layout.layer, 0)
    depth = int(layer.max(initial=0)) + 1
    ax, colours = axes_for(ax, theme, (min(max(2.1 * depth + 1.4, 7.0), 16.0), 5.2))
    ax.axhline(0.0, color=colours.muted, linewidth=1.0)
    rate = found.rate_per_s / (float(found.rate_per_s.max(initial=0.0)) or 1.0)
    for k in np.flatnonzero(rate > 0).tolist():
        a, b = int(found.source[k]), int(found.target[k])
        ax.plot(layer[[a, b]], u[[a, b]], linewidth=0.5 + 2.6 * rate[k] ** 0.5, zorder=1, color=colours.cycle[0],
                alpha=0.2 + 0.5 * float(rate[k]) ** 0.5, linestyle=":" if found.layout.backward[k] else "-",
                solid_capstyle="round")
    fill = STATE_COLOURS[colours.name]
    for state in dict.fromkeys(found.state):
        mine = np.flatnonzero([s == state for s in found.state])
        ax.scatter(layer[mine], u[mine], s=38, marker=MARKS.get(state, "o"), color=fill[state], zorder=3,
                   edgecolors=colours.ink, linewidths=0.6)
    _labels(ax, colours, found, layer, u, top)
    ax.set_ylim(1.08 * top, -0.09 * top)
    ax.set_xlim(-0.25, depth - 1 + 0.75)
    ax.set_xticks(range(depth), ["callers", *[""] * (depth - 2), "callees"] if depth > 1 else [""])
    title = f"{cut(arch.name, 40)}: deformed shape at load factor {result.load_factor:g}"
    if len(arch):
        far = int(np.argmax(u))
        title += f"; {cut(arch.names[far])} gives most, {in_short(float(u[far]))} requests"
    if len(arch) < whole:
        title += f" (the {len(arch)} most displaced of {whole:,} components)"
    return finish(ax, colours, title=title, y="displacement u, with A u = N [requests]", grid="y",
                  x="layer of the call graph; width: calls a second; the top line is the unloaded shape")


def _labels(ax: Any, colours: Any, found: Any, layer: Any, u: Any, top: float) -> None:
    """Write the names of the displaced components, the largest first, where there is room in their layer."""
    strip = {"facecolor": colours.paper, "edgecolor": "none", "alpha": 0.72, "pad": 0.4}
    taken: dict[int, list[float]] = {}
    hidden: dict[int, int] = {}
    for i in np.argsort(-u, kind="stable").tolist():
        places = taken.setdefault(int(layer[i]), [])
        if u[i] < 0.006 * top or any(abs(u[i] - y) < _APART * top for y in places):
            hidden[int(layer[i])] = hidden.get(int(layer[i]), 0) + 1
            continue
        places.append(float(u[i]))
        ax.annotate(f"{cut(found.labels[i], 22)}  {in_short(float(u[i]))}", (layer[i], u[i]), xytext=(7, 0),
                    va="center", zorder=2, textcoords="offset points", fontsize=8, color=colours.ink, bbox=strip)
    for at, count in hidden.items():
        ax.annotate(f"+ {count} less displaced", (at, 0.0), xytext=(0, 7), textcoords="offset points", fontsize=7.5,
                    color=colours.muted, ha="left")
