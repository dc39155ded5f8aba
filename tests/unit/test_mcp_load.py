"""A tool of an MCP server under load: only read-only tools, one server a step, nothing left, no secret shown."""

from __future__ import annotations

import sys

import pytest

from fea_arch.errors import ModelError, ProbeError
from fea_arch.probes import McpTool, fit_law, load_test
from fea_arch.probes.lifecycle import _group

pytest.importorskip("psutil", reason="psutil is not installed")
pytest.importorskip("mcp", reason="mcp is not installed")
MARKER = "zq7-marker-secret-zq7"
SERVER = """
import json, os, sys, time
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
tools = [{"name": n, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": r}}
         for n, r in (("look", True), ("fail", True), ("write", False), ("die", True))]
calls = 0
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    answer = {"result": {}}
    if m["method"] == "initialize":
        answer["result"] = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {"tools": {}},
                            "serverInfo": {"name": "toy", "version": "1"}}
    elif m["method"] == "tools/list":
        answer["result"] = {"tools": tools}
    elif m["method"] == "tools/call":
        name = m["params"]["name"]
        time.sleep(0.03)
        answer["result"] = {"content": [{"type": "text", "text": "seen"}]}
        calls += 1
        if name == "die" and calls > 10:
            sys.exit(3)
        if name == "fail" and calls % 2:
            answer = {"error": {"code": -32000, "message": "cannot use " + os.environ["TOKEN"]}}
        elif name == "write":
            open(sys.argv[1] + ".written", "w").close()
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], **answer}), flush=True)
"""


@pytest.fixture
def toy(tmp_path):
    script, note = tmp_path / "server.py", tmp_path / "pids"
    script.write_text(SERVER)

    def make(tool):
        return McpTool(
            tool, {"a": 1}, command=[sys.executable, "-u", str(script), str(note)], env={"TOKEN": MARKER},
            start_timeout_s=20.0,
        )  # fmt: skip

    make.note = note
    return make


def test_a_server_that_answers_one_after_the_other_is_a_single_queue(toy):
    test = load_test(toy("look"), (1, 4), duration_s=1.0, warmup_s=0.2)
    assert test.target == "look"
    for point in test:
        assert point.throughput_per_s < 33.4  # it sleeps 30 ms a call, one after the other
        assert abs(point.little_error) < 0.1
        assert point.errors == 0
    assert test[1].latency_s > 0.1
    assert fit_law(test, "mmc").capacity_per_s < 34.0
    pids = [int(line) for line in toy.note.read_text().split()]
    assert len(pids) == 2
    assert [_group(pid) for pid in pids] == [[], []]


def test_open_loop_of_a_tool(toy):
    test = load_test(toy("look"), (), rates=[20], duration_s=1.0, warmup_s=0.1, poisson=False)
    assert test[0].throughput_per_s == pytest.approx(20, rel=0.2)


def test_only_read_only_tools_are_loaded(toy):
    with pytest.raises(ProbeError, match="write: not called, the server does not mark it read-only"):
        load_test(toy("write"), (1,), duration_s=0.2)
    with pytest.raises(ProbeError, match="the server has no such tool"):
        load_test(toy("nothing"), (1,), duration_s=0.2)
    assert not toy.note.with_name("pids.written").exists()


def test_errors_are_counted_and_repeat_no_secret(toy):
    target = toy("fail")
    test = load_test(target, (2,), duration_s=0.5, warmup_s=0.0)
    assert test[0].errors > 3
    assert "cannot use" in test[0].reasons[0]
    assert MARKER not in repr(test) + str(test.to_dict()) + repr(target)


def test_a_server_that_dies_under_load(toy):
    test = load_test(toy("die"), (1,), duration_s=1.0, warmup_s=0.0)
    assert 0 < test[0].samples <= 10
    assert test[0].errors > 0


def test_what_cannot_be_loaded():
    with pytest.raises(ModelError, match="either a command or a url"):
        McpTool("t")
    with pytest.raises(ModelError, match="either a command or a url"):
        McpTool("t", command=["a"], url="http://a")
    with pytest.raises(ModelError, match="not an http address"):
        McpTool("t", url="file:///etc/passwd")
    with pytest.raises(ModelError, match="not on the PATH"):
        load_test(McpTool("t", command=["no-such-server-here"]), (1,), duration_s=0.1)
    code = f"import sys; sys.exit('no {MARKER}')"
    with pytest.raises(ProbeError, match="exit status 1") as caught:
        load_test(McpTool("t", command=[sys.executable, "-c", code], env={"T": MARKER}), (1,), duration_s=0.1)
    assert MARKER not in str(caught.value)
    with pytest.raises(ProbeError, match="no connection"):
        load_test(McpTool("t", url="http://127.0.0.1:1/mcp"), (1,), duration_s=0.1)
