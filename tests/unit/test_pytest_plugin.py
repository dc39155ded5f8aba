"""The pytest plugin, run by pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fea_arch as fa

ENV = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
    "PYTHONPATH": str(Path(fa.__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def test_assertions_pass_and_fail_with_reasons(tmp_path):
    fa.write(fa.load_sample("shop"), tmp_path / "shop.yaml")
    (tmp_path / "test_platform.py").write_text(
        """
def test_good(fea_arch):
    fea_arch.assert_score("shop.yaml", 50)
    fea_arch.assert_margins("shop.yaml", {"collapse_factor": 2.0})

def test_bad(fea_arch):
    fea_arch.assert_score("shop.yaml", 99.9)

def test_thin(fea_arch):
    fea_arch.assert_margins("shop.yaml", {"collapse_factor": 1e6})

def test_weaker(fea_arch):
    shop = fea_arch.read("shop.yaml")
    fea_arch.assert_not_weaker(shop, shop.replaced("database", servers=1), samples=4)
"""
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "fea_arch.pytest_plugin", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stdout + run.stderr
    assert "3 failed, 1 passed" in run.stdout
    assert "not 99.9" in run.stdout
    assert "points in" in run.stdout
    assert "collapse_factor is" in run.stdout
    assert "worse" in run.stdout


def test_the_plugin_is_light():
    code = (
        "import sys, pytest, fea_arch.pytest_plugin; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'scipy', 'numba', 'networkx', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=ENV, timeout=120, check=False).returncode == 0
