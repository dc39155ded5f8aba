"""The separable case of reinforcement: servers of stations that do not feed back, for a mean response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fea_arch.advice.allocation import choose_levels
from fea_arch.advice.moves import Move
from fea_arch.architecture import Architecture
from fea_arch.solvers.adjoint import build_adjoint
from fea_arch.solvers.network import Array, Network, build_network
from fea_arch.solvers.statics import solve_network

__all__ = ["cheapest_servers"]

#: Most servers that are added to one component.
MOST = 64


def cheapest_servers(
    arch: Architecture, goal: Mapping[str, float], prices: Mapping[str, float], bounds: Mapping[str, float]
) -> list[Move] | None:
    """Return the cheapest servers that reach a mean response, or None where the problem is not separable.

    The mean response is ``sum_i v_i W_i(c_i)`` plus what no server changes, with the visits ``v`` of a request, as
    long as nothing feeds back, no worker is held while it waits and no call is parallel or timed. The tables
    ``W_i(c)`` are those of the solver itself.
    """
    if set(goal) != {"response_s"} or any(load.closed for load in arch.loads):
        return None
    network = build_network(arch)
    if not _separable(network):
        return None
    state = solve_network(network, tol=1e-12)
    if state.limiting >= 0 or not state.external.sum():
        return None
    weight = network.external / network.external.sum()
    need = float(weight @ state.response) - goal["response_s"]
    if need <= 0.0:
        return []
    adjoint = build_adjoint(state)
    psi, _ = adjoint.solve(adjoint.seed(weight))
    visits = psi[adjoint.final.at["R"]]
    places = [i for i in range(network.n) if network.law[i] == 0 and visits[i] > 0 and state.wait[i] > 0]
    gains, costs = [], []
    waits = _waits(arch, places, state.wait)
    for i in places:
        name = arch.names[i]
        price = prices.get(f"{name}.servers", prices["servers"]) * arch[name].replicas
        most = bounds.get(f"{name}.servers", bounds.get("servers", np.inf))
        levels = max(min(MOST, int(min(most, 1e9)) - arch[name].servers), 0) if np.isfinite(price) else 0
        gains.append(visits[i] * (waits[i][0] - waits[i][: levels + 1]))
        costs.append(price * np.arange(levels + 1.0))
    chosen = choose_levels(gains, costs, need) if places else None
    if chosen is None:
        return None
    return [
        Move("servers", arch.names[i], "servers", arch[arch.names[i]].servers, arch[arch.names[i]].servers + k,
             float(costs[j][k]))
        for j, (i, k) in enumerate(zip(places, chosen)) if k
    ]  # fmt: skip


def _waits(arch: Architecture, places: list[int], wait: Array) -> dict[int, Array]:
    """Return the waits with 0, 1, ... more servers at every place; flows do not move, so all at once."""
    out = {i: np.zeros(MOST + 1) for i in places}
    network = build_network(arch)
    for k in range(MOST + 1):
        servers = network.servers.copy()
        servers[places] += k
        found = solve_network(replace(network, servers=servers), tol=1e-12)
        for i in places:
            out[i][k] = found.wait[i]
    for i in places:
        out[i][0] = wait[i]
    return out


def _separable(network: Network) -> bool:
    """Return whether waits depend on the own servers only and add up."""
    sync = network.sync
    return bool(
        not (network.blocking[network.source] & sync).any()
        and np.isnan(network.timeout).all()
        and (network.retries == 0).all()
        and (network.stage < 0).all()
        and (network.places < 0).all()
        and (network.law != 2).all()
        and (network.host < 0).all()
        and (network.policy != 3).all()
        and np.isinf(network.rate_limit).all()
    )
