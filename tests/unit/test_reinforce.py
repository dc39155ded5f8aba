"""Reinforcement against closed forms, exhaustive search and the event simulation."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import yaml
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.advice.allocation import choose_levels, fully_stressed, square_root_capacities
from fea_arch.advice.patches import compose_override, kubernetes_patch, native_diff
from fea_arch.cli import main


def test_square_root_capacities_are_the_optimum():
    rng = np.random.default_rng(0)
    work, flow, cost = rng.uniform(0.5, 2.0, (3, 4))
    budget = 1.5 * float((cost * work * flow).sum())
    best = square_root_capacities(work, flow, budget, cost)
    assert cost @ best == pytest.approx(budget, rel=1e-12)

    def mean_number(c):  # M/M/1: rho / (1 - rho), summed
        return float((work * flow / (c - work * flow)).sum())

    for _ in range(200):  # no small move along the budget is better
        d = rng.normal(size=4)
        d -= cost * (cost @ d) / (cost @ cost)
        assert mean_number(best + 1e-3 * d) >= mean_number(best) - 1e-12


def test_fully_stressed_design_is_what_a_utilisation_target_needs():
    arch = fa.load_sample("chain", n=3)
    found = fa.reinforce(arch, {"worst_utilisation": 0.2}, kinds=("servers",))
    offered = [fa.static(arch).utilisation[i] * c.servers for i, c in enumerate(arch.components)]
    wanted = fully_stressed(offered, 0.2)
    assert found.reached
    assert [c.servers for c in found.architecture.components] == wanted.tolist()


def test_the_integer_choice_is_that_of_exhaustive_search():
    rng = np.random.default_rng(1)
    for _ in range(20):
        gain = [np.concatenate([[0.0], np.cumsum(rng.uniform(0, 1, 3))]) for _ in range(3)]
        cost = [rng.uniform(0.5, 3.0) * np.arange(4.0) for _ in range(3)]
        need = 0.6 * sum(float(g[-1]) for g in gain)
        levels = choose_levels(gain, cost, need)
        paid = sum(float(c[k]) for c, k in zip(cost, levels))
        least = min(
            sum(float(c[k]) for c, k in zip(cost, ks))
            for ks in itertools.product(range(4), repeat=3)
            if sum(float(g[k]) for g, k in zip(gain, ks)) >= need
        )
        assert paid == pytest.approx(least)
        assert sum(float(g[k]) for g, k in zip(gain, levels)) >= need * (1 - 1e-9)


def fork():
    parts = [fa.Component("web", service_time_s=0.01, servers=2, blocking=False),
             fa.Component("a", service_time_s=0.03, servers=2, blocking=False),
             fa.Component("b", service_time_s=0.02, servers=1, blocking=False)]  # fmt: skip
    calls = [fa.Dependency("web", "a"), fa.Dependency("web", "b", calls=0.8)]
    return fa.Architecture(name="fork", components=parts, dependencies=calls, loads=[fa.Load("web", rate_per_s=50.0)])


def cheapest(arch, good, costs, most=5):
    """Exhaustive search over additional servers."""
    best = np.inf
    for more in itertools.product(range(most), repeat=len(arch)):
        trial = arch
        for name, k in zip(arch.names, more):
            trial = trial.replaced(name, servers=arch[name].servers + k)
        paid = sum(costs[n] * k for n, k in zip(arch.names, more))
        if paid < best and good(trial):
            best = paid
    return best


def test_a_response_target_is_reached_at_the_least_cost():
    arch, costs = fork(), {"web": 1.0, "a": 3.0, "b": 2.0}
    found = fa.reinforce(
        arch, {"response_s": 0.062}, kinds=("servers",), costs={f"{n}.servers": c for n, c in costs.items()}
    )
    assert found.reached
    assert found.optimal
    assert fa.static(found.architecture).mean_response_s <= 0.062
    assert found.cost == cheapest(arch, lambda a: fa.static(a).mean_response_s <= 0.062, costs)


def test_a_collapse_target_by_steps_costs_what_exhaustive_search_finds():
    arch, costs = fork(), dict.fromkeys(("web", "a", "b"), 1.0)
    found = fa.reinforce(arch, {"collapse_factor": 2.5}, kinds=("servers",))
    assert found.reached
    assert found.cost == cheapest(arch, lambda a: fa.fracture(a).collapse_factor >= 2.5, costs)
    assert found.front[0][0] == 0.0
    assert [c for c, _ in found.front] == sorted(c for c, _ in found.front)


def test_bounds_budgets_and_bad_questions_are_kept():
    arch = fork()
    none = fa.reinforce(arch, {"collapse_factor": 2.5}, kinds=("servers",), bounds={"servers": 2})
    assert not none.reached
    assert none.architecture["a"].servers == 2
    assert not fa.reinforce(arch, {"collapse_factor": 2.5}, kinds=("servers",), budget=1.0).reached
    assert fa.reinforce(arch, {"collapse_factor": 0.5}).cost == 0.0
    for target, options in (({"beauty": 1.0}, {}), ({}, {}), ({"score": 80.0}, {"costs": {"gold": 1.0}}),
                            ({"score": 80.0}, {"kinds": ("magic",)})):  # fmt: skip
        with pytest.raises(fa.ModelError):
            fa.reinforce(arch, target, **options)


def test_marginal_allocation_is_optimal_at_equal_costs():
    rng = np.random.default_rng(2)
    for _ in range(20):
        steps = [np.sort(rng.uniform(0, 1, 5))[::-1] for _ in range(3)]  # falling gains: convex waits
        gain = [np.concatenate([[0.0], np.cumsum(s)]) for s in steps]
        need = 0.7 * sum(float(g[-1]) for g in gain)
        taken, have = 0, 0.0
        for best in sorted(np.concatenate(steps), reverse=True):
            if have >= need:
                break
            taken, have = taken + 1, have + best
        assert sum(choose_levels(gain, [np.arange(6.0)] * 3, need)) == taken


def test_fallbacks_survive_single_failures():
    arch = fork()
    found = fa.reinforce(arch, {"single_failure": 0.9}, kinds=("fallback",))
    assert found.before["single_failure"] == 0.0
    assert found.reached
    assert found.cost == 6.0  # one of the two alone gains nothing
    assert fa.contingency(found.architecture)["a"]["served_share"] == 1.0
    assert fa.contingency(found.architecture)["b"]["served_share"] == 1.0
    assert any(s.kind == "fallback" and s.saved_share > 0.0 for s in found.suggestions)


def test_metastability_is_removed():
    arch = fa.Architecture(
        name="retrying",
        components=[fa.Component("web", service_time_s=0.001, servers=200, blocking=False),
                    fa.Component("db", service_time_s=0.1, servers=1, blocking=False)],
        dependencies=[fa.Dependency("web", "db", timeout_s=1.0, retries=3)],
        loads=[fa.Load("web", rate_per_s=4.16)],
    )  # fmt: skip
    assert fa.metastability(arch).vulnerable
    found = fa.reinforce(arch, {"vulnerable": 0.0})
    assert found.reached
    assert not fa.metastability(found.architecture).vulnerable
    assert [s.field for s in found.steps] == ["retry_budget"]  # cheaper than a server


def test_patches_say_what_changed_and_change_nothing():
    base = fa.load_sample("shop")
    head = base.replaced("database", servers=8, replicas=2).replaced("orders", memory_limit_bytes=2.0**30)
    head = head.replaced("gateway->orders", required=False)
    compose = compose_override(base, head)
    read = yaml.safe_load(compose)["services"]
    assert read["database"] == {"deploy": {"replicas": 2}, "labels": {"fea-arch.servers": "8"}}
    assert read["orders"]["deploy"]["resources"]["limits"]["memory"] == "1073741824b"
    assert "# not in this file: gateway->orders.required" in compose
    patches = list(yaml.safe_load_all(kubernetes_patch(base, head)))
    assert {p["metadata"]["name"] for p in patches} == {"database", "orders"}
    assert all(p["kind"] == "Deployment" for p in patches)
    diff = native_diff(base, head)
    assert "+  servers: 8" in diff
    assert native_diff(base, base) == ""


def test_the_runbook_platform_is_strengthened_and_the_simulation_confirms_it():
    arch = fa.load_sample("runbook")
    found = fa.reinforce(arch, {"collapse_factor": 1.7}, kinds=("servers",))
    assert found.reached
    assert fa.fracture(found.architecture).collapse_factor >= 1.7
    # between the old and the new collapse load the old platform drowns and the new one does not
    old, new = (fa.simulate(a.scaled(1.6), duration_s=60.0, seed=0) for a in (arch, found.architecture))
    assert new.served_within_objective > old.served_within_objective + 0.05
    assert new.in_flight.sum() < 0.25 * old.in_flight.sum()


@needs_data
def test_the_social_network_is_strengthened_and_the_simulation_confirms_it():
    arch = fa.read(data_path("deathstarbench", "social-network-jaeger-traces.json.gz"))
    found = fa.reinforce(arch, {"collapse_factor": 200.0}, kinds=("servers",))
    assert found.reached
    assert found.before["collapse_factor"] < 120.0
    assert fa.fracture(found.architecture).collapse_factor >= 200.0
    old, new = (fa.simulate(a.scaled(150.0), duration_s=10.0, seed=0) for a in (arch, found.architecture))
    assert new.in_flight.sum() < 0.1 * old.in_flight.sum()


def test_the_command_prints_steps_patches_and_fails_where_it_cannot(tmp_path, capsys):
    path = tmp_path / "fork.yaml"
    fa.write(fork(), path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["reinforce", str(path), "--allow", "servers", *arguments])
        return end.value.code, capsys.readouterr()

    code, out = run("--collapse-factor", "2.5", "--json")
    assert code == 0
    assert json.loads(out.out)["reached"] is True
    code, out = run("--collapse-factor", "2.5", "--patch", "native")
    assert code == 0
    assert "+  servers:" in out.out
    assert run("--collapse-factor", "2.5", "--most", "servers=2")[0] == 1
    assert run()[0] == 2
