"""One time step of the fluid model of a station network: TR-BDF2 by sweeps along the calls, callers first.

Each stage is ``N + theta y(N) = rhs + theta inflow``, one scalar equation per node once its callers are known, so a
sweep in topological order solves it exactly where the calls have no cycle; hosts, cycles, rate limits and bounded
queues repeat the sweep. Flows enter the books with the weights of the method, so the balance of requests closes by
construction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["advance"]

_D = 1.0 - math.sqrt(0.5)
_W = math.sqrt(2.0) / 4.0
_E0 = (1.0 - _W) / 3.0 - _W
_E1 = (3.0 * _W + 1.0) / 3.0 - _W
_E2 = _D / 3.0 - _D


@subroutine
def _stretch(
    first: Any, who: Any, host: int, z: Any, rest: Any, cpu: Any, hold: Any, grid: Any, load: Any, st: Any
) -> Any:
    """Stretch of the CPU part of services at which the demand on a host meets what its processors carry."""
    low, high = grid[host, 0], -1.0
    top = grid.shape[1] - 1
    st = max(st, low)
    for _ in range(60):
        demand = 0.0
        fall = 0.0
        for p in range(first[host], first[host + 1]):
            i = who[p]
            whole = rest[i] + cpu[i] * st + hold[i]
            part = z[i] * cpu[i] / whole
            demand += part
            fall += part * cpu[i] / whole
        if st >= grid[host, top]:
            carried = load[host, top]
            rise = 0.0
        else:
            a, b = 0, top
            while b - a > 1:
                middle = (a + b) // 2
                if grid[host, middle] <= st:
                    a = middle
                else:
                    b = middle
            rise = (load[host, b] - load[host, a]) / (grid[host, b] - grid[host, a])
            carried = load[host, a] + rise * (st - grid[host, a])
        wrong = demand - carried
        if wrong > 0.0:
            low = st
        else:
            high = st
        new = st + wrong / (fall + rise) if fall + rise > 0.0 else low
        if not (new >= low and (high < 0.0 or new <= high)):
            new = 0.5 * (low + high) if high >= 0.0 else 2.0 * st
        if abs(new - st) <= 1e-9 * st:
            return new
        st = new
        if st > 1e12:
            return st
    return st


@subroutine
def _balance_hosts(
    hosts: Any, stretch: Any, last: Any, image: Any, z: Any, rest: Any, cpu: Any, hold: Any, sweep: int
) -> Any:
    """Renew the stretch of every host, with secant steps from sweep to sweep; return the largest relative change."""
    first, who, grid, load = hosts
    swing = 0.0
    for h in range(first.size - 1):
        if first[h + 1] == first[h]:
            continue
        now = stretch[h]
        new = _stretch(first, who, h, z, rest, cpu, hold, grid, load, now)
        swing = max(swing, abs(new - now) / new)
        better = new
        if sweep > 1 and abs(now - last[h]) > 1e-12 * now:
            kappa = (new - image[h]) / (now - last[h])
            if kappa < 0.995 and kappa > -5.0:
                guess = (new - kappa * now) / (1.0 - kappa)
                if guess > 0.2 * now and guess < 5.0 * now:
                    better = guess
        last[h] = now
        image[h] = new
        stretch[h] = better
    return swing


@subroutine
def _ask(span: float, out_ptr: Any, calls: Any, near: Any, gain: Any, kept: Any, b0: Any, b1: Any) -> None:
    """Write every call rate as an affine function ``near + gain y`` of the flow ``y`` of its caller.

    Requests reach call after call: those in a phase leave it at content / time. ``b0 + b1 y`` workers wait for callees.
    ``kept`` is the share of a phase that is still there after ``span``: a third-order stand-in for ``exp(-x)`` that
    never turns negative.
    """
    rate, held, weight, wait, content, phase, sync, passed = calls
    for i in range(out_ptr.size - 1):
        base = 0.0
        slope = 1.0
        e = out_ptr[i]
        b0[i] = 0.0
        b1[i] = 0.0
        while e < out_ptr[i + 1]:
            head = e
            time = 0.0
            good = 1.0
            while e < out_ptr[i + 1] and phase[e] == phase[head]:
                near[e] = base * rate[e]
                gain[e] = slope * rate[e]
                if sync[e]:
                    time += weight[e] * rate[e] * wait[e]
                    good *= passed[e]
                e += 1
            left = 0.0
            out = 0.0
            if time > 1e-12:
                x = span / time
                left = 1.0 / (1.0 + x * (1.0 + x * (0.5 + x / 6.0)))
                out = content[head] / time * left
                if held[head]:
                    b0[i] += content[head] * left + base * time * (1.0 - left)
                    b1[i] += slope * time * (1.0 - left)
            kept[head] = left
            base = good * (out + base * (1.0 - left))
            slope *= good * (1.0 - left)


@subroutine
def _station(
    m: float, theta: float, alpha: float, beta: float, b0: float, b1: float, hold: float, scale: float, copies: float,
    base: int, ceiling: float, rhs: float, come: float, bounded: bool, tables: Any,
) -> Any:  # fmt: skip
    """Solve ``N + theta y = rhs + theta inflow`` of one station for all requests in it, by safeguarded Newton steps.

    Returns the number ``M = N + B``, the flow ``g`` of the law, ``dg/dM``, the flow ``y`` and the share turned away.
    """
    busy, slope, blocked, cells = tables
    g = 0.0
    dg = 0.0
    y = 0.0
    loss = 0.0
    low = 0.0
    high = -1.0
    for _ in range(80):
        value = 0.0
        dv = 0.0
        loss = 0.0
        dloss = 0.0
        if copies > 0.0:
            q = m / copies
            u = cells * q / (scale + q)
            cell = int(u)
            if cell >= cells:
                cell = cells - 1
            t = u - cell
            cell += base
            m0 = slope[cell]
            gain = busy[cell + 1] - busy[cell]
            m1 = slope[cell + 1]
            second = 3.0 * gain - 2.0 * m0 - m1
            third = m0 + m1 - 2.0 * gain
            value = copies * (busy[cell] + t * (m0 + t * (second + t * third)))
            du = cells * scale / ((scale + q) * (scale + q))
            dv = (m0 + t * (2.0 * second + 3.0 * t * third)) * du
            if bounded:
                rise = blocked[cell + 1] - blocked[cell]
                loss = blocked[cell] + t * rise
                dloss = rise * du / copies
        g = (value - b0) / hold
        dg = dv / hold
        if g <= 0.0:
            g = 0.0
            dg = 0.0
        if g > ceiling:
            g = ceiling
            dg = 0.0
        y = alpha + beta * g
        wrong = m - b0 - b1 * g + theta * y - rhs - theta * come * (1.0 - loss)
        steep = 1.0 + (theta * beta - b1) * dg + theta * come * dloss
        if wrong > 0.0:
            high = m
        else:
            low = m
        new = m - wrong / steep
        if new < low or (high >= 0.0 and new > high):
            new = 0.5 * (low + high) if high >= 0.0 else low + 1.0
        move = new - m
        m = new
        if abs(move) <= 1e-7 * (1e-3 + m):  # Newton doubles the digits: the last step is linear to rounding
            g += dg * move
            y += beta * dg * move
            loss += dloss * move
            break
    return m, g, dg, y, loss


@subroutine
def _stage(
    theta: float, factor: float, span: float, net: Any, station: Any, tables: Any, hosts: Any, calls: Any, state: Any,
    lagged: Any, scratch: Any, kept: Any, again: bool, many: int,
) -> Any:  # fmt: skip
    """Solve one stage in place; return the number of sweeps, negative where it did not settle."""
    order, in_ptr, in_source, in_edge, out_ptr = net
    row, scale, copies, rest, cpu, host, limit, bounded, external, ceiling, up = station
    whole, number, flow, inflow, admitted, turn, z, b1, extra, stretch = state
    alpha, beta, rhs = lagged
    b0, last, image, near, gain = scratch
    _ask(span, out_ptr, calls, near, gain, kept, b0, b1)
    last[:] = 0.0
    image[:] = 0.0
    for sweep in range(1, many + 1):
        moved = 0.0
        for k in range(order.size):
            i = order[k]
            come = external[i] * factor + extra[i]
            for p in range(in_ptr[i], in_ptr[i + 1]):
                come += near[in_edge[p]] + gain[in_edge[p]] * flow[in_source[p]]
            inflow[i] = come
            share = up[i]
            if come > limit[i]:
                share *= limit[i] / come
            s = rest[i]
            if host[i] >= 0:
                s += cpu[i] * stretch[host[i]]
            before = flow[i]
            if row[i] < 0:
                admitted[i] = share
                per = beta[i] / s if copies[i] > 0.0 else 0.0
                number[i] = (rhs[i] + theta * share * come - theta * alpha[i]) / (1.0 + theta * per)
                flow[i] = alpha[i] + per * number[i]
                turn[i] = per
                z[i] = number[i] if copies[i] > 0.0 else 0.0
                whole[i] = number[i]
            else:
                hold = s + b1[i]
                m, g, dg, y, loss = _station(
                    max(whole[i], 0.0), theta, alpha[i], beta[i], b0[i], b1[i], hold, scale[i], copies[i],
                    row[i] * (tables[3] + 1), ceiling[i], rhs[i], share * come, bounded[i], tables,
                )  # fmt: skip
                admitted[i] = share * (1.0 - loss)
                whole[i] = m
                number[i] = m - b0[i] - b1[i] * g
                flow[i] = y
                turn[i] = beta[i] * dg / max(1.0 - b1[i] * dg, 1e-9)
                z[i] = g * hold
            if theta > 0.0 and beta[i] < 1.0:  # lagging capacity cannot serve who is not there
                lack = max(-number[i], 0.0)
                whole[i] += lack
                number[i] += lack
                flow[i] = (rhs[i] - number[i]) / theta + admitted[i] * come
            step = abs(flow[i] - before)
            if step > 1e-10 * (abs(flow[i]) + 1e-6) and step > moved * (abs(flow[i]) + 1e-6):
                moved = step / (abs(flow[i]) + 1e-6)
        swing = _balance_hosts(hosts, stretch, last, image, z, rest, cpu, b1, sweep)
        if swing <= 1e-6 and (not again or moved <= 1e-9):
            return sweep
    return -many


@kernel(work=lambda step, theta, factors, net, *rest: 5e3 * net[0].size)
def advance(
    step: float, tolerance: float, factors: Any, net: Any, station: Any, tables: Any, hosts: Any, calls: Any,
    state: Any, spread: Any, lag: Any, scv: Any, past: Any, work: Any, edge: Any, books: Any, again: bool,
) -> Any:  # fmt: skip
    """Take one step, or with ``step = 0`` find the flows that belong to the present numbers.

    Parameters
    ----------
    step : float
        Length [s].
    tolerance : float
        Relative error of a step that is accepted, 0 to accept any [1].
    factors : (3,) float64
        Load factor at the beginning, at the inner stage and at the end.
    net, station, tables, hosts, calls, state : tuples of arrays
        See :class:`fea_arch.solvers.fluid_march.Marcher`.
    spread : (n,) float64
        Variance of the numbers inside, renewed [req^2].
    lag : (n,) float64
        Capacity lag where every change of throughput lags, else 0 [s].
    scv : (n,) float64
        Variability of services [1].
    past : (6, n) float64
        Net inflow, flow, inflow, share admitted, turn-over and ``dy/dt`` at the beginning; renewed.
    work : (10, n) float64
        Scratch; after an accepted step rows 0 and 1 are the numbers and rows 2 and 3 the net inflow before and after,
        rows 4 to 6 flow, inflow and share admitted before.
    edge : (3, n_edges) float64
        ``near``, ``gain`` of the calls and the share of each phase that stayed.
    books : (4, n) float64
        Requests offered, admitted, served and from outside, added up.

    Returns
    -------
    float
        Error over tolerance: above 1 the step was undone; infinite where the stages did not settle.
    """
    whole, number, flow, inflow, admitted, turn, z, b1, extra, stretch = state
    f0, y0, i0, a0, turn0, dydt = past[0], past[1], past[2], past[3], past[4], past[5]
    f1, y1, i1, a1 = np.empty_like(f0), np.empty_like(f0), np.empty_like(f0), np.empty_like(f0)
    alpha, beta, rhs, b0, w0 = work[7], work[8], work[9], np.empty_like(f0), whole.copy()
    s0, last, image = stretch.copy(), np.empty_like(stretch), np.empty_like(stretch)
    lagged, scratch, kept = (alpha, beta, rhs), (b0, last, image, edge[0], edge[1]), edge[2]
    external = station[8]
    n = number.size
    many = 200 if again or hosts[1].size > 0 else 1
    theta = _D * step
    for i in range(n):
        beta[i] = 1.0
        alpha[i] = 0.0
        rhs[i] = number[i] + theta * f0[i]
        if lag[i] > 0.0:  # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
            beta[i] = theta / (lag[i] + theta)
            alpha[i] = (y0[i] + theta * dydt[i]) * (1.0 - beta[i]) if step > 0.0 else flow[i]
    if step == 0.0:
        _stage(0.0, factors[0], 0.0, net, station, tables, hosts, calls, state, lagged, scratch, kept, True, 200)
        for i in range(n):
            f0[i] = inflow[i] * admitted[i] - flow[i]
            y0[i] = flow[i]
            i0[i] = inflow[i]
            a0[i] = admitted[i]
            turn0[i] = turn[i]
            if lag[i] > 0.0:
                service = station[3][i] + (station[4][i] * stretch[station[5][i]] if station[5][i] >= 0 else 0.0)
                dydt[i] = (z[i] / (service + b1[i]) - flow[i]) / lag[i]
        return 0.0
    for i in range(n):
        work[0, i] = number[i]
    error = np.inf
    count = _stage(
        theta, factors[1], 2.0 * theta, net, station, tables, hosts, calls, state, lagged, scratch, kept, again, many
    )
    if count > 0:
        for i in range(n):
            f1[i] = inflow[i] * admitted[i] - flow[i]
            y1[i] = flow[i]
            i1[i] = inflow[i]
            a1[i] = admitted[i]
            rhs[i] = work[0, i] + _W * step * (f0[i] + f1[i])
            if lag[i] > 0.0:
                bend = (y1[i] - y0[i]) / theta - dydt[i]
                alpha[i] = (y0[i] + _W * step * (dydt[i] + bend)) * (1.0 - beta[i])
        count = _stage(
            theta, factors[2], step, net, station, tables, hosts, calls, state, lagged, scratch, kept, again, many
        )
    if count > 0:
        error = 0.0
        for i in range(n):
            f2 = inflow[i] * admitted[i] - flow[i]
            raw = step * (_E0 * f0[i] + _E1 * f1[i] + _E2 * f2) / (1.0 + theta * min(turn[i], turn0[i]))
            size = abs(work[0, i]) + abs(number[i]) + 0.1
            if not abs(raw) < np.inf:
                error = np.inf
                break
            error = max(error, abs(raw) / size)
    if not (error < np.inf and (tolerance <= 0.0 or error <= tolerance)):
        for i in range(n):
            number[i] = work[0, i]
            whole[i] = w0[i]
            flow[i] = y0[i]
        for h in range(s0.size):
            stretch[h] = s0[h]
        return np.inf if not error < np.inf else error / tolerance
    for i in range(n):
        books[0, i] += step * (_W * (i0[i] + i1[i]) + _D * inflow[i])
        books[1, i] += step * (_W * (i0[i] * a0[i] + i1[i] * a1[i]) + _D * inflow[i] * admitted[i])
        books[2, i] += step * (_W * (y0[i] + y1[i]) + _D * flow[i])
        books[3, i] += step * (extra[i] + external[i] * (_W * (factors[0] + factors[1]) + _D * factors[2]))
        if lag[i] > 0.0:
            bend = (y1[i] - y0[i]) / theta - dydt[i]
            dydt[i] = (flow[i] - y0[i] - _W * step * (dydt[i] + bend)) / theta
        noise = inflow[i] * admitted[i] + flow[i] * scv[i]
        spread[i] = (spread[i] + step * noise) / (1.0 + 2.0 * step * turn[i] / beta[i])
        work[1, i] = number[i]
        work[2, i] = f0[i]
        work[3, i] = inflow[i] * admitted[i] - flow[i]
        work[4, i] = y0[i]
        work[5, i] = i0[i]
        work[6, i] = a0[i]
        f0[i] = work[3, i]
        turn0[i] = turn[i]
        y0[i] = flow[i]
        i0[i] = inflow[i]
        a0[i] = admitted[i]
    return error / tolerance if tolerance > 0.0 else 0.0
