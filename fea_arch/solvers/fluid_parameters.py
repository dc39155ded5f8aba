"""What the fluid model takes from an architecture and its static state: memory, warm-up, variability, populations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.erlang import erlang_c
from fea_arch.solvers.network import Network
from fea_arch.solvers.statics import NetworkState

__all__ = ["call_levels", "largest_numbers", "memory_limits", "stage_shares", "wait_factors", "warm_ups"]

Array = NDArray[np.float64]


def call_levels(network: Network) -> NDArray[np.int64] | None:
    """Longest chain of calls from an entry to each component, (n,) [1]; None where the calls have a cycle."""
    if (np.diff(network.start) > 1).any() or (network.source == network.target).any():
        return None
    level, source, target = np.zeros(network.n, np.int64), network.source, network.target
    while True:
        deeper = level.copy()
        np.maximum.at(deeper, target, level[source] + 1)
        if np.array_equal(deeper, level):
            return level
        level = deeper


def memory_limits(network: Network) -> Array:
    """Requests inside a component at which its memory limit kills it, (n,) [req]; inf without one."""
    columns = network.arch.component_columns
    limit, per, resident = (
        np.asarray(columns.column(name), float)
        for name in ("memory_limit_bytes", "memory_per_request_bytes", "memory_bytes")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        room = (limit - np.nan_to_num(resident)) / per * network.replicas
    return np.where(np.isnan(room) | (network.law == 2), np.inf, np.maximum(room, 0.0))


def warm_ups(network: Network) -> Array:
    """Time to bring capacity on line: measured cold start, else resident bytes over page-in bandwidth, (n,) [s]."""
    from fea_arch.architecture.component import PAGE_IN_BYTES_PER_S

    columns = network.arch.component_columns
    warm = np.asarray(columns.column("cold_start_s"), float)
    resident = np.nan_to_num(np.asarray(columns.column("memory_bytes"), float))
    return np.where(np.isnan(warm), resident / PAGE_IN_BYTES_PER_S, warm)


def wait_factors(network: Network, base: NetworkState) -> Array:
    """Factor on the Erlang wait that makes the law meet the static wait at the operating point, (n,) [1]."""
    pooled = network.spread == 2
    servers = np.where(pooled, network.servers * network.replicas, network.servers)
    copies = np.where(pooled, 1.0, network.replicas)
    hold = np.where(base.hold > 0.0, base.hold, network.service)
    load = base.arrivals * np.minimum(base.admitted, 1.0) / copies * hold
    usual = (1.0 + np.where(base.hold > 0.0, base.hold_scv, network.scv)) / 2.0
    plain = (network.law == 0) & (network.places < 0) & (load > 1e-3 * servers) & (load < 0.999 * servers)
    wait = np.zeros(network.n)
    if plain.any():
        share = np.zeros(int(plain.sum()))
        erlang_c(np.ascontiguousarray(servers[plain]), np.ascontiguousarray(load[plain]), share)
        wait[plain] = share * hold[plain] / (servers[plain] - load[plain])
    known = plain & (wait > 1e-6 * hold)
    return np.asarray(np.clip(np.where(known, base.wait / np.where(known, wait, 1.0), usual), 0.02, 50.0))


def largest_numbers(network: Network) -> Array:
    """Most requests that can be at each component, where all come from bounded worker pools, (n,) [req].

    Blocking callers send at most one request a worker; event loops pass on what they are sent; everything else
    (arrivals from outside, events, retries that leave their first try behind) is unbounded.
    """
    most = np.full(network.n, np.inf)
    strong = np.diff(network.start) > 1
    cyclic = np.zeros(network.n, bool)
    for k in np.flatnonzero(strong).tolist():
        cyclic[network.order[network.start[k] : network.start[k + 1]]] = True
    slots = (network.servers * network.replicas).astype(float)
    for j in network.order[::-1].tolist():
        edges = network.in_edge[network.in_ptr[j] : network.in_ptr[j + 1]]
        edges = edges[network.calls[edges] > 0.0]
        if not edges.size or network.external[j] > 0.0 or cyclic[j]:
            continue
        if not network.sync[edges].all() or (network.stage[edges] >= 0).any():
            continue
        if np.isfinite(network.timeout[edges]).any():
            continue
        source = network.source[edges]
        pool = np.where(network.blocking[source] & (network.law[source] != 1), slots[source], np.inf)
        most[j] = float(np.minimum(pool, most[source]).sum())
    return most


def stage_shares(network: Network, base: NetworkState) -> Array:
    """Share of its time that a call of a parallel stage adds to its caller, (n_edges,) [1]."""
    share = np.ones(network.target.size)
    parallel = network.sync & (network.stage >= 0)
    if not parallel.any():
        return share
    time = base.calls * base.edge_time
    outside = base.response - base.wait - base.service
    total = np.bincount(network.source[parallel], time[parallel], network.n)
    serial = np.bincount(network.source[network.sync & ~parallel], time[network.sync & ~parallel], network.n)
    ratio = np.where(total > 0.0, (outside - serial) / np.where(total > 0.0, total, 1.0), 1.0)
    share[parallel] = np.clip(ratio, 0.0, 1.0)[network.source[parallel]]
    return share
