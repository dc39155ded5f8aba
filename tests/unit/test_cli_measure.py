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
