"""What a picture of an architecture shows: every component up to a limit, beyond it groups of components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.plotting.layout import Layout, layers, place
from fea_arch.plotting.style import BANDS, LABEL

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["LIMIT", "View", "view"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Components that are drawn one by one.
LIMIT = 60
#: Depth bands and groups per band of an aggregated picture.
DEPTHS, GROUPS = 5, 9
#: Calls between groups that are drawn.
DRAWN_CALLS = 70


@dataclass(frozen=True, eq=False)
class View:
    """Nodes and edges of a picture.

    Attributes
    ----------
    labels, texts : tuple of str
        Name of each node, and the same with its utilisation where that is known.
    members : tuple of tuple of str
        Components that each node stands for.
    stress : (n,) float64
        Largest utilisation of the members; NaN without a result [1].
    state : tuple of str
        Material state of the most stressed member.
    memory_bytes : (n,) float64
        Known memory of the members; NaN where nothing is known [bytes].
    entry : (n,) bool
        Whether load enters.
    source, target : (n_edges,) int64
        Drawn calls by node number.
    rate_per_s : (n_edges,) float64
        Calls a second with a result, else calls per request.
    events : (n_edges,) bool
        Calls that nobody waits for.
    layout : Layout
        Positions.
    note : str
        What the picture leaves out; empty if nothing.
    aggregated : bool
        Whether nodes stand for groups.
    """

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    stress: Array
    state: tuple[str, ...]
    memory_bytes: Array
    entry: NDArray[np.bool_]
    source: Index
    target: Index
    rate_per_s: Array
    events: NDArray[np.bool_]
    layout: Layout
    note: str
    aggregated: bool


def state_of(stress: float) -> str:
    """Return the material state of a utilisation under the default limits."""
    if np.isnan(stress) or stress <= 0:
        return "idle"
    return "elastic" if stress <= BANDS[0] else "yielding" if stress <= BANDS[1] else "failing"


def view(arch: Architecture, result: Any = None, *, limit: int = LIMIT) -> View:
    """Return what to draw.

    Parameters
    ----------
    arch : Architecture
    result : StaticResult or SimulationResult, optional
        Gives stress, state, memory and rates.
    limit : int
        Components beyond which groups are drawn: those at a similar depth that call each other most.
    """
    graph, n = arch.graph, len(arch)
    columns = arch.component_columns
    stress = np.full(n, np.nan)
    memory = np.array(columns.column("memory_bytes"), float)
    flow = np.array(graph.calls, float)
    state = ["idle"] * n
    if result is not None:
        at = np.array([arch.index.get(c, -1) for c in result.components], np.int64)
        known = np.flatnonzero(at >= 0)
        stress[at[known]] = np.asarray(result.utilisation, float)[known]
        memory[at[known]] = np.asarray(result.memory_bytes, float)[known]
        through = np.zeros(n)
        through[at[known]] = np.nan_to_num(np.asarray(result.throughput_per_s, float)[known])
        flow = through[graph.source] * graph.calls
        given = getattr(result, "state", None)
        for k in known.tolist():
            state[at[k]] = given[k] if given is not None else state_of(float(stress[at[k]]))
    for i in np.flatnonzero(~columns.column("available")).tolist():
        state[i] = "down"
    entry = np.zeros(n, bool)
    entry[[arch.index[load.entry] for load in arch.loads]] = True
    if n > limit:
        return _groups(arch, stress, state, memory, entry, flow)
    labels = tuple(arch.names)
    shown = [text if len(text) <= LABEL else text[: LABEL - 1] + "…" for text in labels]
    texts = _texts(shown, stress, state)
    layout = place(texts, graph.source, graph.target, _relative(flow))
    return View(
        tuple(shown), texts, tuple((name,) for name in labels), stress, tuple(state), memory, entry, graph.source,
        graph.target, flow, ~graph.sync, layout, "", False,
    )


def _texts(labels: Sequence[str], stress: Array, state: Sequence[str]) -> tuple[str, ...]:
    """Return labels with the utilisation in percent, or with the word down."""
    texts = []
    for label, rho, word in zip(labels, stress.tolist(), state):
        if word == "down":
            texts.append(f"{label} (down)")
        elif np.isnan(rho) or rho < 0.0005:
            texts.append(label)
        else:
            texts.append(f"{label}  {100 * rho:.0f} %" if rho >= 0.0095 else f"{label}  {100 * rho:.1f} %")
    return tuple(texts)


def _relative(flow: Array) -> Array:
    top = float(flow.max(initial=0.0))
    return flow / top if top > 0 else np.zeros_like(flow)


def _communities(arch: Architecture, flow: Array) -> Index:
    """Return the community of each component (Louvain, seeded)."""
    import networkx as nx

    undirected = nx.Graph()
    undirected.add_nodes_from(range(len(arch)))
    weight = 0.05 + _relative(flow)
    for a, b, w in zip(arch.graph.source.tolist(), arch.graph.target.tolist(), weight.tolist()):
        old = undirected.get_edge_data(a, b, {"weight": 0.0})["weight"]
        undirected.add_edge(a, b, weight=old + w)
    community = np.zeros(len(arch), np.int64)
    for k, nodes in enumerate(nx.community.louvain_communities(undirected, weight="weight", seed=0)):
        community[sorted(nodes)] = k
    return community


def _groups(
    arch: Architecture, stress: Array, state: Sequence[str], memory: Array, entry: NDArray[np.bool_], flow: Array
) -> View:
    """Return a view of groups: components of one community at a similar depth of the call graph."""
    graph, n = arch.graph, len(arch)
    layer, _ = layers(n, graph.source, graph.target, _relative(flow))
    # depth bands with similar numbers of components; equal depths stay together
    cuts = np.quantile(layer, np.arange(1, DEPTHS) / DEPTHS)
    band = np.searchsorted(np.unique(cuts), layer, side="left")
    community = _communities(arch, flow)
    group = np.full(n, -1, np.int64)
    found: list[Index] = []
    bands: list[int] = []
    for k in range(int(band.max()) + 1):
        mine = np.flatnonzero(band == k)
        if not mine.size:
            continue
        names, counts = np.unique(community[mine], return_counts=True)
        large = names[np.argsort(-counts, kind="stable")][: GROUPS - 1]
        parts = [mine[community[mine] == c] for c in large]
        rest = mine[~np.isin(community[mine], large)]
        for part in [*parts, rest] if rest.size else parts:
            group[part] = len(found)
            found.append(part)
            bands.append(k)
    top = np.nan_to_num(stress, nan=-1.0)
    through = np.bincount(graph.target, weights=flow, minlength=n) + graph.rate_per_s
    lead = [int(part[np.lexsort((-through[part], -top[part]))[0]]) for part in found]
    labels = tuple(
        (arch.names[i] if len(arch.names[i]) <= 20 else arch.names[i][:19] + "…")
        + (f" + {len(part) - 1}" if len(part) > 1 else "")
        for i, part in zip(lead, found)
    )
    inside = int(np.count_nonzero(group[graph.source] == group[graph.target]))
    pairs, back = np.unique(group[graph.source] * len(found) + group[graph.target], return_inverse=True)
    rate = np.asarray(np.bincount(back, weights=flow, minlength=pairs.size), np.float64)
    source, target = pairs // len(found), pairs % len(found)
    count = np.bincount(back, minlength=pairs.size)
    other = source != target
    kept = np.flatnonzero(other)[np.argsort(-rate[other], kind="stable")[:DRAWN_CALLS]]
    kept.sort()
    share = rate[kept].sum() / rate[other].sum() if rate[other].sum() > 0 else 1.0
    events = np.bincount(back, weights=(~graph.sync).astype(float), minlength=pairs.size) > 0.5 * count
    ranks = {k: i for i, k in enumerate(sorted(set(bands)))}
    most = np.array([stress[i] for i in lead])
    texts = _texts(labels, most, [state[i] for i in lead])
    layout = place(
        texts, source[kept], target[kept], _relative(rate[kept]), np.array([ranks[k] for k in bands], np.int64)
    )
    note = (
        f"{n:,} components in {len(found)} groups (similar depth, same community), named after the most stressed "
        f"member.\n{kept.size} of {int(other.sum())} bundles of calls between groups are drawn, {share:.0%} of the "
        f"calls; {inside:,} of {graph.n_edges:,} calls stay inside a group."
    )
    sizes = np.array([np.nansum(memory[p]) if np.isfinite(memory[p]).any() else np.nan for p in found])
    return View(
        labels, texts, tuple(tuple(arch.names[i] for i in part.tolist()) for part in found),
        most, tuple(state[i] for i in lead), sizes,
        np.array([bool(entry[p].any()) for p in found]), source[kept], target[kept], rate[kept], events[kept], layout,
        note, True,
    )
