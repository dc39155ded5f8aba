"""The limit load: the largest multiple of the load that still has an equilibrium, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fea_arch.errors import ConvergenceError
from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["largest_load_factor", "root_cause"]

#: Load factor at which nothing waits.
_TINY = 1e-9


def largest_load_factor(
    network: Network, external: Array, *, at_most: float = 1e9, accuracy: float = 1e-3
) -> tuple[float, int]:
    """Find the largest load factor with an equilibrium by a capacity bound, bracketing and bisection.

    Returns
    -------
    factor : float
        To the relative ``accuracy``; ``inf`` where nothing limits below ``at_most``.
    limiting : int
        Component number, ``n + host`` for a host, -1 if none.
    """

    # beyond a fold the sweeps creep past the place where it was, the slower the nearer: as many as the accuracy needs
    sweeps = int(min(max(1.3 / math.sqrt(accuracy), 40), 20_000))
    standing = [(0.0, 0.0, 1.0)]
    nearest: list[NetworkState] = []  # the state that stands at the largest load factor so far

    def fails(factor: float) -> int:
        try:
            state = solve_network(
                network,
                external,
                load_factor=factor,
                tol=0.1 * accuracy,
                max_sweeps=sweeps,
                start=nearest[0] if nearest else None,
            )
        except ConvergenceError as error:  # the sweeps swing where pools fill up: no steady state to rely on
            return root_cause(network, error.partial, int(np.argmax(error.partial.utilisation)))
        if state.limiting >= 0:
            return root_cause(network, state, state.limiting)
        pace = (1.0 - math.sqrt(state.contraction)) ** 2
        standing.append((float(state.utilisation.max(initial=0.0)), factor, pace))
        nearest[:] = [state]  # trials that stand come in rising order
        return -1

    low, high, culprit = 0.0, 1.0, -1
    bound = _capacity_bound(network, external)
    if bound < at_most:
        # most networks last until the first component is full by its own work: try just below
        high = bound * (1.0 - accuracy)
        culprit = fails(high)
        if culprit < 0:
            return bound, fails(bound * (1.0 + accuracy))
        low, high = _shrink(fails, high)
    else:
        while (found := fails(high)) < 0:
            low = high
            high *= 2.0
            if high > at_most:
                return math.inf, -1
        culprit = found
    while high - low > accuracy * high:
        middle = _next_trial(standing, low, high, accuracy)
        found = fails(middle)
        if found >= 0:
            high, culprit = middle, found
        else:
            low = middle
        if high < 1e-9:
            break
    return low, _fullest(network, nearest[0], culprit) if nearest else culprit


def _fullest(network: Network, state: NetworkState, culprit: int) -> int:
    """Return the culprit, or the fullest component where the culprit has much room in the last state that stands.

    Just beyond a fold every queue grows; the first to overflow there need not be the one that is short of capacity.
    """
    full = np.nan_to_num(np.asarray(state.utilisation[: network.n], float))
    if not 0 <= culprit < network.n or full[culprit] >= 0.6 * full.max(initial=0.0):
        return culprit
    return root_cause(network, state, int(np.argmax(full)))


def _next_trial(standing: list[tuple[float, float, float]], low: float, high: float, accuracy: float) -> float:
    """Return the next load factor to try inside the bracket.

    The states that stood, as (highest utilisation, load factor, pace), foretell the limit, which is then enclosed from
    both sides. A sweep shrinks the distance to the equilibrium by a ratio ``r`` that tends to 1 at a fold, where
    ``(1 - sqrt(r))^2``, the pace, falls to zero as the load factor grows: a parabola through the last three. Near a
    full component the sweeps stay quick, and the load factor is a line or a parabola in the highest utilisation.
    """
    middle = 0.5 * (low + high)
    if len(standing) < 3:
        return middle
    (u0, f0, p0), (u1, f1, p1), (u2, f2, p2) = sorted(standing, key=lambda s: s[1])[-3:]
    if p0 > p1 > p2 > 0.0 and p2 < 0.8:
        foretold = f2 + p2 * (f2 - f1) / (p1 - p2)
        if p0 < 0.95:
            foretold -= p1 * p2 * ((f2 - f1) / (p1 - p2) - (f1 - f0) / (p0 - p1)) / (p2 - p0)
        else:  # two of them: the line goes too far
            foretold = f2 + 0.4 * (foretold - f2)
            return foretold if low < foretold < high else middle
    elif u0 < u1 < u2 < 1.0:
        rise = (f2 - f1) / (u2 - u1)
        bend = (rise - (f1 - f0) / (u1 - u0)) / (u2 - u0)
        top = 1.0 if bend >= 0.0 else min(max(0.5 * (u1 + u2 - rise / bend), u2), 1.0)
        foretold = f2 + (top - u2) * (rise + bend * (top - u1))
    else:
        return middle
    for trial in (foretold + 0.4 * accuracy * foretold, foretold - 0.4 * accuracy * foretold):
        if low + 0.1 * accuracy * high < trial < high - 0.1 * accuracy * high:
            return trial
    return middle


def _shrink(fails: Callable[[float], int], high: float) -> tuple[float, float]:
    """Halve a failing load factor until one stands; return the bracket."""
    low = 0.5 * high
    while fails(low) >= 0 and low > 1e-9:
        low, high = 0.5 * low, low
    return low, high


def _capacity_bound(network: Network, external: Array) -> float:
    """Return the load factor at which the first component or host is full by its own work, without retries."""
    state = solve_network(network, external, load_factor=_TINY)
    if state.limiting >= 0:
        return math.inf
    flow = state.arrivals * state.admitted / _TINY
    counted = (network.law == 0) & (network.places < 0) & np.isinf(network.rate_limit)
    shared = np.zeros(network.n, bool)
    shared[network.target[network.policy == 3]] = True
    own = np.where(counted & ~shared, flow * network.service / (network.servers * network.replicas), 0.0)
    worst = float(own.max(initial=0.0))
    on = network.host >= 0
    if on.any():
        cpus = np.array([h.cpus for h in network.arch.hosts])
        worst = max(worst, float((np.bincount(network.host[on], (flow * network.cpu)[on], cpus.size) / cpus).max()))
    return 1.0 / worst if worst > 0 else math.inf


def root_cause(network: Network, state: NetworkState, limiting: int) -> int:
    """Follow full callees down from a component whose workers are all held; hosts stand for themselves."""
    if not 0 <= limiting < network.n:
        return limiting
    seen = {limiting}
    while True:
        callees = [
            int(network.target[e])
            for e in range(network.ptr[limiting], network.ptr[limiting + 1])
            if network.sync[e] and network.calls[e] > 0 and int(network.target[e]) not in seen
        ]
        callees = [j for j in callees if state.utilisation[j] >= 0.75]
        if not callees:
            host = int(network.host[limiting])
            stretched = state.service[limiting] > 2.0 * network.service[limiting]
            return network.n + host if host >= 0 and stretched else limiting
        limiting = max(callees, key=lambda j: state.utilisation[j])
        seen.add(limiting)
