"""Closed product-form networks and their derivatives: stations beside background load, convolution, its transpose.

``G = F_1 * ... * F_K`` by convolution (Buzen 1973) with ``F_k(m) = v_k^m / (X_k(1) ... X_k(m))``. A sum of means
``sum_k E[g_k(m_k)] = T / G`` follows from the same recursion with ``F_k (1 + eps g_k)`` to first order in ``eps``.
Every factor enters linearly, so that one sweep back over the partial products gives the derivative by every entry of
every ``F_k`` at twice the cost of the sweep forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["convolve_stations", "mix_background", "mix_table", "pull_stations", "replace_stations"]


@kernel(work=lambda servers, service, background, first, *rest: 2000.0 * rest[1] * servers.size)
def mix_background(
    servers: Any, service: Any, background: Any, first: Any, tables: Any, population: Any, rates: Any, slope: Any
) -> None:
    """Fill the rates that a bounded population sees beside Poisson load, and ``d log(rate) / d(background)``.

    ``X'(m) = B(m-1) / B(m)``, ``B(m) = sum_n C(m+n, n) b^n / (X(1) ... X(m+n))``, so that
    ``d log B(m) / d log b`` is the mean of ``n`` under these weights.

    Parameters
    ----------
    servers, service : (k,) int64, (k,) float64
        Servers with ``X(n) = min(n, servers) / service`` [s].
    background : (k,) float64
        Rate of the other load [1/s]; none where 0.
    first : (k,) int64
        Where the table ``X(1 .. servers)`` of a station starts in ``tables``; -1 for the formula above.
    tables : (n_rates,) float64
    population : int
    rates, slope : (k, population) float64, filled in place
    """
    for k in range(servers.size):
        c = servers[k]
        top = c / service[k] if first[k] < 0 else tables[first[k] + c - 1]
        b = background[k]
        if b >= top * (1.0 - 1e-9):
            b = top * (1.0 - 1e-9)
        limit = int(min(4000.0, c + population + 40.0 / max(1.0 - b / top, 1e-3)))
        last = 0.0
        last_mean = 0.0
        last_scale = 0
        for m in range(population + 1):
            total = 1.0
            weighted = 0.0
            scale = 0
            if b > 0.0:
                term = 1.0
                for n in range(1, limit + 1):
                    at = min(m + n, c)
                    x = at / service[k] if first[k] < 0 else tables[first[k] + at - 1]
                    ratio = (m + n) / n * b / x
                    term *= ratio
                    total += term
                    weighted += n * term
                    if ratio < 1.0 and term * n < 1e-18 * total:
                        break
                    if total > 1e200:
                        total *= 1e-200
                        weighted *= 1e-200
                        term *= 1e-200
                        scale += 1
            if m > 0:
                at = min(m, c)
                x = at / service[k] if first[k] < 0 else tables[first[k] + at - 1]
                value = x * last / total
                for _ in range(scale - last_scale):
                    value *= 1e-200
                for _ in range(last_scale - scale):
                    value *= 1e200
                rates[k, m - 1] = value
                slope[k, m - 1] = (last_mean - weighted / total) / b if b > 0.0 else 0.0
            last = total
            last_mean = weighted / total
            last_scale = scale


@kernel(work=lambda rates, background, population, by: 1000.0 * population)
def mix_table(rates: Any, background: float, population: int, by: Any) -> None:
    """Fill ``d log X'(m) / d log X(l)`` of the rates of :func:`mix_background` for one table.

    Parameters
    ----------
    rates : (size,) float64
        ``X(1 .. size)``; the last one holds beyond.
    background : float
    population : int
    by : (population, size) float64, filled in place
    """
    size = rates.size
    top = rates[size - 1]
    b = min(background, top * (1.0 - 1e-9))
    limit = int(min(4000.0, size + population + 40.0 / max(1.0 - b / top, 1e-3)))
    used = np.zeros(size + 1)
    before = np.zeros(size + 1)
    for m in range(population + 1):
        # used[l]: mean number of factors X(l) in the products that make B(m)
        used[:] = 0.0
        term = 1.0
        total = 0.0
        for n in range(limit + 1):
            if n > 0:
                ratio = (m + n) / n * b / rates[min(m + n, size) - 1]
                term *= ratio
                if ratio < 1.0 and term * (m + n) < 1e-18 * total:
                    break
                if total > 1e200:
                    total *= 1e-200
                    term *= 1e-200
                    used *= 1e-200
            total += term
            if m + n >= size:
                used[size] += term * (m + n - size + 1)
                used[size - 1] += term
            else:
                used[m + n] += term
        used /= total
        for at in range(size - 2, 0, -1):
            used[at] += used[at + 1]
        if m > 0:
            for at in range(1, size + 1):
                by[m - 1, at - 1] = used[at] - before[at]
        before[:] = used


@kernel(work=lambda shape, gain, product, first: 4.0 * shape.shape[0] * shape.shape[1] ** 2)
def convolve_stations(shape: Any, gain: Any, product: Any, first: Any) -> None:
    """Convolve ``F_k (1 + eps g_k)`` one by one and keep every partial product, scaled to a largest entry of 1.

    Parameters
    ----------
    shape, gain : (k, population + 1) float64
        ``F_k`` and ``g_k``.
    product, first : (k + 1, population + 1) float64, filled in place
        Partial products and their parts of first order in ``eps``, the same scale for both.
    """
    size = shape.shape[1]
    product[0, :] = 0.0
    first[0, :] = 0.0
    product[0, 0] = 1.0
    for k in range(shape.shape[0]):
        top = 0.0
        for n in range(size):
            total = 0.0
            slope = 0.0
            for m in range(n + 1):
                f = shape[k, m]
                total += product[k, n - m] * f
                slope += (first[k, n - m] + product[k, n - m] * gain[k, m]) * f
            product[k + 1, n] = total
            first[k + 1, n] = slope
            top = max(top, total)
        for n in range(size):
            product[k + 1, n] /= top
            first[k + 1, n] /= top


@kernel(work=lambda shape, gain, product, first, by_product, by_first, out: 8.0 * shape.shape[0] * shape.shape[1] ** 2)
def pull_stations(shape: Any, gain: Any, product: Any, first: Any, by_product: Any, by_first: Any, out: Any) -> None:
    """Fill the derivative by ``log F_k(m)`` of ``by_product . G + by_first . T``, of the last partial products.

    Parameters
    ----------
    shape, gain, product, first
        As :func:`convolve_stations` left them.
    by_product, by_first : (population + 1,) float64
    out : (k, population + 1) float64, filled in place
    """
    size = shape.shape[1]
    on_product = by_product.copy()
    on_first = by_first.copy()
    next_product = np.empty(size)
    next_first = np.empty(size)
    for k in range(shape.shape[0] - 1, -1, -1):
        raw = 0.0  # the scale that the forward sweep divided by: the largest entry before scaling
        for n in range(size):
            total = 0.0
            for m in range(n + 1):
                total += product[k, n - m] * shape[k, m]
            raw = max(raw, total)
        for m in range(size):
            f = shape[k, m]
            g = gain[k, m]
            total = 0.0
            for n in range(m, size):
                p = product[k, n - m]
                total += on_first[n] * (first[k, n - m] + g * p) + on_product[n] * p
            out[k, m] = total * f / raw
        for j in range(size):
            total = 0.0
            slope = 0.0
            for m in range(size - j):
                f = shape[k, m]
                total += (on_product[j + m] + on_first[j + m] * gain[k, m]) * f
                slope += on_first[j + m] * f
            next_product[j] = total / raw
            next_first[j] = slope / raw
        on_product[:] = next_product
        on_first[:] = next_first


@kernel(work=lambda shape, *rest: 20.0 * shape.shape[0] * shape.shape[1] ** 2)
def replace_stations(
    shape: Any, gain: Any, product: Any, first: Any, other: Any, other_gain: Any, weight: Any, by_rates: Any,
    tilt: float, out: Any,
) -> None:  # fmt: skip
    """Fill what ``weight . T/G + by_rates . X`` gains when one station alone is exchanged for another.

    Parameters
    ----------
    shape, gain, product, first
        As :func:`convolve_stations` left them.
    other, other_gain : (k, population + 1) float64
        The station that takes the place of each.
    weight : (population + 1,) float64
    by_rates : (population,) float64
        Of the throughputs ``X(n) = tilt G(n-1) / G(n)``.
    tilt : float
    out : (k,) float64, filled in place
    """
    stations, size = shape.shape
    behind = np.zeros(size)
    behind_first = np.zeros(size)
    behind[0] = 1.0
    rest = np.empty(size)
    rest_first = np.empty(size)
    base = 0.0
    for n in range(size):
        g = product[stations, n]
        if g > 0.0:
            base += weight[n] * first[stations, n] / g
            if n > 0:
                base += by_rates[n - 1] * tilt * product[stations, n - 1] / g
    for k in range(stations - 1, -1, -1):
        for n in range(size):
            total = 0.0
            slope = 0.0
            for m in range(n + 1):
                total += product[k, n - m] * behind[m]
                slope += first[k, n - m] * behind[m] + product[k, n - m] * behind_first[m]
            rest[n] = total
            rest_first[n] = slope
        value = 0.0
        before = 0.0
        for n in range(size):
            total = 0.0
            slope = 0.0
            for m in range(n + 1):
                f = other[k, m]
                total += rest[n - m] * f
                slope += (rest_first[n - m] + rest[n - m] * other_gain[k, m]) * f
            if total > 0.0:
                value += weight[n] * slope / total
                if n > 0:
                    value += by_rates[n - 1] * tilt * before / total
            before = total
        out[k] = value - base
        top = 0.0
        for n in range(size):
            total = 0.0
            slope = 0.0
            for m in range(n + 1):
                f = shape[k, m]
                total += behind[n - m] * f
                slope += (behind_first[n - m] + behind[n - m] * gain[k, m]) * f
            rest[n] = total
            rest_first[n] = slope
            top = max(top, total)
        behind[:] = rest / top
        behind_first[:] = rest_first / top
