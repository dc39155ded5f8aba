"""Calls that are withdrawn when they time out, and the rest of a march, against the event simulation."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.kernels.waiting_lines import begun_and_left, fill_line, swing, waiting_line
from fea_arch.solvers.quasi_static import build_march, walk


def impatient(rate: float, scv: float = 1.0, *, blocking: bool = False) -> fa.Architecture:
    return fa.Architecture(
        name="impatient",
        components=[
            fa.Component("front", service_time_s=0.001, law="delay"),
            fa.Component("back", service_time_s=0.1, servers=2, service_scv=scv, blocking=blocking),
            fa.Component("next", service_time_s=0.05, law="delay"),
        ],
        dependencies=[
            fa.Dependency("front", "back", timeout_s=0.5, cancel_on_timeout=True), fa.Dependency("back", "next"),
        ],
        loads=[fa.Load("front", rate_per_s=rate)],
        objective=fa.Objective(latency_s=1.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "scv", "blocking"),
    [
        (40.0, 1.0, False), (30.0, 0.2, False), (25.0, 1.0, False), (18.0, 1.0, False), (12.0, 1.0, True),
        (20.0, 1.0, True),
    ],
)  # fmt: skip
def test_what_is_withdrawn_gives_its_worker_back(rate, scv, blocking):
    arch = impatient(rate, scv, blocking=blocking)
    found = walk(build_march(arch), objective_s=1.0, duration_s=120.0)
    seen = fa.simulate(arch, 120.0, warm_up_s=0.0, replications=4)
    assert found.share == pytest.approx(seen.served_within_objective, abs=0.1)
    back = arch.index["back"]
    assert found.wait_s[back] == pytest.approx(seen.wait_s[back], abs=0.1)


def test_a_backlog_behind_a_part_of_the_calls_leaves_the_others_as_fast_as_they_are():
    arch = fa.Architecture(
        name="part",
        components=[
            fa.Component("front", service_time_s=0.0116, replicas=2, blocking=False),
            fa.Component("slow", service_time_s=0.0192),
        ],
        dependencies=[fa.Dependency("front", "slow", calls=0.5, required=False)],
        loads=[fa.Load("front", rate_per_s=160.0)],
        objective=fa.Objective(latency_s=0.03),
    )  # fmt: skip
    found = walk(build_march(arch), objective_s=0.03, duration_s=60.0)
    seen = fa.simulate(arch, 60.0, warm_up_s=0.0, replications=4)
    assert found.wait_s[1] > 10.0
    assert found.share == pytest.approx(seen.served_within_objective, abs=0.05)


@pytest.mark.parametrize(("scv", "left"), [(0.0, 0.05), (1.0, 0.1 * np.log(2.0))])
def test_time_left_is_that_which_the_workers_have_for_each(scv, left):
    # E[min(H, r)] = 0.05 for a constant and an exponential hold time of 0.1
    assert begun_and_left(0.5, 1.0, 0.1, scv) == pytest.approx(left)
    assert begun_and_left(0.4, 0.5, 0.1, scv) == 0.0  # the others alone are too many


def test_a_line_of_nearly_nothing_is_found_in_a_long_step():
    # 3 s of 100/s at ten servers: 300 requests pass, and the line is a millionth of that
    size, spread, power, work, goal = 1.0, 1.0, np.sqrt(22.0), 1000.0 * 3.0, 300.0
    x = fill_line(size, spread, power, np.inf, 0.0, 1.0, work, goal, 0.0)
    line = waiting_line(x, power, np.inf, spread, 0.0)
    assert line < 1e-4
    assert goal - work * x == pytest.approx(line, rel=1e-6, abs=1e-8)
    assert fill_line(size, spread, power, np.inf, 0.0, 1.0, work, goal, x) == x  # it has come to rest


def test_slow_swings_are_those_of_the_time_that_a_single_line_takes_to_fade():
    # no feedback: 2 var / fade per second of a line M/M/1 at 0.8, less what is in each hold time already
    rho, mu, passed, var = 0.8, 10.0, 30.0, 0.04
    fade = mu * (1 - rho) ** 2 / (1 + rho)
    assert swing(1.0, var, rho, mu, 1.0, 0.0, 1.0, passed) == pytest.approx(var * (2 * passed / fade - 1))
    assert swing(1.0, var, rho, mu, 1.0, 20.0, 1.0, passed) < swing(1.0, var, rho, mu, 1.0, 10.0, 1.0, passed)
    assert swing(1.0, var, 0.01, 1e6, 1.0, 0.0, 1.0, passed) == 0.0  # it fades within one request


def test_a_march_at_rest_stays_where_it_is_and_moves_on():
    arch = impatient(5.0).replaced("back", servers=3)
    tables = build_march(arch)
    calm = walk(tables, objective_s=1.0, duration_s=300.0)
    assert (np.diff(calm.waiting[-8:]) == 0.0).all()
    hit = walk(tables, objective_s=1.0, duration_s=300.0, events=[(200.0, 220.0, 1.0)])
    during = (hit.time_s > 201.0) & (hit.time_s < 219.0)
    before = (hit.time_s > 150.0) & (hit.time_s < 200.0)
    assert hit.good_per_s[during].max() < 0.01 * hit.good_per_s[before].min()
    assert hit.good_per_s[-1] == pytest.approx(calm.good_per_s[-1], rel=1e-4)
