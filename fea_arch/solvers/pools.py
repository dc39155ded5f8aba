"""Bounded worker pools in an open network: waits where callers are held by their callees.

A component whose workers block is a subsystem with at most ``pool`` requests inside. Its callees see a bounded
population and its own queue sees a completion rate ``X(n)`` that falls behind as the callees fill up: both sides of the
same congestion. The subsystem is solved for every number of busy workers (flow equivalence), the queue in front of it
is the birth-death chain of those rates, corrected for what is not exponential or independent, and Little's law on the
numbers inside gives the wait at every component.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.kernels.erlang import waiting_probability
from fea_arch.solvers.flow_equivalence import flow_equivalent
from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.product_form import Inner, edges_of
from fea_arch.solvers.queue_variability import queue_factor, repeats
from fea_arch.solvers.shared_stations import NOTHING, Crowd, beside_bounded, count_crowds, region_of

__all__ = ["PoolWaits", "pool_waits", "tight_pools"]

#: Largest pool that is solved as a subsystem; beyond it the bound is not felt.
_LARGEST_POOL = 400

#: Probability of a full pool from which an inner pool counts as binding.
BINDING = 0.1


@dataclass(eq=False)
class PoolWaits:
    """Waits that bounded pools impose, (n,) float64 with NaN where the open model holds; ``limiting`` or -1."""

    wait: Array
    limiting: int = -1


@dataclass(frozen=True, eq=False)
class _Subsystem:
    """What is inside one pool, and its solution for the variability ``stamp``."""

    region: list[int]
    edge: list[int]
    others: dict[int, Crowd | None]
    stamp: list[float] | None = None
    solution: tuple[Array, Inner] = (np.empty(0), Inner())


def tight_pools(network: Network, flow: Array, hold: Array, wait: Array) -> list[int]:
    """Return the blocking components whose pool is felt: callees first."""
    out = []
    number = flow * (hold + wait)
    for i in network.order.tolist():
        if not network.blocking[i] or flow[i] <= 0 or network.law[i] != 0 or network.places[i] >= 0:
            continue
        calls = [e for e in edges_of(network, i) if network.sync[e] and network.calls[e] > 0]
        pool = int(network.servers[i])
        if not calls or pool > _LARGEST_POOL or any(network.target[e] == i for e in calls):
            continue
        inside = flow[i] * hold[i] / network.replicas[i]
        below = [number[network.target[e]] for e in calls]
        crowd = max(inside, max(below, default=0.0)) if np.isfinite(inside) else np.inf
        if crowd + 3.0 * np.sqrt(crowd * (crowd + 1.0)) > 0.5 * pool:
            out.append(i)
    return out


def pool_waits(
    network: Network,
    flow: Array,
    service: Array,
    hold: Array,
    hold_scv: Array,
    open_wait: Array,
    tight: list[int],
    binding: set[int],
    memo: dict[Any, Any],
) -> PoolWaits:
    """Solve the pools of ``tight`` components and return the waits of all that they touch.

    Parameters
    ----------
    network : Network
    flow : (n,) float64
        Throughput [1/s].
    service, hold, hold_scv, open_wait : (n,) float64
        Service and holding time [s], squared coefficient of variation of the latter [1], wait of the open model [s].
    tight : list of int
        From :func:`tight_pools`.
    binding : set of int
        Inner pools found binding so far; grows, so that the sweeps cannot swing to and fro.
    memo : dict
        Subsystems solved in the same state, filled in place; ``tol`` says how much the same.
    """
    members = set(tight)
    tol = memo.get("tol", 1e-6)
    same = memo.get("tight") == members and _close(memo["flow"], flow, tol) and _close(memo["service"], service, tol)
    if not same:
        arriving = _open_flow(network, flow, members)
        crowds = count_crowds(network, flow, _unloaded_hold(network, service), arriving, members)
        again = {i: repeats(network, i, flow) for i in tight}
        alone = {i: _exclusive(network, i, flow, arriving) for i in tight}
        memo.clear()
        memo.update(flow=flow.copy(), service=service.copy(), tol=tol, tight=members)
        memo["seen"] = (arriving, crowds, again, alone)
    arriving, crowds, again, alone = memo["seen"]
    passing, coming, holding, varying = flow.tolist(), arriving.tolist(), hold.tolist(), hold_scv.tolist()
    outside = [b > NOTHING * a for a, b in zip(passing, coming)]
    slots = (network.servers * network.replicas).tolist()
    number = np.zeros(network.n)
    touched = np.zeros(network.n, bool)
    whole: dict[int, tuple[Array, Inner]] = {}
    stamp: dict[int, list[float]] = {}

    def solved(i: int) -> tuple[Array, Inner]:
        key = (i, tuple(whole))
        if key not in memo:
            region, edge = region_of(network, i, whole)
            others = {k: crowds.others(network, flow, k, region) for k in (region | edge) - {i}}
            memo[key] = _Subsystem(sorted(region - {i}), sorted(edge), others)
        found: _Subsystem = memo[key]
        varied = {k: (again[k], whole[k][1].full(varying[k])) for k in found.edge}
        for k in found.region:
            if network.law[k] == 0 and network.scv[k] != 1.0:
                again[k] = again[k] if k in again else repeats(network, k, flow)
                varied[k] = (again[k], float(network.scv[k]))
        now = [x for pair in varied.values() for x in pair]
        for k in found.edge:
            now += stamp[k]
        if found.stamp is None or not _near(found.stamp, now, tol):
            rates, inner = flow_equivalent(
                network, i, whole, service, flow=flow, share=1.0 / network.replicas[i], arriving=arriving,
                others=found.others, variability=varied,
            )  # fmt: skip
            solution = _all_replicas(rates, inner, int(network.replicas[i]))
            memo[key] = found = replace(found, stamp=now, solution=solution)
        stamp[i] = now if found.stamp is None else found.stamp
        return found.solution

    try:
        for i in tight:  # inner pools that bind, or that nobody else shares anything with, are one station each
            if not outside[i] and i in crowds.at and crowds.at[i].bound <= slots[i]:
                continue  # its callers cannot fill it
            pool = int(network.servers[i])
            needed = passing[i] * holding[i] / int(network.replicas[i])
            if needed >= pool or waiting_probability(pool, needed) > BINDING:
                binding.add(i)
            if i in binding or alone[i]:
                whole[i] = solved(i)
        for i in tight:
            if not outside[i]:
                continue  # all its requests come from inside an outer pool, which holds them all
            rates, inner = whole[i] if i in whole else solved(i)
            if passing[i] >= rates[-1] * (1.0 - 1e-9):
                return PoolWaits(np.full(network.n, np.nan), limiting=i)
            aside = passing[i] - coming[i]
            if aside > NOTHING * passing[i] and i in crowds.at:
                weight = beside_bounded(rates, coming[i], aside, crowds.at[i])
                queue = float(weight @ np.maximum(np.arange(weight.size) - inner.room, 0.0))
            else:  # all from outside; what is not is counted where it comes from
                weight, queue = _distribution(passing[i], rates)
                own = coming[i] / passing[i]
                weight, queue = weight * own, own * (queue + float(weight[-1]) * (rates.size - inner.room))
            if queue > 1e-9:
                scv = inner.full(varying[i])
                queue *= float(queue_factor(again[i], scv, passing[i] / float(rates[-1]), slots[i]))
            number[i] += queue
            touched[i] = True
            inside, mean = inner.behind(weight)
            number[inside] += mean
            touched[inside] = True
    except ModelError:  # a cycle of synchronous calls: the open model stands
        return PoolWaits(np.full(network.n, np.nan))
    inner_only = np.ones(network.n)
    inner_only[tight] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        number += inner_only * arriving * (open_wait + service)
        wait = np.maximum(number / flow - service, 0.0)
    return PoolWaits(np.where(touched & (flow > 0), wait, np.nan))


def _unloaded_hold(network: Network, service: Array) -> Array:
    """Return the holding times without any wait, (n,) float64 [s]."""
    whole, hold = service.copy(), service.copy()
    for i in network.order.tolist():
        for e in edges_of(network, i):
            if network.sync[e]:
                whole[i] += network.calls[e] * (network.latency[e] + whole[network.target[e]])
        if network.blocking[i]:
            hold[i] = whole[i]
    return hold


def _close(a: Array, b: Array, tol: float) -> bool:
    """Return whether two states differ so little that a solved subsystem serves both (it only corrects waits)."""
    return a.size == b.size and bool((np.abs(a - b) <= tol * np.abs(b)).all())


def _near(a: list[float], b: list[float], tol: float) -> bool:
    """Return the same of a few numbers."""
    return len(a) == len(b) and all(abs(x - y) <= tol * abs(y) for x, y in zip(a, b))


def _exclusive(network: Network, i: int, flow: Array, arriving: Array) -> bool:
    """Return whether everything below a component is reached through it alone."""
    below: set[int] = set()
    stack = [i]
    while stack:
        for e in edges_of(network, stack.pop()):
            j = int(network.target[e])
            if network.sync[e] and j not in below:
                below.add(j)
                stack.append(j)
    if i in below:
        return False
    for j in below:
        if arriving[j] > 1e-9 * flow[j]:
            return False
        callers = network.source[network.in_edge[network.in_ptr[j] : network.in_ptr[j + 1]]]
        if any(int(c) not in below and int(c) != i and flow[c] > 0 for c in callers):
            return False
    return True


def _all_replicas(rates: Array, inner: Inner, replicas: int) -> tuple[Array, Inner]:
    """Put the pools of identical replicas side by side: ``n`` requests are spread evenly."""
    if replicas == 1:
        return rates, inner
    n = np.arange(1, rates.size * replicas + 1) / replicas
    grid = np.arange(rates.size + 1)
    total = replicas * np.interp(n, grid, np.concatenate([[0.0], rates]))
    whole = np.concatenate([[0.0], n])
    number = {k: np.asarray(replicas * np.interp(whole, grid, table)) for k, table in inner.number.items()}
    return total, replace(inner, number=number, room=inner.room * replicas)


def _open_flow(network: Network, flow: Array, tight: set[int]) -> Array:
    """Return the part of each component's flow that does not arrive from inside a tight pool."""
    inside = np.zeros(network.n)  # flow that arrives through a pool
    for i in reversed(network.order.tolist()):
        own = flow[i] if i in tight else inside[i]
        if own <= 0:
            continue
        for e in edges_of(network, i):
            if network.sync[e]:
                inside[network.target[e]] += own * network.calls[e]
    return np.asarray(np.maximum(flow - inside, 0.0))


def _distribution(arrivals: float, rates: Array) -> tuple[Array, float]:
    """Return ``p(0 .. pool)`` with the whole tail at ``pool``, and the mean number waiting beyond it."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(arrivals) - np.log(rates))])
    weight = np.exp(logs - logs.max())
    x = arrivals / rates[-1]
    tail = weight[-1] * x / (1.0 - x)
    queue = weight[-1] * x / (1.0 - x) ** 2
    total = weight.sum() + tail
    weight[-1] += tail
    return weight / total, float(queue / total)
