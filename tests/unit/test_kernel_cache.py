"""Compiled kernels are cached on disk; a change of what they call must not be missed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

LIBRARY = """
from fea_arch.kernels.compile import subroutine

SHIFT = {shift}

@subroutine
def inner(x):
    return {factor} * x

@subroutine
def outer(x):
    return inner(x) + SHIFT
"""
KERNEL = """
import numpy as np
from fea_arch.kernels.compile import kernel
from shared_scalars import outer

@kernel
def total(values):
    s = 0.0
    for v in values:
        s += outer(v)
    return s

if __name__ == "__main__":
    import kernel_of_another_file as itself
    found = itself.total(np.arange(4.0))
    fast = itself.total.compiled()
    print(found, sum(fast.stats.cache_hits.values()), sum(fast.stats.cache_misses.values()))
"""


def run(folder) -> tuple[float, int, int]:
    done = subprocess.run(
        [sys.executable, "kernel_of_another_file.py"],
        cwd=folder,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "FEA_ARCH_NO_CACHE": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, hits, misses = done.stdout.split()
    return float(value), int(hits), int(misses)


@pytest.mark.slow
def test_a_change_in_a_subroutine_of_another_file_is_compiled_anew(tmp_path):
    (tmp_path / "kernel_of_another_file.py").write_text(textwrap.dedent(KERNEL))

    def library(factor: float, shift: float) -> None:
        (tmp_path / "shared_scalars.py").write_text(LIBRARY.format(factor=factor, shift=shift))

    library(2.0, 0.0)
    assert run(tmp_path) == (12.0, 0, 1)
    assert run(tmp_path) == (12.0, 1, 0)  # warm
    library(3.0, 0.0)  # a constant two calls away
    assert run(tmp_path) == (18.0, 0, 1)
    library(3.0, 1.0)  # a global of the other file
    assert run(tmp_path) == (22.0, 0, 1)
    library(2.0, 0.0)  # back: the old compiled code is still there and right
    assert run(tmp_path) == (12.0, 1, 0)
