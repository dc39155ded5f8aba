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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference.linear_algebra import lattice


def network(size):
    n, ends = lattice(size + 1, size, periodic=True)
    ends = ends[~((ends < size).all(axis=1) | (ends >= n - size).all(axis=1))]  # no bonds inside the buses
    strength = np.random.default_rng(0).random(len(ends))
    mesh = fa.Mesh.from_bars(n, ends, 1.0, supports=np.arange(size), strength=strength)
    return mesh, dict.fromkeys(range(n - size, n), 1.0)


def naive(mesh, prescribed, breaks):
    """Break ``breaks`` elements with a fresh factor each time; return (sequence, seconds a break)."""
    held = np.union1d(mesh.supports, list(prescribed)).astype(np.int64)
    pattern = Pattern.of(mesh, fixed=held)
    u = np.zeros(mesh.n_nodes)
    u[list(prescribed)] = list(prescribed.values())
    a = mesh.incidence
    free, k = pattern.free, mesh.stiffness().copy()
    stretch, sequence = a @ u, []
    start = time.process_time()
    for _ in range(breaks):
        right = -(a.T @ (k * stretch))[free]
        u[free] = splu(pattern.refill(k).tocsc()).solve(right)
        ratio = np.abs(k * (a @ u)) / mesh.strength
        sequence.append(int(ratio.argmax()))
        k[sequence[-1]] = 0.0
    return sequence, (time.process_time() - start) / breaks


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(("size", "checked"), [(64, 60), (128, 10)])
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
    benchmark.extra_info["times_faster_than_splu_a_break"] = seconds * r.sequence.size / benchmark.stats.stats.min
