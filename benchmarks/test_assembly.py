"""Assembly against scipy's COO -> CSR of the same triplets, side by side."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from scipy.sparse import coo_array

import fea_arch as fa
from fea_arch.assembly import Pattern

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference.linear_algebra import scale_free


def best(function, rounds=5):
    """Return (shortest time [s], answer)."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        answer = function()
        times.append(time.perf_counter() - start)
    return min(times), answer


@njit
def copy(source, target):
    for i in range(source.size):
        target[i] = source[i]


def bound(mesh, pattern):
    """Return the time to move what an assembly into CSR must move at least: moduli in, values out [s]."""
    size = (mesh.n_elements + pattern.indices.size) // 2
    source, target = np.zeros(size), np.zeros(size)
    copy(source, target)
    return best(lambda: copy(source, target), rounds=25)[0]


@pytest.fixture(scope="module", params=[10_000, 1_000_000], ids=["10k", "1M"])
def case(request):
    m = request.param
    ends = scale_free(m // 3 + 3, 3)
    ends = ends[np.lexsort((ends.max(axis=1), ends.min(axis=1)))]
    k = np.random.default_rng(0).uniform(0.1, 10, len(ends))
    mesh = fa.Mesh.from_bars(m // 3 + 3, ends, k)
    i, j = ends.T
    triplets = np.concatenate([i, j, i, j]), np.concatenate([j, i, i, j]), np.concatenate([-k, -k, k, k])

    def peer():
        return coo_array((triplets[2], triplets[:2]), shape=(mesh.n_nodes, mesh.n_nodes)).tocsr()

    Pattern.of(mesh).values(k)
    seconds, matrix = best(peer)
    return mesh, k, seconds, matrix[1:, 1:].tocsr()


def test_first_assembly(benchmark, counters, case):
    mesh, k, peer, reference = case
    pattern = benchmark(lambda: Pattern.of(mesh))
    counters(nonzeros=pattern.indices.size)
    counters.peak_memory(lambda: Pattern.of(mesh))
    assert abs(pattern.refill(k) - reference).max() <= 1e-10 * abs(reference).max()
    benchmark.extra_info["times_faster_than_coo_to_csr"] = peer / benchmark.stats.stats.min


def test_refill(benchmark, case):
    mesh, k, peer, reference = case
    pattern = Pattern.of(mesh)
    out = np.empty(pattern.indices.size)
    benchmark(lambda: pattern.values(k, out))
    assert np.abs(out - reference.data).max() <= 1e-10 * np.abs(out).max()
    benchmark.extra_info["times_faster_than_coo_to_csr"] = peer / benchmark.stats.stats.min
    benchmark.extra_info["times_the_bandwidth_bound"] = benchmark.stats.stats.min / bound(mesh, pattern)


def test_diagonal_in_row_order(benchmark, case):
    """The whole numeric assembly when elements are kept in row order: the upper half is ``-k`` as it stands."""
    mesh, k, peer, reference = case
    pattern = Pattern.of(mesh)
    ordered = k[pattern.order]
    ground = k[np.setdiff1d(np.arange(k.size), pattern.order)]
    out = np.empty(pattern.n)
    benchmark(lambda: pattern.diagonal_values(ordered, ground, out))
    np.testing.assert_allclose(out, reference.diagonal(), rtol=1e-12)
    benchmark.extra_info["times_faster_than_coo_to_csr"] = peer / benchmark.stats.stats.min
    benchmark.extra_info["times_the_bandwidth_bound"] = benchmark.stats.stats.min / bound(mesh, pattern)
