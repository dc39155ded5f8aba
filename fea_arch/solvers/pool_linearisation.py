"""What bounded pools prescribe, linearised: the transposed product of the derivatives of their waits with weights.

Every wait is a mean number over a flow, and every mean number is linear in the weights of the number of busy workers
and in the tables of what is inside. So one sweep from the inner pools to the outer ones gives the weighted mean for
every number of busy workers, and one sweep back the derivatives by every flow, time and call below. Both cost a small
multiple of the convolutions of the static solve, for any number of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.kernels.closed_networks import mix_background, mix_table
from fea_arch.kernels.pool_paths import find_exclusive, pull_flow, pull_trace, push_flow
from fea_arch.solvers.network import Array
from fea_arch.solvers.network_state import NetworkState
from fea_arch.solvers.pool_subsystem import ELSEWHERE, Graph, Ladder, Subsystem, build_subsystem, side_by_side

__all__ = ["PoolLinearisation", "PoolPull", "Swept", "find_variability"]

#: Agreement of the waits with those of the equilibrium below which this is not its linearisation [1].
SAME = 1e-5


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
class Swept:
    """What the sweeps over the pools leave behind, besides the derivatives.

    ``on`` and ``by_number`` are derivatives by waits and by mean numbers, ``inside`` the weighted mean number for every
    number of busy workers, ``by_rates`` the derivatives by the completion rates of one replica.
    """

    on: Array
    by_number: Array
    inside: dict[int, Array]
    by_rates: dict[int, Array]
    pull: PoolPull


@dataclass(eq=False)
class _Outer:
    """The queue in front of a pool: rates beside what comes from inside outer pools, and the distribution."""

    rates: Array
    by_table: Array | None
    by_aside: Array
    weight: Array
    queue: float
    load: float
    factor: float
    factor_by_rates: Array
    factor_by_scv: float


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
        n = network.n
        self.flow = state.arrivals * state.admitted
        self.tight = list(state.tight)
        self.member = np.zeros(n, bool)
        self.member[self.tight] = True
        self.sends = np.where(self.member, self.flow, np.nan)
        self.used = np.empty(n)
        inside = push_flow(network.order, network.ptr, network.target, network.sync, network.calls, self.sends, n - 1,
                           self.used)  # fmt: skip
        self.arriving = np.maximum(self.flow - inside, 0.0)
        self.wait = np.full(n, np.nan)
        self.whole: dict[int, Ladder] = {}
        self.subsystem: dict[int, Subsystem] = {}
        self.ladder: dict[int, Ladder] = {}
        self.outer: dict[int, _Outer] = {}
        self.weight: dict[int, Array] = {}
        try:
            self._solve()
        except ModelError:
            self.agrees = bool(np.isnan(state.wait_fixed).all())
            return
        self._spread()
        self.agrees = self._compare()

    # -- the equilibrium once more ---------------------------------------------
    def _solve(self) -> None:
        """Solve the pools, callees first, and the queues in front of those that others call too."""
        network, state, flow = self.network, self.state, self.flow
        graph = Graph.of(network)
        tight = np.array(self.tight, np.int64)
        alone = find_exclusive(tight, network.ptr, network.target, network.sync, network.in_ptr,
                               network.source[network.in_edge], flow, self.arriving)  # fmt: skip
        single = set(state.binding) | {i for i, a in zip(self.tight, alone.tolist()) if a}
        for nested in (True, False):
            for i in self.tight:
                if (i in single) == nested and (nested or self.arriving[i] > ELSEWHERE * flow[i]):
                    self.subsystem[i] = found = build_subsystem(graph, i, self.whole, state.service, flow)
                    self.ladder[i] = side_by_side(found.rates, found.replicas)
                    if nested:
                        self.whole[i] = self.ladder[i]
        for i in self.tight:
            if self.arriving[i] > ELSEWHERE * flow[i]:
                self.outer[i] = self.queue(i)

    def queue(self, i: int, ladder: Ladder | None = None) -> _Outer:
        """Solve the birth-death chain in front of a pool, or of another in its place.

        Raises
        ------
        ModelError
            If more arrives than the pool completes.
        """
        rates = (ladder or self.ladder[i]).rates
        size = rates.size
        aside = float(self.flow[i] - self.arriving[i])
        by_table, by_aside = None, np.zeros(size)
        if aside > ELSEWHERE * self.flow[i]:
            by_table = np.empty((size, size))
            mix_table(rates, aside, size, by_table)
            mixed, slope = np.empty((1, size)), np.empty((1, size))
            mix_background(np.array([size]), np.ones(1), np.array([aside]), np.zeros(1, np.int64), rates, size, mixed,
                           slope)  # fmt: skip
            rates, by_aside = mixed[0], slope[0]
        arriving = float(self.arriving[i])
        logs = np.concatenate([[0.0], np.cumsum(np.log(arriving) - np.log(rates))])
        weight = np.exp(logs - logs.max())
        load = arriving / float(rates[-1])
        if load >= 1.0:
            raise ModelError("the pool is full", component=self.network.names[i], field="servers", fix="more workers")
        weight[-1] /= 1.0 - load
        weight /= weight.sum()
        factor, by_rates, by_scv = find_variability(rates, float(self.state.hold_scv[i]))
        queue = float(weight[-1] * load / (1.0 - load))
        return _Outer(rates, by_table, by_aside, weight, queue, load, factor, by_rates, by_scv)

    def order(self) -> list[int]:
        """Return the pools that are subsystems in the order in which they were solved: inner pools first.

        Where a cycle of calls leaves no order of callees and callers, those that are one station come first.
        """
        return list(self.subsystem)

    def _spread(self) -> None:
        """Spread the mean numbers over the components, callers first."""
        n = self.network.n
        self.own_mean: dict[int, float] = {}
        self.number = np.zeros(n)
        self.reached = np.zeros(n, bool)
        over: dict[int, Array] = {i: np.zeros(ladder.size + 1) for i, ladder in self.ladder.items()}
        for i, outer in self.outer.items():
            over[i] += outer.weight
            self.number[i] += outer.queue * outer.factor
            self.reached[i] = True
        for i in reversed(self.order()):
            found, ladder = self.subsystem[i], self.ladder[i]
            self.weight[i] = weight = ladder.replicas * (ladder.spread.T @ over[i])
            if not weight.any():
                continue
            marginal = found.marginals(weight)
            count = np.arange(found.pool + 1)
            mean = marginal @ count
            self.own_mean[i] = float(mean[0])
            mean[0] *= found.own_share
            for k, j in found.nested.items():
                busy = np.minimum(count, over[j].size - 1)
                np.add.at(over[j], busy, marginal[k])
                mean[k] = marginal[k] @ (count - busy)
            np.add.at(self.number, found.component, mean)
            self.reached[found.component] = True

    def _compare(self) -> bool:
        """Make the waits of the mean numbers; return whether they are those of the state."""
        state, network, flow = self.state, self.network, self.flow
        self.rows = np.flatnonzero(self.reached & (flow > 0))
        k = self.rows
        self.outside = ~self.member[k]
        total = self.number[k] + np.where(self.outside, self.arriving[k] * (state.open_wait + state.service)[k], 0.0)
        self.total = total
        self.bare = total / flow[k] - state.service[k]
        self.factor = np.ones(k.size)
        self.by_whole: dict[int, tuple[Array, float]] = {}
        for place, i in enumerate(k.tolist()):
            if i in self.whole and i not in self.outer:
                found = find_variability(self.whole[i].rates, float(state.hold_scv[i]))
                self.factor[place], self.by_whole[place] = found[0], found[1:]
        self.by_scv = self.outside & (self.arriving[k] < 0.5 * flow[k])
        self.factor[self.by_scv] = (1.0 + network.scv[k][self.by_scv]) / 2.0
        self.wait[k] = np.maximum(self.bare * self.factor, 0.0)
        mine = np.isnan(state.wait_shared)
        known = mine & ~np.isnan(self.wait)
        if (known != (mine & ~np.isnan(state.wait_fixed))).any():
            return False
        gap = np.abs(self.wait - state.wait_fixed)[known]
        return bool((gap <= SAME * (self.wait + state.service)[known]).all())

    # -- transposed ---------------------------------------------------------------
    def pull(self, weight: Array) -> PoolPull:
        """Return the derivatives of ``weight @ wait``.

        Parameters
        ----------
        weight : (n,) float64
            Zero where pools prescribe no wait.
        """
        return self.sweep(weight).pull

    def sweep(self, weight: Array) -> Swept:
        """Sweep over the pools and back; see :meth:`pull`."""
        network, state, flow, k = self.network, self.state, self.flow, self.rows
        n, m = network.n, network.target.size
        flat = np.zeros((6, n))
        out = PoolPull(flat[0], flat[1], flat[2], flat[3], flat[4], flat[5], np.zeros(m), np.zeros(m))
        on = np.where(self.bare > 0.0, weight[k], 0.0)
        on_bare = on * self.factor
        on_number = on_bare / flow[k]
        by_number, by_arriving = np.zeros(n), np.zeros(n)
        by_number[k] = on_number
        out.flow[k] -= on_number * self.total / flow[k]
        out.service[k] -= on_bare
        open_number = np.where(self.outside, on_number, 0.0)
        by_arriving[k] += open_number * (state.open_wait + state.service)[k]
        out.open_wait[k] += open_number * self.arriving[k]
        out.service[k] += open_number * self.arriving[k]
        out.scv[k] += np.where(self.by_scv, on * self.bare / 2.0, 0.0)
        by_rates = {i: np.zeros(ladder.size) for i, ladder in self.ladder.items()}
        for place, (slope, by_scv) in self.by_whole.items():
            i = int(k[place])
            out.hold_scv[i] += on[place] * self.bare[place] * by_scv
            by_rates[i] += on[place] * self.bare[place] * slope
        inside = self._weigh(by_number)
        for i, outer in self.outer.items():
            self._pull_queue(i, outer, by_number[i], inside[i], out, by_arriving, by_rates[i])
        ones = {}
        for i in reversed(self.order()):
            ones[i] = self.ladder[i].replicas * (self.ladder[i].spread[1:, 1:].T @ by_rates[i])
            self._pull_subsystem(i, by_number, ones[i], by_rates, out)
        real = self.arriving > 0.0
        by_arriving[~real] = 0.0
        out.flow += by_arriving
        by_source = np.zeros(n)
        pull_flow(network.order, network.ptr, network.target, network.sync, network.calls, self.sends, n - 1,
                  self.used, -by_arriving, by_source, out.calls)  # fmt: skip
        out.flow += by_source
        return Swept(on, by_number, inside, ones, out)

    def _weigh(self, by_number: Array) -> dict[int, Array]:
        """Return the weighted mean number inside for every number of busy workers over all replicas."""
        inside: dict[int, Array] = {}
        for i in self.order():
            found, ladder = self.subsystem[i], self.ladder[i]
            mean = found.convolve(self.gain(found, by_number, inside))
            inside[i] = ladder.replicas * (ladder.spread @ mean)
        return inside

    def gain(self, found: Subsystem, by_number: Array, inside: dict[int, Array]) -> Array:
        """Return the weighted number behind every station of a pool for every number at it, (k, pool + 1)."""
        count = np.arange(found.pool + 1)
        on = by_number[found.component]
        on[0] *= found.own_share
        gain = on[:, None] * count
        for k, j in found.nested.items():
            busy = np.minimum(count, inside[j].size - 1)
            gain[k] = inside[j][busy] + by_number[j] * (count - busy)
        return np.asarray(gain)

    def _pull_queue(
        self, i: int, outer: _Outer, on_number: float, on_weight: Array, out: PoolPull, by_arriving: Array,
        by_rates: Array,
    ) -> None:  # fmt: skip
        """Sweep back over the birth-death chain in front of a pool."""
        room = 1.0 - outer.load
        out.hold_scv[i] += on_number * outer.queue * outer.factor_by_scv
        on_queue = on_number * outer.factor
        on_weight = on_weight.copy()
        on_weight[-1] += on_queue * outer.load / room
        on_log = outer.weight * (on_weight - on_weight @ outer.weight)
        on_load = on_log[-1] * outer.load / room + on_queue * outer.queue / room
        grid = np.arange(outer.weight.size)
        by_arriving[i] += float(on_log @ grid + on_load) / self.arriving[i]
        by_log = -np.cumsum(on_log[::-1])[::-1][1:]
        by_log[-1] -= on_load
        by_log += on_number * outer.queue * outer.factor_by_rates * outer.rates
        if outer.by_table is not None:
            aside = float(by_log @ outer.by_aside)
            out.flow[i] += aside
            by_arriving[i] -= aside
            by_log = by_log @ outer.by_table
        by_rates += by_log / self.ladder[i].rates

    def _pull_subsystem(self, i: int, by_number: Array, one: Array, by_rates: dict[int, Array], out: PoolPull) -> None:
        """Sweep back over the closed network of a pool."""
        found, ladder, network, state = self.subsystem[i], self.ladder[i], self.network, self.state
        if not one.any() and not self.weight[i].any():
            return
        by_shape = found.pull(self.weight[i], one)
        # log F(m) = m log v - sum over l <= m of log X(l)
        by_log = -np.cumsum(by_shape[:, ::-1], axis=1)[:, ::-1][:, 1:]
        total = -by_log.sum(axis=1)
        at = found.component
        by_background = (by_log * found.slope).sum(axis=1)
        through = found.through[at] / ladder.replicas
        np.add.at(out.flow, at, by_background)
        out.flow[i] -= float(by_background @ through)
        for k, j in found.nested.items():
            on = by_log[k]
            if k in found.mixed:
                by_rates[j] += on @ found.mixed[k] / self.whole[j].rates
            else:
                low = min(found.pool, self.whole[j].size)
                by_rates[j][:low] += on[:low] / self.whole[j].rates[:low]
                by_rates[j][low - 1] += on[low:].sum() / self.whole[j].rates[low - 1]
        # X'(m) is homogeneous of degree 1 in the rates and the background
        stretch = total + by_background * found.background
        plain = np.ones(at.size, bool)
        plain[[0, *found.nested]] = False
        laws = network.law[at]
        timed = plain & (laws != 2)
        np.add.at(out.service, at[timed], stretch[timed] / np.maximum(state.service[at[timed]], 1e-300))
        scaled = plain & (laws == 2)
        np.add.at(out.stated, at[scaled], stretch[scaled] / network.service[at[scaled]])
        # station 0: service and network time, and the share of the number that is work
        whole = float(found.times[0])
        if whole > 0.0:
            share = by_number[i] * self.own_mean.get(i, 0.0) / whole
            out.service[i] += total[0] / whole + share * (1.0 - found.own_share)
            by_latency = total[0] / whole - share * found.own_share
        else:
            by_latency = 0.0
        edge, parent, sent, station = found.steps
        pull_trace(edge, parent, sent, station, network.calls, network.latency, total / found.visits, by_latency,
                   out.calls, out.latency)  # fmt: skip
        used = np.empty(network.n)
        source = np.full(network.n, np.nan)
        source[i] = 1.0
        start = int(network.position[i])
        push_flow(network.order, network.ptr, network.target, network.sync, network.calls, source, start, used)
        by = np.zeros(network.n)
        np.add.at(by, at, -by_background * self.flow[i] / ladder.replicas)
        pull_flow(network.order, network.ptr, network.target, network.sync, network.calls, source, start, used, by,
                  np.zeros(network.n), out.calls)  # fmt: skip


def find_variability(rates: Array, hold_scv: float) -> tuple[float, Array, float]:
    """Return the factor on the queue of a pool and its slopes by rates and by the variability of the holding time.

    With all workers busy the share ``w = 1 - X(P) / (P X(1))`` of the holding time is spent in queues; the factor is
    ``(1 + w + (1 - w) scv) / 2``.
    """
    share = 1.0 - float(rates[-1] / (rates.size * rates[0]))
    by_rates = np.zeros(rates.size)
    if 0.0 < share < 1.0:
        by_rates[-1] -= (1.0 - hold_scv) / 2.0 * (1.0 - share) / rates[-1]
        by_rates[0] += (1.0 - hold_scv) / 2.0 * (1.0 - share) / rates[0]
    share = min(max(share, 0.0), 1.0)
    return (1.0 + share + (1.0 - share) * hold_scv) / 2.0, by_rates, (1.0 - share) / 2.0
