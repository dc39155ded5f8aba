"""What bounded pools prescribe, linearised: the transposed product of the derivatives of their waits with weights.

The steps of :func:`fea_arch.solvers.pools.pool_waits` once more, on a tape: every pool is solved as a closed network
for all numbers of busy workers, callees first; one sweep back gives the derivatives by every flow, time and call. Which
pools bind, which bounds are felt and how many requests a network is solved for stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.kernels.completions import sum_completions
from fea_arch.kernels.pool_networks import close_network, mean_tables, pull_network, pull_tables
from fea_arch.kernels.pool_paths import find_exclusive, pull_trace
from fea_arch.kernels.shared_tables import pull_beside, see_beside
from fea_arch.solvers.network import Array
from fea_arch.solvers.network_state import NetworkState
from fea_arch.solvers.outer_queue import OuterQueue, queue_in_front
from fea_arch.solvers.pool_calls import Graph
from fea_arch.solvers.pool_inputs import CrowdValue, Inputs, crowds_of, gathered, repeats_of
from fea_arch.solvers.pool_subsystem import Solved, solve_pool
from fea_arch.solvers.queue_variability import repeats
from fea_arch.solvers.reverse_tape import LateValue, Tape, Value
from fea_arch.solvers.shared_stations import NOTHING, region_of

__all__ = ["PoolLinearisation", "PoolPull", "Subsystem"]

#: Agreement of the waits with those of the equilibrium below which this is not its linearisation [1].
SAME = 1e-5
#: Felt pools from which the kernels are compiled at once.
MANY = 50
KERNELS: tuple[Any, ...] = (
    close_network, mean_tables, pull_network, pull_tables, see_beside, pull_beside, sum_completions, pull_trace,
)  # fmt: skip


@dataclass(eq=False)
class PoolPull:
    """Derivatives of the weighted sum of waits, (n,) or (n_edges,) each.

    ``stated`` is what service times owe to rates that are stated in their units.
    """

    flow: Array
    service: Array
    hold_scv: Array
    open_wait: Array
    scv: Array
    stated: Array
    calls: Array
    latency: Array


@dataclass(eq=False)
class Subsystem:
    """One pool: the components of its stations, itself first, what it was solved beside, and the solution."""

    component: list[int]
    pools: dict[int, Solved]
    others: dict[int, CrowdValue | None]
    region: set[int]
    varied: dict[int, tuple[Value, Value]]
    solved: Solved


class PoolLinearisation:
    """The pools of a converged state, ready for any number of weights.

    Attributes
    ----------
    wait : (n,) float64
        Waits that the pools prescribe [s], NaN where they prescribe none.
    agrees : bool
        Whether these are the waits of the state: otherwise its pools follow another model.
    """

    def __init__(self, state: NetworkState) -> None:
        self.state, network = state, state.network
        self.network = network
        self.tape = Tape()
        if len(state.tight) > MANY:  # each call is short, all of them together are not
            for kernel in KERNELS:
                kernel.compiled()
        self.inputs = Inputs(state, self.tape)
        self.flow, self.arriving = self.inputs.plain_flow, self.inputs.plain_arriving
        self.tight = list(state.tight)
        self.graph = Graph.of(network)
        self.wait = np.full(network.n, np.nan)
        self.whole: dict[int, Solved] = {}
        self.subsystem: dict[int, Subsystem] = {}
        self.outer: dict[int, OuterQueue] = {}
        self.rows = np.zeros(0, np.int64)
        self._again: dict[int, Value] = {}
        self._lazy: dict[int, Value] = {}
        self._wait: list[Value] = []
        self._swept: Array | None = None  # the weights of the last sweep back
        try:
            self._solve()
        except ModelError:
            self.agrees = bool(np.isnan(state.wait_fixed).all())
            return
        self._finish()
        self.agrees = self._compare()

    # -- the equilibrium once more ---------------------------------------------
    def again(self, i: int) -> Value:
        """Return the repeats of a component."""
        if i not in self._again:
            self._again[i] = repeats_of(self.inputs, i)
        return self._again[i]

    def _late(self, k: int) -> Value:
        """Return the repeats at a station of exponential times, which only the derivative by its variability needs."""
        if k not in self._lazy:
            self._lazy[k] = LateValue(lambda: repeats(self.network, k, self.flow))
        return self._lazy[k]

    def _solve(self) -> None:
        """Solve the pools, callees first, and the queues in front of those that are called from outside."""
        network, flow, inputs = self.network, self.flow, self.inputs
        members = set(self.tight)
        self.crowds = crowds_of(inputs, members)
        self.outside = self.arriving > NOTHING * flow
        slots = network.servers * network.replicas
        bound = self.crowds.bound
        tight = np.array(self.tight, np.int64)
        alone = find_exclusive(tight, network.ptr, network.target, network.sync, network.in_ptr,
                               network.source[network.in_edge], flow, self.arriving)  # fmt: skip
        for i, exclusive in zip(self.tight, alone.tolist()):
            if not self.outside[i] and bound.get(i, np.inf) <= slots[i]:
                continue  # its callers cannot fill it
            if i in self.state.binding or exclusive:
                self._solve_one(i)
                self.whole[i] = self.subsystem[i].solved
        number: dict[int, list[Value]] = {}
        for i in self.tight:
            if not self.outside[i]:
                continue  # all its requests come from inside an outer pool
            if i not in self.subsystem:
                self._solve_one(i)
            self.outer[i] = outer = queue_in_front(
                inputs, i, self.subsystem[i].solved, self.crowds, self.again(i), int(slots[i])
            )
            for k, value in outer.number.items():
                number.setdefault(k, []).append(value)
        self.number = {k: self.tape.linear([(1.0, x) for x in parts]) for k, parts in number.items()}

    def _solve_one(self, i: int) -> None:
        network, inputs = self.network, self.inputs
        region, edge = region_of(network, i, self.whole)
        others = {k: self.crowds.others(k, region) for k in (region | edge) - {i}}
        varied = {k: (self.again(k), self.whole[k].full(inputs.hold_scv[k])) for k in sorted(edge)}
        for k in sorted(region - {i}):
            if network.law[k] == 0:  # exponential times as well: their variability has a derivative
                again = self.again(k) if network.scv[k] != 1.0 else self._late(k)
                varied[k] = (again, inputs.scv[k])
        pools = dict(self.whole)
        solved = solve_pool(inputs, self.graph, i, pools, others, varied)
        stations = [i, *sorted((region | edge) - {i})]
        self.subsystem[i] = Subsystem(stations, pools, others, region, varied, solved)

    def _finish(self) -> None:
        """Make the waits of the mean numbers."""
        inputs, tape = self.inputs, self.tape
        members = set(self.tight)
        self.rows = np.array(sorted(k for k in self.number if self.flow[k] > 0), np.int64)
        for k in self.rows.tolist():
            number, flow, service = self.number[k], inputs.flow[k], inputs.service[k]
            arriving, bare = inputs.arriving[k], inputs.open_wait[k]
            more = 0.0 if k in members else arriving.v * (bare.v + service.v)
            value = (number.v + more) / flow.v - service.v
            out = tape.value(max(value, 0.0))

            def back(
                out: Value = out, number: Value = number, flow: Value = flow, service: Value = service,
                arriving: Value = arriving, bare: Value = bare, own: bool = k in members, value: float = value,
            ) -> None:  # fmt: skip
                if value <= 0.0 or not out.g:
                    return
                g = out.g / flow.v
                number.g += g
                service.g -= out.g
                flow.g -= g * (value + service.v)
                if not own:
                    arriving.g += g * (bare.v + service.v)
                    bare.g += g * arriving.v
                    service.g += g * arriving.v

            tape.step(back)
            self._wait.append(out)
            self.wait[k] = out.v

    def _compare(self) -> bool:
        """Return whether the waits are those of the state."""
        state = self.state
        mine = np.isnan(state.wait_shared)
        known = mine & ~np.isnan(self.wait)
        if (known != (mine & ~np.isnan(state.wait_fixed))).any():
            return False
        gap = np.abs(self.wait - state.wait_fixed)[known]
        return bool((gap <= SAME * (self.wait + state.service)[known]).all())

    # -- transposed ---------------------------------------------------------------
    def pull(self, weight: Array) -> PoolPull:
        """Return the derivatives of ``weight @ wait``; all values keep theirs until the next call.

        Parameters
        ----------
        weight : (n,) float64
            Zero where pools prescribe no wait.
        """
        now = weight[self.rows]
        if self._swept is None or not np.array_equal(now, self._swept):
            if self._swept is not None:
                self.tape.clear()
            for value, w in zip(self._wait, now.tolist()):
                value.g = w
            self.tape.sweep()
            self._swept = now
        inputs = self.inputs
        return PoolPull(
            flow=gathered(inputs.flow), service=gathered(inputs.service), hold_scv=gathered(inputs.hold_scv),
            open_wait=gathered(inputs.open_wait), scv=gathered(inputs.scv),
            stated=-gathered(inputs.stated), calls=inputs.calls.g.copy(), latency=inputs.latency.g.copy(),
        )  # fmt: skip
