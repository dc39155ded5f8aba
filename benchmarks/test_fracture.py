"""Fracture to collapse against a fresh ``splu`` at every break, side by side on the same breaks; processor time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.linalg import splu

import fea_arch as fa
from fea_arch.assembly import Pattern
from fea_arch.solvers.diagnosis import floating_nodes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference.linear_algebra import lattice, scale_free


def network(size):
    n, ends = lattice(size + 1, size, periodic=True)
    ends = ends[~((ends < size).all(axis=1) | (ends >= n - size).all(axis=1))]  # no bonds inside the buses
    strength = np.random.default_rng(0).random(len(ends))
    mesh = fa.Mesh.from_bars(n, ends, 1.0, supports=np.arange(size), strength=strength)
    return mesh, dict.fromkeys(range(n - size, n), 1.0)


def service_like(kind, n=5000, seed=0):
    """A graph of 5,000 nodes, stiffness over two decades; 8 % of the nodes loaded, 2 % held."""
    rng = np.random.default_rng(seed)
    if kind == "scale-free":
        ends = scale_free(n, 2, seed)
    else:
        layer = np.sort(rng.integers(0, 12, n))
        low = np.searchsorted(layer, layer)  # first node of the own layer
        block = np.arange(n) - np.arange(n) % 50
        pairs = set()
        for i in np.flatnonzero(low > 0).tolist():
            near = kind == "teams" and i > block[i]
            for _ in range(2):
                stray = not near or rng.random() < 0.03
                pairs.add((int(rng.integers(0, low[i])) if stray else int(rng.integers(block[i], i)), i))
        ends = np.array(sorted(pairs))
    k = 10.0 ** rng.uniform(-1.0, 1.0, len(ends))
    nodes = rng.permutation(n)
    held, loaded = nodes[: n // 50], nodes[n // 50 : n // 50 + n * 8 // 100]
    f = np.zeros(n)
    f[loaded] = rng.random(loaded.size)
    mesh = fa.Mesh.from_bars(n, ends, k, supports=held, strength=rng.random(len(ends)))
    f[floating_nodes(mesh, Pattern.of(mesh, fixed=np.sort(held)))] = 0.0
    return mesh, f


def naive(mesh, prescribed, breaks, f=None):
    """Break ``breaks`` elements with a fresh factor each time; return (sequence, seconds a break)."""
    held = np.union1d(mesh.supports, list(prescribed)).astype(np.int64)
    loose = floating_nodes(mesh, Pattern.of(mesh, fixed=held))
    held = np.union1d(held, loose)
    pattern = Pattern.of(mesh, fixed=held)
    u = np.zeros(mesh.n_nodes)
    u[list(prescribed)] = list(prescribed.values())
    load = np.zeros(mesh.n_nodes) if f is None else f
    a = mesh.incidence
    free, k = pattern.free, mesh.stiffness().copy()
    stretch, sequence = a @ u, []
    start = time.process_time()
    for _ in range(breaks):
        right = (load - a.T @ (k * stretch))[free]
        u[free] = splu(pattern.refill(k).tocsc()).solve(right)
        ratio = np.abs(k * (a @ u)) / mesh.strength
        sequence.append(int(ratio.argmax()))
        k[sequence[-1]] = 0.0
    return sequence, (time.process_time() - start) / breaks


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(("size", "checked"), [
    (64, 60), (128, 10), pytest.param(256, 3, marks=pytest.mark.full),
])  # fmt: skip
def test_break_down_of_a_fuse_lattice(benchmark, size, checked):
    mesh, prescribed = network(size)
    fa.break_down(mesh, prescribed=prescribed, max_breaks=1)
    r = benchmark.pedantic(lambda: fa.break_down(mesh, prescribed=prescribed), rounds=3)
    sequence, seconds = naive(mesh, prescribed, checked)
    assert r.sequence[:checked].tolist() == sequence
    assert r.separated
    assert r.residual <= 1e-12
    benchmark.extra_info["breaks"] = int(r.sequence.size)
    benchmark.extra_info["ms_a_break"] = 1e3 * benchmark.stats.stats.min / r.sequence.size
    ratio = seconds * r.sequence.size / benchmark.stats.stats.min
    benchmark.extra_info["times_faster_than_splu_a_break"] = ratio
    assert ratio > 60


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(("kind", "checked"), [
    ("scale-free", 4), ("teams", 8), pytest.param("layers", 3, marks=pytest.mark.full),
])  # fmt: skip
def test_break_down_of_a_graph_like_services(benchmark, kind, checked):
    """Until the first loaded part comes off, or for 1,000 breaks."""
    mesh, f = service_like(kind)
    fa.break_down(mesh, f, max_breaks=1)
    r = benchmark.pedantic(lambda: fa.break_down(mesh, f, max_breaks=1000), rounds=5)
    sequence, seconds = naive(mesh, {}, checked, f)
    assert r.sequence[:checked].tolist() == sequence
    assert r.residual <= 1e-12
    ratio = seconds * r.sequence.size / benchmark.stats.stats.min
    benchmark.extra_info["breaks"] = int(r.sequence.size)
    benchmark.extra_info["ms_a_break"] = 1e3 * benchmark.stats.stats.min / r.sequence.size
    benchmark.extra_info["times_faster_than_splu_a_break"] = ratio
    assert ratio > 60
