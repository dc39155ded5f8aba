"""Derivatives of one answer by every parameter from its adjoint values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fea_arch.solvers.adjoint import BACKOFF, CALLS, MEAN, RETRY, TIMEOUT, Adjoint
from fea_arch.solvers.network import Array, Index, Network

__all__ = ["Gradient", "build_gradient"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of one answer, per component (n,) and per sorted edge (n_edges,).

    ``rate`` is the influence line: by one request a second more from outside at each component. ``servers`` and
    ``retries`` are first-order changes for one more.
    """

    rate: Array
    service: Array
    scv: Array
    servers: Array
    calls: Array
    latency: Array
    timeout: Array
    backoff: Array
    retries: Array
    sweeps: int


def build_gradient(adjoint: Adjoint, psi: Array, sweeps: int) -> Gradient:
    """Return the derivatives by every parameter from the adjoint values."""
    network, state = adjoint.network, adjoint.state
    n, m = network.n, network.target.size
    service, scv, servers = np.zeros(n), np.zeros(n), np.zeros(n)
    edge = {name: np.zeros(m) for name in ("calls", "latency", "timeout", "backoff", "retries")}
    columns = {"calls": CALLS, "latency": MEAN, "timeout": TIMEOUT, "backoff": BACKOFF, "retries": RETRY}
    flow = state.arrivals * state.admitted
    sweep = adjoint.final
    psi_r, psi_v, psi_a, psi_s = (psi[sweep.at[k]] for k in "RVAs")
    with np.errstate(divide="ignore", invalid="ignore"):
        d_scale_s = np.where(sweep.h > 0, 1.0 / sweep.h, 0.0)
        scale = np.where(sweep.h > 0, sweep.state.service / sweep.h, 1.0)
    if not adjoint.service.size:
        parts = adjoint.by_service(sweep, network.scv, d_scale_s)
        service += psi_r * parts[0] + psi_v * parts[1] + psi_a * parts[2]
    # the rates of a chain are measured in units of the stated service time
    own_rates = np.where((network.law == 2) | (network.places >= 0), 1.0, 0.0)
    own_rates[_tabulated(network)] = 0.0
    by_scale = sweep.station[:, 3, :] * (-scale / network.service * own_rates)[:, None]
    service += psi_r * by_scale[:, 0] + psi_v * by_scale[:, 1] - psi_a * adjoint.limit * by_scale[:, 2]
    by_var = sweep.station[:, 2, :] * (sweep.state.service**2)[:, None]
    alive = np.where(adjoint.limit <= 0.0, 0.0, 1.0)
    scv += psi_r * by_var[:, 0] + psi_v * (by_var[:, 1] + alive * sweep.state.service**2)
    scv -= psi_a * adjoint.limit * by_var[:, 2]
    servers += psi_r * sweep.step[:, 0] + psi_v * sweep.step[:, 1] - psi_a * adjoint.limit * sweep.step[:, 2]
    source = network.source
    for name, column in columns.items():
        edge[name] += psi[sweep.at["O"][source]] * sweep.mean_by[:, column]
        edge[name] += psi[sweep.at["Q"][source]] * sweep.variance_by[:, column]
        edge[name] += psi_s[source] * sweep.state.success[source] * sweep.good_by[:, column]
    psi_l = psi[adjoint.arrivals]
    for name, column in columns.items():
        edge[name] += psi_l[network.target] * flow[network.source] * state.calls * adjoint.final.attempts_by[:, column]
    edge["calls"] += psi_l[network.target] * flow[network.source] * state.edge_attempts
    if adjoint.service.size:
        service += psi[adjoint.service]
    else:
        for i, terms in adjoint.explicit_service.items():
            service[i] += sum(float(psi[row] @ value) for row, value in terms)
    for i, terms in adjoint.explicit_scv.items():
        scv[i] += sum(float(psi[row] @ value) for row, value in terms)
    if (explicit := adjoint.explicit(psi)) is not None:
        pools, more = explicit
        servers += more
        if not adjoint.service.size:
            service += pools.service
        service += np.where(own_rates > 0, pools.stated, 0.0)
        scv += pools.scv
        edge["calls"] += pools.calls
        edge["latency"] += pools.latency
    edge["calls"][adjoint.balanced] = np.nan  # the balancer decides them
    edge["timeout"][np.isnan(network.timeout)] = np.nan
    edge["backoff"][network.retries == 0] = 0.0
    return Gradient(rate=psi_l, service=service, scv=scv, servers=servers, sweeps=sweeps, **edge)


def _tabulated(network: Network) -> Index:
    return np.flatnonzero(network.arch.component_columns.column("law") == "tabulated")
