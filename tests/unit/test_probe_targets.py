from __future__ import annotations

import json
import sys

import pytest

from fea_arch.architecture import Architecture, Component, Measurement
from fea_arch.errors import ModelError
from fea_arch.probes import measure
from fea_arch.probes.health import check_health
from fea_arch.probes.targets import Target, targets_from_document, targets_of

MARKER = "zq7-marker-secret-zq7"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("KAFKA_BROKERS", "CIPHER_MCP_PORT", "GIBSON_API_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_client_configurations():
    document = {
        "mcpServers": {
            "files": {"command": "npx", "args": ["-y", "server", "/data"], "env": {"TOKEN": MARKER}},
            "docs": {"url": "https://docs.test/mcp", "headers": {"Authorization": f"Bearer {MARKER}"}},
            "off": {"command": "x", "disabled": True},
        },
        "mcp": {"servers": {"vs": {"type": "stdio", "command": "uvx", "args": ["t"]}}},
        "context_servers": {
            "zed": {"command": {"path": "zed-server", "args": ["a b"]}},
            "inside": {"source": "extension", "settings": {}},
        },
    }
    found = {t.component: t for t in targets_from_document(document)}
    assert list(found) == ["files", "docs", "zed", "vs"]
    assert found["files"].command == ("npx", "-y", "server", "/data")
    assert found["files"].env == {"TOKEN": MARKER}
    assert found["zed"].command == ("zed-server", "a b")
    assert found["docs"].url == "https://docs.test/mcp"
    assert MARKER not in repr(found)


def test_event_router_and_settings(monkeypatch):
    document = {
        "eventBus": {"type": "kafka", "brokers": ["bus:9092"]},
        "mcpServers": {
            "cipher": {"endpoint": "http://localhost:3001"},
            "gibson": {"endpoint": "http://gibson.internal:8000"},
        },
        "cliTools": {"byterover": {"command": "npx byterover-cli"}, "git": {}, "odd": {"command": "a 'b c'"}},
    }
    found = {t.component: t for t in targets_from_document(document)}
    assert found["byterover"].command == ("npx", "byterover-cli")
    assert found["odd"].command == ("a", "b c")
    assert found["git"].command == ("git",)
    assert found["event-bus"].brokers == ("bus:9092",)
    monkeypatch.setenv("KAFKA_BROKERS", "a:1, b:2")
    monkeypatch.setenv("CIPHER_MCP_PORT", "4001")
    monkeypatch.setenv("GIBSON_API_PORT", "9000")
    found = {t.component: t for t in targets_from_document(document)}
    assert found["event-bus"].brokers == ("a:1", "b:2")
    assert found["cipher"].url == "http://localhost:4001"
    assert found["gibson"].url == "http://gibson.internal:8000"  # not this machine: the port stays
    monkeypatch.setenv("CIPHER_MCP_PORT", "x; rm")
    with pytest.raises(ModelError, match="CIPHER_MCP_PORT"):
        targets_from_document(document)


def test_variables_are_replaced(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", MARKER)
    body = {"command": "run", "args": ["${MY_TOKEN}"], "env": {"A": "${env:MY_TOKEN}", "B": "${NOT_SET_ANYWHERE}"}}
    (target,) = targets_from_document({"servers": {"x": body}})
    assert target.command == ("run", MARKER)
    assert target.env == {"A": MARKER, "B": ""}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"mcpServers": []},
        {"mcpServers": {"x": 3}},
        {"mcpServers": {"x": {}}},
        {"mcpServers": {"x": {"command": "a", "args": "b"}}},
        {"mcpServers": {"x": {"command": "a", "env": {"TOKEN": [MARKER]}}}},
        {"mcpServers": {"x": {"url": "file:///etc/passwd"}}},
        {"cliTools": {"x": {"command": "a 'b"}}},
        {"cliTools": {"x": {"command": ""}}},
        {"eventBus": {"brokers": "a:1"}},
    ],
)
def test_bad_configurations_name_the_place_and_no_value(document):
    with pytest.raises(ModelError) as caught:
        targets_from_document(document, path="c.json")
    assert "c.json" in str(caught.value)
    assert MARKER not in str(caught.value)


def test_what_follows_from_names(monkeypatch):
    arch = Architecture(
        name="p",
        components=[
            Component("python-cli", kind="cli"), Component("bus", kind="bus"), Component("cipher", kind="memory"),
            Component("gibson", kind="mcp"), Component("other", kind="mcp"),
        ],
    )  # fmt: skip
    kinds = [(t.component, t.kind) for t in targets_of(arch)]
    assert kinds == [("python-cli", "cli"), ("bus", "kafka"), ("cipher", "mcp")]
    assert targets_of(arch)[0].command == ("python",)
    monkeypatch.setenv("GIBSON_API_PORT", "8123")
    assert targets_of(arch)[-1].url == "http://localhost:8123"


def test_measure_overlays_and_check_health_counts():
    pytest.importorskip("psutil", reason="psutil is not installed")
    arch = Architecture(name="p", components=[Component("good", kind="cli"), Component("gone", kind="cli")])
    targets = [
        Target("good", "cli", command=(sys.executable, "-c", "print('3.1')")),
        Target("gone", "cli", command=("no-such-tool-here",)),
    ]
    seen: list[Measurement] = []
    found = measure(arch, targets, samples=2, on_result=seen.append)
    measured = arch.measured(found)
    assert [m.component for m in seen] == ["good", "gone"]
    assert measured["good"].provenance["service_time_s"].samples == 2
    assert not measured["gone"].available
    state, _ = check_health(arch, targets)
    assert state.lines()[1] == "CLI Tools: 1/2 available"
    assert json.loads(json.dumps(found["gone"].to_dict()))["ok"] is False
    with pytest.raises(ModelError, match="not described"):
        measure(arch, [Target("god", "cli", command=("x",))])
    with pytest.raises(ModelError, match="two targets"):
        measure(arch, [targets[0], targets[0]])
    with pytest.raises(ModelError, match="workers"):
        measure(arch, targets, workers=0)
