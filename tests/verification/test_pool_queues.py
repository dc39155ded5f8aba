"""Queues of pools beyond the product form: against exact chains and known limits."""

from __future__ import annotations

import numpy as np
import pytest
from reference.semi_open_pool import semi_open_pool

import fea_arch as fa
from fea_arch.solvers.network import build_network
from fea_arch.solvers.queue_variability import dispersion, queue_factor, repeats, two_stage_scv
from fea_arch.solvers.shared_stations import Crowd, with_background


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(("pool", "servers"), [(8, 2), (16, 4), (12, 8)])
@pytest.mark.parametrize("load", [0.6, 0.8])
def test_queue_of_a_pool_that_some_requests_hold_longer(share, pool, servers, load):
    """Workers caught at a slow callee come and go in long waves: up to twice the queue of the product form."""
    own = 0.02
    callee = 1.25 * own * servers / share / pool  # at saturation the callee is as busy as the pool, about
    rates = np.minimum(np.arange(1, pool + 1), servers) / callee
    capacity = min(pool / (own + share * callee), servers / callee / share)
    rate = load * capacity
    waiting, called = semi_open_pool(rate, own, rates, share, pool)
    arch = fa.Architecture(
        name="pool",
        components=[
            fa.Component("pool", service_time_s=own, servers=pool),
            fa.Component("callee", service_time_s=callee, servers=servers, blocking=False),
        ],
        dependencies=[fa.Dependency("pool", "callee", calls=share)],
        loads=[fa.Load("pool", rate_per_s=rate)],
    )
    exact = waiting / rate + own + called / rate
    result = fa.static(arch)
    assert result.response_s[0] == pytest.approx(exact, rel=0.02 if load <= 0.6 else 0.05)


def test_dispersion_of_completions_against_the_whole_chain():
    rest, own, visits = np.arange(1, 9) / 0.03, np.minimum(np.arange(1, 9), 2) / 0.02, 0.4
    q, counted = np.zeros((9, 9)), np.zeros((9, 9))
    for k in range(9):
        left = rest[7 - k] if k < 8 else 0.0
        if k < 8:
            q[k, k + 1] += visits * left
        counted[k, k] += (1.0 - visits) * left
        if k:
            q[k, k - 1] += own[k - 1]
            counted[k, k - 1] += own[k - 1]
    q -= np.diag(q.sum(axis=1))
    p = np.linalg.lstsq(np.vstack([q.T, np.ones(9)]), np.append(np.zeros(9), 1.0), rcond=None)[0]
    r = counted.sum(axis=1)
    h = np.linalg.lstsq(np.vstack([q, p]), np.append(p @ r - r, 0.0), rcond=None)[0]
    exact = 1.0 + 2.0 * (p @ counted @ h) / (p @ r)
    assert dispersion(rest, own, visits) == pytest.approx(exact, rel=1e-9)


def test_dispersion_without_queues_is_that_of_the_times():
    count = np.arange(1, 13)
    for visits in (0.3, 1.0, 2.5):
        found = dispersion(count / 0.02, count / 0.05, visits)
        assert found == pytest.approx(two_stage_scv(0.02, 0.05, visits), rel=1e-9)


def test_factor_of_a_queue_in_its_limits():
    assert queue_factor(1.0, 0.3, 0.7, 1) == pytest.approx(0.65)  # Pollaczek-Khinchine
    assert queue_factor(1.0, 1.0, 0.4, 8) == pytest.approx(1.0)
    assert queue_factor(1e9, 0.0, 0.7, 1) == pytest.approx(1.0)  # processor sharing
    # M/D/4 at 0.8: the wait over that of M/M/4 is 0.518 (Cosmetatos 1976)
    assert queue_factor(1.0, 0.0, 0.8, 4) == pytest.approx(0.518, abs=0.003)


def test_requests_that_come_back():
    def network(*calls):
        names = ("a", "b", "c")
        arch = fa.Architecture(
            name="n",
            components=[fa.Component(n, service_time_s=0.001, servers=4) for n in names],
            dependencies=[fa.Dependency(x, y, calls=v) for x, y, v in calls],
            loads=[fa.Load("a", rate_per_s=10.0)],
        )
        flow = np.array([10.0, 0.0, 0.0])
        for x, y, v in calls:
            flow[names.index(y)] += v * flow[names.index(x)]
        return build_network(arch), flow

    def of_c(*calls):
        found, flow = network(*calls)
        return repeats(found, found.names.index("c"), flow)

    assert of_c(("a", "c", 0.5)) == pytest.approx(1.0)
    assert of_c(("a", "c", 2.0)) == pytest.approx(2.0)
    assert of_c(("a", "c", 1.5)) == pytest.approx(2.5 / 1.5)
    assert of_c(("a", "b", 0.5), ("b", "c", 3.0)) == pytest.approx(3.0)  # none or three
    assert of_c(("a", "b", 2.0), ("b", "c", 1.0), ("a", "c", 1.0)) == pytest.approx(3.0)


def test_others_at_a_shared_station():
    rates = np.minimum(np.arange(1, 41), 4) / 0.01
    open_rates, others = with_background(rates, 150.0, 10)
    n = np.arange(others.shape[1])
    for m in (1, 10):
        assert others[m].sum() == pytest.approx(1.0)
    # one server, Poisson others: the population sees the server at the speed that is left
    single, _ = with_background(np.array([100.0]), 30.0, 5)
    assert single == pytest.approx(np.full(5, 70.0), rel=1e-9)
    # a crowd that is hardly ever together is Poisson load, a full one is a fixed number of requests
    wide, _ = with_background(rates, 150.0, 10, Crowd(400, 5.0, 0.02))
    assert wide == pytest.approx(open_rates, rel=1e-6)
    tight, few = with_background(rates, 150.0, 10, Crowd(12, 9.0, 0.9))
    assert (few[5] @ np.arange(few.shape[1])) < (others[5] @ n)
    assert (tight > open_rates).all()
    assert few[10, 3:].sum() == pytest.approx(0.0, abs=1e-12)  # no more than 12 together
