"""Real command line tools: those of the platform and those of the machine."""

from __future__ import annotations

import csv

import pytest
from servers import program
from shared_data import DATA, data_path

from fea_arch.probes import probe_cli

pytestmark = pytest.mark.live
pytest.importorskip("psutil", reason="psutil is not installed")


@pytest.mark.parametrize("name", ["brv", "gibson"])
def test_a_tool_of_the_platform_says_its_version(name, tmp_path, monkeypatch):
    binary = program(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # both keep settings there
    found = probe_cli(name, [binary], samples=2, timeout_s=60)
    assert found.ok, found.errors
    assert found.details["version"][0].isdigit()
    assert 0.02 < min(found.latency_s) < 60
    assert found.memory_bytes > 20e6


@pytest.mark.parametrize("name", ["git", "curl", "ssh", "tar", "make", "bash", "node", "npm"])
def test_a_tool_of_the_machine(name):
    found = probe_cli(name, [program(name)], samples=2, timeout_s=60)
    assert found.ok, found.errors
    assert found.details["version"][0].isdigit()
    assert found.cold_start_s > 0
    assert 5e5 < found.memory_bytes < 1e9


def test_servers_without_their_credentials_are_named_by_the_variable(tmp_path):
    if DATA is None:
        pytest.skip("real data sets not found (set FEA_ARCH_DATA)")
    with data_path("mcp-servers-measured", "servers.csv").open() as file:
        notes = [r["note"] for r in csv.DictReader(file) if "variable" in r["note"]]
    assert notes
    import sys

    from fea_arch.probes import probe_mcp

    pytest.importorskip("mcp", reason="mcp is not installed")
    for note in notes:  # the last words of real servers
        said = note.split("): ", 1)[1]
        found = probe_mcp("x", [sys.executable, "-c", f"import sys; sys.exit({said!r})"], start_timeout_s=5)
        assert not found.ok
        assert "missing credentials: " in found.errors[0]
