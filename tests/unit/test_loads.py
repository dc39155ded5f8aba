"""What acts on an architecture."""

from __future__ import annotations

import math

import pytest

import fea_arch as fa
from fea_arch.errors import ModelError


def test_open_and_closed_exclude_each_other():
    assert fa.Load("a", users=3).closed
    assert not fa.Load("a", rate_per_s=0).closed
    for wrong in ({}, {"rate_per_s": 1.0, "users": 2}):
        with pytest.raises(ModelError, match="either rate_per_s"):
            fa.Load("a", **wrong)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0, "5", True, 10**400, [], None])
def test_bad_rates(rate):
    with pytest.raises(ModelError, match="a"):
        fa.Load("a", rate_per_s=rate)


@pytest.mark.parametrize("users", [0, -1, 1.5, float("nan"), 2**70])
def test_bad_populations(users):
    with pytest.raises(ModelError, match="users"):
        fa.Load("a", users=users)


def test_burst_acts_on_a_half_open_interval():
    burst = fa.Burst(factor=4, start_s=10, duration_s=5)
    assert [burst(t) for t in (0, 10, 14.999, 15)] == [1.0, 4.0, 4.0, 1.0]
    assert burst.breakpoints() == (10.0, 15.0)


def test_ramp_is_linear_between_its_ends():
    ramp = fa.Ramp(from_factor=1, to_factor=3, start_s=10, duration_s=20)
    assert [ramp(t) for t in (0, 10, 15, 20, 30, 99)] == [1, 1, 1.5, 2, 3, 3]
    assert ramp.breakpoints() == (10.0, 30.0)


def test_periodic_never_falls_below_zero_and_rests_before_its_start():
    wave = fa.Periodic(period_s=4.0, amplitude=2.0, mean=1.0, start_s=8.0)
    assert wave(3.0) == 1.0
    assert wave(9.0) == pytest.approx(3.0)
    assert wave(11.0) == 0.0
    assert wave(12.0) == pytest.approx(1.0)


def test_recorded_is_linear_and_constant_outside():
    load = fa.Recorded([0.0, 1.0, 3.0], [1.0, 2.0, 0.0])
    assert [load(t) for t in (-5, 0, 0.5, 1, 2, 3, 9)] == [1, 1, 1.5, 2, 1, 0, 0]
    assert load.breakpoints() == (0.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("times", "factors"),
    [
        ([], []),
        ([0, 1], [1]),
        ([1, 0], [1, 1]),
        ([0, 0], [1, 1]),
        ([0], [-1]),
        ([0], [math.inf]),
        ([math.nan, 1], [1, 1]),
        ("ab", "cd"),
        (None, None),
    ],
)
def test_bad_records(times, factors):
    with pytest.raises(ModelError):
        fa.Recorded(times, factors)


def test_outage_ends_after_it_starts():
    assert fa.Outage("a", start_s=1, end_s=2).share == 1.0
    with pytest.raises(ModelError, match="ends before it starts"):
        fa.Outage("a", start_s=2, end_s=2)
    with pytest.raises(ModelError, match="share"):
        fa.Outage("a", start_s=0, end_s=1, share=1.5)


@pytest.mark.parametrize("path", ["abc", 5, None, [], [1], [""]])
def test_bad_workflow_paths(path):
    with pytest.raises(ModelError, match="path"):
        fa.Workflow("w", path=path)


def test_objective_bounds():
    with pytest.raises(ModelError, match="quantile"):
        fa.Objective(quantile=1.0)
    with pytest.raises(ModelError, match="latency_s"):
        fa.Objective(latency_s=0.0)
    with pytest.raises(ModelError, match="Did you mean 'latency_s'"):
        fa.Objective(latencys=1.0)
