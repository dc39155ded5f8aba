from __future__ import annotations

import os
import shutil
import sys
import time

import pytest

from fea_arch.errors import ModelError
from fea_arch.probes import probe_cli
from fea_arch.probes.commands import peak_bytes, run_command

pytest.importorskip("psutil", reason="psutil is not installed")
MARKER = "zq7-marker-secret-zq7"


def python(body: str) -> list[str]:
    return [sys.executable, "-c", body]


def test_a_real_tool():
    found = probe_cli("python", [sys.executable], samples=3)
    assert found.ok
    assert found.details["version"] == ".".join(map(str, sys.version_info[:3]))
    assert len(found.latency_s) == 3
    assert 0 < min(found.latency_s) < 5
    assert found.cold_start_s > 0
    assert found.fields()[0]["available"] is True


def test_peak_memory_is_seen():
    body = "import time; x = bytearray(80_000_000); time.sleep(0.4); print('1.2')"
    found = probe_cli("hog", python(body), arguments=[], samples=1, warmup=0)
    assert 80e6 < found.memory_bytes < 160e6


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_the_memory_of_a_tool_that_is_over_in_a_moment_is_seen():
    most = peak_bytes([sys.executable, "-S", "-c", "x = bytearray(60_000_000); del x; print('1.2')"])
    assert 60e6 < most < 90e6  # although it was given back before the first word
    for name in ("tar", "make"):  # over in a millisecond: a glance after their start sees a few pages
        if shutil.which(name):
            found = probe_cli(name, samples=1)
            assert 5e5 < found.memory_bytes < 2e7
    assert run_command([sys.executable, "-S", "-c", "print(1)"]).status == 0  # and the pipes of others are as before


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("import sys; sys.stderr.write('no \\x1b licence'); sys.exit(4)", "exit status 4"),
        ("import time; time.sleep(30)", "no end within 0.5 s"),
        ("import os\nwhile True: os.write(1, b'y' * 65536)", "bytes of output"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
    ],
)
def test_bad_tools(body, word):
    begin = time.perf_counter()
    found = probe_cli("bad", python(body), arguments=[], samples=2, timeout_s=0.5)
    assert not found.ok
    assert word in found.errors[0]
    assert found.errors[0].isprintable()
    assert time.perf_counter() - begin < 6


def test_absent_and_ill_formed():
    assert not probe_cli("no-such-tool-here").ok
    with pytest.raises(ModelError, match="list of arguments"):
        probe_cli("x", "git --version")
    with pytest.raises(ModelError, match="samples"):
        probe_cli("x", samples=0)


def test_secret_environment_is_blanked_out():
    body = "import os, sys; print(os.environ['TOKEN'], '1.0'); sys.exit(int(sys.argv[1]))"
    for status in ("0", "1"):
        found = probe_cli("t", python(body), arguments=[status], env={"TOKEN": MARKER}, samples=1)
        assert MARKER not in repr(found)
    assert MARKER not in repr(run_command([*python(body), "1"], env={"TOKEN": MARKER}))


def test_secrets_among_the_arguments_are_blanked_out():
    body = "import sys; print(sys.argv[1:], '1.0'); sys.exit(2)"
    for arguments in ([f"--api-key={MARKER}"], ["--token", MARKER], [f"postgresql://u:{MARKER}@127.0.0.1/x"]):
        found = probe_cli("t", [*python(body), *arguments], arguments=[], samples=1)
        assert "***" in found.errors[0]
        assert MARKER not in repr(found)


def test_background_children_do_not_hold_the_probe():
    body = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(1.0)"
    begin = time.perf_counter()
    found = probe_cli("spawner", python(body), arguments=[], samples=1, warmup=0)
    assert found.ok
    assert time.perf_counter() - begin < 6
