"""What one more server adds to the waits that bounded pools prescribe: no small step, so the pool is solved again."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array
from fea_arch.solvers.outer_queue import queue_in_front
from fea_arch.solvers.pool_inputs import CrowdValue, CrowdValues
from fea_arch.solvers.pool_linearisation import PoolLinearisation
from fea_arch.solvers.pool_subsystem import Solved, solve_pool

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
    Exact for the closed network of a pool and the queue in front of it; what a worker changes in the pools around it,
    or in the crowds that others see, enters to first order of what these see of the station.
    """
    network, inputs, tape = pools.network, pools.inputs, pools.tape
    out = np.zeros(network.n)
    pools.pull(weight)
    slots = network.servers * network.replicas
    for i, found in pools.subsystem.items():
        outer = pools.outer.get(i)
        if not _felt(found.solved) and outer is None:
            continue
        with tape.paused(), suppress(ModelError):
            crowds, wider = _wider(pools, i)
            out[i] += _around(found.solved, outer.solved if outer else None, wider)
            if outer is not None:
                more = int(slots[i] + network.replicas[i])
                other = queue_in_front(inputs, i, wider, crowds, pools.again(i), more)
                out[i] += sum(value.g * (other.number[k].v - value.v) for k, value in outer.number.items())
    for found in pools.subsystem.values():
        for k, rates in found.solved.stations.items():
            if k not in found.pools and network.law[k] == 0 and network.places[k] < 0:
                # one more server on each replica, from the last entry on
                out[k] += float(rates.g[-1]) * float(network.replicas[k]) / inputs.service[k].v
    return out


def _wider(pools: PoolLinearisation, i: int) -> tuple[CrowdValues, Solved]:
    """Solve a pool with one more worker, and the pools inside that see more of a crowd then."""
    crowds, below = pools.crowds.wider(i)
    new: dict[int, Solved] = {}
    inner = below & pools.subsystem[i].pools.keys() - {i}
    for j in [*(k for k in pools.subsystem[i].pools if k in inner), i] if inner else [i]:
        found = pools.subsystem[j]
        others = {k: crowds.others(k, found.region) if k in below else crowd for k, crowd in found.others.items()}
        moved = [k for k in new if k in found.varied and k in found.pools]
        if j != i and not moved and all(_same(others[k], crowd) for k, crowd in found.others.items()):
            continue
        inside = {**found.pools, **{k: new[k] for k in found.pools if k in new}}
        varied = {**found.varied, **{k: (found.varied[k][0], new[k].full(pools.inputs.hold_scv[k])) for k in moved}}
        new[j] = solve_pool(pools.inputs, pools.graph, j, inside, others, varied, more=int(j == i))
    return crowds, new[i]


def _same(a: CrowdValue | None, b: CrowdValue | None) -> bool:
    return a is b if a is None or b is None else a.same(b)


def _felt(solved: Solved) -> bool:
    return bool(solved.rates.g.any() or solved.number.g.any() or solved.room.g)


def _around(solved: Solved, outer: Solved | None, wider: Solved) -> float:
    """Return what the pools around a wider one gain, to first order."""
    by_rates, by_number, by_room = solved.rates.g, solved.number.g, solved.room.g
    if outer is not None:
        by_rates, by_number, by_room = by_rates - outer.rates.g, by_number - outer.number.g, by_room - outer.room.g
    if not (by_rates.any() or by_number.any() or by_room):
        return 0.0
    size = solved.rates.v.size
    rates, number = wider.rates.v[:size].copy(), wider.number.v[:, : size + 1].copy()
    rates[-1], number[:, -1] = wider.rates.v[-1], wider.number.v[:, -1]  # the last entry holds for all beyond
    change = float(by_rates @ (rates - solved.rates.v)) + by_room * (wider.room.v - solved.room.v)
    return float(change) + float(np.sum(by_number * (number - solved.number.v)))
