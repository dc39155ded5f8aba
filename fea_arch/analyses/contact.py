"""Contact: the one-sided constraints of an architecture, and which of them act at a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.analyses.fracture import open_model
from fea_arch.architecture import Architecture
from fea_arch.kernels.overload import REJECTED
from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload

__all__ = ["Interface", "contact"]

#: Share of failed or rejected requests from which a constraint counts as acting.
ACTING = 1e-6


@dataclass(frozen=True)
class Interface:
    """A constraint that does nothing until it is touched, and then only pushes back.

    Attributes
    ----------
    kind : str
        rate_limit, queue, pool (all workers busy), host (CPUs busy), timeout or breaker.
    place : str
        The component, host or dependency ``"a->b"``.
    value, limit : float
        What presses and where it is stopped: requests a second, utilisation, busy workers, busy CPUs, mean seconds that
        a caller waits, share of failed calls.
    gap : float
        ``1 - value / limit``, at least 0: what is left before it is touched [1].
    force : float
        Share of the requests or calls that it turns away, holds back or cuts off [1].
    active : bool
    """

    kind: str
    place: str
    value: float
    limit: float
    gap: float
    force: float
    active: bool

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "kind": self.kind, "place": self.place, "value": float(self.value), "limit": float(self.limit),
            "gap": float(self.gap), "force": float(self.force), "active": bool(self.active),
        }  # fmt: skip


def contact(arch: Architecture, load_factor: float = 1.0) -> tuple[Interface, ...]:
    """List the one-sided constraints with their gap, those that act first.

    Parameters
    ----------
    arch : Architecture
    load_factor : float
        Multiple of the design load [1].

    Returns
    -------
    tuple of Interface
        Rate limits, bounded queues, worker pools that wait for callees, hosts, time-outs and circuit breakers.

    Raises
    ------
    ModelError
        Without load, or for a load factor that is not a finite number of 0 or more.

    Notes
    -----
    The complementarity of contact mechanics: gap >= 0, force >= 0, and in the mean one of them is zero. Queues and
    response times scatter, so a force begins a little before the gap is closed.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="limited", components=[fa.Component("api", rate_limit_per_s=50.0)],
    ...                        loads=[fa.Load("api", rate_per_s=80.0)])
    >>> [(i.kind, i.place, round(i.force, 3), i.active) for i in contact(arch)]
    [('rate_limit', 'api', 0.375, True)]
    """
    model, _ = open_model(arch)
    state = overload(model, load_factor)
    found = [*_stations(model, state), *_hosts(model, state), *_calls(model, state)]
    return tuple(sorted(found, key=lambda i: (not i.active, i.gap, i.place)))


def _stations(model: OverloadModel, state: OverloadState) -> list[Interface]:
    network = model.network
    names, found = network.names, []
    for i in np.flatnonzero(np.isfinite(network.rate_limit) & ~state.dead).tolist():
        came, limit = float(state.arrivals[i]), float(network.rate_limit[i])
        turned = max(1.0 - limit / came, 0.0) if came > 0 else 0.0
        gap = max(1.0 - came / limit, 0.0)
        found.append(Interface("rate_limit", names[i], came, limit, gap, turned, turned > ACTING))
    for i in np.flatnonzero((network.places >= 0) & ~state.dead).tolist():
        turned = float(state.outcome[i, REJECTED])
        busy = float(state.utilisation[i])
        found.append(Interface("queue", names[i], busy, 1.0, max(1.0 - busy, 0.0), turned, turned > ACTING))
    pools = network.blocking & (network.law == 0) & (np.diff(network.ptr) > 0) & ~state.dead
    for i in np.flatnonzero(pools).tolist():
        workers = float(network.servers[i] * network.replicas[i])
        need = float(state.arrivals[i] * state.hold[i])
        held = max(1.0 - workers / need, 0.0) if need > 0 else 0.0
        acting = bool(state.full[i] or state.growth[i] > 0 or need >= workers)
        busy = min(need, workers)
        found.append(Interface("pool", names[i], busy, workers, 1.0 - busy / workers, held, acting))
    return found


def _hosts(model: OverloadModel, state: OverloadState) -> list[Interface]:
    network = model.network
    found = []
    flow = np.where(state.dead, 0.0, np.minimum(state.served, state.arrivals))
    for h, host in enumerate(network.arch.hosts):
        on = network.host == h
        if not on.any():
            continue
        busy, limit = float((flow[on] * network.cpu[on]).sum()), float(host.cpus)
        acting = busy >= 0.999 * limit
        stretched = 1.0 - 1.0 / float(state.stretch[h])
        found.append(Interface("host", host.name, busy, limit, max(1.0 - busy / limit, 0.0), stretched, acting))
    return found


def _calls(model: OverloadModel, state: OverloadState) -> list[Interface]:
    network = model.network
    found = []
    failed = _failed(state)
    for e in np.flatnonzero(~np.isnan(network.timeout) & (state.edge_flow > 0) & network.sync).tolist():
        limit = float(network.timeout[e])
        time = min(float(network.latency[e] + state.response[network.target[e]]), limit)
        late = float(state.per[e, 2])
        found.append(Interface("timeout", _label(network, e), time, limit, 1.0 - time / limit, late, late > ACTING))
    for e in np.flatnonzero(np.isfinite(model.breaker) & (state.edge_flow > 0)).tolist():
        limit = float(model.breaker[e])
        share = float(failed[e])
        gap = max(1.0 - share / limit, 0.0)
        found.append(Interface("breaker", _label(network, e), share, limit, gap, share, share >= limit))
    return found


def _failed(state: OverloadState) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(state.tries > 0, (state.per[:, 0] + state.per[:, 4]) / state.tries, 0.0)
    return np.where(state.edge_flow > 0, 1.0 - one, 0.0)


def _label(network: Network, e: int) -> str:
    return f"{network.names[network.source[e]]}->{network.names[network.target[e]]}"
