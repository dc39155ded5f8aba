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

from fea_arch.solvers.fluid import Fluid
from fea_arch.solvers.fluid_record import History

__all__ = ["Responses", "responses"]

Array = NDArray[np.float64]

#: Time of a request that is never answered [s].
NEVER = 1e9
#: Components up to which calls are followed to the time at which they are made.
FOLLOWED = 2000


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


def _own(model: Fluid, history: History) -> tuple[Array, Array, Array, Array]:
    """Time in the own station, its variance, throughput and share admitted, each (n_times, n_components)."""
    n0, refine, t = model.n0, model.refine, history.time
    number = history.number.reshape(t.size, refine, n0).sum(axis=1)
    service = history.service.reshape(t.size, refine, n0).sum(axis=1)
    flow = history.flow[:, -n0:]
    step = np.diff(t)[:, None]
    left = np.concatenate([np.zeros((1, n0)), np.cumsum(0.5 * step * (flow[1:] + flow[:-1]), axis=0)])
    own = np.empty_like(number)
    for i in range(n0):
        goal = left[:, i] + number[:, i]
        own[:, i] = np.interp(goal, left[:, i], t) - t
        beyond = goal > left[-1, i]
        if beyond.any():
            rate = flow[-1, i]
            rest = (goal[beyond] - left[-1, i]) / rate if rate > 1e-9 else NEVER
            own[beyond, i] = np.where(goal[beyond] - left[-1, i] > 1e-6, t[-1] - t[beyond] + rest, own[beyond, i])
    own = np.minimum(np.maximum(own, service), NEVER)
    stations = np.flatnonzero(model.row[:n0] >= 0)
    scv = model.scv[:n0] * (1.0 if refine == 1 else 1.0 / refine)
    variance = scv * service * service
    if stations.size:
        s = stations
        outside = np.maximum(history.response[:, :n0][:, s] - own[:, s], 0.0) * model.held_any[s]
        hold = service[:, s] + outside
        total = number[:, s] + flow[:, s] * outside
        copies = np.maximum(model.copies[s], 1e-12)
        part = model.tables_of(s)
        _, slope = part.look_up(total / copies)
        pw = np.maximum(part.linear(part.waiting, total / copies), 1e-9)
        wait = own[:, s] - service[:, s]
        steep = slope / np.maximum(hold - outside * slope, 1e-12)
        rest = flow[:, s] / np.maximum(steep, 1e-9)
        ratio = np.minimum(history.variance[:, :n0][:, s] / np.maximum(rest, 1e-12), 1.5)
        per = hold / (copies * model.scale[s])
        ahead = np.maximum(number[:, s] - flow[:, s] * service[:, s], 0.0)
        variance[:, s] += ratio * wait * wait * (2.0 / pw - 1.0) + np.maximum(1.0 - ratio, 0.0) * ahead * per * per
    return own, np.minimum(variance, NEVER**2), flow, history.admitted_share[:, :n0]


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
    own, own_var, _, admitted = _own(model, history)
    # at a jump two records share one time; later reads must see the second
    clock = t + np.arange(t.size) * 1e-12 * max(float(t[-1]), 1.0)
    mean, variance, good = own.copy(), own_var.copy(), admitted.copy()
    share, more, spread = np.zeros_like(own), np.zeros_like(own), np.zeros_like(own)
    start = model.inner
    place = np.argsort(model.call)
    followed = n0 <= FOLLOWED
    if not followed and model.level is not None:
        return _by_level(model, mean, variance, good)
    for i in net.order.tolist():
        when = t + own[:, i]
        widest = np.zeros(t.size)
        for e in range(net.ptr[i], net.ptr[i + 1]):
            if not net.sync[e] or net.target[e] == i:
                continue
            j = int(net.target[e])

            def at(values: Array, when: Array = when) -> Array:
                return np.interp(when, clock, values) if followed else values

            m, v, lost = net.latency[e] + at(mean[:, j]), at(variance[:, j]), 1.0 - at(good[:, j])
            detour = (at(share[:, j]), at(more[:, j]), at(spread[:, j]))
            if np.isfinite(net.timeout[e]):
                late, m = mixed_late_share(m, v, detour, float(net.timeout[e]))
                v = np.minimum(v, m * m)
                lost = 1.0 - (1.0 - late) * (1.0 - lost)
            tries = np.ones_like(m)
            if net.retries[e] > 0:
                top = float(net.retries[e] + 1)
                tries = np.where(lost < 1.0, (1.0 - lost**top) / np.maximum(1.0 - lost, 1e-12), top)
                if np.isfinite(net.budget[e]):
                    tries = np.minimum(tries, 1.0 + net.budget[e])
            k = start + int(place[e])
            calls = model.calls[k]
            weight = calls * model.weight[k]
            once = model.weight[k] * (tries * m + (tries - 1.0) * net.backoff[e])
            mean[:, i] += calls * once
            whole = np.floor(calls)
            part = calls - whole
            variance[:, i] += weight * tries * v + part * (1.0 - part) * once * once
            here = (np.full(t.size, part), once, model.weight[k] * tries * v)
            there = (calls * detour[0], model.weight[k] * detour[1], model.weight[k] * detour[2])
            for p, longer, noise in (here, there):
                width = np.where(p < 1.0, p * (1.0 - p) * longer * longer, 0.0)
                better = width > widest
                widest = np.where(better, width, widest)
                for kept, new in ((share, p), (more, longer), (spread, noise)):
                    kept[:, i] = np.where(better, new, kept[:, i])
            if net.required[e]:
                good[:, i] *= np.clip((1.0 - lost) * tries, 0.0, 1.0) ** calls
    return Responses(np.minimum(mean, NEVER), np.minimum(variance, NEVER**2), good, (share, more, spread))


def _by_level(model: Fluid, mean: Array, variance: Array, good: Array) -> Responses:
    """Add the calls level by level, all of them at once and at the time of arrival, callees first."""
    net, none = model.network, np.zeros_like(mean)
    assert model.level is not None
    place = model.inner + np.argsort(model.call)
    calls, scale = model.calls[place], model.weight[place]
    for level in range(int(model.level.max(initial=0)), -1, -1):
        e = np.flatnonzero(net.sync & (model.level[net.source] == level))
        if not e.size:
            continue
        who, first = np.unique(net.source[e], return_index=True)  # edges are sorted by source
        j, c = net.target[e], calls[e]
        m, v, lost = net.latency[e] + mean[:, j], variance[:, j], 1.0 - good[:, j]
        timed = np.flatnonzero(np.isfinite(net.timeout[e]))
        if timed.size:
            late, below = late_share(m[:, timed], v[:, timed], net.timeout[e[timed]])
            m[:, timed], v[:, timed] = below, np.minimum(v[:, timed], below * below)
            lost[:, timed] = 1.0 - (1.0 - late) * (1.0 - lost[:, timed])
        tries, again = np.ones_like(m), np.flatnonzero(net.retries[e] > 0)
        if again.size:
            top, miss = net.retries[e[again]] + 1.0, lost[:, again]
            many = np.where(miss < 1.0, (1.0 - miss**top) / np.maximum(1.0 - miss, 1e-12), top)
            budget = net.budget[e[again]]
            tries[:, again] = np.minimum(many, np.where(np.isfinite(budget), 1.0 + budget, np.inf))
        once = scale[e] * (tries * m + (tries - 1.0) * net.backoff[e])
        part = c - np.floor(c)
        noise = c * scale[e] * tries * v + part * (1.0 - part) * once * once
        mean[:, who] += np.add.reduceat(c * once, first, axis=1)
        variance[:, who] += np.add.reduceat(noise, first, axis=1)
        kept = np.where(net.required[e], np.clip((1.0 - lost) * tries, 0.0, 1.0) ** c, 1.0)
        good[:, who] *= np.multiply.reduceat(kept, first, axis=1)
    return Responses(np.minimum(mean, NEVER), np.minimum(variance, NEVER**2), good, (none, none, none))
