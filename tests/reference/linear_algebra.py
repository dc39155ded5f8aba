"""Slow references: dense assembly and solve, fracture by solving afresh after every break, lattices and graphs."""

from __future__ import annotations

import numpy as np


def dense_stiffness(mesh, moduli):
    """``A^T G A`` on the free nodes."""
    a = mesh.incidence.toarray()[:, mesh.free]
    return a.T @ np.diag(moduli) @ a


def break_down_afresh(mesh, f, strength, prescribed=None, tiny=1e-9):
    """Break the largest |force| / strength first, solving densely each time; return (sequence, load factors)."""
    a = mesh.incidence.toarray()
    k = mesh.stiffness().copy()
    held = np.union1d(mesh.supports, np.array(sorted(prescribed or {}), np.int64)).astype(np.int64)
    free = np.setdiff1d(np.arange(mesh.n_nodes), held)
    value = np.zeros(mesh.n_nodes)
    for node, v in (prescribed or {}).items():
        value[node] = v
    sequence, factors = [], []
    f = np.zeros(mesh.n_nodes) if f is None else np.asarray(f, float)
    while True:
        big = a.T @ np.diag(k) @ a
        right = f[free] - big[np.ix_(free, held)] @ value[held]
        u = value.copy()
        u[free] = np.linalg.lstsq(big[np.ix_(free, free)], right, rcond=1e-12)[0]
        if np.abs(big[np.ix_(free, free)] @ u[free] - right).max(initial=0.0) > 1e-8 * max(1.0, np.abs(f).max()):
            return sequence, factors  # the load cannot be carried
        q = k * (a @ u)
        ratio = np.abs(q) / strength
        if ratio.max() < tiny:
            return sequence, factors
        e = int(np.argmax(ratio))
        sequence.append(e)
        factors.append(1.0 / ratio[e])
        k[e] = 0.0


def diamond(size):
    """Diamond lattice between two buses: node 0 is the bottom bus, the last node the top bus; bond 2(rL+j)+s."""

    def node(row, column):
        return 0 if row == 0 else 1 + (size - 1) * size if row == size else 1 + (row - 1) * size + column % size

    ends = []
    for row in range(size):
        for column in range(size):
            ends.append((node(row + 1, column), node(row, column)))
            ends.append((node(row + 1, column - 1 if row % 2 == 0 else column + 1), node(row, column)))
    return 2 + (size - 1) * size, np.array(ends)


def congruential(count, seed):
    """Thresholds (x + 1/2) / 2^32 of the generator x <- (1664525 x + 1013904223) mod 2^32."""
    out, x = [], seed
    for _ in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        out.append((x + 0.5) / 2**32)
    return np.array(out)


def lattice(rows, columns, *, periodic=False):
    """Square lattice: (n_nodes, ends), node r * columns + c; vertical bonds first."""
    node = np.arange(rows * columns).reshape(rows, columns)
    up = np.c_[node[1:].ravel(), node[:-1].ravel()]
    if periodic:
        side = np.c_[node.ravel(), np.roll(node, -1, 1).ravel()]
    else:
        side = np.c_[node[:, :-1].ravel(), node[:, 1:].ravel()]
    return node.size, np.concatenate([up, side])


def scale_free(n, m, seed=0):
    """Barabasi-Albert edges: each new node joins m different nodes, chosen in proportion to their degree."""
    rng = np.random.default_rng(seed)
    pool = np.empty(2 * m * (n - m) + m, np.int64)
    pool[:m] = np.arange(m)
    size, ends = m, np.empty((m * (n - m), 2), np.int64)
    t = 0
    for v in range(m, n):
        chosen: set[int] = set()
        while len(chosen) < m:
            chosen.add(int(pool[rng.integers(size)]))
        for c in sorted(chosen):
            ends[t] = v, c
            t += 1
            pool[size], pool[size + 1] = v, c
            size += 2
    return ends


def random_tree_graph(rng, n, extra):
    """Connected random simple graph: a random tree and ``extra`` further distinct edges."""
    pairs = {(int(rng.integers(0, i)), i) for i in range(1, n)}
    for _ in range(extra):
        i, j = sorted(int(v) for v in rng.integers(0, n, 2))
        if i != j:
            pairs.add((i, j))
    return np.array(sorted(pairs))
