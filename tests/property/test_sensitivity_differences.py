"""Adjoint derivatives against finite differences over random architectures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference.differentiable_networks import differentiable_network, pooled_network

import fea_arch as fa
from fea_arch.results.quantiles import mixture_quantile
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network

#: Agreement that is asked for, relative to the effect of the parameter itself.
BOUND = 1e-5
#: Share of the largest effect below which an effect only has to be as small as that, to within ``SMALLEST``.
NEGLIGIBLE = 1e-6
#: Share of the largest effect that is no effect: less than 1e-9 of a flow is no load to a pool.
SMALLEST = 1e-9


class Shape(Exception):
    """The set of felt pools changed within the step: there is no derivative to compare."""


def _pools(state):
    return sorted(state.tight), sorted(state.binding)


def _answer(arch, i, quantile, pools):
    state = solve_network(build_network(arch), tol=1e-12, max_sweeps=150)
    if state.limiting >= 0 or _pools(state) != pools:
        raise Shape
    if quantile is None:
        return float(state.response[i])
    return mixture_quantile(quantile, state.response[[i]], state.variance[[i]], np.ones(1))


def _difference(value, x, rel):
    """Six-point difference of order 6 (Fornberg 1988) and the one with half the step."""
    out = []
    for h in (rel * x, 0.5 * rel * x):
        ends = [value(x + k * h) for k in (1, -1, 2, -2, 3, -3)]
        out.append((45.0 * (ends[0] - ends[1]) - 9.0 * (ends[2] - ends[3]) + ends[4] - ends[5]) / (60.0 * h))
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
    """Return how many parameters were compared, of how many that have an effect; assert each.

    The criterion is ``|difference - derivative| <= 1e-5 |difference|`` for every effect above 1e-6 of the largest one,
    and agreement to 1e-9 of the largest one below. A difference that moves by a third of that when its step is halved
    has no such accuracy itself, and is left out.
    """
    try:
        result = fa.sensitivity(arch, of="c0", quantile=quantile)
    except (fa.UnstableLoadError, fa.ConvergenceError):
        return 0, 0
    assert result.method == "adjoint"
    pools = _pools(solve_network(build_network(arch), tol=1e-12))
    todo = [t for t in _parameters(arch, result) if np.isfinite(t[3])]
    scale = max(abs(x * got) for _, _, x, got in todo)
    order = np.random.default_rng(seed).permutation(len(todo)).tolist()
    felt = [k for k in order if abs(todo[k][2] * todo[k][3]) > NEGLIGIBLE * scale]
    idle = [k for k in order if k not in felt][:1]  # what is said to have no effect is tried as well
    compared = 0
    for k in felt[:most] + idle:
        name, field, x, got = todo[k]
        try:
            wide, near = _difference(
                lambda v, n=name, f=field: _answer(arch.replaced(n, **{f: v}), 0, quantile, pools), x, 4e-3
            )
        except (Shape, fa.ConvergenceError):
            continue
        bound = BOUND * abs(near * x) if k in felt else SMALLEST * scale
        if abs(wide - near) * x > 0.3 * bound:
            continue
        assert abs(near - got) * x <= bound, (arch.name, name, field, near, got)
        compared += k in felt
    return compared, len(felt[:most])


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_the_mean_response_agrees_with_differences(seed):
    compared, felt = _compare(differentiable_network(seed), most=4, seed=seed)
    assume(felt and compared >= 0.5 * felt)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_the_mean_response_of_bounded_pools_agrees_with_differences(seed):
    compared, felt = _compare(pooled_network(seed), most=4, seed=seed)
    assume(felt and compared >= 0.5 * felt)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.95]))
def test_percentiles_agree_with_differences(seed, quantile):
    compared, felt = _compare(differentiable_network(seed), quantile, most=3, seed=seed)
    assume(felt and compared >= 0.5 * felt)


@pytest.mark.parametrize("family", [differentiable_network, pooled_network])
def test_most_parameters_of_most_networks_have_a_derivative_and_are_compared(family):
    counts = [_compare(family(seed), most=4, seed=seed) for seed in range(22, 26)]
    compared, felt = np.sum(counts, axis=0)
    assert felt >= 12
    assert compared >= 0.85 * felt


def test_pools_that_feed_themselves_have_an_adjoint():
    arch = differentiable_network(20)  # what a pool reaches sends work to what it reaches, without waiting for it
    compared, felt = _compare(arch, seed=1)
    assert felt >= 3
    assert compared >= 3


def test_pools_within_a_cycle_of_calls_have_an_adjoint():
    compared, felt = _compare(differentiable_network(103), seed=1)  # an inner pool that comes after its caller
    assert felt >= 3
    assert compared >= 3


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
