"""``fea-arch nonlinear``: the document for ``jq``, the report file, exit codes, what it says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.analyses.contact import contact
from fea_arch.cli import BAD_INPUT, BELOW_THE_BAR, FINE, main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Run:
    """What one call printed and how it ended."""

    def __init__(self, *arguments):
        import click

        @click.command()
        def entry():
            main([str(a) for a in arguments])

        result = CliRunner().invoke(entry, [], catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


@pytest.fixture
def retry(tmp_path):
    """A file with one station whose caller retries three times: folds at 6.94/s, recovers below 2.5/s."""
    arch = fa.Architecture(
        name="retry",
        components=[
            fa.Component("web", law="delay", blocking=False, service_time_s=0.001),
            fa.Component("db", service_time_s=0.1, memory_bytes=1e8, memory_limit_bytes=2e8,
                         memory_per_request_bytes=1e6),
        ],
        dependencies=[fa.Dependency("web", "db", timeout_s=1.0, retries=3)],
        loads=[fa.Load("web", rate_per_s=4.0)],
    )  # fmt: skip
    return str(fa.write(arch, tmp_path / "retry.yaml"))


def test_json_is_one_document_with_every_section(retry):
    run = Run("nonlinear", retry, "--json")
    assert run.code == FINE
    document = json.loads(run.out)
    assert document["report_type"] == "nonlinear_analysis" and document["architecture"] == "retry"
    crack = document["fracture_analysis"]
    assert crack["collapse_factor"] == pytest.approx(6.94 / 4.0, rel=0.01)
    assert crack["initiation_points"][0]["component"] == "db"
    assert set(crack) >= {"initiation_points", "propagation_path", "ultimate_failure_modes", "toughness"}
    assert crack["toughness"] > 0
    books = crack["curve"]
    assert len(books["load_factor"]) == len(books["offered_per_s"]) == len(books["served_per_s"])
    plastic = document["plasticity"]
    assert plastic["failure_point"] == {"load_factor": crack["collapse_factor"], "component": "db"}
    assert plastic["elastic_limit_factor"] < crack["collapse_factor"] and plastic["ductility_index"] > 1
    model = document["constitutive_models"]["db"]
    assert model["law"] == "mmc" and model["stiffness_per_s"] == pytest.approx(10.0)
    assert model["strength_per_s"] == pytest.approx(10.0) and model["fracture_requests"] == pytest.approx(100.0)
    state = document["metastability"]
    assert state["vulnerable"] and state["recovery_load_per_s"] == pytest.approx(2.5)
    assert {r["what"] for r in state["remedies"]} >= {"retry budget", "more servers", "back-off"}
    table = {row["outage"]: row for row in document["contingency"]["table"]}
    assert set(table) == {"web", "db", "web->db"} and table["db"]["status"] == "failed"


def test_bundled_platform_answers_and_writes_its_report(tmp_path):
    run = Run("nonlinear", "--out")
    assert run.code == FINE, run.err
    files = list((tmp_path / "data" / "fea_results").glob("nonlinear_analysis_*.json"))
    assert len(files) == 1
    document = json.loads(files[0].read_text())
    crack = document["fracture_analysis"]
    assert f"collapses at {crack['collapse_factor']:.3g} times" in run.out
    assert crack["limiting_component"] in document["constitutive_models"]
    assert [e["load_factor"] for e in crack["propagation_path"]] == sorted(
        e["load_factor"] for e in crack["propagation_path"]
    )
    assert document["contingency"]["outages"] == len(document["contingency"]["table"])
    assert "runbook" in (tmp_path / "logs" / "fea-validation" / "fea-validation.log").read_text()


def test_vulnerable_range_and_remedies_are_said_in_words(retry):
    text = Run("nonlinear", retry).out
    assert "VULNERABLE at 4/s" in text and "What removes the failed state" in text and "retry budget" in text
    calm = Run("nonlinear", retry, "--scale", 0.3).out
    assert "not vulnerable" in calm


def test_bar_below_and_above(retry):
    assert Run("nonlinear", retry, "--fail-under", 1.5, "--order", 0).code == FINE
    run = Run("nonlinear", retry, "--fail-under", 2, "--order", 0)
    assert run.code == BELOW_THE_BAR and "below the bar of 2" in run.err
    assert "Outages" not in run.out


def test_stop_before_anything_breaks(retry):
    run = Run("nonlinear", retry, "--max-load-factor", 0.5, "--order", 0, "--json")
    document = json.loads(run.out)
    assert run.code == FINE and document["fracture_analysis"]["collapse_factor"] is None
    assert "raise max_load_factor" in document["findings"][0]
    assert "nothing gives way up to 0.5" in Run("nonlinear", retry, "--max-load-factor", 0.5, "--order", 0).out


def test_retries_without_a_timeout_are_named_and_the_rest_is_answered(tmp_path):
    arch = fa.Architecture(
        name="blind", components=[fa.Component("a"), fa.Component("b")],
        dependencies=[fa.Dependency("a", "b", retries=2)], loads=[fa.Load("a", rate_per_s=5.0)],
    )  # fmt: skip
    run = Run("nonlinear", fa.write(arch, tmp_path / "blind.yaml"), "--json")
    document = json.loads(run.out)
    assert run.code == FINE and document["metastability"]["status"] == "failed"
    assert "a->b" in document["metastability"]["reason"] and document["fracture_analysis"]["collapse_factor"] > 1


def test_no_load_is_one_clear_line(tmp_path):
    arch = fa.Architecture(name="idle", components=[fa.Component("a")], loads=[fa.Load("a", rate_per_s=0.0)])
    run = Run("nonlinear", fa.write(arch, tmp_path / "idle.yaml"))
    assert run.code == BAD_INPUT and "nothing can break" in run.err and "Traceback" not in run.err
    assert Run("nonlinear", "--load-factor", 0).code == BAD_INPUT


def test_constraints_that_act():
    arch = fa.Architecture(
        name="limits",
        components=[
            fa.Component("door", rate_limit_per_s=40.0, service_time_s=0.001),
            fa.Component("pool", servers=2, service_time_s=0.01),
            fa.Component("slow", service_time_s=0.02, queue_capacity=1),
        ],
        dependencies=[fa.Dependency("door", "pool"), fa.Dependency("pool", "slow", timeout_s=0.05)],
        loads=[fa.Load("door", rate_per_s=100.0)],
    )
    found = {(i.kind, i.place): i for i in contact(arch)}
    assert found["rate_limit", "door"].active and found["rate_limit", "door"].force == pytest.approx(0.6)
    assert found["queue", "slow"].active and 0 < found["queue", "slow"].force < 1
    assert found["timeout", "pool->slow"].value <= 0.05
    assert all(i.gap >= 0 and i.force >= 0 for i in found.values())
    calm = {(i.kind, i.place): i for i in contact(arch, 0.01)}
    assert not any(i.active for i in calm.values() if i.kind in ("rate_limit", "pool"))


def test_many_calls_are_left_out_and_it_says_so(tmp_path, monkeypatch, retry):
    monkeypatch.setattr("fea_arch.cli.nonlinear.MANY_CASES", 2)
    document = json.loads(Run("nonlinear", retry, "--json").out)
    assert [row["outage"] for row in document["contingency"]["table"]] == ["web", "db"]
    assert "only components are taken out" in document["findings"][-1]
    assert "Note: 3 components and calls are many" in Run("nonlinear", retry).out


@needs_data
def test_social_network_traces():
    """Twenty traces of the DeathStarBench social network: the write path is required, so each outage fails all."""
    traces = data_path("deathstarbench", "social-network-jaeger-traces.json.gz")
    document = json.loads(Run("nonlinear", traces, "--json").out)
    crack = document["fracture_analysis"]
    assert crack["limiting_component"] == "user-mention-service" and crack["failure"] == "ductile"
    assert 100.0 < crack["collapse_factor"] < 140.0
    assert document["contingency"]["outages"] == document["contingency"]["not_ok"] == 23
    assert not document["metastability"]["vulnerable"]
