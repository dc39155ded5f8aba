"""The fluid model of an architecture: mean numbers in flight, driven by the laws of the stations.

``dN/dt = admitted (f + P^T y) - y`` with ``y = (G(N + B) - B) / S`` (see :mod:`fea_arch.solvers.station_tables`). ``B`` counts the
workers that wait for callees: they leave at the rate at which calls are made and come back after the present response
time of the callee, ``dB/dt = P y - B / R``. Hosts share their processors: the CPU part of a service is stretched until
demand and processors balance. The variance of the number inside follows ``dV/dt = inflow + y - 2 (dq/dN) V`` (linear noise
around the mean path), which at rest is the exact variance of a birth-death station.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ConvergenceError
from fea_arch.kernels.erlang import erlang_c
from fea_arch.kernels.fluid import march
from fea_arch.solvers.network import Network
from fea_arch.solvers.station_tables import CELLS, StationTables, build_tables
from fea_arch.solvers.statics import NetworkState

__all__ = ["Change", "Fluid", "History", "run_fluid"]

Array = NDArray[np.float64]

_CHUNK = 2000


@dataclass(frozen=True)
class Change:
    """From ``time_s`` on, component ``node`` has a share of its capacity, answers or rejects, and may be emptied."""

    time_s: float
    node: int
    capacity: float
    up: float
    empty: bool = False


@dataclass(eq=False)
class History:
    """What a run recorded, rows by time, and its books over the whole run.

    ``offered``, ``admitted``, ``served``, ``killed`` and ``external`` are (n,) requests; ``balance`` is the largest mismatch of
    the books relative to what was offered [1].
    """

    time: Array
    number: Array
    flow: Array
    inflow: Array
    admitted_share: Array
    variance: Array
    response: Array
    service: Array
    offered: Array
    admitted: Array
    served: Array
    external: Array
    killed: Array
    balance: float
    steps: int
    repeated: int
    kills: tuple[tuple[float, int], ...] = ()
    interrupted: bool = False


@dataclass(eq=False)
class Fluid:
    """Arrays of the fluid model; nodes are the components and, with ``refine > 1``, the delay stages of their service.

    Parameters
    ----------
    network : Network
    base : NetworkState
        Static state from which the variability of each wait is taken, so that the model at rest is the static one.
    refine : int
        Elements in series per component.
    """

    network: Network
    base: NetworkState
    refine: int = 1
    variability: Array | None = None
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        net, refine = self.network, self.refine
        n0 = self.n0 = net.n
        self.n = n0 * refine
        inner = n0 * (refine - 1)
        # edges sorted by source; the calls of a component leave from its last stage
        ends = np.arange(n0) + inner
        # in the order in which they are made: events, calls without a stage as declared, then stage by stage
        call = self.call = np.lexsort((net.edge, net.stage, net.sync, net.source))
        source = np.concatenate([np.arange(inner), ends[net.source[call]]])
        target = np.concatenate([np.arange(inner) + n0, net.target[call]])
        pad_f, pad_i, pad_b = np.zeros(inner), np.zeros(inner, np.int64), np.zeros(inner, bool)
        self.m, self.inner = source.size, inner
        self.source, self.target = source.astype(np.int64), target.astype(np.int64)
        self.out_ptr = np.searchsorted(source, np.arange(self.n + 1)).astype(np.int64)
        in_edge = np.argsort(target, kind="stable").astype(np.int64)
        self.in_ptr = np.searchsorted(target[in_edge], np.arange(self.n + 1)).astype(np.int64)
        self.in_edge, self.in_source = in_edge, self.source[in_edge]
        heads = net.order[::-1]
        self.order = (heads[:, None] + n0 * np.arange(refine)[None, :]).ravel().astype(np.int64)
        self.calls = np.concatenate([np.ones(inner), self.base.calls[call]])
        self.sync = np.concatenate([~pad_b, net.sync[call]])
        self.latency = np.concatenate([pad_f, net.latency[call]])
        self.timeout = np.concatenate([pad_f + np.nan, net.timeout[call]])
        self.retries = np.concatenate([pad_i, net.retries[call]])
        self.backoff = np.concatenate([pad_f, net.backoff[call]])
        self.budget = np.concatenate([pad_f + np.nan, net.budget[call]])
        self.required = np.concatenate([~pad_b, net.required[call]])
        self.weight = np.concatenate([pad_f + 1.0, _stage_share(net, self.base)[call]])
        stage, own = net.stage[call], np.arange(call.size)
        self.phase = np.concatenate([pad_i - 1, np.where(stage >= 0, call.size + stage, own)]).astype(np.int64)
        pooled = net.spread == 2
        self.copies = np.concatenate([np.where(pooled, 1.0, net.replicas.astype(float)), pad_f + 1.0])
        self.variability = _variability(net, self.base) if self.variability is None else self.variability
        flow = self.base.arrivals * np.minimum(self.base.admitted, 1.0) / self.copies[:n0]
        hold = np.where(self.base.hold > 0.0, self.base.hold, net.service)
        tables = build_tables(
            net, self.variability, _population(net) / self.copies[:n0], (flow * hold, flow * self.base.wait)
        )
        self.tables = tables
        self.row = np.concatenate([np.where(net.law == 1, -1, tables.row), pad_i - 1]).astype(np.int64)
        self.scale = np.concatenate([tables.scale, pad_f + 1.0])
        self.bounded = np.concatenate([(net.places >= 0) & (net.law != 1), pad_b])
        self.cpu = np.tile(net.cpu / refine, refine)
        self.rest = np.tile(net.service / refine, refine) - self.cpu
        self.host = np.tile(net.host, refine)
        self.rest, self.cpu = np.where(self.host >= 0, self.rest, self.rest + self.cpu), np.where(
            self.host >= 0, self.cpu, 0.0
        )
        self.limit = np.concatenate([net.rate_limit, pad_f + np.inf])
        self.scv = np.tile(np.maximum(net.scv, 1e-3), refine)
        self.lag = np.tile(_warm_up(net), refine)
        blocking = np.concatenate([net.blocking, pad_b])
        pool = np.concatenate([net.law != 1, pad_b])
        self.held = np.concatenate([pad_b, net.sync[call]]) & (blocking & pool)[self.source % n0] if refine == 1 else (
            np.zeros(self.m, bool)
        )
        if refine > 1:  # the first stage is the station: its servers are held by the later stages and by callees
            self.held[: min(n0, inner)] = pool[: min(n0, inner)]
        self.again = bool(
            (np.diff(net.start) > 1).any() or (net.source == net.target).any() or (self.row < -1).any()
        )
        self.crush = np.concatenate([_crush(net), pad_f + np.inf])
        self._hosts()

    def _hosts(self) -> None:
        hosts = self.network.arch.hosts
        who: list[Any] = []
        first = [0]
        grid, load = np.ones((max(len(hosts), 1), 600)), np.zeros((max(len(hosts), 1), 600))
        for k, host in enumerate(hosts):
            on = np.flatnonzero((self.host == k) & (self.cpu > 0))
            who.append(on)
            first.append(first[-1] + on.size)
            whole = max(int(host.cpus), 1)
            rho = -np.expm1(-np.linspace(0.0, 17.0, 600))
            c = np.zeros(rho.size)
            erlang_c(np.full(rho.size, whole), rho * whole, c)
            grid[k] = (1.0 + c / (whole * (1.0 - rho))) * whole / host.cpus
            grid[k] += np.arange(600) * 1e-13  # strictly increasing
            load[k] = rho * host.cpus
        self.h_first = np.array(first, np.int64)
        self.h_who = np.concatenate(who).astype(np.int64) if who else np.zeros(0, np.int64)
        self.h_grid, self.h_load = grid, load

    @property
    def held_any(self) -> Array:
        """1.0 for components whose workers wait for callees, (n_components,) [1]."""
        held = np.bincount(self.source[self.held], minlength=self.n)[: self.n0] > 0
        return np.asarray((held & self.network.blocking).astype(float))

    def tables_of(self, index: NDArray[np.int64]) -> StationTables:
        """Return the law tables of some components."""
        return replace(self.tables, row=self.tables.row[index], scale=self.tables.scale[index])

    def at_rest(self, base: NetworkState | None = None) -> None:
        """Set the state to the static one."""
        base = self.base if base is None else base
        net, refine, n0 = self.network, self.refine, self.n0
        flow = base.arrivals * base.admitted
        number = np.concatenate([flow * (base.wait + base.service / refine)] + [flow * base.service / refine] * (refine - 1))
        response = np.concatenate([base.response] + [
            base.response - base.wait - base.service * k / refine for k in range(1, refine)
        ])
        with np.errstate(divide="ignore", invalid="ignore"):
            per = base.edge_time - (base.edge_attempts - 1.0) * net.backoff
            per = per / base.edge_attempts + (base.edge_attempts - 1.0) / base.edge_attempts * net.backoff
        wait = np.where(net.sync, np.where(base.edge_time > 0, per, net.latency + base.response[net.target]), 0.0)
        inner_wait = np.concatenate([base.service * (refine - 1) / refine] + [base.service * 0.0] * (refine - 2)) if (
            refine > 1
        ) else np.zeros(0)
        self.state = self._state(
            np.tile(flow, refine), number, response, np.concatenate([np.ones(self.inner), base.edge_attempts[self.call]]),
            np.concatenate([inner_wait, wait[self.call]]),
            np.concatenate([np.ones(self.inner), (1.0 - base.edge_fail * net.required)[self.call]]),
        )
        self.state["success"][:n0] = base.success
        self.state["spread"][:n0] = np.minimum(base.variance, 1e18)
        if len(base.host_utilisation):
            for k in range(len(base.host_utilisation)):
                self.state["stretch"][k] = np.interp(
                    base.host_utilisation[k] * net.arch.hosts[k].cpus, self.h_load[k], self.h_grid[k]
                )

    def empty(self) -> None:
        """Set the state to that of a system without requests."""
        net, refine = self.network, self.refine
        response = np.tile(net.service, refine)
        first = np.where(net.sync, net.latency + net.service[net.target], 0.0)
        wait = np.concatenate([np.zeros(self.inner), first[self.call]])
        if refine > 1:
            wait[: self.n0] = net.service * (refine - 1) / refine
        self.state = self._state(np.zeros(self.n), np.zeros(self.n), response, np.ones(self.m), wait, np.ones(self.m))

    def _state(self, flow: Array, number: Array, response: Array, attempts: Array, wait: Array, passed: Array) -> dict[str, Any]:
        rate = self.calls * attempts
        time = np.where(self.sync, self.weight * rate * wait, 0.0)
        content, reach = np.zeros(self.m), flow.copy()
        steps = range(self.m) if (passed < 1.0).any() else ()
        key = self.source * (2 * self.m + 2000) + self.phase
        head = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if self.m else np.zeros(0, np.int64)
        whole = np.add.reduceat(time, head) if self.m else time
        share = np.ones(self.m)
        for e in steps:  # failed calls end their request: later calls of the caller are made less often
            last = e > 0 and self.source[e - 1] == self.source[e]
            share[e] = share[e - 1] * passed[e - 1] if last else 1.0
        content[head] = whole * reach[self.source[head]] * share[head]
        held = np.bincount(self.source[self.held], content[self.held], self.n)
        lag = np.zeros(self.n)
        return {
            "up": np.concatenate([self.network.available.astype(float), np.ones(self.inner)]),
            "lag": lag, "lag_kind": 0, "ceiling": np.full(self.n, np.inf), "attempts": attempts.copy(), "rate": rate,
            "wait": wait.copy(), "content": content, "passed": passed.copy(), "waiting": np.zeros(self.n), "number": number.copy(),
            "whole": number + held, "flow": flow.copy(), "variance": number.copy(), "response": response.copy(),
            "spread": response**2, "success": np.ones(self.n), "stretch": np.ones(self.h_first.size - 1),
            "copies": self.copies.copy(),
        }

    def march(
        self, begin: float, end: float, dt: float, knots: tuple[Array, Array], external: Array,
        closed: tuple[Array, Array], tolerance: float, fixed: bool, max_dt: float, outputs: Array, output: int,
        record: list[Array], books: Array, chunk: int,
    ) -> Any:
        """Call the kernel on the present state."""
        s, t = self.state, self.tables
        return march(
            begin, end, dt, self.order, self.in_ptr, self.in_source, self.in_edge, self.out_ptr, self.target, self.row,
            self.scale, s["copies"], self.rest, self.cpu, self.host, self.limit, self.bounded, self.scv, t.busy,
            t.slope, t.blocked, CELLS, self.h_first, self.h_who, self.h_grid, self.h_load, self.calls, self.sync,
            self.latency, self.timeout, self.retries, self.backoff, self.budget, self.required, self.weight,
            self.held, self.phase, s["passed"], knots[0], knots[1], external, closed[0], closed[1], s["up"], self.crush, s["lag"], s["lag_kind"],
            s["ceiling"], s["attempts"], s["rate"], s["wait"], s["content"], s["waiting"], s["number"], s["whole"],
            s["flow"], s["variance"], s["response"], s["spread"], s["success"], s["stretch"], tolerance, fixed, max_dt,
            self.again, outputs, output, *record, books, chunk,
        )


def run_fluid(
    model: Fluid,
    duration_s: float,
    knots: tuple[Array, Array],
    breaks: Sequence[float],
    external: Array,
    *,
    closed: tuple[Array, Array] | None = None,
    changes: Sequence[Change] = (),
    tolerance: float = 1e-3,
    dt_s: float | None = None,
    max_dt_s: float = math.inf,
    times: Array | None = None,
    progress: Callable[[float], None] | None = None,
) -> History:
    """Run the model from its present state over ``duration_s`` and record.

    Parameters
    ----------
    model : Fluid
    duration_s : float
    knots : ((k,), (k,)) float64
        Load factor over time, linear between; equal times make a jump.
    breaks : sequence of float
        Times at which a step must end [s].
    external : (n_components,) float64
        Arrivals from outside at load factor 1 [1/s].
    closed : ((n,), (n,)) float64, optional
        Users and think times [s] at each node.
    changes : sequence of Change
    tolerance : float
        Relative error of one step.
    dt_s : float, optional
        Fixed step.
    times : (k,) float64, optional
        Times to record; by default every step.

    Raises
    ------
    ConvergenceError
        If the step size collapses.
    """
    n = model.n
    rates = np.concatenate([external, np.zeros(n - model.n0)])
    population = (np.zeros(n), np.zeros(n)) if closed is None else closed
    queue = sorted(changes, key=lambda c: c.time_s)
    marks = sorted({float(t) for t in (*breaks, *(c.time_s for c in queue)) if 0.0 < t < duration_s} | {duration_s})
    # a record shortly before each event, so that histories have an edge there
    usual = min(4.0 * float(np.median(model.state["response"])), 1e-2 * duration_s)
    edges = [b - usual for a, b in zip([0.0, *marks], marks) if b - a > 4.0 * usual]
    events = sorted({*marks, *edges})
    kills: list[tuple[float, int]] = []
    outputs = np.zeros(0) if times is None else np.ascontiguousarray(times, np.float64)
    books, killed = np.zeros((4, n)), np.zeros(n)
    start = model.state["number"].copy()
    rows = outputs.size + 4 if outputs.size else 256
    record = [np.empty(rows)] + [np.empty((rows, n)) for _ in range(7)]
    parts: list[list[Array]] = []
    output, steps, repeated, interrupted = 0, 0, 0, False
    smallest = float(np.min(model.rest + model.cpu))
    t, dt = 0.0, dt_s if dt_s is not None else max(smallest, 1e-5 * duration_s)
    try:
        while t < duration_s * (1.0 - 1e-12):
            killed += _apply(model, queue, t)
            target = next(e for e in events if e > t * (1.0 + 1e-12))
            t, dt, status, used, done, bad, output, broken = model.march(
                t, target, dt, knots, rates, population, tolerance, dt_s is not None, max_dt_s, outputs, output,
                record, books, _CHUNK,
            )
            parts.append([a[:used].copy() for a in record])
            steps, repeated = steps + done, repeated + bad
            if progress is not None:
                progress(t / duration_s)
            if status == 2:
                raise _collapsed(model, t, dt)
            if status == 3:  # killed: everything inside is lost, and it answers again after its cold start
                kills.append((t, broken % model.n0))
                back = t + model.lag[broken % model.n0]
                queue.append(Change(t, broken, 0.0, 0.0, empty=True))
                queue.append(Change(back, broken, 1.0, 1.0))
                queue.sort(key=lambda c: c.time_s)
                if back < duration_s:
                    events = sorted({*events, back})
            if dt_s is not None:
                dt = dt_s
            elif status in (0, 3):
                dt = max(smallest, 1e-2 * dt)
    except KeyboardInterrupt:
        interrupted = True
    killed += _apply(model, queue, t)
    time, number, flow, inflow, share, variance, response, service = (
        np.concatenate([p[k] for p in parts]) for k in range(8)
    )
    wrong = model.state["number"] + killed - start - books[1] + books[2]
    most = max(float(books[0].max(initial=0.0)), float(start.max(initial=0.0)), 1e-300)
    return History(
        time, number, flow, inflow, share, variance, response, service, books[0], books[1], books[2], books[3], killed,
        float(np.abs(wrong).max(initial=0.0) / most), steps, repeated, tuple(kills), interrupted,
    )


def _collapsed(model: Fluid, t: float, dt: float) -> ConvergenceError:
    worst = np.argsort(-np.abs(model.state["number"]))[:3] % model.n0
    return ConvergenceError(
        f"the time step fell to {dt:.1e} s at {t:g} s",
        partial=dict(model.state),
        worst=tuple(model.network.names[int(i)] for i in worst),
    )


def _apply(model: Fluid, queue: list[Change], t: float) -> Array:
    """Carry out the changes that are due and return what was lost inside, (n,) [req]."""
    killed, s = np.zeros(model.n), model.state
    while queue and queue[0].time_s <= t * (1.0 + 1e-12):
        change = queue.pop(0)
        i = change.node
        s["copies"][i] = model.copies[i] * change.capacity
        s["up"][i] = change.up
        for k in range(model.refine):
            j = i + model.n0 * k
            s["copies"][j] = model.copies[j] * (change.capacity if k == 0 or change.capacity == 0.0 else 1.0)
            if change.empty:
                killed[j] += s["number"][j]
                for name in ("number", "whole", "flow", "variance"):
                    s[name][j] = 0.0
                s["content"][model.target == j] = 0.0
                s["content"][model.source == j] = 0.0
    return killed


def _crush(network: Network) -> Array:
    """Requests inside a component at which its memory limit kills it, (n,) [req]; inf without one."""
    columns = network.arch.component_columns
    limit, per, resident = (
        np.asarray(columns.column(name), float)
        for name in ("memory_limit_bytes", "memory_per_request_bytes", "memory_bytes")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        room = (limit - np.nan_to_num(resident)) / per * network.replicas
    return np.where(np.isnan(room) | (network.law == 2), np.inf, np.maximum(room, 0.0))


def _warm_up(network: Network) -> Array:
    from fea_arch.architecture.component import PAGE_IN_BYTES_PER_S

    columns = network.arch.component_columns
    warm = np.asarray(columns.column("cold_start_s"), float)
    resident = np.nan_to_num(np.asarray(columns.column("memory_bytes"), float))
    return np.where(np.isnan(warm), resident / PAGE_IN_BYTES_PER_S, warm)


def _variability(network: Network, base: NetworkState) -> Array:
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


def _population(network: Network) -> Array:
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
        if not network.sync[edges].all() or np.isfinite(network.timeout[edges]).any() or (network.stage[edges] >= 0).any():
            continue
        source = network.source[edges]
        pool = np.where(network.blocking[source] & (network.law[source] != 1), slots[source], np.inf)
        most[j] = float(np.minimum(pool, most[source]).sum())
    return most


def _stage_share(network: Network, base: NetworkState) -> Array:
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
