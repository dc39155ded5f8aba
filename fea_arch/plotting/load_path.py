"""The load path: where the requests of one entry go, on the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.plotting.architecture import draw_view, paper_size
from fea_arch.plotting.style import axes_for, cut
from fea_arch.plotting.view import LIMIT, view

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["plot_load_path"]

#: Calls with less of the entry's requests are left out.
_LEAST = 1e-4


def plot_load_path(
    result: StaticResult, arch: Architecture, ax: Any = None, *, entry: str | None = None, theme: str | None = None,
    limit: int = LIMIT,
) -> Any:
    """Draw the part of the graph that the requests of one entry reach; widths are its calls a second.

    Visits follow from equilibrium, ``(I - P)^T v = e``; the number beside a name is the visits for each request that
    enters, the colour the utilisation by all load.

    Parameters
    ----------
    result : StaticResult
    arch : Architecture
        The architecture that was solved.
    ax : matplotlib.axes.Axes, optional
    entry : str, optional
        Default the entry with the largest load.
    theme : {"light", "dark"}, optional
    limit : int
        Components that are shown, the most visited first.

    Raises
    ------
    ModelError
        If there is no such component, or no load.
    """
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.linalg import spsolve

    graph, n = arch.graph, len(arch)
    if entry is None:
        if not arch.loads:
            raise ModelError("no load enters", field="loads", fix="name a component: at=...")
        entry = max(arch.loads, key=lambda load: load.rate_per_s or 0.0).entry
    first = arch.number(entry)
    unit = np.zeros(n)
    unit[first] = 1.0
    calls = csr_array((graph.calls, (graph.source, graph.target)), shape=(n, n))
    visits = np.asarray(spsolve((eye_array(n) - calls).T.tocsc(), unit)).reshape(n)
    reached = np.flatnonzero(visits > _LEAST)
    reached = reached[np.argsort(-visits[reached], kind="stable")][:limit]
    names = {arch.names[i] for i in reached.tolist()}
    part = arch.without(*(name for name in arch.names if name not in names)) if len(names) < n else arch
    found = view(part, result, limit=len(part))
    share = np.array([visits[arch.index[name]] for name in part.names])
    total = float(sum(load.rate_per_s or 0.0 for load in arch.loads if load.entry == entry)) or 1.0
    texts = tuple(f"{label}  {v:.3g}" for label, v in zip(found.labels, share.tolist()))
    rate = total * share[found.source] * np.asarray(part.graph.calls, float)
    alone = np.array([name == entry for name in part.names])
    found = replace(found, texts=texts, rate_per_s=rate, entry=alone)
    ax, colours = axes_for(ax, theme, paper_size(found))
    left = int(np.count_nonzero(visits > _LEAST)) - len(part)
    title = f"Load path of {cut(entry)}: it reaches {len(part) - 1 + max(left, 0)} of {n - 1} other components"
    return draw_view(found, ax, colours, title, stressed=True)
