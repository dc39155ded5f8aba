"""The fluid model through time: large architectures, and a burst against an event simulation of equal accuracy."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.solvers import fluid_blocks

FULL = os.environ.get("FEA_ARCH_BENCH") == "full"


def layered(n, seed=0, layers=12):
    """Services in layers that call two of the next layer with probability a half each."""
    rng = np.random.default_rng(seed)
    size = n // layers
    parts = [
        fa.Component(f"c{i}", service_time_s=float(rng.uniform(1e-3, 1e-2)), servers=8, blocking=False)
        for i in range(n)
    ]
    calls = []
    for i in range(n - size):
        first = (i // size + 1) * size
        ahead = set(rng.integers(first, min(first + size, n), 2).tolist())
        calls += [fa.Dependency(f"c{i}", f"c{j}", calls=0.5) for j in ahead]
    arch = fa.Architecture(
        name="layers", components=parts, dependencies=calls,
        loads=[fa.Load(f"c{i}", rate_per_s=50.0) for i in range(size)],
    )  # fmt: skip
    return arch.scaled(0.6 * fa.static(arch).max_load_factor)


@pytest.mark.parametrize("n", [1000, 10_000] if FULL else [1000])
def test_thousand_steps_of_the_fluid_model(benchmark, n):
    arch = layered(n)
    load = fa.Burst(factor=3.0, start_s=1.0, duration_s=3.0)

    def run():
        return fa.transient(arch, load, 10.0, dt_s=0.01)

    run()  # warm, also what is compiled for components side by side
    result = benchmark.pedantic(run, rounds=3)
    assert result.steps == 1000
    assert result.balance < 1e-12
    if n >= fluid_blocks.MANY:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fluid_blocks, "MANY", 10 * n)
            run()
            start = time.perf_counter()
            alone = run()
            each = time.perf_counter() - start
        assert np.allclose(alone.peak, result.peak, rtol=1e-8)
        benchmark.extra_info["times faster than one component at a time"] = each / benchmark.stats.stats.min
    benchmark.extra_info["microseconds per component and step"] = benchmark.stats.stats.min / (n * 1000.0) * 1e6


def routed(n=12, seed=5, load=0.65, scale=1):
    """Random routing network of multi-server stations."""
    rng = np.random.default_rng(seed)
    parts = [
        fa.Component(
            f"c{i}", service_time_s=float(rng.uniform(0.02, 0.1)), servers=scale * int(rng.integers(1, 6)),
            blocking=False,
        )
        for i in range(n)
    ]  # fmt: skip
    calls = []
    for i in range(n - 1):
        ahead = rng.permutation(np.arange(i + 1, n))[:2]
        share = rng.dirichlet(np.ones(ahead.size)) * 0.95
        calls.append(
            fa.Balancer(
                f"c{i}", tuple(f"c{int(j)}" for j in ahead), calls=float(share.sum()), policy="weighted",
                weights=tuple(map(float, share)), mode="async",
            )
        )  # fmt: skip
    arch = fa.Architecture(
        name="routed", components=parts, dependencies=calls,
        loads=[fa.Load("c0", rate_per_s=1.0), fa.Load("c1", rate_per_s=0.7), fa.Load("c2", rate_per_s=0.7)],
    )  # fmt: skip
    return arch.scaled(load * fa.static(arch).max_load_factor)


@pytest.mark.parametrize("scale", [1, 10])
def test_burst_against_event_simulation(benchmark, scale):
    """The ratio counts as many replications as bring the noise of their mean down to the error of the fluid path."""
    arch, load, many = routed(scale=scale), fa.Burst(factor=10.0, start_s=20.0, duration_s=20.0), 16
    common = {"load": load, "series_dt_s": 0.5, "warm_up_s": None}
    fa.simulate(arch, 5.0, seed=99, **common)
    start = time.process_time()
    runs = [fa.simulate(arch, 120.0, seed=s, **common) for s in range(many)]
    each = (time.process_time() - start) / many
    fa.transient(arch, load, 120.0, tolerance=1e-2)
    start = time.process_time()
    for _ in range(10):
        fluid = fa.transient(arch, load, 120.0, tolerance=1e-2)
    own = (time.process_time() - start) / 10
    benchmark.pedantic(fa.transient, (arch, load, 120.0), {"tolerance": 1e-2}, rounds=5)
    paths = np.array([run.in_flight_series.sum(axis=1) for run in runs])
    at = runs[0].time_s + 0.25
    use = at > 8.0  # the simulation starts empty
    mean, peak = paths.mean(axis=0), paths.mean(axis=0).max()
    path = np.interp(at, fluid.time_s, fluid.in_flight.sum(axis=1))
    error = np.sqrt(np.mean((path - mean)[use] ** 2)) / peak
    noise = np.sqrt(np.mean(paths.var(axis=0, ddof=1)[use])) / peak
    assert error < 0.02
    needed = max(1.0, (noise / error) ** 2)
    benchmark.extra_info["error of the path, share of the peak"] = float(error)
    benchmark.extra_info["replications of equal accuracy"] = float(needed)
    benchmark.extra_info["ratio to the event simulation"] = float(needed * each / own)


def test_burst_spectrum(benchmark):
    arch = fa.load_sample("runbook")
    arch = replace(arch, objective=replace(arch.objective, latency_s=0.1))
    found = benchmark.pedantic(fa.burst_spectrum, (arch, [1.0, 10.0], [2.0, 5.0]), rounds=1)
    assert np.all(np.diff(found.peak_backlog, axis=1) > 0.0)
