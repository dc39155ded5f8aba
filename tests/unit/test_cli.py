"""The command line: exit codes, one JSON document on stdout, every bad input one clear line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest
from click.testing import CliRunner

import fea_arch as fa
from fea_arch.cli import BAD_INPUT, BELOW_THE_BAR, COMMANDS, FAILED, FINE, main
from fea_arch.cli.options import Input
from fea_arch.errors import ConvergenceError, MissingExtraError, ModelError, ProbeError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shop(tmp_path):
    """A file with a small architecture that carries its load easily."""
    arch = fa.Architecture(
        name="shop",
        components=[
            fa.Component("gateway", service_time_s=0.002, servers=20, blocking=False),
            fa.Component("orders", service_time_s=0.010, servers=8, memory_bytes=1e8),
            fa.Component("cart.v2", service_time_s=0.004, servers=4, memory_bytes=5e7),
        ],
        dependencies=[fa.Dependency("gateway", "orders"), fa.Dependency("gateway", "cart.v2", calls=0.5)],
        loads=[fa.Load("gateway", rate_per_s=100.0)],
        objective=fa.Objective(latency_s=0.1),
        load_cases=[fa.LoadCase("high", factor=3.0)],
    )
    return str(fa.write(arch, tmp_path / "shop.yaml"))


class Run:
    """What one call printed and how it ended."""

    def __init__(self, *arguments):
        def call():
            main([str(a) for a in arguments])

        import click

        @click.command()
        def entry():
            call()

        result = CliRunner().invoke(entry, [], catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self):
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def process(*arguments, **options):
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "fea_arch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_help_lists_every_command():
    run = Run("--help")
    assert run.code == FINE
    words = " ".join(run.out.split())  # the lines are wrapped
    for name, line in COMMANDS.items():
        assert name in run.out
        assert line in words
    assert "Exit codes" in run.out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name):
    run = Run(name, "--help")
    assert run.code == FINE
    assert len(run.out.splitlines()) > 4


def test_version():
    assert fa.__version__ in Run("--version").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Usage"),
        (["statik"], "Did you mean 'static'"),
        (["static", "--laod-factor", "2"], "No such option"),
        (["static", "--load-factor", "nan"], "not a finite number"),
        (["static", "--load-factor", "-1"], "not a finite number"),
        (["static", "--load-factor", "many"], "not a number"),
        (["static", "--fail-under", "101"], "at most 100"),
        (["static", "--scale", "inf"], "not a finite number"),
        (["static", "no/such/file.yaml"], "does not exist"),
        (["check", "one.yaml", "two.yaml"], "does not exist|unexpected"),
    ],
)
def test_usage_errors(arguments, words):
    import re

    run = Run(*arguments)
    assert run.code == BAD_INPUT
    assert run.out == ""
    assert re.search(words, run.err), run.err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   \n",
        b"\x00\x01\x02\xff\xfe" * 50,
        b"{",
        b"[[[[[[[[" * 5000,
        b"hello, world",
        b"fea_arch: 1\nname: x\ncomponents: [{name: a, servers: .nan}]\n",
        b"fea_arch: 1\nname: x\ncomponents: [{name: a, service_time_s: -1}]\n",
        b"fea_arch: 1\nname: x\ncomponents: [{name: a}, {name: a}]\n",
        b"fea_arch: 1\nname: x\nloads: [{entry: nobody, rate_per_s: 1}]\n",
        b"fea_arch: 9\n",
        b"!!python/object/apply:os.system ['echo pwned']\n",
        b"a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n",
        "fea_arch: 1\nname: ümläut".encode("latin-1"),
        b'{"fea_arch": 1, "name": "x", "components": [{"name": "a", "servers": 1e400}]}',
        b'{"fea_arch": 1, "name": "x", "components": [{"name": "a", "servers": NaN}]}',
    ],
)
@pytest.mark.parametrize("command", ["check", "static"])
def test_bad_files_are_one_line_on_stderr(tmp_path, command, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    run = Run(command, path)
    assert run.code == BAD_INPUT
    assert run.out == ""
    assert run.err.startswith("fea-arch: ")
    assert run.err.count("\n") == 1
    assert "Traceback" not in run.err
    assert "\x00" not in run.err


def test_a_folder_is_not_a_file(tmp_path):
    run = Run("static", tmp_path)
    assert run.code == BAD_INPUT
    assert run.err.count("\n") >= 1


def test_nothing_to_analyse(tmp_path):
    path = fa.write(fa.Architecture(name="x", components=[fa.Component("a")]), tmp_path / "x.json")
    run = Run("static", path)
    assert run.code == BAD_INPUT
    assert "nothing loads the architecture" in run.err
    assert Run("check", path).code == BELOW_THE_BAR


# check -------------------------------------------------------------------------------------------------------------


def test_check_of_the_bundled_platform():
    run = Run("check")
    assert run.code == FINE
    lines = run.out.splitlines()
    place = lines.index("MCP Servers: 16/17 running")
    assert lines[place + 1] == "CLI Tools: 19/20 available"
    assert lines[place + 2].startswith("Incident level: 0")
    assert lines[place + 3 :] == []


def test_check_raises_the_incident_level():
    names = [n for n in fa.load_sample("runbook").names if fa.load_sample("runbook")[n].kind == "mcp"][:3]
    run = Run("check", *(part for n in names for part in ("--set", f"{n}.available=false")))
    assert run.code == BELOW_THE_BAR
    assert "Incident level: 1" in run.out
    assert "fea-arch check" in run.out.splitlines()[-2]


def test_check_json():
    run = Run("check", "--json")
    assert run.json["health"]["mcp_running"] == 16
    assert run.json["findings"]
    assert run.err == ""


def test_check_strict(shop):
    assert Run("check", shop).code == FINE
    assert Run("check", shop, "--strict").code == FINE
    assert Run("check", shop, "--without", "gateway->orders", "--strict").code == BELOW_THE_BAR


def test_names_cannot_write_to_the_terminal(tmp_path):
    odd = fa.Architecture(
        name="odd\x1b[31m", components=[fa.Component("a\x1b]0;x\x07")], loads=[fa.Load("a\x1b]0;x\x07", rate_per_s=1.0)]
    )
    path = fa.write(odd, tmp_path / "odd.json")
    for command in ("check", "static"):
        run = Run(command, path)
        assert run.code == FINE
        assert "\x1b" not in run.out
        assert "\x07" not in run.out


# static ------------------------------------------------------------------------------------------------------------


def test_static_puts_the_verdict_first(shop):
    run = Run("static", shop)
    assert run.code == FINE
    assert run.out.splitlines()[0] == "shop at load factor 1 (100 requests/s): stands and meets every condition."
    assert "orders" in run.out
    assert "p95" in run.out
    assert run.err == ""


def test_static_json_carries_the_numbers_of_the_library(shop):
    document = Run("static", shop, "--json", "--load-factor", "2").json
    expected = fa.static(fa.read(shop), 2.0)
    row = document["result"]["components"]["orders"]
    assert row["throughput_per_s"] == pytest.approx(200.0)
    assert row["utilisation"] == pytest.approx(expected["orders"]["utilisation"])
    assert document["boundary_conditions"]["response_s"]["p95"] == pytest.approx(expected.latency_quantile_s(0.95))
    assert document["verdict"]["limited_by"] == "orders"
    assert document["verdict"]["largest_load_factor"] == pytest.approx(8.0, rel=1e-3)
    assert document["connectivity"]["islands"] == 1
    assert document["connectivity"]["largest_fan_out"] == {"component": "gateway", "dependencies": 2}
    assert document["mesh_quality"]["residual"] < 1e-9
    assert document["mesh_quality"]["stiffness_ratio"] == pytest.approx(5.0)
    assert "overall_score" not in document or isinstance(document["overall_score"], float)
    assert {"connectivity", "boundary_conditions", "mesh_quality"} <= set(document)


def test_what_if_options(shop):
    def use(*options):
        return Run("static", shop, "--json", *options).json["result"]["components"]

    assert use("--set", "orders.servers=16")["orders"]["utilisation"] == pytest.approx(100 * 0.01 / 16)
    assert use("--set", "cart.v2.service_time_s=8 ms")["cart.v2"]["utilisation"] == pytest.approx(50 * 0.008 / 4)
    assert use("--set", "gateway->orders.calls=2")["orders"]["throughput_per_s"] == pytest.approx(200.0)
    assert "orders" not in use("--without", "orders")
    assert use("--scale", "2")["orders"]["throughput_per_s"] == pytest.approx(200.0)
    assert use("--case", "high")["orders"]["throughput_per_s"] == pytest.approx(300.0)
    tight = Run("static", shop, "--set", "objective.latency_s=1us")
    assert "MISSED  response p95" in tight.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "orders"], "NAME.FIELD=VALUE"),
        (["--set", "orders.servers"], "NAME.FIELD=VALUE"),
        (["--set", "=5"], "NAME.FIELD=VALUE"),
        (["--set", "ordrs.servers=5"], "Did you mean 'orders'"),
        (["--set", "orders.server=5"], "Did you mean 'servers'"),
        (["--set", "orders.servers=many"], "orders.servers: is 'many'"),
        (["--set", "orders.servers=0"], "orders.servers"),
        (["--set", "orders.service_time_s=12 parsecs"], "12 ms"),
        (["--set", "orders.kind=servce"], "Did you mean 'service'"),
        (["--set", "orders.blocking=perhaps"], "true or false"),
        (["--set", "orders.curve=1"], "edit the document"),
        (["--set", "gateway->nobody.calls=1"], "no such dependency"),
        (["--set", "objective.latency=1"], "Did you mean 'latency_s'"),
        (["--without", "ordrs"], "Did you mean 'orders'"),
        (["--case", "hihg"], "Did you mean 'high'"),
    ],
)
def test_bad_what_ifs(shop, options, words):
    run = Run("static", shop, *options)
    assert run.code == BAD_INPUT
    assert run.out == ""
    assert words in run.err
    assert run.err.count("\n") == 1


def test_a_load_without_an_equilibrium_is_an_answer(shop):
    run = Run("static", shop, "--load-factor", "20")
    assert run.code == BELOW_THE_BAR
    assert "does not stand" in run.out.splitlines()[0]
    assert "orders is the first to pass its capacity" in run.out
    document = Run("static", shop, "--load-factor", "20", "--json").json
    assert document["verdict"]["stands"] is False
    assert document["verdict"]["largest_load_factor"] == pytest.approx(8.0, rel=1e-3)


def test_fail_under(shop):
    assert Run("static", shop, "--fail-under", "50").code == FINE
    run = Run("static", shop, "--fail-under", "99.9", "--set", "objective.latency_s=10ms")
    assert run.code == BELOW_THE_BAR
    assert "below the bar of 99.9" in run.err


def test_out_writes_a_report_and_a_log(shop, tmp_path):
    run = Run("static", shop, "--json", "--out")
    files = list((tmp_path / "data" / "fea_results").glob("static_analysis_*.json"))
    assert len(files) == 1
    assert abs(int(files[0].stem.rsplit("_", 1)[1]) - time.time()) < 60
    assert json.loads(files[0].read_text(encoding="utf-8")) == run.json
    log = (tmp_path / "logs" / "fea-validation" / "fea-validation.log").read_text(encoding="utf-8")
    assert log.count("\n") == 1
    assert "stands" in log
    assert str(files[0].relative_to(tmp_path)) in log
    for _ in range(3):
        Run("static", shop, "--out", "elsewhere")
    assert len(list((tmp_path / "elsewhere").glob("static_analysis_*.json"))) == 3
    assert not list((tmp_path / "elsewhere").glob(".*"))


def test_out_needs_a_folder(shop, tmp_path):
    run = Run("static", "--out", shop)
    assert run.code == BAD_INPUT
    (tmp_path / "file").write_text("x")
    run = Run("static", shop, "--out", "file/inside")
    assert run.code == BAD_INPUT
    assert "writable" in run.err


def test_no_files_without_out(shop, tmp_path):
    before = set(tmp_path.rglob("*"))
    Run("static", shop)
    Run("check")
    assert set(tmp_path.rglob("*")) == before


# schema ------------------------------------------------------------------------------------------------------------


def test_schema_is_valid_and_describes_documents(shop):
    import yaml

    schema = Run("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    with open(shop, encoding="utf-8") as file:
        jsonschema.validate(yaml.safe_load(file), schema)


# errors and the outside world --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelError("bad", component="a"), BAD_INPUT),
        (ConvergenceError("stopped", worst=("a",)), FAILED),
        (ProbeError("no answer"), FAILED),
        (MissingExtraError("psutil", "probe"), FAILED),
        (MemoryError(), FAILED),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_code(monkeypatch, error, code):
    def fail(self):
        raise error

    monkeypatch.setattr(Input, "load", fail)
    run = Run("check")
    assert run.code == code
    assert run.out == ""
    assert run.err.strip()


def test_messages_stay_on_one_printable_line(monkeypatch):
    def fail(self):
        raise ModelError("two\nlines and \x1b[31m colour " + "x" * 5000)

    monkeypatch.setattr(Input, "load", fail)
    err = Run("check").err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(err) < 2100


def test_a_process_prints_json_and_nothing_else(shop):
    done = process("static", shop, "--json")
    assert done.returncode == FINE
    assert done.stderr == ""
    json.loads(done.stdout)


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m fea_arch schema | head -c 10", shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    closed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); "
            "from fea_arch.cli import main; main(['schema'])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_control_c_ends_with_130():
    script = (
        "import signal, time, fea_arch.cli.options as o, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "def load(self):\n    print('up', file=sys.stderr, flush=True); time.sleep(30)\n"
        "o.Input.load = load\nfrom fea_arch.cli import main; main(['check'])"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_plain_without_a_terminal_and_tables_on_one(shop):
    pty = pytest.importorskip("pty")
    plain = process("static", shop)
    assert "\x1b" not in plain.stdout
    for colour in (True, False):
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {
            "TERM": "xterm-256color",
            "COLUMNS": "140",
        }
        if not colour:
            environment["NO_COLOR"] = "1"
        leader, follower = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-m", "fea_arch", "static", shop], stdout=follower, stderr=follower, env=environment
        )
        os.close(follower)
        text = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
        assert child.wait(timeout=60) == FINE
        os.close(leader)
        assert "orders" in text.decode()
        assert (b"\x1b[32m" in text) == colour


def test_completion_offers_the_commands():
    environment = dict(os.environ) | {
        "_FEA_ARCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "fea-arch st",
        "COMP_CWORD": "1",
    }
    done = process(env=environment)
    assert "static" in done.stdout
