"""The static state that dynamic analyses start from or are linearised at."""

from __future__ import annotations

from weakref import ref

from fea_arch.analyses.static import _closed, _unstable
from fea_arch.architecture import Architecture
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["static_state"]

#: Latest states: many transients of one architecture start from the same one.
_LATEST: list[tuple[ref[Architecture], float, Network, NetworkState]] = []


def static_state(arch: Architecture, load_factor: float = 1.0) -> tuple[Network, NetworkState]:
    """Return the network of an architecture and its equilibrium at a multiple of the design load.

    The state must not be changed: it is shared between calls.

    Raises
    ------
    UnstableLoadError
        If there is no equilibrium at this load.
    """
    for known, factor, network, state in _LATEST:
        if known() is arch and factor == load_factor:
            return network, state
    network = build_network(arch)
    if any(load.closed for load in arch.loads):
        state = _closed(arch, network, load_factor)[0]
    else:
        state = solve_network(network, load_factor=load_factor)
        if state.limiting >= 0:
            raise _unstable(network, state, network.external, load_factor)
    _LATEST[:] = [(ref(arch), load_factor, network, state), *_LATEST[:3]]
    return network, state
