"""Outages one and two at a time against full equilibria of the architectures without the parts, and the books."""

from __future__ import annotations

import numpy as np
import pytest
from reference.random_networks import random_network
from scipy.special import gammaln, logsumexp

import fea_arch as fa
from fea_arch.analyses.fracture import open_model
from fea_arch.kernels.outages import _waiting
from fea_arch.solvers.outages import OutageSolver
from fea_arch.solvers.overload import overload


def tree(n=40, seed=3):
    """A tree of services, some calls optional; nothing feeds back."""
    rng = np.random.default_rng(seed)
    return fa.Architecture(
        name="tree",
        components=[
            fa.Component(f"s{i}", service_time_s=float(rng.uniform(1e-3, 5e-3)), servers=int(rng.integers(2, 9)),
                         blocking=bool(rng.random() < 0.5))
            for i in range(n)
        ],
        dependencies=[
            fa.Dependency(f"s{int(rng.integers(0, i))}", f"s{i}", calls=float(rng.choice([0.3, 1.0, 2.0])),
                          required=bool(rng.random() < 0.6))
            for i in range(1, n)
        ],
        loads=[fa.Load("s0", rate_per_s=15.0)],
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_each_outage_is_the_full_equilibrium_without_the_part(seed):
    model, _ = open_model(tree(seed=seed))
    solver = OutageSolver(model)
    assert solver.plain and solver.method == "influence sweeps"
    for i in range(model.network.n):
        quick, full = solver.without((i,)), solver.solved((i,))
        assert quick.status == full.status
        assert quick.served_share == pytest.approx(full.served_share, abs=1e-9)
        assert quick.utilisation == pytest.approx(full.utilisation, abs=1e-6)
        assert quick.response_s == pytest.approx(full.response_s, rel=1e-6, nan_ok=True)
    for e in range(model.network.target.size):
        quick, full = solver.without((), (e,)), solver.solved((), (e,))
        assert quick.served_share == pytest.approx(full.served_share, abs=1e-9)


@pytest.mark.parametrize("servers", [1, 2, 7, 40, 400])
def test_the_probability_of_waiting_is_the_sum_over_the_states(servers):
    state = np.arange(servers)
    for load in (servers * np.array([1e-12, 0.01, 0.5, 0.9, 0.999])).tolist():
        below = logsumexp(state * np.log(load) - gammaln(state + 1.0))
        full = servers * np.log(load) - gammaln(servers + 1.0) - np.log1p(-load / servers)
        assert _waiting(servers, load) == pytest.approx(np.exp(full - np.logaddexp(below, full)), rel=1e-11, abs=1e-290)
    assert _waiting(servers, 0.0) == 0.0


def test_pairs_and_repeated_use_leave_nothing_behind():
    model, _ = open_model(tree())
    solver = OutageSolver(model)
    first = solver.without((3, 7))
    assert first.served_share == pytest.approx(solver.solved((3, 7)).served_share, abs=1e-9)
    solver.without((1,))
    assert solver.without((3, 7)) == first


def test_every_case_is_a_row_with_its_reason():
    arch = tree()
    result = fa.contingency(arch)
    assert len(result.components) == len(arch) + len(arch.dependencies)
    assert set(result.status) <= {"ok", "failed", "unstable"}
    for name in result.components:
        row = result[name]
        assert np.isfinite(row["served_share"])
        if row["status"] != "ok":
            assert row["reason"]
    assert result["s0"]["status"] == "failed" and result["s0"]["reason"]
    worst = result.worst(5)
    shares = [result[name]["served_share"] for name in worst]
    assert shares == sorted(shares) and shares[0] == 0.0 == result["s0"]["served_share"]


def test_two_at_a_time():
    arch = tree(12)
    result = fa.contingency(arch, 2, dependencies=False)
    assert len(result.components) == 12 * 11 // 2
    one = fa.contingency(arch, dependencies=False)
    for name in ("s1 + s2", "s3 + s5"):
        a, b = name.split(" + ")
        assert result[name]["served_share"] <= min(one[a]["served_share"], one[b]["served_share"]) + 1e-9


def test_overloaded_survivors_are_unstable_rows():
    arch = fa.Architecture(
        name="pair",
        components=[fa.Component("web", blocking=False, law="delay"), fa.Component("a", service_time_s=0.01),
                    fa.Component("b", service_time_s=0.01)],
        dependencies=[fa.Balancer("web", ("a", "b"))],
        loads=[fa.Load("web", rate_per_s=150.0)],
    )  # fmt: skip
    result = fa.contingency(arch)
    assert result["a"]["status"] == "unstable" and result["a"]["worst_component"] == "b"
    assert "grows" in result["a"]["reason"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5, 4.0])
def test_books_close_at_every_load_also_above_capacity(seed, factor):
    """Offered = served + rejected + timed out + lost + queued."""
    arch = random_network(seed, 0.7)
    model, _ = open_model(arch)
    state = overload(model, factor)
    books = dict(state.books)
    offered = books.pop("offered")
    assert offered == pytest.approx(factor * model.offered)
    assert sum(books.values()) == pytest.approx(offered, rel=1e-6)
    assert all(value >= -1e-9 * offered for value in books.values())


def test_books_close_along_the_whole_path_to_collapse_and_beyond():
    result = fa.fracture(fa.load_sample("runbook"))
    parts = sum(result.books[k] for k in ("served", "rejected", "timed_out", "lost", "queued"))
    np.testing.assert_allclose(parts, result.books["offered"], rtol=1e-6)
    np.testing.assert_allclose(result.books["offered"], result.offered_per_s)
    assert (np.diff(result.load_factor) >= 0).all()
    assert (result.served_per_s <= result.offered_per_s * (1 + 1e-9)).all()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"order": 3}, "order"), ({"order": True}, "order"), ({"load_factor": 0.0}, "load_factor"),
    ({"load_factor": float("nan")}, "load_factor"),
])  # fmt: skip
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(fa.ModelError, match=words):
        fa.contingency(tree(5), **arguments)


def test_too_many_pairs_are_refused_before_they_are_computed():
    with pytest.raises(fa.ModelError, match="pairs of outages"):
        fa.contingency(tree(1500), 2)


def test_ctrl_c_keeps_the_rows_so_far(monkeypatch):
    done = []

    def stop(self, dead=(), cut=()):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(dead)
        return original(self, dead, cut)

    original = OutageSolver.without
    monkeypatch.setattr(OutageSolver, "without", stop)
    result = fa.contingency(tree())
    assert result.interrupted and len(result.components) == 7
