"""Stations and networks against closed forms (V-QU-01 to 06, 08, 11)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.kernels.erlang import erlang_b, erlang_c

ERLANG = [  # servers, offered load, Erlang B, Erlang C, mean queue length (V-QU-01)
    (1, 0.5, 0.3333333333, 0.5, 0.5),
    (2, 1.0, 0.2, 0.3333333333, 0.3333333333),
    (2, 1.8, 0.3665158371, 0.8526315789, 7.6736842105),
    (3, 2.0, 0.2105263158, 0.4444444444, 0.8888888889),
    (4, 1.8, 0.0750334511, 0.1285336468, 0.1051638928),
    (5, 4.0, 0.1990668740, 0.5541125541, 2.2164502165),
    (10, 8.0, 0.1216610643, 0.4091801508, 1.6367206032),
    (20, 18.0, 0.1092128459, 0.5507690048, 4.9569210433),
    (100, 95.0, 0.0488042062, 0.5064568539, 9.6226802243),
]


def one(rate: float, service: float, *, servers: int = 1, scv: float = 1.0) -> fa.StaticResult:  # type: ignore[name-defined]
    arch = fa.Architecture(
        name="one",
        components=[fa.Component("s", service_time_s=service, servers=servers, service_scv=scv)],
        loads=[fa.Load("s", rate_per_s=rate)],
    )
    return fa.static(arch)


@pytest.mark.parametrize(("c", "a", "b", "wait", "queue"), ERLANG)
def test_erlang_formulas(c, a, b, wait, queue):
    out = np.empty(1)
    erlang_b(np.array([c]), np.array([a]), out)
    assert out[0] == pytest.approx(b, abs=1e-9)
    erlang_c(np.array([c]), np.array([a]), out)
    assert out[0] == pytest.approx(wait, abs=1e-9)
    result = one(a, 1.0, servers=c)
    assert result["s"]["in_flight"] - a == pytest.approx(queue, abs=1e-9)
    assert result["s"]["response_s"] == pytest.approx((queue + a) / a, rel=1e-9)


def test_erlang_c_is_stable_for_thousands_of_servers():
    out = np.empty(1)
    erlang_c(np.array([5000]), np.array([4900.0]), out)
    # Halfin and Whitt: beta = (c - a) / sqrt(c), C = 1 / (1 + beta Phi(beta) / phi(beta)); 2 % at this size
    beta = 100 / math.sqrt(5000)
    phi = math.exp(-beta * beta / 2) / math.sqrt(2 * math.pi)
    limit = 1 / (1 + beta * (0.5 * math.erfc(-beta / math.sqrt(2))) / phi)
    assert out[0] == pytest.approx(limit, rel=0.02)


@pytest.mark.parametrize(("servers", "response"), [(2, 1.0526315789), (4, 0.2116848770)])
def test_printed_response_of_a_service_centre(servers, response):
    assert one(9.0, 0.2, servers=servers)["s"]["response_s"] == pytest.approx(response, rel=1e-9)


@pytest.mark.parametrize(
    ("scv", "queue", "response"), [(0.0, 1.6, 3.0), (0.5, 2.4, 4.0), (1.0, 3.2, 5.0), (4.0, 8.0, 11.0)]
)
def test_pollaczek_khinchine(scv, queue, response):
    row = one(0.8, 1.0, scv=scv)["s"]
    assert row["in_flight"] - 0.8 == pytest.approx(queue, rel=1e-12)
    assert row["response_s"] == pytest.approx(response, rel=1e-12)


def jackson(mode: str) -> fa.Architecture:
    return fa.Architecture(
        name="jackson",
        components=[
            fa.Component(str(i + 1), service_time_s=s, blocking=False) for i, s in enumerate((0.04, 0.03, 0.06, 0.05))
        ],
        dependencies=[
            fa.Dependency("1", "2", calls=0.5, mode=mode),
            fa.Dependency("1", "3", calls=0.5, mode=mode),
            fa.Dependency("2", "1", mode=mode),
            fa.Dependency("3", "1", calls=0.6, mode=mode),
            fa.Dependency("4", "1", mode=mode),
        ],
        loads=[fa.Load("4", rate_per_s=4.0)],
    )


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_jackson_network(mode):
    result = fa.static(jackson(mode))
    np.testing.assert_allclose(result.throughput_per_s, [20, 10, 10, 4], rtol=1e-12)
    np.testing.assert_allclose(result.utilisation, [0.8, 0.3, 0.6, 0.2], rtol=1e-12)
    np.testing.assert_allclose(result.in_flight, [4, 3 / 7, 1.5, 0.25], rtol=1e-10)
    np.testing.assert_allclose(result.residence_s, [0.2, 3 / 70, 0.15, 0.0625], rtol=1e-10)
    assert result.total_in_flight / 4.0 == pytest.approx(1.544642857, rel=1e-9)
    if mode == "sync":
        assert result["4"]["response_s"] == pytest.approx(1.544642857, rel=1e-9)
        # virtual work: f . R = sum N
        assert 4.0 * result["4"]["response_s"] == pytest.approx(result.total_in_flight, rel=1e-9)
    assert result.residual < 1e-12


def star(visits, service, **load) -> fa.Architecture:
    names = [f"s{i}" for i in range(len(visits))]
    entry = fa.Component("entry", service_time_s=1e-12, law="delay", blocking=False)
    return fa.Architecture(
        name="star",
        components=[entry, *(fa.Component(n, service_time_s=s, blocking=False) for n, s in zip(names, service))],
        dependencies=[fa.Dependency("entry", n, calls=v) for n, v in zip(names, visits)],
        loads=[fa.Load("entry", **load)],
    )


def test_open_central_server():
    result = fa.static(star((16, 7, 8), (0.01, 0.02, 0.03), rate_per_s=3.0))
    np.testing.assert_allclose(result.utilisation[1:], [0.48, 0.42, 0.72], rtol=1e-10)
    np.testing.assert_allclose(result.residence_s[1:], [0.0192307692, 0.0344827586, 0.1071428571], rtol=1e-8)
    assert result["entry"]["response_s"] == pytest.approx(1.4062144752, rel=1e-9)
    assert result.total_in_flight == pytest.approx(4.2186434255, rel=1e-9)


def test_open_model_and_its_saturation():
    result = fa.static(star((121, 70, 50), (0.005, 0.03, 0.027), rate_per_s=0.3))
    np.testing.assert_allclose(result.utilisation[1:], [0.1815, 0.63, 0.405], rtol=1e-10)
    np.testing.assert_allclose(result.in_flight[1:], [0.2217471, 1.7027027, 0.6806723], rtol=1e-6)
    assert result["entry"]["response_s"] == pytest.approx(8.6837402330, rel=1e-9)
    assert 0.3 * result.max_load_factor == pytest.approx(0.4761904762, rel=1e-3)
    assert result.sustainable[1] == "s1"
    with pytest.raises(fa.UnstableLoadError) as caught:
        fa.static(star((121, 70, 50), (0.005, 0.03, 0.027), rate_per_s=0.3), load_factor=2.0)
    assert caught.value.limiting == "s1"
    assert caught.value.max_load_factor == pytest.approx(0.4761904762 / 0.3, rel=1e-3)


@pytest.mark.parametrize(
    ("visits", "service", "users", "think", "throughput", "number"),
    [
        ((121, 70, 50), (0.005, 0.03, 0.027), 3, 15.0, 0.1515164923, (0.0975660, 0.3946566, 0.2350300)),
        ((16, 10, 5), (0.125, 0.3, 0.2), 20, 4.0, 0.3332465122, (1.9906, 16.1767, 0.4997)),
        ((1, 0.4, 0.2, 0.1), (0.02, 0.2, 0.4, 0.6), 6, 0.0, 9.9198363372, (0.2436153, 2.2610378, 2.2610378, 1.2343092)),
    ],
)
def test_closed_networks_are_exact(visits, service, users, think, throughput, number):
    result = fa.static(star(visits, service, users=users, think_time_s=think))
    assert result.throughput_per_s[0] == pytest.approx(throughput, rel=1e-8)
    np.testing.assert_allclose(result.in_flight[1:], number, atol=1e-4)


@pytest.mark.parametrize(("threads", "throughput"), [(1, 1.6169756397), (2, 1.8176593908), (3, 1.8309859155)])
def test_two_layer_thread_pool(threads, throughput):
    """Exact Markov chain, three clients (V-QU-11); a comparator: 5 % is demanded."""
    arch = fa.Architecture(
        name="layers",
        components=[fa.Component("app", service_time_s=0.2, servers=threads), fa.Component("db", service_time_s=0.3)],
        dependencies=[fa.Dependency("app", "db")],
        loads=[fa.Load("app", users=3, think_time_s=1.0)],
    )
    assert fa.static(arch).throughput_per_s[0] == pytest.approx(throughput, rel=0.05)


@pytest.mark.parametrize(("rho", "sigma"), [(0.5, 0.381966011250), (0.8, 0.739852949126), (0.9, 0.868217893672)])
def test_erlang_arrivals_against_the_exact_gi_m_1(rho, sigma):
    """V-QU-08: round robin over two replicas thins Poisson arrivals to Erlang-2."""
    arch = fa.Architecture(
        name="rr",
        components=[fa.Component("s", service_time_s=1.0, replicas=2)],
        loads=[fa.Load("s", rate_per_s=2 * rho)],
    )
    wait = fa.static(arch)["s"]["wait_s"]
    assert wait == pytest.approx(sigma / (1 - sigma), rel=1e-9)
    assert wait <= rho / (1 - rho) * 0.75 + 1e-12  # Kingman's bound


@pytest.mark.parametrize(("ca2", "cs2", "rho", "expected"), [(0.5, 0.5, 0.8, 1.918378914)])
def test_kraemer_langenbach_belz(ca2, cs2, rho, expected):
    arch = fa.Architecture(
        name="klb",
        components=[fa.Component("s", service_time_s=1.0, service_scv=cs2)],
        loads=[fa.Load("s", rate_per_s=rho, arrival_scv=ca2)],
    )
    assert fa.static(arch)["s"]["wait_s"] == pytest.approx(expected, rel=1e-9)


def test_linear_statics_has_no_waiting_and_any_load():
    result = fa.static(star((16, 7, 8), (0.01, 0.02, 0.03), rate_per_s=3.0), load_factor=100.0, linear=True)
    np.testing.assert_allclose(result.wait_s, 0.0)
    np.testing.assert_allclose(result.in_flight[1:], 300 * np.array([0.16, 0.14, 0.24]), rtol=1e-9)
