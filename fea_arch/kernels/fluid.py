"""One time step of the fluid model of a station network: TR-BDF2 by sweeps along the calls, callers first.

Flows enter the books with the weights of the method, so the balance of requests closes by construction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.fluid_stage import ask, stage

__all__ = ["WORK_ROWS", "advance", "find_flows"]

_D = 1.0 - math.sqrt(0.5)
_W = math.sqrt(2.0) / 4.0
_E0 = (1.0 - _W) / 3.0 - _W
_E1 = (3.0 * _W + 1.0) / 3.0 - _W
_E2 = _D / 3.0 - _D

#: Rows of ``work``: number, net inflow, flow, inflow and share admitted before the step, the last four at its inner
#: stage, ``alpha``, ``beta``, ``rhs``, then ``b0`` and ``b1`` of both stages.
WORK_ROWS = 16


@subroutine
def find_flows(
    factor: float, net: Any, station: Any, tables: Any, hosts: Any, calls: Any, state: Any, law: Any, lag: Any,
    past: Any, work: Any, edge: Any, service: Any,
) -> None:  # fmt: skip
    """Find the flows that belong to the present numbers, as at the start and after each event."""
    whole, number, flow, inflow, admitted, turn, z, extra, stretch = state
    n = number.size
    for i in range(n):
        work[9, i] = flow[i] if lag[i] > 0.0 else 0.0
        work[10, i] = 0.0 if lag[i] > 0.0 else 1.0
        work[11, i] = number[i]
    ask(0.0, 0.0, net[3], calls, edge, work)
    stage(0.0, factor, 1, net, station, tables, hosts, calls, state, law, edge, work, True, 200, False)
    for i in range(n):
        past[0, i] = inflow[i] * admitted[i] - flow[i]
        past[1, i] = flow[i]
        past[2, i] = inflow[i]
        past[3, i] = admitted[i]
        past[4, i] = turn[i]
        service[i] = station[3][i] + (station[4][i] * stretch[station[5][i]] if station[5][i] >= 0 else 0.0)
        if lag[i] > 0.0:
            past[5, i] = (z[i] / (service[i] + work[15, i]) - flow[i]) / lag[i]


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
    law : (n, 2) float64
        Busy servers and their derivative where the law of each station was evaluated last [req, 1]; renewed.
    spread : (n,) float64
        Variance of the numbers inside, renewed [req^2].
    lag : (n,) float64
        Capacity lag where every change of throughput lags, else 0 [s].
    scv : (n,) float64
        Variability of services [1].
    past : (6, n) float64
        Net inflow, flow, inflow, share admitted, turn-over and ``dy/dt`` at the beginning; renewed.
    work : (WORK_ROWS, n) float64
        Scratch; with ``keep`` an accepted step leaves number, net inflow, flow, inflow and share admitted before it in
        rows 0 to 4.
    edge : (6, n_edges) float64
        Affine reach of each call in both stages, share of each phase that stayed, rate of requests sent.
    books : (4, n) float64
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
    whole, number, flow, inflow, admitted, turn, z, extra, stretch = state
    f0, y0, i0, a0, turn0, dydt = past[0], past[1], past[2], past[3], past[4], past[5]
    start, f1, y1, i1, a1, alpha, beta, rhs = (
        work[0], work[5], work[6], work[7], work[8], work[9], work[10], work[11],
    )  # fmt: skip
    s0 = stretch.copy()
    external = station[8]
    n = number.size
    many = 200 if again or hosts[1].size > 0 else 1
    theta = _D * step
    for i in range(n):
        start[i] = number[i]
        beta[i] = 1.0
        alpha[i] = 0.0
        rhs[i] = number[i] + theta * f0[i]
        if lag[i] > 0.0:  # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
            beta[i] = theta / (lag[i] + theta)
            alpha[i] = (y0[i] + theta * dydt[i]) * (1.0 - beta[i])
    ask(2.0 * theta, step, net[3], calls, edge, work)
    error = np.inf
    count = stage(
        theta, factors[1], 0, net, station, tables, hosts, calls, state, law, edge, work, again, many, known
    )
    if count > 0:
        for i in range(n):
            f1[i] = inflow[i] * admitted[i] - flow[i]
            y1[i] = flow[i]
            i1[i] = inflow[i]
            a1[i] = admitted[i]
            rhs[i] = start[i] + _W * step * (f0[i] + f1[i])
            if lag[i] > 0.0:
                bend = (y1[i] - y0[i]) / theta - dydt[i]
                alpha[i] = (y0[i] + _W * step * (dydt[i] + bend)) * (1.0 - beta[i])
        count = stage(
            theta, factors[2], 1, net, station, tables, hosts, calls, state, law, edge, work, again, many, True
        )
    if count > 0:
        error = 0.0
        for i in range(n):
            f2 = inflow[i] * admitted[i] - flow[i]
            raw = abs(step * (_E0 * f0[i] + _E1 * f1[i] + _E2 * f2))
            size = (abs(start[i]) + abs(number[i]) + 0.1) * (1.0 + theta * min(turn[i], turn0[i]))
            if not raw <= error * size:
                error = raw / size
                if not error < np.inf:
                    break
    if not (error < np.inf and (tolerance <= 0.0 or error <= tolerance)):
        for i in range(n):
            number[i] = start[i]
            flow[i] = y0[i]
            if not error < np.inf:
                whole[i] = number[i]
        for h in range(s0.size):
            stretch[h] = s0[h]
        return error / tolerance if error < np.inf else np.inf
    for i in range(n):
        f2 = inflow[i] * admitted[i] - flow[i]
        books[0, i] += step * (_W * (i0[i] + i1[i]) + _D * inflow[i])
        books[1, i] += step * (_W * (i0[i] * a0[i] + i1[i] * a1[i]) + _D * inflow[i] * admitted[i])
        books[2, i] += step * (_W * (y0[i] + y1[i]) + _D * flow[i])
        books[3, i] += step * (extra[i] + external[i] * (_W * (factors[0] + factors[1]) + _D * factors[2]))
        if lag[i] > 0.0:
            bend = (y1[i] - y0[i]) / theta - dydt[i]
            dydt[i] = (flow[i] - y0[i] - _W * step * (dydt[i] + bend)) / theta
        noise = inflow[i] * admitted[i] + flow[i] * scv[i]
        spread[i] = (spread[i] + step * noise) * beta[i] / (beta[i] + 2.0 * step * turn[i])
        if keep:
            work[1, i] = f0[i]
            work[2, i] = y0[i]
            work[3, i] = i0[i]
            work[4, i] = a0[i]
        f0[i] = f2
        y0[i] = flow[i]
        i0[i] = inflow[i]
        a0[i] = admitted[i]
        turn0[i] = turn[i]
    return error / tolerance if tolerance > 0.0 else 0.0
