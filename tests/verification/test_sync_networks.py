"""Synchronous networks with bounded worker pools against the event simulation."""

from __future__ import annotations

import numpy as np
import pytest
from reference.random_networks import random_network

import fea_arch as fa

SEEDS = range(20)


def compare(seed: int, peak: float, requests: int) -> tuple[float, float]:
    """Relative error of the mean end-to-end response, and the half width of the simulated one."""
    arch = random_network(seed, peak)
    rate = arch.loads[0].rate_per_s
    simulated = fa.simulate(
        arch, duration_s=requests / rate, warm_up_s=0.05 * requests / rate, seed=seed, replications=6
    )
    mean, half = float(simulated.response_s[0]), float(simulated.response_s_half_width[0])
    return float(fa.static(arch).response_s[0]) / mean - 1.0, half / mean


@pytest.mark.slow
@pytest.mark.parametrize(("peak", "bound", "requests"), [(0.6, 0.02, 20_000), (0.8, 0.05, 25_000)])
def test_random_networks(peak, bound, requests):
    """Twenty random networks of pools of 4 to 32: within the bound, the noise of the simulation allowed for.

    At 80 % one network in twenty may miss the bound, by no more than the factor two: the aim is not quite met.
    """
    errors, noise = np.array([compare(seed, peak, requests) for seed in SEEDS]).T
    beyond = np.abs(errors) > bound + noise
    assert np.abs(errors).mean() <= 0.6 * bound
    assert beyond.sum() <= (0 if peak <= 0.6 else 1), errors[beyond]
    assert np.all(np.abs(errors) <= 2 * bound + noise)


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
