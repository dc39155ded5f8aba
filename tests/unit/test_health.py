from __future__ import annotations

import pytest

from fea_arch.architecture import Architecture, Component, Measurement
from fea_arch.architecture.health import health
from fea_arch.errors import ModelError


def platform(mcp: int = 17, mcp_down: int = 0, cli: int = 20, cli_down: int = 0, **down: bool) -> Architecture:
    parts = [Component(f"m{i}", kind="mcp", available=i >= mcp_down) for i in range(mcp)]
    parts += [Component(f"c{i}", kind="cli", available=i >= cli_down) for i in range(cli)]
    parts += [Component("kafka", kind="bus", available=not down.get("bus", False))]
    parts += [Component("cipher", kind="memory", available=not down.get("cipher", False))]
    return Architecture(name="p", components=parts)


def test_counts_as_the_health_check_prints_them():
    lines = health(platform(mcp_down=1, cli_down=1)).lines()
    assert lines[0] == "MCP Servers: 16/17 running"
    assert lines[1] == "CLI Tools: 19/20 available"
    assert health(platform(mcp_down=1, cli_down=1)).level == 0


@pytest.mark.parametrize(
    ("arch", "score", "level"),
    [
        (platform(mcp_down=2), None, 0),
        (platform(mcp_down=3), None, 1),
        (platform(mcp=20, mcp_down=5), None, 0),
        (platform(mcp=20, mcp_down=6), None, 1),
        (platform(mcp=8, mcp_down=1), None, 1),
        (platform(mcp=8), 50.0, 0),
        (platform(), 49.9, 2),
        (platform(bus=True), None, 2),
        (platform(cipher=True, mcp_down=5), None, 2),
        (platform(mcp_down=17), None, 1),
        (platform(mcp_down=17, cli_down=20), 99.0, 3),
        (platform(mcp=0, cli=0), None, 0),
    ],
)
def test_levels(arch, score, level):
    found = health(arch, score=score)
    assert found.level == level
    assert bool(found.steps) == bool(found.reasons) == (level > 0)


def test_live_measurements_override_the_description():
    arch = platform()
    dead = [Measurement(f"m{i}", "mcp", ok=False) for i in range(3)]
    found = health(arch, dead)
    assert (found.mcp_running, found.level, found.down) == (14, 1, ("m0", "m1", "m2"))
    assert "m0, m1, m2" in found.steps[0]
    assert health(arch, {m.component: m for m in dead}) == found
    assert found.to_dict()["mcp_running"] == 14


def test_configured_share_and_bad_arguments():
    assert health(platform(mcp_down=8), required_share=0.5).level == 0
    assert health(platform(mcp_down=9), required_share=0.5).level == 1
    assert health(platform(mcp_down=3), required_mcp=14).level == 0
    with pytest.raises(ModelError, match="required_share"):
        health(platform(), required_share=1.5)
    with pytest.raises(ModelError, match="score"):
        health(platform(), score=float("nan"))
