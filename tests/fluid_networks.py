"""Random architectures for the fluid model, and how its results are compared."""

from __future__ import annotations

import numpy as np

import fea_arch as fa


def without_feedback(seed):
    """A random layered architecture with every kind of station and call that has no feedback."""
    rng = np.random.default_rng(seed)
    parts, calls = [], []
    for i in range(24):
        more = [
            {}, {"queue_capacity": 6}, {"law": "delay"}, {"rate_limit_per_s": 60.0}, {"cold_start_s": 0.3},
            {"memory_limit_bytes": 4e7, "memory_per_request_bytes": 1e6, "cold_start_s": 1.0},
        ][i % 6]  # fmt: skip
        time, servers = float(rng.uniform(2e-3, 2e-2)), int(rng.integers(1, 5))
        parts.append(
            fa.Component(f"c{i}", service_time_s=time, servers=servers, blocking=bool(rng.random() < 0.5), **more)
        )
    for i in range(20):
        for j in sorted(set(rng.integers(i + 1, 24, 3).tolist())):
            retry = {"timeout_s": 0.2, "retries": 2, "backoff_s": 0.05} if rng.random() < 0.4 else {}
            retry |= {"retry_budget": 0.3} if retry and rng.random() < 0.5 else {}
            calls.append(
                fa.Dependency(
                    f"c{i}", f"c{j}", calls=float(rng.uniform(0.2, 1.2)), required=bool(rng.random() < 0.7),
                    mode="sync" if retry or rng.random() < 0.8 else "async", network_latency_s=1e-3, **retry,
                )
            )  # fmt: skip
    loads = [fa.Load(f"c{i}", rate_per_s=float(rng.uniform(1.0, 3.0))) for i in range(3)]
    return fa.Architecture(name="mixed", components=parts, dependencies=calls, loads=loads)


def close(a, b, tolerance):
    """Assert that two arrays are equal to a share of the largest value, and finite in the same places."""
    a, b = np.asarray(a), np.asarray(b)
    both = np.isfinite(a) & np.isfinite(b)
    assert np.array_equal(np.isfinite(a), np.isfinite(b))
    scale = max(float(np.abs(b[both]).max()), 1e-300)
    assert float(np.abs(a[both] - b[both]).max()) <= tolerance * scale
