"""Derivatives of station laws by the complex step.

``f'(x) = Im f(x + i h) / h`` has no cancellation and is exact to rounding (Squire and Trapp 1998): Erlang's recursion,
the chains and the corrections of the response sweep are analytic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["differentiate_stations"]

#: Complex step: its square is lost against anything.
_STEP = 1e-60


@subroutine
def _erlang_c(c: int, a: Any) -> Any:
    b = 1.0 + 0.0j
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
        if b.real < 1e-300:
            b = 0.0 + 0.0j
            break
    return b / (1.0 - a / c * (1.0 - b))


@subroutine
def _langenbach_belz(rho: Any, ca2: float, cs2: Any) -> Any:
    factor = (ca2 + cs2) / 2.0
    if ca2 < 1.0 and factor.real > 0.0:
        factor = factor * np.exp(-2.0 * (1.0 - rho) * (1.0 - ca2) ** 2 / (3.0 * rho * (ca2 + cs2) + 1e-300))
    return factor


@subroutine
def _chain(lam: Any, rates: Any, first: int, c: int, scale: Any, places: int) -> Any:
    """Mean time inside, P(all busy) and blocking of a birth-death chain, complex."""
    total = 1.0 + 0.0j
    mean = 0.0 + 0.0j
    weight = 1.0 + 0.0j
    busy = 0.0 + 0.0j
    for n in range(1, c + 1):
        weight = weight * lam / (rates[first + n - 1] * scale)
        total += weight
        mean += n * weight
        if n == c:
            busy += weight
        if total.real > 1e250:
            total *= 1e-250
            mean *= 1e-250
            weight *= 1e-250
            busy *= 1e-250
    x = lam / (rates[first + c - 1] * scale)
    block = 0.0 + 0.0j
    if places < 0:
        tail = weight * x / (1.0 - x)
        total += tail
        mean += c * tail + weight * x / ((1.0 - x) * (1.0 - x))
        busy += tail
    else:
        w = weight
        for k in range(1, places + 1):
            w = w * x
            total += w
            mean += (c + k) * w
            busy += w
            if total.real > 1e250:
                total *= 1e-250
                mean *= 1e-250
                w *= 1e-250
                busy *= 1e-250
        block = w / total
    return mean / total / (lam * (1.0 - block)), busy / total, block


@subroutine
def _station(
    lam: Any,
    h: Any,
    h_var: Any,
    scale: Any,
    fixed: Any,
    c: int,
    r: int,
    spread: int,
    places: int,
    law: int,
    rates: Any,
    first: int,
    ca2: float,
) -> Any:
    """Wait, its variance, blocking and open wait of one station, complex; the formulas of the response sweep."""
    nil = 0.0 + 0.0j
    if law == 1 or lam.real <= 0.0 or h.real <= 0.0:
        return nil, nil, nil, nil
    cs2 = h_var / (h * h)
    if law == 2 or places >= 0:
        mean, busy, block = _chain(lam / r, rates, first, c, scale, places)
        wait = mean - h
        if wait.real <= 0.0:
            wait = nil
        if law != 2:
            wait = wait * (1.0 + cs2) / 2.0
        spread_of = wait * wait * (2.0 / busy - 1.0) if busy.real > 1e-12 else nil
        return wait, spread_of, block, nil
    own = c
    replicas = r
    if spread == 2:
        c = c * r
        r = 1
    load = lam / r * h
    rho = load / c
    if rho.real >= 1.0 - 1e-9:
        rho = 1.0 - 1e-9 + nil
        load = rho * c
    pw = _erlang_c(c, load)
    theta = h / (c * (1.0 - rho))
    thin = ca2
    if spread == 0 and r > 1:
        thin = ca2 / r
    factor = _langenbach_belz(rho, thin, cs2)
    if spread == 0 and r > 1 and c == 1 and ca2 == 1.0 and rho.real < 1.0 - 1e-9:
        root = rho.real
        base = rho.real * r
        for _ in range(4000):
            new = (base / (base + 1.0 - root)) ** r
            done = abs(new - root) <= 1e-16
            root = new
            if done:
                break
        # one Newton step in the complex plane carries the derivative over
        g = (rho * r / (rho * r + 1.0 - root)) ** r
        slope = r * root / (base + 1.0 - root)
        exact = root - (root - g) / (1.0 - slope)
        factor = factor * exact * (1.0 - rho) / ((1.0 - exact) * rho) / _langenbach_belz(rho, thin, 1.0 + nil)
    if spread == 2 and replicas > 1:
        separate = _erlang_c(own, load / replicas) * h / (own * (1.0 - rho))
        pooled = pw * theta
        if pooled.real > 0.0:
            gap = 0.21 * replicas**-0.6 * own**-0.65 * (1.0 - rho**5) * rho ** (0.25 * (replicas - 2))
            factor = factor * (1.0 + (separate / pooled - 1.0) * gap)
    theta = theta * factor
    wait = pw * theta
    bare = wait
    w_var = pw * (2.0 - pw) * theta * theta
    if fixed.real == fixed.real:
        wait = fixed
        busy = pw
        if busy.real < 0.02:
            busy = 0.02 + nil
        elif busy.real > 1.0:
            busy = 1.0 + nil
        w_var = wait * wait * (2.0 / busy - 1.0)
    return wait, w_var, nil + 0.0, bare


@kernel(work=lambda lam, h, h_var, scale, fixed, servers, *rest: 200.0 * lam.size + 150.0 * float(servers.sum()))
def differentiate_stations(
    lam: Any,
    h: Any,
    h_var: Any,
    scale: Any,
    fixed: Any,
    servers: Any,
    replicas: Any,
    spread: Any,
    places: Any,
    law: Any,
    rates: Any,
    rate_first: Any,
    arrival_scv: Any,
    table: Any,
    step: Any,
) -> None:
    """Differentiate the law of every station.

    Parameters
    ----------
    lam : (n,) float64
        Requests let in [1/s].
    h, h_var : (n,) float64
        Mean [s] and variance [s^2] of the time a server is held.
    scale : (n,) float64
        Factor on the completion rates of state-dependent stations [1].
    fixed : (n,) float64
        Wait that is prescribed from elsewhere, NaN where the law decides [s].
    table : (n, 5, 4) float64
        Result: derivatives by (lam, h, h_var, scale, fixed) of (wait, its variance, blocking, open wait).
    step : (n, 3) float64
        Result: change of (wait, its variance, blocking) with one server more per replica; NaN where the law is
        measured as a whole.
    """
    for i in range(lam.size):
        value = _station(
            lam[i] + 0.0j, h[i] + 0.0j, h_var[i] + 0.0j, scale[i] + 0.0j, fixed[i] + 0.0j, servers[i], replicas[i],
            spread[i], places[i], law[i], rates, rate_first[i], arrival_scv[i],
        )  # fmt: skip
        for v in range(5):
            for o in range(4):
                table[i, v, o] = 0.0
            if law[i] == 1 or (v == 4 and fixed[i] != fixed[i]) or (v == 3 and law[i] == 0 and places[i] < 0):
                continue
            found = _station(
                lam[i] + (_STEP * 1j if v == 0 else 0.0j),
                h[i] + (_STEP * 1j if v == 1 else 0.0j),
                h_var[i] + (_STEP * 1j if v == 2 else 0.0j),
                scale[i] + (_STEP * 1j if v == 3 else 0.0j),
                fixed[i] + (_STEP * 1j if v == 4 else 0.0j),
                servers[i], replicas[i], spread[i], places[i], law[i], rates, rate_first[i], arrival_scv[i],
            )  # fmt: skip
            for o in range(4):
                table[i, v, o] = found[o].imag / _STEP
        for o in range(3):
            step[i, o] = 0.0
        if law[i] == 2:
            for o in range(3):
                step[i, o] = np.nan
        elif law[i] == 0:
            own = rates
            first = rate_first[i]
            if places[i] >= 0:
                own = np.arange(1.0, servers[i] + 2.0) * rates[first]
                first = 0
            more = _station(
                lam[i] + 0.0j, h[i] + 0.0j, h_var[i] + 0.0j, scale[i] + 0.0j, fixed[i] + 0.0j, servers[i] + 1,
                replicas[i], spread[i], places[i], law[i], own, first, arrival_scv[i],
            )  # fmt: skip
            for o in range(3):
                step[i, o] = more[o].real - value[o].real
