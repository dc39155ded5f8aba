"""Derivatives of what couples several components at once: hosts, and balancers that follow the queue.

Hosts have a closed form; balancers are differentiated numerically, each for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fea_arch.kernels.erlang import erlang_c
from fea_arch.solvers.balancing import rebalance
from fea_arch.solvers.network import Array
from fea_arch.solvers.network_state import NetworkState

__all__ = [
    "BalancerDerivatives",
    "balancer_derivatives",
    "host_derivatives",
]

#: Relative step of the central differences.
STEP = 1e-5


def host_derivatives(state: NetworkState) -> Array:
    """Return the derivative of the stretch of each host by its CPU demand, (n_hosts,) [1]."""
    network = state.network
    cpus = np.array([h.cpus for h in network.arch.hosts])
    whole = np.maximum(np.floor(cpus), 1.0)
    servers = whole.astype(np.int64)
    a = state.host_utilisation * whole
    queue = np.zeros(cpus.size)
    erlang_c(servers, a, queue)
    # B from C, then dB/da = B (c/a - 1 + B) and the chain rule to dC/da
    room = whole - a
    b = queue * room / np.where(whole - a * queue > 0, whole - a * queue, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope_b = np.where(a > 0, b * (whole / a - 1.0 + b), np.where(whole == 1, 1.0, 0.0))
    below = whole - a * (1.0 - b)
    slope = (whole * slope_b * below - whole * b * (b - 1.0 + a * slope_b)) / below**2
    by_load = (slope / room + queue / room**2) * whole / cpus
    return np.asarray(by_load * whole / cpus, float)


@dataclass(eq=False)
class BalancerDerivatives:
    """Per target of a balancer: derivatives of the calls (3, n_split) and of the shared waits (3, n_shared).

    By flow, holding time and its squared coefficient of variation.
    """

    components: list[int] = field(default_factory=list)
    split: list[Array] = field(default_factory=list)
    wait: list[Array] = field(default_factory=list)


def balancer_derivatives(state: NetworkState) -> BalancerDerivatives:
    """Differentiate the split and the common queue of least-outstanding balancers."""
    network = state.network
    edges = np.flatnonzero(network.policy == 3)
    shared = np.flatnonzero(~np.isnan(state.wait_shared))

    def outcome(changed: dict[str, Any]) -> tuple[Array, Array]:
        trial = replace(
            state, calls=state.calls.copy(), wait_shared=state.wait_shared.copy(), sweeps=1, memo={}, **changed
        )
        rebalance(network, trial)  # at sweep 1 it goes half the way
        return state.calls[edges] + 2.0 * (trial.calls - state.calls)[edges], trial.wait_shared[shared]

    out = BalancerDerivatives()
    for i in np.unique(network.target[edges]).tolist():
        split, wait = np.zeros((3, edges.size)), np.zeros((3, shared.size))
        for k, name in enumerate(("arrivals", "hold", "hold_scv")):
            base = getattr(state, name)
            h = STEP * float(base[i])
            if h <= 0.0:
                continue
            ends = []
            for sign in (1.0, -1.0):
                moved = base.copy()
                moved[i] += sign * h
                ends.append(outcome({name: moved}))
            share = state.admitted[i] if name == "arrivals" and state.admitted[i] > 0 else 1.0
            split[k] = (ends[0][0] - ends[1][0]) / (2.0 * h * share)
            wait[k] = np.nan_to_num((ends[0][1] - ends[1][1]) / (2.0 * h * share))
        out.components.append(i)
        out.split.append(split)
        out.wait.append(wait)
    return out
