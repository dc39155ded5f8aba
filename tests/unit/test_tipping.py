"""Storms that chance sets off: the rate against the exact chain, and what it does to a score."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaincc

import fea_arch as fa
from fea_arch.kernels.tipping import tipping
from fea_arch.solvers.quasi_static import build_march, walk


def pair(rate_per_s: float, **call) -> fa.Architecture:
    """A caller without limits and one exponential server whose answers time out."""
    settings = {"timeout_s": 0.5, "retries": 3, **call}
    return fa.Architecture(
        name="pair",
        components=[
            fa.Component("front", service_time_s=1e-6, servers=1000),
            fa.Component("back", service_time_s=0.02),
        ],
        dependencies=[fa.Dependency("front", "back", **settings)],
        loads=[fa.Load("front", rate_per_s=rate_per_s)],
        objective=fa.Objective(latency_s=0.4),
    )


def rates(arch: fa.Architecture, monkeypatch) -> np.ndarray:
    """Rates of tipping at the last step."""
    from fea_arch.solvers import quasi_static

    found = []

    def spy(*arguments):
        tipping(*arguments)
        found.append(arguments[-2][-1].copy())

    monkeypatch.setattr(quasi_static, "tipping", spy)
    walk(build_march(arch), objective_s=0.4, duration_s=60.0)
    return found[0]


def exact_rate(rate: float, mu: float, timeout: float, retries: int) -> float:
    """Inverse mean first-passage time of the M/M/1 chain in which a first try behind ``n`` is late with ``p(n)``."""
    passed, step = 0.0, 0.0
    for n in range(int(3 * timeout * mu)):
        late = float(gammaincc(n + 1, mu * timeout))
        births = rate * sum(late**k for k in range(retries + 1))
        step = (1.0 + mu * step) / births if n else 1.0 / births
        passed += step
    return 1.0 / passed


@pytest.mark.parametrize("rate", [30.0, 34.0, 38.0])
def test_the_rate_is_that_of_the_exact_chain(rate, monkeypatch):
    found = rates(pair(rate), monkeypatch)[1]
    assert found == pytest.approx(exact_rate(rate, 50.0, 0.5, 3), rel=0.35)


@pytest.mark.parametrize("call", [{"retries": 0}, {"cancel_on_timeout": True}, {"timeout_s": 50.0}])
def test_without_retries_of_abandoned_work_nothing_tips(call, monkeypatch):
    assert (rates(pair(36.0, **call), monkeypatch) == 0.0).all()


def test_a_storm_in_reach_lowers_the_share_and_the_losses_still_sum():
    tables = build_march(pair(38.0))
    options = {"objective_s": 0.4, "duration_s": 60.0}
    calm, mixed = walk(tables, tip=False, **options), walk(tables, **options)
    assert mixed.share < calm.share - 0.05
    assert mixed.blame.sum() == pytest.approx(mixed.offered - mixed.good, rel=1e-9)
    assert mixed.blame[1] > 0.99 * mixed.blame.sum()


def test_the_share_with_storms_is_that_of_the_simulation():
    arch = pair(38.0)
    found = fa.simulate(arch, 60.0, warm_up_s=0.0, replications=40, seed=3)
    share = walk(build_march(arch), objective_s=0.4, duration_s=60.0).share
    assert share == pytest.approx(found.served_within_objective, abs=0.1)
