"""When an element counts as yielding, overflowing, late or broken, and the load factor at which the whole gives way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Flags
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload

__all__ = [
    "CRITERIA", "Solve", "breaker_opens", "collapse_factor", "measures", "memory_breaks", "stands_at", "unloaded_share",
]  # fmt: skip

#: Criteria by name.
CRITERIA = ("memory", "utilisation", "capacity", "queue", "timeout", "breaker")
#: Share of turned away requests from which a bounded queue counts as overflowing.
OVERFLOW = 0.01
#: Sweeps after which a load counts as one without equilibrium.
QUICK = 150

Solve = Callable[[float, Flags, Flags], OverloadState]


def memory_breaks(state: OverloadState) -> list[int]:
    """Return the components that hold as many requests as their memory bears."""
    model = state.model
    return np.flatnonzero((state.held >= model.fracture_number) & ~state.dead).tolist()


def breaker_opens(state: OverloadState) -> list[int]:
    """Return the edges of whose calls a share fails that opens the circuit breaker."""
    model = state.model
    if not np.isfinite(model.breaker).any():
        return []
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(state.tries > 0, (state.per[:, 0] + state.per[:, 4]) / state.tries, 0.0)
    fails = np.where(state.edge_flow > 0, 1.0 - one, 0.0)
    return np.flatnonzero((fails >= model.breaker) & ~state.cut).tolist()


def stands_at(state: OverloadState, unloaded: float, tolerance: float) -> bool:
    """Return whether a state is an equilibrium that serves what is served without load, up to the tolerance."""
    served = state.served_share >= (1.0 - tolerance) * unloaded
    return served and not state.growing and state.converged


def unloaded_share(model: OverloadModel, solve: Solve, dead: Flags, cut: Flags) -> float:
    """Return the share of the requests that is answered without load [1].

    Raises
    ------
    ModelError
        If none is.
    """
    share = solve(1e-9, dead, cut).served_share
    if not share > 0.0:
        down = [model.network.names[i] for i in np.flatnonzero(~model.network.available)[:5]]
        raise ModelError(
            "no request is answered even without load: everything on the way is already broken",
            component=down[0] if down else None,
            field="available",
            fix="start the components that are required, or make the dependencies optional",
        )
    return share


def measures(state: OverloadState, chosen: set[str]) -> dict[str, Array]:
    """Return, for each criterion that does not change the structure, value over limit."""
    network = state.model.network
    columns = network.arch.component_columns
    found: dict[str, Array] = {}
    if "utilisation" in chosen:
        found["utilisation"] = state.utilisation / np.asarray(columns.column("failure_limit"), float)
    if "queue" in chosen:
        bounded = (network.places >= 0) & (network.law != 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            turned = np.where(bounded & (state.arrivals > 0), 1.0 - state.served / state.arrivals, 0.0)
        found["queue"] = np.where(state.dead, 0.0, turned / OVERFLOW)
    if "timeout" in chosen:
        time = network.latency + state.response[network.target]
        live = (state.edge_flow > 0) & network.sync & ~state.dead[network.target]
        with np.errstate(invalid="ignore"):
            found["timeout"] = np.where(live & ~np.isnan(network.timeout), time / network.timeout, 0.0)
    return found


def collapse_factor(
    model: OverloadModel,
    *,
    tolerance: float = 0.01,
    at_most: float = 1e9,
    accuracy: float = 1e-3,
    guess: float = 1.0,
    service_s: Array | None = None,
    servers: Array | None = None,
    fracture_number: Array | None = None,
) -> float:
    """Find the load factor from which the architecture no longer serves its load, by bracketing and bisection.

    Optional arrays replace those of the model, for sampling. Breaks of components that nobody requires are passed over.

    Returns
    -------
    float
        inf where nothing breaks up to ``at_most``.
    """
    n, m = model.network.n, model.network.target.size
    room = model.fracture_number if fracture_number is None else fracture_number
    none = np.zeros(m, bool)

    def solve(factor: float, dead: Flags, cut: Flags) -> OverloadState:
        return overload(
            model,
            factor,
            dead,
            cut=cut,
            service_s=service_s,
            servers=servers,  # type: ignore[arg-type]
            tol=1e-5,
            max_sweeps=QUICK,
        )

    unloaded = unloaded_share(model, solve, np.zeros(n, bool), none)

    def stands(factor: float) -> bool:
        dead, cut = np.zeros(n, bool), none.copy()
        while True:
            state = solve(factor, dead, cut)
            if not stands_at(state, unloaded, tolerance):
                return False
            broken = np.flatnonzero((state.held >= room) & ~state.dead)
            opened = breaker_opens(state)
            if not broken.size and not opened:
                return True
            dead[broken] = True
            cut[opened] = True

    low, high = 0.0, guess
    while stands(high):
        low, high = high, high * 1.5
        if high > at_most:
            return np.inf
    while low == 0.0 and high > 1e-12:
        if stands(high / 1.5):
            low = high / 1.5
        else:
            high /= 1.5
    while high - low > accuracy * high:
        middle = 0.5 * (low + high)
        if stands(middle):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
