from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from fea_arch.errors import ModelError
from fea_arch.probes import probe_process

pytest.importorskip("psutil", reason="psutil is not installed")


@pytest.fixture
def hog(tmp_path):
    script = tmp_path / "gluttonous_server.py"
    script.write_text("x = bytearray(60_000_000)\nimport sys\nprint('up', flush=True)\nwhile True: pass\n")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait(5)
    process.stdout.close()


def test_by_id_and_by_name(hog):
    by_id = probe_process("hog", pids=[hog.pid], interval_s=0.5)
    by_name = probe_process("gluttonous_server", interval_s=0.05)
    for found in (by_id, by_name):
        assert found.ok
        assert 60e6 < found.memory_bytes < 120e6
        assert found.details["processes"] == 1
        assert found.details["memory_share"] == pytest.approx(found.memory_bytes / 2e9)
    assert by_id.details["cpu_cores"] > 0.05
    assert "above the limit" in probe_process("hog", pids=[hog.pid], memory_limit_bytes=10e6).errors[0]


def test_children_count(tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(30)'])"
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        for _ in range(50):
            time.sleep(0.05)
            found = probe_process("p", pids=[parent.pid], interval_s=0.01)
            if found.details["processes"] == 2:
                break
        assert found.details["processes"] == 2
        assert probe_process("p", pids=[parent.pid], children=False, interval_s=0.01).details["processes"] == 1
    finally:
        os.killpg(parent.pid, 9)
        parent.wait(5)


def test_nobody_there():
    found = probe_process("surely-no-process-is-called-this", interval_s=0.01)
    assert (found.ok, found.errors) == (False, ("no such process",))
    with pytest.raises(ModelError, match="pids"):
        probe_process("x", pids=[-1])
    with pytest.raises(ModelError, match="match"):
        probe_process("x", match=[])
