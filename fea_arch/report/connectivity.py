"""How an architecture hangs together: counts for reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.components import strong_components

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["connectivity"]

#: Edges above which scipy's graph routines pay for their import.
LARGE = 20_000


def connectivity(arch: Architecture) -> dict[str, Any]:
    """Return counts and names that describe how the components hang together.

    Parameters
    ----------
    arch : Architecture

    Returns
    -------
    dict
        ``components``, ``dependencies``, ``balancers``, ``entries`` (names), ``islands`` (weakly connected parts),
        ``unreached`` (components that no load reaches), ``cycles`` (groups of components that call each other in a
        circle, the first ten by name), ``leaves`` (components that call nobody), ``largest_fan_out`` and
        ``largest_fan_in`` with their components, ``not_available`` (names).
    """
    graph, n = arch.graph, len(arch)
    live = graph.calls > 0
    source, target = graph.source[live], graph.target[live]
    order = np.argsort(source, kind="stable")
    ptr = np.searchsorted(source[order], np.arange(n + 1)).astype(np.int64)
    callee = np.ascontiguousarray(target[order], dtype=np.int64)
    nodes, start = strong_components(ptr, callee)
    groups = [nodes[a:b] for a, b in zip(start[:-1], start[1:]) if b - a > 1]
    out, into = np.bincount(source, minlength=n), np.bincount(target, minlength=n)
    down = np.flatnonzero(~arch.component_columns.column("available"))
    return {
        "components": n,
        "dependencies": len(arch.dependencies),
        "balancers": len(arch.balancers),
        "entries": sorted({load.entry for load in arch.loads}),
        "islands": _islands(n, source, target),
        "unreached": next((f.count for f in arch.check() if f.message.startswith("no load reaches")), 0),
        "cycles": len(groups),
        "cycle_members": [[arch.names[i] for i in group[:20]] for group in groups[:10]],
        "leaves": int(np.count_nonzero(out == 0)),
        "largest_fan_out": _largest(arch, out),
        "largest_fan_in": _largest(arch, into),
        "not_available": [arch.names[i] for i in down[:100]],
    }


def _largest(arch: Architecture, degree: NDArray[np.int64]) -> dict[str, Any]:
    if not degree.size:
        return {"component": None, "dependencies": 0}
    i = int(np.argmax(degree))
    return {"component": arch.names[i], "dependencies": int(degree[i])}


def _islands(n: int, source: NDArray[np.int64], target: NDArray[np.int64]) -> int:
    if source.size > LARGE:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        links = coo_array((np.ones(source.size, np.int8), (source, target)), shape=(n, n))
        count, _ = connected_components(links, directed=False)
        return int(count)
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    left = n
    for a, b in zip(source.tolist(), target.tolist()):
        x, y = find(a), find(b)
        if x != y:
            root[x] = y
            left -= 1
    return left
