"""The static state that dynamic analyses start from or are linearised at."""

from __future__ import annotations

from fea_arch.analyses.static import _closed, _unstable
from fea_arch.architecture import Architecture
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["static_state"]


def static_state(arch: Architecture, load_factor: float = 1.0) -> tuple[Network, NetworkState]:
    """Return the network of an architecture and its equilibrium at a multiple of the design load.

    Raises
    ------
    UnstableLoadError
        If there is no equilibrium at this load.
    """
    network = build_network(arch)
    if any(load.closed for load in arch.loads):
        return network, _closed(arch, network, load_factor)[0]
    state = solve_network(network, load_factor=load_factor)
    if state.limiting >= 0:
        raise _unstable(network, state, network.external, load_factor)
    return network, state
