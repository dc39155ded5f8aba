"""Random synchronous networks for comparisons between analyses and the event simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import fea_arch as fa


def random_network(seed: int, peak: float, *, least: int = 4, most: int = 8) -> fa.Architecture:
    """A random layered network whose busiest component is at utilisation ``peak`` in the static answer."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(least, most + 1))
    components = []
    for i in range(n):
        components.append(
            fa.Component(
                f"c{i}",
                service_time_s=float(rng.uniform(0.002, 0.03)),
                servers=int(rng.choice([4, 6, 8, 12, 16])) if i else int(rng.choice([8, 16, 32])),
                blocking=bool(rng.random() < 0.6),
            )
        )
    calls = []
    for i in range(n - 1):
        for j in rng.choice(np.arange(i + 1, n), size=min(int(rng.integers(1, 4)), n - 1 - i), replace=False):
            ratio = float(rng.choice([0.5, 1.0, 1.0, 1.5, 2.0]))
            latency = float(rng.choice([0.0, 0.001]))
            calls.append(fa.Dependency(f"c{i}", f"c{j}", calls=ratio, network_latency_s=latency))
    arch = fa.Architecture(name=f"random-{seed}", components=components, dependencies=calls,
                           loads=[fa.Load("c0", rate_per_s=1.0)])
    low, high = 0.0, 1.0
    while _busiest(arch, high) < peak:
        high *= 2.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _busiest(arch, middle) < peak else (low, middle)
    return replace(arch, loads=(fa.Load("c0", rate_per_s=low),))


def _busiest(arch: fa.Architecture, rate: float) -> float:
    try:
        return float(fa.static(arch, rate).utilisation.max())
    except fa.UnstableLoadError:
        return np.inf
