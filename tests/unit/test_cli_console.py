"""Progress on a terminal only; tables plain elsewhere; NO_COLOR honoured; every command shows examples."""

from __future__ import annotations

import io
import re
import sys
import time

import click
import pytest

from fea_arch.cli import COMMANDS, main, program
from fea_arch.cli import console as module
from fea_arch.report.blocks import Table


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(module._Line, "PATIENCE", 0.0)
    monkeypatch.setattr(module._Line, "PERIOD", 0.02)
    monkeypatch.setenv("TERM", "xterm")


def test_nothing_is_shown_where_nobody_looks(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with module.progress() as line:
        line.say("working", 0.5)
        line.bar("working", 0.7)
    assert stream.getvalue() == ""


def test_a_bar_with_share_and_time_is_shown_and_removed(monkeypatch, patient):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with module.progress() as line:
        line.bar("outages", 0.5)
        line.bar("outages", 0.75)
        time.sleep(0.06)
    text = stream.getvalue()
    assert "[##################------]  75 % outages, 0 s" in text
    assert text.endswith("\r")
    assert text.rsplit("\r", 2)[1].strip() == ""
    shown = len(text)
    time.sleep(0.05)
    assert len(stream.getvalue()) == shown  # the clock has ended


def test_a_long_step_without_news_shows_its_time(monkeypatch, patient):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with module.progress() as line:
        line.say("scoring")
        time.sleep(0.1)
    assert stream.getvalue().count("scoring, 0 s") >= 2


def test_a_dumb_terminal_gets_no_line(monkeypatch, patient):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "dumb")
    with module.progress() as line:
        line.say("working")
        time.sleep(0.05)
    assert stream.getvalue() == ""


TABLE = Table(("name", "state"), [["orders", "failing"]], "States", (), {"failing": "bold red"})


@pytest.mark.parametrize("colour", [True, False])
def test_tables_on_a_terminal_honour_no_color(monkeypatch, colour):
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    module.show([TABLE])
    text = stream.getvalue()
    assert "orders" in text
    assert bool(re.search("\x1b\\[[0-9;]*3[0-9]m", text)) is colour  # a foreground colour


def test_tables_elsewhere_are_plain(capsys):
    module.show(["a line", TABLE])
    out = capsys.readouterr().out
    assert out.isascii()
    assert "orders" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name):
    command = program.get_command(click.Context(program), name)
    text = click.Context(command, info_name=f"fea-arch {name}").get_help()
    if name in ("schema", "warm-up"):  # nothing to choose
        assert name in text
        return
    assert re.search(rf"^ +(?:\w+=\S+ )?fea-arch {name}", text, flags=re.M), text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_offered(monkeypatch, capsys, shell):
    monkeypatch.setenv("_FEA_ARCH_COMPLETE", f"{shell}_source")
    if shell == "bash":
        import shutil

        if shutil.which("bash") is None:
            pytest.skip("no bash")
    with pytest.raises(SystemExit):
        main([])
    assert "_FEA_ARCH_COMPLETE" in capsys.readouterr().out


def wide() -> Table:
    headers = ("component", "req/s", "utilisation", "state", "because", "governed by")
    rows = [(f"infrastructure-deployment-{k}", "12.5", "42.0 %", "elastic", "its workers wait for the callee", "host")
            for k in range(3)]
    return Table(headers, rows, "Components", (1, 2))


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_a_table_on_a_terminal_breaks_no_word_and_no_number(monkeypatch, columns):
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    module.show([wide()])
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, text.splitlines())) <= columns
    if columns >= 60:
        assert "infrastructure-deployment-0" in text
        assert "42.0 %" in text
        assert "elastic" in text
    left = "Too narrow for:" in text
    assert left == (columns < 80)
    if not left:
        assert "governed" in text
        for word in ("workers", "callee", "host"):
            assert word in text
