"""What ``fea-arch warm-up`` runs: every analysis on small samples, with every kernel compiled."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["kernels_compiled", "tasks"]

Task = tuple[str, Callable[[], object]]


def tasks() -> list[Task]:
    """Return named steps; kernels run compiled from here on, however small the work."""
    import fea_arch.kernels
    from fea_arch.kernels.compile import registered_kernels

    for found in pkgutil.iter_modules(fea_arch.kernels.__path__):
        import_module(f"fea_arch.kernels.{found.name}")
    for kernel in registered_kernels().values():
        kernel.compiled()
    return [*_architectures(), *_structures()]


def _architectures() -> Iterator[Task]:
    import fea_arch as fa

    for name in ("runbook", "ring", "balanced_pair", "shop"):
        yield f"static, {name}", partial(fa.static, fa.load_sample(name), 0.5)
    arch = fa.load_sample("runbook")
    closed = fa.Architecture(
        name="closed",
        components=[fa.Component("web", servers=4), fa.Component("db")],
        dependencies=[fa.Dependency("web", "db")],
        loads=[fa.Load("web", users=20, think_time_s=0.1)],
    )
    yield "static, closed load", lambda: fa.static(closed)
    retried = fa.Architecture(
        name="retried",
        components=[fa.Component("web", law="delay", blocking=False), fa.Component("db", service_time_s=0.1)],
        dependencies=[fa.Dependency("web", "db", timeout_s=1.0, retries=3)],
        loads=[fa.Load("web", rate_per_s=5.5)],
    )
    yield "metastability of retries", lambda: fa.metastability(retried)
    if find_spec("fea_arch.simulation.driver") is not None or hasattr(import_module("fea_arch.simulation"), "simulate"):
        yield "simulation", lambda: fa.simulate(arch, duration_s=1.0, seed=0)
    for verb in ("modal", "fracture", "metastability", "contingency"):
        if find_spec(f"fea_arch.analyses.{verb}") is not None:
            yield verb, partial(getattr(fa, verb), arch)
    yield "sensitivity", partial(fa.sensitivity, arch)
    yield "transient", lambda: fa.transient(arch, fa.Burst(factor=2.0, start_s=0.1, duration_s=0.2), 1.0)
    yield "harmonic", partial(fa.harmonic, arch)
    yield "score", partial(fa.score, arch)


def _structures() -> Iterator[Task]:
    import numpy as np

    import fea_arch as fa

    side = 12
    number = np.arange(side * side).reshape(side, side)
    ends = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], 1),
            np.stack([number[:-1].ravel(), number[1:].ravel()], 1),
        ]
    )
    force = np.zeros(side * side)
    force[-1] = 1.0
    strength = 1.0 + 0.001 * np.arange(len(ends))
    supports = (*range(side),)

    def bars() -> Any:
        return fa.Mesh.from_bars(side * side, ends, np.ones(len(ends)), mass=np.ones(side * side), supports=supports)

    calls: dict[str, Callable[[], object]] = {
        "solve": lambda: fa.solve(bars(), force),
        "eigen": lambda: fa.eigen(bars(), modes=3),
        "integrate": lambda: fa.integrate(bars(), lambda t: force, dt_s=0.1, duration_s=0.5),
        "break_down": lambda: fa.break_down(bars(), force, strength=strength),
    }
    for verb, call in calls.items():
        if find_spec(f"fea_arch.analyses.{verb}") is not None:
            yield f"structure, {verb}", call


def kernels_compiled() -> tuple[list[str], list[str]]:
    """Return the kernels that are compiled now, and those that no step has called."""
    from fea_arch.kernels.compile import registered_kernels

    done: list[str] = []
    idle: list[str] = []
    for name, kernel in sorted(registered_kernels().items()):
        fast = kernel.state.get("fast")
        (done if fast is not None and fast.signatures else idle).append(name)
    return done, idle
