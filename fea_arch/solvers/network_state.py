"""What a static solve knows of a network: flows, waits, responses, shares."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from fea_arch.solvers.network import Array, Network

__all__ = ["NetworkState", "continued_state", "fresh_state", "relative_change"]


@dataclass(eq=False)
class NetworkState:
    """Everything that a solve knows, per component (n,) and per sorted edge (n_edges,).

    ``limiting`` is the number of the component (or ``n + host``) that has no equilibrium, or -1. ``contraction`` is the
    ratio of the last two changes: how fast the sweeps come to rest, 1 at a fold.
    """

    network: Network
    load_factor: float
    external: Array
    arrivals: Array
    admitted: Array
    service: Array
    hold: Array
    hold_scv: Array
    wait: Array
    open_wait: Array
    response: Array
    variance: Array
    success: Array
    utilisation: Array
    wait_fixed: Array
    wait_shared: Array
    edge_time: Array
    edge_attempts: Array
    edge_fail: Array
    calls: Array
    host_utilisation: Array
    limiting: int = -1
    tight: list[int] = field(default_factory=list)
    binding: set[int] = field(default_factory=set)
    memo: dict[Any, Any] = field(default_factory=dict)
    sweeps: int = 0
    contraction: float = 0.0
    residual: float = 0.0


def fresh_state(network: Network, external: Array, load_factor: float) -> NetworkState:
    """Return the unloaded state from which the sweeps start."""
    n, m = network.n, network.target.size
    return NetworkState(
        network=network,
        load_factor=load_factor,
        external=external,
        arrivals=np.zeros(n),
        admitted=np.ones(n),
        service=network.service.copy(),
        hold=np.zeros(n),
        hold_scv=np.ones(n),
        wait=np.zeros(n),
        open_wait=np.zeros(n),
        response=np.zeros(n),
        variance=np.zeros(n),
        success=np.ones(n),
        utilisation=np.zeros(n),
        wait_fixed=np.full(n, np.nan),
        wait_shared=np.full(n, np.nan),
        edge_time=np.zeros(m),
        edge_attempts=np.ones(m),
        edge_fail=np.zeros(m),
        calls=network.calls.copy(),
        host_utilisation=np.zeros(len(network.arch.hosts)),
    )


def continued_state(state: NetworkState, external: Array, load_factor: float) -> NetworkState:
    """Return a copy of a solved state from which the sweeps go on at another load."""
    arrays = {
        f.name: getattr(state, f.name).copy() for f in fields(state) if isinstance(getattr(state, f.name), np.ndarray)
    }
    return replace(
        state,
        **{**arrays, "external": external},
        load_factor=load_factor,
        limiting=-1,
        tight=list(state.tight),
        binding=set(state.binding),
        memo={},
        sweeps=0,
        contraction=0.0,
        residual=0.0,
    )


def relative_change(new: Array, old: Array) -> float:
    """Return the largest relative change of an array [1]."""
    return float((np.abs(new - old) / np.maximum(np.abs(new), 1e-12)).max(initial=0.0))
