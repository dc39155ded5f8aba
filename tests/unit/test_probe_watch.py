from __future__ import annotations

import os
import signal
import sqlite3
import sys
import textwrap
import threading
import time
import urllib.request

import numpy as np
import pytest

from fea_arch.architecture import Architecture, Component, Measurement
from fea_arch.errors import FeaArchError, ModelError
from fea_arch.probes.history import Event, History, Round
from fea_arch.probes.memory_trend import memory_trend
from fea_arch.probes.targets import Target
from fea_arch.probes.watch import Assessment, Watch

pytest.importorskip("psutil", reason="psutil is not installed")

SERVER = """
import json, os, sys
hold = []
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    result = {}
    if m["method"] == "initialize":
        result = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {},
                  "serverInfo": {"name": "toy", "version": "1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
"""


class Clock:
    def __init__(self) -> None:
        self.wall, self.steady = 1.7e9, 100.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def tools(n: int = 3) -> tuple[Architecture, list[Target]]:
    arch = Architecture(name="t", components=[Component(f"tool{i}", kind="cli") for i in range(n)])
    body = "print('1.0')"
    return arch, [Target(f"tool{i}", "cli", command=(sys.executable, "-c", body)) for i in range(n)]


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "server.py"
    path.write_text(textwrap.dedent(SERVER))
    return Target("toy", "mcp", command=(sys.executable, "-u", str(path)))


def test_a_killed_server_is_seen_and_restarted(server, tmp_path):
    pytest.importorskip("mcp", reason="mcp is not installed")
    arch = Architecture(name="t", components=[Component("toy", kind="mcp")])
    history = History(tmp_path / "h" / "history.sqlite")
    watch = Watch(arch, [server], history, log=tmp_path / "logs" / "watch.log", interval_s=1)
    try:
        first = watch.once()
        assert (first.health.mcp_running, first.health.level) == (1, 0)
        assert first.round.memory_bytes > 1e6
        pid = watch.kept["toy"].pid
        assert watch.once().measurements["toy"].details["starts"] == 1
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        dead = watch.once()
        assert dead.health.level == 3
        assert [e.kind for e in dead.events] == ["down", "level"]
        back = watch.once()
        assert back.health.mcp_running == 1
        assert [e.kind for e in back.events] == ["up", "level"]
        assert watch.kept["toy"].pid != pid
        assert back.counts["failures"] == {"toy": 1}
        assert back.counts["rounds"] == 4
    finally:
        watch.close()
        history.close()
    log = (tmp_path / "logs" / "watch.log").read_text()
    assert "ERROR down toy" in log
    assert "MCP Servers: 0/1 running" in log


HOSTILE = {
    "hangs later": ("time.sleep(60) if m['method'] == 'ping' else None", "no answer to ping within 0.5 s"),
    "crashes later": ("os._exit(7) if m['method'] == 'ping' else None", ""),
    "chatters": ("[print('noise' * 100, flush=True) for _ in range(5000)]", ""),
    "speaks bytes": ("m['method'] == 'ping' and [os.write(1, bytes(range(256)) * 64) for _ in range(1000)]", ""),
    "never ends its line": ("m['method'] == 'ping' and [os.write(1, b'x' * 65536) for _ in range(100)]", ""),
    "leaks its token": ("m['method'] == 'ping' and sys.exit('token ' + os.environ['TOKEN'])", "token ***"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_servers_are_down_and_nothing_of_them_is_left(name, tmp_path):
    pytest.importorskip("mcp", reason="mcp is not installed")
    from fea_arch.probes.kept_server import KeptServer
    from fea_arch.probes.lifecycle import _group

    deed, words = HOSTILE[name]
    path, secret = tmp_path / "server.py", "zq7-marker-secret-zq7"
    path.write_text(
        SERVER.replace("import json, os, sys", "import json, os, sys, time").replace(
            '    if "id" not in m: continue\n', f'    if "id" not in m: continue\n    {deed}\n'
        )
    )
    target = Target("toy", "mcp", command=(sys.executable, "-u", str(path)), env={"TOKEN": secret})
    kept = KeptServer(target, start_timeout_s=5, timeout_s=0.5)
    begin, pids = time.perf_counter(), []
    start = kept._start
    kept._start = lambda: (start(), pids.append(kept.pid))[0]
    found = kept.check()
    assert not found.ok
    assert words in found.errors[0]
    assert found.errors[0].isprintable()
    assert len(found.errors[0]) <= 400
    assert secret not in repr(found)
    assert time.perf_counter() - begin < 10
    assert [_group(pid) for pid in pids if pid] in ([], [[]])
    assert kept.pid is None


def test_history_survives_a_restart_and_a_kill(tmp_path):
    arch, targets = tools(1)
    path = tmp_path / "history.sqlite"
    clock = Clock()
    for run in range(2):
        history = History(path)
        watch = Watch(arch, targets, history, clock=lambda: clock.wall, monotonic=lambda: clock.steady)
        watch.once()
        clock.pass_(60)
        clock.steady -= 1e5 * run  # the monotonic clock starts anew with the machine
        if run == 1:
            watch.close()
        history.close()
    rounds = History(path).rounds()
    assert len(rounds) == 2
    assert rounds[1].elapsed_s - rounds[0].elapsed_s == pytest.approx(60)
    assert [e.kind for e in History(path).events()] == ["start", "start", "stop"]


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_clock_changes_do_not_bend_the_time_axis(tmp_path, jump):
    arch, targets = tools(1)
    clock, history = Clock(), History(tmp_path / "h.sqlite")
    watch = Watch(arch, targets, history, clock=lambda: clock.wall, monotonic=lambda: clock.steady)
    watch.once()
    clock.pass_(10)
    clock.wall += jump
    events = watch.once().events
    assert [e.kind for e in events] == ["clock"]
    clock.pass_(10)
    assert watch.once().events == ()
    assert np.diff([r.elapsed_s for r in history.rounds()]) == pytest.approx([10, 10])
    history.close()
    # a restart after the clock went back never goes back on the time axis
    clock.wall -= 7200
    history = History(tmp_path / "h.sqlite")
    again = Watch(arch, targets, history, clock=lambda: clock.wall, monotonic=lambda: clock.steady)
    assert again.once().round.elapsed_s >= 20
    history.close()


def test_failures_of_rounds_and_analyses_are_kept_as_events(tmp_path, monkeypatch):
    arch, targets = tools(1)
    history = History(tmp_path / "h.sqlite")

    def assess(_):
        raise FeaArchError("no equilibrium")

    watch = Watch(arch, targets, history, assess=assess, interval_s=0.01)
    assert "analysis failed: FeaArchError: no equilibrium" in watch.once().events[0].message
    monkeypatch.setattr("fea_arch.probes.watch.probe", lambda *a, **k: 1 / 0)
    assert not watch.once().measurements["tool0"].ok or watch.tools_every > 1
    watch.tools_every = 1
    snapshot = watch.once()
    assert "ZeroDivisionError" in snapshot.measurements["tool0"].errors[0]
    monkeypatch.setattr(watch, "_probe_all", lambda: 1 / 0)
    threading.Timer(0.15, watch.stop).start()
    watch.run()
    assert any(e.kind == "failure" and "round failed" in e.message for e in history.events())
    assert len(history.rounds()) == 3
    history.close()


def test_score_cracks_and_levels_raise_events_once(tmp_path):
    arch, targets = tools(1)
    history = History(tmp_path / "h.sqlite")
    said = iter([Assessment(90.0), Assessment(88.0), Assessment(49.0, ("tool0",)), Assessment(49.0, ("tool0",))])
    watch = Watch(arch, targets, history, assess=lambda _: next(said))
    kinds = [[e.kind for e in watch.once().events] for _ in range(4)]
    assert kinds == [[], [], ["level", "score", "crack"], []]
    assert history.rounds()[-1].level == 2
    history.close()


def test_a_slow_decline_is_an_event_and_cracks_are_known_after_a_restart(tmp_path):
    arch, targets = tools(1)
    scores = [80.0, 78.0, 76.0, 74.5, 73.0, None, 71.0]
    cracks = [("tool0",), ("tool0",), (), (), ("tool0",), None, ("tool0",)]
    kinds = []
    for score, broken in zip(scores, cracks):  # a new watch every round

        def assess(_, score=score, broken=broken):
            if broken is None:
                raise FeaArchError("no equilibrium")
            return Assessment(score, broken)

        history = History(tmp_path / "h.sqlite")
        watch = Watch(arch, targets, history, assess=assess)
        kinds.append([e.kind for e in watch.once().events])
        history.close()
    assert kinds == [["crack"], [], ["mended"], ["score"], ["crack"], ["failure"], []]
    history = History(tmp_path / "h.sqlite")
    assert history.broken() == ("tool0",)
    assert [r.cracks for r in history.rounds()] == [1, 1, 0, 0, 1, None, 1]
    counted = history.counts()
    assert counted == {
        "rounds": 7, "events": {"start": 7, "crack": 2, "mended": 1, "score": 1, "failure": 1},
        "failures": {"tool0": 0},
    }  # fmt: skip
    history.close()


def test_what_a_full_disk_refuses_is_stored_later(tmp_path, monkeypatch):
    arch, targets = tools(1)
    history, log = History(tmp_path / "h.sqlite"), tmp_path / "logs"
    watch = Watch(arch, targets, history, log=log, assess=lambda _: Assessment(50.0))
    assert watch.once().counts["rounds"] == 1

    def refuse(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(history, "add", refuse)
        patch.setattr(history, "note", refuse)
        watch.once()
        watch.run(duration_s=0)  # also its last words are refused
    assert len(history.rounds()) == 1
    watch.once()
    assert len(history.rounds()) == 4
    assert np.all(np.diff([r.elapsed_s for r in history.rounds()]) > 0)
    events = [e for e in history.events() if e.kind == "failure"]
    assert [e.message for e in events] == [
        "the history cannot be written: OperationalError: database or disk is full"
    ]
    # a log that cannot be written is said once and tried again
    log.unlink()
    log.mkdir()
    watch.once()
    watch.once()
    log.rmdir()
    watch.once()
    assert log.read_text().count("round") == 1
    assert [e.message for e in history.events() if "log" in e.message] == ["the log cannot be written: Is a directory"]
    history.close()


def test_a_damaged_history_is_set_aside_and_a_foreign_file_refused(tmp_path):
    path = tmp_path / "h.sqlite"
    path.write_bytes(b"this is not a database, it only lies where one should be" * 50)
    history = History(path)
    assert history.set_aside
    assert (tmp_path / os.path.basename(history.set_aside)).exists()
    assert history.rounds() == []
    history.close()
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(ModelError, match="not a history"):
        History(other)
    with pytest.raises(ModelError, match="cannot be opened"):
        History("/proc/no/such/folder/h.sqlite")


def test_a_round_is_stored_completely_or_not_at_all(tmp_path):
    history = History(tmp_path / "h.sqlite")
    entry = Round(0, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(sqlite3.Error):
        history.add(entry, [Measurement("a", "cli")], [Event(0, 0, "down", "a", None)])
    assert history.rounds() == []
    history.add(entry, [Measurement("a", "cli", ok=False)], [])
    assert history.states() == {"a": False}
    history.close()


def test_memory_trend_intervals():
    rng = np.random.default_rng(5)
    t = np.arange(0, 3600, 60.0)
    hits = 0
    for _ in range(100):
        trend = memory_trend(t, 1e9 + 1e5 * t + 5e6 * rng.standard_normal(len(t)), 2e9)
        truth = (2e9 - 1e9 - 1e5 * t[-1]) / 1e5
        hits += trend.earliest_s * 0.995 <= truth <= trend.latest_s * 1.005
    assert hits >= 89  # P(hits < 89) = 0.4 % if the intervals cover 95 %
    flat = memory_trend(t, 1e9 + 5e6 * rng.standard_normal(len(t)), 2e9)
    assert flat.latest_s == np.inf
    assert memory_trend(t[:5], t[:5], 1.0) is None
    assert memory_trend(t, 3e9 + 0 * t, 2e9).left_s == 0
    # a slow random walk of sawteeth is not taken for a certain trend
    saw = memory_trend(t, 1e9 + 1e7 * np.sin(2 * np.pi * t / 3000), 2e9)
    assert saw.effective_samples < 6


def test_growing_memory_raises_one_event(tmp_path):
    arch = Architecture(name="t", components=[Component("leak", kind="mcp")])
    history, clock = History(tmp_path / "h.sqlite"), Clock()
    watch = Watch(
        arch, [Target("leak", "mcp", command=("x",))], history, clock=lambda: clock.wall, monotonic=lambda: clock.steady
    )

    class Leak:
        size = 1e9

        def check(self, samples):
            clock.pass_(60)
            self.size += 1e6
            return Measurement("leak", "mcp", memory_bytes=self.size)

        def stop(self):
            pass

    watch.kept = {"leak": Leak()}
    events = [e for _ in range(12) for e in watch.once().events]
    assert [e.kind for e in events] == ["memory"]
    assert "memory reaches 2 GB in" in events[0].message
    history.close()


def test_an_outage_is_in_the_metrics_before_it_is_analysed(tmp_path):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    from fea_arch.report.prometheus import Exporter

    up, seen = [True], []
    arch = Architecture(name="t", components=[Component("toy", kind="mcp")])
    history, exporter = History(tmp_path / "h.sqlite"), Exporter(port=0)

    class Server:
        def check(self, _):
            return Measurement("toy", "mcp", latency_s=(0.01,) if up[0] else (), ok=up[0])

        def stop(self):
            pass

    def metrics() -> dict[str, float]:
        text = urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=5).read().decode()
        return {a: float(b) for a, b in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}

    def assess(_):
        seen.append(metrics())
        return Assessment(90.0 if up[0] else 20.0)

    watch = Watch(
        arch, [Target("toy", "mcp", command=("toy",))], history, assess=assess,
        on_probed=exporter.probed, on_snapshot=exporter.update,
    )  # fmt: skip
    watch.kept = {"toy": Server()}
    answers, score = 'fea_arch_component_up{component="toy",kind="mcp"}', "fea_arch_score"
    try:
        watch.once()
        up[0] = False
        watch.once()
        after = metrics()
    finally:
        history.close()
        exporter.close()
    assert not any(name.startswith("fea_arch") for name in seen[0])  # nothing is known yet
    assert (seen[1][answers], seen[1]["fea_arch_mcp_servers_running"], seen[1][score]) == (0.0, 0.0, 90.0)
    assert (after[answers], after[score]) == (0.0, 20.0)


def test_metrics_are_served_on_loopback_and_hold_no_secret(server, tmp_path):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    pytest.importorskip("mcp", reason="mcp is not installed")
    from fea_arch.report.prometheus import Exporter

    secret = "zq7-marker-secret-zq7"
    exporter = Exporter(port=0)
    assert exporter.address == "127.0.0.1"
    arch = Architecture(name="t", components=[Component("toy", kind="mcp"), Component("tool0", kind="cli")])
    targets = [Target("toy", "mcp", command=server.command, env={"TOKEN": secret}), tools(1)[1][0]]
    history = History(tmp_path / "h.sqlite")
    watch = Watch(arch, targets, history, log=tmp_path / "w.log", on_snapshot=exporter.update)
    try:
        watch.once()
        text = urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=5).read().decode()
    finally:
        watch.close()
        history.close()
        exporter.close()
    assert 'fea_arch_component_up{component="toy",kind="mcp"} 1.0' in text
    assert "fea_arch_mcp_servers_running 1.0" in text
    assert "fea_arch_rounds_total 1.0" in text
    assert 'fea_arch_events_total{kind="start"} 1.0' in text
    stored = (tmp_path / "h.sqlite").read_bytes() + (tmp_path / "w.log").read_bytes()
    assert secret not in text
    assert secret.encode() not in stored
    assert secret not in repr(targets)
