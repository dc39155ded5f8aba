"""Every query of the dashboard, answered by a real Prometheus that scrapes a real watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from servers import free_port, program

import fea_arch
from fea_arch.architecture import Architecture, Component
from fea_arch.probes.history import History
from fea_arch.probes.targets import Target
from fea_arch.probes.watch import Assessment, Watch

pytestmark = pytest.mark.live
for package in ("mcp", "psutil", "prometheus_client"):
    pytest.importorskip(package, reason=f"{package} is not installed")

DASHBOARD = Path(fea_arch.__file__).parent / "report" / "dashboards" / "fea-arch-watch.json"
SERVER = """
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    result = {}
    if m["method"] == "initialize":
        result = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {},
                  "serverInfo": {"name": "toy", "version": "1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
"""


def ask(port: int, expression: str) -> list:
    address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(address, timeout=5) as answer:
        document = json.load(answer)
    assert document["status"] == "success"
    return document["data"]["result"]


def test_every_query_of_the_dashboard_has_an_answer(tmp_path):
    from fea_arch.report.prometheus import Exporter

    binary = program("prometheus")
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    arch = Architecture(name="t", components=[Component("toy", kind="mcp"), Component("tool", kind="cli")])
    targets = [
        Target("toy", "mcp", command=(sys.executable, "-u", str(script))),
        Target("tool", "cli", command=(sys.executable, "-c", "print('1.0')")),
    ]
    exporter, history = Exporter(port=0), History(tmp_path / "h.sqlite")
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
        f"scrape_configs: [{{job_name: watch, static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]}}]\n"
    )
    server = subprocess.Popen(
        [binary, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    watch = Watch(arch, targets, history, assess=lambda _: Assessment(80.0), on_snapshot=exporter.update)
    queries = [t["expr"] for p in json.loads(DASHBOARD.read_text())["panels"] for t in p["targets"]]
    assert len(queries) >= 15
    try:
        deadline, empty = time.time() + 60, queries
        while time.time() < deadline and empty:
            watch.once()
            time.sleep(0.4)
            try:
                empty = [q for q in queries if not ask(port, q)]
            except OSError:
                continue
        assert empty == []
        os.kill(watch.kept["toy"].pid, signal.SIGKILL)
        time.sleep(0.2)
        watch.once()
        time.sleep(1.5)
        (down,) = ask(port, 'fea_arch_component_up{component="toy"}')
        assert down["value"][1] == "0"
        watch.once()
        time.sleep(1.5)
        (up,) = ask(port, 'fea_arch_component_up{component="toy"}')
        assert up["value"][1] == "1"
    finally:
        watch.close()
        os.kill(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.kill(server.pid, signal.SIGKILL)
            server.wait(5)
        exporter.close()
        history.close()
