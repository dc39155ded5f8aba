"""Answers within an objective under a load history, from the quasi-static march of the queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.architecture.loads import Outage
from fea_arch.kernels import march_tables as k
from fea_arch.kernels.books import books
from fea_arch.kernels.quasi_static import march
from fea_arch.kernels.tipping import tipping
from fea_arch.laws.station import state_rates
from fea_arch.solvers.network import Array, Flags, Index, Network, build_network

__all__ = ["March", "Tables", "build_march", "walk"]

#: Longest step as a part of the window, and growth of the steps after a jump.
_STEPS, _GROWTH = 60, 1.6
#: Times at which the rate of tipping is found, and chance of a storm in the window that is neglected.
_LOOKS, _RARE = 8, 1e-3


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
    # calls that are withdrawn from the callee when they time out
    return Tables(network, node, edge, law, arch.graph.cancel[network.edge].astype(np.int64))


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
    tip: bool = True,
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
    tip : bool
        Weigh in what happens if chance sets off a retry storm.
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
    n = network.n
    down = ~network.available if dead is None else (~network.available | dead)

    def run(knots: set[float], kick: tuple[int, float, float]) -> tuple[Any, ...]:
        times = _times(sorted(knots), duration_s, smooth=load is None)
        middle = 0.5 * (times[1:] + times[:-1])
        factors = np.ones(middle.size) if load is None else np.array([float(load(t)) for t in middle.tolist()])
        blame, series, end = np.zeros(n), np.zeros((times.size, 3)), np.zeros((n, 4))
        kept, fails = np.zeros((times.size, n, 19)), np.zeros((times.size, network.target.size))
        begin = float(np.searchsorted(times, kick[1]) + 1)
        march(
            network.order, network.ptr, network.target, network.source, network.in_ptr, network.in_edge, tables.node,
            tables.edge, network.sync, network.retries, tables.cancel, network.stage, network.required, network.group,
            tables.law, network.places, network.host, np.array([h.cpus for h in network.arch.hosts], float), down,
            network.external, middle, factors, np.array(who, np.int64), np.array(when, float).reshape(-1, 3), times,
            int(iterations), np.array([kick[0], begin, kick[2]]), series, end, kept, fails,
        )  # fmt: skip
        offered, good = books(
            network.order, network.ptr, network.target, tables.edge, network.sync, network.required, network.external,
            factors, times, kept, fails, float(objective_s), float(begin_s), blame, series,
        )  # fmt: skip
        return offered, good, blame, series, end, times, factors, kept

    offered, good, blame, series, end, times, factors, kept = run(knots, (-1, 0.0, 0.0))
    if tip:
        chance, kick = _chance(tables, times, factors, kept)
        if chance[-1] > _RARE:
            _, _, other, rows, _, later, _, _ = run(knots | {kick[1]}, kick)
            lost = _loss(times, series[:, 1], later, rows[:, 1], chance, begin_s)
            extra = np.maximum(other - blame, 0.0)
            if lost > 0.0 and extra.sum() > 0.0:
                good = max(good - lost, 0.0)
                blame = blame + extra * (lost / extra.sum())
    lost, charged = max(offered - good, 0.0), float(blame.sum())
    blame = blame * (lost / charged) if charged > 0 else blame
    return March(
        float(offered), float(good), blame, times, series[:, 0], series[:, 1], series[:, 2],
        end[:, 0], end[:, 1], end[:, 2], end[:, 3],
    )  # fmt: skip


def _chance(tables: Tables, times: Array, factors: Array, kept: Array) -> tuple[Array, tuple[int, float, float]]:
    """Return the chance that a storm was set off by the end of each step, and the likeliest: where, when, its wait."""
    network = tables.network
    window = float(times[-1] - times[0])
    chosen = _looks(times, window)
    rate, level = np.zeros((chosen.size, network.n)), np.zeros((chosen.size, network.n))
    tipping(
        network.order, network.ptr, network.target, network.source, network.in_ptr, network.in_edge, tables.node,
        tables.edge, network.sync, network.retries, tables.cancel, network.required, tables.law, network.external,
        factors, chosen, kept, window, rate, level,
    )  # fmt: skip
    which = np.searchsorted(chosen, np.arange(1, times.size)).clip(max=chosen.size - 1)
    passed = rate[which] * np.diff(times)[:, None]
    chance = -np.expm1(-np.cumsum(passed.sum(axis=1)))
    worst = int(np.argmax(passed.sum(axis=0)))
    at = int(np.searchsorted(chance, 0.3 * chance[-1]))
    return chance, (worst, float(times[at]), float(level[:, worst].max()))


def _loss(times: Array, calm: Array, later: Array, fallen: Array, chance: Array, begin_s: float) -> float:
    """Return what is lost by storms [req]: the rates of good answers without and with one, by the chance of one."""
    total = np.concatenate([[0.0], np.cumsum(fallen[1:] * np.diff(later))])
    after = np.interp(times, later, total)
    rate = np.diff(after)
    width = np.diff(times)
    counted = np.minimum(np.maximum(times[1:] - begin_s, 0.0), width) / width
    return float((chance * counted * (calm[1:] * width - rate)).sum())


def _looks(times: Array, window: float) -> Index:
    """Return the steps at which the rates of tipping are found: the last one and some before."""
    out, last = [times.size - 1], float(times[-1])
    for s in range(times.size - 2, 0, -1):
        if last - times[s] >= window / _LOOKS:
            out.append(s)
            last = float(times[s])
    return np.array(out[::-1], np.int64)


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
