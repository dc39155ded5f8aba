"""How the waits that bounded pools prescribe enter the adjoint of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fea_arch.solvers.network import Array
from fea_arch.solvers.pool_linearisation import PoolPull

if TYPE_CHECKING:
    from fea_arch.solvers.adjoint import Adjoint

__all__ = ["pull_pools"]


def pull_pools(adjoint: Adjoint, on_wait: Array) -> tuple[Array, PoolPull]:
    """Return what the unknowns owe to the waits of the pools, and the derivatives behind it.

    Holding times enter the waits through their variability ``(s^2 scv + Q) / h^2``, and the waits of the open model
    through the laws of the stations.

    Parameters
    ----------
    adjoint : Adjoint
    on_wait : (n_waits,) float64
        Adjoint values of the waits.
    """
    assert adjoint.pools is not None
    network, state, final, limit = adjoint.network, adjoint.state, adjoint.final, adjoint.limit
    weight = np.zeros(network.n)
    weight[adjoint.pool_components] = on_wait
    found = adjoint.pools.pull(weight)
    out = np.zeros(adjoint.size)
    station = final.station[:, :, 3]
    steady = np.isfinite(network.rate_limit) & (limit < 1.0)
    out[adjoint.arrivals] += found.flow * state.admitted
    out[adjoint.arrivals] += found.open_wait * station[:, 0] * np.where(steady, 0.0, limit)
    varies = (network.places >= 0) | np.isfinite(network.rate_limit)
    out[final.at["A"]] += np.where(varies, found.flow * state.arrivals, 0.0)
    h = np.where(final.h > 0, final.h, np.inf)
    d_mean = found.open_wait * station[:, 1] - found.hold_scv * 2.0 * final.h_var / h**3
    d_var = found.open_wait * station[:, 2] + found.hold_scv / h**2
    out[final.at["O"]] += np.where(network.blocking, d_mean, 0.0)
    out[final.at["Q"]] += np.where(network.blocking, d_var, 0.0)
    found.service[:] += d_mean + d_var * 2.0 * network.scv * state.service
    found.scv[:] += d_var * state.service**2
    if adjoint.service.size:
        out[adjoint.service] += found.service
    return out, found
