"""The composite action: its steps' commands, run as the runner runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

import fea_arch as fa

PACKAGE = Path(fa.__file__).parents[1]
ACTION = yaml.safe_load((Path(__file__).resolve().parents[2] / "action.yml").read_text(encoding="utf-8"))


def run_steps(folder, **given):
    """Return the exit codes of the steps by name; installing is replaced by a program on the path."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "fea-arch"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fea_arch.cli "$@"\n')
    program.chmod(0o755)
    inputs = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()} | given
    base = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(PACKAGE),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}  # fmt: skip
    codes = {}
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"], "inputs reach the shell as variables only"
        if step["name"] == "Install" or ("base" in step.get("if", "") and not inputs["base"]):
            continue
        env = {k: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: inputs[m[1]], v) for k, v in step["env"].items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]], cwd=folder, env=base | env,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        codes[step["name"]] = done.returncode
        if done.returncode:
            break
    return codes


def test_it_flags_a_weakened_architecture_and_passes_an_improved_one(tmp_path):
    base = fa.load_sample("shop")
    fa.write(base, tmp_path / "base.yaml")
    fa.write(base.replaced("database", servers=1), tmp_path / "weak one.yaml")
    fa.write(base.replaced("database", servers=16), tmp_path / "strong.yaml")
    assert run_steps(tmp_path, base="base.yaml", head="weak one.yaml") == {"Compare": 1}
    assert "**weaker**" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "fea-arch.xml").exists()
    assert (tmp_path / "fea-arch.sarif").exists()
    assert run_steps(tmp_path, base="base.yaml", head="strong.yaml") == {"Compare": 0, "Score": 0}


def test_without_a_base_only_the_score_counts(tmp_path):
    fa.write(fa.load_sample("shop"), tmp_path / "shop.yaml")
    assert run_steps(tmp_path, head="shop.yaml", **{"fail-under": "99.9"}) == {"Score": 1}
