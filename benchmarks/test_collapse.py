"""Outages of 5,000 components, 1,000 samples of the bundled platform, the path to collapse of 1,000 components.

Processor time of one core. The outages are compared with the full equilibrium of the same cases in the same run, once
from the same arrays and once from the description without the component. In a graph of teams an outage reaches its team
and some neighbours; in a layered graph, the more the denser it is and the more calls are required, it reaches nearly
everything: what is saved there is saved by sweeping many outages side by side.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.analyses.fracture import open_model
from fea_arch.solvers.outages import OutageSolver


def services(n, block, span, seed=0, *, callers=3, required=0.7):
    """A graph of services: teams of ``block`` with an entry each, or callers at most ``span`` places before.

    Each has up to ``callers`` of them, who require it with probability ``required``.
    """
    rng = np.random.default_rng(seed)
    pairs = {}
    for i in range(1, n):
        low = i - i % block if block else max(0, i - span)
        for _ in range(int(rng.integers(1, callers + 1)) if i > low else 0):
            stray = block and rng.random() < 0.03 and low > 0
            caller = int(rng.integers(0, low)) if stray else int(rng.integers(low, i))
            pairs[caller, i] = rng.uniform(0.1, 0.5) if block else rng.uniform(0.05, 1.05 / callers)
    source, target = np.array(list(pairs)).T
    return fa.from_tables(
        components={
            "name": [f"s{i}" for i in range(n)],
            "service_time_s": rng.uniform(1e-3, 5e-3, n),
            "servers": rng.integers(4, 17, n),
            "blocking": rng.random(n) < 0.3,
        },
        dependencies={
            "source": [f"s{i}" for i in source],
            "target": [f"s{i}" for i in target],
            "calls": np.array(list(pairs.values())),
            "required": rng.random(source.size) < required,
        },
        loads=[fa.Load(f"s{i}", rate_per_s=10.0) for i in range(0, n, block or n)],
    )


def seconds(call, count):
    start = time.process_time()
    for k in range(count):
        call(k)
    return (time.process_time() - start) / count


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("graph", [
    "teams", pytest.param("layers", marks=pytest.mark.full), pytest.param("dense layers", marks=pytest.mark.full),
])  # fmt: skip
def test_every_outage_of_5000_components(benchmark, graph):
    arch = {
        "teams": lambda: services(5000, 50, 200),
        "layers": lambda: services(5000, 0, 200),
        "dense layers": lambda: services(5000, 0, 200, callers=6, required=1.0),
    }[graph]()
    rows = fa.contingency(arch, dependencies=False)  # warm
    result = benchmark.pedantic(lambda: fa.contingency(arch, dependencies=False), rounds=3)
    assert len(result.components) == 5000
    solver = OutageSolver(open_model(arch)[0])
    some = np.random.default_rng(1).choice(5000, 20, replace=False)
    solver.solved((int(some[0]),))
    fa.static(arch.without(arch.names[some[0]]))
    full = min(seconds(lambda k: solver.solved((int(some[k]),)), 20) for _ in range(3))
    fresh = min(seconds(lambda k: fa.static(arch.without(arch.names[some[k + 1]])), 5) for _ in range(2))
    alone = min(seconds(lambda k: solver.without((int(some[k]),)), 20) for _ in range(3))
    for i in some.tolist():
        row = rows[arch.names[i]]
        assert row["served_share"] == pytest.approx(solver.solved((i,)).served_share, abs=1e-9)
    took = benchmark.stats.stats.min
    benchmark.extra_info["calls"] = len(arch.dependencies)
    benchmark.extra_info["times_faster_than_full_equilibria_from_the_same_arrays"] = 5000 * full / took
    benchmark.extra_info["times_faster_than_static_analyses_of_what_is_left"] = 5000 * fresh / took
    benchmark.extra_info["times_faster_than_one_outage_at_a_time"] = 5000 * alone / took
    assert 5000 * full / took > 50.0


@pytest.mark.benchmark(timer=time.process_time)
def test_1000_samples_of_the_bundled_platform(benchmark):
    arch = fa.load_sample("runbook")
    factors = np.linspace(0.8, 2.4, 9)
    fa.fragility(arch, factors, samples=25)
    with ThreadPoolExecutor(2) as pool:
        result = benchmark.pedantic(lambda: fa.fragility(arch, factors, samples=1000, executor=pool), rounds=1)
    assert result.complete
    assert result.collapse_factor.size == 1000
    benchmark.extra_info["processor_ms_a_sample"] = benchmark.stats.stats.min
    assert benchmark.stats.stats.min < 20.0  # processor seconds of both cores: 10 s on two


@pytest.mark.benchmark(timer=time.process_time)
def test_path_to_collapse_of_1000_components(benchmark):
    arch = services(1000, 50, 0)
    fa.fracture(arch)
    result = benchmark.pedantic(lambda: fa.fracture(arch), rounds=8)  # the best counts: machines are shared
    assert np.isfinite(result.collapse_factor)
    assert result.complete
    benchmark.extra_info["equilibria"] = result.solves
    assert benchmark.stats.stats.min < 1.0
