"""Overload cascades on a graph: brittle nodes that break, or yielding nodes that slow down.

The two classical models are special cases of the avalanche at constant load. The load of a node is the number of most
efficient paths through it (betweenness), its capacity ``(1 + tolerance)`` times its load before the attack.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError, suggestion
from fea_arch.results.cascade import CascadeResult
from fea_arch.solvers.avalanche import run_avalanche
from fea_arch.solvers.network import Array

__all__ = ["cascade"]

#: Load above capacity that is rounding.
ROUNDING = 1e-9


def cascade(
    graph: Architecture | Any,
    attacked: Iterable[Any],
    *,
    tolerance: float = 0.0,
    model: Literal["motter_lai", "crucitti"] = "motter_lai",
    strengthened: Mapping[Any, float] | None = None,
    max_waves: int = 1000,
) -> CascadeResult:
    """Remove nodes and follow how the paths that went through them overload others.

    Parameters
    ----------
    graph : Architecture, networkx.Graph or (n_edges, 2) array_like of int
        Calls count in both directions.
    attacked : iterable
        Nodes (names or numbers) that are removed at first.
    tolerance : float
        Spare capacity ``alpha``: capacity over first load, minus one [1].
    model : str
        ``"motter_lai"``: overloaded nodes break (A. E. Motter and Y.-C. Lai, Phys. Rev. E 66 (2002) 065102).
        ``"crucitti"``: the calls of an overloaded node slow down to capacity over load of their first efficiency
        (P. Crucitti, V. Latora and M. Marchiori, Phys. Rev. E 69 (2004) 045104).
    strengthened : mapping, optional
        Factors on the capacity of some nodes.
    max_waves : int
        Bound on waves; slowing down may oscillate for ever.

    Returns
    -------
    CascadeResult

    Raises
    ------
    ModelError
        For a graph without calls, an unknown node or model, or a tolerance that is negative.

    Examples
    --------
    A ring of nine nodes breaks unless every node bears twice its load:

    >>> ring = [(k, (k + 1) % 9) for k in range(9)]
    >>> [round(float(cascade(ring, [0], tolerance=a).largest_component[-1]), 4) for a in (0.999, 1.001)]
    [0.3333, 0.8889]
    """

    if model not in ("motter_lai", "crucitti"):
        raise ModelError(
            f"unknown model {model!r}.{suggestion(str(model), ('motter_lai', 'crucitti'))}", field="model",
            fix="motter_lai or crucitti",
        )  # fmt: skip
    if not (isinstance(tolerance, (int, float, np.number)) and 0.0 <= float(tolerance) < math.inf):
        raise ModelError(f"is {tolerance!r}", field="tolerance", fix="a finite number of 0 or more")
    work, number = _graph(graph)
    n = work.number_of_nodes()
    gone = [_number(number, node, "attacked") for node in attacked]
    for a, b in work.edges:
        work.edges[a, b]["length"] = 1.0
    weight = "length" if model == "crucitti" else None
    first, whole = _paths(work, weight, n), _efficiency(work, n)
    capacity = (1.0 + float(tolerance)) * first
    for node, factor in (strengthened or {}).items():
        capacity[_number(number, node, "strengthened")] *= factor
    work.remove_nodes_from(gone)
    parts, speed = [_largest(work) / n], [_efficiency(work, n) / whole]

    def respond() -> Array:
        return _paths(work, weight, n)

    def note() -> None:
        parts.append(_largest(work) / n)
        speed.append(_efficiency(work, n) / whole)

    if model == "motter_lai":

        def take_out(nodes: Any, wave: int) -> None:
            work.remove_nodes_from(nodes)
            note()

        load, waves = run_avalanche(
            respond, lambda now: np.flatnonzero(now > capacity + ROUNDING).tolist(), take_out, max_waves
        )
        return CascadeResult(tuple(map(tuple, waves)), np.array(parts), np.array(speed), load, capacity)

    def slowed(now: Array) -> list[tuple[int, int, float]]:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(now > capacity + ROUNDING, capacity / now, 1.0)
        found = [(a, b, 1.0 / max(min(share[a], share[b]), 1e-12)) for a, b in work.edges]
        return [c for c in found if abs(work.edges[c[0], c[1]]["length"] - c[2]) > 1e-9 * c[2]]

    def slow_down(calls: Any, wave: int) -> None:
        for a, b, length in calls:
            work.edges[a, b]["length"] = length
        note()

    load, _ = run_avalanche(respond, slowed, slow_down, max_waves)
    return CascadeResult((), np.array(parts), np.array(speed), load, capacity)


def _graph(graph: Any) -> tuple[Any, dict[Any, int]]:
    """Return an undirected graph over 0 .. n - 1 and the number of each node's name."""
    import networkx as nx

    if isinstance(graph, Architecture):
        names: list[Any] = list(graph.names)
        pairs = list(zip(graph.graph.source.tolist(), graph.graph.target.tolist()))
    elif isinstance(graph, nx.Graph):
        names = list(graph.nodes)
        place = {name: k for k, name in enumerate(names)}
        pairs = [(place[a], place[b]) for a, b in graph.edges]
    else:
        ends = np.asarray(graph)
        if ends.ndim != 2 or ends.shape[1] != 2 or ends.dtype.kind not in "iu" or (ends.size and ends.min() < 0):
            fix = "an architecture, a networkx graph or pairs of numbers"
            raise ModelError("is not a graph", field="graph", fix=fix)
        names = list(range(int(ends.max()) + 1 if ends.size else 0))
        pairs = [(int(a), int(b)) for a, b in ends]
    work = nx.Graph()
    work.add_nodes_from(range(len(names)))
    work.add_edges_from((a, b) for a, b in pairs if a != b)
    if not work.number_of_edges():
        raise ModelError("has no calls between different nodes", field="graph", fix="a graph with at least one edge")
    return work, {name: k for k, name in enumerate(names)}


def _number(number: dict[Any, int], node: Any, field: str) -> int:
    if node not in number:
        raise ModelError(f"unknown node {node!r}.{suggestion(str(node), map(str, number))}", field=field)
    return number[node]


def _paths(work: Any, weight: str | None, n: int) -> Array:
    import networkx as nx

    found = np.zeros(n)
    for node, value in nx.betweenness_centrality(work, normalized=False, weight=weight).items():
        found[node] = value
    return found


def _efficiency(work: Any, n: int) -> float:
    """Mean of ``1 / length`` over all pairs of the ``n`` nodes before the attack."""
    import networkx as nx

    total = 0.0
    for node, far in nx.all_pairs_dijkstra_path_length(work, weight="length"):
        total += sum(1.0 / d for other, d in far.items() if other != node)
    return total / (n * (n - 1))


def _largest(work: Any) -> int:
    import networkx as nx

    return max((len(part) for part in nx.connected_components(work)), default=0)

