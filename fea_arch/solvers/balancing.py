"""Least-outstanding balancers: how the calls split, and the wait of a group that shares its queue."""

from __future__ import annotations

import numpy as np

from fea_arch.kernels.erlang import erlang_c
from fea_arch.solvers.network import Array, Index, Network
from fea_arch.solvers.network_state import NetworkState, relative_change

__all__ = ["rebalance"]


def rebalance(network: Network, state: NetworkState) -> float:
    """Split the calls of least-outstanding balancers and give their targets the wait of a common queue.

    Compatibility wants equal numbers in flight; nearly idle targets tie and are drawn evenly, saturated ones take what
    they can serve. The blend is fitted to event simulations of unequal pairs and triples.
    """
    edges = np.flatnonzero(network.policy == 3)
    if not edges.size:
        return 0.0
    worst = 0.0
    state.wait_shared[:] = np.nan
    flow = state.arrivals * state.admitted
    for group in np.unique(network.group[edges]):
        member = edges[network.group[edges] == group]
        target = network.target[member]
        total = network.calls[member].sum()
        hold = np.maximum(state.hold[target], 1e-300)
        power = network.servers[target] * network.replicas[target] / hold
        rho = min(float(flow[target].sum() / power.sum()), 1.0)
        crowd = float((flow[target] * hold).mean())
        on = network.available[target].astype(float)
        even = on * hold ** -(crowd / (crowd + 0.7))  # idle targets tie, busy ones hold equal numbers
        full = on * power  # saturated ones take what they can serve
        if even.sum() <= 0:
            continue
        new = total * ((1.0 - rho**2) * even / even.sum() + rho**2 * full / full.sum())
        through = flow[network.source[member]] * state.calls[member] * state.edge_attempts[member]
        step = (0.5 if state.sweeps < 50 else 0.2) * (new - state.calls[member])
        state.calls[member] += step
        worst = max(worst, float(np.abs(step).max()) / total)
        if target.size > 1 and (network.law[target] == 0).all() and (through >= 0.99 * flow[target]).all():
            shared = _common_wait(network, state, target, flow[target])
            worst = max(worst, relative_change(shared, state.wait[target]) if np.isfinite(shared).all() else 0.0)
            state.wait_shared[target] = shared
    return worst


def _common_wait(network: Network, state: NetworkState, target: Index, flow: Array) -> Array:
    """Return the wait of targets that share the least-outstanding queue: the pool plus what cannot be shared."""
    slots = network.servers[target] * network.replicas[target]
    total, hold = float(flow.sum()), state.hold[target]
    mean = float(flow @ hold) / max(total, 1e-300)
    servers, load = int(slots.sum()), total * mean
    if total <= 0 or load >= servers:
        return np.full(target.size, np.nan)
    queue = np.zeros(1 + target.size)
    erlang_c(
        np.concatenate([[servers], slots]).astype(np.int64),
        np.concatenate([[load], np.minimum(load / servers, 1 - 1e-9) * slots]),
        queue,
    )
    rho = load / servers
    pooled = queue[0] * mean / (servers * (1.0 - rho))
    apart = float((queue[1:] / slots).mean()) * mean / (1.0 - rho)
    each, count = float(slots.mean()), target.size
    gap = 0.21 * count**-0.6 * each**-0.65 * (1.0 - rho**5) * rho ** (0.25 * (count - 2))
    scv = float(flow @ state.hold_scv[target]) / total
    return np.full(target.size, (pooled + (apart - pooled) * gap) * (1.0 + scv) / 2.0)
