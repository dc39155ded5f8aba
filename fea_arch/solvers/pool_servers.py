"""What one more server adds to the waits that bounded pools prescribe: no small step, so the station is exchanged."""

from __future__ import annotations

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array
from fea_arch.solvers.pool_linearisation import PoolLinearisation, find_variability
from fea_arch.solvers.pool_subsystem import Graph, Ladder, build_subsystem, side_by_side

__all__ = ["add_servers"]


def add_servers(pools: PoolLinearisation, weight: Array) -> Array:
    """Return the change of ``weight @ wait`` for one more server at each component alone, (n,).

    Parameters
    ----------
    pools : PoolLinearisation
    weight : (n,) float64
        As for :meth:`PoolLinearisation.pull`.

    Notes
    -----
    Exact within the closed network of each pool and in the queue in front of it; what they change further outside, and
    at all flows and times, enters to first order.
    """
    network, state = pools.network, pools.state
    out = np.zeros(network.n)
    swept = pools.sweep(weight)
    graph = Graph.of(network)
    wider: dict[int, Ladder] = {}
    inside: dict[int, Array] = {}
    for i in pools.order():  # callees first
        found = build_subsystem(graph, i, pools.whole, state.service, pools.flow, pool=pools.subsystem[i].pool + 1)
        wider[i] = side_by_side(found.rates, found.replicas)
        mean = found.convolve(pools.gain(found, swept.by_number, swept.inside))
        inside[i] = wider[i].replicas * (wider[i].spread @ mean)
    for i, outer in pools.outer.items():
        try:
            other = pools.queue(i, wider[i])
        except ModelError:
            continue
        gain = float(other.weight @ inside[i] - outer.weight @ swept.inside[i])
        out[i] += gain + swept.by_number[i] * (other.queue * other.factor - outer.queue * outer.factor)
    for place in pools.by_whole:
        i = int(pools.rows[place])
        factor = find_variability(wider[i].rates, float(state.hold_scv[i]))[0]
        out[i] += swept.on[place] * pools.bare[place] * (factor - pools.factor[place])
    for i in pools.order():
        found = pools.subsystem[i]
        count = np.arange(found.pool + 1)
        ladders, gains = {}, {}
        for k, j in found.nested.items():
            busy = np.minimum(count, wider[j].size)
            ladders[k] = wider[j].rates
            gains[k] = inside[j][busy] + swept.by_number[j] * (count - busy)
        change = found.with_more(network, pools.weight[i], swept.by_rates[i], ladders, gains)
        at = found.component
        change[0] = 0.0  # its own workers are the population
        change[(network.law[at] != 0) | (network.places[at] >= 0)] = 0.0
        np.add.at(out, at, change)
    return out
