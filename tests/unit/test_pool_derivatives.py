"""Closed networks and what pools prescribe, swept back, against differences and against the product form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.differentiable_networks import pooled_network

from fea_arch.kernels.closed_networks import (
    convolve_stations,
    mix_background,
    mix_table,
    pull_stations,
    replace_stations,
)
from fea_arch.kernels.pool_paths import find_exclusive, pull_flow, push_flow
from fea_arch.solvers.network import build_network
from fea_arch.solvers.pool_linearisation import PoolLinearisation
from fea_arch.solvers.pool_servers import add_servers
from fea_arch.solvers.pools import _exclusive, pool_waits
from fea_arch.solvers.shared_stations import with_background
from fea_arch.solvers.statics import solve_network


def stations(seed, k=4, population=5):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 1.0, (k, population + 1)), rng.normal(size=(k, population + 1)), rng


def moments(shape, gain):
    """Sum over all states: norm, sum of gains and throughput by population, from the definition."""
    k, size = shape.shape
    norm, total = np.zeros(size), np.zeros(size)
    for state in np.ndindex(*(size,) * k):
        n = sum(state)
        if n < size:
            mass = np.prod([shape[j, m] for j, m in enumerate(state)])
            norm[n] += mass
            total[n] += mass * sum(gain[j, m] for j, m in enumerate(state))
    return norm, total


def test_the_convolution_is_the_sum_over_all_states_and_its_transpose_the_derivative():
    shape, gain, rng = stations(0)
    product, first = np.empty((5, 6)), np.empty((5, 6))
    convolve_stations(shape, gain, product, first)
    norm, total = moments(shape, gain)
    assert first[-1] / product[-1] == pytest.approx(total / norm, rel=1e-12)
    assert product[-1, :-1] / product[-1, 1:] == pytest.approx(norm[:-1] / norm[1:], rel=1e-12)
    weight = rng.uniform(size=6)
    mean = total / norm
    got = np.empty_like(shape)
    scale = product[-1]
    pull_stations(shape, gain, product, first, -weight * mean / scale, weight / scale, got)
    for j, m in [(0, 0), (1, 3), (2, 5), (3, 1)]:
        ends = []
        for sign in (1.0, -1.0):
            moved = shape.copy()
            moved[j, m] *= np.exp(sign * 1e-5)
            other = moments(moved, gain)
            ends.append(weight @ (other[1] / other[0]))
        assert got[j, m] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-7, abs=1e-9)


def test_a_station_is_exchanged_as_if_all_were_convolved_again():
    shape, gain, rng = stations(1)
    other, other_gain = rng.uniform(0.1, 1.0, shape.shape), rng.normal(size=shape.shape)
    product, first = np.empty((5, 6)), np.empty((5, 6))
    convolve_stations(shape, gain, product, first)
    weight, by_rates, out = rng.uniform(size=6), rng.normal(size=5), np.empty(4)
    replace_stations(shape, gain, product, first, other, other_gain, weight, by_rates, 0.7, out)

    def value(f, g):
        norm, total = moments(f, g)
        return weight @ (total / norm) + by_rates @ (0.7 * norm[:-1] / norm[1:])

    for j in range(4):
        f, g = shape.copy(), gain.copy()
        f[j], g[j] = other[j], other_gain[j]
        assert out[j] == pytest.approx(value(f, g) - value(shape, gain), rel=1e-10)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.3), (3, 0.9), (40, 0.95), (900, 0.9)])
def test_rates_beside_background_are_those_of_the_product_form_and_their_slopes_its_differences(servers, load):
    service, population = 0.02, 6
    table = np.arange(1, servers + 1) / service
    b = load * table[-1]
    rates, slope = np.empty((1, population)), np.empty((1, population))
    one = (np.array([servers]), np.array([service]), np.array([b]), np.array([-1]), np.ones(1))
    mix_background(*one, population, rates, slope)
    assert rates[0] == pytest.approx(with_background(table, b, population)[0], rel=1e-9)
    step = 1e-4 * b
    ends = [np.log(with_background(table, b + s * step, population)[0]) for s in (1, -1, 2, -2)]
    assert slope[0] == pytest.approx((8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step), rel=1e-5)
    if servers > 40:
        return
    by = np.empty((population, servers))
    mix_table(table, b, population, by)
    for at in {0, servers // 2, servers - 1}:
        ends = []
        for sign in (1.0, -1.0):
            moved = table.copy()
            moved[at] *= np.exp(sign * 1e-4)
            ends.append(np.log(with_background(moved, b, population)[0]))
        assert by[:, at] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-9)


def test_flows_along_calls_are_swept_back_exactly():
    network = build_network(pooled_network(3))
    rng = np.random.default_rng(0)
    source = np.where(rng.random(network.n) < 0.4, rng.uniform(1, 5, network.n), np.nan)
    source[network.order[-1]] = 3.0
    paths = (network.order, network.ptr, network.target, network.sync, network.calls)
    used, by = np.empty(network.n), rng.normal(size=network.n)
    push_flow(*paths, source, network.n - 1, used)
    by_source, by_calls = np.zeros(network.n), np.zeros(network.calls.size)
    pull_flow(*paths, source, network.n - 1, used, by.copy(), by_source, by_calls)
    blank = np.empty(network.n)
    for i in np.flatnonzero(~np.isnan(source)).tolist():
        ends = [by @ push_flow(*paths, np.where(np.arange(network.n) == i, source + s, source), network.n - 1, blank)
                for s in (0.5, -0.5)]  # fmt: skip
        assert by_source[i] == pytest.approx(ends[0] - ends[1], rel=1e-9, abs=1e-12)
    for e in range(network.calls.size):
        moved = [np.where(np.arange(network.calls.size) == e, network.calls * (1 + s), network.calls)
                 for s in (1e-5, -1e-5)]  # fmt: skip
        ends = [by @ push_flow(*paths[:-1], m, source, network.n - 1, blank) for m in moved]
        assert by_calls[e] == pytest.approx((ends[0] - ends[1]) / (2e-5 * network.calls[e]), rel=1e-7, abs=1e-8)


def felt(seed):
    state = solve_network(build_network(pooled_network(seed)), tol=1e-12, max_sweeps=200)
    assert state.limiting < 0
    return state, PoolLinearisation(state)


@pytest.mark.parametrize("seed", range(6))
def test_the_waits_are_those_of_the_equilibrium(seed):
    state, pools = felt(seed)
    assert state.tight
    assert pools.agrees
    touched = ~np.isnan(state.wait_fixed)
    assert pools.wait[touched] == pytest.approx(state.wait_fixed[touched], rel=1e-8, abs=1e-12)
    network = state.network
    alone = find_exclusive(np.array(state.tight), network.ptr, network.target, network.sync, network.in_ptr,
                           network.source[network.in_edge], pools.flow, pools.arriving)  # fmt: skip
    assert alone.tolist() == [_exclusive(network, i, pools.flow, pools.arriving) for i in state.tight]


@pytest.mark.parametrize("seed", range(12))
def test_the_waits_are_those_of_the_pools_to_rounding(seed):
    state, pools = felt(seed)
    found = pool_waits(state.network, pools.flow, state.service, state.hold, state.hold_scv, state.open_wait,
                       state.tight, set(state.binding), {})  # fmt: skip
    assert np.array_equal(np.isnan(pools.wait), np.isnan(found.wait))
    touched = pools.rows
    gap = np.abs(pools.wait - found.wait)[touched]
    assert (gap <= 1e-11 * (found.wait + state.service)[touched]).all()


@pytest.mark.parametrize("seed", range(4))
def test_one_sweep_back_has_the_derivatives_of_the_waits_by_every_local_parameter(seed):
    state, pools = felt(seed)
    network, rng = state.network, np.random.default_rng(seed)
    weight = np.zeros(network.n)
    weight[pools.rows] = rng.uniform(0.5, 1.0, pools.rows.size) * rng.choice([-1.0, 1.0], pools.rows.size)
    got = pools.pull(weight)
    base = {"service": state.service, "hold_scv": state.hold_scv, "open_wait": state.open_wait, "scv": network.scv,
            "latency": network.latency}  # fmt: skip

    def value(name, changed):
        now = {**base, name: changed}
        net = replace(network, scv=now["scv"], latency=now["latency"])
        found = pool_waits(net, pools.flow, now["service"], state.hold, now["hold_scv"], now["open_wait"],
                           state.tight, set(state.binding), {})  # fmt: skip
        return float(weight @ np.nan_to_num(found.wait))

    pairs = []
    for name, values in base.items():
        for i in np.flatnonzero(values > 0).tolist():
            h = 2.5e-4 * float(values[i])  # 1e-3 reaches over a kink of one of them
            ends = []
            for k in (1, -1, 2, -2):
                moved = values.copy()
                moved[i] += k * h
                ends.append(value(name, moved))
            slope = (8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h)
            pairs.append((values[i] * getattr(got, name)[i], values[i] * slope))
    found, wanted = np.array(pairs).T
    assert np.abs(wanted).max() > 0.01 * np.abs(weight) @ np.nan_to_num(pools.wait)
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(3))
def test_one_worker_more_is_exact_in_its_own_pool(seed):
    state, pools = felt(seed)
    network = state.network
    weight = np.zeros(network.n)
    outer = [i for i in pools.outer if all(i not in s.component[1:] for s in pools.subsystem.values())]
    weight[outer] = 1.0
    assert outer
    got = add_servers(pools, weight)

    def value(servers):
        found = pool_waits(replace(network, servers=servers), pools.flow, state.service, state.hold, state.hold_scv,
                           state.open_wait, state.tight, set(state.binding), {})  # fmt: skip
        return float(found.wait[outer].sum())

    for i in outer:
        more = network.servers.copy()
        more[i] += 1
        assert got[i] == pytest.approx(value(more) - value(network.servers), rel=1e-8)
