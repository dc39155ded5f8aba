"""Books of a march: requests offered and answered within the objective, and who is to blame for the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["books"]

# columns of the states of the march and of the table of calls
_S_WAIT, _S_RESPONSE, _S_VARIANCE, _S_SUCCESS = 2, 4, 5, 6
_S_ADMITTED, _S_CULPRIT, _S_SERVICE, _S_SLOW_SHARE, _S_SLOW_GAP = 12, 13, 14, 15, 16
_E_CALLS, _E_LATENCY = 0, 1


@subroutine
def _gamma_cdf(shape: float, x: float) -> float:
    """Regularised lower incomplete gamma function (series and continued fraction, DLMF 8.11, 8.9)."""
    if x <= 0.0:
        return 0.0
    if shape > 2.0e4:
        z = ((x / shape) ** (1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        a = shape
        for _ in range(10000):
            a += 1.0
            term *= x / a
            total += term
            if term < total * 1e-10:
                break
        return min(1.0, front * total)
    b = x + 1.0 - shape
    c = 1e300
    d = 1.0 / b
    h = d
    for k in range(1, 10000):
        an = -k * (k - shape)
        b += 2.0
        d = an * d + b
        if abs(d) < 1e-300:
            d = 1e-300
        c = b + an / c
        if abs(c) < 1e-300:
            c = 1e-300
        d = 1.0 / d
        delta = d * c
        h *= delta
        if abs(delta - 1.0) < 1e-10:
            break
    return max(0.0, 1.0 - front * h)


@subroutine
def _within(mean: float, variance: float, t: float) -> float:
    """P(T <= t) of the gamma distribution with these moments."""
    if mean <= 0.0:
        return 1.0
    if variance <= 1e-9 * mean * mean:
        return 1.0 if mean <= t else 0.0
    return _gamma_cdf(mean * mean / variance, t * mean / variance)


@subroutine
def _modes(mean: float, variance: float, share: float, gap: float) -> Any:
    """Means of the fast and the slow requests, and the variance inside either."""
    inner = max(variance - share * (1.0 - share) * gap * gap, 0.02 * variance)
    return mean - share * gap, mean + (1.0 - share) * gap, inner


@kernel
def books(
    order: Any, ptr: Any, target: Any, edge: Any, sync: Any, required: Any, ext: Any, factors: Any, times: Any,
    states: Any, fails: Any, objective: float, begin: float, blame: Any, series: Any,
) -> Any:
    """Count offered requests and those answered within the objective, and charge the others.

    Parameters
    ----------
    order, ptr, target, edge, sync, required, ext, times, states, fails
        As in the march.
    factors : (t - 1,) float64
        Load factor of each step.
    objective, begin : float
        Latency objective [s]; requests before ``begin`` are not counted.
    blame : (n,) float64
        Receives the lost requests by component [req].
    series : (t, 3) float64
        Receives offered and good [1/s] of each step in its first columns.

    Returns
    -------
    offered, good : float
        Requests from ``begin`` on [req].
    """
    n = order.size
    visit, lost, inside = np.zeros(n), np.zeros(n), np.zeros(n)
    offered, good = 0.0, 0.0
    for step in range(1, times.size):
        dt = times[step] - times[step - 1]
        if dt <= 0.0:
            continue
        state, factor = states[step], factors[step - 1]
        rate, right = 0.0, 0.0
        for i in range(n):
            if ext[i] > 0.0:
                rate += ext[i] * factor
                mean, variance = state[i, _S_RESPONSE], state[i, _S_VARIANCE]
                share, gap = state[i, _S_SLOW_SHARE], state[i, _S_SLOW_GAP]
                if gap > 0.0:
                    fast, slow, inner = _modes(mean, variance, share, gap)
                    inside[i] = (1.0 - share) * _within(fast, inner, objective)
                    inside[i] += share * _within(slow, inner, objective)
                else:
                    inside[i] = _within(mean, variance, objective)
                right += ext[i] * factor * state[i, _S_SUCCESS] * inside[i]
        series[step, 0], series[step, 1] = rate, right
        span = min(times[step] - begin, dt)
        if span <= 0.0 or rate <= 0.0:
            continue
        offered += rate * span
        good += right * span
        if rate - right > 1e-12 * rate:
            _charge(
                order, ptr, target, edge, sync, required, ext, factor * span, state, fails[step], inside, visit, lost,
                blame,
            )  # fmt: skip
    return offered, good


@subroutine
def _charge(
    order: Any, ptr: Any, target: Any, edge: Any, sync: Any, required: Any, ext: Any, amount: float, state: Any,
    fail: Any, inside: Any, visit: Any, lost: Any, blame: Any,
) -> None:
    """Charge the lost requests of a step to components.

    Errors go to who turns requests away or dies, and down the calls that fail; lateness goes to where the time is
    spent, the wait of a full pool to the callee that fills it.
    """
    n = order.size
    for i in range(n):
        visit[i] = 0.0
        lost[i] = 0.0
    for i in range(n):
        if ext[i] > 0.0:
            r = ext[i] * amount
            lost[i] += r * (1.0 - state[i, _S_SUCCESS])
            visit[i] += r * state[i, _S_SUCCESS] * (1.0 - inside[i])
    # errors: from caller to callee by what each call adds, the own part stays
    for position in range(n - 1, -1, -1):
        i = order[position]
        if lost[i] > 0.0:
            own = 1.0 - state[i, _S_ADMITTED]
            total = own
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and required[e]:
                    total += edge[e, _E_CALLS] * fail[e]
            if total <= 1e-300:
                blame[i] += lost[i]
            else:
                blame[i] += lost[i] * own / total
                for e in range(ptr[i], ptr[i + 1]):
                    if sync[e] and required[e] and fail[e] > 0.0 and edge[e, _E_CALLS] > 0.0:
                        j = target[e]
                        part = lost[i] * edge[e, _E_CALLS] * fail[e] / total
                        refused = min((1.0 - state[j, _S_SUCCESS]) / fail[e], 1.0) if fail[e] > 0.0 else 0.0
                        if j == i:
                            blame[i] += part
                            continue
                        lost[j] += part * refused
                        visit[j] += part * (1.0 - refused)
        # lateness: shared between the own time and that of the callees
        if visit[i] > 0.0:
            service = state[i, _S_SERVICE]
            total = state[i, _S_WAIT] + service
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and target[e] != i:
                    total += edge[e, _E_CALLS] * (edge[e, _E_LATENCY] + state[target[e], _S_RESPONSE])
            blame[int(state[i, _S_CULPRIT])] += visit[i] * state[i, _S_WAIT] / total
            blame[i] += visit[i] * service / total
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and target[e] != i:
                    took = edge[e, _E_CALLS] * (edge[e, _E_LATENCY] + state[target[e], _S_RESPONSE])
                    visit[target[e]] += visit[i] * took / total
