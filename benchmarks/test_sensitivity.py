"""Derivatives by every parameter of 5,000 components against static solves of the same architecture."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

import fea_arch as fa
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network


def layered(n: int, seed: int = 0) -> fa.Architecture:
    """A random layered architecture of event loops with retries on a tenth of the calls: statics iterates."""
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


def teams(n: int, seed: int = 0, size: int = 25) -> fa.Architecture:
    """Teams of services whose callers wait, by default: pools of 4 to 32 workers, half of them busy or less.

    Every team has its entry, a tenth of its calls are tried twice, and all teams share one service of the first.
    """
    rng = np.random.default_rng(seed)
    components, calls, entries = [], [], []
    for first in range(0, n, size):
        entries.append(f"c{first}")
        for i in range(first, first + size):
            components.append(fa.Component(f"c{i}", service_time_s=float(rng.uniform(0.002, 0.02)), servers=10_000))
            for j in {int(rng.integers(max(first, i - 8), i)) for _ in range(2)} if i > first else ():
                tries = rng.random() < 0.1
                calls.append(fa.Dependency(f"c{j}", f"c{i}", calls=float(rng.choice([0.3, 0.6])),
                                           timeout_s=1.0 if tries else None, retries=int(tries)))  # fmt: skip
        if first:
            calls.append(fa.Dependency(f"c{first + size - 1}", f"c{size - 1}", calls=0.02))
    arch = fa.Architecture(name="teams", components=components, dependencies=calls,
                           loads=[fa.Load(name, rate_per_s=1.0) for name in entries])  # fmt: skip
    hold = np.array(fa.static(arch, 1e-6).response_s)
    busy = rng.uniform(2.0, 14.0, len(entries))
    arch = replace(arch, loads=tuple(fa.Load(name, rate_per_s=float(b / hold[arch.number(name)]))
                                     for name, b in zip(entries, busy)))  # fmt: skip
    workers = np.clip(np.ceil(np.array(fa.static(arch).throughput_per_s) * hold / 0.5), 4, 32).astype(int)
    sized = tuple(replace(c, servers=int(w)) for c, w in zip(arch.components, workers))
    return replace(arch, components=sized)


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


def test_sensitivities_of_felt_pools_cost_less_than_three_static_solves(benchmark):
    arch = teams(5000)
    state = solve_network(build_network(arch), tol=1e-12)
    assert len(state.tight) > 2500  # the pools are felt
    small = teams(500)
    fa.static(small), fa.sensitivity(small)  # compiles what both need
    solve = best(lambda: fa.static(arch), rounds=1)
    found = []
    whole = best(lambda: found.append(fa.sensitivity(arch, of="c0")), rounds=1)
    benchmark.pedantic(lambda: fa.sensitivity(small, of="c0"), rounds=1)
    result = found[0]
    benchmark.extra_info["static_solves"] = whole / solve
    benchmark.extra_info["felt_pools"] = len(state.tight)
    assert result.method == "adjoint"
    effect = result.by_service_time * np.array([c.service_time_s for c in arch.components])
    ranked = np.argsort(-np.abs(effect))
    for i in (ranked[0], ranked[10]):  # to the difference of two solves near by
        c = arch.components[i]
        ends = [solve_network(build_network(arch.replaced(c.name, service_time_s=c.service_time_s * (1 + h))),
                              tol=1e-12) for h in (1e-3, -1e-3)]  # fmt: skip
        assert _pools(ends[0]) == _pools(ends[1]) == _pools(state)
        slope = (ends[0].response[0] - ends[1].response[0]) / 2e-3
        assert abs(slope - effect[i]) <= 1e-5 * abs(slope)
    assert whole < 3.0 * solve


def _pools(state):
    return sorted(state.tight), sorted(state.binding)
