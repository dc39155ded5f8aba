"""One time step of the fluid model of a station network: TR-BDF2 by sweeps along the calls, callers first.

Flows enter the books with the weights of the method, so the balance of requests closes by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.fluid_stage import ask, stage
from fea_arch.kernels.tr_bdf2 import E0, E1, E2, D, W

__all__ = ["WORK", "advance", "find_flows"]

#: Columns of ``work``: number, net inflow, flow, inflow and share admitted before the step, the last four at its inner
#: stage, ``alpha``, ``beta``, ``rhs``, then ``b0`` and ``b1`` of both stages.
WORK = 16


@subroutine
def find_flows(
    factor: float, net: Any, station: Any, tables: Any, hosts: Any, calls: Any, state: Any, law: Any, lag: Any,
    past: Any, work: Any, edge: Any, service: Any,
) -> None:  # fmt: skip
    """Find the flows that belong to the present numbers, as at the start and after each event."""
    _, number, flow, inflow, admitted, turn, z, _, stretch = state
    n = number.size
    for i in range(n):
        work[i, 9] = flow[i] if lag[i] > 0.0 else 0.0
        work[i, 10] = 0.0 if lag[i] > 0.0 else 1.0
        work[i, 11] = number[i]
    ask(0.0, 0.0, net[3], calls, edge, work)
    stage(0.0, factor, 1, net, station, tables, hosts, calls, state, law, edge, work, True, 200, False)
    for i in range(n):
        past[i, 0] = inflow[i] * admitted[i] - flow[i]
        past[i, 1] = flow[i]
        past[i, 2] = inflow[i]
        past[i, 3] = admitted[i]
        past[i, 4] = turn[i]
        service[i] = station[3][i] + (station[4][i] * stretch[station[5][i]] if station[5][i] >= 0 else 0.0)
        if lag[i] > 0.0:
            past[i, 5] = (z[i] / (service[i] + work[i, 15]) - flow[i]) / lag[i]


@subroutine
def advance(
    step: float, tolerance: float, factors: Any, net: Any, station: Any, tables: Any, hosts: Any, calls: Any,
    state: Any, law: Any, spread: Any, lag: Any, scv: Any, past: Any, work: Any, edge: Any, books: Any, again: bool,
    known: bool, keep: bool,
) -> Any:  # fmt: skip
    """Take one step.

    Parameters
    ----------
    step : float
        Length [s].
    tolerance : float
        Relative error of a step that is accepted, 0 to accept any [1].
    factors : tuple of 3 floats
        Load factor at the beginning, at the inner stage and at the end.
    net, station, tables, hosts, calls, state : tuples of arrays
        See :class:`fea_arch.solvers.fluid_march.Marcher`.
    law : (n, 4) float64
        Busy servers, their derivative and half the second one where the law of each station was evaluated last, and how
        far from there that describes it [req, 1, 1/req, req]; renewed.
    spread : (n,) float64
        Variance of the numbers inside, renewed [req^2].
    lag : (n,) float64
        Capacity lag where every change of throughput lags, else 0 [s].
    scv : (n,) float64
        Variability of services [1].
    past : (n, 6) float64
        Net inflow, flow, inflow, share admitted, turn-over and ``dy/dt`` at the beginning; renewed.
    work : (n, WORK) float64
        Scratch; with ``keep`` an accepted step leaves number, net inflow, flow, inflow and share admitted before it in
        columns 0 to 4.
    edge : (6, n_edges) float64
        Affine reach of each call in both stages, share of each phase that stayed, rate of requests sent.
    books : (n, 4) float64
        Requests offered, admitted, served and from outside, added up.
    again : bool
        Whether the calls have a cycle.
    known : bool
        Whether ``law`` is that of the present stations.
    keep : bool

    Returns
    -------
    float
        Error over tolerance: above 1 the step was undone; infinite where the stages did not settle.
    """
    whole, number, flow, inflow, admitted, turn, _, extra, stretch = state
    s0 = stretch.copy()
    external = station[8]
    n = number.size
    many = 200 if again or hosts[1].size > 0 else 1
    theta = D * step
    for i in range(n):
        work[i, 0] = number[i]
        work[i, 10] = 1.0
        work[i, 9] = 0.0
        work[i, 11] = number[i] + theta * past[i, 0]
        if lag[i] > 0.0:  # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
            work[i, 10] = theta / (lag[i] + theta)
            work[i, 9] = (past[i, 1] + theta * past[i, 5]) * (1.0 - work[i, 10])
    ask(2.0 * theta, step, net[3], calls, edge, work)
    error = np.inf
    count = stage(
        theta, factors[1], 0, net, station, tables, hosts, calls, state, law, edge, work, again, many, known
    )
    if count > 0:
        for i in range(n):
            work[i, 5] = inflow[i] * admitted[i] - flow[i]
            work[i, 6] = flow[i]
            work[i, 7] = inflow[i]
            work[i, 8] = admitted[i]
            work[i, 11] = work[i, 0] + W * step * (past[i, 0] + work[i, 5])
            if lag[i] > 0.0:
                bend = (work[i, 6] - past[i, 1]) / theta - past[i, 5]
                work[i, 9] = (past[i, 1] + W * step * (past[i, 5] + bend)) * (1.0 - work[i, 10])
        count = stage(
            theta, factors[2], 1, net, station, tables, hosts, calls, state, law, edge, work, again, many, True
        )
    if count > 0:
        error = 0.0
        for i in range(n):
            f2 = inflow[i] * admitted[i] - flow[i]
            raw = abs(step * (E0 * past[i, 0] + E1 * work[i, 5] + E2 * f2))
            size = (abs(work[i, 0]) + abs(number[i]) + 0.1) * (1.0 + theta * min(turn[i], past[i, 4]))
            if not raw <= error * size:
                error = raw / size
                if not error < np.inf:
                    break
    if not (error < np.inf and (tolerance <= 0.0 or error <= tolerance)):
        for i in range(n):
            number[i] = work[i, 0]
            flow[i] = past[i, 1]
            if not error < np.inf:
                whole[i] = number[i]
        for h in range(s0.size):
            stretch[h] = s0[h]
        return error / tolerance if error < np.inf else np.inf
    for i in range(n):
        f2 = inflow[i] * admitted[i] - flow[i]
        books[i, 0] += step * (W * (past[i, 2] + work[i, 7]) + D * inflow[i])
        books[i, 1] += step * (W * (past[i, 2] * past[i, 3] + work[i, 7] * work[i, 8]) + D * inflow[i] * admitted[i])
        books[i, 2] += step * (W * (past[i, 1] + work[i, 6]) + D * flow[i])
        books[i, 3] += step * (extra[i] + external[i] * (W * (factors[0] + factors[1]) + D * factors[2]))
        if lag[i] > 0.0:
            bend = (work[i, 6] - past[i, 1]) / theta - past[i, 5]
            past[i, 5] = (flow[i] - past[i, 1] - W * step * (past[i, 5] + bend)) / theta
        noise = inflow[i] * admitted[i] + flow[i] * scv[i]
        spread[i] = (spread[i] + step * noise) * work[i, 10] / (work[i, 10] + 2.0 * step * turn[i])
        if keep:
            work[i, 1] = past[i, 0]
            work[i, 2] = past[i, 1]
            work[i, 3] = past[i, 2]
            work[i, 4] = past[i, 3]
        past[i, 0] = f2
        past[i, 1] = flow[i]
        past[i, 2] = inflow[i]
        past[i, 3] = admitted[i]
        past[i, 4] = turn[i]
    return error / tolerance if tolerance > 0.0 else 0.0
