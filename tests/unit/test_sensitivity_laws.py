"""Adjoint derivatives of balancers, rate limits and measured laws, and of whole numbers, against re-solved values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.results.quantiles import mixture_quantile
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network

WEB = fa.Component("web", service_time_s=0.005, servers=2, blocking=False)


def pair(call=None, rate=40.0, **fields):
    """A gateway, what is looked at, and a callee behind it."""
    a = fa.Component("a", **{"service_time_s": 0.02, "servers": 2, "blocking": False, **fields})
    return fa.Architecture(
        name="pair",
        components=[WEB, a, fa.Component("b", service_time_s=0.01, servers=1)],
        dependencies=[fa.Dependency("web", "a", **{"calls": 0.7, **(call or {})}), fa.Dependency("a", "b", calls=0.6)],
        loads=[fa.Load("web", rate_per_s=rate)],
    )


def balanced(policy, **fields):
    """A balancer over a pool that waits for its callee and over one that does not."""
    parts = [WEB, fa.Component("a", service_time_s=0.02, servers=2, service_scv=1.5),
             fa.Component("b", service_time_s=0.03, servers=2, blocking=False),
             fa.Component("c", service_time_s=0.01)]  # fmt: skip
    return fa.Architecture(
        name="balanced", components=parts, dependencies=[fa.Dependency("a", "c", calls=0.7)],
        balancers=[fa.Balancer("web", ("a", "b"), calls=1.3, policy=policy, **fields)],
        loads=[fa.Load("web", rate_per_s=40.0)],
    )  # fmt: skip


CASES = {
    "least outstanding": balanced("least_outstanding"),
    "least outstanding, timed": balanced("least_outstanding", timeout_s=0.2, retries=1),
    "weighted": balanced("weighted", weights=(1.0, 2.0)),
    "replicas, least outstanding": pair(replicas=2, servers=1, balancing="least_outstanding"),
    "limit that bites": pair(rate_limit_per_s=20.0),
    "limit that does not": pair(rate_limit_per_s=35.0),
    "limit with retries": pair({"timeout_s": 0.2, "retries": 2}, rate_limit_per_s=20.0),
    "usl": pair(law="usl", usl_sigma=0.05, usl_kappa=0.002),
    "usl that waits": pair(law="usl", usl_sigma=0.05, usl_kappa=0.002, blocking=True),
    "tabulated": pair(law="tabulated", curve=((1.0, 40.0), (4.0, 100.0), (16.0, 120.0))),
    "bounded": pair(law="bounded", queue_capacity=6),
    "memory": pair(law="memory", memory_bytes=1e6, memory_per_request_bytes=1e5, memory_limit_bytes=2e6),
}


def answer(arch, quantile=None):
    state = solve_network(build_network(arch), tol=1e-13, max_sweeps=2000)
    assert state.limiting < 0
    if quantile is None:
        return float(state.response[0])
    return mixture_quantile(quantile, state.response[[0]], state.variance[[0]], np.ones(1))


def slope(value, x, rel=1e-3):
    h = rel * x
    ends = [value(x + k * h) for k in (1, -1, 2, -2)]
    return (8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h)


@pytest.mark.parametrize("quantile", [None, 0.95])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_agree_with_differences(name, quantile):
    arch = CASES[name]
    result = fa.sensitivity(arch, of="web", quantile=quantile)
    assert result.method == "adjoint"
    todo = [(c.name, "service_time_s", c.service_time_s, result[c.name]["by_service_time"]) for c in arch.components]
    todo += [(c.name, "service_scv", c.service_scv, result[c.name]["by_service_scv"]) for c in arch.components]
    for d in arch.dependencies:
        row = result.dependency(d.label)
        todo.append((d.label, "calls", d.calls, row["by_calls"]))
        if d.timeout_s:
            todo.append((d.label, "timeout_s", d.timeout_s, row["by_timeout"]))
    found = [(got * x, x * slope(lambda v, n=n, f=f: answer(arch.replaced(n, **{f: v}), quantile), x))
             for n, f, x, got in todo]  # fmt: skip
    by_load = slope(lambda v: answer(replace(arch, loads=(fa.Load("web", rate_per_s=v),)), quantile), 40.0)
    found.append((40.0 * result["web"]["by_rate"], 40.0 * by_load))
    got, wanted = np.array(found).T
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-5 * np.abs(wanted).max())


def test_targets_of_a_balancer_that_wait_for_a_callee_agree_with_the_simulation():
    arch = CASES["least outstanding"].scaled(1.75)
    run = fa.simulate(arch, duration_s=100.0, seed=0, replications=4)["web"]
    solved = fa.static(arch).mean_response_s
    assert solved == pytest.approx(run["response_s"], abs=2.0 * run["response_s_half_width"])
    assert run["response_s_half_width"] < 0.05 * solved


def test_one_server_more_is_exact_where_nothing_feeds_back():
    arch = pair(rate=60.0)
    result = fa.sensitivity(arch, of="web")
    for c in arch.components:
        gain = answer(arch.replaced(c.name, servers=c.servers + 1)) - result.value
        assert result[c.name]["by_servers"] == pytest.approx(gain, rel=1e-9, abs=1e-15)
        assert gain < 0.0


def test_one_retry_more_is_exact_where_it_moves_no_load():
    # few requests: tries cost time, but what they add to the load is lost against the servers
    arch = pair({"timeout_s": 0.05, "retries": 1, "backoff_s": 0.02}, rate=1e-6)
    result = fa.sensitivity(arch, of="web")
    more = answer(arch.replaced("web->a", retries=2)) - result.value
    assert more > 0.01 * result.value
    assert result.dependency("web->a")["by_retries"] == pytest.approx(more, rel=1e-6)


def test_one_more_is_first_order_where_the_load_moves():
    # the part of a change that the tries add to the load enters by its slope: 10 % off at this size
    arch = pair({"timeout_s": 0.08, "retries": 1}, rate=60.0)
    result = fa.sensitivity(arch, of="web")
    more = answer(arch.replaced("web->a", retries=2)) - result.value
    assert result.dependency("web->a")["by_retries"] == pytest.approx(more, rel=0.1)
    for name, servers in (("web", 2), ("a", 2), ("b", 1)):
        gain = answer(arch.replaced(name, servers=servers + 1)) - result.value
        assert result[name]["by_servers"] == pytest.approx(gain, rel=0.1, abs=1e-3 * result.value)


@pytest.mark.parametrize("name", ["usl", "tabulated", "memory"])
def test_measured_laws_have_no_servers_to_add(name):
    assert np.isnan(fa.sensitivity(CASES[name], of="web")["a"]["by_servers"])


def test_a_fold_of_retries_is_differentiated_just_below_it():
    from fea_arch.advice.sensitivity import _fold_near

    arch = pair({"timeout_s": 0.1, "retries": 3})
    result = fa.sensitivity(arch, of="collapse_factor")
    assert "below the limit" in result.method
    assert result.spread < 0.05

    def limit(factor):
        return _fold_near(arch.replaced("a", service_time_s=0.02 * factor), result.value)

    wanted = (limit(1.01) - limit(0.99)) / 0.02 / result.value
    assert result["a"]["elasticity"] == pytest.approx(wanted, rel=0.05)
    load = float(sum(load.rate_per_s for load in arch.loads))
    assert load * result.influence["web"] == pytest.approx(-result.value)


def test_servers_are_solved_again_where_pools_are_felt():
    arch = fa.load_sample("runbook")
    result = fa.sensitivity(arch, quantile=0.95)
    more = fa.static(arch.replaced("ollama", servers=arch["ollama"].servers + 1)).latency_quantile_s(0.95)
    assert result["ollama"]["by_servers"] == pytest.approx(more - result.value, rel=1e-3)
