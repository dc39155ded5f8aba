"""Time steps of the fluid model from one event to the next, with their records, in one compiled loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine, variant
from fea_arch.kernels.fluid import advance, find_flows
from fea_arch.kernels.fluid_calls import renew_calls
from fea_arch.kernels.fluid_lanes import fold, unfold, unfold_record
from fea_arch.kernels.fluid_lanes_back import go_back_wide
from fea_arch.kernels.fluid_lanes_out import go_wide
from fea_arch.kernels.fluid_pass import go, go_back
from fea_arch.kernels.fluid_rows import arrange, pack, put_back, show, unpack, unpack_record
from fea_arch.kernels.tr_bdf2 import D

__all__ = [
    "BEFORE",
    "BROKEN",
    "BROKEN_NODE",
    "BUSY",
    "COLLAPSED",
    "C_STEP",
    "C_TIME",
    "DONE",
    "FILLED",
    "FULL",
    "NEXT",
    "OWED",
    "REPEATED",
    "STEPS",
    "march",
    "march_side_by_side",
]  # fmt: skip

# why the march came back: at its end, records full, out of memory, no step small enough, or to let others speak
DONE, FULL, BROKEN, COLLAPSED, BUSY = range(5)
# columns of the clock: time, start of the last step, length of the next one [s]
C_TIME, BEFORE, C_STEP = range(3)
# columns of the counts: steps taken and undone, rows filled, next time to record, rows owed, component out of memory
STEPS, REPEATED, FILLED, NEXT, OWED, BROKEN_NODE = range(6)

_INNER = 2.0 * D


@subroutine
def _factor(time: Any, value: Any, t: float, after: bool) -> Any:
    """Load factor at a time, linear between knots; at a jump (equal times) the later value if ``after``."""
    low, high = 0, time.size
    while low < high:
        middle = (low + high) // 2
        if time[middle] < t or (after and time[middle] == t):
            low = middle + 1
        else:
            high = middle
    if high == 0:
        return value[0]
    if high == time.size:
        return value[-1]
    a, b = time[high - 1], time[high]
    x = (t - a) / (b - a) if b > a else (1.0 if after else 0.0)
    return value[high - 1] + x * (value[high] - value[high - 1])


@subroutine
def _return(length: float, closed: Any, response: Any, extra: Any) -> None:
    """Arrivals of populations that come back after their think time, at their mean over the step."""
    users, think, waiting = closed
    for i in range(users.size):
        if users[i] > 0.0:
            answer = max(response[i], 1e-9)
            left = math.exp(-length / answer)
            pause = think[i] + answer * (1.0 - left)
            extra[i] = max(users[i] - waiting[i] * left, 0.0) / pause if pause > 0.0 else users[i] / answer


@subroutine
def _wait(length: float, closed: Any, response: Any, extra: Any) -> None:
    """Renew the number of users that wait for an answer."""
    users, _, waiting = closed
    for i in range(users.size):
        if users[i] > 0.0:
            answer = max(response[i], 1e-9)
            left = math.exp(-length / answer)
            waiting[i] = waiting[i] * left + extra[i] * answer * (1.0 - left)


@subroutine
def _warm(length: float, station: Any, state: Any, held: Any, cold: Any) -> None:
    """Bring more capacity on line with the lag of a cold start where what is warm is used up."""
    row, scale, copies, rest, cpu, host, ceiling = (
        station[0], station[1], station[2], station[3], station[4], station[5], station[9],
    )  # fmt: skip
    number, z, stretch = state[1], state[6], state[8]
    for i in range(cold.size):
        if not (cold[i] > 0.0 and number[i] > 0.0 and row[i] >= 0 and copies[i] > 0.0):
            continue
        service = rest[i] + (cpu[i] * stretch[host[i]] if host[i] >= 0 else 0.0)
        if z[i] >= ceiling[i] * (1.0 - 1e-9) * max(service + held[i], 1e-300):
            most = copies[i] * scale[i] / service
            ceiling[i] += length / (cold[i] + length) * max(most - ceiling[i], 0.0)


@subroutine
def _keep(rows: Any, r: int, state: Any, spread: Any, answer: Any) -> None:
    """Record the present state: number, flow, inflow, share admitted, variance, response, service."""
    for i in range(rows.shape[2]):
        rows[0, r, i] = state[1][i]
        rows[1, r, i] = state[2][i]
        rows[2, r, i] = state[3][i]
        rows[3, r, i] = state[4][i]
        rows[4, r, i] = spread[i]
        rows[5, r, i] = answer[1][i]
        rows[6, r, i] = answer[5][i]


@subroutine
def _keep_between(
    rows: Any, r: int, x: float, step: float, state: Any, spread: Any, answer: Any, past: Any, work: Any
) -> None:
    """Hermite cubic for the numbers, a straight line where that leaves the range of the step and for flows."""
    for i in range(rows.shape[2]):
        n0, n1 = work[i, 0], state[1][i]
        change = n1 - n0
        straight = n0 + x * change
        curve = straight + x * (1.0 - x) * ((1.0 - x) * (step * work[i, 1] - change) - x * (step * past[i, 0] - change))
        room = 0.1 * abs(change)
        inside = curve >= min(n0, n1) - room and curve <= max(n0, n1) + room
        rows[0, r, i] = curve if inside else straight
        rows[1, r, i] = work[i, 2] + x * (state[2][i] - work[i, 2])
        rows[2, r, i] = work[i, 3] + x * (state[3][i] - work[i, 3])
        rows[3, r, i] = work[i, 4] + x * (state[4][i] - work[i, 4])
        rows[4, r, i] = spread[i]
        rows[5, r, i] = answer[1][i]
        rows[6, r, i] = answer[5][i]


@subroutine
def _steps(
    clock: Any, count: Any, rule: Any, curve: Any, net: Any, station: Any, tables: Any, hosts: Any, calls: Any,
    state: Any, law: Any, contract: Any, answer: Any, noise: Any, lags: Any, closed: Any, past: Any, work: Any,
    edge: Any, books: Any, times: Any, stamp: Any, rows: Any, again: bool, known: bool, direct: bool, populated: bool,
    colds: bool, packed: Any, arranged: Any,
) -> Any:  # fmt: skip
    """Step and record until there is a reason to come back."""
    end, tolerance, fixed, longest, most = rule
    knots, values = curve
    spread, scv, crush = noise
    lag, cold = lags
    extra, response = state[7], answer[1]
    t = clock[C_TIME]
    taken = 0
    while True:
        if times.size == 0 and count[OWED] > 0:
            if count[FILLED] == stamp.size:
                return FULL
            if direct:
                show(arranged, packed)
                unpack_record(packed, net, state, answer, spread, past)
            stamp[count[FILLED]] = t
            _keep(rows, count[FILLED], state, spread, answer)
            count[FILLED] += 1
            count[OWED] = 0
        while count[NEXT] < times.size and times[count[NEXT]] <= t * (1.0 + 1e-12) and clock[BEFORE] < t:
            if count[FILLED] == stamp.size:
                return FULL
            if direct:
                show(arranged, packed)
                unpack_record(packed, net, state, answer, spread, past)
            goal, before = times[count[NEXT]], clock[BEFORE]
            x = min(max((goal - before) / (t - before), 0.0), 1.0)
            stamp[count[FILLED]] = goal
            _keep_between(rows, count[FILLED], x, t - before, state, spread, answer, past, work)
            count[FILLED] += 1
            count[NEXT] += 1
        if count[BROKEN_NODE] >= 0:
            return BROKEN
        if t >= end:
            return DONE
        if taken >= most:
            return BUSY
        left = end - t
        step = min(clock[C_STEP], longest)
        last = step >= left * (1.0 - 1e-9)
        if last:
            step = left
        elif fixed == 0.0 and step > 0.6 * left:
            step = 0.5 * left
        if populated:
            _return(step, closed, response, extra)
        factors = (
            _factor(knots, values, t, True),
            _factor(knots, values, t + _INNER * step, False),
            _factor(knots, values, t + step, False),
        )
        keep = count[NEXT] < times.size and times[count[NEXT]] <= (t + step) * (1.0 + 1e-9)
        if direct:
            error = go(step, factors, arranged, tables, known)
            if fixed == 0.0:
                error /= tolerance
            elif error < np.inf:
                error = 0.0
        else:
            error = advance(
                step, tolerance if fixed == 0.0 else 0.0, factors, net, station, tables, hosts, calls, state, law,
                spread, lag, scv, past, work, edge, books, again, known, keep,
            )  # fmt: skip
        known = error < np.inf
        taken += 1
        if not error <= 1.0:
            count[REPEATED] += 1
            clock[C_STEP] = step * (max(0.2, 0.9 * error ** (-1.0 / 3.0)) if known else 0.25)
            if clock[C_STEP] < 1e-12 * end:
                return COLLAPSED
            continue
        if populated:
            _wait(step, closed, response, extra)
        if colds:
            _warm(step, station, state, work[:, 15], cold)
        clock[BEFORE] = t
        t = end if last else t + step
        clock[C_TIME] = t
        count[STEPS] += 1
        count[OWED] = 1
        if direct:
            moved, count[BROKEN_NODE] = go_back(step, factors, arranged, net[0], work, keep)
        else:
            moved, count[BROKEN_NODE] = renew_calls(
                net, station, calls, state, contract, spread, scv, crush, edge, answer
            )
        if fixed > 0.0:
            clock[C_STEP] = fixed
        else:
            grow = min(3.0, 0.9 * error ** (-1.0 / 3.0)) if error > 0.0 else 3.0
            if moved > 0.4:
                grow = min(grow, max(0.25, 0.4 / moved))
            if not last or grow < 1.0:
                clock[C_STEP] = step * grow


@kernel(work=lambda clock, count, rule, curve, net, *rest: 5e3 * net[0].size)
def march(
    clock: Any, count: Any, rule: Any, curve: Any, net: Any, station: Any, tables: Any, hosts: Any, calls: Any,
    state: Any, law: Any, contract: Any, answer: Any, noise: Any, lags: Any, closed: Any, past: Any, work: Any,
    edge: Any, books: Any, times: Any, stamp: Any, rows: Any, who: Any, again: bool, fresh: bool,
) -> Any:  # fmt: skip
    """Step until an event, and record every step or given times.

    Parameters
    ----------
    clock : (3,) float64
        Time, start of the last step and length of the next one [s]; renewed.
    count : (6,) int64
        Steps, repeated steps, rows filled, next time to record, rows owed, component out of memory; renewed.
    rule : tuple
        End [s], tolerance, fixed step or 0 [s], longest step [s], and steps after which to come back.
    curve : ((k,), (k,)) float64
        Load factor over time, linear between knots; equal times make a jump.
    net, station, tables, hosts, calls, state, contract, answer, noise, lags, closed : tuples of arrays
        See :class:`fea_arch.solvers.fluid_march.Marcher`.
    law, past, work, edge, books : arrays
        As for :func:`fea_arch.kernels.fluid.advance`.
    times : (k,) float64
        Times to record [s]; empty to record every step.
    stamp, rows : (r,) and (7, r, n) float64
        Records.
    who : (blocks * LANES,) int64
        Blocks of components to step side by side, see :func:`fea_arch.kernels.fluid_lanes.fold`; here not used.
    again : bool
        Whether the calls have a cycle.
    fresh : bool
        Whether an event has changed the flows.

    Returns
    -------
    int
        ``DONE`` at the end, ``FULL`` records, ``BROKEN`` component, ``COLLAPSED`` step or ``BUSY`` too long.
    """
    knots, values = curve
    spread = noise[0]
    lag, cold = lags
    users, extra, response = closed[0], state[7], answer[1]
    t = clock[C_TIME]
    known = not fresh
    populated = False
    for i in range(users.size):
        populated = populated or users[i] > 0.0
    colds = False
    for i in range(cold.size):
        colds = colds or cold[i] > 0.0
    if fresh:
        if populated:
            _return(0.0, closed, response, extra)
        find_flows(
            _factor(knots, values, t, True), net, station, tables, hosts, calls, state, law, lag, past, work, edge,
            answer[5],
        )  # fmt: skip
        known = True
        if times.size == 0:
            count[OWED] = 1
        elif count[NEXT] == 0 and times[0] <= t:
            if count[FILLED] == stamp.size:
                return FULL
            stamp[count[FILLED]] = t
            _keep(rows, count[FILLED], state, spread, answer)
            count[FILLED] += 1
            count[NEXT] = 1
    direct = not (again or populated or colds or hosts[1].size > 0)
    packed = pack(
        net[0].size if direct else 0, net, station, calls, state, law, contract, answer, noise, lag, past, books
    )
    arranged = arrange(packed, who)
    reason = _steps(
        clock, count, rule, curve, net, station, tables, hosts, calls, state, law, contract, answer, noise, lags,
        closed, past, work, edge, books, times, stamp, rows, again, known, direct, populated, colds, packed,
        arranged,
    )  # fmt: skip
    if direct:
        put_back(arranged, packed)
        unpack(packed, net, calls, state, law, answer, spread, past, books)
    return reason


@subroutine
def _no_sweep(*given: Any) -> float:
    """Stand for the sweeps where there is no feedback: a step by them would fail."""
    return np.inf


@subroutine
def _no_renewal(*given: Any) -> Any:
    """Stand for what follows the sweeps."""
    return 0.0, -1


#: The same for many components that do not feed back; ``who`` names the blocks.
march_side_by_side = variant(
    march, "march_side_by_side",
    {
        "arrange": fold, "go": go_wide, "go_back": go_back_wide, "put_back": unfold, "show": unfold_record,
        "advance": _no_sweep, "renew_calls": _no_renewal,
    },
)  # fmt: skip
