"""One stage of a time step of the fluid model: ``N + theta y(N) = rhs + theta inflow``, callers first.

One scalar equation per node once its callers are known, so a sweep in topological order solves it exactly where the
calls have no cycle; hosts, cycles, rate limits and bounded queues repeat the sweep. Each station keeps the point at
which its law was last evaluated: a node near it needs no evaluation, and one that moves starts from the parabola there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine

__all__ = ["ask", "busy_servers", "find_cell", "followed", "improve", "stage"]

_SIXTH = 1.0 / 6.0
#: Share of the number inside over which a law is followed along its parabola: its cube is what is left out.
_FAR = 1e-3


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


@subroutine(inline=True)
def _left(x: Any) -> Any:
    """Share of a phase that is still there after ``x`` of its times: like ``exp(-x)``, third order, never negative."""
    return 1.0 / (1.0 + x * (1.0 + x * (0.5 + x * _SIXTH)))


@subroutine
def ask(span0: float, span1: float, out_ptr: Any, calls: Any, edge: Any, work: Any) -> None:
    """Write the rate at which requests reach each call as an affine function of the flow of its caller, both stages.

    Requests reach call after call: those in a phase leave it at content / time. ``b0 + b1 y`` workers wait for callees.
    """
    rate, held, weight, wait, content, phase, sync, passed = calls
    reach0, gain0, reach1, gain1, kept = edge[0], edge[1], edge[2], edge[3], edge[4]
    for i in range(out_ptr.size - 1):
        base0, slope0, base1, slope1 = 0.0, 1.0, 0.0, 1.0
        b00, b01, b10, b11 = 0.0, 0.0, 0.0, 0.0
        e = out_ptr[i]
        end = out_ptr[i + 1]
        while e < end:
            head = e
            time = 0.0
            good = 1.0
            while e < end and phase[e] == phase[head]:
                reach0[e] = base0
                gain0[e] = slope0
                reach1[e] = base1
                gain1[e] = slope1
                if sync[e]:
                    time += weight[e] * rate[e] * wait[e]
                    good *= passed[e]
                e += 1
            kept[head] = 0.0
            if time > 1e-12:
                per = 1.0 / time
                left0, left1 = _left(span0 * per), _left(span1 * per)
                if held[head]:
                    b00 += content[head] * left0 + base0 * time * (1.0 - left0)
                    b01 += slope0 * time * (1.0 - left0)
                    b10 += content[head] * left1 + base1 * time * (1.0 - left1)
                    b11 += slope1 * time * (1.0 - left1)
                out = content[head] * per
                kept[head] = left1
                base0 = good * (out * left0 + base0 * (1.0 - left0))
                base1 = good * (out * left1 + base1 * (1.0 - left1))
                slope0 *= good * (1.0 - left0)
                slope1 *= good * (1.0 - left1)
            elif good < 1.0:
                base0 *= good
                base1 *= good
                slope0 *= good
                slope1 *= good
        work[i, 12] = b00
        work[i, 13] = b01
        work[i, 14] = b10
        work[i, 15] = b11


@subroutine(inline=True)
def find_cell(m: float, room: float, cells: int) -> Any:
    """Cell of the tables for ``m`` requests inside, the place in it, the derivative of that and half its second one."""
    if room <= 0.0:
        return 0, 0.0, 0.0, 0.0
    if m < 0.0:
        return 0, cells * m / room, cells / room, 0.0
    near = 1.0 / (room + m)
    u = cells * (m * near)
    cell = min(int(u), cells - 1)
    du = cells * room * near * near
    return cell, u - cell, du, -du * near


@subroutine(inline=True)
def busy_servers(copies: float, t: float, du: float, ddu: float, c0: float, c1: float, c2: float, c3: float) -> Any:
    """Busy servers, their derivative and half the second one at the place ``t`` of a cell."""
    if copies <= 0.0:
        return 0.0, 0.0, 0.0
    if t < 0.0:  # a step may undershoot zero: the law goes on along its tangent
        return copies * c1 * t, copies * c1 * du, 0.0
    slope = c1 + t * (2.0 * c2 + 3.0 * t * c3)
    bow = (c2 + 3.0 * t * c3) * du * du + slope * ddu
    return copies * (c0 + t * (c1 + t * (c2 + t * c3))), copies * slope * du, copies * bow


@subroutine(inline=True)
def followed(m: float, t: float, du: float, bounded: bool) -> Any:
    """How far from ``m`` the law is taken for its parabola: not beyond the cell, where the third derivative jumps."""
    size = 1e-3 + abs(m)
    edge = min(t, 1.0 - t)
    if bounded or edge <= 1e-5 * size * du:
        return 1e-5 * size
    return _FAR * size if edge >= _FAR * size * du else edge / du


@subroutine(inline=True)
def improve(
    m: float, value: float, dv: float, bow: float, span: float, loss: float, dloss: float, theta: float, alpha: float,
    beta: float, b0: float, b1: float, per: float, ceiling: float, rhs: float, come: float, least: float, low: float,
    high: float,
) -> Any:  # fmt: skip
    """Take a safeguarded Newton step towards ``N + theta y = rhs + theta inflow`` of one station.

    ``value``, ``dv`` and ``bow`` are the busy servers, their derivative and half the second one at ``m = N + B``, all
    requests in it, and ``span`` is how far from there that describes the law; ``per`` is one over the time that a
    server is held. Returns the next ``m``, its bounds, whether it is the last, and there the flow ``g`` of the law,
    ``dg/dM``, the flow ``y`` and the share turned away.
    """
    g = (value - b0) * per
    dg = dv * per
    bend = bow * per
    clear = True
    if g <= 0.0 and b0 > 0.0:
        g, dg, bend, clear = 0.0, 0.0, 0.0, False
    if g > ceiling:
        g, dg, bend, clear = ceiling, 0.0, 0.0, False
    wrong = m - b0 - b1 * g + theta * (alpha + beta * g) - rhs - theta * come * (1.0 - loss)
    if wrong > 0.0:
        high = m
    else:
        low = m
    lead = theta * beta - b1
    per_steep = 1.0 / (1.0 + lead * dg + theta * come * dloss)
    move = -wrong * per_steep
    part = lead * bend * move * per_steep
    if abs(part) < 0.1:  # root of the parabola, x (1 - r + 2 r^2 - ...)
        move *= 1.0 - part * (1.0 - 2.0 * part)
    new = m + move
    if not (new >= low and new <= high):
        new = 0.5 * (max(low, min(high, 0.0) - 1.0) + min(high, max(low, 0.0) + 1.0))
        clear = False
    new = max(new, least)
    move = new - m
    rise = move * (dg + bend * move)
    clear = clear and abs(part) < 2e-3 and g + rise <= ceiling and (g + rise > 0.0 or b0 <= 0.0)
    # the parabola is off by the cube of the move, and a tangent by its square: far less than a step of the integrator
    last = abs(move) <= (span if clear else 1e-5 * (1e-3 + abs(new)))
    return new, low, high, last, g + rise, dg + 2.0 * bend * move, alpha + beta * (g + rise), loss + dloss * move


@subroutine
def stage(
    theta: float, factor: float, part: int, net: Any, station: Any, tables: Any, hosts: Any, calls: Any, state: Any,
    law: Any, edge: Any, work: Any, again: bool, many: int, known: bool,
) -> Any:  # fmt: skip
    """Solve one stage in place; return the number of sweeps, negative where it did not settle."""
    order, in_ptr, in_edge, out_ptr = net
    row, scale, copies, rest, cpu, host, limit, bounded, external, ceiling, up = station
    whole, number, flow, inflow, admitted, turn, z, extra, stretch = state
    held = work[:, 13 + 2 * part]
    reach, gain, sent, rate = edge[2 * part], edge[2 * part + 1], edge[5], calls[0]
    cubic, blocked, cells = tables
    past_stretch, image = np.zeros_like(stretch), np.zeros_like(stretch)
    least = 0.0 if part == 0 else -np.inf  # inside the step nobody is less than nobody; at its end the books must close
    if again:
        for i in range(out_ptr.size - 1):
            for e in range(out_ptr[i], out_ptr[i + 1]):
                sent[e] = rate[e] * (reach[e] + gain[e] * flow[i])
    for sweep in range(1, many + 1):
        moved = 0.0
        for k in range(order.size):
            i = order[k]
            alpha, beta, rhs, b0, b1 = work[i, 9], work[i, 10], work[i, 11], work[i, 12 + 2 * part], held[i]
            come = external[i] * factor + extra[i]
            for p in range(in_ptr[i], in_ptr[i + 1]):
                come += sent[in_edge[p]]
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
                per = beta / s if copies[i] > 0.0 else 0.0
                now = (rhs + theta * share * come - theta * alpha) / (1.0 + theta * per)
                y = alpha + per * now
                turn[i] = per
                z[i] = now if copies[i] > 0.0 else 0.0
            else:
                m, value, dv, bow, span = whole[i], law[i, 0], law[i, 1], law[i, 2], law[i, 3]
                valid = known and not bounded[i]
                g, dg, y, loss, dloss, low, high = 0.0, 0.0, 0.0, 0.0, 0.0, -np.inf, np.inf
                per = 1.0 / (s + b1)
                for _ in range(80):  # the tables are read here: arrays that are handed on are counted each time
                    if not valid:
                        cell, t, du, ddu = find_cell(m, copies[i] * scale[i], cells)
                        at = row[i] * cells + cell
                        value, dv, bow = busy_servers(
                            copies[i], t, du, ddu, cubic[at, 0], cubic[at, 1], cubic[at, 2], cubic[at, 3]
                        )
                        span = followed(m, t, du, bounded[i])
                        loss, dloss = 0.0, 0.0
                        if bounded[i] and m >= 0.0 and copies[i] > 0.0:
                            at += row[i]
                            rise = blocked[at + 1] - blocked[at]
                            loss, dloss = blocked[at] + t * rise, rise * du
                    valid = False
                    new, low, high, last, g, dg, y, loss = improve(
                        m, value, dv, bow, span, loss, dloss, theta, alpha, beta, b0, b1, per, ceiling[i], rhs,
                        share * come, least, low, high,
                    )  # fmt: skip
                    if last:
                        break
                    m = new
                admitted[i] = share * (1.0 - loss)
                whole[i] = m
                law[i, 0] = value
                law[i, 1] = dv
                law[i, 2] = bow
                law[i, 3] = span
                now = rhs + theta * (admitted[i] * come - y)  # exact, so that the books close
                turn[i] = beta * dg if b1 == 0.0 else beta * dg / max(1.0 - b1 * dg, 1e-9)
                z[i] = g * (s + b1)
            if theta > 0.0 and beta < 1.0:  # lagging capacity cannot serve who is not there
                now = max(now, 0.0)
                y = (rhs - now) / theta + admitted[i] * come
            number[i] = now
            flow[i] = y
            for e in range(out_ptr[i], out_ptr[i + 1]):
                sent[e] = rate[e] * (reach[e] + gain[e] * y)
            if again:
                step = abs(y - before)
                if step > 1e-10 * (abs(y) + 1e-6) and step > moved * (abs(y) + 1e-6):
                    moved = step / (abs(y) + 1e-6)
        known = True
        swing = _balance_hosts(hosts, stretch, past_stretch, image, z, rest, cpu, held, sweep)
        if swing <= 1e-6 and (not again or moved <= 1e-9):
            return sweep
    return -many
