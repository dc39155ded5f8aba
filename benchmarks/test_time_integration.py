"""A thousand implicit time steps on ten thousand nodes."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa


@pytest.mark.parametrize("shape", ["chain of teams", "lattice"])
def test_thousand_steps_of_10000_nodes(benchmark, counters, shape):
    rng = np.random.default_rng(0)
    n = 10_000
    if shape == "lattice":
        i = np.arange(n).reshape(100, 100)
        ends = np.vstack([np.column_stack([i[:, :-1].ravel(), i[:, 1:].ravel()]),
                          np.column_stack([i[:-1].ravel(), i[1:].ravel()])])  # fmt: skip
    else:
        ends = np.column_stack([np.arange(1, n), np.maximum(np.arange(1, n) - rng.integers(1, 30, n - 1), 0)])
    mesh = fa.Mesh.from_bars(n, ends, rng.random(len(ends)) + 0.5, mass=1.0, damping=np.full(len(ends), 0.1))
    load = np.zeros(n)
    load[n // 2] = 1.0

    def run():
        return fa.integrate(mesh, load, dt_s=0.05, duration_s=50.0)

    history = benchmark.pedantic(run, rounds=1)
    assert history.energy_error < 1e-9
    counters(iterations=history.iterations)
