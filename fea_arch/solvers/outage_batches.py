"""Outages of one network in batches: the arrays of :func:`fea_arch.kernels.outage_batches.sweep_outages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.erlang import erlang_c
from fea_arch.kernels.outage_batches import sweep_outages
from fea_arch.solvers.overload import OverloadState
from fea_arch.solvers.overload_model import OverloadModel

__all__ = ["OutageBatches"]

#: Outages side by side: more of them share indices and branches, fewer stay in the caches.
LANES = 128
#: Largest size of the work arrays [byte].
MOST_BYTES = 1_024_000_000

#: Components and edges that are gone together.
Case = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class _Work:
    """Arrays that one sweep at a time writes to."""

    arrays: tuple[Any, ...]
    results: tuple[NDArray[Any], ...]


class OutageBatches:
    """Sweeps of several outages at a time.

    Parameters
    ----------
    model : OverloadModel
        A network without feedback.
    intact : OverloadState
        Its equilibrium without outages.
    lanes : int
        Outages side by side.
    """

    def __init__(self, model: OverloadModel, intact: OverloadState, lanes: int = LANES) -> None:
        network, s = model.network, intact
        self.lanes = lanes
        order, edges = network.order, self._calls(model)
        #: Places in the topological order and among the calls, by component and by edge.
        self.place, self.edge_place = network.position, np.empty_like(edges)
        self.edge_place[edges] = np.arange(edges.size)
        source, target = self.place[network.source[edges]], self.place[network.target[edges]]
        ptr = np.zeros(network.n + 1, np.int64)
        np.cumsum(np.bincount(source, minlength=network.n), out=ptr[1:])
        calls, sync, required = network.calls[edges], network.sync[edges], network.required[edges]
        ok = s.outcome[order, 0].copy()
        whole = np.floor(calls)
        go = np.where(required, ok[target], 1.0)
        fails = 1.0 - go
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.where(fails > 0.0, whole * np.log1p(-fails), 0.0)
            rising = np.where(fails > 0.0, -np.expm1(power) / fails, whole)
        power = np.exp(np.where(whole > 0.0, power, 0.0))
        made = np.where(whole > 0.0, rising, 0.0) + (calls - whole) * power
        through = power * (1.0 - (calls - whole) * fails)
        own, scv, replicas = network.service[order], network.scv[order], network.replicas[order]
        servers, capacity = network.servers[order], (network.servers * network.replicas)[order].astype(float)
        arrivals, spread = s.arrivals[order], network.arrival_scv[order] / replicas
        population = model.population[order]
        finite = 1.0 - 1.0 / np.maximum(population / replicas, 1.0)
        queue = network.law[order] != 1
        wait = np.where(queue, s.wait[order], 0.0)
        wait_var = np.where(queue, self._variance(s, order, servers, arrivals, own, capacity), 0.0)
        ranked = np.argsort(-s.utilisation, kind="stable")
        external = s.external[order]
        self._network = (
            ptr, source, target,
            calls, whole.astype(np.int64), network.latency[edges], sync, required, made, through,
            external, np.flatnonzero(external > 0.0), own, scv, servers, capacity, finite, spread,
            ~queue, network.blocking[order], order, self.place[ranked],
            ok, arrivals, s.response[order], s.variance[order], s.utilisation[order], wait, wait_var,
        )  # fmt: skip
        self._intact = (ok, arrivals, s.response[order], s.variance[order])
        self._work = self._blank()

    @staticmethod
    def _calls(model: OverloadModel) -> NDArray[np.int64]:
        """Edges by the place of the caller, each one's in the order of its calls."""
        place = model.network.position[model.network.source[model.call_edge]]
        return model.call_edge[np.argsort(place, kind="stable")]

    @staticmethod
    def _variance(s: OverloadState, order: Any, servers: Any, arrivals: Any, own: Any, capacity: Any) -> Any:
        """Variance of the intact waits [s2]: with probability p of waiting, p (2 - p) (wait / p)^2."""
        busy = np.zeros(order.size)
        erlang_c(servers, servers * np.minimum(arrivals * own / capacity, 0.9995), busy)
        return np.where(busy > 0.0, (2.0 / np.where(busy > 0.0, busy, 1.0) - 1.0) * s.wait[order] ** 2, 0.0)

    def _blank(self) -> _Work:
        n, m, lanes = self.place.size, self.edge_place.size, self.lanes
        wide = tuple(np.repeat(a[:, None], lanes, axis=1) for a in self._intact)
        marks = [np.zeros(k, np.uint8) for k in (n, n, n, n, n, n, m)]
        results = tuple(np.zeros(lanes, t) for t in (np.float64, np.float64, np.int64, np.float64, np.int64))
        return _Work((*wide, *marks, np.zeros((15, lanes))), results)

    @staticmethod
    def fits(model: OverloadModel, lanes: int = LANES) -> bool:
        """Return whether the work arrays of a network are of a reasonable size."""
        return 8 * lanes * 4 * model.network.n <= MOST_BYTES

    def sweep(self, cases: Sequence[Case]) -> tuple[NDArray[Any], ...]:
        """Return served shares, mean responses, worst components, their utilisations and whether a queue is full.

        Parameters
        ----------
        cases : sequence of (components, edges)
            At most ``lanes`` outages, by numbers of the network.
        """
        gone = [(k, self.place[i]) for k, case in enumerate(cases) for i in case[0]]
        cut = [(k, self.edge_place[e]) for k, case in enumerate(cases) for e in case[1]]
        pairs = [np.array(p, np.int64).reshape(-1, 2).T.copy() for p in (gone, cut)]
        work = self._work
        sweep_outages(pairs[0][0], pairs[0][1], pairs[1][0], pairs[1][1], *self._network, *work.arrays, *work.results)
        return tuple(a[: len(cases)].copy() for a in work.results)

    def sorted(self, cases: Sequence[Case]) -> list[int]:
        """Return the numbers of the cases by the places of what is gone, so that neighbours reach the same."""
        source = self._network[1]
        at = [
            sorted([*(int(self.place[i]) for i in dead), *(int(source[self.edge_place[e]]) for e in cut)], reverse=True)
            for dead, cut in cases
        ]
        return sorted(range(len(cases)), key=at.__getitem__)
