"""Queues of pools beyond exponential times: variability, returning requests, and what only some requests wait for.

The product form takes every time as exponential and every arrival as independent. Three things change a queue at the
same throughput: held times that vary less or more, requests that come back to the same queue, and completions that
come and go with the number of workers caught at a callee. Each enters through one number, the dispersion of work
brought or of work done over a long time, as in the two-moment approximations of queues.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from fea_arch.solvers.network import Array, Network

__all__ = ["completion_terms", "dispersion", "queue_factor", "repeats", "two_stage_scv", "visit_spread"]


def queue_factor(repeats: float, scv: float, load: Array | float, servers: int) -> Array:
    """Return the mean queue over that of exponential times and independent arrivals at the same load [1].

    ``1 + ((v + c2)/(v + 1) - 1) (1 - g)`` with the ``(1 - g)`` of Cosmetatos, which many servers make small in light
    traffic. For ``v = 1`` it is the interpolation between ``M/D/c`` and ``M/M/c`` (Cosmetatos 1976, Page 1982).
    Requests that return ``v`` times queue for work that is counted ``(v + 1)/2`` times over: ``v -> inf`` is processor
    sharing, where the variability of a single time is not seen.

    Parameters
    ----------
    repeats : float
        From :func:`repeats`.
    scv : float
        Squared coefficient of variation of the time, or dispersion of the completions of a full pool [1].
    load : (k,) float64 or float
        Arrivals over the largest completion rate [1].
    servers : int
    """
    x = np.clip(load, 1e-12, 1.0)
    light = (1.0 - x) * (servers - 1) * (np.sqrt(4.0 + 5.0 * servers) - 2.0) / (16.0 * servers * x)
    return np.asarray(1.0 + ((repeats + max(scv, 0.0)) / (repeats + 1.0) - 1.0) * np.maximum(1.0 - light, 0.0))


def repeats(network: Network, i: int, flow: Array) -> float:
    """Return ``E[v^2] / E[v]`` of the visits that one request pays to a component by synchronous calls [1].

    A request is what comes from outside or by an event; the visits of different calls are independent, a fraction of a
    call is made or not. It is 1 where every request comes at most once.
    """
    above, stack = {i}, [i]
    while stack:
        k = stack.pop()
        for e in network.in_edge[network.in_ptr[k] : network.in_ptr[k + 1]].tolist():
            j = int(network.source[e])
            if network.sync[e] and network.calls[e] > 0 and flow[j] > 0 and j not in above:
                above.add(j)
                stack.append(j)
    mean: dict[int, float] = {}
    variance: dict[int, float] = {}
    first = second = 0.0
    for j in sorted(above, key=lambda k: int(network.position[k])):  # callees first
        m, v = float(j == i), 0.0
        for e in range(int(network.ptr[j]), int(network.ptr[j + 1])):
            t = int(network.target[e])
            if network.sync[e] and t in mean:
                calls = float(network.calls[e])
                part = calls - np.floor(calls)
                m += calls * mean[t]
                v += calls * variance[t] + part * (1.0 - part) * mean[t] ** 2
        mean[j], variance[j] = m, v
        sent = network.in_edge[network.in_ptr[j] : network.in_ptr[j + 1]]
        sent = sent[network.sync[sent]]
        root = float(flow[j] - flow[network.source[sent]] @ network.calls[sent])
        if root > 1e-9 * flow[j]:
            first += root * m
            second += root * (m * m + v)
    return second / first if first > 0 else 1.0


def visit_spread(network: Network, i: int, pools: Container[int]) -> dict[int, float]:
    """Return the squared coefficient of variation of the visits that a request at ``i`` pays to each station below.

    Only where there is more than one visit on average; pools are stations, what is behind them is theirs.
    """
    below, stack = {i}, [i]
    calls: dict[int, list[tuple[int, float]]] = {}
    while stack:
        k = stack.pop()
        calls[k] = []
        if k in pools:
            continue
        for e in range(int(network.ptr[k]), int(network.ptr[k + 1])):
            j = int(network.target[e])
            if network.sync[e] and network.calls[e] > 0 and j != k:
                calls[k].append((j, float(network.calls[e])))
                if j not in below:
                    below.add(j)
                    stack.append(j)
    order = sorted(below, key=lambda k: int(network.position[k]))  # callees first
    at = {k: p for p, k in enumerate(order)}
    mean, variance = np.eye(len(order)), np.zeros((len(order), len(order)))
    for p, k in enumerate(order):
        for j, ratio in calls[k]:
            part = ratio - np.floor(ratio)
            mean[p] += ratio * mean[at[j]]
            variance[p] += ratio * variance[at[j]] + part * (1.0 - part) * mean[at[j]] ** 2
    m, v = mean[at[i]], variance[at[i]]
    return {k: float(v[p] / m[p] ** 2) for p, k in enumerate(order) if m[p] > 1.0}


def completion_terms(
    rest: Array, own: Array, visits: Array, extra: Array, scv: Array, waiting: float, share: Array
) -> Array:
    """Return what each of some callees adds to the dispersion of the completions of a full pool, (k,) [1].

    Where only some requests call it (``visits < 1``), the workers caught there pile up while the others pass: the pool
    completes fast and slowly by turns, and each turn lasts long. Where every request comes often, its many times there
    average out. Both are seen in the chain of the number at the callee; what the chain has without queues is taken off,
    since the variability of the held times is known better.

    Parameters
    ----------
    rest, own : (k, pool) float64
        Completion rates of all else, and of the callee, with 1, 2, ... workers there [1/s].
    visits, extra : (k,) float64
        Calls per request, and their squared coefficient of variation (:func:`visit_spread`) [1].
    scv : (k,) float64
        Squared coefficient of variation of the callee's own times [1].
    waiting : float
        Share of the held time that a full pool spends in queues [1].
    share : (k,) float64
        Share of that which it spends at this callee [1].
    """
    plain = two_stage_scv(1.0 / rest[..., 0], 1.0 / own[..., 0], visits)
    rounds, part = np.maximum(visits, 1.0), np.minimum(visits, 1.0)
    here = (2.0 - part) / part / rounds  # all wait at this callee, exponential as in the chain
    limit = (scv + 1.0 - part) / part / rounds + extra
    return np.asarray(share * (dispersion(rest, own, visits) - (1.0 - waiting) * plain + waiting * (limit - here)))


def two_stage_scv(rest: Array | float, own: Array | float, visits: Array | float) -> Array:
    """Return the squared coefficient of variation of exponential stages, the second passed by ``visits`` on average.

    More than one visit is so many rounds through both stages, one after the other.
    """
    rounds, part = np.maximum(visits, 1.0), np.minimum(visits, 1.0)
    once = rest / rounds
    square = once**2 + part * (2.0 - part) * np.square(own)
    return np.asarray(square / (once + part * own) ** 2 / rounds)


def dispersion(rest: Array, own: Array, visits: Array | float) -> Array:
    """Return the index of dispersion of the completions of a full pool over a long time, (...) [1].

    The number at the callee is a birth-death chain whose completions are counted: ``1 + 2 sum_k p_k (r h)_k / X`` with
    ``h`` from the Poisson equation ``Q h = X - r``. With more than one visit the rounds are counted, and a request has
    ``visits`` of them.

    Parameters
    ----------
    rest, own : (..., pool) float64
        As for :func:`completion_terms`.
    visits : (...) float64
    """
    calls = np.asarray(visits, float)[..., None]
    rounds, share = np.maximum(calls, 1.0), np.minimum(calls, 1.0)
    shape = (*rest.shape[:-1], rest.shape[-1] + 1)
    left, done, logs, h = (np.zeros(shape) for _ in range(4))
    left[..., :-1] = rest[..., ::-1] * rounds  # with k = 0 .. pool at the callee
    done[..., 1:] = own
    np.cumsum(np.log(share * left[..., :-1]) - np.log(own), axis=-1, out=logs[..., 1:])
    p = np.exp(logs - logs.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    passed = (1.0 - share) * left
    out = passed + done
    mean = (p * out).sum(axis=-1, keepdims=True)
    excess = p * (out - mean)
    below = np.cumsum(excess, axis=-1)[..., :-1]  # from either end up to the mode: nothing cancels
    above = np.cumsum(excess[..., ::-1], axis=-1)[..., -2::-1]
    first = np.arange(rest.shape[-1]) < p.argmax(axis=-1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(first, -below / (p * share * left)[..., :-1], above / (p * done)[..., 1:])
    slope[~np.isfinite(slope)] = 0.0
    np.cumsum(slope, axis=-1, out=h[..., 1:])
    h -= (p * h).sum(axis=-1, keepdims=True)
    ahead = passed * h
    ahead[..., 1:] += own * h[..., :-1]
    return np.asarray(((1.0 + 2.0 * (p * ahead).sum(axis=-1, keepdims=True) / mean) / rounds)[..., 0])
