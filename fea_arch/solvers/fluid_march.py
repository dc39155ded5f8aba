"""The fluid model through time: adaptive TR-BDF2 steps that end exactly at events, records and books.

TR-BDF2 (Bank et al., IEEE Trans. Electron Devices 32 (1985) 1992; Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21)
is of second order, damps stiff parts fully and has an embedded error estimate of third order. Response times and tries
of calls are renewed after each step; the step shrinks where they move fast.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ConvergenceError
from fea_arch.kernels.fluid import advance
from fea_arch.kernels.fluid_calls import renew_calls
from fea_arch.solvers.fluid import Fluid
from fea_arch.solvers.fluid_record import History, Recorder
from fea_arch.solvers.station_tables import CELLS

__all__ = ["Change", "run_fluid"]

Array = NDArray[np.float64]

_INNER = 2.0 - math.sqrt(2.0)


@dataclass(frozen=True)
class Change:
    """From ``time_s`` on, component ``node`` has a share of its capacity, answers or rejects, and may be emptied."""

    time_s: float
    node: int
    capacity: float
    up: float
    empty: bool = False


class _Curve:
    """A load factor that is linear between knots; equal times make a jump."""

    def __init__(self, time: Array, value: Array) -> None:
        self.time: list[float] = time.tolist()
        self.value: list[float] = value.tolist()

    def at(self, t: float, *, after: bool) -> float:
        """Return the factor at a time; at a jump the later value if ``after``."""
        high = bisect_right(self.time, t) if after else bisect_left(self.time, t)
        if high == 0:
            return self.value[0]
        if high == len(self.time):
            return self.value[-1]
        a, b = self.time[high - 1], self.time[high]
        x = (t - a) / (b - a) if b > a else float(after)
        return self.value[high - 1] + x * (self.value[high] - self.value[high - 1])


class Marcher:
    """The arrays of a model, bundled for the kernels.

    ``net``: order, callers (pointer, component, call), calls of each component (pointer).
    ``station``: table row, scale, copies, service without CPU part, CPU part, host, rate limit, bounded, arrivals from
    outside, ceiling of the flow, answering.
    ``calls``: rate, worker held, weight in time, time per try, content of the phase, phase, synchronous, share that
    goes on.
    ``state``: all inside, number, flow, inflow, share admitted, turn-over, in service, workers per flow that wait,
    further arrivals, stretch of each host.
    """

    def __init__(self, model: Fluid, curve: _Curve, external: Array, closed: tuple[Array, Array]) -> None:
        s, n, m = model.state, model.n, model.m
        self.model, self.curve = model, curve
        self.users, self.think = closed
        self.populated = bool((self.users > 0.0).any())
        self.lagging = s["lag"] if s["lag_kind"] == 2 else np.zeros(n)
        self.cold = s["lag_kind"] == 1
        self.inflow, self.admitted, self.turn, self.z, self.b1, self.extra = np.zeros((6, n))
        self.admitted += 1.0
        self.net = (model.order, model.in_ptr, model.in_source, model.in_edge, model.out_ptr)
        self.station = (
            model.row, model.scale, s["copies"], model.rest, model.cpu, model.host, model.limit, model.bounded,
            external, s["ceiling"], s["up"],
        )  # fmt: skip
        self.tables = (model.tables.busy, model.tables.slope, model.tables.blocked, CELLS)
        self.hosts = (model.h_first, model.h_who, model.h_grid, model.h_load)
        self.calls = (
            s["rate"], model.held, model.weight, s["wait"], s["content"], model.phase, model.sync, s["passed"],
        )  # fmt: skip
        self.state = (
            s["whole"], s["number"], s["flow"], self.inflow, self.admitted, self.turn, self.z, self.b1, self.extra,
            s["stretch"],
        )  # fmt: skip
        self.contract = (
            model.target, model.calls, model.latency, model.timeout, model.retries, model.backoff, model.budget,
            model.required,
        )  # fmt: skip
        self.past, self.work, self.edge = np.zeros((6, n)), np.zeros((10, n)), np.zeros((3, m))
        self.books, self.service, self.matter, self.rare = np.zeros((4, n)), np.zeros(n), np.zeros(m), np.zeros((3, n))
        self.step(0.0, 0.0, 0.0)

    def step(self, t: float, length: float, tolerance: float) -> float:
        """Take one step and return its error over tolerance; above 1 it was undone. No length: only find the flows."""
        s = self.model.state
        if self.populated:
            answer, users = np.maximum(s["response"], 1e-9), self.users > 0.0
            left = np.exp(-length / answer)
            idle = np.maximum(self.users - s["waiting"] * left, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                pause = self.think + answer * (1.0 - left)
                rate = np.where(pause > 0.0, idle / pause, self.users / answer)
            self.extra[:] = np.where(users, rate, 0.0)
        factors = np.array(
            [
                self.curve.at(t, after=True),
                self.curve.at(t + _INNER * length, after=length == 0.0),
                self.curve.at(t + length, after=False),
            ]
        )
        error = advance(
            length, tolerance, factors, self.net, self.station, self.tables, self.hosts, self.calls, self.state,
            s["variance"], self.lagging, self.model.scv, self.past, self.work, self.edge, self.books,
            self.model.again,
        )  # fmt: skip
        if length == 0.0:
            host = self.model.host
            self.service[:] = self.model.rest
            if self.model.h_who.size:
                self.service += np.where(host >= 0, self.model.cpu * s["stretch"][np.maximum(host, 0)], 0.0)
        elif error <= 1.0:
            if self.populated:
                s["waiting"][:] = s["waiting"] * left + np.where(users, self.extra * answer * (1.0 - left), 0.0)
            if self.cold:
                self._warm(length)
        return float(error)

    def _warm(self, length: float) -> None:
        """Bring more capacity on line with the lag of a cold start where what is warm is used up."""
        s, model = self.model.state, self.model
        service = model.rest.copy()
        if model.h_who.size:
            service += np.where(model.host >= 0, model.cpu * s["stretch"][np.maximum(model.host, 0)], 0.0)
        full = self.z >= s["ceiling"] * (1.0 - 1e-9) * np.maximum(service + self.b1, 1e-300)
        use = full & (s["lag"] > 0.0) & (s["number"] > 0.0) & (model.row >= 0) & (s["copies"] > 0.0)
        if use.any():
            lag, most = s["lag"][use], s["copies"][use] * model.scale[use] / service[use]
            s["ceiling"][use] += length / (lag + length) * np.maximum(most - s["ceiling"][use], 0.0)

    def renew(self) -> tuple[float, int]:
        """Renew times and tries of the calls; return the largest change and a component out of memory, or -1."""
        s = self.model.state
        moved, broken = renew_calls(
            self.net, self.station, self.calls, self.state, self.contract, s["variance"], self.model.scv,
            self.model.crush, self.edge, s["attempts"], s["response"], s["spread"], s["success"], self.rare,
            self.service, self.matter,
        )  # fmt: skip
        return float(moved), int(broken)


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
    killed, start = _apply(model, queue, 0.0), model.state["number"].copy()
    start = start + killed
    march = Marcher(
        model, _Curve(*knots), np.concatenate([external, np.zeros(n - model.n0)]),
        (np.zeros(n), np.zeros(n)) if closed is None else closed,
    )  # fmt: skip
    record = Recorder(model, march, times, stream)
    smallest = float(np.min(model.rest + model.cpu))
    first = dt_s if dt_s is not None else max(smallest, 1e-5 * duration_s)
    t, dt, steps, repeated, interrupted, fresh = 0.0, first, 0, 0, False, False
    record.begin(t)
    try:
        while t < duration_s * (1.0 - 1e-12):
            if fresh:  # flows change at an event
                killed += _apply(model, queue, t)
                march.step(t, 0.0, 0.0)
                record.begin(t)
                fresh = False
            end = events[bisect_right(events, t * (1.0 + 1e-12))]
            step, left = min(dt, max_dt_s), end - t
            last = step >= left * (1.0 - 1e-9)
            if last:
                step = left
            elif dt_s is None and step > 0.6 * left:
                step = 0.5 * left
            error = march.step(t, step, tolerance if dt_s is None else 0.0)
            if not error <= 1.0:
                repeated += 1
                dt = step * (max(0.2, 0.9 * error ** (-1.0 / 3.0)) if math.isfinite(error) else 0.25)
                if dt < 1e-12 * end:
                    raise _collapsed(model, t, dt)
                continue
            before, t = t, end if last else t + step
            steps += 1
            moved, broken = march.renew()
            record.add(before, t)
            if dt_s is not None:
                dt = dt_s
            else:
                grow = min(3.0, 0.9 * error ** (-1.0 / 3.0)) if error > 0.0 else 3.0
                if moved > 0.4:
                    grow = min(grow, max(0.25, 0.4 / moved))
                if not last or grow < 1.0:
                    dt = step * grow
            if broken >= 0:  # killed: everything inside is lost, and it answers again after its cold start
                kills.append((t, broken % model.n0))
                back = t + model.lag[broken % model.n0]
                queue += [Change(t, broken, 0.0, 0.0, empty=True), Change(back, broken, 1.0, 1.0)]
                queue.sort(key=lambda c: c.time_s)
                if back < duration_s:
                    events = sorted({*events, back})
            if last or broken >= 0:
                fresh = True
                if dt_s is None:
                    dt = max(smallest, 1e-2 * dt)
            if progress is not None and (last or steps % 100 == 0):
                progress(t / duration_s)
    except KeyboardInterrupt:
        interrupted = True
    killed += _apply(model, queue, t)
    books = march.books
    wrong = model.state["number"] + killed - start - books[1] + books[2]
    most = max(float(books[0].max(initial=0.0)), float(start.max(initial=0.0)), 1e-300)
    time, number, flow, inflow, share, variance, response, service = record.rows()
    return History(
        time, number, flow, inflow, share, variance, response, service, books[0], books[1], books[2], books[3], killed,
        float(np.abs(wrong).max(initial=0.0) / most), steps, repeated, tuple(kills), interrupted,
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
