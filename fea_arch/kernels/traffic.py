"""Equilibrium of flows: the traffic equations ``lambda_i = f_i + sum_j admitted_j P_ji``, by topological sweeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["sweep_traffic"]


@kernel(work=lambda order, *rest: 60.0 * order.size, writes=("arrivals",))
def sweep_traffic(
    order: Any, start: Any, in_ptr: Any, in_source: Any, in_ratio: Any, f: Any, admitted: Any, arrivals: Any, tol: float
) -> Any:
    """Solve the traffic equations in place, one strong component after the other, callers first.

    Parameters
    ----------
    order, start : (n,), (n_components + 1,) int64
        From :func:`fea_arch.kernels.components.strong_components` (callees first).
    in_ptr, in_source, in_ratio : (n + 1,) int64, (n_edges,) int64, (n_edges,) float64
        In-edges of each node: caller and calls per request.
    f : (n,) float64
        External arrivals [1/s].
    admitted : (n,) float64
        Share of its arrivals that a node works on [1].
    arrivals : (n,) float64
        Result [1/s]; the values on entry start the iteration of cycles.
    tol : float
        Relative change at which a cycle counts as converged.

    Returns
    -------
    float
        Largest relative change left in any cycle; above ``tol`` the cycle did not converge.
    """
    worst = 0.0
    for component in range(len(start) - 2, -1, -1):
        a, b = start[component], start[component + 1]
        if b - a == 1:
            i = order[a]
            total = f[i]
            own = 0.0
            for e in range(in_ptr[i], in_ptr[i + 1]):
                j = in_source[e]
                if j == i:
                    own += in_ratio[e] * admitted[i]
                else:
                    total += arrivals[j] * admitted[j] * in_ratio[e]
            if own >= 1.0:
                return np.inf
            arrivals[i] = total / (1.0 - own)
            continue
        change = np.inf
        for _ in range(300):  # a cycle of gain near 1 needs a direct solve
            change = 0.0
            for position in range(b - 1, a - 1, -1):
                i = order[position]
                total = f[i]
                own = 0.0
                for e in range(in_ptr[i], in_ptr[i + 1]):
                    j = in_source[e]
                    if j == i:
                        own += in_ratio[e] * admitted[i]
                    else:
                        total += arrivals[j] * admitted[j] * in_ratio[e]
                if own >= 1.0:
                    return np.inf
                value = total / (1.0 - own)
                scale = abs(value)
                if scale > 1e300:
                    return np.inf
                if scale > 0.0:
                    step = abs(value - arrivals[i]) / scale
                    if step > change:
                        change = step
                arrivals[i] = value
            if change <= tol:
                break
        if change > worst:
            worst = change
    return worst
