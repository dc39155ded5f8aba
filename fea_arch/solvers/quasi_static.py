"""Answers within an objective under a load history, from the quasi-static march of the queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.architecture.loads import Outage
from fea_arch.kernels import quasi_static as k
from fea_arch.laws.station import state_rates
from fea_arch.solvers.network import Array, Flags, Index, Network, build_network

__all__ = ["March", "Tables", "build_march", "walk"]

#: Longest step as a part of the window, and growth of the steps after a jump.
_STEPS, _GROWTH = 60, 1.6


@dataclass(frozen=True, eq=False)
class Tables:
    """Numbers of components (n, 10) and calls (m, 7) in the columns of the kernel."""

    network: Network
    node: Array
    edge: Array
    law: Index
    cancel: Index


@dataclass(frozen=True, eq=False)
class March:
    """What a march found.

    Attributes
    ----------
    offered, good : float
        Requests from outside, and those answered within the objective [req].
    blame : (n,) float64
        Lost requests by component; sums to ``offered - good`` [req].
    time_s : (t,) float64
        Ends of the steps [s].
    offered_per_s, good_per_s, waiting : (t,) float64
        Rates [1/s] and requests waiting in queues [req] in each step.
    flow_per_s, utilisation, wait_s, response_s : (n,) float64
        At the end of the window.
    """

    offered: float
    good: float
    blame: Array
    time_s: Array
    offered_per_s: Array
    good_per_s: Array
    waiting: Array
    flow_per_s: Array
    utilisation: Array
    wait_s: Array
    response_s: Array

    @property
    def share(self) -> float:
        """Share of the offered requests that are answered within the objective [1]."""
        return self.good / self.offered if self.offered > 0 else 1.0


def build_march(arch: Architecture) -> Tables:
    """Collect the tables of an architecture; those of edited copies with the same calls may be swapped in."""
    network = _in_order(build_network(arch))
    n, m = network.n, network.target.size
    column = arch.component_columns.column
    node = np.zeros((n, 10))
    node[:, k.N_SERVICE] = network.service
    node[:, k.N_SCV] = network.scv
    node[:, k.N_SERVERS] = network.servers
    node[:, k.N_REPLICAS] = network.replicas
    node[:, k.N_BLOCKING] = network.blocking
    spread = (network.spread == 0) & (network.replicas > 1)
    node[:, k.N_SCV_IN] = np.where(spread, network.arrival_scv / network.replicas, network.arrival_scv)
    node[:, k.N_LIMIT] = network.rate_limit
    node[:, k.N_CPU] = np.where(network.host >= 0, network.cpu, 0.0)
    pooled = (network.spread == 2) & (network.replicas > 1)
    node[pooled, k.N_SERVERS] *= network.replicas[pooled]
    node[pooled, k.N_REPLICAS] = 1.0
    for i in np.flatnonzero(network.law == 2).tolist():  # the largest throughput, reached by its number of requests
        rates, _ = state_rates(arch.components[i])
        best = int(np.argmax(rates)) + 1
        node[i, k.N_SERVERS] = best
        node[i, k.N_SERVICE] = best / float(rates[best - 1])
    resident = np.nan_to_num(np.asarray(column("memory_bytes"), float))
    per = np.nan_to_num(np.asarray(column("memory_per_request_bytes"), float))
    limit = np.asarray(column("memory_limit_bytes"), float)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where((limit > 0) & (per > 0), np.maximum((limit - resident) / per, 0.0), np.inf)
    copies = np.where(pooled, network.replicas, 1)
    node[:, k.N_ROOM] = np.where(np.isfinite(room), np.ceil(room) * copies, np.inf)
    cold = np.asarray(column("cold_start_s"), float)
    from fea_arch.architecture.component import PAGE_IN_BYTES_PER_S

    node[:, k.N_WARM_UP] = np.where(np.isnan(cold), resident / PAGE_IN_BYTES_PER_S, cold)
    edge = np.full((m, 7), np.inf)
    edge[:, k.E_CALLS] = network.calls
    edge[:, k.E_LATENCY] = network.latency
    edge[:, k.E_TIMEOUT] = np.where(np.isnan(network.timeout), np.inf, network.timeout)
    edge[:, k.E_BACKOFF] = network.backoff
    edge[:, k.E_BUDGET] = np.where(np.isnan(network.budget), np.inf, network.budget)
    breakers = arch.graph.breakers
    if len(breakers):
        for e in range(m):
            breaker = breakers[int(network.edge[e])]
            if breaker is not None:
                edge[e, k.E_BREAK_SHARE], edge[e, k.E_BREAK_OPEN_S] = breaker.failure_share, breaker.open_s
    law = np.where(network.law == 1, 1, 0).astype(np.int64)
    return Tables(network, node, edge, law, _cancelled(arch, network))


def _in_order(network: Network) -> Network:
    """Sort the calls of each component in the order in which they are made: without stage first, then by stage."""
    order = np.lexsort((network.edge, network.stage, network.source))
    if (order == np.arange(order.size)).all():
        return network
    fields = (
        "edge", "target", "source", "calls", "sync", "latency", "timeout", "retries", "backoff", "budget", "stage",
        "required", "group", "policy",
    )  # fmt: skip
    changed: dict[str, Any] = {name: np.ascontiguousarray(getattr(network, name)[order]) for name in fields}
    changed["in_edge"] = np.argsort(changed["target"], kind="stable").astype(np.int64)
    return replace(network, **changed)


def _cancelled(arch: Architecture, network: Network) -> Index:
    """Return which calls are withdrawn from the callee when they time out, (m,) int64."""
    labels = {d.label for d in arch.dependencies if d.cancel_on_timeout}
    labels |= {f"{b.source}->{t}" for b in arch.balancers if b.cancel_on_timeout for t in b.targets}
    out = np.zeros(network.target.size, np.int64)
    if labels:
        names = network.names
        for e, (i, j) in enumerate(zip(network.source.tolist(), network.target.tolist())):
            out[e] = f"{names[i]}->{names[j]}" in labels
    return out


def walk(
    tables: Tables,
    *,
    objective_s: float,
    duration_s: float,
    begin_s: float = 0.0,
    load: Callable[[float], float] | None = None,
    events: Sequence[Outage | tuple[float, float, float]] = (),
    dead: Flags | None = None,
    iterations: int = 5,
) -> March:
    """March through a window that begins with empty queues.

    Parameters
    ----------
    tables : Tables
    objective_s : float
        Latency objective [s].
    duration_s, begin_s : float
        End of the window, and when counting begins [s].
    load : callable, optional
        Load factor over time; its ``breakpoints`` are met exactly.
    events : sequence of Outage or (begin, end, share)
        Outages; a plain triple hits all components.
    dead : (n,) bool, optional
        Components that answer nothing.
    iterations : int
        Sweeps per step.
    """
    network = tables.network
    knots = {0.0, begin_s, duration_s}
    who, when = [], []
    for event in events:
        if isinstance(event, Outage):
            who.append(network.arch.index[event.component])
            when.append((event.start_s, event.end_s, event.share))
        else:
            who.append(-1)
            when.append(event)
        knots.update(t for t in when[-1][:2] if 0.0 < t < duration_s)
    if load is not None and hasattr(load, "breakpoints"):
        knots.update(t for t in load.breakpoints() if 0.0 < t < duration_s)
    times = _times(sorted(knots), duration_s, smooth=load is None)
    middle = 0.5 * (times[1:] + times[:-1])
    factors = np.ones(middle.size) if load is None else np.array([float(load(t)) for t in middle.tolist()])
    n = network.n
    blame, series, end = np.zeros(n), np.zeros((times.size, 3)), np.zeros((n, 4))
    down = ~network.available if dead is None else (~network.available | dead)
    arguments = (
        network.order, network.ptr, network.target, network.source, network.in_ptr, network.in_edge, tables.node,
        tables.edge, network.sync, network.retries, tables.cancel, network.stage, network.required, network.group,
        tables.law, network.places, network.host, np.array([h.cpus for h in network.arch.hosts], float), down,
        network.external, middle, factors, np.array(who, np.int64), np.array(when, float).reshape(-1, 3), times,
        float(objective_s), float(begin_s), int(iterations), blame, series, end,
    )  # fmt: skip
    offered, good = k.march(*arguments)
    lost, charged = max(offered - good, 0.0), float(blame.sum())
    blame = blame * (lost / charged) if charged > 0 else blame
    return March(
        float(offered), float(good), blame, times, series[:, 0], series[:, 1], series[:, 2],
        end[:, 0], end[:, 1], end[:, 2], end[:, 3],
    )  # fmt: skip


def _times(knots: list[float], duration_s: float, *, smooth: bool) -> Array:
    """Return the ends of the steps: short after each knot, then growing."""
    longest = duration_s / (_STEPS / 3 if smooth else _STEPS)
    out = [knots[0]]
    for a, b in zip(knots, knots[1:]):
        t, step = a, min(0.02, (b - a) / 4.0)
        while t < b - 1e-9 * duration_s:
            t = min(t + step, b)
            if b - t < 0.5 * step:
                t = b
            out.append(t)
            step = min(step * _GROWTH, longest)
    return np.array(out)
