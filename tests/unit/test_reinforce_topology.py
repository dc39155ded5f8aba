"""Changes of what calls what: events, fallbacks, caches and removals, as moves and as suggestions."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import yaml

import fea_arch as fa
from fea_arch.advice.margins import MARGINS, margins
from fea_arch.advice.moves import COSTS, HITS, calls_to_change
from fea_arch.advice.patches import compose_override, kubernetes_patch, native_diff
from fea_arch.advice.topology import expected_margins
from fea_arch.cli import main
from fea_arch.solvers.pool_linearisation import PoolLinearisation

TOPOLOGY = ("decouple", "fallback", "cache", "remove")
RESTING = {"": HITS}


def shop(**mail):
    """A web shop in which every call but one is needed: blocked workers, a slow mail server, a busy database."""
    parts = [fa.Component("web", service_time_s=0.005, servers=4),
             fa.Component("mail", service_time_s=0.08, servers=4, blocking=False),
             fa.Component("orders", service_time_s=0.01, servers=4, blocking=False),
             fa.Component("ads", service_time_s=0.02, servers=2, blocking=False),
             fa.Component("db", service_time_s=0.02, servers=1, blocking=False)]  # fmt: skip
    calls = [fa.Dependency("web", "mail", **mail), fa.Dependency("web", "orders"),
             fa.Dependency("web", "ads", required=False), fa.Dependency("orders", "db", calls=1.5)]  # fmt: skip
    return fa.Architecture(name="shop", components=parts, dependencies=calls, loads=[fa.Load("web", rate_per_s=20.0)])


def random_shop(seed):
    """A random tree of calls, some of them optional."""
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in range(7)]
    parts = [fa.Component(n, service_time_s=float(rng.uniform(0.005, 0.03)), servers=int(rng.integers(1, 4)),
                          blocking=bool(k == 0)) for k, n in enumerate(names)]  # fmt: skip
    parts[0] = fa.Component("c0", service_time_s=0.005, servers=12)
    calls = [fa.Dependency(names[int(rng.integers(0, k))], names[k], calls=float(rng.uniform(0.3, 1.5)),
                           required=bool(rng.random() < 0.6)) for k in range(1, 7)]  # fmt: skip
    arch = fa.Architecture(name="tree", components=parts, dependencies=calls, loads=[fa.Load("c0", rate_per_s=1.0)])
    return arch.scaled(0.7 * fa.fracture(arch).collapse_factor)


def missed(found, goal):
    """By how much a target is missed, written down again."""
    total = 0.0
    for name, want in goal.items():
        gap = MARGINS[name].sign * (want - found[name])
        total += 0.0 if found[name] == math.inf and name == "collapse_factor" else max(gap, 0.0) / want
    return total


def goals(arch):
    """Targets that no single change of these reaches, so that gains differ."""
    now = margins(arch, ("response_s", "collapse_factor", "score"))
    return ({"response_s": 0.1 * now["response_s"]}, {"collapse_factor": 8.0 * now["collapse_factor"]}, {"score": 99.9})


def test_an_event_leaves_the_load_and_takes_the_waiting_away():
    arch = shop(timeout_s=1.0, retries=2)
    [move] = [m for m in calls_to_change(arch, COSTS, RESTING) if (m.kind, m.place) == ("decouple", "web->mail")]
    after = move.apply(arch)
    call = after.dependencies[0]
    assert (call.mode, call.timeout_s, call.retries, call.calls) == ("async", None, 0, 1.0)
    plain = shop()
    old, new = fa.static(plain), fa.static(move.apply(plain))
    assert new["mail"]["utilisation"] == pytest.approx(old["mail"]["utilisation"], rel=1e-9)
    assert new["web"]["utilisation"] < old["web"]["utilisation"]
    rest = sum(new[n]["response_s"] for n in ("orders", "ads"))  # and the work of the web itself
    assert new.mean_response_s == pytest.approx(rest + 0.005 + new["web"]["wait_s"], rel=1e-9)
    assert old.mean_response_s - new.mean_response_s >= old["mail"]["response_s"]


@pytest.mark.parametrize("seed", range(3))
def test_suggestions_are_those_of_exhaustive_search(seed):
    arch = random_shop(seed)
    for goal in goals(arch):
        gap = missed(margins(arch, tuple(goal)), goal)
        found = fa.reinforce(arch, goal, most_steps=1, kinds=("retry_budget",))
        assert found.architecture == arch  # nothing is applied
        for kind in ("decouple", "cache", "remove"):
            every = {
                m.place: (gap - missed(margins(m.apply(arch), tuple(goal)), goal)) / gap
                for m in calls_to_change(arch, COSTS, RESTING) if m.kind == kind
            }  # fmt: skip
            said = {s.place: s.verified for s in found.suggestions if s.kind == kind}
            # a collapse load is found to a tolerance, so equal gains are equal to that only
            assert max(said.values(), default=0.0) == pytest.approx(max([0.0, *every.values()]), abs=2e-3)
            for place, gain in said.items():
                assert gain == pytest.approx(every[place], abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_first_order_effects_are_the_limit_of_small_changes(seed):
    arch = random_shop(seed)
    moves = [m for m in calls_to_change(arch, COSTS, {"": 1e-3}) if m.kind == "cache"]
    expected = expected_margins(arch, moves)
    assert set(expected) == {("cache", d.label) for d in arch.dependencies}
    base = fa.static(arch).mean_response_s
    for move in moves:
        change = fa.static(move.apply(arch)).mean_response_s - base
        assert expected["cache", move.place]["response_s"] == pytest.approx(change, rel=0.02)


def test_what_a_fallback_saves_is_the_difference_of_two_contingencies():
    arch = shop()
    ideas = [s for s in fa.reinforce(arch, {"response_s": 1.0}).suggestions if s.kind == "fallback"]
    assert {s.place for s in ideas} <= {"web->mail", "web->orders", "orders->db"}
    assert ideas
    for idea in ideas:  # the target is reached: no gain, but what is served still counts
        soft = fa.contingency(arch.replaced(idea.place, required=False))[idea.place]["served_share"]
        assert idea.saved_share == pytest.approx(soft - fa.contingency(arch)[idea.place]["served_share"])
        assert math.isnan(idea.verified)


def test_where_pools_are_not_linearised_waiting_ranks_and_nothing_is_predicted(monkeypatch):
    monkeypatch.setattr(PoolLinearisation, "_compare", lambda self: False)
    arch = fa.load_sample("shop")
    goal = {"collapse_factor": 40.0}
    gap = missed(margins(arch, tuple(goal)), goal)
    moves = calls_to_change(arch, COSTS, RESTING)
    effects = expected_margins(arch, moves)
    assert not any("collapse_factor" in e for e in effects.values())
    assert all(e["waiting_s"] < 0.0 for e in effects.values())
    for idea in fa.reinforce(arch, goal, kinds=("retry_budget",)).suggestions:
        [move] = [m for m in moves if (m.kind, m.place) == (idea.kind, idea.place)]
        assert math.isnan(idea.predicted)
        alone = (gap - missed(margins(move.apply(arch), tuple(goal)), goal)) / gap
        assert idea.verified == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize("goal", [{"response_s": 0.08}, {"collapse_factor": 1.9}, {"single_failure": 1.0}])
def test_a_plan_costs_what_exhaustive_search_finds(goal):
    arch = shop()
    found = fa.reinforce(arch, goal, kinds=TOPOLOGY)
    assert found.reached
    options = calls_to_change(arch, COSTS, RESTING)
    sets = [c for k in range(4) for c in itertools.combinations(options, k) if sum(m.cost for m in c) <= found.cost]
    for chosen in sorted(sets, key=lambda c: sum(m.cost for m in c)):
        gone = {m.place for m in chosen if m.kind == "remove"}
        if any(m.place in gone and m.kind != "remove" for m in chosen):
            continue
        trial = arch
        for move in chosen:
            trial = move.apply(trial)
        if missed(margins(trial, tuple(goal)), goal) <= 0.0:
            break
    assert found.cost == pytest.approx(sum(m.cost for m in chosen))
    assert missed(margins(found.architecture, tuple(goal)), goal) <= 0.0


def test_costs_bounds_and_hit_rates_are_the_users():
    arch, goal = shop(), {"response_s": 0.12}
    event = fa.reinforce(arch, goal, kinds=("decouple",))
    assert event.reached
    assert [(s.place, s.before, s.after, s.cost) for s in event.steps] == [("web->mail", "sync", "async", 5.0)]
    assert fa.reinforce(arch, goal, kinds=("decouple",), costs={"web->mail.decouple": 2.0}).cost == 2.0
    for bounds in ({"decouple": 0}, {"web->mail.decouple": 0}):
        bound = fa.reinforce(arch, goal, kinds=("decouple",), bounds=bounds)
        assert "web->mail" not in {s.place for s in bound.steps}
        assert ("decouple", "web->mail") not in {(s.kind, s.place) for s in bound.suggestions}
    strict = {"response_s": 0.03}
    assert len(fa.reinforce(arch, strict, kinds=("decouple",)).steps) > 1
    assert len(fa.reinforce(arch, strict, kinds=("decouple",), bounds={"decouple": 1}).steps) <= 1
    cached = fa.reinforce(arch, {"response_s": 0.15}, kinds=("cache",), hits={"web->mail": 0.9}).architecture
    assert cached.dependencies[0].calls == pytest.approx(0.1)
    once = fa.reinforce(arch, strict, kinds=("cache",), hits=0.25).architecture  # a call is cached once
    assert {d.calls for d in once.dependencies} <= {0.75, 1.0, 1.5, 1.125}
    for options in ({"hits": 1.0}, {"hits": {"web->post": 0.5}}, {"bounds": {"decuple": 1}}, {"bounds": {"cache": -1}}):
        with pytest.raises(fa.ModelError):
            fa.reinforce(arch, goal, **options)


def test_what_is_required_goes_only_where_somebody_says_so():
    arch, goal = shop(), {"response_s": 0.12}
    assert {s.place for s in fa.reinforce(arch, goal, kinds=("remove",)).steps} <= {"web->ads"}
    told = fa.reinforce(arch, goal, kinds=("remove",), costs={"web->mail.remove": 1.0})
    assert (told.reached, told.cost, [s.place for s in told.steps]) == (True, 1.0, ["web->mail"])
    both = fa.reinforce(arch, goal, kinds=("fallback", "remove"))
    removed = {s.place for s in both.steps if not s.field}
    assert removed <= {"web->ads"} | {s.place for s in both.steps if s.field == "required"}


def test_patches_carry_the_fields_or_say_that_they_cannot():
    arch = shop()
    head = fa.reinforce(arch, {"response_s": 0.12}, kinds=("decouple",)).architecture
    diff = native_diff(arch, head)
    assert [line.strip("+ ") for line in diff.splitlines() if line.startswith("+ ")] == ["mode: async"]
    for patch in (compose_override, kubernetes_patch):
        text = patch(arch, head)
        assert "# not in this file: web->mail.mode: sync -> async" in text
        assert "see the native diff" in text
        assert not any((yaml.safe_load(text) or {}).values())


def test_the_command_prints_suggestions_and_takes_hit_rates(tmp_path, capsys):
    path = tmp_path / "shop.yaml"
    fa.write(shop(), path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["reinforce", str(path), *arguments])
        return end.value.code, capsys.readouterr().out

    code, out = run("--response", "120ms")
    assert code == 1  # numbers alone do not reach it
    assert "consider: make web->mail an event that nobody waits for (cost 5; predicted" in out
    assert "to decide: whether the caller can go on without the answer" in out
    assert "consider" not in run("--response", "120ms", "--suggest", "0")[1]
    code, out = run("--response", "150ms", "--allow", "cache", "--hit-rate", "web->mail=0.9", "--json")
    assert code == 0
    assert json.loads(out)["steps"][0]["after"] == pytest.approx(0.1)
    row = json.loads(run("--response", "120ms", "--json")[1])["suggestions"][0]
    assert (row["kind"], row["place"], row["reached"]) == ("decouple", "web->mail", True)
    assert run("--response", "120ms", "--hit-rate", "most")[0] == 2
    shown = fa.reinforce(shop(), {"response_s": 0.12})
    assert "consider: make web-&gt;mail an event" in shown._repr_html_()
