"""Pictures of the static answer: stress by component, the loaded architecture, its deformed shape, influence lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.style import BANDS, STATE_COLOURS, axes_for, cut, finish

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["plot_deformed", "plot_influence", "plot_static"]

#: Hatches tell the states apart in a grey print.
_HATCH = {"yielding": "///", "failing": "xxx"}


def plot_static(
    result: StaticResult,
    ax: Any = None,
    *,
    arch: Architecture | None = None,
    limit: int = 20,
    theme: str | None = None,
) -> Any:
    """Draw the utilisation of the most stressed components as bars; with ``arch`` the loaded architecture.

    Parameters
    ----------
    result : StaticResult
    ax : matplotlib.axes.Axes, optional
    arch : Architecture, optional
        The architecture that was solved.
    limit : int
        Components that are shown.
    theme : {"light", "dark"}, optional
    """
    if arch is not None:
        from fea_arch.plotting.architecture import plot_architecture

        return plot_architecture(arch, ax, result=result, theme=theme)
    title = f"Stress of {len(result.components)} components at load factor {result.load_factor:g}"
    return stress_bars(result, result.state, ax, limit=limit, theme=theme, title=title)


def stress_bars(
    result: Any, states: Any, ax: Any, *, limit: int, theme: str | None, title: str, error: Any = None
) -> Any:
    """Draw utilisation bars with the limits of the states; each bar carries the response time."""
    order = np.argsort(-np.asarray(result.utilisation), kind="stable")[:limit]
    ax, colours = axes_for(ax, theme, (7.5, 1.3 + 0.27 * max(len(order), 3)))
    fill = STATE_COLOURS[colours.name]
    rho = np.asarray(result.utilisation)[order]
    down = np.flatnonzero([states[i] == "down" for i in order])
    for state in ("idle", "elastic", "yielding", "failing", "down"):
        mine = np.flatnonzero([states[i] == state for i in order])
        if mine.size and (state not in ("idle", "down") or rho[mine].max() > 0):
            ax.barh(
                mine, rho[mine], color=fill[state], edgecolor=colours.paper, hatch=_HATCH.get(state), label=state,
                height=0.72, xerr=None if error is None else np.nan_to_num(np.asarray(error)[order][mine]),
                ecolor=colours.ink,
            )
    for row, i in enumerate(order.tolist()):
        response = float(result.response_s[i])
        text = "not available" if row in down else time_label(response)
        ax.annotate(text, (rho[row], row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8,
                    color=colours.muted)
    for value, word in zip(BANDS, ("yield", "failure")):
        ax.axvline(value, color=colours.ink, linewidth=0.9, linestyle="--" if word == "yield" else "-.",
                   label=f"{word} limit {value:.0%}")
    ax.set_yticks(range(len(order)), [cut(result.components[i]) for i in order])
    ax.invert_yaxis()
    ax.set_xlim(0, max(1.0, float(rho.max(initial=0.0)) * 1.15))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    ax.legend(fontsize=8, loc="lower right")
    return finish(ax, colours, title=title, x="utilisation (the text at each bar: response time)", grid="x")


def time_label(seconds: float) -> str:
    """Return a time as short text in the unit that suits it."""
    if not np.isfinite(seconds):
        return "-"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def plot_deformed(
    result: StaticResult,
    arch: Architecture,
    ax: Any = None,
    *,
    scale: float | None = None,
    theme: str | None = None,
) -> Any:
    """Draw the deformed shape: every component sinks by its displacement, the work in flight below and in it.

    The displacement solves compatibility ``A u = N`` with the calls of each request, so it falls from the entries to
    the ground along every load path; its largest value is stated in the title.

    Parameters
    ----------
    result : StaticResult
    arch : Architecture
        The architecture that was solved.
    ax : matplotlib.axes.Axes, optional
    scale : float, optional
        Rows per request in flight; default the largest displacement is a third of the height.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        If the result belongs to another architecture.
    """
    from fea_arch.plotting.view import view

    if tuple(result.components) != tuple(arch.names):
        raise ModelError("the result belongs to another architecture", field="arch")
    found = view(arch, result, limit=len(arch))
    u = displacement(arch, result)
    height = max(found.layout.height, 3.0)
    top = float(u.max(initial=0.0))
    factor = scale if scale is not None else (0.33 * height / top if top > 0 else 0.0)
    ax, colours = axes_for(
        ax, theme, (max(0.078 * found.layout.width + 0.6, 6.4), min(0.225 * 1.35 * height + 1.4, 20.0))
    )
    x, y = found.layout.x, -found.layout.y
    low = y - factor * u
    for k, (a, b) in enumerate(zip(found.source.tolist(), found.target.tolist())):
        first = k == 0
        ax.plot(x[[a, b]], y[[a, b]], color=colours.faint, linewidth=0.9, zorder=1,
                label="without load" if first else None)
        ax.plot(x[[a, b]], low[[a, b]], color=colours.cycle[0], linewidth=1.3, zorder=2, alpha=0.8,
                label="under load" if first else None)
    ax.scatter(x, y, s=18, color=colours.faint, zorder=2)
    ax.scatter(x, low, s=34, color=colours.cycle[1], edgecolors=colours.ink, linewidths=0.5, zorder=3)
    for i in np.argsort(-u)[:40].tolist():
        ax.annotate(cut(found.labels[i]), (x[i], low[i]), xytext=(6, -1), textcoords="offset points", fontsize=8,
                    va="center", color=colours.ink)
    ax.set_xlim(-1.0, found.layout.width + 1.0)
    if found.source.size:
        ax.legend(fontsize=8, loc="upper right", frameon=False)
    title = f"{cut(arch.name, 40)}: deformed shape, largest displacement {top:.4g} requests"
    finish(ax, colours, title=title, grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def displacement(arch: Architecture, result: StaticResult) -> Any:
    """Return nodal displacements ``u`` with ``A u = N`` (n,) float64 [req]."""
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.linalg import spsolve

    graph, n = arch.graph, len(arch)
    calls = csr_array((graph.calls, (graph.source, graph.target)), shape=(n, n))
    return np.asarray(spsolve((eye_array(n) - calls).tocsc(), np.asarray(result.in_flight, float))).reshape(n)


def plot_influence(
    arch: Architecture, component: str, ax: Any = None, *, limit: int = 20, theme: str | None = None
) -> Any:
    """Draw the influence line of a component: its requests per request that enters at each component.

    Row of the inverse of the traffic operator, ``(I - P)^-1``: the load path read backwards.

    Parameters
    ----------
    arch : Architecture
    component : str
        Where the effect is looked at.
    ax : matplotlib.axes.Axes, optional
    limit : int
        Places of load that are shown, the most effective first; places where load enters are marked.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        If there is no such component.
    """
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.linalg import spsolve

    i, n, graph = arch.number(component), len(arch), arch.graph
    calls = csr_array((graph.calls, (graph.source, graph.target)), shape=(n, n))
    unit = np.zeros(n)
    unit[i] = 1.0
    effect = np.asarray(spsolve((eye_array(n) - calls).tocsc(), unit)).reshape(n)
    order = np.argsort(-effect, kind="stable")[:limit]
    order = order[effect[order] > 1e-12]
    entries = {load.entry for load in arch.loads}
    ax, colours = axes_for(ax, theme, (7.0, 1.4 + 0.27 * max(order.size, 3)))
    for mine, word, colour in ((True, "load enters here", colours.cycle[1]), (False, "no load here", colours.cycle[0])):
        rows = [r for r, k in enumerate(order.tolist()) if (arch.names[k] in entries) is mine]
        if rows:
            ax.barh(rows, effect[order[rows]], color=colour, height=0.7, label=word, hatch="//" if mine else None,
                    edgecolor=colours.paper)
    ax.set_yticks(range(order.size), [cut(arch.names[k]) for k in order])
    ax.invert_yaxis()
    ax.legend(fontsize=8, loc="lower right")
    return finish(ax, colours, title=f"Influence line of {cut(component)}", grid="x",
                  x=f"requests at {cut(component)} per request that enters at")
