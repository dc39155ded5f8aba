from __future__ import annotations

import csv
import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from shared_data import data_path, needs_data

from fea_arch.errors import ModelError
from fea_arch.probes.closed_curves import multi_server, scalability
from fea_arch.probes.law_fitting import fit_law


def usl(n, rate, sigma, kappa):
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


@needs_data
@pytest.mark.parametrize("weights", ["absolute", "relative"])
def test_raytracer_agrees_with_an_independent_fit(weights):
    with data_path("usl-scalability", "raytracer.csv").open() as file:
        n, x = np.array([[float(r["processors"]), float(r["throughput"])] for r in csv.DictReader(file)]).T
    sigma = x if weights == "relative" else np.ones_like(x)
    want, _ = curve_fit(usl, n, x, p0=[20, 0.05, 1e-5], sigma=sigma, bounds=([0, 0, 0], [np.inf, 1, 1]), ftol=1e-12)
    fit = fit_law(zip(n.tolist(), x.tolist()), "usl", weights=weights)
    assert 1 / fit.parameters["service_time_s"] == pytest.approx(want[0], rel=2e-3)
    assert fit.parameters["usl_sigma"] == pytest.approx(want[1], rel=5e-3)
    assert fit.parameters["usl_kappa"] == pytest.approx(want[2], abs=5e-6)
    low, high = fit.intervals["usl_kappa"]
    assert low == 0 < high < 1e-3
    assert fit.relative_error < 0.06
    assert fit_law(zip(n.tolist(), x.tolist())).law == "usl"


@settings(deadline=None, max_examples=20)
@given(st.floats(1e-4, 1.0), st.floats(0.01, 0.5), st.floats(1e-4, 1e-2))
def test_exact_scalability_curves_are_recovered(service, sigma, kappa):
    n = np.array([1.0, 2, 4, 8, 16, 32, 64])
    fit = fit_law(zip(n, scalability(n, service, sigma, kappa)), "usl")
    assert fit.parameters["service_time_s"] == pytest.approx(service, rel=1e-4)
    assert fit.parameters["usl_sigma"] == pytest.approx(sigma, rel=1e-3)
    assert fit.parameters["usl_kappa"] == pytest.approx(kappa, rel=1e-3)


@pytest.mark.parametrize(("servers", "delay"), [(1, 0.0), (5, 0.0), (4, 0.02), (12, 0.05)])
def test_exact_multi_server_curves_are_recovered(servers, delay):
    n = np.array([1.0, 2, 3, 4, 6, 8, 12, 16, 24, 32])
    fit = fit_law(zip(n, multi_server(n, 0.01, servers, delay)))
    assert fit.law == "mmc"
    assert fit.parameters["servers"] == servers
    assert fit.parameters["service_time_s"] == pytest.approx(0.01, rel=1e-3)
    assert fit.parameters["delay_s"] == pytest.approx(delay, abs=1e-5)
    assert fit.capacity_per_s == pytest.approx(servers / 0.01, rel=1e-3)


def test_machine_repairman_against_its_textbook_form():
    # M/M/1//N by the Erlang loss formula: utilisation = 1 - B, with Z/S erlangs offered by the repaired machines
    n, s, z = 6, 1.0, 3.0
    a, loss = z / s, 1.0
    for k in range(1, n + 1):
        loss = a * loss / (k + a * loss)
    assert multi_server(np.array([float(n)]), s, 1.0, z)[0] == pytest.approx((1 - loss) / s, rel=1e-12)


def simulated_loop(n, servers, service_s, delay_s, answers, rng):
    """Event by event: n customers, each thinks (exponential), queues for one of the servers, is served."""
    events = [(rng.exponential(delay_s) if delay_s else 0.0, "ask") for _ in range(n)]
    heapq.heapify(events)
    free, waiting, done, now, half = servers, 0, 0, 0.0, 0.0
    while done < answers:
        now, kind = heapq.heappop(events)
        if kind == "ask":
            waiting += 1
        else:
            free, done = free + 1, done + 1
            if done == answers // 10:
                half = now
            heapq.heappush(events, (now + (rng.exponential(delay_s) if delay_s else 0.0), "ask"))
        while free and waiting:
            free, waiting = free - 1, waiting - 1
            heapq.heappush(events, (now + rng.exponential(service_s), "done"))
    return (answers - answers // 10) / (now - half)


@pytest.mark.parametrize(("servers", "delay"), [(3, 0.0), (4, 0.05)])
def test_a_simulated_queue_is_recovered_within_its_intervals(servers, delay):
    rng = np.random.default_rng(11)
    steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    rows = [(n, simulated_loop(n, servers, 0.02, delay, 8000, rng)) for n in steps]
    fit = fit_law(rows)  # not told which law
    assert fit.law == "mmc"
    assert fit.knee
    assert fit.relative_error < 0.02
    assert fit.capacity_per_s == pytest.approx(servers / 0.02, rel=0.03)
    assert fit.parameters["service_time_s"] + fit.parameters["delay_s"] == pytest.approx(0.02 + delay, rel=0.03)
    for name, truth in (("servers", servers), ("service_time_s", 0.02), ("delay_s", delay)):
        low, high = fit.intervals[name]
        assert low - 1e-12 <= truth <= high + 1e-12, (name, fit.intervals)
    # fitted to the lower half it foretells the rest, but only when asked to
    few = fit_law(rows[:7], "mmc")
    with pytest.raises(ModelError, match="outside the measured range"):
        few.predict(48)
    far = few.predict([16, 24, 32, 48], extrapolate=True)
    assert far.extrapolated.all()
    rest = np.array([x for _, x in rows[7:]])
    assert np.all(far.low_per_s <= 1.02 * rest)
    assert np.all(far.high_per_s >= 0.98 * rest)


def test_intervals_hold_what_the_number_of_servers_leaves_open():
    # with a delay outside the servers, 3, 4 and 5 servers look much alike: the other intervals must span them all
    rng = np.random.default_rng(2)
    n = np.array([1.0, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48])
    hits = 0
    for _ in range(12):
        x = multi_server(n, 0.02, 4, 0.05) * (1 + 0.012 * rng.standard_normal(len(n)))
        found = fit_law(zip(n, x), "mmc").intervals
        hits += all(
            found[name][0] <= truth <= found[name][1]
            for name, truth in (("servers", 4), ("service_time_s", 0.02), ("delay_s", 0.05))
        )
    assert hits >= 9  # P(hits < 9) = 0.2 % if all three are covered in 95 %


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    n = np.array([1.0, 2, 4, 8, 12, 16, 24, 32])
    hits = 0
    for _ in range(60):
        x = scalability(n, 0.01, 0.06, 1e-3) * (1 + 0.03 * rng.standard_normal(len(n)))
        low, high = fit_law(zip(n, x), "usl").intervals["usl_sigma"]
        hits += low <= 0.06 <= high
    assert hits >= 51  # P(hits < 51) = 0.4 % if the intervals cover 95 %


def test_prediction_refuses_to_leave_the_measured_range():
    fit = fit_law([(1, 10.0), (2, 20.0), (4, 40.0), (8, 40.0)])
    with pytest.raises(ModelError, match="outside the measured range 1 to 8"):
        fit.predict(9)
    far = fit.predict([4, 16], extrapolate=True)
    assert far.extrapolated.tolist() == [False, True]
    assert far.response_s[1] == pytest.approx(16 / 40)


def test_no_law_fits_gives_a_table_and_says_so():
    rows = [(1, 10.0), (2, 3.0), (4, 30.0), (8, 2.0), (16, 50.0)]
    fit = fit_law(rows)
    assert fit.law == "tabulated"
    assert "no law comes within" in fit.reason
    assert {c.law for c in fit.candidates} == {"mmc", "usl"}
    assert fit.predict(3).throughput_per_s[0] == pytest.approx(16.5)
    assert fit.component_fields()["curve"][0] == (1.0, 10.0)


def test_two_points_are_fitted_without_claiming_certainty():
    fit = fit_law([(50, 3142.0), (100, 3150.0)])
    assert "too few points" in fit.reason
    assert fit.intervals["service_time_s"][1] == np.inf
    assert fit.capacity_per_s == pytest.approx(3146, rel=0.01)


@pytest.mark.parametrize(
    ("points", "law", "word"),
    [
        ([], None, "0 concurrencies"),
        ([(1, 2.0)], None, "1 concurrencies"),
        ([(1, 2.0), (2, -1.0)], None, "positive"),
        ([(1, 2.0), (2, float("nan"))], None, "positive"),
        ([(1, 2.0), (2, "x")], None, "not a number"),
        ([(1, 2.0), 7], None, "not a point"),
        ([(1, 2.0), (2, 3.0)], "ulsl", "unknown law"),
    ],
)
def test_bad_points(points, law, word):
    with pytest.raises(ModelError, match=word):
        fit_law(points, law)


def test_little_and_measurement():
    fit = fit_law([(1, 10.0, 0.1), (2, 20.0, 0.1), (4, 20.0, 0.25)])
    assert fit.little_error == pytest.approx(0.25)
    measured = fit.measurement("orders")
    assert measured.values["servers"] == 2
    assert len(repr(fit).splitlines()) <= 8


def test_a_capacity_without_a_knee_is_only_a_lower_bound():
    straight = fit_law([(1, 10.0), (2, 19.9), (4, 40.1), (8, 79.8), (16, 160.3)], "mmc")
    assert not straight.knee
    assert "at least" in repr(straight)
    assert straight.intervals["servers"][1] == np.inf
    bent = fit_law([(1, 10.0), (2, 19.9), (4, 40.1), (8, 40.0), (16, 39.8)], "mmc")
    assert bent.knee
