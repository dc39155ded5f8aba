"""Sizes, counters and the machine of the benchmarks.

``FEA_ARCH_BENCH=full`` runs the large cases too (tests marked ``full``); the default finishes within minutes on two
cores. Beside its time every benchmark keeps counters that do not depend on how busy the machine is: the compiled
specialisations of all kernels, and what the test itself records with the ``counters`` fixture (nonzeros, fill,
iterations, peak memory).
"""

from __future__ import annotations

import os
import platform
import tracemalloc
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

FULL = os.environ.get("FEA_ARCH_BENCH", "") == "full"
#: Packages whose versions a record names, where they are installed.
PACKAGES = (
    "fea-arch", "numpy", "scipy", "numba", "networkx", "scikit-fem", "openseespylinux", "ciw", "simpy", "graph-tiger",
    "pyamg", "pytest-benchmark",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: a large case, run with FEA_ARCH_BENCH=full")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if FULL:
        return
    skip = pytest.mark.skip(reason="large case: set FEA_ARCH_BENCH=full")
    for item in items:
        if item.get_closest_marker("full") is not None:
            item.add_marker(skip)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Name processor, cores and versions; leave out the name of the host."""
    machine_info["node"] = ""
    machine_info["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine_info["full"] = FULL
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    machine_info["versions"] = versions


def specialisations() -> int:
    """Return how many compiled versions of kernels exist in this process."""
    from fea_arch.kernels.compile import registered_kernels

    ready = [call.state["fast"] for call in registered_kernels().values() if "fast" in call.state]
    return sum(len(fast.signatures) for fast in ready if hasattr(fast, "signatures"))


class Counters:
    """Numbers that say how much work was done, whatever the clock says."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def __call__(self, **counted: int) -> None:
        """Record counters, for instance ``nonzeros=...``, ``fill=...``, ``iterations=...``."""
        self.found.update({name: int(value) for name, value in counted.items()})

    def peak_memory(self, function: Callable[[], Any]) -> Any:
        """Run once and record the largest sum of Python and numpy allocations [bytes]; return its answer."""
        tracemalloc.start()
        try:
            answer = function()
            self.found["peak_memory_bytes"] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return answer


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture(autouse=True)
def _kept(request: pytest.FixtureRequest):
    """Store the counters with the times."""
    names = set(request.fixturenames)
    benchmark = request.getfixturevalue("benchmark") if "benchmark" in names else None
    counted = request.getfixturevalue("counters").found if "counters" in names else {}
    yield
    if benchmark is not None:
        benchmark.extra_info["counters"] = {"specialisations": specialisations(), **counted}
