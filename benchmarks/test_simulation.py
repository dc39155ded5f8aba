"""The event simulation beside ciw and simpy on the same open network, answers compared.

Forty M/M/3 stations in eight chains of five, load 0.7. All run on
one core in one process; times are CPU seconds, so that a busy machine does not tilt the ratio.
"""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

import fea_arch as fa

CHAINS, DEPTH, SERVERS, SERVICE_S, LOAD = 8, 5, 3, 0.01, 0.7
RATE = LOAD * SERVERS / SERVICE_S
# Erlang C of three servers at 2.1 Erlang gives the exact mean residence of every station
A = LOAD * SERVERS
B = (A**3 / 6) / (1 + A + A**2 / 2 + A**3 / 6)
EXACT_S = SERVICE_S + B / (1 - LOAD * (1 - B)) / (SERVERS / SERVICE_S - RATE)


def network() -> fa.Architecture:
    n = CHAINS * DEPTH
    return fa.Architecture(
        name="open",
        components=[fa.Component(f"c{i}", service_time_s=SERVICE_S, servers=SERVERS) for i in range(n)],
        dependencies=[fa.Dependency(f"c{i}", f"c{i + CHAINS}", mode="async") for i in range(n - CHAINS)],
        loads=[fa.Load(f"c{i}", rate_per_s=RATE) for i in range(CHAINS)],
    )


def run_ours(duration_s: float) -> tuple[float, float, float]:
    begin = time.process_time()
    result = fa.simulate(network(), duration_s=duration_s, warm_up_s=0.1 * duration_s, replications=1, seed=1)
    spent = time.process_time() - begin
    return float(result.residence_s.mean()), result.arrivals.sum() / 0.9 / spent, result.events / spent


def run_ciw(duration_s: float) -> tuple[float, float]:
    ciw = pytest.importorskip("ciw")
    n = CHAINS * DEPTH
    routing = [[1.0 if j == i + CHAINS else 0.0 for j in range(n)] for i in range(n)]
    model = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(RATE) if i < CHAINS else None for i in range(n)],
        service_distributions=[ciw.dists.Exponential(1 / SERVICE_S)] * n,
        routing=routing,
        number_of_servers=[SERVERS] * n,
    )
    begin = time.process_time()
    ciw.seed(1)
    simulation = ciw.Simulation(model)
    simulation.simulate_until_max_time(duration_s)
    records = simulation.get_all_records()
    spent = time.process_time() - begin
    late = [r.exit_date - r.arrival_date for r in records if r.arrival_date > 0.1 * duration_s]
    return float(np.mean(late)), len(records) / spent


def run_simpy(duration_s: float) -> tuple[float, float]:
    simpy = pytest.importorskip("simpy")
    draw = random.Random(1).expovariate
    env = simpy.Environment()
    stations = [simpy.Resource(env, SERVERS) for _ in range(CHAINS * DEPTH)]
    total, counted, visits = 0.0, 0, 0

    def customer(first):
        nonlocal total, counted, visits
        for i in range(first, CHAINS * DEPTH, CHAINS):
            came = env.now
            with stations[i].request() as turn:
                yield turn
                yield env.timeout(draw(1 / SERVICE_S))
            visits += 1
            if came > 0.1 * duration_s:
                total, counted = total + env.now - came, counted + 1

    def source(first):
        while True:
            yield env.timeout(draw(RATE))
            env.process(customer(first))

    for first in range(CHAINS):
        env.process(source(first))
    begin = time.process_time()
    env.run(until=duration_s)
    return total / counted, visits / (time.process_time() - begin)


def test_against_ciw_and_simpy(benchmark):
    run_ours(1.0)  # compiled, or loaded from the cache
    mean, rate, events = benchmark.pedantic(run_ours, args=(400.0,), rounds=1, iterations=1)
    ciw_mean, ciw_rate = run_ciw(6.0)
    simpy_mean, simpy_rate = run_simpy(20.0)
    benchmark.extra_info.update(
        visits_per_s=rate,
        events_per_s=events,
        ciw_visits_per_s=ciw_rate,
        simpy_visits_per_s=simpy_rate,
        ratio_to_ciw=rate / ciw_rate,
        ratio_to_simpy=rate / simpy_rate,
        error=mean / EXACT_S - 1,
        ciw_error=ciw_mean / EXACT_S - 1,
        simpy_error=simpy_mean / EXACT_S - 1,
    )
    assert mean == pytest.approx(EXACT_S, rel=0.01)
    assert ciw_mean == pytest.approx(EXACT_S, rel=0.05)
    assert simpy_mean == pytest.approx(EXACT_S, rel=0.05)
    assert events > 1e6
    assert rate > 50 * ciw_rate
    assert rate > 10 * simpy_rate


def test_events_per_second_of_calls(benchmark):
    """Blocking components with synchronous calls, time-outs and retries: 1e6 events a second and core."""
    arch = fa.Architecture(
        name="calls",
        components=[fa.Component(f"c{i}", service_time_s=0.002, servers=20) for i in range(8)],
        dependencies=[
            fa.Dependency(f"c{i}", f"c{2 * i + j}", network_latency_s=0.0005, timeout_s=0.5, retries=1)
            for i in range(4)
            for j in (1, 2)
            if 2 * i + j < 8
        ],
        loads=[fa.Load("c0", rate_per_s=300.0)],
    )
    fa.simulate(arch, duration_s=1.0, replications=1)
    result = benchmark.pedantic(
        fa.simulate, args=(arch,), kwargs={"duration_s": 200.0, "replications": 1}, rounds=3, iterations=1
    )
    benchmark.extra_info.update(events=result.events, events_per_s=result.events / benchmark.stats.stats.min)
    assert result.served_share > 0.99
