"""Metastable failures: V-ME-01, V-ME-02, V-ME-04, V-ME-05, mean times to collapse, remedies (V-ME-03: limit points)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg
from reference.retry_queue import chain_collapse_times, collapse_times, mixed_collapse_times, recovers
from scipy.optimize import brentq
from scipy.special import lambertw

import fea_arch as fa
from fea_arch.kernels.collapse_paths import collapse_paths
from fea_arch.solvers.first_passage import RetryStation
from fea_arch.solvers.late_retries import calm_law, late_retry_collapse_s


def architecture(rate, *, mu=10.0, servers=1, timeout=1.0, retries=3, **call):
    """A client in front of one station of capacity ``mu``."""
    return fa.Architecture(
        name="retry",
        components=[
            fa.Component("web", law="delay", blocking=False, service_time_s=1e-6),
            fa.Component("db", service_time_s=servers / mu, servers=servers),
        ],
        dependencies=[fa.Dependency("web", "db", timeout_s=timeout, retries=retries, **call)],
        loads=[fa.Load("web", rate_per_s=rate)],
    )


def station(mu, servers, timeout, retries):
    return RetryStation(
        service_s=servers / mu, servers=servers, shares=(1.0,), timeouts_s=(timeout,), retries=(retries,)
    )


# --- V-ME-01: a data base for 300 queries a second, one retry after a second ---------------------------------------
def test_hotos_example_is_vulnerable_between_150_and_about_300():
    """V-ME-01 (Bronson et al., HotOS 2021): recovery = capacity / (1 + retries)."""
    result = fa.metastability(architecture(280.0, mu=300.0, retries=1))
    assert result.recovery_load_per_s == pytest.approx(150.0, rel=1e-4)
    assert 290.0 < result.collapse_load_per_s < 300.0
    assert result.vulnerable
    assert result.recovery_factor * 280.0 == pytest.approx(150.0, rel=0.03)
    assert not fa.metastability(architecture(140.0, mu=300.0, retries=1)).vulnerable


def test_hotos_outage_of_ten_seconds_stays_at_280_and_heals_at_140():
    """V-ME-01: what the curve says is what the event simulation does."""
    assert not any(recovers(280.0, 1 / 300, 1, 1.0, 1, 10.0, seed=k) for k in range(5))
    assert all(recovers(140.0, 1 / 300, 1, 1.0, 1, 10.0, seed=k) for k in range(5))
    tripped = fa.metastability(architecture(280.0, mu=300.0, retries=1))
    losses = {t.size: t.duration_s for t in tripped.triggers if t.kind == "loss of capacity"}
    assert losses[1.0] < 10.0  # ten seconds without service are more than enough
    safe = fa.metastability(architecture(140.0, mu=300.0, retries=1))
    assert all(t.duration_s == np.inf for t in safe.triggers)


# --- V-ME-02: closed form of the fold with one retry --------------------------------------------------------------
@pytest.mark.parametrize(("mu", "load", "arrivals"), [
    (10.0, 7.047348546598, 8.047348546598), (300.0, 293.318740131984, 294.318740131984),
])  # fmt: skip
def test_fold_with_one_retry_is_lambert_w(mu, load, arrivals):
    """V-ME-02: W0(e^(mu T - 1)) / T."""
    s = station(mu, 1, 1.0, 1)
    w = float(np.real(lambertw(np.exp(mu - 1.0)))) if mu < 100 else load
    at, fold = s.fold()
    assert fold == pytest.approx(load, rel=1e-9)
    assert fold == pytest.approx(w, rel=1e-9)
    assert at == pytest.approx(arrivals, rel=1e-6)  # the maximum is flat: its place is found to the root of its value
    assert s.recovery()[1] == pytest.approx(mu / 2.0)
    assert s.late(at, 1.0) == pytest.approx(1.0 / w, rel=1e-6)


def test_three_states_at_one_load():
    """V-ME-02: lambda = 6, mu = 10, T = 1 has arrivals 6.12 (normal), 9.45 (unstable) and 12 (failed)."""
    s = station(10.0, 1, 1.0, 1)
    turn = s.fold()[0]
    low = brentq(lambda x: s.load(x) - 6.0, 1.0, turn, xtol=1e-13)
    middle = brentq(lambda x: s.load(x) - 6.0, turn, 10.0 - 1e-9, xtol=1e-13)
    assert low == pytest.approx(6.124458630950, abs=1e-9)
    assert middle == pytest.approx(9.445231685728, abs=1e-9)
    assert 6.0 * s.worst_gain == pytest.approx(12.0)
    branches = fa.metastability(architecture(6.0, retries=1)).branches
    kinds = np.array(branches.branch)
    assert branches.load_per_s[kinds == "normal"].max() == pytest.approx(7.047348546598, rel=1e-6)
    assert branches.load_per_s[kinds == "failed"].min() == pytest.approx(5.0, rel=1e-6)
    np.testing.assert_array_equal(branches.stable, kinds != "unstable")


# --- V-ME-04: the chain of metafor --------------------------------------------------------------------------------
def metafor(rate, *, mu=10.0, timeout=3.0, retries=4, places=100, orbit=20, alpha=0.25):
    """Mean queue, mean orbit, P(full), throughput and drop rate of the stationary chain."""
    back, drop = retries / ((retries + 1) * timeout), 1.0 / ((retries + 1) * timeout)
    n = np.arange(places)
    sigma = np.sqrt(n) / mu
    room = timeout - n / mu
    tail = np.where(room > sigma, (sigma / np.where(room > 0, room, 1.0)) ** 2, 1.0)
    tail[0] = 0.0
    rows, cols, rates = [], [], []

    def add(n0, r0, n1, r1, value):
        if value > 0:
            rows.append(n0 * orbit + r0)
            cols.append(n1 * orbit + r1)
            rates.append(value)

    for k in range(places):
        for r in range(orbit):
            if k == 0:
                add(k, r, 1, r, rate)
                if r:
                    add(k, r, 0, r - 1, r * drop)
                    add(k, r, 1, r - 1, r * back)
            elif k == places - 1:
                add(k, r, k - 1, r, mu)
                if r:
                    add(k, r, k, r - 1, r * (drop + back))
            else:
                if r < orbit - 1:
                    add(k, r, k + 1, r + 1, alpha * rate * tail[k])
                add(k, r, k + 1, r, rate + r * back * tail[k])
                if r:
                    add(k, r, k + 1, r - 1, r * back * (1 - tail[k]))
                    add(k, r, k, r - 1, r * drop)
                add(k, r, k - 1, r, mu)
    size = places * orbit
    q = sp.csc_matrix((rates, (rows, cols)), shape=(size, size))
    q = q - sp.diags(np.asarray(q.sum(axis=1)).ravel())
    system = sp.lil_matrix(q.T)
    system[-1, :] = 1.0
    right = np.zeros(size)
    right[-1] = 1.0
    pi = scipy.sparse.linalg.spsolve(system.tocsc(), right).reshape(places, orbit)
    level, waiting = pi.sum(axis=1), pi.sum(axis=0)
    mean_orbit = float(np.arange(orbit) @ waiting)
    return float(n @ level), mean_orbit, float(level[-1]), mu * (1.0 - level[0]), mean_orbit * drop


def test_metafor_chain_and_the_range_that_the_library_gives():
    """V-ME-04: 9.5 and 8 requests a second work normally, but the stationary state is the failed one; 5 and 4 stay."""
    found = metafor(9.5)
    assert found == pytest.approx((96.863102, 10.582118, 0.31867082, 10.0, 0.70547456), rel=1e-6)
    assert metafor(8.0)[0] == pytest.approx(95.744154, rel=1e-6)
    assert metafor(5.0)[0] == pytest.approx(1.002315, rel=1e-6)
    assert metafor(4.0)[0] == pytest.approx(0.667427, rel=1e-5)
    s = RetryStation(service_s=0.1, servers=1, shares=(0.25,), timeouts_s=(3.0,), retries=(4,))
    fold, recovery = s.fold()[1], s.recovery()[1]
    assert 10.0 / (1.0 + 0.25 * 5) < recovery < 8.0 < fold < 10.0


# --- V-ME-05: outcomes of the MongoDB experiment, as an ordering --------------------------------------------------
def test_triggers_need_less_time_when_they_are_deeper_and_more_when_the_load_is_lower():
    """V-ME-05 (Huang et al., OSDI 2022): -80 % for 10 s tips, for 9 s not; -78 % not; at -30 % load not."""
    s = station(100.0, 2, 3.0, 4)
    depth = [s.trigger_s(80.0, capacity=1.0 - loss) for loss in (0.5, 0.78, 0.80, 1.0)]
    assert all(a > b for a, b in zip(depth, depth[1:]))
    assert s.trigger_s(56.0, capacity=0.2) > s.trigger_s(80.0, capacity=0.2)  # 30 % less load
    assert s.trigger_s(15.0, capacity=0.2) == np.inf  # below the recovery load
    surge = [s.trigger_s(60.0, load_factor=f) for f in (2.0, 5.0, 10.0)]
    assert surge[0] > surge[1] > surge[2] > 0


# --- mean time to collapse ----------------------------------------------------------------------------------------
def test_times_of_one_station_with_three_retries():
    """mu = 10/s, t_o = 1 s, r = 3: fold 6.94, recovery 2.5; retries at once: 6.1e5 s, 1.9e3 s and 1.2e2 s."""
    result = fa.metastability(architecture(4.16))
    assert result.collapse_load_per_s == pytest.approx(6.94, abs=0.005)
    assert result.recovery_load_per_s == pytest.approx(2.5)
    for rate, seconds in ((2.77, 6.1e5), (4.16, 1.9e3), (5.55, 1.2e2)):
        assert result.time_to_collapse_s(rate, immediate_retries=True) == pytest.approx(seconds, rel=0.05)
    assert result.time_to_collapse_s(2.4) == np.inf


@pytest.mark.parametrize(("mu", "servers", "timeout", "retries", "rates"), [
    (10.0, 1, 1.0, 3, (3.5, 4.16, 5.55)),  # a time-out of 10 service times
    (10.0, 1, 0.5, 3, (2.9, 3.3, 4.2)),  # of 5
    (10.0, 1, 2.0, 2, (5.8, 6.6, 7.8)),  # of 20
    (20.0, 4, 2.0, 3, (15.2, 16.2, 16.9)),  # of 10, four servers
    (10.0, 1, 10.0, 1, (9.3, 9.4)),  # of 100
])  # fmt: skip
def test_first_passage_times_are_those_of_the_simulated_chain(mu, servers, timeout, retries, rates):
    """Within a factor of 1.5 of the event simulation of the birth-death process, over three decades."""
    s = station(mu, servers, timeout, retries)
    for rate in rates:
        tip = s.tipping_number(rate)
        ratio = mu / (rate * (retries + 1))
        beyond = tip + int(np.ceil(np.log(1e-3) / np.log(ratio)))
        times = chain_collapse_times(rate, servers / mu, servers, timeout, retries, beyond, runs=30)
        assert 1 / 1.5 < times.mean() / s.time_to_collapse_s(rate, immediate=True) < 1.5


@pytest.mark.parametrize(("mu", "servers", "timeout", "retries", "rates", "runs"), [
    (10.0, 1, 1.0, 3, (2.77,), 40),  # a time-out of 10 service times, three decades of mean times with the next
    (10.0, 1, 1.0, 3, (3.3, 4.16, 5.55, 6.2), 100),
    (10.0, 1, 0.5, 4, (2.5, 3.3, 4.2), 100),  # of 5
    (10.0, 1, 2.0, 2, (5.8, 6.6, 7.8), 100),  # of 20
    (10.0, 1, 3.0, 1, (7.6, 8.2, 8.8), 100),  # of 30
    (10.0, 1, 10.0, 1, (9.3, 9.5, 9.7), 60),  # of 100
    (20.0, 4, 2.0, 3, (15.7, 16.9), 100),  # of 10, four servers
    (10.0, 10, 3.0, 3, (6.4, 7.0, 7.8), 100),  # of 3, ten servers: some calls are late by their own service
])  # fmt: skip
def test_mean_times_to_collapse_are_those_of_the_station_event_by_event(mu, servers, timeout, retries, rates, runs):
    """Within a factor of 1.5 of the event simulation of the station, over three decades."""
    s = station(mu, servers, timeout, retries)
    found = []
    for number, rate in enumerate(rates):
        enough = s.no_return_wait_s(rate)
        seen = collapse_times(
            rate, servers / mu, servers, timeout, retries, enough=enough, runs=runs, seed=1000 * number
        )
        found.append(s.time_to_collapse_s(rate))
        assert 1 / 1.5 < found[-1] / seen.mean() < 1.5, rate
    assert sorted(found, reverse=True) == found


@pytest.mark.parametrize(("change", "rates"), [
    ({"shares": (0.6, 0.3), "timeouts_s": (1.0, 2.0), "retries": (3, 2)}, (4.5, 6.0)),  # two groups, some never retry
    ({"pauses_s": (3.0,)}, (4.5, 5.5)),  # back-off
    ({"pauses_s": (12.0,)}, (5.5, 6.0)),  # back-off so long that retries are pending while it is calm
    ({"budgets": (1.5,)}, (5.0, 6.0)),  # a retry budget that leaves a failed state
])  # fmt: skip
def test_groups_pauses_and_budgets_are_followed_try_by_try(change, rates):
    base = {"service_s": 0.1, "servers": 1, "shares": (1.0,), "timeouts_s": (1.0,), "retries": (3,)}
    s = RetryStation(**{**base, **change})
    for rate in rates:
        seen = mixed_collapse_times(s, rate, enough=s.no_return_wait_s(rate), runs=100)
        assert 1 / 1.5 < s.time_to_collapse_s(rate) / seen.mean() < 1.5, rate


@pytest.mark.parametrize("servers", [1, 4])
def test_paths_of_a_station_without_retries_add_up_to_the_exact_passage_time(servers):
    """Renewal from a wait of 1.5 s on to one of 2 s, by splitting, against the closed form; and that by hand."""
    mu, rate, edge, end = 10.0, 7.0, 1.5, 2.0
    service = servers / mu
    law = calm_law(rate, service, servers, edge)
    groups = np.array([[1.0, edge, edge, 0.0, 0.0, np.inf]])
    numbers = np.array([rate, service, mu, edge, servers, end, -1.0])
    _, chance, spent, _ = collapse_paths(groups, numbers, law, np.array([edge + 0.2]), 20_000, 100, 10**9, 1)
    assert law[0] + spent / chance == pytest.approx(calm_law(rate, service, servers, end)[0], rel=0.05)
    if servers == 1:  # g'' = (mu - f) g' - mu once more, in steps
        w = np.linspace(0.0, edge, 4001)
        steps = np.diff(w)[0]
        slope = np.zeros(w.size)
        for i in range(w.size - 1):  # Heun
            k = (mu - rate) * slope[i] - mu
            slope[i + 1] = slope[i] + 0.5 * steps * (k + (mu - rate) * (slope[i] + steps * k) - mu)
        by_hand = (1.0 - slope[-1]) / rate - np.trapezoid(slope, w)
        assert law[0] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("low", [-1.0, 0.6])
def test_interpreted_and_compiled_paths_are_the_same(low):
    groups = np.array([[0.7, 1.0, 1.0, 0.0, 3.0, 1.0], [0.2, 1.5, 1.5, 0.5, 2.0, np.inf]])
    numbers = np.array([5.5, 0.1 if low < 0 else 0.3, 10.0, 1.0, 1.0 if low < 0 else 3.0, 3.5, low])
    data = (groups, numbers, calm_law(5.5, 0.1, 1, 1.0), np.array([1.1, 1.6, 2.2]), 12, 100, 10**6, 5)
    compiled, plain = collapse_paths.compiled()(*data), collapse_paths.py_func(*data)
    assert compiled == pytest.approx(plain, rel=1e-12) and plain[3] > 100
    assert collapse_paths(*data[:-2], 50, 5)[1] == -1.0  # too long to follow


def test_sampled_times_are_reproducible_and_spread_little():
    s = station(10.0, 1, 1.0, 3)
    assert s.time_to_collapse_s(4.16) == s.time_to_collapse_s(4.16)
    values = np.array([late_retry_collapse_s(s, 4.16, seed=k) for k in range(0, 40, 4)])
    assert 0.0 < values.std() / values.mean() < 0.12
    assert s.time_to_collapse_s(2.4) == np.inf
    # rare beyond any use: the wait alone takes so long
    rare = station(100.0, 1, 1.0, 3)
    assert 1e15 < rare.time_to_collapse_s(40.0) < 1e60


def test_a_bounded_queue_collapses_where_it_is_full_of_late_calls():
    base = {"service_s": 0.1, "servers": 1, "shares": (1.0,), "timeouts_s": (1.0,), "retries": (3,)}
    free = RetryStation(**base).time_to_collapse_s(4.16)
    assert RetryStation(**base, places=400).time_to_collapse_s(4.16) == pytest.approx(free, rel=1e-12)
    assert RetryStation(**base, places=30).time_to_collapse_s(4.16) == pytest.approx(free, rel=0.3)
    assert RetryStation(**base, places=5).time_to_collapse_s(4.16) == np.inf  # nobody waits for a second


# --- what removes the fold ----------------------------------------------------------------------------------------
def test_remedies_that_are_said_to_remove_the_failed_state_do():
    base = architecture(4.16)
    result = fa.metastability(base)
    assert result.vulnerable
    done = 0
    for remedy in result.remedies:
        if remedy.field == "servers":
            changed = base.replaced("db", servers=int(remedy.value))
        else:
            changed = base.replaced(remedy.dependency, **{remedy.field: type(remedy.value)(remedy.value)})
        again = fa.metastability(changed)
        assert again.vulnerable != remedy.removes, remedy
        done += remedy.removes
    assert done >= 3  # a retry budget, fewer retries and more servers


def test_backlog_heals_below_the_recovery_load_and_holds_itself_above():
    result = fa.metastability(architecture(4.16))
    assert result.time_to_recovery_s(200.0, 2.0) < 200.0
    assert result.time_to_recovery_s(200.0, 4.16) == np.inf
    assert result.time_to_recovery_s(0.0) == 0.0
    for bad in (-1.0, np.inf):
        with pytest.raises(fa.ModelError, match="backlog"):
            result.time_to_recovery_s(bad)
    with pytest.raises(fa.ModelError, match="rate_per_s"):
        result.time_to_collapse_s(0.0)


def test_networks_with_cycles_and_pools_fold_where_the_bottleneck_is_elsewhere():
    """The callers' retries hit one component, its callee saturates: only the network shows the fold."""
    arch = fa.Architecture(
        name="deep",
        components=[
            fa.Component("web", law="delay", blocking=False, service_time_s=0.001),
            fa.Component("api", servers=60, service_time_s=0.001),
            fa.Component("model", servers=4, service_time_s=0.04),
        ],
        dependencies=[
            fa.Dependency("web", "api", timeout_s=0.5, retries=2),
            fa.Dependency("api", "model"),
            fa.Dependency("model", "api", calls=0.01),
        ],
        loads=[fa.Load("web", rate_per_s=80.0)],
    )
    result = fa.metastability(arch)
    assert 85.0 < result.collapse_factor * 80.0 < 100.0
    assert result.recovery_factor * 80.0 < 60.0
    assert result.vulnerable


def test_no_retries_no_fold():
    result = fa.metastability(architecture(5.0, retries=0))
    assert not result.vulnerable and not result.components
    assert result.time_to_collapse_s() == np.inf
    assert "does not fold" in result.findings[-1]


def test_retries_without_a_timeout_are_named():
    with pytest.raises(fa.ModelError, match="web->db") as caught:
        fa.metastability(architecture(5.0, timeout=None, retries=2))
    assert "timeout_s" in str(caught.value)
