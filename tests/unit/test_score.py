"""The score: catalogue, losses, errors, labels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.results.score import label_of
from fea_arch.scoring import Situation, default_catalogue
from fea_arch.scoring.situations import cases


def shop(rate: float = 100.0) -> fa.Architecture:
    return fa.load_sample("shop", rate_per_s=rate)


def one_line(**changes):
    line = {"name": "a", "group": "static", "kind": "load", "weight": 1.0, "factor": 1.0}
    return {"version": "1", "situations": [line | changes]}


def test_the_default_catalogue_covers_every_group_and_sums_to_one():
    book = default_catalogue()
    assert {s.group for s in book.situations} == {"static", "dynamic", "modal", "nonlinear"}
    assert math.fsum(s.weight for s in book.situations) == pytest.approx(1.0, abs=1e-12)
    assert math.fsum(c.weight for c in cases(shop(), book)) == pytest.approx(1.0, abs=1e-12)


def test_losses_sum_and_name_components():
    score = fa.score(shop(350.0))
    assert 0 < score.value < 100
    assert score.losses.sum() == pytest.approx(100 - score.value, abs=1e-9)
    assert (score.losses >= 0).all()
    assert math.fsum(score.by_component().values()) == pytest.approx(100 - score.value, abs=1e-9)
    assert score.shares @ score.weights == pytest.approx(score.value / 100, abs=1e-9)
    assert score.value == pytest.approx(
        sum(getattr(score, g) * score.weights[[k for k, h in enumerate(score.groups) if h == g]].sum()
            for g in ("static", "dynamic", "modal", "nonlinear")))


def test_a_light_single_station_answers_as_its_exponential_distribution():
    arch = fa.Architecture(
        name="one", components=[fa.Component("api", service_time_s=0.1)], loads=[fa.Load("api", rate_per_s=5.0)],
        objective=fa.Objective(latency_s=0.5),
    )
    book = fa.Catalogue.from_dict(one_line(window_s=3600.0))
    # M/M/1: P(T <= t) = 1 - exp(-(mu - lambda) t)
    assert fa.score(arch, book).value == pytest.approx(100 * (1 - math.exp(-(10 - 5) * 0.5)), abs=1.0)


def test_overload_loses_everything_but_the_first_requests():
    arch = fa.Architecture(
        name="one", components=[fa.Component("api", service_time_s=0.1)], loads=[fa.Load("api", rate_per_s=20.0)],
        objective=fa.Objective(latency_s=1.0),
    )
    book = fa.Catalogue.from_dict(one_line(window_s=100.0))
    # the wait passes 1 s when 10 wait, after about 10 / (20 - 10) s of 100
    assert 0.5 < fa.score(arch, book).value < 2.5


def test_a_part_that_is_down_costs_its_share_of_the_requests():
    arch = shop().replaced("orders", available=False)
    book = fa.Catalogue.from_dict(one_line())
    score = fa.score(arch, book)
    assert score.value == pytest.approx(80.0, abs=1.0)  # orders serves a fifth
    assert score.by_component()["orders"] == pytest.approx(20.0, abs=1.0)


def test_an_unstated_objective_is_one_second_and_said():
    arch = fa.Architecture(name="a", components=[fa.Component("a")], loads=[fa.Load("a", rate_per_s=1.0)])
    score = fa.score(arch)
    assert score.objective_s == 1.0 and not score.objective_stated
    assert any("no latency objective" in f for f in score.findings)


def test_simulated_shares_stand_beside():
    score = fa.score(shop(), check="simulate", replications=2)
    assert score.simulated is not None and score.simulated.shape == score.shares.shape
    assert abs(score.value - score.simulated_value) < 3.0
    assert "simulated_share" in score.to_dict()["situations"][0]


def test_closed_loads_are_scored():
    arch = fa.Architecture(
        name="closed", components=[fa.Component("web", service_time_s=0.01, servers=2)],
        loads=[fa.Load("web", users=5, think_time_s=1.0)],
    )
    assert 50 < fa.score(arch).value <= 100


@pytest.mark.parametrize(("changes", "word"), [
    ({"weight": 0.9}, "weights"),
    ({"weight": math.nan}, "weight"),
    ({"kind": "brust"}, "burst"),
    ({"group": "stat"}, "static"),
    ({"wieght": 1.0}, "weight"),
    ({"kind": "burst"}, "duration_s"),
    ({"window_s": -1}, "window_s"),
    ({"kind": "failure", "components": []}, "components"),
])  # fmt: skip
def test_a_bad_catalogue_names_what_is_wrong(changes, word):
    with pytest.raises(fa.ModelError, match=word):
        fa.Catalogue.from_dict(one_line(**changes))


def test_empty_doubled_and_unknown(tmp_path):
    with pytest.raises(fa.ModelError, match="empty"):
        fa.Catalogue.from_dict({"version": "1", "situations": []})
    line = Situation("a", "static", "load", 0.5)
    with pytest.raises(fa.ModelError, match="twice"):
        fa.Catalogue("1", (line, line))
    book = fa.Catalogue.from_dict(one_line(kind="failure", components=["ordres"]))
    with pytest.raises(fa.ModelError, match="orders"):
        fa.score(shop(), book)
    path = tmp_path / "own.json"
    path.write_text("{")
    with pytest.raises(fa.ModelError, match="no JSON"):
        fa.score(shop(), path)
    path.write_text(json.dumps(one_line()))
    assert fa.score(shop(), path).situations == ("a",)
    with pytest.raises(fa.ModelError, match="check"):
        fa.score(shop(), check="simulation")
    with pytest.raises(fa.ModelError, match="nothing loads"):
        fa.score(fa.Architecture(name="idle", components=[fa.Component("a")]))


def test_labels():
    assert [label_of(v) for v in (100, 90, 89.9, 75, 50, 49, 0)] == [
        "excellent", "excellent", "good", "good", "degraded", "critical", "critical"]  # fmt: skip


def test_interval_holds_the_value_and_shrinks_with_measurement():
    rough = fa.score(shop(300.0))
    fine = shop(300.0)
    for c in fine.components:
        fine = fine.replaced(c.name, provenance={"service_time_s": fa.Provenance("measured", samples=10_000)})
    sharp = fa.score(fine)
    assert rough.interval[0] <= rough.value <= rough.interval[1]
    assert np.diff(sharp.interval)[0] < np.diff(rough.interval)[0]


def test_a_check_that_would_take_hours_is_refused_before_it_begins():
    book = fa.Catalogue.from_dict(one_line(window_s=1e6))
    with pytest.raises(fa.ModelError, match=r"events are expected.*h on one core"):
        fa.score(shop(5000.0), book, check="simulate")


def test_an_interrupted_check_keeps_what_was_simulated(monkeypatch):
    import fea_arch.simulation

    real, calls = fea_arch.simulation.simulate, []

    def interrupted_third(*args, **kwargs):
        from dataclasses import replace

        calls.append(1)
        found = real(*args, **kwargs)
        return replace(found, interrupted=True) if len(calls) == 3 else found

    monkeypatch.setattr(fea_arch.simulation, "simulate", interrupted_third)
    score = fa.score(shop(), check="simulate", replications=2)
    assert len(calls) == 3
    assert np.isfinite(score.simulated).sum() == 3
    assert 0 < score.simulated_value <= 100
    assert any("interrupted" in f for f in score.findings)
    assert score.to_dict()["situations"]


def test_an_own_catalogue_replaces_weights_and_situations():
    book = fa.Catalogue.from_dict({
        "version": "mine", "title": "Night shift",
        "situations": [
            {"name": "design", "group": "static", "kind": "load", "weight": 0.75, "factor": 1.0},
            {"name": "no orders", "group": "nonlinear", "kind": "failure", "weight": 0.25, "components": ["orders"]},
        ],
    })  # fmt: skip
    score = fa.score(shop(), book)
    assert score.catalogue == "Night shift mine"
    assert score.weights.tolist() == [0.75, 0.25]
    assert score.value == pytest.approx(100 * (0.75 * score.shares[0] + 0.25 * score.shares[1]), abs=1e-9)
    assert math.isnan(score.dynamic) and math.isnan(score.modal)
