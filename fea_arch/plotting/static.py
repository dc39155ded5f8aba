"""Pictures of the static answer: stress by component, the loaded architecture, influence lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError, suggestion
from fea_arch.plotting.style import BANDS, STATE_COLOURS, axes_for, cut, finish, in_short

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["plot_influence", "plot_static", "stress_bars"]

_KINDS = ("stress", "architecture", "deformed", "load path", "influence")
#: Hatches tell the states apart in a grey print.
_HATCH = {"yielding": "///", "failing": "xxx"}


def plot_static(
    result: StaticResult,
    ax: Any = None,
    *,
    arch: Architecture | None = None,
    kind: str | None = None,
    at: str | None = None,
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
    kind : {"stress", "architecture", "deformed", "load path", "influence"}, optional
        Bars of stress; the loaded graph; the displacements along it; the way of the load that enters at ``at``; what
        load at each place does to ``at``. All but the first need ``arch``. Default the first that is possible.
    at : str, optional
        Component of the load path (default the entry with most load) or of the influence line (default the most
        stressed component).
    limit : int
        Components that are shown.
    theme : {"light", "dark"}, optional

    Raises
    ------
    ModelError
        For an unknown kind or component, or if ``arch`` is missing.
    """
    kind = kind or ("stress" if arch is None else "architecture")
    if kind not in _KINDS:
        raise ModelError(f"no picture {kind!r}.{suggestion(kind, _KINDS)}", field="kind", fix=", ".join(_KINDS))
    if kind != "stress" and arch is None:
        raise ModelError(f"the picture {kind!r} needs the architecture", field="arch", fix="plot(arch=..., kind=...)")
    if arch is not None and kind == "deformed":
        from fea_arch.plotting.deformed import plot_deformed

        return plot_deformed(result, arch, ax, theme=theme)
    if arch is not None and kind == "load path":
        from fea_arch.plotting.load_path import plot_load_path

        return plot_load_path(result, arch, ax, entry=at, theme=theme)
    if arch is not None and kind == "influence":
        worst = result.components[int(np.argmax(np.nan_to_num(result.utilisation)))]
        return plot_influence(arch, at or worst, ax, limit=limit, theme=theme)
    if arch is not None and kind == "architecture":
        from fea_arch.plotting.architecture import plot_architecture

        return plot_architecture(arch, ax, result=result, theme=theme)
    title = f"Stress of {len(result.components)} components at load factor {result.load_factor:g}{_fullest(result)}"
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
        past = 0.0 if error is None else float(np.nan_to_num(np.asarray(error)[i]))
        ax.annotate(text, (rho[row] + past, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8,
                    color=colours.muted)
    for value, word in zip(BANDS, ("yield", "failure")):
        ax.axvline(value, color=colours.ink, linewidth=0.9, linestyle="--" if word == "yield" else "-.",
                   label=f"{word} limit {value:.0%}")
    ax.set_yticks(range(len(order)), [cut(result.components[i]) for i in order])
    ax.invert_yaxis()
    ax.set_xlim(0, max(1.0, float(rho.max(initial=0.0)) * 1.15))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    return finish(ax, colours, title=title, x="utilisation (the text at each bar: response time)", grid="x", above=True)


def _fullest(result: Any) -> str:
    if not len(result.components):
        return ""
    i = int(np.argmax(np.nan_to_num(result.utilisation)))
    return f": {cut(result.components[i])} is the fullest, {result.utilisation[i]:.0%}"


def time_label(seconds: float) -> str:
    """Return a time as short text in the unit that suits it."""
    if not np.isfinite(seconds):
        return "-"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


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
    loaded = [k for k in order.tolist() if arch.names[k] in entries]
    most = ""
    if loaded:
        most = f": a request at {cut(arch.names[loaded[0]])} brings {in_short(float(effect[loaded[0]]))} there"
    return finish(ax, colours, title=f"Influence line of {cut(component)}{most}", grid="x", above=True,
                  x=f"requests at {cut(component)} for each one that enters", y="enters at")
