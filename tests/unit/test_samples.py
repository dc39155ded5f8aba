"""Bundled architectures: known answers, round trips, and the facts of the runbook platform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.architecture.health import health
from fea_arch.samples import SAMPLES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "runbook_sample.md"


def rates(arch: fa.Architecture) -> dict[str, float]:
    """Solve the traffic equations densely, without the library."""
    g = arch.graph
    calls = np.zeros((g.n, g.n))
    np.add.at(calls, (g.source, g.target), g.calls)
    return dict(zip(arch.names, np.linalg.solve(np.eye(g.n) - calls.T, g.rate_per_s).tolist()))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_samples_round_trip(name: str, ending: str, tmp_path: Path) -> None:
    arch = fa.load_sample(name)
    again = fa.read(fa.write(arch, tmp_path / f"a{ending}"))
    assert again == arch
    assert again.notes == arch.notes
    changed = arch.replaced(arch.names[0], servers=7)
    assert fa.read(fa.write(changed, tmp_path / f"b{ending}")) == changed != arch


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_no_errors(name: str) -> None:
    assert not [f for f in fa.load_sample(name).check() if f.level == "error"]


def test_unknown_samples_and_options_are_refused() -> None:
    with pytest.raises(fa.ModelError, match="Did you mean 'runbook'"):
        fa.load_sample("runbok")
    with pytest.raises(fa.ModelError, match="Did you mean 'rate_per_s'"):
        fa.load_sample("chain", rate_pers=3)
    with pytest.raises(fa.ModelError, match="no options"):
        fa.load_sample("runbook", n=3)
    with pytest.raises(fa.ModelError, match="never ends"):
        fa.load_sample("ring", calls=1.0)


def test_small_models_carry_the_rates_they_state() -> None:
    assert set(rates(fa.load_sample("chain", n=6)).values()) == {50.0}
    star = rates(fa.load_sample("star", n=4))
    assert star["hub"] == 50.0 and star["leaf3"] == pytest.approx(12.5)
    ring = rates(fa.load_sample("ring", n=4, calls=0.5, rate_per_s=20.0))
    assert [ring[f"s{k + 1}"] for k in range(4)] == pytest.approx([20 * 0.5**k / (1 - 0.5**4) for k in range(4)])
    pair = rates(fa.load_sample("balanced_pair"))
    assert pair["left"] == pair["right"] == pytest.approx(50.0)
    assert rates(fa.load_sample("shop")) == pytest.approx(
        {"gateway": 100.0, "catalogue": 80.0, "orders": 20.0, "cache": 80.0, "database": 60.0}
    )


# ---- the runbook platform


@pytest.fixture(scope="module")
def runbook() -> fa.Architecture:
    return fa.load_sample("runbook")


def test_runbook_parts(runbook: fa.Architecture) -> None:
    state = health(runbook)
    assert (state.mcp_running, state.mcp_total, state.cli_available, state.cli_total) == (16, 17, 19, 20)
    assert state.lines()[:2] == ["MCP Servers: 16/17 running", "CLI Tools: 19/20 available"]
    kinds = [c.kind for c in runbook.components]
    assert kinds.count("bus") == 1 and kinds.count("queue") == 5
    assert {"cipher", "gibson", "brv", "event-bus"} <= set(runbook.names)
    assert {w.name for w in runbook.workflows} >= {
        "code generation",
        "infrastructure deployment",
        "knowledge management",
        "data processing",
        "backup",
        "testing",
        "monitoring",
    }
    assert all(step in runbook for w in runbook.workflows for step in w.path)


def test_runbook_loads(runbook: fa.Architecture) -> None:
    assert sum(load.rate_per_s or 0.0 for load in runbook.loads) == 100.0
    cases = {c.name: (c.factor, c.peak_factor, c.peak_s) for c in runbook.load_cases}
    assert cases == {"normal": (1.0, 5.0, 300.0), "high": (10.0, 20.0, 600.0)}
    assert (runbook.objective.latency_s, runbook.objective.memory_bytes) == (0.1, 2e9)
    seen = rates(runbook)
    own = {d.target: d.calls * seen["cipher"] for d in runbook.dependencies if d.source == "cipher"}
    groups = {"bus": 0.0, "cipher": 0.0, "gibson": 0.0, "mcp": 0.0, "cli": 0.0}
    for c in runbook.components:
        group = c.name if c.name in groups else c.kind
        if group in ("memory", "bus"):
            group = "cipher" if group == "memory" else "bus"
        if group in groups:
            groups[group] += seen[c.name] - own.get(c.name, 0.0)
    total = sum(groups.values())
    shares = {k: v / total for k, v in groups.items()}
    assert shares == pytest.approx({"bus": 0.40, "cipher": 0.25, "gibson": 0.15, "mcp": 0.15, "cli": 0.05}, abs=0.005)


def test_runbook_is_stable_at_its_design_load_and_not_at_ten_times(runbook: fa.Architecture) -> None:
    seen = rates(runbook)
    up = [c for c in runbook.components if c.available]
    own = {c.name: seen[c.name] * c.service_time_s / (c.servers * c.replicas) for c in up if c.law != "delay"}
    assert max(own.values()) < 0.7
    cores = sum(seen[c.name] * (c.cpu_s or 0.0) for c in up)
    (host,) = runbook.hosts
    assert cores / host.cpus < 0.7
    assert 10 * cores / host.cpus > 1.0


def test_runbook_tells_where_its_numbers_come_from(runbook: fa.Architecture) -> None:
    kinds = {"assumed", "declared", "measured"}
    for c in runbook.components:
        for field in ("service_time_s", "cpu_s"):
            assert c.provenance[field].kind in kinds, (c.name, field)
        for field, origin in c.provenance.items():
            assert origin.source, (c.name, field)
            if origin.kind == "measured":
                assert origin.samples >= 1
                assert origin.source == "MCP server measurements, 2-core machine"
    assert 0.0 < runbook.measured_share() < 0.5
    memory = sum(c.memory_bytes or 0.0 for c in runbook.components if c.available)
    assert memory > 2e9  # the budget of the tools is not met, and the check says so
    assert any(f.field == "memory_bytes" and "above the budget" in f.message for f in runbook.check())


@needs_data
def test_runbook_quotes_the_measurements(runbook: fa.Architecture) -> None:
    import csv

    with data_path("mcp-servers-measured", "servers.csv").open(newline="") as file:
        rows = {r["server"]: r for r in csv.DictReader(file)}
    for name in ("filesystem", "memory", "sequential-thinking", "everything"):
        c = runbook[name]
        assert c.provenance["service_time_s"].kind == "measured"
        assert c.service_time_s == pytest.approx(float(rows[name]["call_ms"]) * 1e-3, rel=1e-12)
    for name in ("filesystem", "memory", "sequential-thinking", "everything", "playwright", "gibson", "cipher"):
        c = runbook[name]
        assert c.memory_bytes == pytest.approx(float(rows[name]["rss_mib"]) * 2**20, rel=1e-12)
        assert c.cold_start_s == pytest.approx(float(rows[name]["initialize_ms"]) * 1e-3, rel=1e-12)


def test_the_documented_table_is_the_sample(runbook: fa.Architecture) -> None:
    rows = [
        line.strip("|").split("|") for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    assert {r[0].strip().strip("`") for r in rows} == set(runbook.names)
    for row in rows:
        c = runbook[row[0].strip().strip("`")]
        stated, origin = row[2].split(), row[3].strip()
        assert float(stated[0]) == pytest.approx(1e3 * c.service_time_s, rel=1e-3)
        assert origin == c.provenance["service_time_s"].kind


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_go_to_other_processes_and_can_be_copied(name):
    import copy
    import pickle

    arch = fa.load_sample(name)
    for part in (*arch.components, *arch.dependencies, *arch.hosts):
        there = pickle.loads(pickle.dumps(part))
        assert there == part and dict(there.provenance) == dict(part.provenance)
        with pytest.raises(TypeError):
            part.provenance["name"] = None
    assert pickle.loads(pickle.dumps(arch)) == copy.deepcopy(arch) == arch
