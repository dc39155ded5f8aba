"""Random architectures for derivatives: cycles, retries, parallel calls, pools, hosts, bounded queues, balancers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import fea_arch as fa


def differentiable_network(seed: int) -> fa.Architecture:
    """A random stable architecture of 3 to 9 components whose features are drawn one by one."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 10))
    machines = rng.random() < 0.25
    pools = rng.random() < 0.5
    components = []
    for i in range(n):
        service = float(rng.uniform(0.002, 0.03))
        components.append(
            fa.Component(
                f"c{i}",
                service_time_s=service,
                service_scv=float(rng.choice([0.5, 1.0, 1.7])),
                servers=int(rng.choice([1, 2, 3, 4] if pools else [2, 4, 6, 8])),
                replicas=int(rng.choice([1, 1, 1, 2])) if not pools else 1,
                blocking=bool(pools and rng.random() < 0.5),
                cpu_s=0.4 * service if machines and rng.random() < 0.5 else None,
                host="machine" if machines else None,
                queue_capacity=int(rng.integers(5, 30)) if not pools and rng.random() < 0.15 else None,
            )
        )
    calls = []
    for i in range(n - 1):
        targets = rng.choice(np.arange(i + 1, n), size=min(int(rng.integers(1, 4)), n - 1 - i), replace=False)
        parallel = len(targets) > 1 and rng.random() < 0.3
        for j in targets.tolist():
            tries = bool(rng.random() < 0.3)
            calls.append(
                fa.Dependency(
                    f"c{i}", f"c{j}",
                    calls=float(rng.choice([0.4, 0.7, 1.3, 1.6])),
                    network_latency_s=float(rng.choice([0.0, 0.001])),
                    mode="sync" if rng.random() < 0.9 else "async",
                    timeout_s=float(rng.uniform(0.1, 0.5)) if tries else None,
                    retries=int(rng.integers(0, 3)) if tries else 0,
                    backoff_s=float(rng.choice([0.0, 0.02])) if tries else 0.0,
                    required=bool(rng.random() < 0.8),
                    stage=0 if parallel else None,
                )
            )  # fmt: skip
    if rng.random() < 0.3:  # a weak cycle
        a, b = sorted(rng.choice(n, 2, replace=False).tolist())
        if all(d.label != f"c{b}->c{a}" for d in calls):
            calls.append(fa.Dependency(f"c{b}", f"c{a}", calls=0.1, mode="async" if rng.random() < 0.5 else "sync"))
    hosts = [fa.Host("machine", cpus=4)] if machines else []
    arch = fa.Architecture(
        name=f"random-{seed}", components=components, dependencies=calls, hosts=hosts,
        loads=[fa.Load("c0", rate_per_s=1.0), fa.Load(f"c{int(rng.integers(1, n))}", rate_per_s=0.3)],
    )  # fmt: skip
    try:
        factor = min(fa.static(arch, 1e-6).max_load_factor, 1e4)
    except fa.UnstableLoadError:  # the cycle calls itself more than once
        arch = replace(arch, dependencies=arch.dependencies[:-1])
        factor = min(fa.static(arch, 1e-6).max_load_factor, 1e4)
    return replace(
        arch,
        loads=tuple(replace(load, rate_per_s=(load.rate_per_s or 0.0) * factor * float(rng.uniform(0.3, 0.75)))
                    for load in arch.loads),
    )  # fmt: skip


def pooled_network(seed: int) -> fa.Architecture:
    """A random architecture whose callers wait for their callees and feel it.

    Pools within pools, shared callees, two replicas, work that is sent on without waiting for it, retries, network
    time, and sometimes a cycle of such sent work.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 9))
    components = [
        fa.Component(
            f"c{i}",
            service_time_s=float(rng.uniform(0.004, 0.03)),
            service_scv=float(rng.choice([0.5, 1.0, 1.7])),
            servers=int(rng.integers(2, 7)),
            replicas=2 if i and rng.random() < 0.2 else 1,
            blocking=bool(i == 0 or rng.random() < 0.7),
        )
        for i in range(n)
    ]
    calls = []
    for i in range(n - 1):
        # a chain first, so that everything is reached; then shared callees
        for j in {i + 1, *rng.choice(np.arange(i + 1, n), size=min(2, n - 1 - i), replace=False).tolist()}:
            tries = bool(rng.random() < 0.2)
            calls.append(
                fa.Dependency(
                    f"c{i}", f"c{j}",
                    calls=float(rng.choice([0.4, 0.6, 0.8])),
                    network_latency_s=float(rng.choice([0.0, 0.001])),
                    mode="sync" if j == i + 1 or rng.random() < 0.8 else "async",
                    timeout_s=float(rng.uniform(0.3, 0.8)) if tries else None,
                    retries=int(tries),
                )
            )  # fmt: skip
    if rng.random() < 0.4:
        calls.append(fa.Dependency(f"c{n - 1}", f"c{n // 2}", calls=0.1, mode="async"))
    arch = fa.Architecture(name=f"pooled-{seed}", components=components, dependencies=calls,
                           loads=[fa.Load("c0", rate_per_s=1.0), fa.Load(f"c{n // 2}", rate_per_s=0.3)])  # fmt: skip
    factor = fa.static(arch, 1e-6).max_load_factor
    share = float(rng.uniform(0.5, 0.75))
    return replace(
        arch, loads=tuple(replace(load, rate_per_s=(load.rate_per_s or 0.0) * factor * share) for load in arch.loads)
    )
