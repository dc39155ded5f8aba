"""Books of a march: requests offered and answered within the objective, and who is to blame for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.kernels.distributions import gamma_cdf, slow_and_fast
from fea_arch.kernels.march_tables import (
    E_CALLS,
    E_LATENCY,
    S_ADMITTED,
    S_CULPRIT,
    S_FAST_VAR,
    S_RESPONSE,
    S_SERVICE,
    S_SLOW_GAP,
    S_SLOW_SHARE,
    S_SLOW_VAR,
    S_SUCCESS,
    S_VARIANCE,
    S_WAIT,
)

__all__ = ["books"]


@subroutine
def _within(mean: float, variance: float, t: float) -> float:
    """P(T <= t) of the gamma distribution with these moments."""
    if mean <= 0.0:
        return 1.0
    if variance <= 1e-9 * mean * mean:
        return 1.0 if mean <= t else 0.0
    return gamma_cdf(mean * mean / variance, t * mean / variance, 1e-10)


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
                mean, variance = state[i, S_RESPONSE], state[i, S_VARIANCE]
                share, gap = state[i, S_SLOW_SHARE], state[i, S_SLOW_GAP]
                if gap > 0.0:
                    fast, slow = slow_and_fast(mean, share, gap)
                    inside[i] = (1.0 - share) * _within(fast, state[i, S_FAST_VAR], objective)
                    inside[i] += share * _within(slow, state[i, S_SLOW_VAR], objective)
                else:
                    inside[i] = _within(mean, variance, objective)
                right += ext[i] * factor * state[i, S_SUCCESS] * inside[i]
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
            lost[i] += r * (1.0 - state[i, S_SUCCESS])
            visit[i] += r * state[i, S_SUCCESS] * (1.0 - inside[i])
    # errors: from caller to callee by what each call adds, the own part stays
    for position in range(n - 1, -1, -1):
        i = order[position]
        if lost[i] > 0.0:
            own = 1.0 - state[i, S_ADMITTED]
            total = own
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and required[e]:
                    total += edge[e, E_CALLS] * fail[e]
            if total <= 1e-300:
                blame[i] += lost[i]
            else:
                blame[i] += lost[i] * own / total
                for e in range(ptr[i], ptr[i + 1]):
                    if sync[e] and required[e] and fail[e] > 0.0 and edge[e, E_CALLS] > 0.0:
                        j = target[e]
                        part = lost[i] * edge[e, E_CALLS] * fail[e] / total
                        refused = min((1.0 - state[j, S_SUCCESS]) / fail[e], 1.0) if fail[e] > 0.0 else 0.0
                        if j == i:
                            blame[i] += part
                            continue
                        lost[j] += part * refused
                        visit[j] += part * (1.0 - refused)
        # lateness: shared between the own time and that of the callees
        if visit[i] > 0.0:
            service = state[i, S_SERVICE]
            total = state[i, S_WAIT] + service
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and target[e] != i:
                    total += edge[e, E_CALLS] * (edge[e, E_LATENCY] + state[target[e], S_RESPONSE])
            blame[int(state[i, S_CULPRIT])] += visit[i] * state[i, S_WAIT] / total
            blame[i] += visit[i] * service / total
            for e in range(ptr[i], ptr[i + 1]):
                if sync[e] and target[e] != i:
                    took = edge[e, E_CALLS] * (edge[e, E_LATENCY] + state[target[e], S_RESPONSE])
                    visit[target[e]] += visit[i] * took / total
