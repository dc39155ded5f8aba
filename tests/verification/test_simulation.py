"""The event simulation against exact results of queueing theory.

Bounds: a mean must lie within the 95 % confidence half-width scaled to 4 standard errors, so that a correct simulation
fails about once in 10 000 comparisons, with fixed seeds; intervals themselves must be narrow enough to be a test.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import fea_arch as fa

WIDE = 2.0


def near(measured, half_width, exact, relative=0.04):
    """Within twice the 95 % interval, and the interval itself is narrow."""
    assert half_width <= relative * abs(exact), (half_width, exact)
    assert abs(measured - exact) <= WIDE * half_width, (measured, half_width, exact)


def station(rate, **fields):
    return fa.Architecture(name="s", components=[fa.Component("a", **fields)], loads=[fa.Load("a", rate_per_s=rate)])


def books(result):
    total = result.served + result.request_rejected + result.request_failed + result.request_timed_out + result.inside
    assert (result.offered == total).all()


def erlang_c(c, a):
    b = 1.0
    for n in range(1, c + 1):
        b = a * b / (n + a * b)
    return b / (1.0 - a / c * (1.0 - b))


@pytest.mark.parametrize(("c", "rate"), [(1, 70.0), (2, 170.0), (5, 400.0)])
def test_mmc(c, rate):
    r = fa.simulate(station(rate, service_time_s=0.01, servers=c), duration_s=1000, seed=1)
    a = rate * 0.01
    wait = erlang_c(c, a) / (c / 0.01 - rate)
    row = r["a"]
    near(row["wait_s"], row["wait_s_half_width"], wait)
    near(row["response_s"], row["response_s_half_width"], wait + 0.01)
    near(row["in_flight"], row["in_flight_half_width"], rate * (wait + 0.01))
    near(row["utilisation"], row["utilisation_half_width"], a / c)
    near(row["throughput_per_s"], row["throughput_per_s_half_width"], rate)
    books(r)


def test_mm1_quantiles():
    # the response time of M/M/1 is exponential with mean 1/(mu - lambda)
    r = fa.simulate(station(50.0, service_time_s=0.01), duration_s=2000, seed=2)
    for p in (0.5, 0.9, 0.99):
        assert r.latency_quantile_s(p) == pytest.approx(-math.log(1 - p) / 50.0, rel=0.03)
        assert r.latency_quantile_s(p, at="a") == r.latency_quantile_s(p)


@pytest.mark.parametrize("scv", [0.0, 0.3, 4.0])
def test_mg1_pollaczek_khinchine(scv):
    r = fa.simulate(station(60.0, service_time_s=0.01, service_scv=scv), duration_s=1500, seed=3)
    wait = 0.6 * 0.01 / (1 - 0.6) * (1 + scv) / 2
    near(r.wait_s[0], r.wait_s_half_width[0], wait, relative=0.06)


@pytest.mark.parametrize(("scv", "sigma"), [(0.5, 0.739852949126)])
def test_renewal_arrivals_gi_m_1(scv, sigma):
    # Erlang-2 arrivals at load 0.8: Wq = S sigma / (1 - sigma), sigma the root of the transform equation
    arch = fa.Architecture(
        name="s",
        components=[fa.Component("a", service_time_s=0.01)],
        loads=[fa.Load("a", rate_per_s=80.0, arrival_scv=scv)],
    )
    r = fa.simulate(arch, duration_s=2000, seed=4)
    near(r.wait_s[0], r.wait_s_half_width[0], 0.01 * sigma / (1 - sigma), relative=0.06)


def test_jackson_network():
    # Bolch et al., Ex. 7.4: probabilistic routing as asynchronous calls
    s = (0.04, 0.03, 0.06, 0.05)
    arch = fa.Architecture(
        name="jackson",
        components=[fa.Component(str(i + 1), service_time_s=s[i]) for i in range(4)],
        dependencies=[
            fa.Balancer("1", ("2", "3"), policy="weighted", weights=(0.5, 0.5), mode="async"),
            fa.Dependency("2", "1", mode="async"),
            fa.Dependency("3", "1", calls=0.6, mode="async"),
            fa.Dependency("4", "1", mode="async"),
        ],
        loads=[fa.Load("4", rate_per_s=4.0)],
    )
    r = fa.simulate(arch, duration_s=20_000, seed=5)
    for i, (rate, inside) in enumerate(zip((20, 10, 10, 4), (4.0, 3 / 7, 1.5, 0.25))):
        near(r.throughput_per_s[i], r.throughput_per_s_half_width[i], rate)
        near(r.in_flight[i], r.in_flight_half_width[i], inside, relative=0.06)


def mva(service, visits, users, think):
    q = np.zeros(len(service))
    x = 0.0
    for n in range(1, users + 1):
        r = visits * service * (1 + q)
        x = n / (think + r.sum())
        q = x * r
    return x, q


@pytest.mark.parametrize(
    ("service", "visits", "users", "think"),
    [((0.005, 0.03, 0.027), (121, 70, 50), 3, 15.0), ((0.125, 0.3, 0.2), (16, 10, 5), 20, 4.0)],
)
def test_closed_central_server(service, visits, users, think):
    """Lazowska p. 117 and Jain p. 577: product form, exact mean value analysis."""
    # a terminal without queueing makes one request at a time to the devices; the order of the visits does not matter
    names = [f"d{i}" for i in range(len(service))]
    arch = fa.Architecture(
        name="central",
        components=[
            fa.Component("terminal", service_time_s=1e-9, law="delay"),
            *(fa.Component(n, service_time_s=t) for n, t in zip(names, service)),
        ],
        dependencies=[fa.Dependency("terminal", n, calls=float(v)) for n, v in zip(names, visits)],
        loads=[fa.Load("terminal", users=users, think_time_s=think)],
    )
    x, q = mva(np.array(service), np.array(visits, float), users, think)
    r = fa.simulate(arch, duration_s=20_000, warm_up_s=1000, seed=6)
    near(r.throughput_per_s[0], r.throughput_per_s_half_width[0], x)
    for i in range(len(service)):
        near(r.in_flight[i + 1], r.in_flight_half_width[i + 1], q[i], relative=0.08)
    books(r)


@pytest.mark.parametrize(("threads", "exact"), [(1, 1.6169756397), (2, 1.8176593908), (3, 1.8309859155)])
def test_thread_pool_of_two_layers(threads, exact):
    """The exact Markov chain of three clients, an application with threads that block, and a database."""
    arch = fa.Architecture(
        name="layers",
        components=[
            fa.Component("app", service_time_s=0.2, servers=threads, blocking=True),
            fa.Component("db", service_time_s=0.3),
        ],
        dependencies=[fa.Dependency("app", "db")],
        loads=[fa.Load("app", users=3, think_time_s=1.0)],
    )
    r = fa.simulate(arch, duration_s=20_000, warm_up_s=500, seed=7)
    near(r.throughput_per_s[0], r.throughput_per_s_half_width[0], exact, relative=0.01)
    response = 3 / exact - 1.0
    near(r.response_s[0], r.response_s_half_width[0], response, relative=0.02)


def birth_death_mean(rate, curve):
    p, total, inside = 1.0, 1.0, 0.0
    for n, x in enumerate(curve, start=1):
        p *= rate / x
        total += p
        inside += n * p
    return inside / total


def test_usl_is_its_birth_death_chain():
    sigma, kappa, s, places = 0.05, 0.001, 0.01, 60
    n = np.arange(1, places + 1)
    curve = n / s / (1 + sigma * (n - 1) + kappa * n * (n - 1))
    rate = 0.8 * curve.max()
    arch = station(
        rate,
        service_time_s=s,
        law="usl",
        usl_sigma=sigma,
        usl_kappa=kappa,
        servers=places,
        queue_capacity=0,
    )
    r = fa.simulate(arch, duration_s=500, seed=8)
    near(r.in_flight[0], r.in_flight_half_width[0], birth_death_mean(rate, curve))


def test_tabulated_law_is_its_birth_death_chain():
    points = ((1.0, 80.0), (4.0, 200.0), (8.0, 240.0))
    n = np.arange(1, 4001)
    curve = np.interp(n, [0.0, *(p[0] for p in points)], [0.0, *(p[1] for p in points)])
    r = fa.simulate(station(180.0, service_time_s=1 / 80, law="tabulated", curve=points), duration_s=1000, seed=9)
    near(r.in_flight[0], r.in_flight_half_width[0], birth_death_mean(180.0, curve), relative=0.05)


def test_memory_pressure_and_kills_are_their_markov_chain():
    # X(n) = min(n, c)/S, falling linearly over the last fifth of the headroom; reaching the limit empties
    # the replica, which is back at once
    c, s, room, rate = 2, 0.01, 12, 170.0
    n = np.arange(1, room)
    x = np.minimum(n, c) / s * np.clip((1 - n / room) / 0.2, 0.05, 1.0)
    q = np.zeros((room, room))
    for state in range(room):
        q[state, state + 1 if state + 1 < room else 0] += rate
        if state:
            q[state, state - 1] += x[state - 1]
    q -= np.diag(q.sum(axis=1))
    p = np.linalg.lstsq(np.vstack([q.T, np.ones(room)]), np.array([0.0] * room + [1.0]), rcond=None)[0]
    arch = station(
        rate,
        service_time_s=s,
        servers=c,
        law="memory",
        memory_bytes=100.0,
        memory_per_request_bytes=10.0,
        memory_limit_bytes=100.0 + 10.0 * room,
        cold_start_s=0.0,
    )
    r = fa.simulate(arch, duration_s=1000, seed=15)
    near(r.in_flight[0], r.in_flight_half_width[0], float(p @ np.arange(room)))
    assert r.kills[0] / r.observed_s == pytest.approx(rate * p[-1], rel=0.05)
    assert r.failed[0] == room * r.kills[0]
    books(r)


def test_loss_is_erlang_b():
    # 5 servers, no waiting place, offered load 4: Erlang B 0.1990668740
    r = fa.simulate(station(400.0, service_time_s=0.01, servers=5, queue_capacity=0), duration_s=400, seed=10)
    near(1 - r.served_share, r.served_share_half_width, 0.1990668740)
    assert r.request_rejected.sum() == r.rejected[0]
    books(r)


def test_host_is_processor_sharing():
    # all of the service is CPU time: M/G/1-PS, N = rho/(1 - rho) whatever the distribution
    arch = fa.Architecture(
        name="host",
        components=[fa.Component("a", service_time_s=0.01, cpu_s=0.01, servers=500, service_scv=4.0, host="h")],
        hosts=[fa.Host("h", cpus=1)],
        loads=[fa.Load("a", rate_per_s=70.0)],
    )
    r = fa.simulate(arch, duration_s=2000, seed=11)
    near(r.in_flight[0], r.in_flight_half_width[0], 0.7 / 0.3, relative=0.08)
    assert r.hosts["h"] == pytest.approx(0.7, rel=0.02)


def test_parallel_calls_take_the_maximum():
    arch = fa.Architecture(
        name="fan",
        components=[
            fa.Component("a", service_time_s=1e-9, law="delay"),
            *(fa.Component(n, service_time_s=0.1, law="delay") for n in "bcd"),
        ],
        dependencies=[fa.Dependency("a", n, stage=1) for n in "bcd"],
        loads=[fa.Load("a", rate_per_s=50.0)],
    )
    r = fa.simulate(arch, duration_s=400, seed=12)
    near(r.response_s[0], r.response_s_half_width[0], 0.1 * (1 + 1 / 2 + 1 / 3), relative=0.01)


def test_retry_storm_persists_after_the_push():
    """Bistability: capacity 100/s, one retry after 1 s; the failed branch exists above mu/2 = 50/s."""

    def goodput(rate):
        arch = fa.Architecture(
            name="retry",
            components=[
                fa.Component("client", service_time_s=1e-6, law="delay"),
                fa.Component("server", service_time_s=0.01, servers=1),
            ],
            dependencies=[fa.Dependency("client", "server", timeout_s=1.0, retries=1)],
            loads=[fa.Load("client", rate_per_s=rate)],
        )
        r = fa.simulate(
            arch, duration_s=400, load=fa.Burst(factor=3, start_s=50, duration_s=10), series_dt_s=10, replications=4
        )
        books(r)
        return r.served_series[2:5].mean() / rate, r.served_series[-6:-1].mean() / rate

    before, after = goodput(65.0)
    assert before > 0.99
    assert after < 0.05
    before, after = goodput(40.0)
    assert before > 0.99
    assert after > 0.99


def test_timeouts_retries_amplify_the_load():
    # an infinite-server callee: every try takes an exponential time, p = exp(-t_o / S) time out, a = 1 + p + p^2
    arch = fa.Architecture(
        name="retry",
        components=[
            fa.Component("client", service_time_s=1e-6, law="delay"),
            fa.Component("server", service_time_s=0.1, law="delay"),
        ],
        dependencies=[fa.Dependency("client", "server", timeout_s=0.1, retries=2, backoff_s=0.05)],
        loads=[fa.Load("client", rate_per_s=100.0)],
    )
    r = fa.simulate(arch, duration_s=400, seed=13)
    p = math.exp(-1.0)
    near(r.throughput_per_s[1], r.throughput_per_s_half_width[1], 100 * (1 + p + p * p), relative=0.01)
    near(1 - r.served_share, r.served_share_half_width, p**3, relative=0.03)
    assert r.request_timed_out.sum() > 0
    assert r.request_failed.sum() == 0
    budget = arch.replaced("client->server", retry_budget=0.1)
    b = fa.simulate(budget, duration_s=400, seed=13)
    near(b.throughput_per_s[1], b.throughput_per_s_half_width[1], 110.0, relative=0.01)


def test_against_ciw_on_an_open_network():
    ciw = pytest.importorskip("ciw")
    rate, mu, c = 40.0, 20.0, 3
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate), None, None],
        service_distributions=[ciw.dists.Exponential(mu)] * 3,
        routing=[[0.0, 0.5, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]],
        number_of_servers=[c] * 3,
    )
    ciw.seed(1)
    q = ciw.Simulation(network)
    q.simulate_until_max_time(250)
    records = [r for r in q.get_all_records() if r.arrival_date > 25]
    theirs = [np.mean([r.exit_date - r.arrival_date for r in records if r.node == node]) for node in (1, 2, 3)]
    arch = fa.Architecture(
        name="open",
        components=[fa.Component(n, service_time_s=1 / mu, servers=c) for n in "abc"],
        dependencies=[
            fa.Balancer("a", ("b", "c"), policy="weighted", weights=(1.0, 1.0), mode="async"),
            fa.Dependency("b", "c", calls=0.5, mode="async"),
        ],
        loads=[fa.Load("a", rate_per_s=rate)],
    )
    ours = fa.simulate(arch, duration_s=1000, seed=14)
    np.testing.assert_allclose(ours.residence_s, theirs, rtol=0.06)


@pytest.mark.parametrize(("scv", "ratio"), [(0.0, 1 / 6), (0.5, 0.5), (1.0, 1.0), (2.0, 2.5)])
def test_light_traffic_wait_behind_round_robin(scv, ratio):
    # Erlang-2 arrivals of rate x: E[(S - A)+] -> (2 x)^2 E[S^3] / 6 for small x; gamma: E[S^3] = (1 + c)(1 + 2 c)
    def wait(c):
        part = fa.Component("a", service_time_s=1.0, service_scv=c, replicas=2)
        return fa.static(fa.Architecture(name="rr", components=[part], loads=[fa.Load("a", rate_per_s=2e-3)])).wait_s[0]

    assert wait(scv) / wait(1.0) == pytest.approx(ratio, rel=0.01)
    assert wait(1.0) == pytest.approx((2 * 1e-3) ** 2, rel=0.01)
