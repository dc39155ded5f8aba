"""Derivatives by every parameter of 5,000 components against static solves of the same architecture."""

from __future__ import annotations

import time

import numpy as np

import fea_arch as fa


def layered(n: int, seed: int = 0) -> fa.Architecture:
    """A random layered architecture of event loops with retries on a tenth of the calls: statics iterates.

    Without bounded pools: what those add to waits is differentiated pool by pool and costs more.
    """
    rng = np.random.default_rng(seed)
    components = [
        fa.Component(f"c{i}", service_time_s=float(rng.uniform(0.002, 0.02)), servers=8, blocking=False)
        for i in range(n)
    ]
    calls = []
    for i in range(1, n):
        for j in {int(rng.integers(max(0, i - 200), i)) for _ in range(2)}:
            tries = rng.random() < 0.1
            calls.append(
                fa.Dependency(f"c{j}", f"c{i}", calls=0.45, timeout_s=0.5 if tries else None, retries=int(tries))
            )
    arch = fa.Architecture(name="layered", components=components, dependencies=calls,
                           loads=[fa.Load("c0", rate_per_s=1.0)])  # fmt: skip
    return arch.scaled(0.6e-6 / float(fa.static(arch, 1e-6).utilisation.max()))


def best(task, rounds=3):
    """Return the least processor time of some runs [s]."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        task()
        times.append(time.process_time() - begin)
    return min(times)


def test_sensitivities_cost_less_than_three_static_solves(benchmark):
    arch = layered(5000)
    fa.static(arch), fa.sensitivity(arch, of="c0")
    solve = best(lambda: fa.static(arch))
    whole = best(lambda: fa.sensitivity(arch, of="c0"))
    result = benchmark(lambda: fa.sensitivity(arch, of="c0"))
    benchmark.extra_info["static_solves"] = whole / solve
    assert np.isfinite(result.by_service_time).all()
    assert whole < 3.0 * solve
