"""Nonlinear statics of determinate service graphs: time, growth with size, and the event simulation beside it."""

from __future__ import annotations

import time

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.architecture import Columns
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network


def service_graph(n: int, seed: int = 0) -> fa.Architecture:
    """A random acyclic call graph with four dependencies a component on average."""
    rng = np.random.default_rng(seed)
    m = 4 * n
    source = np.sort(rng.integers(0, n - 1, m))
    target = source + 1 + (rng.random(m) * np.minimum(n - 1 - source, 1000)).astype(np.int64)
    names = np.array([f"c{i}" for i in range(n)], object)
    components = Columns.from_arrays(
        fa.Component,
        {
            "name": names,
            "service_time_s": rng.uniform(1e-4, 1e-3, n),
            "servers": rng.integers(4, 16, n),
            "blocking": np.zeros(n, bool),
        },
    )
    calls = Columns.from_arrays(
        fa.Dependency, {"source": source, "target": target, "calls": np.full(m, 0.2)}, names=names
    )
    loads = [fa.Load("c0", rate_per_s=100.0), fa.Load("c1", rate_per_s=100.0)]
    return fa.Architecture(name="graph", components=components, dependencies=calls, loads=loads)


@pytest.mark.parametrize("n", [1_000, 10_000, 100_000, 1_000_000])
def test_force_method(benchmark, counters, n):
    network = build_network(service_graph(n))
    solve_network(network)  # compile
    state = benchmark.pedantic(solve_network, args=(network,), rounds=3, iterations=1)
    assert state.limiting == -1
    assert state.residual < 1e-12
    counters(sweeps=state.sweeps)
    # Little over the whole system: what is in flight is arrivals times response
    inside = state.arrivals @ (state.wait + state.service)
    assert inside == pytest.approx(state.external @ state.response, rel=1e-9)
    if benchmark.stats is not None:
        benchmark.extra_info["microseconds_per_component"] = 1e6 * benchmark.stats.stats.min / n


def test_statics_against_the_event_simulation(benchmark):
    """The same 40-station open network by both: time ratio and difference of the mean response."""
    names = [f"s{i}" for i in range(40)]
    arch = fa.Architecture(
        name="line",
        components=[fa.Component(n, service_time_s=0.01, servers=3, blocking=False) for n in names],
        dependencies=[fa.Dependency(a, b) for a, b in zip(names, names[1:])],
        loads=[fa.Load("s0", rate_per_s=210.0)],
    )
    result = benchmark.pedantic(fa.static, args=(arch,), rounds=5, iterations=1)
    begin = time.perf_counter()
    simulated = fa.simulate(arch, duration_s=20_000 / 210.0, replications=1, seed=1)
    taken = time.perf_counter() - begin
    assert result["s0"]["response_s"] == pytest.approx(simulated.response_s[0], rel=0.05)
    if benchmark.stats is not None:
        benchmark.extra_info["times_faster_than_simulation"] = taken / benchmark.stats.stats.min
