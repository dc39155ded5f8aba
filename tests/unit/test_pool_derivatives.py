"""What pools prescribe, swept back, against differences and against the static pools."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.differentiable_networks import pooled_network

from fea_arch.kernels.pool_paths import find_exclusive, pull_flow, push_flow
from fea_arch.solvers.network import build_network
from fea_arch.solvers.pool_linearisation import PoolLinearisation
from fea_arch.solvers.pool_servers import add_servers
from fea_arch.solvers.pools import _exclusive, pool_waits
from fea_arch.solvers.statics import solve_network


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


def test_sweeps_back_do_not_depend_on_what_was_asked_before():
    state, pools = felt(2)
    rng = np.random.default_rng(7)
    first, second = np.zeros((2, state.network.n))
    first[pools.rows], second[pools.rows] = rng.normal(size=(2, pools.rows.size))
    fresh = {id(w): felt(2)[1].pull(w) for w in (first, second)}
    for weight in (first, first, second, first):
        found = pools.pull(weight)
        for name, value in vars(fresh[id(weight)]).items():
            assert np.array_equal(getattr(found, name), value), name
            getattr(found, name)[:] = np.nan  # what is returned is the caller's own
    size = [len(x) for x in (pools.tape._numbers, pools.tape._arrays, pools.tape._steps)]
    more = add_servers(pools, second)
    assert more.any()
    assert np.array_equal(more, add_servers(felt(2)[1], second))
    # pools solved with one worker more are not on the tape
    assert size == [len(x) for x in (pools.tape._numbers, pools.tape._arrays, pools.tape._steps)]
    assert np.array_equal(pools.pull(second).flow, fresh[id(second)].flow)
