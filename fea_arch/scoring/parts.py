"""Independent parts of an architecture: what shares no call and no host cannot fail together."""

from __future__ import annotations

import numpy as np

from fea_arch.architecture import Architecture

__all__ = ["parts_of"]


def parts_of(arch: Architecture) -> list[Architecture]:
    """Return the parts that carry load, in the order of their first component."""
    n, graph = len(arch), arch.graph
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = list(zip(graph.source.tolist(), graph.target.tolist()))
    if arch.hosts:
        first: dict[str, int] = {}
        cpu = np.nan_to_num(np.asarray(arch.component_columns.column("cpu_s"), float))
        for i, name in enumerate(arch.component_columns.column("host")):
            if name is not None and cpu[i] > 0:
                pairs.append((first.setdefault(str(name), i), i))
    for i, j in pairs:
        a, b = root(i), root(j)
        if a != b:
            parent[max(a, b)] = min(a, b)
    roots = [root(i) for i in range(n)]
    if len(set(roots)) == 1:
        return [arch]
    loaded = sorted({roots[arch.index[load.entry]] for load in arch.loads if (load.rate_per_s or 0.0) > 0})
    names = arch.names
    return [arch.without(*(names[i] for i in range(n) if roots[i] != r)) for r in loaded]
