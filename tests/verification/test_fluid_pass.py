"""The one pass along the calls, taken where nothing feeds back, against the sweeps that solve any architecture."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.analyses import transient as verb
from fea_arch.solvers.fluid import fluid_model


def mixed(seed):
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
    a, b = np.asarray(a), np.asarray(b)
    both = np.isfinite(a) & np.isfinite(b)
    assert np.array_equal(np.isfinite(a), np.isfinite(b))
    scale = max(float(np.abs(b[both]).max()), 1e-300)
    assert float(np.abs(a[both] - b[both]).max()) <= tolerance * scale


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("lag", "step"), [("none", {"dt_s": 0.01}), ("full", {"dt_s": 0.01}), ("none", {})])
def test_the_pass_equals_the_sweeps(monkeypatch, seed, lag, step):
    arch = mixed(seed)
    arch = arch.scaled(0.5 * fa.static(arch).max_load_factor)
    # with the lag of all capacity the path is unstable: a difference of 1e-9 grows to the size of the path in 4 s
    end, dead = (4.0, (2.0, 2.5)) if lag == "none" else (1.5, (1.1, 1.3))
    assert not fluid_model(*verb._base(arch, 1.0, "steady")).again  # else both would be the sweeps

    def run():
        return fa.transient(
            arch, fa.Burst(factor=4.0, start_s=0.5, duration_s=1.0), end, lag=lag, events=[fa.Outage("c9", *dead)],
            times_s=np.linspace(0.0, end, 33), **step,
        )  # fmt: skip

    passed = run()

    def swept_model(*given):
        model = copy(fluid_model(*given))
        model.again = True
        return model

    monkeypatch.setattr(verb, "fluid_model", swept_model)
    swept = run()
    assert passed.steps == pytest.approx(swept.steps, abs=0 if step else 3)
    assert passed.balance < 1e-12
    bound = 1e-6 if step else 1e-4  # steps of a path that chooses them may differ in the last digits
    for name in ("in_flight", "throughput_per_s", "success_share", "offered", "served", "peak"):
        close(getattr(passed, name), getattr(swept, name), bound)
