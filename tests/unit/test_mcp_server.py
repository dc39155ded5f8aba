"""Our own MCP server, asked by the SDK's client and by our own probe."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

import fea_arch as fa

pytest.importorskip("mcp", reason="extra mcp is not installed")
TOOLS = {"analyse", "score", "what_if", "compare", "explain"}
SERVER = [sys.executable, "-m", "fea_arch.cli", "mcp"]
ENV = {"PYTHONPATH": str(Path(fa.__file__).parents[1]), "PATH": os.environ.get("PATH", "")}


def ask(root, questions):
    """Return the tools and the answers of a server started as a client starts it."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def talk():
        parameters = StdioServerParameters(command=SERVER[0], args=[*SERVER[1:], "--root", str(root)], env=ENV)
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            answers = [await session.call_tool(name, arguments) for name, arguments in questions]
            return tools, [json.loads(a.content[0].text) for a in answers]

    return asyncio.run(asyncio.wait_for(talk(), 120))


def test_the_tools_answer_and_change_nothing(tmp_path):
    base = fa.load_sample("shop")
    fa.write(base, tmp_path / "base.yaml")
    fa.write(base.replaced("database", servers=1), tmp_path / "head.yaml")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    tools, answers = ask(tmp_path, [
        ("analyse", {"path": "base.yaml"}),
        ("score", {"path": "base.yaml"}),
        ("what_if", {"path": "base.yaml", "changes": ["database.servers=16"], "scale": 2.0}),
        ("compare", {"base": "base.yaml", "head": "head.yaml", "samples": 1}),
        ("explain", {"path": "base.yaml"}),
        ("analyse", {"path": "../secret.yaml"}),
        ("what_if", {"path": "base.yaml", "changes": ["database.colour=red"]}),
    ])  # fmt: skip
    assert {t.name for t in tools} == TOOLS
    assert all(t.annotations.read_only_hint and not t.annotations.destructive_hint for t in tools)
    analysed, scored, moved, compared, explained, outside, wrong = answers
    stress = fa.static(base)["database"]["utilisation"]
    assert analysed["components"]["database"]["utilisation"] == pytest.approx(stress)
    assert scored["value"] == pytest.approx(fa.score(base).value)
    assert any(c["field"] == "servers" and c["after"] == 16 for c in moved["changes"])
    assert compared["regressed"] is True
    assert explained["breaks"]
    assert "below the served folder" in outside["error"]
    assert "no field 'colour'" in wrong["error"]
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_our_own_probe_lists_it(tmp_path):
    found = fa.probe_mcp("fea-arch", [*SERVER, "--root", str(tmp_path)], env=ENV, samples=2, warmup=1)
    assert found.ok
    assert found.details["tools"] == len(TOOLS)
