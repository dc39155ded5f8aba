"""Response times along a fluid history: what a request that arrives at each time will meet on its way.

A request that joins a queue of ``N`` leaves when ``N`` more have left (order of arrival), which is the horizontal
distance between the curves of arrivals and departures; its calls start after that, so the waits of callees are read at
later times. The variance of a wait is the stationary one, scaled by the variance of the number inside; where a queue
was built up by overload it is that of the services ahead. Where some requests take a detour (a call that not every
request makes, to a part that is slow), the response is a mixture of two gamma distributions, with and without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.fluid_response import follow_calls, own_times
from fea_arch.solvers.fluid import Fluid
from fea_arch.solvers.fluid_record import History
from fea_arch.solvers.station_tables import CELLS

__all__ = ["Responses", "responses"]

Array = NDArray[np.float64]

#: Time of a request that is never answered [s].
NEVER = 1e9


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of arrivals at each time, (n_times, n).

    Mean and variance, the share that succeeds, and of the detour with the largest variance its probability, the time
    that it adds and the variance of that.
    """

    mean: Array
    variance: Array
    success: Array
    detour: tuple[Array, Array, Array]


def mixed_late_share(mean: Array, variance: Array, detour: tuple[Array, Array, Array], limit: float) -> Any:
    """Return ``P(T > t)`` and ``E[min(T, t)]`` where some requests take a detour."""
    p, more, spread = detour
    usual, own = mean - p * more, variance - p * spread - p * (1.0 - p) * more * more
    mixed = (p > 1e-9) & (usual > 0.0) & (own > 0.0)
    late, below = late_share(np.where(mixed, usual, mean), np.where(mixed, own, variance), limit)
    if not mixed.any():
        return late, below
    slow, top = late_share(np.where(mixed, usual + more, mean), np.where(mixed, own + spread, variance), limit)
    p = np.where(mixed, p, 0.0)
    return (1.0 - p) * late + p * slow, (1.0 - p) * below + p * top


def late_share(mean: Array, variance: Array, timeout: float | Array) -> tuple[Array, Array]:
    """Return ``P(T > t)`` and ``E[min(T, t)]`` of gamma distributions with these moments."""
    from scipy.special import gammaincc

    fixed = variance <= 1e-9 * mean * mean
    shape = np.where(fixed, 1.0, mean * mean / np.where(fixed, 1.0, variance))
    x = timeout * shape / np.maximum(mean, 1e-300)
    late = np.where(fixed, (mean > timeout).astype(float), gammaincc(shape, x))
    below = np.where(fixed, np.minimum(mean, timeout), mean * (1.0 - gammaincc(shape + 1.0, x)) + timeout * late)
    return late, below


def responses(model: Fluid, history: History) -> Responses:
    """Follow requests that arrive at each recorded time through their calls.

    Parameters
    ----------
    model : Fluid
    history : History

    Returns
    -------
    Responses
    """
    net, n0, t = model.network, model.n0, history.time
    scv = model.scv[:n0] / model.refine
    law = (model.row[:n0], model.scale[:n0], model.copies[:n0], scv, model.held_any)
    tables = (model.tables.cubic, model.tables.waiting, CELLS)
    number, service = history.number, history.service
    if model.refine > 1:
        number, service = (a.reshape(t.size, model.refine, n0).sum(axis=1) for a in (number, service))
    flow, response, noise = history.flow[:, -n0:], history.response[:, :n0], history.variance[:, :n0]
    columns = (number, flow, service, response, noise, history.admitted_share[:, :n0])
    number, flow, service, response, noise, share = (np.ascontiguousarray(a) for a in columns)
    own, variance, good = np.empty((3, n0, t.size))
    own_times(t, number, flow, service, response, noise, law, tables, NEVER, own, variance, share, good)
    mean, detour = own.copy(), np.zeros((3, n0, t.size))
    place = model.inner + np.argsort(model.call)
    timeout, budget = (np.where(np.isnan(a), np.inf, a) for a in (net.timeout, net.budget))
    contract = (
        net.sync, model.calls[place], model.weight[place], net.latency, timeout,
        net.retries, net.backoff, budget, net.required,
    )  # fmt: skip
    follow_calls(t, net.order, net.ptr, net.target, contract, own, mean, variance, good, detour)
    np.minimum(mean, NEVER, out=mean)
    np.minimum(variance, NEVER**2, out=variance)
    return Responses(mean.T, variance.T, good.T, (detour[0].T, detour[1].T, detour[2].T))
