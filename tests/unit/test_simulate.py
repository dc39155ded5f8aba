"""Features, books and refusals of the event simulation."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fea_arch as fa


def arch_of(*components, calls=(), rate=50.0, **more):
    loads = more.pop("loads", [fa.Load(components[0].name, rate_per_s=rate)])
    return fa.Architecture(name="t", components=list(components), dependencies=list(calls), loads=loads, **more)


def check_books(r):
    total = r.served + r.request_rejected + r.request_failed + r.request_timed_out + r.inside
    assert (r.offered == total).all(), (r.offered, total)


FRONT = fa.Component("front", service_time_s=0.001, law="delay")


def test_same_seed_same_numbers_on_any_executor():
    arch = arch_of(fa.Component("a", service_scv=0.5, servers=2), fa.Component("b"), calls=[fa.Dependency("a", "b")])
    plain = fa.simulate(arch, duration_s=20, seed=3, replications=3)
    with ThreadPoolExecutor(2) as pool:
        pooled = fa.simulate(arch, duration_s=20, seed=3, replications=3, executor=pool)
    other = fa.simulate(arch, duration_s=20, seed=4, replications=3)
    np.testing.assert_array_equal(plain.in_flight, pooled.in_flight)
    np.testing.assert_array_equal(plain.histogram, pooled.histogram)
    assert (plain.in_flight != other.in_flight).all()


def test_blocking_holds_the_server_and_an_event_loop_does_not():
    calls = [fa.Dependency("a", "b", network_latency_s=0.02)]
    back = fa.Component("b", service_time_s=0.01, law="delay")
    held = fa.simulate(arch_of(fa.Component("a", servers=20), back, calls=calls), duration_s=100)
    free = fa.simulate(arch_of(fa.Component("a", servers=20, blocking=False), back, calls=calls), duration_s=100)
    assert held.utilisation[0] == pytest.approx(50 * 0.04 / 20, rel=0.03)
    assert free.utilisation[0] == pytest.approx(50 * 0.01 / 20, rel=0.03)
    assert held.response_s[0] == pytest.approx(0.04, rel=0.03)
    assert free.response_s[0] == pytest.approx(0.04, rel=0.03)


def test_asynchronous_calls_load_the_callee_but_nobody_waits():
    r = fa.simulate(
        arch_of(
            FRONT,
            fa.Component("b", service_time_s=1.0, law="delay"),
            calls=[fa.Dependency("front", "b", calls=2.5, mode="async")],
        ),
        duration_s=100,
    )
    assert r.throughput_per_s[1] == pytest.approx(125, rel=0.03)
    assert r.response_s[0] == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize("required", [True, False])
def test_rejection_fails_the_caller_unless_optional(required):
    r = fa.simulate(
        arch_of(FRONT, fa.Component("b", available=False), calls=[fa.Dependency("front", "b", required=required)]),
        duration_s=20,
    )
    check_books(r)
    assert r.served_share == (0.0 if required else 1.0)
    assert r.request_failed.sum() == (r.offered.sum() - r.inside.sum() if required else 0)


def test_rate_limit_rejects_the_excess():
    r = fa.simulate(arch_of(fa.Component("a", servers=10, rate_limit_per_s=20.0)), duration_s=200)
    check_books(r)
    assert r.throughput_per_s[0] == pytest.approx(20.0, rel=0.02)
    assert r.served_share == pytest.approx(0.4, rel=0.03)


def test_memory_limit_kills_and_the_replica_comes_back():
    a = fa.Component(
        "a",
        service_time_s=0.1,
        servers=2,
        memory_bytes=100e6,
        memory_per_request_bytes=10e6,
        memory_limit_bytes=150e6,
        cold_start_s=1.0,
    )
    r = fa.simulate(arch_of(a, rate=18.0), duration_s=400)
    check_books(r)
    assert r.kills[0] > 10
    assert r.failed[0] == 5 * r.kills[0]
    assert r.request_rejected.sum() > 0
    assert r.memory_bytes[0] < 150e6
    assert r["a"]["arrivals"] > 0


def test_outage_rejects_while_it_lasts():
    arch = arch_of(fa.Component("a", servers=4, service_time_s=0.01))
    r = fa.simulate(arch, duration_s=60, events=[fa.Outage("a", start_s=20, end_s=40)], series_dt_s=5, replications=4)
    check_books(r)
    assert r.served_series[5] == 0.0
    assert r.in_flight_series[6, 0] == 0.0
    assert r.served_series[10] == pytest.approx(50, rel=0.2)
    assert r.served_share == pytest.approx(2 / 3, rel=0.03)


def test_partial_outage_takes_capacity():
    arch = arch_of(fa.Component("a", servers=3, service_time_s=0.01), rate=270.0)
    r = fa.simulate(arch, duration_s=400, events=[fa.Outage("a", start_s=0, end_s=400, share=0.5)], replications=2)
    assert r.throughput_per_s[0] == pytest.approx(150.0, rel=0.02)


@pytest.mark.parametrize("policy", ["round_robin", "random", "least_outstanding"])
def test_replicas_share_the_load(policy):
    r = fa.simulate(arch_of(fa.Component("a", replicas=4, balancing=policy), rate=320.0), duration_s=100, seed=5)
    exact = {"random": 0.05}
    if policy in exact:  # four separate M/M/1 queues
        assert r.response_s[0] == pytest.approx(exact[policy], rel=0.06)
    else:
        assert 0.01 < r.response_s[0] < 0.045


def test_balancer_spreads_over_targets():
    back = [fa.Component(n, service_time_s=0.005) for n in ("x", "y")]
    for policy in ("round_robin", "least_outstanding"):
        b = fa.Balancer("front", ("x", "y"), policy=policy)
        r = fa.simulate(arch_of(FRONT, *back, calls=[b], rate=100.0), duration_s=100)
        assert r.throughput_per_s[1:].sum() == pytest.approx(100, rel=0.02)
        assert r.throughput_per_s[1] == pytest.approx(50, rel=0.1)


def test_breaker_opens_and_spares_the_callee():
    slow = fa.Component("b", service_time_s=1.0, service_scv=0.0, law="delay")
    breaker = fa.Breaker(failure_share=0.5, minimum_calls=10, window_s=5.0, open_s=10.0)
    call = fa.Dependency("front", "b", timeout_s=0.1, required=False)
    without = fa.simulate(arch_of(FRONT, slow, calls=[call]), duration_s=100)
    spared = fa.simulate(
        arch_of(FRONT, slow, calls=[fa.Dependency("front", "b", timeout_s=0.1, required=False, breaker=breaker)]),
        duration_s=100,
    )
    assert without.throughput_per_s[1] == pytest.approx(50, rel=0.03)
    assert spared.throughput_per_s[1] < 2.0
    assert spared.served_share == 1.0


def test_cancelling_withdraws_the_work():
    slow = fa.Component("b", service_time_s=1.0, service_scv=0.0, servers=10)
    for cancel, busy in ((False, 1.0), (True, 0.5)):
        call = fa.Dependency("front", "b", timeout_s=0.1, cancel_on_timeout=cancel)
        r = fa.simulate(arch_of(FRONT, slow, calls=[call]), duration_s=50)
        check_books(r)
        assert r.utilisation[1] == pytest.approx(busy, rel=0.05)
        assert (r.cancelled[1] > 0) == cancel


def test_load_factor_follows_the_pattern():
    arch = arch_of(FRONT, rate=200.0)
    r = fa.simulate(arch, duration_s=40, load=fa.Ramp(0.0, 2.0, 0.0, 40.0), series_dt_s=10)
    np.testing.assert_allclose(r.offered_series[:4], [50, 150, 250, 350], rtol=0.05)
    r = fa.simulate(arch, duration_s=40, load=fa.Burst(3.0, 10.0, 10.0), series_dt_s=10)
    np.testing.assert_allclose(r.offered_series[:4], [200, 600, 200, 200], rtol=0.05)
    r = fa.simulate(arch, duration_s=40, load=lambda t: 0.0 if t < 20 else 1.0, series_dt_s=10)
    np.testing.assert_allclose(r.offered_series[:4], [0, 0, 200, 200], rtol=0.06)


def test_within_objective():
    arch = arch_of(fa.Component("a", law="delay"), objective=fa.Objective(latency_s=0.02))
    r = fa.simulate(arch, duration_s=200)
    assert r.served_within_objective == pytest.approx(1 - np.exp(-2), rel=0.01)
    assert r.served_share == 1.0


def test_result_is_a_table():
    r = fa.simulate(arch_of(fa.Component("<b>")), duration_s=5, replications=1)
    assert r["<b>"]["component"] == "<b>"
    assert len(repr(r).splitlines()) <= 8
    assert "<b>&lt;" not in r._repr_html_().replace("<td>", "")
    assert "<td>&lt;b&gt;</td>" in r._repr_html_()
    text = json.dumps(r.to_dict(), allow_nan=False)
    assert json.loads(text)["components"]["<b>"]["in_flight"] == pytest.approx(r.in_flight[0])
    assert np.isnan(r.in_flight_half_width[0])
    assert not r.in_flight.flags.writeable
    with pytest.raises(fa.ModelError, match="Did you mean"):
        r["<b"]
    with pytest.raises(fa.ModelError):
        r.latency_quantile_s(1.0)
    assert r.to_dataframe().shape == (1, len(r.component_fields))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration_s": -1.0}, "duration_s"),
        ({"duration_s": "long"}, "duration_s"),
        ({"duration_s": 1e9}, "max_events"),
        ({"warm_up_s": 20.0, "duration_s": 10.0}, "warm_up_s"),
        ({"replications": 0}, "replications"),
        ({"load": 3.0}, "load"),
        ({"load": lambda t: -1.0}, "load"),
        ({"events": ["down"]}, "Outage"),
        ({"events": [fa.Outage("b", start_s=1, end_s=2)]}, "no component"),
        ({"series_dt_s": 0.0}, "series_dt_s"),
    ],
)
def test_bad_arguments_are_named(change, words):
    with pytest.raises(fa.ModelError, match=words):
        fa.simulate(arch_of(fa.Component("a")), **change)


def test_bad_architectures_are_named():
    with pytest.raises(fa.ModelError, match="load"):
        fa.simulate(arch_of(fa.Component("a"), loads=[]))
    loop = arch_of(fa.Component("a"), fa.Component("b"), calls=[fa.Dependency("a", "b"), fa.Dependency("b", "a")])
    with pytest.raises(fa.ModelError, match="cycle"):
        fa.simulate(loop)
    stuck = arch_of(fa.Component("a", available=False), loads=[fa.Load("a", users=2)])
    with pytest.raises(fa.ModelError, match="no time passes"):
        fa.simulate(stuck, duration_s=1, replications=1)


def test_interruption_returns_what_was_done(monkeypatch):
    from fea_arch.simulation import replication

    calls = []
    loop = replication.run

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loop(*arguments)

    monkeypatch.setattr(replication, "run", interrupted)
    r = fa.simulate(arch_of(fa.Component("a")), duration_s=10_000, warm_up_s=0.0, replications=3)
    assert r.interrupted
    assert not r.complete
    assert r.replications == 1
    assert r.throughput_per_s[0] == pytest.approx(50, rel=0.1)
    check_books(r)


def test_compiled_and_interpreted_agree(monkeypatch):
    from fea_arch.simulation import replication

    components = [
        fa.Component("a", servers=2, service_scv=0.5),
        fa.Component("b", law="usl", usl_sigma=0.1, servers=5),
        fa.Component("c", cpu_s=0.005, host="h", memory_per_request_bytes=1e6, memory_limit_bytes=3e6),
    ]
    calls = [
        fa.Dependency("a", "b", stage=1, timeout_s=0.03, retries=1, breaker=fa.Breaker(open_s=0.5)),
        fa.Dependency("a", "c", stage=1, cancel_on_timeout=True, timeout_s=0.02, required=False),
    ]
    loads = [fa.Load("a", rate_per_s=70, arrival_scv=3.0)]
    arch = arch_of(*components, calls=calls, loads=loads, hosts=[fa.Host("h", cpus=0.5)])
    fast = fa.simulate(arch, duration_s=5, replications=1, load=fa.Periodic(5.0))
    monkeypatch.setattr(replication, "run", replication.run.py_func)
    slow = fa.simulate(arch, duration_s=5, replications=1, load=fa.Periodic(5.0))
    assert fast.events == slow.events
    np.testing.assert_allclose(fast.in_flight, slow.in_flight, rtol=1e-12)
    np.testing.assert_array_equal(fast.kills, slow.kills)


def test_users_without_think_time_are_counted_from_the_start():
    r = fa.simulate(arch_of(fa.Component("a"), loads=[fa.Load("a", users=3)]), duration_s=20, warm_up_s=0.0)
    check_books(r)
    assert r.inside.sum() == 3 * r.replications
    assert r.utilisation[0] == pytest.approx(1.0)
    assert r.in_flight[0] == pytest.approx(3.0)


@st.composite
def architectures(draw):
    n = draw(st.integers(1, 5))
    small = st.floats(0.001, 0.03)
    components = []
    for i in range(n):
        law = draw(st.sampled_from(["mmc", "delay", "usl", "bounded"]))
        components.append(
            fa.Component(
                f"c{i}",
                service_time_s=draw(small),
                servers=draw(st.integers(1, 4)),
                replicas=draw(st.integers(1, 3)),
                balancing=draw(st.sampled_from(["round_robin", "random", "least_outstanding"])),
                service_scv=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
                blocking=draw(st.booleans()),
                law=law,
                usl_sigma=0.05 if law == "usl" else None,
                queue_capacity=draw(st.integers(0, 5)) if law == "bounded" else draw(st.sampled_from([None, 3])),
                memory_bytes=1e6,
                memory_per_request_bytes=1e6,
                memory_limit_bytes=draw(st.sampled_from([None, 8e6])),
                cold_start_s=0.2,
                cpu_s=0.0005 if law == "mmc" else None,
                host="h" if law == "mmc" else None,
                rate_limit_per_s=draw(st.sampled_from([None, 30.0])),
            )
        )
    calls = []
    for i in range(n):
        for j in range(i + 1, n):
            if draw(st.booleans()):
                calls.append(
                    fa.Dependency(
                        f"c{i}",
                        f"c{j}",
                        calls=draw(st.sampled_from([0.5, 1.0, 2.3])),
                        mode=draw(st.sampled_from(["sync", "sync", "async"])),
                        stage=draw(st.sampled_from([None, 1, 2])),
                        network_latency_s=draw(st.sampled_from([0.0, 0.002])),
                        timeout_s=draw(st.sampled_from([None, 0.02])),
                        retries=draw(st.integers(0, 2)),
                        backoff_s=draw(st.sampled_from([0.0, 0.01])),
                        retry_budget=draw(st.sampled_from([None, 0.2])),
                        cancel_on_timeout=draw(st.booleans()),
                        required=draw(st.booleans()),
                        breaker=draw(st.sampled_from([None, fa.Breaker(open_s=1.0)])),
                    )
                )
    loads = [fa.Load("c0", rate_per_s=draw(st.floats(1.0, 60.0)))]
    if draw(st.booleans()):
        loads.append(fa.Load(f"c{n - 1}", users=3, think_time_s=0.05))
    return fa.Architecture(
        name="r", components=components, dependencies=calls, loads=loads, hosts=[fa.Host("h", cpus=2)]
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(architectures(), st.integers(0, 1000), st.booleans())
def test_books_balance_in_any_architecture(arch, seed, out):
    events = [fa.Outage("c0", start_s=5, end_s=7)] if out else []
    r = fa.simulate(arch, duration_s=20, warm_up_s=0.0, seed=seed, replications=2, events=events)
    check_books(r)
    # what came to a component was answered, turned away, failed, withdrawn, or is still open at the end
    still = r.arrivals - r.completed - r.rejected - r.failed - r.cancelled
    assert (still >= 0).all()
    assert (r.failed >= 0).all()
    limited = [c.memory_limit_bytes is not None for c in arch.components]
    most = np.array([8 * c.replicas * 2 for c in arch.components])
    assert (still[limited] <= most[limited]).all()
    assert np.isfinite(r.in_flight).all()
    assert (r.held >= r.in_flight - 1e-9).all()
    assert (r.utilisation >= 0).all()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.integers(1, 3),
    st.floats(0.2, 0.8),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.integers(0, 1000),
    st.sampled_from(["mmc", "delay", "usl"]),
)
def test_little_holds_within_a_run(servers, load, scv, seed, law):
    a = fa.Component("a", servers=servers, service_scv=scv, law=law, usl_sigma=0.02 if law == "usl" else None)
    r = fa.simulate(arch_of(a, rate=load * servers * 100.0), duration_s=100, seed=seed, replications=2)
    # exact but for the few requests that are inside when the counting begins and ends
    np.testing.assert_allclose(r.in_flight, r.throughput_per_s * r.residence_s, rtol=0.01, atol=0.02)
