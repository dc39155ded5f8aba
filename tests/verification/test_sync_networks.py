"""Synchronous networks with bounded worker pools against the event simulation."""

from __future__ import annotations

import numpy as np
import pytest
from reference.random_networks import random_network
from scipy.stats import t as student

import fea_arch as fa

SEEDS = range(20)

#: Requests from outside in one replication.
REQUESTS = 20_000


def simulated_mean(arch: fa.Architecture, seed: int, aim: float) -> tuple[float, float]:
    """Mean end-to-end response of as many replications as bring its 95 % half-width to ``aim`` of it, and that."""
    rate = arch.loads[0].rate_per_s
    means: list[float] = []
    mean = half = np.inf
    while len(means) < 8 or half > aim * mean:
        assert len(means) < 200, "the simulation does not settle"
        # the numbers of a seed are those of no other: replications are added, not repeated
        result = fa.simulate(
            arch,
            duration_s=REQUESTS / rate,
            warm_up_s=0.05 * REQUESTS / rate,
            seed=1000 * seed + len(means),
            replications=1,
        )
        means.append(float(result.response_s[0]))
        if len(means) >= 8:
            mean = float(np.mean(means))
            half = float(student.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means)))
    return mean, half


@pytest.mark.slow
@pytest.mark.parametrize(("peak", "bound"), [(0.6, 0.02), (0.8, 0.05)])
def test_random_networks(peak, bound):
    """Twenty random networks of pools of 4 to 32, every one within the bound beside the noise of the simulation."""
    errors, noise = np.empty(len(SEEDS)), np.empty(len(SEEDS))
    for k, seed in enumerate(SEEDS):
        arch = random_network(seed, peak)
        mean, half = simulated_mean(arch, seed, bound / 3.0)
        errors[k] = float(fa.static(arch).response_s[0]) / mean - 1.0
        noise[k] = half / mean
    assert np.all(np.abs(errors) <= bound + noise), errors
    assert np.abs(errors).mean() <= 0.3 * bound


@pytest.mark.slow
@pytest.mark.parametrize(("service", "servers"), [((0.01,) * 4, 2), ((0.01, 0.02), 2), ((0.01, 0.01), 1)])
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_least_outstanding_group(service, servers, load):
    names = tuple(f"t{i}" for i in range(len(service)))
    rate = load * sum(servers / s for s in service)
    arch = fa.Architecture(
        name="group",
        components=[
            fa.Component("lb", law="delay", service_time_s=1e-6, blocking=False),
            *(fa.Component(n, service_time_s=s, servers=servers, blocking=False) for n, s in zip(names, service)),
        ],
        dependencies=[fa.Balancer("lb", names, policy="least_outstanding")],
        loads=[fa.Load("lb", rate_per_s=rate)],
    )
    simulated = fa.simulate(arch, duration_s=60_000 / rate, seed=1, replications=4)
    assert fa.static(arch).response_s[0] == pytest.approx(simulated.response_s[0], rel=0.10)
