"""Twelve lowest modes against ``scipy.sparse.linalg.eigsh(sigma=0)`` as it comes, side by side."""

from __future__ import annotations

import os
import time
import warnings

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.assembly import assemble

FULL = os.environ.get("FEA_ARCH_BENCH") == "full"


def scale_free(n, seed=0):
    import networkx as nx

    return np.array(nx.barabasi_albert_graph(n, 2, seed=seed).edges())


def layered(n, seed=0, layers=12):
    rng = np.random.default_rng(seed)
    size = n // layers
    upper = np.arange(n - size)
    lower = (upper // size + 1) * size
    room = np.minimum(size, n - lower)
    ends = np.vstack([np.column_stack([upper, lower + rng.integers(0, room)]) for _ in range(2)])
    back = np.arange(size, n)  # everybody has a caller
    callers = np.column_stack([back // size * size - 1 - rng.integers(0, size, back.size), back])
    return np.unique(np.vstack([ends, callers]), axis=0)


def mesh_of(ends, n, seed=0):
    rng = np.random.default_rng(seed)
    return fa.Mesh.from_bars(n, ends, 10 ** rng.uniform(-1, 1, len(ends)), mass=10 ** rng.uniform(-0.5, 0.5, n),
                             supports=rng.choice(n, n // 100, replace=False))  # fmt: skip


@pytest.mark.parametrize("graph", [scale_free, layered])
def test_twelve_modes_of_5000_nodes(benchmark, graph):
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import eigsh

    mesh = mesh_of(graph(5000), 5000)
    fa.eigen(mesh, 12)
    system = assemble(mesh)
    K, M = csc_array(system.K), csc_array(system.M)
    start = time.perf_counter()
    values = eigsh(K, 12, M=M, sigma=0.0, return_eigenvectors=False)
    plain = time.perf_counter() - start
    found = benchmark.pedantic(fa.eigen, (mesh, 12), rounds=3)
    np.testing.assert_allclose(found.angular_per_s**2, np.sort(values), rtol=1e-8, atol=1e-12)
    benchmark.extra_info["ratio to eigsh(sigma=0)"] = plain / benchmark.stats.stats.min
    benchmark.extra_info["largest residual"] = float(found.residuals.max())


@pytest.mark.parametrize("n", [20_000, 100_000] if FULL else [20_000])
def test_twelve_modes_of_a_large_scale_free_graph(benchmark, n):
    """Against LOBPCG with the diagonal as preconditioner, whose residual says how far it came."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import lobpcg

    mesh = mesh_of(scale_free(n), n)
    fa.eigen(mesh, 12)
    start = time.process_time()
    fa.eigen(mesh, 12)
    own = time.process_time() - start
    found = benchmark.pedantic(fa.eigen, (mesh, 12), rounds=3)
    assert found.method == "block iteration"
    assert found.residuals.max() < 1e-8
    system = assemble(mesh)
    K, M = csr_array(system.K), csr_array(system.M)
    guess = np.random.default_rng(0).standard_normal((K.shape[0], 16))
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, _ = lobpcg(K, guess, B=M, M=diags_array(1.0 / K.diagonal()), largest=False, tol=1e-5, maxiter=400)
    peer = time.process_time() - start
    np.testing.assert_allclose(found.angular_per_s[:4] ** 2, np.sort(values)[:4], rtol=1e-3)
    benchmark.extra_info["ratio to lobpcg with diagonal"] = peer / own
    benchmark.extra_info["largest residual"] = float(found.residuals.max())
