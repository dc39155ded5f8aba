"""Equilibrium of an architecture: flows, waits and responses, by alternating sweeps until nothing moves.

One sweep down gives the flows (callers first), one sweep up the response times (callees first). Without feedback that
is the answer; time-outs with retries, bounded queues, shared hosts, balancers that follow the queue and bounded pools
of callers feed back and the sweeps are repeated from the unloaded state, which leads to the lower (stable) branch.
"""

from __future__ import annotations

import numpy as np

from fea_arch.errors import ConvergenceError
from fea_arch.kernels.erlang import erlang_c
from fea_arch.kernels.force_method import march
from fea_arch.kernels.response import sweep_response
from fea_arch.kernels.traffic import sweep_traffic
from fea_arch.solvers.acceleration import Leaps
from fea_arch.solvers.balancing import rebalance
from fea_arch.solvers.network import Array, Index, Network
from fea_arch.solvers.network_state import NetworkState, continued_state, fresh_state, relative_change
from fea_arch.solvers.pools import pool_waits, tight_pools

__all__ = ["NetworkState", "solve_network"]


def solve_network(
    network: Network,
    external: Array | None = None,
    *,
    load_factor: float = 1.0,
    tol: float = 1e-9,
    max_sweeps: int = 400,
    blocked: Array | None = None,
    start: NetworkState | None = None,
) -> NetworkState:
    """Solve the static equilibrium of the lower branch.

    Parameters
    ----------
    network : Network
    external : (n,) float64, optional
        Arrivals from outside [1/s]; default the open loads of the architecture.
    load_factor : float
        Multiple of ``external`` [1].
    tol : float
        Relative change at which the sweeps stop [1].
    max_sweeps : int
        Bound on the sweeps.
    blocked : (n,) bool, optional
        Components that answer nothing (removed, broken).
    start : NetworkState, optional
        Equilibrium of the same network at a smaller load, from which the sweeps go on; default the unloaded state.
        Both lie below the lower branch and rise to it.

    Returns
    -------
    NetworkState
        With ``limiting >= 0`` where no equilibrium exists; then the state is that of the last sweep.

    Raises
    ------
    ConvergenceError
        If the sweeps do not settle; names the components that still move.
    """
    base = network.external if external is None else external
    feedback = _feedback(network)
    if start is None or not feedback:
        state = fresh_state(network, base * load_factor, load_factor)
    else:
        state = continued_state(start, base * load_factor, load_factor)
    dead = ~network.available if blocked is None else (~network.available | np.asarray(blocked, bool))
    admit_limit = np.where(dead, 0.0, 1.0)
    if start is None:
        state.admitted = admit_limit.copy()
    in_source = network.source[network.in_edge]
    pooled = bool((network.blocking[network.source] & network.sync).any())
    state.memo["tol"] = 100.0 * tol
    if not feedback:
        return _march_once(network, state, admit_limit, in_source)
    change = moved = np.inf
    over = 0
    leaps = Leaps(network) if Leaps.possible(network) else None
    for sweep in range(1, max_sweeps + 1):
        state.sweeps = sweep
        ratio = (state.calls * state.edge_attempts)[network.in_edge]
        before = state.arrivals.copy()
        left = sweep_traffic(
            network.order,
            network.start,
            network.in_ptr,
            in_source,
            ratio,
            state.external,
            state.admitted,
            state.arrivals,
            1e-14,
        )
        if not left <= 1e-14 and not _balance_directly(network, state, ratio):
            state.limiting = _loop_culprit(network, state)
            return state
        change = relative_change(state.arrivals, before)
        with np.errstate(divide="ignore", invalid="ignore"):
            limited = np.where(state.arrivals > network.rate_limit, network.rate_limit / state.arrivals, 1.0)
        admit_limit = np.where(dead, 0.0, limited)
        state.limiting = _overloaded(network, state, admit_limit)
        if state.limiting >= 0:
            return state
        change = max(change, _share_host(network, state))
        if state.limiting >= network.n:
            return state
        before = state.response.copy()
        old_admitted, old_attempts = state.admitted.copy(), state.edge_attempts.copy()
        if not pooled:
            state.wait_fixed[:] = state.wait_shared
        unstable, cycle = _respond(network, state, admit_limit)
        if pooled and unstable < network.n:
            unstable, cycle = _pool(network, state, admit_limit, unstable, cycle)
        state.limiting = unstable
        over = over + 1 if unstable >= 0 else 0
        if unstable >= 0 and over >= 8:
            return state
        last, moved = moved, relative_change(state.response, before)
        state.contraction = min(moved / last, 1.0) if last > 0.0 and sweep > 2 else 0.0
        if leaps is not None and leaps.made and leaps.ratio > 0.0:
            state.contraction = min(leaps.ratio, 1.0)
        change = max(change, moved, float(cycle))
        change = max(change, _largest(state.admitted - old_admitted), _largest(state.edge_attempts - old_attempts))
        change = max(change, rebalance(network, state))
        if change <= tol:
            break
        if leaps is not None:
            if unstable < 0 and limited.min(initial=1.0) >= 1.0:
                leaps.go_on(state, old_attempts)
            else:
                leaps.rest()
    else:
        if change > 1e-6 and state.limiting < 0:
            moving = np.argsort(-np.abs(state.response - before) / np.maximum(state.response, 1e-300))[:3]
            raise ConvergenceError(
                f"the static sweeps did not settle in {max_sweeps} rounds (relative change {change:.2g})",
                partial=state,
                worst=tuple(network.names[i] for i in moving),
                residual=change,
            )
    state.residual = _residual(network, state)
    return state


def _march_once(network: Network, state: NetworkState, admit_limit: Array, in_source: Index) -> NetworkState:
    """Solve a network without feedback: one sweep down for the flows, one up for the responses (the force method)."""
    state.sweeps = 1
    if _is_plain(network) and (admit_limit == 1.0).all():
        state.arrivals[:] = state.external
        state.limiting = march(
            network.order,
            network.ptr,
            network.target,
            network.calls,
            network.sync,
            network.latency,
            network.service,
            network.scv,
            network.servers,
            network.law == 1,
            state.arrivals,
            state.hold,
            state.hold_scv,
            state.wait,
            state.response,
            state.variance,
            state.utilisation,
        )
        state.open_wait[:] = state.wait
        state.edge_time = np.where(network.sync, network.latency + state.response[network.target], 0.0)
        if state.limiting < 0:
            state.residual = _residual(network, state)
        return state
    ratio = state.calls[network.in_edge]
    left = sweep_traffic(
        network.order,
        network.start,
        network.in_ptr,
        in_source,
        ratio,
        state.external,
        state.admitted,
        state.arrivals,
        1e-14,
    )
    if not left <= 1e-14 and not _balance_directly(network, state, ratio):
        state.limiting = _loop_culprit(network, state)
        return state
    state.limiting = _overloaded(network, state, admit_limit)
    if state.limiting < 0:
        state.limiting = _respond(network, state, admit_limit)[0]
    if state.limiting < 0:
        state.residual = _residual(network, state)
    return state


def _balance_directly(network: Network, state: NetworkState, ratio: Array) -> bool:
    """Solve the traffic equations of a graph with strong cycles by one factorisation; False if they never end."""
    source = network.source[network.in_edge]
    target = np.repeat(np.arange(network.n), np.diff(network.in_ptr))
    weight = -ratio * state.admitted[source]
    if network.n <= 300:
        matrix = np.eye(network.n)
        np.add.at(matrix, (target, source), weight)
        try:
            flow = np.linalg.solve(matrix, state.external)
        except np.linalg.LinAlgError:
            return False
    else:
        from scipy.sparse import coo_array, eye_array
        from scipy.sparse.linalg import splu

        whole = eye_array(network.n) + coo_array((weight, (target, source)), shape=(network.n, network.n))
        try:
            flow = splu(whole.tocsc()).solve(state.external)
        except RuntimeError:  # exactly singular
            return False
    top = float(np.abs(flow).max(initial=0.0))
    # a gain of 1 or more shows as a negative or absurd flow: more than a million times what enters
    if not np.isfinite(top) or flow.min(initial=0.0) < -1e-9 * top or top > 1e6 * max(state.external.sum(), 1e-300):
        return False
    state.arrivals[:] = np.maximum(flow, 0.0)
    return True


def _is_plain(network: Network) -> bool:
    """Return whether two passes are the whole answer: no cycle, time-out, stage or replica, Poisson arrivals."""
    return bool(
        network.start.size == network.n + 1
        and network.available.all()
        and (network.source != network.target).all()
        and (network.stage < 0).all()
        and np.isnan(network.timeout).all()
        and (network.replicas == 1).all()
        and (network.arrival_scv == 1.0).all()
        and not (network.blocking[network.source] & network.sync).any()
    )


def _overloaded(network: Network, state: NetworkState, admit_limit: Array) -> int:
    """Return the component whose own work alone is beyond its servers, the worst one, or -1."""
    slots = network.servers * network.replicas
    own = np.where(
        (network.law == 0) & (network.places < 0), state.arrivals * admit_limit * network.service / slots, 0.0
    )
    worst = int(np.argmax(own)) if own.size else 0
    shared = (network.policy == 3).any() and worst in network.target[network.policy == 3]
    return worst if own.size and own[worst] >= 1.0 and not shared else -1


def _feedback(network: Network) -> bool:
    pools = bool((network.blocking[network.source] & network.sync & (network.servers[network.source] < 10_000)).any())
    return bool(
        pools
        or (network.retries > 0).any()
        or (network.places >= 0).any()
        or (network.law == 2).any()
        or (network.host >= 0).any()
        or (network.policy == 3).any()
        or np.isfinite(network.rate_limit).any()
    )


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))


def _pool(network: Network, state: NetworkState, admit_limit: Array, unstable: int, cycle: float) -> tuple[int, float]:
    """Replace the waits of components that feel bounded pools and sweep again."""
    flow = state.arrivals * state.admitted
    state.wait_fixed[:] = state.wait_shared
    if state.sweeps <= 6:  # later changes would only swing to and fro
        felt = set(tight_pools(network, flow, state.hold, state.open_wait)) | set(state.tight)
        state.tight = [i for i in network.order.tolist() if i in felt] if felt else []
    tight = state.tight
    if not tight:
        return unstable, cycle
    found = pool_waits(
        network, flow, state.service, state.hold, state.hold_scv, state.open_wait, tight, state.binding, state.memo
    )
    if found.limiting >= 0:
        return found.limiting, cycle
    # the targets of a balancer share a queue, whatever their pools prescribe each alone
    state.wait_fixed[:] = np.where(np.isnan(state.wait_shared), found.wait, state.wait_shared)
    return _respond(network, state, admit_limit)


def _respond(network: Network, state: NetworkState, admit_limit: Array) -> tuple[int, float]:
    unstable, cycle = sweep_response(
        network.order,
        network.start,
        network.ptr,
        network.target,
        state.calls,
        network.sync,
        network.latency,
        network.timeout,
        network.retries,
        network.backoff,
        network.budget,
        network.stage,
        network.required,
        state.arrivals,
        state.service,
        network.scv,
        network.servers,
        network.replicas,
        network.spread,
        network.blocking,
        network.places,
        network.law,
        network.rate_first,
        network.rates,
        network.arrival_scv,
        state.wait_fixed,
        admit_limit,
        state.hold,
        state.hold_scv,
        state.wait,
        state.open_wait,
        state.response,
        state.variance,
        state.success,
        state.admitted,
        state.utilisation,
        state.edge_time,
        state.edge_attempts,
        state.edge_fail,
        1e-12,
    )
    return int(unstable), float(cycle)


def _share_host(network: Network, state: NetworkState) -> float:
    """Stretch the CPU part of each service by the processor sharing of its host."""
    hosts = network.arch.hosts
    if not hosts or not (network.host >= 0).any():
        return 0.0
    on = network.host >= 0
    demand = state.arrivals * state.admitted * network.cpu
    load = np.bincount(network.host[on], demand[on], len(hosts))
    cpus = np.array([h.cpus for h in hosts])
    state.host_utilisation = load / cpus
    if (state.host_utilisation >= 1.0 - 1e-12).any():
        state.limiting = network.n + int(np.argmax(state.host_utilisation))
        return 0.0
    whole = np.maximum(np.floor(cpus), 1.0).astype(np.int64)
    scaled = load * whole / cpus  # a fractional host is a slower one with whole processors
    queue = np.zeros(len(hosts))
    erlang_c(whole, scaled, queue)
    stretch = (1.0 + queue / (whole * (1.0 - scaled / whole))) * whole / cpus
    new = network.service.copy()
    new[on] += network.cpu[on] * (stretch[network.host[on]] - 1.0)
    change = relative_change(new, state.service)
    state.service = 0.5 * (new + state.service) if state.sweeps > 20 else new
    return change


def _loop_culprit(network: Network, state: NetworkState) -> int:
    sizes = np.diff(network.start)
    cycles = np.flatnonzero(sizes > 1)
    if not cycles.size:
        loops = np.flatnonzero(network.source == network.target)
        return int(network.source[loops[0]]) if loops.size else 0
    members = np.concatenate([network.order[network.start[k] : network.start[k + 1]] for k in cycles])
    return int(members[np.argmax(state.arrivals[members])])


def _residual(network: Network, state: NetworkState) -> float:
    """Largest relative violation of flow conservation [1]."""
    flow = state.arrivals * state.admitted
    given = state.external + np.bincount(
        network.target, flow[network.source] * state.calls * state.edge_attempts, network.n
    )
    return float(
        (np.abs(given - state.arrivals) / np.maximum(state.arrivals.max(initial=0.0), 1e-300)).max(initial=0.0)
    )
