from __future__ import annotations

import json
import sys

import pytest

import fea_arch as fa
from fea_arch.cli import _run

pytest.importorskip("psutil", reason="psutil is not installed")
pytest.importorskip("mcp", reason="mcp is not installed")
MARKER = "zq7-marker-secret-zq7"
SERVER = """
import json, os, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    result = {}
    if m["method"] == "initialize":
        result = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {},
                  "serverInfo": {"name": "toy", "version": "1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
"""


@pytest.fixture
def config(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    path = tmp_path / "mcp.json"
    good = {"command": sys.executable, "args": ["-u", str(script)], "env": {"TOKEN": MARKER}}
    path.write_text(json.dumps({"mcpServers": {"toy": good, "gone": {"command": "no-such-server-here"}}}))
    return path


def test_measure_writes_an_architecture_with_provenance(config, tmp_path, capsys):
    out, samples = tmp_path / "arch.yaml", tmp_path / "samples.json"
    assert _run(["measure", str(config), "-o", str(out), "--samples", "3", "--measurements", str(samples)]) == 0
    text = capsys.readouterr()
    assert "MCP Servers: 1/2 running" in text.out
    assert "not on the PATH" in text.out
    arch = fa.read(out)
    assert arch["toy"].provenance["service_time_s"].kind == "measured"
    assert arch["toy"].provenance["service_time_s"].samples == 3
    assert arch["toy"].memory_bytes > 1e6
    assert not arch["gone"].available
    everything = text.out + text.err + out.read_text() + samples.read_text()
    assert MARKER not in everything


def test_measure_as_json_and_failures(config, tmp_path, capsys):
    assert _run(["measure", str(config), "--json", "--samples", "1", "--only", "toy"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [m["component"] for m in document["measurements"]] == ["toy"]
    assert _run(["measure", str(config), "--only", "gone"]) == 3
    assert _run(["measure", str(config), "--only", "nobody"]) == 2
    empty = fa.write(fa.Architecture(name="e", components=[fa.Component("a")]), tmp_path / "e.yaml")
    assert _run(["measure", str(empty)]) == 2
    assert "nothing that can be probed" in capsys.readouterr().err


def test_watch_keeps_history_and_log(config, tmp_path, capsys, monkeypatch):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    monkeypatch.chdir(tmp_path)
    arguments = ["watch", str(config), "--interval", "0.2", "--duration", "0.5", "--no-score", "--port", "0"]
    assert _run([*arguments, "--json"]) == 1  # one of two servers is missing: level 1
    captured = capsys.readouterr()
    rounds = [json.loads(line) for line in captured.out.splitlines()]
    assert rounds
    assert rounds[0]["health"]["level"] == 1
    assert "metrics at http://127.0.0.1:" in captured.err
    assert _run(arguments) == 1
    log = (tmp_path / "logs" / "fea-watch.log").read_text()
    assert "started again after" in log
    assert MARKER not in log + captured.out


@pytest.mark.skipif(not hasattr(fa, "score"), reason="the score is not part of this installation")
def test_watch_scores_what_it_measures():
    from fea_arch.cli.watch import assess

    scored = assess(fa.Architecture(
        name="s", components=[fa.Component("a", service_time_s=0.01)], loads=[fa.Load("a", rate_per_s=95.0)],
        objective=fa.Objective(latency_s=1.0),
    ))  # fmt: skip
    assert scored.cracks == ("a",)
    assert 0 <= scored.score <= 100


ROUTER = {
    "eventBus": {"type": "kafka", "brokers": ["127.0.0.1:1"], "topics": {"testing": "test-events"}},
    "mcpServers": {},
    "cliTools": {"good-tool": {"command": [sys.executable]}, "lost-tool": {"command": "no-such-tool-here"}},
    "routes": [{"eventType": "test-run", "handlers": ["toy", "good-tool"], "priority": "high"}],
}


def test_check_live_prints_the_health_lines_level_and_steps(config, tmp_path, capsys):
    assert _run(["check", str(config), "--live", "--no-score"]) == 1
    text = capsys.readouterr()
    lines = text.out.splitlines()
    assert "MCP Servers: 1/2 running" in lines
    assert "CLI Tools: 0/0 available" in lines
    assert "Incident level: 1" in lines
    assert "  because 1 of 2 MCP servers run, 2 are required" in lines
    assert any(line.startswith("  gone: ") and "not on the PATH" in line for line in lines)
    assert any(line.startswith("  1. Find out why these MCP servers do not answer: gone") for line in lines)
    assert MARKER not in text.out + text.err
    # what counts as enough can be set
    assert _run(["check", str(config), "--live", "--no-score", "--required-mcp", "1"]) == 0
    assert "Incident level: 0 (none)" in capsys.readouterr().out
    assert _run(["check", str(config), "--live", "--no-score", "--required-share", "0.5"]) == 0
    # a part that is taken away is neither probed nor required
    assert _run(["check", str(config), "--live", "--no-score", "--without", "gone"]) == 0
    assert "MCP Servers: 1/1 running" in capsys.readouterr().out


def test_check_without_live_starts_nothing(config, tmp_path, capsys):
    note = tmp_path / "started"
    program = f"open({str(note)!r}, 'w').close()"
    config.write_text(json.dumps({"mcpServers": {"toy": {"command": sys.executable, "args": ["-c", program]}}}))
    assert _run(["check", str(config)]) == 0
    assert not note.exists()
    assert _run(["check", str(config), "--live", "--no-score"]) == 1
    assert note.exists()


def test_check_live_levels(config, tmp_path, capsys):
    router = tmp_path / "router.json"
    servers = json.loads(config.read_text())["mcpServers"]
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
    router.write_text(json.dumps(ROUTER | {"mcpServers": {"toy": servers["toy"]}}))
    limits = ["--no-score", "--timeout", "1", "--start-timeout", "15"]
    assert _run(["check", str(router), "--live", "--json", *limits]) == 1  # the bus is down
    document = json.loads(capsys.readouterr().out)
    state = document["health"]
    assert (state["mcp_running"], state["mcp_total"], state["cli_available"], state["cli_total"]) == (1, 1, 1, 2)
    assert state["level"] == 2
    assert "event bus 'event-bus' is down" in state["reasons"]
    assert {m["component"]: m["ok"] for m in document["measurements"]} == {
        "toy": True, "good-tool": True, "lost-tool": False, "event-bus": False,
    }  # fmt: skip
    assert MARKER not in json.dumps(document)
    router.write_text(json.dumps(ROUTER | {"cliTools": {}, "mcpServers": {"toy": servers["gone"]}}))
    assert _run(["check", str(router), "--live", *limits]) == 1
    assert "Incident level: 3" in capsys.readouterr().out


def test_check_live_scores_what_it_measured(config, monkeypatch, capsys):
    from types import SimpleNamespace

    from fea_arch.errors import UnstableLoadError

    seen = []

    def score(arch):
        seen.append(arch["toy"].provenance["service_time_s"].kind)
        return SimpleNamespace(value=49.0)

    monkeypatch.setattr(fa, "score", score, raising=False)
    assert _run(["check", str(config), "--live"]) == 1
    text = capsys.readouterr().out
    assert seen == ["measured"]
    assert "Incident level: 2" in text
    assert "because the architecture score 49.0 is below 50" in text
    assert "Score: 49.0 of 100" in text

    def unstable(arch):
        raise UnstableLoadError("no equilibrium", limiting="toy", max_load_factor=0.5)

    monkeypatch.setattr(fa, "score", unstable, raising=False)
    assert _run(["check", str(config), "--live"]) == 1
    text = capsys.readouterr().out
    assert "Incident level: 1" in text
    assert "Score: none (" in text


def test_a_description_without_anything_to_probe(tmp_path, capsys):
    empty = fa.write(fa.Architecture(name="e", components=[fa.Component("a")]), tmp_path / "e.yaml")
    assert _run(["check", str(empty), "--live"]) == 2
    assert "nothing that can be probed" in capsys.readouterr().err
