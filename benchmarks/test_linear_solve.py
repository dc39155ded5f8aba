"""One static solve against scipy's ``spsolve``, side by side."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

import fea_arch as fa
from fea_arch.solvers.linear import factor, solve_spd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference.linear_algebra import lattice, scale_free


def system(name):
    """Stiffness log-uniform over two decades; 1 % of the nodes held (lattices: the bottom row)."""
    rng = np.random.default_rng(0)
    kind, size = name[:3], name[3:]
    if kind == "lat":
        side = int(size)
        n, ends = lattice(side, side)
        held = np.arange(side)
    else:
        n = {"5k": 5000, "100k": 100_000, "1M": 1_000_000}[size.lstrip("-")]
        ends = scale_free(n, 2)
        held = rng.choice(n, n // 100, replace=False)
    mesh = fa.Mesh.from_bars(n, ends, 10 ** rng.uniform(-1, 1, len(ends)), supports=held)
    return fa.assemble(mesh).K, rng.random(mesh.free.size)


@pytest.mark.parametrize("name", ["ba-5k", "ba-100k", "lat100", "lat300"])
def test_static_solve(benchmark, counters, name):
    k, f = system(name)
    solve_spd(k, f)
    u, info = benchmark(lambda: solve_spd(k, f))
    assert np.linalg.norm(k @ u - f) <= 1e-10 * np.linalg.norm(f)
    counters(nonzeros=k.nnz, iterations=info.iterations, fill=info.fill)
    counters.peak_memory(lambda: solve_spd(k, f))
    benchmark.extra_info.update(method=info.method, residual=info.residual)
    if name != "ba-100k":  # the default does not come back within minutes there
        start = time.perf_counter()
        peer = spsolve(k.tocsc(), f)
        seconds = time.perf_counter() - start
        np.testing.assert_allclose(u, peer, rtol=1e-6)
        benchmark.extra_info["times_faster_than_spsolve"] = seconds / benchmark.stats.stats.min


@pytest.mark.parametrize("name", ["ba-5k", "lat100"])
def test_refactor_and_solve(benchmark, counters, name):
    k, f = system(name)
    ready = factor(k, "ldl")
    counters(nonzeros=k.nnz, fill=ready.fill)
    values = k.data.copy()

    def again():
        ready.refactor(values)
        return ready.solve(f)

    u = benchmark(again)
    assert np.linalg.norm(k @ u - f) <= 1e-10 * np.linalg.norm(f)
