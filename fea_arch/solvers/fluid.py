"""The fluid model of an architecture: mean numbers in flight, driven by the laws of the stations.

``dN/dt = admitted (f + P^T y) - y`` with ``y = (G(N + B) - B) / S`` (see :mod:`fea_arch.solvers.station_tables`). ``B``
counts the workers that wait for callees: they leave at the rate at which calls are made and come back after the present
response time of the callee, ``dB/dt = P y - B / R``. Hosts share their processors: the CPU part of a service is
stretched until demand and processors balance. The variance of the number inside follows
``dV/dt = inflow + y - 2 (dq/dN) V`` (linear noise around the mean path), which at rest is the exact variance of a
birth-death station. :mod:`fea_arch.solvers.fluid_march` steps it through time.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.erlang import erlang_c
from fea_arch.solvers.fluid_parameters import (
    call_levels,
    largest_numbers,
    memory_limits,
    stage_shares,
    wait_factors,
    warm_ups,
)
from fea_arch.solvers.network import Network
from fea_arch.solvers.statics import NetworkState
from fea_arch.solvers.station_tables import StationTables, build_tables

__all__ = ["Fluid", "fluid_model"]

Array = NDArray[np.float64]


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
    variability : (n,) float64, optional
        Factor on the wait of each station, instead of the one that meets ``base`` [1].
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
        self.level = call_levels(net)
        # callers first; within a level as numbered, so that sweeps pass through memory in order
        heads = net.order[::-1] if self.level is None else np.argsort(self.level, kind="stable")
        self.order = (heads[:, None] + n0 * np.arange(refine)[None, :]).ravel().astype(np.int64)
        self.calls = np.concatenate([np.ones(inner), self.base.calls[call]])
        self.sync = np.concatenate([~pad_b, net.sync[call]])
        self.latency = np.concatenate([pad_f, net.latency[call]])
        self.timeout = np.concatenate([pad_f + np.nan, net.timeout[call]])
        self.retries = np.concatenate([pad_i, net.retries[call]])
        self.backoff = np.concatenate([pad_f, net.backoff[call]])
        self.budget = np.concatenate([pad_f + np.nan, net.budget[call]])
        self.required = np.concatenate([~pad_b, net.required[call]])
        self.weight = np.concatenate([pad_f + 1.0, stage_shares(net, self.base)[call]])
        stage, own = net.stage[call], np.arange(call.size)
        self.phase = np.concatenate([pad_i - 1, np.where(stage >= 0, call.size + stage, own)]).astype(np.int64)
        pooled = net.spread == 2
        self.copies = np.concatenate([np.where(pooled, 1.0, net.replicas.astype(float)), pad_f + 1.0])
        self.variability = wait_factors(net, self.base) if self.variability is None else self.variability
        flow = self.base.arrivals * np.minimum(self.base.admitted, 1.0) / self.copies[:n0]
        hold = np.where(self.base.hold > 0.0, self.base.hold, net.service)
        tables = build_tables(
            net, self.variability, largest_numbers(net) / self.copies[:n0], (flow * hold, flow * self.base.wait)
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
        self.lag = np.tile(warm_ups(net), refine)
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
        self.crush = np.concatenate([memory_limits(net), pad_f + np.inf])
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
        stage = flow * base.service / refine
        number = np.concatenate([flow * base.wait + stage] + [stage] * (refine - 1))
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
            np.tile(flow, refine),
            number,
            response,
            np.concatenate([np.ones(self.inner), base.edge_attempts[self.call]]),
            np.concatenate([inner_wait, wait[self.call]]),
            np.concatenate([np.ones(self.inner), (1.0 - base.edge_fail * net.required)[self.call]]),
        )
        self.state["variance"] = self._rest_variance(base, number)
        self.state["success"][:n0] = base.success
        self.state["spread"][:n0] = np.minimum(base.variance, 1e18)
        if len(base.host_utilisation):
            for k in range(len(base.host_utilisation)):
                self.state["stretch"][k] = np.interp(
                    base.host_utilisation[k] * net.arch.hosts[k].cpus, self.h_load[k], self.h_grid[k]
                )

    def _rest_variance(self, base: NetworkState, number: Array) -> Array:
        """Variance of the numbers inside at rest: of services and arrivals, over twice the turn-over, (n,) [req^2]."""
        out = number.copy()
        if self.refine > 1:
            return out
        net, flow = self.network, base.arrivals * base.admitted
        outside = np.where(net.blocking & (net.law != 1), np.maximum(base.hold - base.service, 0.0), 0.0)
        at = np.flatnonzero((net.law != 1) & (flow > 0.0) & (self.copies > 0.0))
        slope = self.tables_of(at).look_up((number[at] + flow[at] * outside[at]) / self.copies[at])[1]
        turn = slope / (base.service[at] + outside[at] * (1.0 - slope))
        known = turn > 0.0
        out[at] = np.where(known, flow[at] * (1.0 + self.scv[at]) / (2.0 * np.where(known, turn, 1.0)), out[at])
        return out

    def empty(self) -> None:
        """Set the state to that of a system without requests."""
        net, refine = self.network, self.refine
        response = np.tile(net.service, refine)
        first = np.where(net.sync, net.latency + net.service[net.target], 0.0)
        wait = np.concatenate([np.zeros(self.inner), first[self.call]])
        if refine > 1:
            wait[: self.n0] = net.service * (refine - 1) / refine
        self.state = self._state(np.zeros(self.n), np.zeros(self.n), response, np.ones(self.m), wait, np.ones(self.m))

    def _state(
        self, flow: Array, number: Array, response: Array, attempts: Array, wait: Array, passed: Array
    ) -> dict[str, Any]:
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
            "wait": wait.copy(), "content": content, "passed": passed.copy(), "waiting": np.zeros(self.n),
            "number": number.copy(), "whole": number + held, "flow": flow.copy(), "variance": number.copy(),
            "response": response.copy(),
            "spread": response**2, "success": np.ones(self.n), "stretch": np.ones(self.h_first.size - 1),
            "copies": self.copies.copy(),
        }


_LATEST: list[tuple[ref[Network], ref[NetworkState], int, Fluid]] = []


def fluid_model(network: Network, base: NetworkState, refine: int = 1) -> Fluid:
    """Return the fluid model around a static state without a state of its own; the latest ones are kept.

    Only ``state`` of the model may be changed: its other arrays are shared between calls.
    """
    for known, state, elements, model in _LATEST:
        if known() is network and state() is base and elements == refine:
            return copy(model)
    fresh = Fluid(network, base, refine)
    _LATEST[:] = [(ref(network), ref(base), refine, fresh), *_LATEST[:3]]
    return copy(fresh)
