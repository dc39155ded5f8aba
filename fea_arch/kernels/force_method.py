"""The force method on a determinate mesh without feedback: flows down, waits and responses up, in two passes.

For acyclic graphs of M/M/c and delay stations without time-outs, stages, pools that are felt, hosts or bounds. It gives
what the general sweeps give and reads every edge twice.
"""

from __future__ import annotations

from typing import Any

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["march"]

#: Utilisation that counts as full.
_FULL = 1.0 - 1e-9


@subroutine
def _erlang_c(c: int, a: float) -> float:
    b = 1.0
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
        if b < 1e-16:  # the wait is below rounding of the service time
            return 0.0
    return b / (1.0 - a / c * (1.0 - b))


@kernel(work=lambda order, *rest: 100.0 * order.size)
def march(
    order: Any,
    ptr: Any,
    target: Any,
    calls: Any,
    sync: Any,
    latency: Any,
    service: Any,
    scv: Any,
    servers: Any,
    delay: Any,
    arrivals: Any,
    hold: Any,
    hold_scv: Any,
    wait: Any,
    response: Any,
    variance: Any,
    utilisation: Any,
) -> int:
    """Solve flows and responses in place.

    Parameters
    ----------
    order : (n,) int64
        Components, callees first; the graph has no cycle.
    ptr, target, calls, sync, latency : CSR of the out-edges
    service, scv, servers, delay : (n,)
        Station parameters; ``delay`` is True for infinite servers.
    arrivals : (n,) float64
        External arrivals on entry, all arrivals on return [1/s].
    hold, hold_scv, wait, response, variance, utilisation : (n,) float64
        Results.

    Returns
    -------
    int
        First component beyond its capacity (callees first), or -1.
    """
    n = order.size
    for position in range(n - 1, -1, -1):
        i = order[position]
        flow = arrivals[i]
        if flow > 0.0:
            for e in range(ptr[i], ptr[i + 1]):
                arrivals[target[e]] += flow * calls[e]
    full = -1
    for position in range(n):
        i = order[position]
        outside = 0.0
        spread = 0.0
        for e in range(ptr[i], ptr[i + 1]):
            if sync[e]:
                j = target[e]
                total = latency[e] + response[j]
                ratio = calls[e]
                part = ratio - int(ratio)
                outside += ratio * total
                spread += ratio * variance[j] + part * (1.0 - part) * total * total
        s = service[i]
        w = 0.0
        w_var = 0.0
        if not delay[i]:
            c = servers[i]
            load = arrivals[i] * s
            rho = load / c
            utilisation[i] = rho
            if rho >= _FULL:
                if full < 0:
                    full = i
                rho = _FULL
                load = rho * c
            pw = _erlang_c(c, load)
            theta = s / (c * (1.0 - rho)) * (1.0 + scv[i]) * 0.5
            w = pw * theta
            w_var = pw * (2.0 - pw) * theta * theta
        hold[i] = s
        hold_scv[i] = scv[i]
        wait[i] = w
        response[i] = w + s + outside
        variance[i] = w_var + scv[i] * s * s + spread
    return full
