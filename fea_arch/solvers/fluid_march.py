"""The fluid model through time: adaptive TR-BDF2 steps that end exactly at events, records and books.

TR-BDF2 (Bank et al., IEEE Trans. Electron Devices 32 (1985) 1992; Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21)
is of second order, damps stiff parts fully and has an embedded error estimate of third order. Response times and tries
of calls are renewed after each step; the step shrinks where they move fast.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ConvergenceError
from fea_arch.kernels.fluid import WORK
from fea_arch.kernels.fluid_march import (
    BROKEN,
    BROKEN_NODE,
    BUSY,
    C_STEP,
    C_TIME,
    COLLAPSED,
    DONE,
    FILLED,
    REPEATED,
    STEPS,
    march,
    march_side_by_side,
)
from fea_arch.solvers.fluid import Fluid
from fea_arch.solvers.fluid_blocks import side_by_side
from fea_arch.solvers.fluid_record import History, Recorder
from fea_arch.solvers.station_tables import CELLS

__all__ = ["Change", "run_fluid"]

Array = NDArray[np.float64]

#: Node and call updates after which the loop comes back, so that it can be interrupted and watched.
_PAUSE = 1e7


@dataclass(frozen=True)
class Change:
    """From ``time_s`` on, component ``node`` has a share of its capacity, answers or rejects, and may be emptied."""

    time_s: float
    node: int
    capacity: float
    up: float
    empty: bool = False


class Marcher:
    """The arrays of a model, bundled for the kernel.

    ``net``: order, callers (pointer, call), calls of each component (pointer).
    ``station``: table row, scale, copies, service without CPU part, CPU part, host, rate limit, bounded, arrivals from
    outside, ceiling of the flow, answering.
    ``calls``: rate, worker held, weight in time, time per try, content of the phase, phase, synchronous, share that
    goes on.
    ``state``: where the law was evaluated last (all inside), number, flow, inflow, share admitted, turn-over, in
    service, further arrivals, stretch of each host.
    ``contract``, ``answer``: see :func:`fea_arch.kernels.fluid_calls.renew_calls`.
    ``noise``: variance of the numbers, variability of services, number at which memory runs out.
    ``lags``: of every change of throughput, of capacity beyond what is warm.
    ``closed``: users, think times, users that wait.
    """

    def __init__(
        self, model: Fluid, knots: tuple[Array, Array], external: Array, closed: tuple[Array, Array] | None,
        record: Recorder,
    ) -> None:  # fmt: skip
        s, n, m = model.state, model.n, model.m
        users, think = (np.zeros(n), np.zeros(n)) if closed is None else closed
        self.books, self.record = np.zeros((n, 4)), record
        self.clock, self.count = np.zeros(3), np.zeros(6, np.int64)
        self.count[BROKEN_NODE] = -1
        none, inflow, admitted, turn, busy, extra = np.zeros((6, n))
        admitted += 1.0
        cold = s["lag"] if s["lag_kind"] == 1 else none
        self.arrays = (
            tuple(np.ascontiguousarray(k, np.float64) for k in knots),
            (model.order, model.in_ptr, model.in_edge, model.out_ptr),
            (
                model.row, model.scale, s["copies"], model.rest, model.cpu, model.host, model.limit, model.bounded,
                external, s["ceiling"], s["up"],
            ),
            (model.tables.cubic, model.tables.blocked, CELLS),
            (model.h_first, model.h_who, model.h_grid, model.h_load),
            (s["rate"], model.held, model.weight, s["wait"], s["content"], model.phase, model.sync, s["passed"]),
            (s["whole"], s["number"], s["flow"], inflow, admitted, turn, busy, extra, s["stretch"]),
            np.zeros((n, 4)),
            (
                model.target, model.calls, model.latency, model.timeout, model.retries, model.backoff, model.budget,
                model.required,
            ),
            (s["attempts"], s["response"], s["spread"], s["success"], np.zeros((n, 3)), np.zeros(n)),
            (s["variance"], model.scv, model.crush),
            (s["lag"] if s["lag_kind"] == 2 else none, cold),
            (users, think, s["waiting"]),
            np.zeros((n, 6)), np.zeros((n, WORK)), np.zeros((6, m)), self.books, record.times,
        )  # fmt: skip

        plain = not (model.again or model.h_who.size or users.any() or cold.any())
        self.who = side_by_side(model) if plain else np.zeros(0, np.int64)

    def run(self, rule: tuple[float, float, float, float, int], *, fresh: bool) -> int:
        """Step on and return why it came back; a component that ran out of memory is left in ``count``."""
        stamp, rows = self.record.room()
        self.count[FILLED] = self.record.filled
        go_on = march_side_by_side if self.who.size else march
        reason = go_on(self.clock, self.count, rule, *self.arrays, stamp, rows, self.who, self.record.again, fresh)
        self.record.filled = int(self.count[FILLED])
        return int(reason)


def run_fluid(
    model: Fluid,
    duration_s: float,
    knots: tuple[Array, Array],
    breaks: Sequence[float],
    external: Array,
    *,
    closed: tuple[Array, Array] | None = None,
    changes: Sequence[Change] = (),
    tolerance: float = 1e-3,
    dt_s: float | None = None,
    max_dt_s: float = math.inf,
    times: Array | None = None,
    progress: Callable[[float], None] | None = None,
    stream: Callable[[Array, Array, Array], None] | None = None,
) -> History:
    """Run the model from its present state over ``duration_s`` and record.

    Parameters
    ----------
    model : Fluid
    duration_s : float
    knots : ((k,), (k,)) float64
        Load factor over time, linear between; equal times make a jump.
    breaks : sequence of float
        Times at which a step must end [s].
    external : (n_components,) float64
        Arrivals from outside at load factor 1 [1/s].
    closed : ((n,), (n,)) float64, optional
        Users and think times [s] at each node.
    changes : sequence of Change
    tolerance : float
        Relative error of one step.
    dt_s : float, optional
        Fixed step.
    max_dt_s : float
        Longest step [s].
    times : (k,) float64, optional
        Times to record; by default every step.
    progress : callable, optional
        Called with the share that is done.
    stream : callable, optional
        Called with blocks of rows as they are recorded: times, numbers inside and flows, (rows,) and (rows, n).

    Raises
    ------
    ConvergenceError
        If the step size collapses.
    """
    n = model.n
    queue = sorted(changes, key=lambda c: c.time_s)
    marks = sorted({float(t) for t in (*breaks, *(c.time_s for c in queue)) if 0.0 < t < duration_s} | {duration_s})
    # a record shortly before each event, so that histories have an edge there
    usual = min(4.0 * float(np.median(model.state["response"])), 1e-2 * duration_s)
    edges = [b - usual for a, b in zip([0.0, *marks], marks) if b - a > 4.0 * usual]
    events = sorted({*marks, *edges})
    kills: list[tuple[float, int]] = []
    killed = _apply(model, queue, 0.0)
    start = model.state["number"] + killed
    record = Recorder(model, times, stream)
    march = Marcher(model, knots, np.concatenate([external, np.zeros(n - model.n0)]), closed, record)
    smallest = float(np.min(model.rest + model.cpu))
    first = dt_s if dt_s is not None else max(smallest, 1e-5 * duration_s)
    few = max(1, min(100 if progress is not None else 10_000, int(_PAUSE / (model.n + model.m + 1))))
    clock, count, fresh, interrupted = march.clock, march.count, True, False
    clock[C_STEP] = first
    try:
        while clock[C_TIME] < duration_s * (1.0 - 1e-12):
            t = float(clock[C_TIME])
            if fresh and t > 0.0:  # flows change at an event
                killed += _apply(model, queue, t)
            end = events[bisect_right(events, t * (1.0 + 1e-12))]
            reason = march.run((end, tolerance, dt_s or 0.0, max_dt_s, few), fresh=fresh)
            t = float(clock[C_TIME])
            if reason == COLLAPSED:
                raise _collapsed(model, t, float(clock[C_STEP]))
            if reason == BROKEN:  # killed: everything inside is lost, and it answers again after its cold start
                broken = int(count[BROKEN_NODE])
                count[BROKEN_NODE] = -1
                kills.append((t, broken % model.n0))
                back = t + float(model.lag[broken % model.n0])
                queue += [Change(t, broken, 0.0, 0.0, empty=True), Change(back, broken, 1.0, 1.0)]
                queue.sort(key=lambda c: c.time_s)
                if back < duration_s:
                    events = sorted({*events, back})
            fresh = reason in (DONE, BROKEN)
            if fresh and dt_s is None:
                clock[C_STEP] = max(smallest, 1e-2 * clock[C_STEP])
            if progress is not None and reason in (DONE, BUSY):
                progress(t / duration_s)
    except KeyboardInterrupt:
        interrupted = True
    t = float(clock[C_TIME])
    killed += _apply(model, queue, t)
    books = np.ascontiguousarray(march.books.T)
    wrong = model.state["number"] + killed - start - books[1] + books[2]
    most = max(float(books[0].max(initial=0.0)), float(start.max(initial=0.0)), 1e-300)
    time, number, flow, inflow, share, variance, response, service = record.rows()
    return History(
        time, number, flow, inflow, share, variance, response, service, books[0], books[1], books[2], books[3], killed,
        float(np.abs(wrong).max(initial=0.0) / most), int(count[STEPS]), int(count[REPEATED]), tuple(kills),
        interrupted,
    )  # fmt: skip


def _collapsed(model: Fluid, t: float, dt: float) -> ConvergenceError:
    worst = np.argsort(-np.abs(model.state["number"]))[:3] % model.n0
    return ConvergenceError(
        f"the time step fell to {dt:.1e} s at {t:g} s",
        partial=dict(model.state),
        worst=tuple(model.network.names[int(i)] for i in worst),
    )


def _apply(model: Fluid, queue: list[Change], t: float) -> Array:
    """Carry out the changes that are due and return what was lost inside, (n,) [req]."""
    killed, s = np.zeros(model.n), model.state
    while queue and queue[0].time_s <= t * (1.0 + 1e-12):
        change = queue.pop(0)
        i = change.node
        s["copies"][i] = model.copies[i] * change.capacity
        s["up"][i] = change.up
        for k in range(model.refine):
            j = i + model.n0 * k
            s["copies"][j] = model.copies[j] * (change.capacity if k == 0 or change.capacity == 0.0 else 1.0)
            if change.empty:
                killed[j] += s["number"][j]
                for name in ("number", "whole", "flow", "variance"):
                    s[name][j] = 0.0
                s["content"][model.target == j] = 0.0
                s["content"][model.source == j] = 0.0
    return killed
