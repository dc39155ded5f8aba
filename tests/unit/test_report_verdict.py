"""The verdict, the score and the assumptions of a report never contradict each other."""

from __future__ import annotations

import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.report.comprehensive import examine
from fea_arch.report.explanation import explanation
from fea_arch.report.markdown import markdown
from fea_arch.report.overview import Overview, overview
from fea_arch.report.page import page
from fea_arch.report.score import score_text
from fea_arch.report.static import assumptions, conditions, static_document, static_text
from fea_arch.report.wording import headline, verdict

COMPOSE = (
    ("otel-demo", "compose.yaml"),
    ("sock-shop", "docker-compose.yml"),
    ("deathstarbench", "compose", "socialNetwork-docker-compose.yml"),
    ("deathstarbench", "compose", "hotelReservation-docker-compose.yml"),
)

GUESS = {"service_time_s": fa.Provenance("assumed")}


def slow(objective_s: float | None = None, *, calls: float = 120.0) -> fa.Architecture:
    """A caller that waits for 120 calls of 10 ms each: 1.2 s, at a small load."""
    return fa.Architecture(
        name="slow",
        components=[
            fa.Component("caller", service_time_s=0.001, servers=100, provenance=GUESS),
            fa.Component("store", service_time_s=0.010, servers=100, provenance=GUESS),
        ],
        dependencies=[fa.Dependency("caller", "store", calls=calls)],
        loads=[fa.Load("caller", rate_per_s=1.0)],
        objective=fa.Objective(latency_s=objective_s),
    )


def consistent(o: Overview) -> None:
    """The grade is green only where the score is, and what the headline says holds for the figures below it."""
    label = o.further["score"].label
    text = headline(o)
    assert (o.grade == "good") == (not o.missed and o.collapse is None and label in ("good", "excellent"))
    if label == "critical":
        assert o.grade == "bad"
    if label in ("critical", "degraded") and o.collapse is None:
        assert f"scores {o.further['score'].value:.1f} of 100 ({label})" in text
    assert o.to_dict()["verdict"]["text"] == text


def test_an_assumed_objective_is_a_condition_and_is_named():
    o = overview(slow())
    assert [(c.name, c.limit, c.assumed, c.met) for c in o.missed] == [("response p95", 1.0, True, False)]
    assert o.served < 0.5
    assert o.further["score"].label == "critical"
    consistent(o)
    assert headline(o).startswith("Stands, but misses 1 condition and scores ")
    assert headline(o).endswith("; the objective of 1 s and all service times are assumed.")
    html = page(o)
    assert 'class="verdict bad"' in html
    assert "1 s (assumed)" in html
    assert markdown(o).startswith("## slow: (critical) Stands, but misses 1 condition and scores ")


def test_a_stated_objective_is_not_called_assumed():
    arch = slow(2.0)
    o = overview(arch)
    consistent(o)
    assert not o.missed
    assert assumptions(arch) == ["all service times"]
    assert "the objective" not in headline(o)
    assert "2 s (assumed)" not in page(o)


def test_a_low_score_is_part_of_the_verdict_where_every_condition_is_met():
    arch = fa.Architecture(
        name="busy",  # 70 % at the design load: bursts and growth do not fit
        components=[fa.Component("api", service_time_s=0.02)],
        loads=[fa.Load("api", rate_per_s=35.0)],
        objective=fa.Objective(latency_s=0.3),
    )
    o = overview(arch)
    consistent(o)
    assert not o.missed
    assert headline(o).startswith("Stands and meets every condition, but scores ")


def test_measured_times_with_an_assumed_objective():
    origin = {"service_time_s": fa.Provenance("measured", samples=50)}
    one = fa.Component("api", service_time_s=0.01, provenance=origin)
    arch = fa.Architecture(name="one", components=[one], loads=[fa.Load("api", rate_per_s=5.0)])
    assert assumptions(arch) == ["the objective of 1 s"]
    assert headline(overview(arch, quick=True)).endswith("; the objective of 1 s is assumed.")


def test_nothing_is_assumed_about_the_objective_without_load():
    arch = fa.Architecture(name="idle", components=[fa.Component("api", service_time_s=0.02)],
                           loads=[fa.Load("api", rate_per_s=0.0)])
    assert assumptions(arch) == []
    assert [c.name for c in conditions(arch, fa.static(arch))] == ["failing components"]


def test_static_text_and_document_say_it_too():
    arch = slow()
    result = fa.static(arch)
    text = [str(b) for b in static_text(arch, result)]
    assert "stands, but misses 1 condition; the objective of 1 s and all service times are assumed." in text[0]
    assert any(line.startswith("  MISSED  response p95: ") and "<= 1 s (assumed)" in line for line in text)
    document = static_document(arch, result)
    assert document["verdict"]["meets_all_conditions"] is False
    assert document["verdict"]["assumed"] == ["the objective of 1 s", "all service times"]
    assert document["boundary_conditions"]["conditions"][0]["assumed"] is True


def test_comprehensive_and_score_say_it_too():
    found = examine(slow())
    lines = [str(b) for b in explanation(found)]
    assert "(assumed: no objective is stated)" in lines[1]
    assert any("response p95 is" in line and "at most 1 s is assumed to be wanted" in line for line in lines)
    assert any("(assumed: no objective is stated)" in str(line) for line in score_text(found.score, "slow"))


def test_what_does_not_stand_is_not_praised_by_its_score():
    o = overview(slow(calls=20_000.0))
    assert o.collapse is not None
    assert o.grade == "bad"
    assert headline(o).startswith("Does not stand")
    assert o.to_dict()["verdict"]["meets_all_conditions"] is False


@needs_data
@pytest.mark.parametrize("parts", COMPOSE, ids=lambda p: p[0])
def test_compose_files_of_others(parts):
    o = overview(fa.read(data_path(*parts)), rounds=0)
    consistent(o)
    assert o.to_dict()["verdict"]["assumed"] == ["the objective of 1 s", "all service times"]
    if o.served < 0.5:
        assert o.grade == "bad"
    assert verdict(o)
