"""Every kind of change where it is the only or the cheapest way to a target, verified by solving again."""

from __future__ import annotations

import math

import pytest
from shared_data import data_path, needs_data

import fea_arch as fa

MEBI = 2.0**20


def pair(call=None, rate=4.16, **db):
    """A gateway that never limits, and what does."""
    fields = {"service_time_s": 0.1, "servers": 1, "blocking": False, **db}
    return fa.Architecture(
        name="pair",
        components=[fa.Component("web", service_time_s=0.001, servers=200, blocking=False),
                    fa.Component("db", **fields)],
        dependencies=[fa.Dependency("web", "db", **(call or {}))],
        loads=[fa.Load("web", rate_per_s=rate)],
    )  # fmt: skip


def kinds(found):
    return [step.change.split()[0] if not step.field else step.field for step in found.steps]


def test_a_cache_is_taken_where_it_costs_less_than_servers():
    arch = pair()  # stands 2.404 times the load; one server or half of the calls doubles it
    costs = {"cache": 2.0, "servers": 3.0}
    found = fa.reinforce(arch, {"collapse_factor": 4.0}, kinds=("cache", "servers"), costs=costs)
    assert found.reached
    assert (kinds(found), found.cost) == (["calls"], 2.0)
    assert found.architecture.dependencies[0].calls == 0.5
    assert fa.fracture(found.architecture).collapse_factor == pytest.approx(found.after["collapse_factor"])
    assert found.after["collapse_factor"] == pytest.approx(2 * found.before["collapse_factor"], rel=1e-3)
    dear = fa.reinforce(arch, {"collapse_factor": 4.0}, kinds=("cache", "servers"), costs={"cache": 4.0})
    assert (kinds(dear), dear.cost) == (["servers"], 1.0)


def test_an_optional_call_is_removed_where_nothing_else_is_allowed_or_cheaper():
    arch = pair({"required": False})
    for options in ({"kinds": ("remove",)}, {"kinds": ("remove", "servers"), "costs": {"servers": 10.0}}):
        found = fa.reinforce(arch, {"collapse_factor": 10.0}, **options)
        assert found.reached
        assert (found.cost, len(found.architecture.dependencies)) == (6.0, 0)
        assert fa.fracture(found.architecture).collapse_factor >= 10.0
    required = fa.reinforce(pair(), {"collapse_factor": 10.0}, kinds=("remove",))  # what is required stays
    assert not required.reached
    assert len(required.architecture.dependencies) == 1


@pytest.mark.parametrize(
    "law",
    [
        {"law": "usl", "usl_sigma": 0.1, "usl_kappa": 0.01},
        {"law": "tabulated", "curve": ((1.0, 10.0), (4.0, 25.0), (16.0, 30.0))},
        {"law": "bounded", "queue_capacity": 5},
    ],
    ids=lambda law: law["law"],
)
def test_a_replica_is_the_only_way_where_servers_are_no_number(law):
    arch = pair(**law)
    need = 1.3 * fa.fracture(arch).collapse_factor
    found = fa.reinforce(arch, {"collapse_factor": need})
    assert found.reached
    assert (kinds(found), found.architecture["db"].replicas, found.cost) == (["replicas"], 2, 1.5)
    assert fa.fracture(found.architecture).collapse_factor >= need


def test_the_cheaper_of_servers_and_replicas_is_taken():
    arch = pair(servers=2, rate=10.0)
    found = fa.reinforce(arch, {"collapse_factor": 3.0}, costs={"replicas": 0.5, "servers": 2.0})
    assert (kinds(found), found.architecture["db"].replicas, found.cost) == (["replicas"], 2, 1.0)
    assert fa.fracture(found.architecture).collapse_factor >= 3.0
    found = fa.reinforce(arch, {"collapse_factor": 3.2}, bounds={"replicas": 1})
    assert (kinds(found), found.architecture["db"].servers) == (["servers"], 4)


def test_memory_is_what_a_memory_limited_collapse_needs():
    limit = 20 * MEBI
    arch = pair(memory_bytes=10 * MEBI, memory_limit_bytes=limit, memory_per_request_bytes=MEBI)
    before = fa.fracture(arch)
    assert before.path[-1].criterion == "memory"
    found = fa.reinforce(arch, {"collapse_factor": 2.35})  # 2.404 where the queue grows
    assert found.reached
    assert kinds(found) == ["memory_limit_bytes"]
    after = found.architecture["db"].memory_limit_bytes
    assert fa.fracture(found.architecture).collapse_factor >= 2.35
    assert found.cost == pytest.approx(0.5 * (after - limit) / 2**30)  # the default price of a GiB
    less = limit + 0.95 * (after - limit)  # no more than is needed, to 2 %
    assert fa.fracture(arch.replaced("db", memory_limit_bytes=less)).collapse_factor < 2.35
    # memory alone takes nobody beyond the capacity of the servers
    assert not fa.reinforce(arch, {"collapse_factor": 2.5}, kinds=("memory",)).reached


def test_longer_timeouts_take_the_failed_state_away_where_the_queue_is_short():
    arch = pair({"timeout_s": 0.3, "retries": 3}, queue_capacity=12)  # 1.3 s at a full queue
    found = fa.reinforce(arch, {"vulnerable": 0.0}, kinds=("timeout",))
    assert found.before == {"vulnerable": 1.0}
    assert found.reached
    assert kinds(found) == ["timeout_s"]
    assert found.architecture.dependencies[0].timeout_s == pytest.approx(1.2)  # twice doubled
    assert not fa.metastability(found.architecture).vulnerable
    assert fa.metastability(arch.replaced("web->db", timeout_s=0.6)).vulnerable  # once is not enough
    long = pair({"timeout_s": 1.0, "retries": 3})  # an unbounded queue outgrows every time-out
    assert not fa.reinforce(long, {"vulnerable": 0.0}, kinds=("timeout",)).reached


def test_metastability_is_removed_step_by_step():
    arch = pair({"timeout_s": 1.0, "retries": 5})
    found = fa.reinforce(arch, {"vulnerable": 0.0}, kinds=("servers",))
    assert found.reached
    need = math.floor(4.16 * 6 * 0.1) + 1  # servers that carry every try of every request
    assert (found.architecture["db"].servers, found.cost) == (need, need - 1.0)
    assert not fa.metastability(found.architecture).vulnerable
    assert fa.metastability(arch.replaced("db", servers=need - 1)).vulnerable
    budget = fa.reinforce(arch, {"vulnerable": 0.0})
    assert kinds(budget) == ["retry_budget"]
    assert budget.cost == 0.5 < found.cost
    assert not fa.metastability(budget.architecture).vulnerable


def test_a_score_is_reached_and_scored_again():
    arch = pair({"timeout_s": 1.0, "retries": 3})
    start = fa.score(arch, samples=0).value
    for more, options in ((10.0, {}), (5.0, {"kinds": ("servers",)})):
        found = fa.reinforce(arch, start + more, **options)
        assert found.reached
        assert found.before["score"] == pytest.approx(start)
        assert fa.score(found.architecture, samples=0).value == pytest.approx(found.after["score"])
        assert found.after["score"] >= start + more
        assert found.steps


def test_what_is_not_reached_is_not_called_the_cheapest():
    found = fa.reinforce(pair(), {"collapse_factor": 10.0}, kinds=("retry_budget",))
    assert not found.reached
    assert not found.optimal
    assert found.findings
    nothing = fa.reinforce(pair(), {"collapse_factor": 2.0})
    assert nothing.reached
    assert nothing.optimal
    assert math.isfinite(nothing.after["collapse_factor"])


@needs_data
def test_the_social_network_meets_a_response_target_in_the_solver_and_in_the_simulation():
    arch = fa.read(data_path("deathstarbench", "social-network-jaeger-traces.json.gz")).scaled(100.0)
    calm = fa.static(arch, 0.01).mean_response_s
    start = fa.static(arch).mean_response_s
    target = calm + 0.25 * (start - calm)  # a quarter of the waiting may stay
    found = fa.reinforce(arch, {"response_s": target}, kinds=("servers",))
    assert found.reached
    assert fa.static(found.architecture).mean_response_s <= target

    def simulated(a):
        run = fa.simulate(a, duration_s=5.0, seed=0, replications=4)
        row = run["nginx-web-server"]
        return row["response_s"], row["response_s_half_width"]

    assert {load.entry for load in arch.loads} == {"nginx-web-server"}
    (old, old_half), (new, new_half) = simulated(arch), simulated(found.architecture)
    assert old - old_half > target
    assert new + new_half <= target
