"""Random architectures for comparing the score with the event simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import fea_arch as fa


def scored_architecture(seed: int, *, least: int = 5, most: int = 60) -> fa.Architecture:
    """A random layered system, light to overloaded, with retries, optional calls and memory limits.

    The peak utilisation at the design load (by own and held time, without waiting) is drawn between 0.1 and 1.3.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(least, most + 1))
    depth = max(2, int(np.sqrt(n)))
    layer = np.sort(np.concatenate([[0], rng.integers(1, depth, n - 1)]))
    dependencies, reached = [], {0}
    for i in range(1, n):
        above = [j for j in range(n) if layer[j] < layer[i] and j in reached]
        callers = rng.choice(above, size=min(len(above), int(rng.integers(1, 3))), replace=False)
        reached.add(i)
        for j in sorted(int(x) for x in callers):
            tries = int(rng.choice([0, 0, 0, 1, 2, 3]))
            timeout = float(rng.uniform(0.2, 1.0)) if tries or rng.random() < 0.2 else None
            dependencies.append(
                fa.Dependency(
                    f"c{j}", f"c{i}",
                    calls=float(rng.choice([0.1, 0.25, 0.5, 1.0, 1.0])),
                    required=bool(rng.random() < 0.7),
                    timeout_s=timeout,
                    retries=tries,
                    backoff_s=float(rng.choice([0.0, 0.05, 0.2])),
                    cancel_on_timeout=bool(rng.random() < 0.3),
                    mode="sync" if rng.random() < 0.9 else "async",
                )
            )  # fmt: skip
    service = rng.uniform(0.002, 0.02, n)
    visits = np.zeros(n)
    visits[0] = 1.0
    calls = {(int(d.source[1:]), int(d.target[1:])): d for d in dependencies}
    for i in range(n):
        for j in range(n):
            if (i, j) in calls:
                visits[j] += visits[i] * calls[i, j].calls
    hold = service.copy()
    blocking = rng.random(n) < 0.5
    response = service.copy()
    for i in range(n - 1, -1, -1):
        below = sum(d.calls * response[j] for (a, j), d in calls.items() if a == i and d.mode == "sync")
        response[i] = service[i] + below
        hold[i] = response[i] if blocking[i] else service[i]
    rate = float(rng.uniform(10.0, 40.0))
    peak = float(rng.uniform(0.1, 1.3))
    wanted = peak * rng.uniform(0.2, 1.0, n)
    wanted[rng.integers(n)] = peak
    servers = np.maximum(np.round(rate * visits * hold / wanted), 1).astype(int)
    # the servers are whole: the service times are stretched so that the utilisation is met where they are few
    components = []
    for i in range(n):
        limited = rng.random() < 0.3
        room = int(rng.integers(20, 200))
        components.append(
            fa.Component(
                f"c{i}",
                service_time_s=float(service[i]),
                service_scv=float(rng.choice([0.5, 1.0, 2.0])),
                servers=int(servers[i]),
                replicas=int(rng.choice([1, 1, 1, 2])),
                blocking=bool(blocking[i]),
                memory_bytes=100e6 if limited else None,
                memory_limit_bytes=100e6 + room * 1e6 if limited else None,
                memory_per_request_bytes=1e6 if limited else None,
                cold_start_s=float(rng.uniform(0.5, 3.0)) if limited else None,
            )
        )
    arch = fa.Architecture(
        name=f"random-{seed}",
        components=components,
        dependencies=dependencies,
        loads=[fa.Load("c0", rate_per_s=rate)],
        objective=fa.Objective(latency_s=float(response[0] * rng.uniform(1.5, 5.0))),
    )
    worst = max(
        rate * visits[i] * hold[i] / (components[i].servers * components[i].replicas) for i in range(n)
    )
    return replace(arch, loads=(fa.Load("c0", rate_per_s=float(min(rate * peak / worst, 150.0))),))
