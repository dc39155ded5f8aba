"""Servers that hang, crash, chatter, speak garbage, fork without end or run away: none may hurt the probe."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import time

import pytest

from fea_arch.errors import ModelError
from fea_arch.probes import probe_mcp

pytest.importorskip("mcp", reason="mcp is not installed")
psutil = pytest.importorskip("psutil", reason="psutil is not installed")

MARKER = "zq7-marker-secret-zq7"
SERVER = """
import json, os, sys, time
def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n"); sys.stdout.flush()
def requests():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            yield message
def serve(tools=(), pages=1, before=lambda m: None):
    for m in requests():
        before(m)
        if m["method"] == "initialize":
            say(id=m["id"], result={"protocolVersion": m["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "toy", "version": "1.2.3"}})
        elif m["method"] == "tools/list":
            page = int((m.get("params") or {}).get("cursor") or 0)
            result = {"tools": [{"name": f"{t}{page}", "inputSchema": {"type": "object"}, **a} for t, a in tools]}
            if page + 1 < pages:
                result["nextCursor"] = str(page + 1)
            say(id=m["id"], result=result)
        elif m["method"] == "tools/call":
            open(os.environ["NOTE"], "a").write(m["params"]["name"] + "\\n")
            say(id=m["id"], result={"content": [{"type": "text", "text": "x"}]})
        else:
            say(id=m["id"], result={})
"""


@pytest.fixture
def toy(tmp_path):
    def build(body: str) -> list[str]:
        path = tmp_path / "server.py"
        path.write_text(SERVER + textwrap.dedent(body))
        return [sys.executable, "-u", str(path)]

    return build


def quick(command, **options):
    begin = time.perf_counter()
    found = probe_mcp("toy", command, **{"samples": 3, "warmup": 0, "start_timeout_s": 5, "timeout_s": 1, **options})
    return found, time.perf_counter() - begin


def left_over(path) -> list[int]:
    words = str(path)
    found = []
    for p in psutil.process_iter():
        try:
            if any(words in part for part in p.cmdline()) and p.status() != psutil.STATUS_ZOMBIE:
                found.append(p.pid)
        except psutil.Error:
            pass
    return found


def test_a_good_server_with_pages(toy, tmp_path):
    tools = [("look", {"annotations": {"readOnlyHint": True}}), ("wipe", {"annotations": {"destructiveHint": True}})]
    note = tmp_path / "note"
    found, _ = quick(
        toy(f"serve({tools!r}, pages=3)"),
        env={"NOTE": str(note)},
        calls={"look1": {}, "wipe2": {}, "wipe9": {}},
    )
    assert found.ok
    assert found.details["tools"] == 6
    assert (found.details["server"], found.details["version"]) == ("toy", "1.2.3")
    assert len(found.latency_s) == 3
    assert found.memory_bytes > 1e6
    assert 0 < found.cold_start_s < 5
    assert set(note.read_text().split()) == {"look1"}
    assert len(found.errors) == 2


def test_no_tool_is_called_by_default(toy, tmp_path):
    note = tmp_path / "note"
    found, _ = quick(toy('serve([("look", {"annotations": {"readOnlyHint": True}})])'), env={"NOTE": str(note)})
    assert found.ok
    assert not note.exists()


BAD = {
    "hangs": ("time.sleep(60)", "no answer to initialize within 1 s"),
    "hangs and ignores SIGTERM": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "no answer",
    ),
    "crashes at once": ("sys.exit(3)", "exit status 3"),
    "crashes on the first request": ("for m in requests(): os._exit(7)", "exit status 7"),
    "wants a credential": (
        "sys.stderr.write('Error: BRAVE_API_KEY environment variable is required'); sys.exit(1)",
        "missing credentials: BRAVE_API_KEY",
    ),
    "speaks garbage": ("while True: sys.stdout.write('\\x1b[31mnot json ' + chr(0) + '\\n')", "not JSON-RPC"),
    "speaks bytes": ("while True: os.write(1, bytes(range(256)) * 64)", ""),
    "never ends its line": ("while True: os.write(1, b'x' * 65536)", "a line of more than"),
    "answers with the wrong shape": ("for m in requests(): say(id=m['id'], result=[1, 2])", ""),
    "answers another id": ("for m in requests(): say(id=10**9, result={})", "no answer"),
    "fills standard error": ("while True: os.write(2, b'noise ' * 10000)", "no answer"),
    "closes its output": ("os.close(1); time.sleep(60)", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_servers(name, toy, tmp_path):
    body, words = BAD[name]
    before = psutil.Process().memory_info().rss
    found, took = quick(toy(body), start_timeout_s=1.0)
    assert not found.ok
    assert len(found.errors) == 1
    assert words in found.errors[0]
    assert len(found.errors[0]) <= 400
    assert found.errors[0].isprintable()
    assert took < 12
    assert left_over(tmp_path) == []
    assert psutil.Process().memory_info().rss - before < 200e6


def test_chatty_but_correct_server(toy):
    body = """
    def noise(m):
        for _ in range(300):
            say(method="notifications/message", params={"level": "info", "data": "chatter " * 20})
        sys.stdout.write("plain text on standard output\\n")
    serve(before=noise)
    """
    found, _ = quick(toy(body), timeout_s=5)
    assert found.ok, found.errors
    assert found.details["garbage_lines"] >= 3


def test_slow_answers_time_out_one_by_one(toy):
    found, took = quick(toy('serve(before=lambda m: m["method"] == "ping" and time.sleep(5))'), timeout_s=0.5)
    assert not found.ok or any("ping" in e for e in found.errors)
    assert took < 10


def test_fork_bomb_is_ended(toy, tmp_path):
    body = """
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop = time.time() + 20
    while time.time() < stop:
        try:
            os.fork()
        except OSError:
            pass
        time.sleep(0.005)
    """
    found, took = quick(toy(body), max_processes=20)
    assert not found.ok
    assert "more than 20 processes" in found.errors[0]
    assert took < 12
    assert left_over(tmp_path) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_daemon_that_left_the_session_is_ended(toy, tmp_path):
    body = """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 3)
            time.sleep(60)
        os._exit(0)
    serve()
    """
    found, _ = quick(toy(body))
    assert found.ok, found.errors
    time.sleep(0.1)
    assert left_over(tmp_path) == []


def test_secrets_are_passed_on_and_appear_nowhere(toy, caplog, capfd):
    body = f"""
    assert os.environ["API_TOKEN"] == {MARKER[:10]!r} + {MARKER[10:]!r}
    sys.stderr.write("using token " + os.environ["API_TOKEN"] + "\\n")
    sys.stdout.write("token " + os.environ["API_TOKEN"] + "\\n")
    if len(sys.argv) > 1: raise RuntimeError(os.environ["API_TOKEN"])
    def leak(m):
        if m["method"] == "ping": say(id=m["id"], error={{"code": 1, "message": "bad " + os.environ["API_TOKEN"]}})
    serve(before=leak)
    """
    caplog.set_level(logging.DEBUG)
    command = toy(body)
    good, _ = quick(command, env={"API_TOKEN": MARKER})
    bad, _ = quick([*command, "fail"], env={"API_TOKEN": MARKER})
    assert not bad.ok
    assert good.details["server"] == "toy"
    everything = json.dumps([good.to_dict(), bad.to_dict()]) + repr((good, bad)) + caplog.text
    everything += "".join(capfd.readouterr())
    assert MARKER not in everything
    assert "***" in everything


def test_the_probe_does_not_hand_over_its_own_secrets(toy, monkeypatch):
    monkeypatch.setenv("MY_OWN_SECRET", MARKER)
    found, _ = quick(toy('if "MY_OWN_SECRET" in os.environ: sys.exit(9)\nserve()'))
    assert found.ok, found.errors


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "either a command or a url"),
        ({"command": ["a"], "url": "http://x"}, "either a command or a url"),
        ({"command": "npx server; rm -rf /"}, "list of arguments"),
        ({"command": []}, "list of texts"),
        ({"command": ["a\0b"]}, "list of texts"),
        ({"url": "file:///etc/passwd"}, "http address"),
        ({"command": ["a"], "samples": 0}, "samples"),
    ],
)
def test_bad_arguments(options, word):
    with pytest.raises(ModelError, match=word):
        probe_mcp("x", **options)


def test_inside_a_running_event_loop(toy):
    import asyncio

    async def notebook():
        return quick(toy("serve()"))[0]

    assert asyncio.run(notebook()).ok


def test_shell_characters_are_plain_arguments(tmp_path):
    mark = tmp_path / "mark"
    probe_mcp("x", [sys.executable, "-c", "pass", f"; touch {mark}"], start_timeout_s=2)
    assert not mark.exists()
    assert subprocess.run([sys.executable, "-c", "pass"], check=True).returncode == 0
