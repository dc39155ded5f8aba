"""The static state that dynamic analyses start from or are linearised at."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from fea_arch.analyses.static import _closed, _unstable
from fea_arch.architecture import Architecture
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["static_state"]

#: Last state of each architecture: many transients of one architecture start from the same state.
_LAST: WeakKeyDictionary[Architecture, tuple[float, Network, NetworkState]] = WeakKeyDictionary()


def static_state(arch: Architecture, load_factor: float = 1.0) -> tuple[Network, NetworkState]:
    """Return the network of an architecture and its equilibrium at a multiple of the design load.

    The state must not be changed: it is shared between calls.

    Raises
    ------
    UnstableLoadError
        If there is no equilibrium at this load.
    """
    known = _LAST.get(arch)
    if known is not None and known[0] == load_factor:
        return known[1], known[2]
    network = build_network(arch)
    if any(load.closed for load in arch.loads):
        state = _closed(arch, network, load_factor)[0]
    else:
        state = solve_network(network, load_factor=load_factor)
        if state.limiting >= 0:
            raise _unstable(network, state, network.external, load_factor)
    _LAST[arch] = (load_factor, network, state)
    return network, state
