"""Closed forms of single stations, modes against direct integration, and conservation."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa


def station(rate=0.8, service=1.0, **more):
    return fa.Architecture(
        name="one",
        components=[fa.Component("a", service_time_s=service, **more)],
        loads=[fa.Load("a", rate_per_s=rate)],
    )


def test_fluid_approximation_of_mm1_has_the_lambert_solution():
    # x' = lambda - mu x / (1 + x) has the solution x = (lambda / a)(1 - y) with
    # y = -(mu / lambda) W0(-(lambda / mu) exp(-(a^2 t + lambda) / mu))
    from scipy.special import lambertw

    lam, mu = 0.8, 1.0
    a = mu - lam
    t = np.array([1.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    y = -(mu / lam) * lambertw(-(lam / mu) * np.exp(-(a * a * t + lam) / mu)).real
    exact = lam / a * (1.0 - y)
    assert exact == pytest.approx(
        [0.572900668770, 1.641640451282, 2.311107825301, 3.016950420256, 3.743980519792, 3.966862114088], abs=1e-10
    )
    even = fa.Recorded(time_s=[0.0, *t], factor=[1.0] * 7)  # steps end exactly at the times of interest
    run = fa.transient(station(), even, 100.0, initial="empty", tolerance=1e-12)
    found = run.in_flight[np.searchsorted(run.time_s, t), 0]
    assert found == pytest.approx(exact, abs=1e-8)


def test_second_order_convergence_in_the_step():
    ends = []
    for dt in (0.4, 0.2, 0.1, 0.05):
        ends.append(fa.transient(station(), None, 4.0, initial="empty", dt_s=dt).in_flight[-1, 0])
    exact = fa.transient(station(), None, 4.0, initial="empty", tolerance=1e-12).in_flight[-1, 0]
    errors = np.abs(np.array(ends) - exact)
    assert np.all(np.log2(errors[:-1] / errors[1:]) > 1.8)


@pytest.mark.parametrize(("service", "tau"), [(0.01, 0.04), (0.05, 0.02), (0.02, 2.0)])
def test_lagging_delay_station_is_a_damped_oscillator(service, tau):
    # tau N'' + N' + N / S = f + tau f', step of the load by a twentieth at 1 s (small enough for N to stay positive)
    rate, rise = 10.0, 0.5
    arch = station(rate, service, law="delay", cold_start_s=tau)
    omega, zeta = 1.0 / np.sqrt(service * tau), 0.5 * np.sqrt(service / tau)
    times = 1.0 + np.linspace(0.0, 6.0 * service + 4.0 * np.sqrt(service * tau), 40)[1:]
    load = fa.Recorded(time_s=[0.0, 1.0, 1.0 + 1e-9], factor=[1.0, 1.0, 1.0 + rise / rate])
    found = [
        fa.transient(arch, load, float(t), lag="full", tolerance=1e-9).in_flight[-1, 0] - rate * service
        for t in times[::8]
    ]
    # n = N - N0 starts at rest with slope df, settles at df S
    roots = np.roots([tau, 1.0, 1.0 / service])
    t = times[::8] - 1.0
    c = np.linalg.solve([[1.0, 1.0], roots], np.array([-rise * service, rise], complex))
    exact = rise * service + (c[0] * np.exp(roots[0] * t) + c[1] * np.exp(roots[1] * t)).real
    assert np.abs(roots[0]) == pytest.approx(omega, rel=1.0 if zeta > 1 else 1e-9)
    assert found == pytest.approx(exact, abs=2e-5 * np.abs(exact).max())


@pytest.mark.parametrize("name", ["runbook", "shop"])
def test_lagging_capacity_never_serves_who_is_not_there(name):
    # the linear oscillator would swing below zero; the requests in the books still add up to rounding
    result = fa.transient(fa.load_sample(name), fa.Burst(factor=3, start_s=5, duration_s=10), 40.0, lag="full")
    assert result.in_flight.min() >= 0.0
    assert result.balance < 1e-12


@pytest.mark.parametrize("coupling", ["open", "backpressure"])
def test_natural_frequency_and_damping_of_one_station(coupling):
    service, tau = 0.01, 0.04
    arch = station(1e-7, service, cold_start_s=tau)
    result = fa.modal(arch, 1, coupling=coupling)
    assert result.frequencies_hz[0] == pytest.approx(1.0 / (2 * np.pi * np.sqrt(service * tau)), rel=1e-6)
    assert result.damping_ratios[0] == pytest.approx(np.sqrt(service / tau) / 2, rel=1e-6)
    assert result.drain_times_s[0] == pytest.approx(2 * tau, rel=1e-6)


def test_frequency_response_of_one_station():
    # N / f = (1 + i w tau) / (1/S - w^2 tau + i w) with 1/S -> the tangent mu (1 - rho)^2 of M/M/1
    service, tau, rho = 0.01, 0.5, 0.6
    arch = station(rho / service, service, cold_start_s=tau)
    k = (1.0 - rho) ** 2 / service
    f = np.geomspace(0.01, 100.0, 25)
    w = 2 * np.pi * f
    exact = (1 + 1j * w * tau) / (k - w * w * tau + 1j * w)
    result = fa.harmonic(arch, f)
    assert result.gain[:, 0] == pytest.approx(np.abs(exact), rel=1e-6)
    assert result.phase_rad[:, 0] == pytest.approx(np.angle(exact), abs=1e-6)


def test_frequency_response_agrees_with_direct_integration():
    arch = fa.Architecture(
        name="three",
        components=[
            fa.Component(n, service_time_s=s, blocking=False) for n, s in (("a", 0.02), ("b", 0.05), ("c", 0.03))
        ],
        dependencies=[fa.Dependency("a", "b", calls=0.5), fa.Dependency("b", "c", calls=0.8)],
        loads=[fa.Load("a", rate_per_s=20.0)],
    )
    period = 0.8
    small = 0.01
    result = fa.harmonic(arch, [1.0 / period], lag="none")
    load = fa.Periodic(period_s=period, amplitude=small)
    found = fa.transient(arch, load, 20.0 * period, tolerance=1e-6, times_s=np.linspace(16 * period, 20 * period, 400))
    swing = 0.5 * (found.in_flight.max(axis=0) - found.in_flight.min(axis=0))
    # 64 chords a period and steps of a twelfth: the load itself is off by a few per mille
    assert swing / (small * 20.0) == pytest.approx(result.gain[0], rel=2e-2)


def test_modes_of_a_chain_decay_at_their_drain_time():
    arch = fa.load_sample("chain", n=4)
    mode = fa.modal(arch, 1, coupling="open", lag="none")
    # M/M/1 tangent mu (1 - rho)^2 = 25/s for every station: the operator is a Jordan block of -25
    assert mode.drain_times_s[0] == pytest.approx(1.0 / 25.0, rel=1e-2)
    assert mode.stable


def test_overload_grows_at_offered_less_capacity_and_drains_at_the_spare_capacity():
    arch = station(50.0, 0.01)
    result = fa.transient(arch, fa.Burst(factor=10, start_s=10, duration_s=20), 300.0, tolerance=1e-5)
    assert result.peak[0] == pytest.approx(20 * 400.0, rel=2e-3)
    # from 8000 down to 5 % of it at 50/s
    assert result.drain_time_s[0] == pytest.approx(0.95 * 8000 / 50.0, rel=5e-3)
    assert result.balance < 1e-9


def test_structural_modes_equal_those_of_bars():
    # a chain of equal masses and delay stations is a fixed-free spring chain:
    # lambda = 4 k / m sin^2((2j - 1) pi / (2 (2n + 1)))
    n, service, tau = 6, 0.02, 0.3
    arch = fa.Architecture(
        name="bar",
        components=[fa.Component(f"s{i}", service_time_s=service, law="delay", cold_start_s=tau) for i in range(n)],
        dependencies=[fa.Dependency(f"s{i}", f"s{i + 1}") for i in range(n - 1)],
        loads=[fa.Load("s0", rate_per_s=1.0)],
    )
    hold = fa.static(arch)
    assert hold.residual < 1e-9
    arch = fa.Architecture(
        name="bar",
        components=[
            fa.Component(f"s{i}", service_time_s=service, law="delay", cold_start_s=tau, blocking=False)
            for i in range(n)
        ],
        dependencies=arch.dependencies,
        loads=arch.loads,
    )
    result = fa.modal(arch, n)
    j = np.arange(1, n + 1)
    exact = np.sqrt(4.0 / (service * tau)) * np.sin((2 * j - 1) * np.pi / (2 * (2 * n + 1))) / (2 * np.pi)
    assert result.frequencies_hz == pytest.approx(exact, rel=1e-9)
    assert result.residuals.max() < 1e-10
    assert result.complete


def test_retries_make_a_heavy_load_unstable():
    # linearised: N' = f a(p(N)) - g(N) has a positive slope beyond the fold of the load-displacement curve
    arch = fa.Architecture(
        name="retry",
        components=[
            fa.Component("client", law="delay", blocking=False, service_time_s=1e-3),
            fa.Component("db", service_time_s=0.1),
        ],
        dependencies=[fa.Dependency("client", "db", timeout_s=1.0, retries=3)],
        loads=[fa.Load("client", rate_per_s=2.0)],
    )
    calm = fa.modal(arch, 3, coupling="open", lag="none")
    near = fa.modal(arch, 3, 1.15 * 5.5 / 2.0, coupling="open", lag="none")
    assert calm.stable
    assert near.stability_margin_per_s < 0.5 * calm.stability_margin_per_s
    assert any(name == "db" for name, _ in near.drivers)


def test_refined_chain_sharpens_the_front():
    arch = fa.Architecture(
        name="delay",
        components=[fa.Component("a", law="delay", service_time_s=1.0)],
        loads=[fa.Load("a", rate_per_s=10.0)],
    )
    load = fa.Recorded(time_s=[0.0, 1.0, 1.0 + 1e-9], factor=[1.0, 1.0, 2.0])
    times = np.linspace(0.0, 4.0, 401)
    from scipy.special import gammainc

    for n in (1, 4, 16):
        found = fa.transient(arch, load, 4.0, refine=n, times_s=times, tolerance=1e-4)
        out = found.throughput_per_s[:, 0]
        exact = 10.0 + 10.0 * gammainc(n, n * np.maximum(times - 1.0, 0.0))   # Erlang-n distribution function
        assert np.abs(out - exact).max() < 0.15
        assert found.peak[0] == pytest.approx(found.rest[0] + 10.0 * (1 - np.exp(-3.0)) if n == 1 else 20.0, rel=0.02)


def retrying(tau):
    return fa.Architecture(
        name="retry",
        components=[
            fa.Component("client", law="delay", blocking=False, service_time_s=1e-3),
            fa.Component("db", service_time_s=0.1, cold_start_s=tau),
        ],
        dependencies=[fa.Dependency("client", "db", timeout_s=1.0, retries=3)],
        loads=[fa.Load("client", rate_per_s=1.0)],
    )


def test_flutter_and_divergence_are_told_apart():
    # N' = f a(N) - y, tau y' = g(N) - y: trace = f a' - 1/tau, so a pair crosses the axis where tau = 1 / (f a')
    rate = 3.465
    pair = fa.modal(retrying(0.5), 2, rate, coupling="open")
    feedback = 2.0 * pair.growth_per_s[0] + 1.0 / 0.5
    assert feedback > 0.0
    for tau in (1.0, 5.0):
        same = fa.modal(retrying(tau), 2, rate, coupling="open")
        assert 2.0 * same.growth_per_s[0] + 1.0 / tau == pytest.approx(feedback, rel=1e-6)
    before = fa.modal(retrying(0.98 / feedback), 2, rate, coupling="open")
    beyond = fa.modal(retrying(1.02 / feedback), 2, rate, coupling="open")
    assert before.stable
    assert before.instability == ""
    assert not beyond.stable
    assert beyond.instability == "flutter"
    assert beyond.ringing_hz[0] > 0.0
    # nearer to the fold the pair meets on the real axis: growth without a swing
    near = fa.modal(retrying(20.0), 2, 6.9, coupling="open")
    assert near.instability == "divergence"
    assert near.ringing_hz[0] == 0.0
    assert near.drivers[0][0] == "db"


@pytest.mark.parametrize(("tau", "grows"), [(1.0, False), (20.0, True)])
def test_a_small_push_grows_where_the_modes_say_so(tau, grows):
    arch = retrying(tau)
    modes = fa.modal(arch, 2, 6.0, coupling="open")
    assert modes.stable is not grows
    push = fa.Recorded(time_s=[0.0, 1.0, 1.0 + 1e-6, 1.5, 1.5 + 1e-6], factor=[1.0, 1.0, 1.02, 1.02, 1.0])
    found = fa.transient(arch, push, 31.0, load_factor=6.0, lag="full", tolerance=1e-4)
    away = np.abs(found.in_flight[:, 1] - found.in_flight[0, 1])
    early, late = away[(found.time_s > 1.5) & (found.time_s < 8.0)].max(), away[found.time_s > 24.0].max()
    assert bool(late > 2.0 * early) is grows
    assert bool(late < 0.5 * early) is not grows


def test_a_steady_state_with_retries_stays():
    still = fa.transient(retrying(0.0), None, 60.0, load_factor=6.0, tolerance=1e-4)
    np.testing.assert_allclose(still.in_flight, np.broadcast_to(still.rest, still.in_flight.shape), rtol=1e-3)


def test_call_sensitivity_is_the_derivative_of_the_eigenvalue():
    from fea_arch.analyses.operating_point import static_state
    from fea_arch.solvers.fluid import fluid_model
    from fea_arch.solvers.open_modes import linearise

    arch = fa.load_sample("ring")
    mode = fa.modal(arch, 1, 0.8, coupling="open", lag="none")
    assert mode.dependency_drivers
    network, base = static_state(arch, 0.8)
    linear = linearise(fluid_model(network, base), base, np.zeros(network.n))
    operator, flows, spread = (np.asarray(m.toarray()) for m in (linear.operator, linear.flows, linear.spread))
    for name, change in mode.dependency_drivers:
        i, j = (arch.index[part] for part in name.split("->"))
        shifted = []
        for h in (-1e-4, 1e-4):
            turned = operator.copy()
            turned[j] += h * spread[j, i] * flows[i]
            shifted.append(np.linalg.eigvals(turned).real.max())
        assert (shifted[1] - shifted[0]) / 2e-4 == pytest.approx(change, rel=1e-5)


@pytest.mark.parametrize("name", ["ring", "shop", "balanced_pair"])
def test_books_close_to_rounding_through_an_outage(name):
    arch = fa.load_sample(name)
    outage = fa.Outage(arch.names[0], 2.0, 5.0)
    for kind in ("reject", "hold"):
        result = fa.transient(arch, None, 20.0, events=[outage], outage=kind, load_factor=0.5)
        assert result.balance < 1e-12


def test_a_component_without_requests_answers_in_its_service_time():
    parts = [fa.Component("a", service_time_s=0.01), fa.Component("b", service_time_s=0.02)]
    arch = fa.Architecture(name="idle", components=parts, loads=[fa.Load("a", rate_per_s=20.0)])
    result = fa.transient(arch, fa.Burst(factor=2.0, start_s=1.0, duration_s=1.0), 10.0)
    assert np.all(result.response_s[:, 1] == 0.02)
