"""Adjoint derivatives against finite differences over random architectures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference.differentiable_networks import differentiable_network

import fea_arch as fa
from fea_arch.results.quantiles import mixture_quantile
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network

#: Relative agreement that is asked for; effects are compared on the scale of the largest one.
BOUND = 1e-5


class Shape(Exception):
    """The set of felt pools changed within the step: there is no derivative to compare."""


def _answer(arch, i, quantile, tight):
    state = solve_network(build_network(arch), tol=1e-12, max_sweeps=300)
    if state.limiting >= 0 or sorted(state.tight) != tight:
        raise Shape
    if quantile is None:
        return float(state.response[i])
    return mixture_quantile(quantile, state.response[[i]], state.variance[[i]], np.ones(1))


def _difference(value, x, rel):
    """Four-point difference and the one with half the step."""
    out = []
    for h in (rel * x, 0.5 * rel * x):
        ends = [value(x + k * h) for k in (1, -1, 2, -2)]
        out.append((8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h))
    return out


def _parameters(arch, result):
    for c in arch.components:
        row = result[c.name]
        yield c.name, "service_time_s", c.service_time_s, row["by_service_time"]
        if c.service_scv > 0:
            yield c.name, "service_scv", c.service_scv, row["by_service_scv"]
    for d in arch.dependencies:
        row = result.dependency(d.label)
        for field, key in (
            ("calls", "by_calls"), ("network_latency_s", "by_latency"), ("timeout_s", "by_timeout"),
            ("backoff_s", "by_backoff"),
        ):  # fmt: skip
            x = getattr(d, field)
            if x:
                yield d.label, field, x, row[key]


def _compare(arch, quantile=None, most=5, seed=0):
    """Return how many parameters were compared; assert each."""
    try:
        result = fa.sensitivity(arch, of="c0", quantile=quantile)
    except (fa.UnstableLoadError, fa.ConvergenceError):
        return 0
    tight = sorted(solve_network(build_network(arch), tol=1e-12).tight)
    todo = list(_parameters(arch, result))
    todo = [t for t in todo if np.isfinite(t[3])]
    scale = max(abs(x * got) for _, _, x, got in todo)
    bound = BOUND if result.method == "adjoint" else max(1e-3, 2.0 * result.spread)
    order = np.random.default_rng(seed).permutation(len(todo))[:most]
    compared = 0
    for k in order.tolist():
        name, field, x, got = todo[k]
        try:
            wide, near = _difference(
                lambda v, n=name, f=field: _answer(arch.replaced(n, **{f: v}), 0, quantile, tight), x, 1e-3
            )
        except (Shape, fa.ConvergenceError):
            continue
        if abs(wide - near) * x > 0.3 * BOUND * scale:  # a kink within the step: the difference itself has no limit
            continue
        assert abs(near - got) * x <= bound * scale, (arch.name, name, field, near, got)
        compared += 1
    return compared


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_the_mean_response_agrees_with_differences(seed):
    assume(_compare(differentiable_network(seed), seed=seed) >= 3)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.95]))
def test_percentiles_agree_with_differences(seed, quantile):
    assume(_compare(differentiable_network(seed), quantile, most=4, seed=seed) >= 2)


def test_most_parameters_of_most_networks_have_a_derivative_and_are_compared():
    counts = [_compare(differentiable_network(seed), most=4, seed=seed) for seed in range(22, 26)]
    assert sum(counts) >= 14  # of 16


def test_pools_that_feed_themselves_are_differentiated_by_differences():
    arch = differentiable_network(20)
    result = fa.sensitivity(arch, of="c0")
    assert "differences" in result.method
    assert _compare(arch, seed=1) >= 3


@pytest.mark.parametrize("seed", [2, 7, 11])
def test_influence_lines_agree_with_differences(seed):
    arch = differentiable_network(seed)
    result = fa.sensitivity(arch, of="c0")
    for entry, got in result.influence.items():
        total = sum(load.rate_per_s for load in arch.loads if load.entry == entry)

        def value(rate, entry=entry, total=total):
            loads = tuple(
                replace(load, rate_per_s=load.rate_per_s * rate / total) if load.entry == entry else load
                for load in arch.loads
            )
            return float(solve_network(build_network(replace(arch, loads=loads)), tol=1e-13).response[0])

        _, near = _difference(value, total, 1e-4)
        assert near == pytest.approx(got, rel=BOUND, abs=1e-9 * result.value / total)
