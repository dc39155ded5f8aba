"""State-dependent completion rates ``X(n)`` of a component, the micro scale of the two-scale model (section 4)."""

from __future__ import annotations

import math

import numpy as np

from fea_arch.architecture import Component
from fea_arch.laws.base import Array

__all__ = ["MEMORY_KNEE", "fracture_number", "state_rates"]

#: Share of the memory headroom from which memory pressure slows a component down (reclaim, garbage collection).
MEMORY_KNEE = 0.8


def fracture_number(component: Component) -> float:
    """Return ``N_f``, the requests inside one replica at which its memory limit is reached [req]; inf without limit."""
    limit, per = component.memory_limit_bytes, component.memory_per_request_bytes
    if limit is None or not per:
        return math.inf
    return max((limit - (component.memory_bytes or 0.0)) / per, 0.0)


def state_rates(component: Component) -> tuple[Array, int | None]:
    """Return completion rates of one replica with 1, 2, ... requests in service and its waiting places.

    The last rate holds for every larger number. The number of entries is the largest concurrency.

    Parameters
    ----------
    component : Component

    Returns
    -------
    rates : (k,) float64
        ``X(1) .. X(k)`` [1/s].
    places : int or None
        Waiting places that the law itself imposes (memory: no room beyond the fracture number).
    """
    s, c = component.service_time_s, component.servers
    n = np.arange(1, c + 1, dtype=float)
    if component.law == "usl":
        sigma, kappa = component.usl_sigma or 0.0, component.usl_kappa or 0.0
        return n / s / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0)), None
    if component.law == "tabulated" and component.curve is not None:
        level = np.array([p[0] for p in component.curve])
        flow = np.array([p[1] for p in component.curve])
        n = np.arange(1, max(math.ceil(float(level[-1])), 1) + 1, dtype=float)
        # below the first point the component answers alone: proportional to the first point
        return np.interp(n, np.concatenate([[0.0], level]), np.concatenate([[0.0], flow])), None
    if component.law == "memory":
        room = fracture_number(component)
        if math.isinf(room):
            return n / s, None
        top = max(math.ceil(room) - 1, 1)
        n = np.arange(1, top + 1, dtype=float)
        resident, limit = component.memory_bytes or 0.0, component.memory_limit_bytes or 1.0
        used = (resident + n * (component.memory_per_request_bytes or 0.0) - resident) / max(limit - resident, 1e-300)
        pressure = np.clip((1.0 - used) / (1.0 - MEMORY_KNEE), 0.05, 1.0)
        return np.minimum(n, c) / s * pressure, 0
    return n / s, None
