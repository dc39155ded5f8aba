"""What a request that arrives at each recorded time of a fluid history meets: its own station, and then its calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel
from fea_arch.kernels.fluid_calls import cut_mixture

__all__ = ["follow_calls", "own_times"]

#: Columns that are turned into rows together: a line of memory is read once.
_TOGETHER = 8


@kernel(work=lambda t, number, *rest: 60.0 * number.size)
def own_times(
    t: Any, number: Any, flow: Any, service: Any, response: Any, noise: Any, law: Any, tables: Any, never: float,
    own: Any, variance: Any, share: Any, good: Any,
) -> None:  # fmt: skip
    """Time in the own station and its variance, and the share admitted, components in rows.

    A request that joins a queue of ``N`` leaves when ``N`` more have left: the horizontal distance between the curves
    of arrivals and departures.

    Parameters
    ----------
    t : (k,) float64
        Times [s].
    number, flow, service, response, noise : (k, n) float64
        Requests inside, throughput [1/s], service time and response [s], variance of the number inside [req^2].
    law : tuple of (n,) arrays
        Table row (-1 for delays), scale, copies, variability of services, whether workers wait for callees.
    tables : tuple
        Cubics and waiting probabilities of the laws, cells of a table.
    never : float
        Time of a request that is never answered [s].
    own, variance : (n, k) float64
        Renewed [s, s^2].
    share, good : (k, n), (n, k) float64
        Share admitted, and where it goes [1].
    """
    row, scale, copies, scv, held = law
    cubic, waiting, cells = tables
    size, n = number.shape
    left = np.zeros(size)
    lanes = np.zeros((5, _TOGETHER, size))
    for i in range(n):
        b = i % _TOGETHER
        if b == 0:
            for k in range(size):
                for c in range(min(_TOGETHER, n - i)):
                    lanes[0, c, k] = number[k, i + c]
                    lanes[1, c, k] = flow[k, i + c]
                    lanes[2, c, k] = service[k, i + c]
                    lanes[3, c, k] = response[k, i + c]
                    lanes[4, c, k] = noise[k, i + c]
                    good[i + c, k] = share[k, i + c]
        for k in range(1, size):
            left[k] = left[k - 1] + max(0.5 * (t[k] - t[k - 1]) * (lanes[1, b, k] + lanes[1, b, k - 1]), 0.0)
        p = 0
        for k in range(size):
            s, now = lanes[2, b, k], lanes[0, b, k]
            goal = left[k] + now
            stay = s
            if now > 1e-6:  # else nobody is in the way
                p = max(p, k)
                while p > k and left[p] > goal:
                    p -= 1
                while p < size - 1 and left[p + 1] <= goal:
                    p += 1
                if p < size - 1:
                    stay = t[p] + (goal - left[p]) / (left[p + 1] - left[p]) * (t[p + 1] - t[p]) - t[k]
                else:
                    stay = t[p] - t[k]
                    if goal - left[p] > 1e-6:
                        rate = lanes[1, b, p]
                        stay += (goal - left[p]) / rate if rate > 1e-9 else never
            stay = min(max(stay, s), never)
            own[i, k] = stay
            noisy = scv[i] * s * s
            if row[i] >= 0:
                outside = max(lanes[3, b, k] - stay, 0.0) * held[i]
                hold = s + outside
                room = max(copies[i], 1e-12)
                m = max(now + lanes[1, b, k] * outside, 0.0) / room
                near = 1.0 / (scale[i] + m)
                u = cells * (m * near)
                cell = min(int(u), cells - 1)
                x = u - cell
                at = row[i] * cells + cell
                slope = cubic[at, 1] + x * (2.0 * cubic[at, 2] + 3.0 * x * cubic[at, 3])
                slope *= cells * scale[i] * near * near
                at += row[i]
                busy = max(waiting[at] + x * (waiting[at + 1] - waiting[at]), 1e-9)
                steep = slope / max(hold - outside * slope, 1e-12)
                rest = lanes[1, b, k] / max(steep, 1e-9)
                ratio = min(lanes[4, b, k] / max(rest, 1e-12), 1.5)
                per = hold / (copies[i] * scale[i]) if copies[i] > 0.0 else np.inf
                ahead = max(now - lanes[1, b, k] * s, 0.0)
                noisy += ratio * (stay - s) * (stay - s) * (2.0 / busy - 1.0)
                if ratio < 1.0 and ahead > 0.0:
                    noisy += (1.0 - ratio) * ahead * per * per
            variance[i, k] = min(noisy, never * never)


@kernel(work=lambda t, order, ptr, target, *rest: 100.0 * t.size * (order.size + target.size))
def follow_calls(
    t: Any, order: Any, ptr: Any, target: Any, contract: Any, own: Any, mean: Any, variance: Any, good: Any,
    detour: Any,
) -> None:  # fmt: skip
    """Add the calls of each component, at the time at which they are made, callees first.

    Parameters
    ----------
    t : (k,) float64
        Times [s]; at a jump two of them are equal, and later reads see the second.
    order, ptr, target : (n,), (n + 1,), (n_edges,) int64
        Components, callees first; calls of each; components called.
    contract : tuple of (n_edges,) arrays
        Synchronous, calls, weight in time, latency [s], time-out [s], retries, backoff [s], budget, required.
    own : (n, k) float64
        Time in the own station [s].
    mean, variance, good : (n, k) float64
        Response, its variance and share answered; those of the own station, renewed.
    detour : (3, n, k) float64
        Probability, time and variance of the detour with the largest variance; renewed.
    """
    sync, calls, weight, latency, timeout, retries, backoff, budget, required = contract
    size = t.size
    clock = t + np.arange(size) * (1e-12 * max(t[size - 1], 1.0))
    rare, widest, place, part = np.zeros((1, 3)), np.zeros(size), np.zeros(size, np.int64), np.zeros(size)
    for o in range(order.size):
        i = order[o]
        if ptr[i + 1] == ptr[i]:
            continue
        p = 0
        for k in range(size):
            widest[k] = 0.0
            when = t[k] + own[i, k]
            while p > 0 and clock[p] > when:
                p -= 1
            while p < size - 1 and clock[p + 1] <= when:
                p += 1
            place[k] = p
            part[k] = max((when - clock[p]) / (clock[p + 1] - clock[p]), 0.0) if p < size - 1 else 0.0
        for e in range(ptr[i], ptr[i + 1]):
            j = target[e]
            if not sync[e] or j == i:
                continue
            once_more = calls[e] - math.floor(calls[e])
            for k in range(size):
                p, x = place[k], part[k]
                q = min(p + 1, size - 1)
                m = latency[e] + mean[j, p] + x * (mean[j, q] - mean[j, p])
                v = variance[j, p] + x * (variance[j, q] - variance[j, p])
                lost = 1.0 - (good[j, p] + x * (good[j, q] - good[j, p]))
                for d in range(3):
                    rare[0, d] = detour[d, j, p] + x * (detour[d, j, q] - detour[d, j, p])
                if timeout[e] < np.inf:
                    late, m = cut_mixture(m, v, rare, 0, timeout[e])
                    v = min(v, m * m)
                    lost = 1.0 - (1.0 - late) * (1.0 - lost)
                tries = 1.0
                if retries[e] > 0:
                    most = retries[e] + 1.0
                    tries = (1.0 - lost**most) / max(1.0 - lost, 1e-12) if lost < 1.0 else most
                    if budget[e] < np.inf:
                        tries = min(tries, 1.0 + budget[e])
                once = weight[e] * (tries * m + (tries - 1.0) * backoff[e])
                mean[i, k] += calls[e] * once
                variance[i, k] += calls[e] * weight[e] * tries * v + once_more * (1.0 - once_more) * once * once
                width = once_more * (1.0 - once_more) * once * once
                if width > widest[k]:
                    widest[k] = width
                    detour[0, i, k] = once_more
                    detour[1, i, k] = once
                    detour[2, i, k] = weight[e] * tries * v
                p_there, longer = calls[e] * rare[0, 0], weight[e] * rare[0, 1]
                width = p_there * (1.0 - p_there) * longer * longer
                if p_there < 1.0 and width > widest[k]:
                    widest[k] = width
                    detour[0, i, k] = p_there
                    detour[1, i, k] = longer
                    detour[2, i, k] = weight[e] * rare[0, 2]
                if required[e]:
                    good[i, k] *= min(max((1.0 - lost) * tries, 0.0), 1.0) ** calls[e]
