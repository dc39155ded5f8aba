"""Outages side by side against the sweep of one outage, full equilibria and formulas of single steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.analyses.fracture import open_model
from fea_arch.kernels import outage_lanes
from fea_arch.kernels.outages import _series, _waiting
from fea_arch.solvers import outages
from fea_arch.solvers.outage_batches import OutageBatches
from fea_arch.solvers.outages import OutageSolver


def graph(seed, n=60, *, scv=1.0, rate=3.0):
    """A layered graph with optional, asynchronous and missing calls, delays, replicas and several entries."""
    rng = np.random.default_rng(seed)
    components = [
        fa.Component(
            f"s{i}", service_time_s=float(rng.uniform(1e-3, 5e-3)), service_scv=float(rng.choice([0.0, 0.5, 1.0, 3.0])),
            servers=int(rng.integers(2, 14)), replicas=int(rng.choice([1, 1, 2, 3])),
            blocking=bool(rng.random() < 0.4), law="delay" if rng.random() < 0.1 else "mmc",
        )
        for i in range(n)
    ]  # fmt: skip
    amounts, odds = [0.0, 0.2, 0.6, 1.0, 2.0, 2.5], [0.05, 0.3, 0.3, 0.2, 0.1, 0.05]
    calls = [
        fa.Dependency(
            f"s{j}", f"s{i}", calls=float(rng.choice(amounts, p=odds)),
            mode="async" if rng.random() < 0.15 else "sync", required=bool(rng.random() < 0.6),
            network_latency_s=float(rng.choice([0.0, 1e-3])),
        )
        for i in range(1, n)
        for j in np.unique(rng.integers(max(0, i - 12), i, 2)).tolist()
    ]  # fmt: skip
    loads = [fa.Load(f"s{i}", rate_per_s=rate, arrival_scv=scv) for i in (0, 1, n // 3)]
    return fa.Architecture(name="graph", components=components, dependencies=calls, loads=loads)


def cases_of(model, seed):
    """Every component, every edge, and pairs of them, among which both of a pair may be the same."""
    n, m = model.network.n, model.network.target.size
    rng = np.random.default_rng(seed)
    pairs = [(tuple(rng.integers(0, n, 2).tolist()), tuple(rng.integers(0, m, 1).tolist())) for _ in range(40)]
    return [((i,), ()) for i in range(n)] + [((), (e,)) for e in range(m)] + pairs + [((), ())]


def table(outcomes):
    rows = [
        (o.served_share, o.response_s, o.worst, o.utilisation, o.status == "ok", o.status == "failed") for o in outcomes
    ]
    return np.array(rows, float)


@pytest.mark.parametrize("scv", [1.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_side_by_side_is_one_at_a_time(seed, scv, monkeypatch):
    monkeypatch.setattr(outages, "SIDE_BY_SIDE", 0)
    solver = OutageSolver(open_model(graph(seed, scv=scv))[0])
    assert solver.plain
    cases = cases_of(solver.model, seed)
    found = dict(solver.outcomes(cases, len(cases)))
    assert sorted(found) == list(range(len(cases)))
    side = [found[k] for k in range(len(cases))]
    alone = [solver.without(*case) for case in cases]
    assert solver.full_solves == 0
    assert np.unique([o.response_s for o in alone]).size > 30  # the outages differ
    np.testing.assert_allclose(table(side), table(alone), rtol=1e-12)
    assert [o.reason for o in side] == [o.reason for o in alone]
    again = dict(solver.outcomes(cases, len(cases)))
    assert table(again[k] for k in range(len(cases))).tobytes() == table(side).tobytes()


def test_side_by_side_is_the_full_equilibrium():
    solver = OutageSolver(open_model(graph(7))[0])
    batches = OutageBatches(solver.model, solver.intact, 8)
    for first in range(0, 56, 8):
        cases = [((i, i + 1), ()) for i in range(first, first + 8)]
        served, mean, _, highest, full = batches.sweep(cases)
        assert not full.any()
        for k, case in enumerate(cases):
            outcome = solver.solved(*case)
            assert served[k] == pytest.approx(outcome.served_share, abs=1e-9)
            assert highest[k] == pytest.approx(outcome.utilisation, abs=1e-6)
            if outcome.status != "failed":
                assert mean[k] == pytest.approx(outcome.response_s, rel=1e-6)


@pytest.mark.parametrize("lanes", [1, 3, 64])
def test_answers_do_not_depend_on_the_neighbours(lanes):
    solver = OutageSolver(open_model(graph(3))[0])
    cases = cases_of(solver.model, 0)
    order = np.random.default_rng(0).permutation(len(cases)).tolist()
    batches = OutageBatches(solver.model, solver.intact, lanes)
    found = {}
    for k in range(0, len(order), lanes):
        now = order[k : k + lanes]
        found.update(zip(now, zip(*batches.sweep([cases[i] for i in now]), strict=True), strict=True))
    alone = [solver.without(*case) for case in cases]
    here = np.array([found[k] for k in range(len(cases))], float)
    lost = np.array([o.status == "failed" for o in alone])
    np.testing.assert_allclose(here[:, 0], [o.served_share for o in alone], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(here[~lost, 1], [o.response_s for o in alone if o.status != "failed"], rtol=1e-12)
    np.testing.assert_allclose(here[:, 3], [o.utilisation for o in alone], rtol=1e-12)


def test_lanes_that_reach_a_full_queue_are_told():
    model, _ = open_model(graph(3))
    slow = replace(model, network=replace(model.network, service=1e5 * model.network.service))
    batches = OutageBatches(slow, OutageSolver(model).intact, 4)
    entry = int(np.argmax(model.network.external))
    full = batches.sweep([((), ()), ((entry,), ()), ((), ()), ((), ())])[4]
    assert full.tolist() == [1, 1, 1, 1]  # all lanes of what one of them reaches
    assert not batches.sweep([((), ())])[4].any()


def test_cases_with_a_full_queue_are_solved_in_full(monkeypatch):
    monkeypatch.setattr(outages, "SIDE_BY_SIDE", 0)
    solver = OutageSolver(open_model(graph(3))[0])
    original = OutageBatches.sweep

    def sweep(self, cases):
        answers = original(self, cases)
        answers[4][[c[0] == (5,) for c in cases]] = 1
        return answers

    monkeypatch.setattr(OutageBatches, "sweep", sweep)
    found = dict(solver.outcomes([((i,), ()) for i in range(8)], 8))
    assert solver.full_solves == 1
    assert found[5] == solver.solved((5,))


def test_a_network_with_feedback_is_solved_in_full(monkeypatch):
    monkeypatch.setattr(outages, "SIDE_BY_SIDE", 0)
    arch = graph(1, 12)
    calls = [replace(d, retries=1, timeout_s=1.0) if d.mode == "sync" else d for d in arch.dependencies]
    solver = OutageSolver(open_model(replace(arch, dependencies=calls))[0])
    cases = [((i,), ()) for i in range(12)]
    found = dict(solver.outcomes(cases, 12))
    assert not solver.plain and solver.full_solves == len(found) == 12


def test_the_analysis_is_the_same_side_by_side(monkeypatch):
    arch = graph(5, 40)
    alone = fa.contingency(arch)
    monkeypatch.setattr(outages, "SIDE_BY_SIDE", 0)
    monkeypatch.setattr(outages, "BLOCK", 50)
    side = fa.contingency(arch)
    assert side.components == alone.components
    for field in ("status", "reason", "worst_component"):
        assert getattr(side, field) == getattr(alone, field)
    for field in ("served_share", "worst_utilisation", "response_s"):
        np.testing.assert_allclose(getattr(side, field), getattr(alone, field), rtol=1e-12)


def test_ctrl_c_keeps_the_rows_of_whole_batches(monkeypatch):
    arch = graph(5, 60)
    alone = fa.contingency(arch)
    monkeypatch.setattr(outages, "SIDE_BY_SIDE", 0)
    original, calls = OutageBatches.sweep, []

    def stop(self, cases):
        if calls:
            raise KeyboardInterrupt
        calls.append(len(cases))
        return original(self, cases)

    monkeypatch.setattr(OutageBatches, "sweep", stop)
    result = fa.contingency(arch)
    assert result.interrupted and len(result.components) == calls[0] < len(alone.components)
    for name in result.components:
        assert result[name]["served_share"] == pytest.approx(alone[name]["served_share"], rel=1e-12)


@pytest.mark.parametrize("servers", [1, 2, 5, 40, 400])
def test_lanes_of_erlangs_formula(servers):
    rho = np.array([0.0, 1e-12, 0.01, 0.5, 0.9, 0.9995])
    step, inverse, wait, spread = np.zeros((4, rho.size))
    with np.errstate(all="ignore"):
        outage_lanes.inverse_blocking(servers, rho, step, inverse)
        outage_lanes.wait_for_a_server(
            inverse, rho, np.full(rho.size, 2.0), np.full(rho.size, 0.75), servers, 1.0, wait, spread
        )
    busy = np.array([_waiting(servers, r * servers) for r in rho.tolist()])
    theta = 2.0 * 0.75 / (servers * (1.0 - rho))
    np.testing.assert_allclose(wait, busy * theta, rtol=1e-12, atol=1e-290)
    np.testing.assert_allclose(spread, busy * (2.0 - busy) * theta**2, rtol=1e-12, atol=1e-290)


@pytest.mark.parametrize("calls", [0.0, 0.3, 1.0, 2.5, 40.25, 200.5])
def test_lanes_of_calls_in_a_row(calls):
    go = np.array([0.0, 0.2, 0.9, 0.999, 1.0])
    made, through = np.zeros((2, go.size))
    whole = int(calls)
    outage_lanes.calls_made(go, whole, calls - whole, made, through)
    expected = np.array([_series(calls, g) for g in go.tolist()])
    np.testing.assert_allclose(made, expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(through, expected[:, 1], rtol=1e-12)
    one_by_one = (go[:, None] ** np.arange(whole)).sum(axis=1) + (calls - whole) * go**whole
    np.testing.assert_allclose(made, one_by_one, rtol=1e-12)


def test_failures_rarer_than_rounding_do_not_spoil_long_rows():
    go = np.array([1.0 - 2e-15])
    made, through = np.zeros((2, 1))
    outage_lanes.calls_made(go, 1000, 0.0, made, through)
    assert made[0] == pytest.approx(1000.0, rel=1e-11)
    assert through[0] == pytest.approx(1.0 - 2e-12, rel=1e-14)
