"""Derivatives of what couples several components at once: hosts, balancers that follow the queue, bounded pools.

Hosts have a closed form. Balancers and pools are differentiated numerically, each for itself: the pool correction is
smooth as long as the set of pools that are felt stays what it is, and that set is held fixed here. The flows of a pool
are moved along the calls (by what arrives from outside the subsystem, and by the calls), never one by one: a callee
that is reached through one pool alone has no background load, and the subsystem is not smooth off that surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fea_arch.kernels.erlang import erlang_c
from fea_arch.solvers.balancing import rebalance
from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.network_state import NetworkState
from fea_arch.solvers.pools import pool_waits

__all__ = [
    "BalancerDerivatives",
    "PoolDerivatives",
    "balancer_derivatives",
    "count_inside",
    "host_derivatives",
    "pool_derivatives",
    "sends_inside",
]

#: Relative step of the central differences.
STEP = 1e-5
#: Share of a flow from which it counts as arriving from outside a subsystem.
OUTSIDE = 1e-6


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


@dataclass(eq=False)
class PoolDerivatives:
    """Derivatives of the waits that pools prescribe, (n_waits,) each.

    By component: ``flow``, ``service``, ``hold`` (by time and by variability), ``open_wait``, ``scv`` and ``servers``
    (one more); by sorted edge: ``calls`` and ``latency``.
    """

    flow: dict[int, Array] = field(default_factory=dict)
    service: dict[int, Array] = field(default_factory=dict)
    hold: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    open_wait: dict[int, Array] = field(default_factory=dict)
    scv: dict[int, Array] = field(default_factory=dict)
    servers: dict[int, Array] = field(default_factory=dict)
    calls: dict[int, Array] = field(default_factory=dict)
    latency: dict[int, Array] = field(default_factory=dict)


def pool_derivatives(state: NetworkState, tight: list[int], binding: set[int], touched: list[int]) -> PoolDerivatives:
    """Differentiate the waits of the components ``touched`` by what the pools ``tight`` see.

    Parameters
    ----------
    state : NetworkState
        A converged state.
    tight, binding, touched
        Of the equilibrium; held fixed.
    """
    network = state.network
    flow = state.arrivals * state.admitted
    at = np.array(touched, np.int64)
    members, edges = _below(network, tight)
    own = _outside(network, flow, edges)
    base: dict[str, Any] = {
        "network": network,
        "flow": flow,
        "service": state.service,
        "hold": state.hold,
        "hold_scv": state.hold_scv,
        "open_wait": state.open_wait,
    }
    known: dict[Any, Any] = {}

    def waits(memo: dict[Any, Any] | None = None, **changed: Any) -> Array:
        g = {**base, **changed}
        found = pool_waits(
            g["network"], g["flow"], g["service"], g["hold"], g["hold_scv"], g["open_wait"], tight, set(binding),
            {} if memo is None else memo,
        )  # fmt: skip
        return np.asarray(found.wait[at], float)

    waits(known)

    def slope(name: str, i: int, memo: Callable[[], dict[Any, Any] | None]) -> Array:
        values = base[name]
        h = STEP * float(values[i])
        if h <= 0.0:
            return np.zeros(at.size)
        ends = []
        for sign in (1.0, -1.0):
            moved = values.copy()
            moved[i] += sign * h
            ends.append(waits(memo(), **{name: moved}))
        return np.nan_to_num((ends[0] - ends[1]) / (2.0 * h))

    out = PoolDerivatives()
    by_outside: dict[int, Array] = {}
    inside = set(tight)
    for i in members:
        if own[i] > OUTSIDE * flow[i]:
            h = STEP * own[i]
            ends = []
            for sign in (1.0, -1.0):
                moved = own.copy()
                moved[i] += sign * h
                ends.append(waits(flow=_through(network, moved, network.calls, edges)))
            by_outside[i] = np.nan_to_num((ends[0] - ends[1]) / (2.0 * h))
        out.service[i] = slope("service", i, lambda: None)
        if i in inside:
            out.hold[i] = (slope("hold", i, lambda: dict(known)), slope("hold_scv", i, lambda: dict(known)))
        else:
            out.open_wait[i] = slope("open_wait", i, lambda: dict(known))
            ends = []
            for sign in (1.0, -1.0):
                moved = network.scv.copy()
                moved[i] += sign * STEP
                ends.append(waits(dict(known), network=replace(network, scv=moved)))
            out.scv[i] = np.nan_to_num((ends[0] - ends[1]) / (2.0 * STEP))
        more = network.servers.copy()
        more[i] += 1
        if network.law[i] == 0 and network.places[i] < 0:
            out.servers[i] = np.nan_to_num(waits(network=replace(network, servers=more)) - waits(dict(known)))
    nothing = np.zeros(at.size)
    for i, value in by_outside.items():  # what arrives from outside is the flow less what the callers inside send
        out.flow[i] = out.flow.get(i, nothing) + value
        for e in edges:
            if network.target[e] == i:
                j = int(network.source[e])
                out.flow[j] = out.flow.get(j, nothing) - value * network.calls[e]
    for e in edges:
        j, i = int(network.source[e]), int(network.target[e])
        h = STEP * float(network.calls[e])
        ends = []
        for sign in (1.0, -1.0):
            moved = network.calls.copy()
            moved[e] += sign * h
            ends.append(waits(network=replace(network, calls=moved), flow=_through(network, own, moved, edges)))
        found = np.nan_to_num((ends[0] - ends[1]) / (2.0 * h))
        out.calls[e] = found - by_outside.get(i, nothing) * flow[j]
        h = 1e-5 * max(float(network.latency[e]), float(network.service[j]))
        less = network.latency[e] >= h
        ends = []
        for sign in (1.0, -1.0) if less else (2.0, 1.0, 0.0):
            moved = network.latency.copy()
            moved[e] += sign * h
            ends.append(waits(network=replace(network, latency=moved)))
        if less:
            out.latency[e] = np.nan_to_num((ends[0] - ends[1]) / (2.0 * h))
        else:
            out.latency[e] = np.nan_to_num((-ends[0] + 4.0 * ends[1] - 3.0 * ends[2]) / (2.0 * h))
    return out


def _below(network: Network, tight: list[int]) -> tuple[list[int], list[int]]:
    """Return the components that the pools reach by synchronous calls, themselves included, and the calls between."""
    seen, stack = set(tight), list(tight)
    edges = []
    while stack:
        i = stack.pop()
        for e in range(int(network.ptr[i]), int(network.ptr[i + 1])):
            if not network.sync[e] or network.calls[e] <= 0:
                continue
            edges.append(e)
            j = int(network.target[e])
            if j not in seen:
                seen.add(j)
                stack.append(j)
    return sorted(seen), sorted(edges)


def count_inside(network: Network, tight: list[int]) -> int:
    """Return how many components the pools reach by synchronous calls, themselves included."""
    return len(_below(network, tight)[0])


def sends_inside(network: Network, tight: list[int]) -> bool:
    """Return whether components that the pools reach send each other work without waiting for it, directly or not.

    Such work is background that moves with the pool itself; the derivatives of the waits do not separate the two.
    """
    if not tight:
        return False
    inside = _below(network, tight)[0]
    members = set(inside)
    stack = [
        int(network.target[e])
        for i in inside
        for e in range(int(network.ptr[i]), int(network.ptr[i + 1]))
        if not network.sync[e] and network.calls[e] > 0
    ]
    seen: set[int] = set()
    while stack:
        i = stack.pop()
        if i in members:
            return True
        if i not in seen:
            seen.add(i)
            stack.extend(
                int(network.target[e])
                for e in range(int(network.ptr[i]), int(network.ptr[i + 1]))
                if network.calls[e] > 0
            )
    return False


def _outside(network: Network, flow: Array, edges: list[int]) -> Array:
    """Return the part of each flow that does not come over the calls of the pools."""
    e = np.array(edges, np.int64)
    sent = np.bincount(network.target[e], flow[network.source[e]] * network.calls[e], network.n)
    return np.asarray(flow - sent, float)


def _through(network: Network, own: Array, calls: Array, edges: list[int]) -> Array:
    """Return the flows that arrivals from outside make along the calls of the pools."""
    flow = own.copy()
    for e in sorted(edges, key=lambda e: -int(network.position[network.source[e]])):  # callers first
        flow[network.target[e]] += flow[network.source[e]] * calls[e]
    return flow
