"""The comprehensive report: its document, its schema, its figures and its words."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.cli import program
from fea_arch.report.blocks import Table
from fea_arch.report.comprehensive import comprehensive_document, comprehensive_schema, examine, input_hash
from fea_arch.report.explanation import explanation


@pytest.fixture(scope="module")
def found():
    return examine(fa.load_sample("runbook"), source="runbook (bundled)")


@pytest.fixture(scope="module")
def document(found):
    return json.loads(json.dumps(comprehensive_document(found), allow_nan=False))


def one(rate: float, **changes) -> fa.Architecture:
    part = fa.Component("api", service_time_s=0.01, **changes)
    return fa.Architecture(name="one", components=[part], loads=[fa.Load("api", rate_per_s=rate)])


def words(found) -> str:
    return "\n".join(b for b in explanation(found) if isinstance(b, str))


def test_the_document_follows_its_schema(document):
    jsonschema.Draft202012Validator.check_schema(comprehensive_schema())
    jsonschema.validate(document, comprehensive_schema())
    for name in ("report_type", "timestamp", "system_overview", "analysis_results", "system_health", "recommendations",
                 "fea_methodology", "validation_metadata"):  # fmt: skip
        assert name in document
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({k: v for k, v in document.items() if k != "system_health"}, comprehensive_schema())
    broken = document | {"system_health": document["system_health"] | {"reliability_index": 1.5}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, comprehensive_schema())


def test_every_figure_of_the_health_is_the_one_that_is_defined(found, document):
    health, score = document["system_health"], found.score
    rows = [r for r in document["analysis_results"]["situations"] if r["situation"].startswith("single failures")]
    weight = sum(r["weight"] for r in rows)
    assert health["reliability_index"] == pytest.approx(sum(r["weight"] * r["share"] for r in rows) / weight)
    design = next(r for r in document["analysis_results"]["situations"] if r["situation"] == "design load")
    assert health["performance_rating"] == fa.results.score.label_of(100 * design["share"])
    assert health["scalability_potential"] == pytest.approx(fa.static(found.arch).max_load_factor, rel=1e-6)
    assert health["status"] == score.label and health["incident_level"] == 0
    assert set(health["definitions"]) == {
        "status", "reliability_index", "performance_rating", "scalability_potential"}  # fmt: skip
    assert document["analysis_results"]["overall_score"] == pytest.approx(score.value)


def test_recommendations_are_ranked_and_hold_when_carried_out(found, document):
    gains = [r["gain"] for r in document["recommendations"]]
    assert gains == sorted(gains, reverse=True) and gains[0] > 0
    assert [r["rank"] for r in document["recommendations"]] == list(range(1, len(gains) + 1))
    row = next(r for r in document["recommendations"] if r["field"] == "servers")
    changed = found.arch.replaced(row["component"], servers=row["after"])
    assert fa.score(changed, samples=0).value == pytest.approx(row["score"], abs=1e-6)


def test_the_same_input_has_the_same_hash_and_another_another():
    arch = fa.load_sample("runbook")
    assert input_hash(arch) == input_hash(fa.load_sample("runbook"))
    assert input_hash(arch) != input_hash(arch.scaled(1.001))


def test_a_system_that_does_not_stand_is_reported_and_not_raised():
    found = examine(one(150.0))
    document = comprehensive_document(found)
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), comprehensive_schema())
    assert found.static is None and found.largest == pytest.approx(100 / 150, rel=1e-3)
    assert document["system_health"]["status"] == "incident level 2"
    due = document["validation_metadata"]["next_validation_due"]
    assert due[:10] == time.strftime("%Y-%m-%d", time.gmtime(time.mktime(time.gmtime()) - time.timezone + 86400))
    text = words(found)
    assert "no steady state" in text and "0.667 times the design load" in text


def test_nothing_limits_what_only_delays():
    document = comprehensive_document(examine(one(5.0, law="delay", blocking=False)))
    assert document["system_health"]["scalability_potential"] is None
    assert document["system_health"]["performance_rating"] == "excellent"


def test_closed_loads_are_reported():
    arch = fa.Architecture(
        name="closed", components=[fa.Component("web", service_time_s=0.01, servers=2)],
        loads=[fa.Load("web", users=5, think_time_s=1.0)],
    )  # fmt: skip
    found = examine(arch)
    jsonschema.validate(json.loads(json.dumps(comprehensive_document(found), allow_nan=False)), comprehensive_schema())
    assert found.score.value > 50


def test_the_words_say_what_an_operator_asks(found):
    text = words(found)
    for heading in ("Now", "What limits it", "What breaks it", "Will it recover?", "What to do, by what it gains"):
        assert heading in text.splitlines()
    assert f"{found.score.value:.1f} of 100" in text
    assert "16 of 17 MCP servers run, 19 of 20 command line tools are available." in text
    assert found.limited_by in text
    assert "A limit is not kept: memory is 2.54 GB, at most 2 GB is wanted." in text
    for finite_element_word in ("stiffness", "node", "element", "residual", "eigen"):
        assert finite_element_word not in text.lower()
    assert any(isinstance(b, Table) for b in explanation(found))


def test_without_arguments_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(program, ["comprehensive", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    schema = json.loads(CliRunner().invoke(program, ["schema", "comprehensive"]).stdout)
    jsonschema.validate(document, schema)
    assert list(tmp_path.iterdir()) == []
    begin = time.process_time()
    result = CliRunner().invoke(program, ["comprehensive", "--out", "reports"])
    assert time.process_time() - begin < 5.0  # warm; processor time, as the machine may be busy
    assert result.exit_code == 0 and "What to do" in result.stdout
    (report,) = Path("reports").glob("comprehensive_fea_report_*.json")
    jsonschema.validate(json.loads(report.read_text(encoding="utf-8")), schema)


def test_below_the_bar_and_own_catalogues(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = {"name": "design", "group": "static", "kind": "load", "weight": 1.0, "factor": 1.0}
    Path("own.json").write_text(json.dumps({"version": "1", "situations": [line]}))
    Path("arch.json").write_text("{}")
    fa.write(one(10.0), "arch.yaml")
    result = CliRunner().invoke(program, ["comprehensive", "arch.yaml", "--catalogue", "own.json", "--json"])
    document = json.loads(result.stdout)
    jsonschema.validate(document, comprehensive_schema())
    assert document["system_health"]["reliability_index"] is None
    assert document["analysis_results"]["dynamic_score"] is None


@needs_data
def test_traces_of_a_social_network_give_a_sensible_answer(tmp_path):
    found = examine(fa.read(data_path("deathstarbench", "social-network-jaeger-traces.json.gz")))
    assert found.score.value > 75 and found.largest > 1
    assert "fallback" in words(found)
