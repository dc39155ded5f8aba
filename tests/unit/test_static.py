"""Static analysis of architectures: features, limits, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fea_arch as fa


def pair(caller: dict, callee: dict, rate: float = 10.0, **call) -> fa.Architecture:
    return fa.Architecture(
        name="pair",
        components=[
            fa.Component("a", **({"service_time_s": 0.001, "servers": 50, "blocking": False} | caller)),
            fa.Component("b", **({"service_time_s": 0.01, "blocking": False} | callee)),
        ],
        dependencies=[fa.Dependency("a", "b", **call)],
        loads=[fa.Load("a", rate_per_s=rate)],
    )


def test_asynchronous_calls_pass_load_but_no_time():
    result = fa.static(pair({}, {}, rate=50.0, mode="async"))
    assert result["b"]["throughput_per_s"] == 50.0
    assert result["a"]["response_s"] == pytest.approx(0.001)


def test_network_latency_is_added_once_per_call():
    plain = fa.static(pair({}, {}, calls=2.0))["a"]["response_s"]
    assert fa.static(pair({}, {}, calls=2.0, network_latency_s=0.25))["a"]["response_s"] == pytest.approx(plain + 0.5)


def test_processor_sharing_host_stretches_the_cpu_part():
    """M/M/c processor sharing: mean time = demand times (1 + C / (c (1 - rho))), whatever the distribution."""
    arch = fa.Architecture(
        name="host",
        components=[fa.Component("s", service_time_s=0.03, cpu_s=0.02, servers=1000, host="h", service_scv=0.0)],
        hosts=[fa.Host("h", cpus=1)],
        loads=[fa.Load("s", rate_per_s=40.0)],
    )
    result = fa.static(arch)
    assert result.host_utilisation[0] == pytest.approx(0.8)
    assert result["s"]["response_s"] == pytest.approx(0.01 + 0.02 / 0.2, rel=1e-9)
    assert result["s"]["governs"] == "host"
    with pytest.raises(fa.UnstableLoadError) as caught:
        fa.static(arch, 1.3)
    assert caught.value.limiting == "h"
    assert caught.value.max_load_factor == pytest.approx(1.25, rel=2e-3)  # 1,000 workers fill a little before


def test_parallel_stage_takes_the_mean_maximum():
    """Two exponential branches of mean 1: the larger has mean 1.5."""
    arch = fa.Architecture(
        name="fork",
        components=[
            fa.Component(n, service_time_s=s, law="delay", blocking=False)
            for n, s in (("a", 1e-6), ("b", 1.0), ("c", 1.0))
        ],
        dependencies=[fa.Dependency("a", "b", stage=0), fa.Dependency("a", "c", stage=0)],
        loads=[fa.Load("a", rate_per_s=0.1)],
    )
    assert fa.static(arch)["a"]["response_s"] == pytest.approx(1.5, rel=1e-3)
    sequential = arch.replaced("a->b", stage=None).replaced("a->c", stage=None)
    assert fa.static(sequential)["a"]["response_s"] == pytest.approx(2.0, rel=1e-5)


def test_time_out_cuts_the_wait_and_fails_the_call():
    """Exponential response of mean 0.1 at the callee, time-out 0.05: E[min] and P(late) in closed form."""
    arch = pair({}, {"law": "delay", "service_time_s": 0.1}, timeout_s=0.05)
    row = fa.static(arch)["a"]
    late = math.exp(-0.5)
    assert row["response_s"] == pytest.approx(0.001 + 0.1 * (1 - late), rel=1e-9)
    assert row["success_share"] == pytest.approx(1 - late, rel=1e-9)
    assert fa.static(arch.replaced("a->b", required=False))["a"]["success_share"] == 1.0


def test_retries_amplify_the_load():
    arch = pair({}, {"law": "delay", "service_time_s": 0.1}, timeout_s=0.05, retries=2)
    p = math.exp(-0.5)
    result = fa.static(arch)
    assert result["b"]["throughput_per_s"] == pytest.approx(10 * (1 + p + p * p), rel=1e-8)
    assert result["a"]["success_share"] == pytest.approx(1 - p**3, rel=1e-8)
    budget = fa.static(arch.replaced("a->b", retry_budget=0.1))
    assert budget["b"]["throughput_per_s"] == pytest.approx(11.0, rel=1e-8)


def test_mean_field_fold_of_a_retrying_caller():
    """One retry at M/M/1 of 10/s with time-out 1 s: no lower branch above W(e^(mu T - 1)) / T (V-ME-02)."""
    arch = pair({"service_time_s": 1e-9}, {"service_time_s": 0.1}, rate=1.0, timeout_s=1.0, retries=1)
    low = fa.static(arch, 6.0)
    assert low["b"]["throughput_per_s"] == pytest.approx(6.124458630950, rel=1e-6)
    assert fa.static(arch, 7.0)["b"]["throughput_per_s"] < 8.05
    with pytest.raises((fa.UnstableLoadError, fa.ConvergenceError)):
        fa.static(arch, 7.2)


def test_bounded_queue_loses_the_excess():
    arch = fa.Architecture(
        name="loss",
        components=[fa.Component("s", service_time_s=0.1, servers=2, queue_capacity=0)],
        loads=[fa.Load("s", rate_per_s=18.0)],
    )
    result = fa.static(arch)
    blocked = 0.3665158371  # Erlang B, 2 servers, 1.8 erlang
    assert result["s"]["throughput_per_s"] == pytest.approx(18 * (1 - blocked), rel=1e-8)
    assert result["s"]["success_share"] == pytest.approx(1 - blocked, rel=1e-8)
    assert result["s"]["response_s"] == pytest.approx(0.1, rel=1e-8)


def test_rate_limit_rejects_the_excess():
    arch = fa.Architecture(
        name="limit",
        components=[fa.Component("s", service_time_s=0.01, rate_limit_per_s=20.0)],
        loads=[fa.Load("s", rate_per_s=50.0)],
    )
    row = fa.static(arch)["s"]
    assert row["throughput_per_s"] == pytest.approx(20.0)
    assert row["success_share"] == pytest.approx(0.4)


def test_weighted_balancer_keeps_its_shares():
    arch = fa.Architecture(
        name="weights",
        components=[fa.Component(n, servers=4, blocking=False) for n in "abc"],
        dependencies=[fa.Balancer("a", ("b", "c"), policy="weighted", weights=(3, 1), calls=2.0)],
        loads=[fa.Load("a", rate_per_s=10.0)],
    )
    np.testing.assert_allclose(fa.static(arch).throughput_per_s, [10, 15, 5])


def test_unavailable_callee_fails_those_who_require_it():
    arch = pair({}, {"available": False})
    result = fa.static(arch)
    assert result["a"]["success_share"] == 0.0
    assert result["b"]["state"] == "down"
    assert fa.static(arch.replaced("a->b", required=False))["a"]["success_share"] == 1.0


def test_memory_counts_what_is_held():
    arch = pair(
        {"memory_bytes": 1e6, "memory_per_request_bytes": 1e5, "memory_limit_bytes": 4e6, "law": "delay"},
        {"law": "delay", "service_time_s": 1.0},
        rate=10.0,
    )
    row = fa.static(arch)["a"]
    assert row["held"] == pytest.approx(10 * 1.001)
    assert row["memory_bytes"] == pytest.approx(1e6 + 1e5 * 10.01)
    assert row["governs"] == "memory"
    assert row["safety_factor"] == pytest.approx(4e6 / (1e6 + 1e5 * 10.01))


def test_quantiles_of_one_exponential_station_are_exact():
    arch = fa.Architecture(
        name="m", components=[fa.Component("s", service_time_s=0.1)], loads=[fa.Load("s", rate_per_s=8.0)]
    )
    result = fa.static(arch)
    for p in (0.5, 0.95, 0.99):
        assert result.latency_quantile_s(p) == pytest.approx(-0.5 * math.log(1 - p), rel=1e-6)
        assert result.latency_quantile_s(p, at="s") == pytest.approx(-0.5 * math.log(1 - p), rel=1e-6)
    for p in (0.0, 1.0, 95):
        with pytest.raises(fa.ModelError, match="probability"):
            result.latency_quantile_s(p)
    with pytest.raises(fa.ModelError, match="no component"):
        result.latency_quantile_s(0.5, at="t")


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf, "two", None])
def test_senseless_load_factor_is_named(factor):
    with pytest.raises(fa.ModelError, match="load_factor"):
        fa.static(pair({}, {}), factor)


def test_no_load_is_named():
    with pytest.raises(fa.ModelError, match="loads"):
        fa.static(fa.Architecture(name="idle", components=[fa.Component("s")]))


def test_zero_load_is_an_answer():
    result = fa.static(pair({}, {}), 0.0)
    assert result.total_in_flight == 0.0
    assert set(result.state) == {"idle"}


def test_traffic_that_never_ends_is_named():
    arch = fa.Architecture(
        name="storm",
        components=[fa.Component("x"), fa.Component("y")],
        dependencies=[fa.Dependency("x", "y", mode="async"), fa.Dependency("y", "x", calls=1.0, mode="async")],
        loads=[fa.Load("x", rate_per_s=1.0)],
    )
    with pytest.raises(fa.UnstableLoadError) as caught:
        fa.static(arch)
    assert caught.value.limiting in ("x", "y")


def test_order_of_description_changes_nothing():
    arch = fa.load_sample("shop")
    result = fa.static(arch)
    flipped = fa.Architecture(
        name="shop",
        components=list(arch.components)[::-1],
        dependencies=[*list(arch.dependencies)[::-1], *arch.balancers],
        loads=arch.loads,
        hosts=arch.hosts,
        objective=arch.objective,
    )
    other = fa.static(flipped)
    for name in arch.names:
        assert other[name]["response_s"] == pytest.approx(result[name]["response_s"], rel=1e-9)


def test_result_is_frozen_and_serialises():
    result = fa.static(fa.load_sample("shop"))
    with pytest.raises((AttributeError, TypeError)):
        result.residual = 1.0
    with pytest.raises(ValueError, match="read-only"):
        result.wait_s[0] = 1.0
    assert len(repr(result).splitlines()) <= 8
    assert "<table>" in result._repr_html_()
    assert set(result.to_dict()["components"]) == set(result.components)
