"""Birth-death chains with given completion rates: moments and their inversion."""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["chain_at_flow", "chain_at_number", "chain_peak"]


@subroutine
def _moments(rates: Any, first: int, c: int, places: int, x: float) -> Any:
    """Mean number, throughput, variance of the number and covariance of rate and number at arrival rate ``x``."""
    weight = 1.0
    total = 1.0
    n1 = 0.0
    n2 = 0.0
    q1 = 0.0
    qn = 0.0
    last = c if places < 0 else c + places
    for n in range(1, last + 1):
        rate = rates[first + (n if n < c else c) - 1]
        weight *= x / rate
        total += weight
        n1 += n * weight
        n2 += float(n) * n * weight
        q1 += rate * weight
        qn += rate * n * weight
        if total > 1e200:
            weight *= 1e-200
            total *= 1e-200
            n1 *= 1e-200
            n2 *= 1e-200
            q1 *= 1e-200
            qn *= 1e-200
    if places < 0:
        top = rates[first + c - 1]
        r = x / top
        s0 = r / (1.0 - r)
        s1 = r / (1.0 - r) ** 2
        s2 = r * (1.0 + r) / (1.0 - r) ** 3
        total += weight * s0
        n1 += weight * (c * s0 + s1)
        n2 += weight * (float(c) * c * s0 + 2.0 * c * s1 + s2)
        q1 += weight * top * s0
        qn += weight * top * (c * s0 + s1)
    mean = n1 / total
    flow = q1 / total
    return mean, flow, n2 / total - mean * mean, qn / total - mean * flow


@subroutine
def _solve(rates: Any, first: int, c: int, places: int, goal: float, by_flow: bool, low: float, high: float) -> float:
    """Find ``log x`` at which the mean number (or the throughput) reaches the goal: Newton kept inside a bracket."""
    y = 0.5 * (low + high)
    for _ in range(200):
        mean, flow, var, cov = _moments(rates, first, c, places, math.exp(y))
        wrong = (flow if by_flow else mean) - goal
        slope = cov if by_flow else var
        if wrong > 0.0:
            high = y
        else:
            low = y
        new = y - wrong / slope if slope > 0.0 else low - 1.0
        if not (new > low and new < high):
            new = 0.5 * (low + high)
        if abs(new - y) <= 1e-15 * max(abs(y), 1.0):
            return new
        y = new
    return y


@kernel
def chain_at_number(rates: Any, first: Any, size: Any, places: Any, number: Any, flow: Any, tangent: Any) -> None:
    """Write throughput and ``dq/dN`` of each chain at a mean number inside.

    Parameters
    ----------
    rates : (n_rates,) float64
        All rate tables one after the other [1/s].
    first, size, places : (n,) int64
        Start and length of each table; waiting places (-1 without bound).
    number : (n,) float64
    flow, tangent : (n,) float64
        Results.
    """
    for i in range(first.size):
        a, c, p, e = first[i], size[i], places[i], number[i]
        top = rates[a + c - 1]
        if e <= 1e-13:
            flow[i] = e * rates[a]
            tangent[i] = rates[a]
        elif p >= 0 and e >= c + p:
            flow[i] = top
            tangent[i] = 0.0
        else:
            slow, fast = top, top
            for k in range(c):
                slow = min(slow, rates[a + k])
                fast = max(fast, rates[a + k])
            if p >= 0:
                low, high = math.log(slow * 1e-14), math.log(fast * 1e14)
            else:
                low, high = math.log(slow * 1e-14), math.log(top * (1.0 - 1e-15))
            x = math.exp(_solve(rates, a, c, p, e, False, low, high))
            _, q, var, cov = _moments(rates, a, c, p, x)
            flow[i] = q
            tangent[i] = cov / var if var > 0.0 else rates[a]


@kernel
def chain_at_flow(
    rates: Any, first: Any, size: Any, places: Any, peak: Any, capacity: Any, flow: Any, number: Any
) -> None:
    """Write the mean number of each chain at a throughput on the rising branch; inf at and beyond capacity.

    ``peak`` (n,) float64 is the arrival rate of largest throughput, ``capacity`` (n,) that throughput.
    """
    for i in range(first.size):
        a, c, p, q = first[i], size[i], places[i], flow[i]
        if q <= 0.0:
            number[i] = q / rates[a]
        elif q >= capacity[i]:
            number[i] = math.inf
        elif p < 0:
            number[i] = _moments(rates, a, c, p, q)[0]  # nothing is lost: the throughput is the arrival rate
        else:
            x = math.exp(_solve(rates, a, c, p, q, True, math.log(q) - 1e-9, math.log(peak[i])))
            number[i] = _moments(rates, a, c, p, x)[0]


@kernel
def chain_peak(rates: Any, first: Any, size: Any, places: Any, peak: Any, capacity: Any) -> None:
    """Write the arrival rate of largest throughput of each chain, and that throughput."""
    for i in range(first.size):
        a, c, p = first[i], size[i], places[i]
        top = rates[a + c - 1]
        if p < 0:
            peak[i] = top
            capacity[i] = top
            continue
        slow, fast = top, top
        for k in range(c):
            slow = min(slow, rates[a + k])
            fast = max(fast, rates[a + k])
        low, high = math.log(slow * 1e-6), math.log(fast * 1e12)
        for _ in range(200):  # rates that rise and then fall make a curve with one peak
            middle = 0.5 * (low + high)
            if _moments(rates, a, c, p, math.exp(middle))[3] > 0.0:
                low = middle
            else:
                high = middle
            if high - low < 1e-14:
                break
        peak[i] = math.exp(low)
        capacity[i] = _moments(rates, a, c, p, peak[i])[1]
