from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from scipy.stats import spearmanr
from servers import free_port, program
from shared_data import DATA, data_path, needs_data

from fea_arch.probes import probe_mcp
from fea_arch.probes.lifecycle import _group

pytestmark = pytest.mark.live
pytest.importorskip("mcp", reason="mcp is not installed")
pytest.importorskip("psutil", reason="psutil is not installed")

SERVERS = {
    "everything": (["mcp-server-everything"], {}, 13),
    "filesystem": (["mcp-server-filesystem", "{folder}"], {"list_directory": {"path": "{folder}"}}, 10),
    "memory": (["mcp-server-memory"], {"read_graph": {}}, 9),
    "time": (["mcp-server-time"], {"get_current_time": {"timezone": "UTC"}}, 2),
    "sequential-thinking": (["mcp-server-sequential-thinking"], {}, 1),
    "git": (["mcp-server-git"], {}, 5),
    "fetch": (["mcp-server-fetch"], {}, 1),
    "gibson": (["gibson", "mcp", "run"], {}, 5),
    "cipher": (["cipher", "--mode", "mcp"], {}, 1),
}
#: Cipher starts without a key of its own if it is told of a local model; nothing need listen there.
ENV = {"cipher": {"OLLAMA_BASE_URL": "http://127.0.0.1:11434/v1"}}


@pytest.mark.parametrize("name", SERVERS)
def test_real_server(name, tmp_path):
    (first, *rest), calls, tools = SERVERS[name]
    folder = str(tmp_path)
    command = [program(first), *(r.format(folder=folder) for r in rest)]
    calls = {t: {k: v.format(folder=folder) for k, v in a.items()} for t, a in calls.items()}
    env = {"HOME": folder, **ENV.get(name, {})}
    found = probe_mcp(name, command, env=env, cwd=folder, calls=calls, samples=10, start_timeout_s=60)
    assert found.ok, found.errors
    assert not found.errors
    assert len(found.latency_s) == 10
    assert found.details["tools"] >= tools
    assert found.cold_start_s < 60
    assert found.unique_bytes <= found.memory_bytes
    if DATA is not None:  # same machine class: resident memory is a property of the program, times only in magnitude
        with data_path("mcp-servers-measured", "servers.csv").open() as file:
            row = next((r for r in csv.DictReader(file) if r["server"] == name), None)
        if row is None:
            return
        assert found.memory_bytes / 2**20 == pytest.approx(float(row["rss_mib"]), rel=0.3)
        known = float(row["call_ms"] if calls else row["ping_ms"]) / 1e3
        assert 0.1 < min(found.latency_s) / known < 20  # the quickest of ten: the machine may be busy with other tests
        assert 0.2 < found.cold_start_s / (float(row["initialize_ms"]) / 1e3) < 20


@needs_data
def test_the_ranking_of_servers_is_the_measured_one(tmp_path):
    with data_path("mcp-servers-measured", "servers.csv").open() as file:
        some = ("memory", "sequential-thinking", "time", "gibson", "cipher")  # each takes seconds to start
        rows = {r["server"]: r for r in csv.DictReader(file) if r["server"] in some}
    starts, memory = {}, {}
    for name in rows:
        (first, *rest), _, _ = SERVERS[name]
        command = [program(first), *(r.format(folder=tmp_path) for r in rest)]
        env = {"HOME": str(tmp_path), **ENV.get(name, {})}
        passes = [probe_mcp(name, command, env=env, samples=1, warmup=0, start_timeout_s=60) for _ in range(2)]
        starts[name] = min(p.cold_start_s for p in passes)
        memory[name] = passes[0].memory_bytes
    names = list(rows)
    known = [float(rows[n]["initialize_ms"]) for n in names]
    assert spearmanr([starts[n] for n in names], known).statistic > 0.6
    largest = sorted(names, key=lambda n: float(rows[n]["rss_mib"]))[-2:]
    assert set(sorted(names, key=lambda n: memory[n])[-2:]) == set(largest)


def test_tools_that_are_not_read_only_are_never_called(tmp_path):
    target = tmp_path / "must-not-exist"
    found = probe_mcp(
        "filesystem",
        [program("mcp-server-filesystem"), str(tmp_path)],
        calls={"create_directory": {"path": str(target)}, "no_such_tool": {}},
        samples=2,
    )
    assert found.ok
    assert not target.exists()
    assert any("create_directory: not called" in e for e in found.errors)
    assert any("no such tool" in e for e in found.errors)


def test_streamable_http():
    port = free_port()
    server = subprocess.Popen(
        [program("mcp-server-everything"), "streamableHttp"],
        env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline, found = time.time() + 20, None
        while time.time() < deadline and (found is None or not found.ok):
            found = probe_mcp("everything", url=f"http://127.0.0.1:{port}/mcp", samples=5, start_timeout_s=5)
            time.sleep(0.2)
        assert found.ok, found.errors
        assert found.details["transport"] == "http"
        assert found.details["tools"] >= 13
        assert found.cold_start_s is None
        assert len(found.latency_s) == 5
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(5)
        server.stderr.close()
    gone = probe_mcp("everything", url=f"http://127.0.0.1:{port}/mcp", samples=1, start_timeout_s=2)
    assert not gone.ok
    assert "no connection" in gone.errors[0]


def test_nothing_is_left_running(tmp_path):
    # a wrapper that starts the real server as its child, as npx does
    wrapper = tmp_path / "wrapper.py"
    note = tmp_path / "pid"
    wrapper.write_text(
        f"import os, subprocess, sys\nopen({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "sys.exit(subprocess.call(sys.argv[1:]))\n"
    )
    found = probe_mcp("wrapped", [sys.executable, str(wrapper), program("mcp-server-memory")], samples=2)
    assert found.ok, found.errors
    assert found.details["processes"] >= 2
    assert _group(int(note.read_text())) == []
