"""``fea-arch score`` and ``fea-arch simulate``: answers, JSON, exit codes, bad input."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import fea_arch as fa
from fea_arch.cli import BAD_INPUT, BELOW_THE_BAR, FINE, main


@pytest.fixture(autouse=True)
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arch = fa.Architecture(
        name="pair",
        components=[fa.Component("web", service_time_s=0.002, servers=4), fa.Component("db", service_time_s=0.01)],
        dependencies=[fa.Dependency("web", "db")],
        loads=[fa.Load("web", rate_per_s=40.0)],
        objective=fa.Objective(latency_s=0.2),
    )
    fa.write(arch, "pair.yaml")


def run(*arguments):
    import click

    @click.command()
    def entry():
        main([str(a) for a in arguments])

    return CliRunner().invoke(entry, [])


def test_score_in_words_and_as_json():
    result = run("score", "pair.yaml")
    assert result.exit_code == FINE and "of 100" in result.stdout
    document = json.loads(run("score", "pair.yaml", "--json").stdout)
    assert document["value"] == pytest.approx(fa.score(fa.read("pair.yaml")).value)
    assert sum(r["lost_points"] for r in document["situations"]) == pytest.approx(100 - document["value"], abs=1e-6)


def test_score_beside_the_simulation():
    result = run("score", "pair.yaml", "--check", "simulate", "--json")
    document = json.loads(result.stdout)
    assert abs(document["value"] - document["simulated_value"]) < 8
    assert all("simulated_share" in row for row in document["situations"])


def test_score_below_the_bar():
    assert run("score", "pair.yaml", "--fail-under", "99.9").exit_code == BELOW_THE_BAR
    assert run("score", "pair.yaml", "--fail-under", "1").exit_code == FINE


@pytest.mark.parametrize(("text", "word"), [
    ("{", "no JSON"),
    ('{"version": "1", "situations": []}', "empty"),
    ('{"version": "1", "situations": [{"name": "a", "group": "static", "kind": "load", "weight": 0.5}]}', "sum"),
    ('{"version": "1", "situations": [{"name": "a", "group": "nonlinear", "kind": "failure", "weight": 1,'
     ' "components": ["dbb"]}]}', "db"),
])  # fmt: skip
def test_a_bad_catalogue_is_bad_input(tmp_path, text, word):
    (tmp_path / "own.json").write_text(text)
    result = run("score", "pair.yaml", "--catalogue", "own.json")
    assert result.exit_code == BAD_INPUT
    assert word in result.stderr and "Traceback" not in result.stderr


def test_simulate_in_words_and_as_json():
    result = run("simulate", "pair.yaml", "--duration", "20", "--replications", "2")
    assert result.exit_code == FINE and "within the objective" in result.stdout
    document = json.loads(run("simulate", "pair.yaml", "--duration", "20", "--replications", "2", "--json").stdout)
    assert document["report_type"] == "simulation" and 0.5 < document["served_within_objective"] <= 1
    again = json.loads(run("simulate", "pair.yaml", "--duration", "20", "--replications", "2", "--json").stdout)
    assert again["components"] == document["components"]


def test_simulate_a_burst_and_an_outage():
    calm = json.loads(run("simulate", "pair.yaml", "--duration", "60", "--json").stdout)
    for option, value in (("--burst", "5@10+20"), ("--outage", "db@10+20")):
        hit = json.loads(run("simulate", "pair.yaml", "--duration", "60", option, value, "--json").stdout)
        assert hit["served_within_objective"] < calm["served_within_objective"] - 0.1


@pytest.mark.parametrize(("arguments", "word"), [
    (("--outage", "dbb@1+2"), "db"),
    (("--outage", "db"), "WHAT@START+LENGTH"),
    (("--burst", "x@1+2"), "not a number"),
    (("--duration", "1e12"), "h on one core"),
    (("--duration", "nan"), "finite"),
])  # fmt: skip
def test_bad_events_and_runs_of_hours_are_bad_input(arguments, word):
    result = run("simulate", "pair.yaml", *arguments)
    assert result.exit_code == BAD_INPUT
    assert word in result.stderr and "Traceback" not in result.stderr
