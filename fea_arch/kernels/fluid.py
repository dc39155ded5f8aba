"""Time stepping of the fluid model of a station network: TR-BDF2 by sweeps along the calls, callers first.

Each stage is ``N + theta y(N) = rhs + theta inflow``, one scalar equation per node once its callers are known, so a sweep in
topological order solves it exactly where the calls have no cycle; hosts, cycles, rate limits and bounded queues repeat
the sweep. Flows enter the books with the weights of the method, so the balance of requests closes by construction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["march"]

_D = 1.0 - math.sqrt(0.5)
_W = math.sqrt(2.0) / 4.0
_E0 = (1.0 - _W) / 3.0 - _W
_E1 = (3.0 * _W + 1.0) / 3.0 - _W
_E2 = _D / 3.0 - _D
_STUCK = 1e9


@subroutine
def _gamma_cdf(shape: float, x: float) -> float:
    """Regularised lower incomplete gamma function (series and continued fraction, DLMF 8.11, 8.9)."""
    if x <= 0.0:
        return 0.0
    if shape > 2.0e4:
        z = ((x / shape) ** (1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        a = shape
        for _ in range(10000):
            a += 1.0
            term *= x / a
            total += term
            if term < total * 1e-12:
                break
        return min(1.0, front * total)
    b = x + 1.0 - shape
    c = 1e300
    d = 1.0 / b
    h = d
    for k in range(1, 10000):
        an = -k * (k - shape)
        b += 2.0
        d = an * d + b
        if abs(d) < 1e-300:
            d = 1e-300
        c = b + an / c
        if abs(c) < 1e-300:
            c = 1e-300
        d = 1.0 / d
        delta = d * c
        h *= delta
        if abs(delta - 1.0) < 1e-12:
            break
    return max(0.0, 1.0 - front * h)


@subroutine
def _factor(knot: Any, value: Any, t: float, after: bool) -> float:
    """Load factor at a time: linear between knots, the later value at a jump if ``after``."""
    low, high = 0, knot.size - 1
    if t < knot[0]:
        return value[0]
    while high - low > 1:
        middle = (low + high) // 2
        if knot[middle] < t or (after and knot[middle] <= t):
            low = middle
        else:
            high = middle
    if knot.size == 1:
        return value[0]
    if t > knot[high] or (after and t >= knot[high]):
        return value[high]
    width = knot[high] - knot[low]
    if width <= 0.0:
        return value[high] if after else value[low]
    x = (t - knot[low]) / width
    return value[low] + x * (value[high] - value[low])


@subroutine
def _stretch(first: Any, who: Any, host: int, z: Any, rest: Any, cpu: Any, hold: Any, grid: Any, load: Any, st: float) -> float:
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
def _stage(
    theta: float, factor: float, span: float, order: Any, in_ptr: Any, in_source: Any, in_edge: Any, out_ptr: Any,
    row: Any, scale: Any, copies: Any, rest: Any, cpu: Any, host: Any, limit: Any, closed: Any,
    busy: Any, slope: Any, blocked: Any, cells: int, h_first: Any, h_who: Any, h_grid: Any, h_load: Any,
    rate: Any, held: Any, weight: Any, wait: Any, content: Any, phase: Any, sync: Any, passed: Any, call_near: Any,
    call_gain: Any, external: Any, extra: Any, up: Any,
    alpha: Any, beta: Any, ceiling: Any, rhs: Any, whole: Any, number: Any, flow: Any, inflow: Any, admitted: Any,
    turn: Any, stretch: Any, b0: Any, b1: Any, z: Any, again: bool, many: int,
) -> Any:
    """Solve one stage in place; return the number of sweeps, negative where it did not settle."""
    n = order.size
    for i in range(n):
        # requests reach call after call: those in a phase leave it at content / time, so every rate is an affine
        # function ``near + gain y`` of the flow of the caller
        near = 0.0
        gain = 1.0
        e = out_ptr[i]
        b0[i] = 0.0
        b1[i] = 0.0
        while e < out_ptr[i + 1]:
            head = e
            time = 0.0
            good = 1.0
            while e < out_ptr[i + 1] and phase[e] == phase[head]:
                call_near[e] = near * rate[e]
                call_gain[e] = gain * rate[e]
                if sync[e]:
                    time += weight[e] * rate[e] * wait[e]
                    good *= passed[e]
                e += 1
            decay = 0.0
            out = 0.0
            if time > 1e-12:
                decay = math.exp(-span / time)
                out = content[head] / time * decay
                if held[head]:
                    b0[i] += content[head] * decay + near * time * (1.0 - decay)
                    b1[i] += gain * time * (1.0 - decay)
            near = good * (out + near * (1.0 - decay))
            gain *= good * (1.0 - decay)
    n_hosts = h_first.size - 1
    last = np.zeros(n_hosts)
    image = np.zeros(n_hosts)
    for sweep in range(1, many + 1):
        moved = 0.0
        for k in range(n):
            i = order[k]
            come = external[i] * factor + extra[i]
            for p in range(in_ptr[i], in_ptr[i + 1]):
                come += call_near[in_edge[p]] + call_gain[in_edge[p]] * flow[in_source[p]]
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
                goal = rhs[i] + theta * share * come
                if copies[i] <= 0.0:
                    number[i] = goal - theta * alpha[i]
                    flow[i] = alpha[i]
                    turn[i] = 0.0
                    z[i] = 0.0
                else:
                    number[i] = (goal - theta * alpha[i]) / (1.0 + theta * beta[i] / s)
                    flow[i] = alpha[i] + beta[i] * number[i] / s
                    turn[i] = beta[i] / s
                    z[i] = number[i]
                whole[i] = number[i]
            else:
                base = row[i] * (cells + 1)
                c = scale[i]
                r = copies[i]
                m = max(whole[i], 0.0)
                hold = s + b1[i]
                g = 0.0
                dg = 0.0
                y = 0.0
                low = 0.0
                high = -1.0
                for trip in range(80):
                    value = 0.0
                    dv = 0.0
                    loss = 0.0
                    dloss = 0.0
                    if r > 0.0:
                        q = m / r
                        u = cells * q / (c + q)
                        cell = int(u)
                        if cell >= cells:
                            cell = cells - 1
                        t = u - cell
                        cell += base
                        g0 = busy[cell]
                        m0 = slope[cell]
                        gain = busy[cell + 1] - g0
                        m1 = slope[cell + 1]
                        second = 3.0 * gain - 2.0 * m0 - m1
                        third = m0 + m1 - 2.0 * gain
                        value = r * (g0 + t * (m0 + t * (second + t * third)))
                        du = cells * c / ((c + q) * (c + q))
                        dv = (m0 + t * (2.0 * second + 3.0 * t * third)) * du
                        if closed[i]:
                            rise = blocked[cell + 1] - blocked[cell]
                            loss = blocked[cell] + t * rise
                            dloss = rise * du / r
                    g = (value - b0[i]) / hold
                    dg = dv / hold
                    if g <= 0.0:
                        g = 0.0
                        dg = 0.0
                    if g > ceiling[i]:
                        g = ceiling[i]
                        dg = 0.0
                    y = alpha[i] + beta[i] * g
                    got = share * come * (1.0 - loss)
                    wrong = m - b0[i] - b1[i] * g + theta * y - rhs[i] - theta * got
                    steep = 1.0 + (theta * beta[i] - b1[i]) * dg + theta * share * come * dloss
                    if wrong > 0.0:
                        high = m
                    else:
                        low = m
                    new = m - wrong / steep
                    if new < low or (high >= 0.0 and new > high):
                        new = 0.5 * (low + high) if high >= 0.0 else low + 1.0
                    if abs(new - m) <= 1e-13 * (1e-3 + m):
                        break
                    m = new
                admitted[i] = share * (1.0 - loss)
                whole[i] = m
                number[i] = m - b0[i] - b1[i] * g
                flow[i] = y
                turn[i] = beta[i] * dg / max(1.0 - b1[i] * dg, 1e-9)
                z[i] = g * hold
            step = abs(flow[i] - before)
            if step > 1e-10 * (abs(flow[i]) + 1e-6) and step > moved * (abs(flow[i]) + 1e-6):
                moved = step / (abs(flow[i]) + 1e-6)
        swing = 0.0
        for h in range(n_hosts):
            if h_first[h + 1] == h_first[h]:
                continue
            now = stretch[h]
            new = _stretch(h_first, h_who, h, z, rest, cpu, b1, h_grid, h_load, now)
            change = abs(new - now) / new
            if change > swing:
                swing = change
            if sweep > 1 and abs(now - last[h]) > 1e-12 * now:
                kappa = (new - image[h]) / (now - last[h])
                if kappa < 0.995 and kappa > -5.0:
                    better = (new - kappa * now) / (1.0 - kappa)
                    if better > 0.2 * now and better < 5.0 * now:
                        last[h] = now
                        image[h] = new
                        stretch[h] = better
                        continue
            last[h] = now
            image[h] = new
            stretch[h] = new
        if swing <= 1e-6 and (not again or moved <= 1e-9):
            return sweep
    return -many


@subroutine
def _answer(
    order: Any, out_ptr: Any, target: Any, calls: Any, sync: Any, latency: Any, timeout: Any, retries: Any,
    backoff: Any, budget: Any, required: Any, weight: Any, service: Any, number: Any, flow: Any, variance: Any,
    admitted: Any, attempts: Any, rate: Any, wait: Any, response: Any, spread: Any, success: Any, matter: Any,
    passed: Any,
) -> float:
    """Renew response times, time-outs and tries, callees first; return the largest change that matters."""
    moved = 0.0
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        y = flow[i]
        if y > 1e-12:
            own = max(number[i] / y, service[i])
        else:
            own = _STUCK if number[i] > 1e-6 else service[i]
        own = min(own, _STUCK)
        noise = variance[i] / max(y * y, 1e-12)
        total = own
        total_var = min(noise, 1e18)
        good = admitted[i]
        for e in range(out_ptr[i], out_ptr[i + 1]):
            rate[e] = calls[e] * attempts[e]
            if not sync[e]:
                continue
            j = target[e]
            mean = latency[e] + response[j]
            var = spread[j]
            lost = 1.0 - success[j]
            if timeout[e] == timeout[e]:
                limit = timeout[e]
                if var <= 1e-9 * mean * mean:
                    late = 1.0 if mean > limit else 0.0
                    mean = min(mean, limit)
                else:
                    shape = mean * mean / var
                    x = limit * mean / var
                    late = 1.0 - _gamma_cdf(shape, x)
                    mean = mean * _gamma_cdf(shape + 1.0, x) + limit * late
                var = min(var, mean * mean)
                lost = 1.0 - (1.0 - late) * (1.0 - lost)
            tries = 1.0
            if retries[e] > 0 and lost > 0.0:
                tries = float(retries[e] + 1) if lost >= 1.0 else (1.0 - lost ** (retries[e] + 1)) / (1.0 - lost)
                if budget[e] == budget[e]:
                    tries = min(tries, 1.0 + budget[e])
            moved = max(moved, abs(tries - attempts[e]))
            attempts[e] = tries
            rate[e] = calls[e] * tries
            per = mean + (tries - 1.0) / tries * backoff[e]
            if matter[e] > 0.0 and wait[e] > 0.0:
                moved = max(moved, matter[e] * abs(per - wait[e]) / max(per, wait[e]))
            wait[e] = per
            total += weight[e] * rate[e] * per
            total_var += weight[e] * rate[e] * var
            if required[e]:
                fail = max(0.0, 1.0 - (1.0 - lost) * tries)
                passed[e] = (1.0 - fail) ** calls[e]
                good *= passed[e]
        response[i] = min(total, _STUCK)
        spread[i] = min(total_var, 1e18)
        success[i] = good
    return moved


@kernel(work=lambda begin, end, dt, order, *rest: 5e3 * order.size)
def march(
    begin: float, end: float, dt: float, order: Any, in_ptr: Any, in_source: Any, in_edge: Any, out_ptr: Any,
    target: Any, row: Any, scale: Any, copies: Any, rest: Any, cpu: Any, host: Any, limit: Any, closed: Any, scv: Any,
    busy: Any, slope: Any, blocked: Any, cells: int, h_first: Any, h_who: Any, h_grid: Any, h_load: Any,
    calls: Any, sync: Any, latency: Any, timeout: Any, retries: Any, backoff: Any, budget: Any, required: Any,
    weight: Any, held: Any, phase: Any, passed: Any, knot: Any, value: Any, external: Any, users: Any, think: Any,
    up: Any, crush: Any, lag: Any, lag_kind: int, ceiling: Any, attempts: Any, rate: Any, wait: Any, content: Any, waiting: Any,
    number: Any, whole: Any, flow: Any, variance: Any, response: Any, spread: Any, success: Any, stretch: Any,
    tolerance: float, fixed: bool, max_dt: float, again: bool, outputs: Any, output: int,
    r_time: Any, r_number: Any, r_flow: Any, r_inflow: Any, r_admitted: Any, r_variance: Any, r_response: Any,
    r_service: Any, books: Any, chunk: int,
) -> Any:
    """Step from ``begin`` towards ``end``; see :mod:`fea_arch.solvers.fluid` for the arrays.

    Returns
    -------
    time, dt : float
        Where it stopped and the next step size [s].
    status : int
        0 reached the end, 1 chunk done or record full, 2 the step became too small, 3 a node ran out of memory.
    rows, steps, rejected, output : int
        Rows recorded, steps taken and repeated, next output time.
    broken : int
        Node that ran out of memory, or -1.
    """
    n = order.size
    m = target.size
    inflow, admitted, turn = np.zeros(n), np.ones(n), np.zeros(n)
    b0, b1, z = np.zeros(n), np.zeros(n), np.zeros(n)
    rhs, alpha, beta = np.zeros(n), np.zeros(n), np.ones(n)
    f0, f1, f2 = np.zeros(n), np.zeros(n), np.zeros(n)
    y0, i0, a0 = np.zeros(n), np.zeros(n), np.zeros(n)
    y1, i1, a1 = np.zeros(n), np.zeros(n), np.zeros(n)
    n0, w0, s0 = np.zeros(n), np.zeros(n), np.zeros(h_first.size - 1)
    turn0 = np.zeros(n)
    extra, service, matter, dydt = np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(n)
    call_near, call_gain = np.zeros(m), np.zeros(m)
    full = lag_kind == 2
    t = begin
    rows = 0
    steps = 0
    bad = 0
    many = 200 if again or h_who.size > 0 else 1
    fresh = True
    scale_t = max(abs(end), 1e-300)
    while t < end - 1e-13 * scale_t:
        if steps >= chunk or rows + 2 >= r_time.size:
            return t, dt, 1, rows, steps, bad, output, -1
        for i in range(n):
            extra[i] = 0.0
        if fresh:  # flows at the start of a smooth stretch: a stage of no length
            for i in range(n):
                rhs[i] = number[i]
                beta[i] = 1.0
                alpha[i] = 0.0
                if full and lag[i] > 0.0:
                    beta[i] = 0.0
                    alpha[i] = flow[i]
                if users[i] > 0.0:
                    extra[i] = max(users[i] - waiting[i], 0.0) / think[i] if think[i] > 0.0 else users[i] / max(response[i], 1e-9)
            _stage(
                0.0, _factor(knot, value, t, True), 0.0, order, in_ptr, in_source, in_edge, out_ptr, row, scale,
                copies, rest, cpu, host, limit, closed, busy, slope, blocked, cells, h_first, h_who, h_grid, h_load,
                rate, held, weight, wait, content, phase, sync, passed, call_near, call_gain, external, extra, up, alpha, beta, ceiling, rhs, whole, number,
                flow, inflow, admitted, turn, stretch, b0, b1, z, True, 200,
            )
            for i in range(n):
                f0[i] = inflow[i] * admitted[i] - flow[i]
                y0[i] = flow[i]
                i0[i] = inflow[i]
                a0[i] = admitted[i]
                turn0[i] = turn[i]
                service[i] = rest[i] + (cpu[i] * stretch[host[i]] if host[i] >= 0 else 0.0)
                if full and lag[i] > 0.0:
                    dydt[i] = (z[i] / (service[i] + b1[i]) - flow[i]) / lag[i]
            fresh = False
            if output == 0 and (outputs.size == 0 or outputs[0] <= t) or outputs.size == 0:
                r_time[rows] = t
                for i in range(n):
                    r_number[rows, i] = number[i]
                    r_flow[rows, i] = flow[i]
                    r_inflow[rows, i] = inflow[i]
                    r_admitted[rows, i] = admitted[i]
                    r_variance[rows, i] = variance[i]
                    r_response[rows, i] = response[i]
                    r_service[rows, i] = service[i]
                rows += 1
                if outputs.size > 0:
                    output += 1
        step = min(dt, max_dt)
        left = end - t
        last_one = False
        if step >= left * (1.0 - 1e-9):
            step = left
            last_one = True
        elif not fixed and step > 0.6 * left:
            step = 0.5 * left
        theta = _D * step
        for i in range(n):
            n0[i] = number[i]
            w0[i] = whole[i]
            rhs[i] = n0[i] + theta * f0[i]
            if full and lag[i] > 0.0:
                # y + (theta / tau)(y - g) = known: the lag is eliminated node by node
                beta[i] = theta / (lag[i] + theta)
                alpha[i] = (y0[i] + theta * dydt[i]) * (1.0 - beta[i])
            if users[i] > 0.0:
                decay = math.exp(-step / max(response[i], 1e-9))
                extra[i] = max(users[i] - waiting[i] * decay, 0.0) / (think[i] + max(response[i], 1e-9) * (1.0 - decay))
        for h in range(s0.size):
            s0[h] = stretch[h]
        fa = _factor(knot, value, t, True)
        fm = _factor(knot, value, t + 2.0 * theta, False)
        fe = _factor(knot, value, t + step, False)
        count = _stage(
            theta, fm, 2.0 * theta, order, in_ptr, in_source, in_edge,
            out_ptr, row, scale, copies, rest, cpu, host, limit, closed, busy, slope, blocked, cells, h_first, h_who,
            h_grid, h_load, rate, held, weight, wait, content, phase, sync, passed, call_near, call_gain, external, extra, up, alpha, beta, ceiling, rhs,
            whole, number, flow, inflow, admitted, turn, stretch, b0, b1, z, again, many,
        )
        if count > 0:
            for i in range(n):
                f1[i] = inflow[i] * admitted[i] - flow[i]
                y1[i] = flow[i]
                i1[i] = inflow[i]
                a1[i] = admitted[i]
                rhs[i] = n0[i] + _W * step * (f0[i] + f1[i])
                if full and lag[i] > 0.0:
                    bend = (y1[i] - y0[i]) / theta - dydt[i]
                    alpha[i] = (y0[i] + _W * step * (dydt[i] + bend)) * (1.0 - beta[i])
            count = _stage(
                theta, fe, step, order, in_ptr, in_source, in_edge, out_ptr, row,
                scale, copies, rest, cpu, host, limit, closed, busy, slope, blocked, cells, h_first, h_who, h_grid,
                h_load, rate, held, weight, wait, content, phase, sync, passed, call_near, call_gain, external, extra, up, alpha, beta, ceiling, rhs,
                whole, number, flow, inflow, admitted, turn, stretch, b0, b1, z, again, many,
            )
        error = 0.0
        if count > 0:
            for i in range(n):
                f2[i] = inflow[i] * admitted[i] - flow[i]
                raw = step * (_E0 * f0[i] + _E1 * f1[i] + _E2 * f2[i]) / (1.0 + theta * min(turn[i], turn0[i]))
                size = tolerance * (abs(n0[i]) + abs(number[i]) + 0.1)
                if abs(raw) > error * size:
                    error = abs(raw) / size
        if count < 0 or (not fixed and error > 1.0) or not error == error:
            bad += 1
            dt = step * (0.25 if count < 0 or not error == error else max(0.2, 0.9 * error ** (-1.0 / 3.0)))
            for i in range(n):
                number[i] = n0[i]
                whole[i] = w0[i]
                flow[i] = y0[i]
            for h in range(s0.size):
                stretch[h] = s0[h]
            if dt < 1e-12 * scale_t:
                return t, dt, 2, rows, steps, bad, output, -1
            continue
        # the step stands
        for i in range(n):
            books[0, i] += step * (_W * (i0[i] + i1[i]) + _D * inflow[i])
            books[1, i] += step * (_W * (i0[i] * a0[i] + i1[i] * a1[i]) + _D * inflow[i] * admitted[i])
            books[2, i] += step * (_W * (y0[i] + y1[i]) + _D * flow[i])
            books[3, i] += step * (extra[i] + external[i] * (_W * (fa + fm) + _D * fe))
            service[i] = rest[i] + (cpu[i] * stretch[host[i]] if host[i] >= 0 else 0.0)
            if full and lag[i] > 0.0:
                middle = (y1[i] - y0[i]) / theta - dydt[i]
                dydt[i] = (flow[i] - y0[i] - _W * step * (dydt[i] + middle)) / theta
            noise = inflow[i] * admitted[i] + flow[i] * scv[i]
            variance[i] = (variance[i] + step * noise) / (1.0 + 2.0 * step * turn[i])
            if users[i] > 0.0:
                decay = math.exp(-step / max(response[i], 1e-9))
                waiting[i] = waiting[i] * decay + extra[i] * max(response[i], 1e-9) * (1.0 - decay)
            if lag_kind == 1 and lag[i] > 0.0 and number[i] > 0.0:
                # warm capacity answers at once; more of it comes on line with the lag of a cold start
                asked = z[i] / max(service[i] + b1[i], 1e-300)
                if row[i] >= 0 and copies[i] > 0.0 and asked >= ceiling[i] * (1.0 - 1e-9):
                    ceiling[i] += step / (lag[i] + step) * max(copies[i] * scale[i] / service[i] - ceiling[i], 0.0)
            e = out_ptr[i]
            while e < out_ptr[i + 1]:
                head = e
                time = 0.0
                reach = (call_near[e] + call_gain[e] * flow[i]) / rate[e] if rate[e] > 0.0 else 0.0
                while e < out_ptr[i + 1] and phase[e] == phase[head]:
                    if sync[e]:
                        time += weight[e] * rate[e] * wait[e]
                        matter[e] = 0.2
                        if held[e] and number[i] > 1.5 * service[i] * flow[i] + 0.5:
                            matter[e] = 1.0
                    e += 1
                if time > 1e-12:
                    decay = math.exp(-step / time)
                    content[head] = content[head] * decay + reach * time * (1.0 - decay)
        broken = -1
        for i in range(n):
            if crush[i] < np.inf and up[i] > 0.0:
                inside = number[i]
                for e in range(out_ptr[i], out_ptr[i + 1]):
                    inside += content[e]
                if inside >= crush[i]:
                    broken = i
                    break
        before_t = t
        t = end if last_one else t + step
        steps += 1
        moved = _answer(
            order, out_ptr, target, calls, sync, latency, timeout, retries, backoff, budget, required, weight,
            service, number, flow, variance, admitted, attempts, rate, wait, response, spread, success, matter,
            passed,
        )
        if outputs.size == 0:
            x = 1.0
            r_time[rows] = t
            for i in range(n):
                r_number[rows, i] = number[i]
                r_flow[rows, i] = flow[i]
                r_inflow[rows, i] = inflow[i]
                r_admitted[rows, i] = admitted[i]
                r_variance[rows, i] = variance[i]
                r_response[rows, i] = response[i]
                r_service[rows, i] = service[i]
            rows += 1
        else:
            while output < outputs.size and outputs[output] <= t + 1e-12 * scale_t:
                if rows + 1 >= r_time.size:
                    break
                x = min(max((outputs[output] - before_t) / (t - before_t), 0.0), 1.0)
                r_time[rows] = outputs[output]
                for i in range(n):
                    straight = (1.0 - x) * n0[i] + x * number[i]
                    bump = x * (1.0 - x) * ((1.0 - x) * (step * f0[i] - number[i] + n0[i]) - x * (step * f2[i] - number[i] + n0[i]))
                    curve = straight + bump
                    low = min(n0[i], number[i]) - 0.1 * abs(number[i] - n0[i])
                    high = max(n0[i], number[i]) + 0.1 * abs(number[i] - n0[i])
                    r_number[rows, i] = curve if curve >= low and curve <= high else straight
                    r_flow[rows, i] = (1.0 - x) * y0[i] + x * flow[i]
                    r_inflow[rows, i] = (1.0 - x) * i0[i] + x * inflow[i]
                    r_admitted[rows, i] = (1.0 - x) * a0[i] + x * admitted[i]
                    r_variance[rows, i] = variance[i]
                    r_response[rows, i] = response[i]
                    r_service[rows, i] = service[i]
                rows += 1
                output += 1
        for i in range(n):
            f0[i] = f2[i]
            turn0[i] = turn[i]
            y0[i] = flow[i]
            i0[i] = inflow[i]
            a0[i] = admitted[i]
        if not fixed:
            grow = 3.0
            if error > 0.0:
                grow = min(3.0, 0.9 * error ** (-1.0 / 3.0))
            if moved > 0.4:
                grow = min(grow, max(0.25, 0.4 / moved))
            if not last_one or grow < 1.0:
                dt = step * grow
        if broken >= 0:
            return t, dt, 3, rows, steps, bad, output, broken
    return t, dt, 0, rows, steps, bad, output, -1
