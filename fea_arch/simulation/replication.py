"""One replication: set the state up, run the event loop in chunks, let arrays grow, hand the counts back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.simulation import columns as k
from fea_arch.simulation.event_kernel import run
from fea_arch.simulation.memory import Memory
from fea_arch.simulation.plan import Plan

__all__ = ["Run", "Tally", "replicate"]

#: Random numbers drawn at a time.
BLOCK = 1 << 15
#: Events between two looks at the keyboard.
CHUNK = 200_000


@dataclass(frozen=True)
class Run:
    """What to do in every replication."""

    duration_s: float
    warm_up_s: float
    series_dt_s: float
    max_events: int
    segment: NDArray[np.float64]
    outage: NDArray[np.int64]
    outage_f: NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What one replication counted; columns as in ``columns``."""

    observed_s: float
    events: int
    complete: bool
    stat: NDArray[np.int64]
    stat_f: NDArray[np.float64]
    pool_area: NDArray[np.float64]
    book: NDArray[np.int64]
    inside: NDArray[np.int64]
    undecided: NDArray[np.int64]
    hist: NDArray[np.int64]
    series: NDArray[np.float64]
    flow: NDArray[np.int64]
    interrupted: bool = False


def _pool(n: int, columns: int, link: int) -> NDArray[np.int64]:
    pool = np.zeros((n, columns), np.int64)
    pool[:, link] = np.arange(1, n + 1)
    return pool


def _fresh(plan: Plan, job: Run, rng: np.random.Generator) -> Memory:
    a = {name: array.copy() for name, array in plan.arrays.items()}
    n, loads = len(a["comp"]), len(a["load"])
    users = a["load"][:, k.L_USERS]
    jobs = int(users.sum()) + 4 * plan.margin + 1024
    times: list[NDArray[np.float64]] = []
    codes: list[NDArray[np.int64]] = []
    shift = k.GEN_BITS + k.ROW_BITS

    def at(time: Any, kind: int, row: int) -> None:
        time = np.atleast_1d(np.asarray(time, float))
        times.append(time)
        codes.append(np.full(time.size, (kind << shift) | row, np.int64))

    at(job.warm_up_s, k.E_WARM, 0)  # first, so that it comes before requests of the same instant
    for load in range(loads):
        if users[load] > 0:
            at(a["load_f"][load, k.L_THINK] * rng.standard_exponential(users[load]), k.E_THINK, load)
        elif a["load_f"][load, k.L_RATE] > 0:
            at(0.0, k.E_BEGIN, load)
    for o in range(len(job.outage)):
        at(job.outage_f[o, k.O_START], k.E_OUTAGE, o)
        at(job.outage_f[o, k.O_END], k.E_OUTAGE_END, o)
    rows = 0
    if job.series_dt_s > 0:
        rows = int(np.floor(job.duration_s / job.series_dt_s * (1 + 1e-12))) + 1
        at(0.0, k.E_SAMPLE, 0)
    order = np.argsort(np.concatenate(times), kind="stable")  # a sorted array is a heap
    first_t, first_c = np.concatenate(times)[order], np.concatenate(codes)[order]
    room = len(order) + 2 * jobs
    heap_t, heap_c = np.zeros(room), np.zeros(room, np.int64)
    heap_t[: len(order)], heap_c[: len(order)] = first_t, first_c
    # the blocks start used up, so that the first thing the loop asks for is random numbers
    block = max(BLOCK, 4 * plan.margin)
    count = np.zeros(k.N_COUNT, np.int64)
    count[k.N_HEAP] = len(order)
    count[[k.AT_U, k.AT_E, k.AT_N]] = block
    clock = np.zeros(k.N_CLOCK)
    clock[k.END], clock[k.DT], clock[k.OBJECTIVE] = job.duration_s, job.series_dt_s, plan.objective_s
    empty = {
        "heap_t": heap_t,
        "heap_c": heap_c,
        "ring": np.zeros(8 * jobs, np.int64),
        "job": _pool(jobs, k.N_JOB, k.J_NEXT),
        "job_f": np.zeros((jobs, k.N_JOB_F)),
        "call": _pool(jobs, k.N_CALL, k.C_NEXT),
        "segment": job.segment,
        "outage": job.outage,
        "outage_f": job.outage_f,
        "stat": np.zeros((n, k.N_STAT), np.int64),
        "stat_f": np.zeros((n, k.N_STAT_F)),
        "book": np.zeros((loads, k.N_BOOK), np.int64),
        "hist": np.zeros((plan.hist_rows, k.HIST_BINS), np.int64),
        "series": np.zeros((rows, n)),
        "flow": np.zeros((rows, 3), np.int64),
        "uniforms": np.zeros(block),
        "exponentials": np.zeros(block),
        "normals": np.zeros(block),
    }
    return Memory({**a, **empty, "count": count, "clock": clock})


def _longer(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)])


def _grown(m: Memory) -> Memory:
    """Return the state with twice the room for events, requests and calls."""
    jobs, calls, ring = len(m["job"]), len(m["call"]), len(m["ring"])
    job, call = _longer(m["job"]), _longer(m["call"])
    # a free list ends at the first row that did not exist, so the new rows continue it
    job[jobs:, k.J_NEXT] = np.arange(jobs + 1, 2 * jobs + 1)
    call[calls:, k.C_NEXT] = np.arange(calls + 1, 2 * calls + 1)
    head, held = int(m.count[k.RING_HEAD]), int(m.count[k.RING_N])
    line = np.zeros(2 * ring, np.int64)
    line[:held] = m["ring"][(head + np.arange(held)) % ring]
    m.count[k.RING_HEAD] = 0
    return m.with_tables(
        heap_t=_longer(m["heap_t"]),
        heap_c=_longer(m["heap_c"]),
        ring=line,
        job=job,
        job_f=_longer(m["job_f"]),
        call=call,
    )


def _refill(m: Memory, rng: np.random.Generator, margin: int) -> None:
    for at, block, fill in (
        (k.AT_U, m["uniforms"], rng.random),
        (k.AT_E, m["exponentials"], rng.standard_exponential),
        (k.AT_N, m["normals"], rng.standard_normal),
    ):
        if m.count[at] + margin > len(block):
            fill(out=block)
            m.count[at] = 0


def replicate(plan: Plan, job: Run, seed: np.random.SeedSequence) -> Tally:
    """Run one replication; Ctrl-C ends it early and returns what was counted so far.

    Raises
    ------
    ModelError
        When no time passes any more (users without think time that are turned away at once).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    m = _fresh(plan, job, rng)
    margin = plan.margin
    interrupted, complete = False, True
    try:
        while True:
            status = run(m.ints, m.floats, job.duration_s, CHUNK, margin)
            if status == k.FINISHED:
                break
            if status == k.NO_ROOM:
                m = _grown(m)
            elif status == k.NO_RANDOM:
                _refill(m, rng, margin)
            elif status == k.STANDSTILL:
                raise ModelError(
                    f"no time passes any more after {m.clock[k.NOW]:g} s: calls or users try again at once, for ever",
                    field="loads",
                    fix="a think time above zero, a backoff_s for retries, or an available entry",
                )
            if m.count[k.EVENTS] > job.max_events:
                complete = False
                break
    except KeyboardInterrupt:
        interrupted, complete = True, False
    return _tally(m, complete=complete, interrupted=interrupted)


def _tally(m: Memory, *, complete: bool, interrupted: bool) -> Tally:
    live = np.ones(len(m["job"]), np.bool_)
    at = int(m.count[k.FREE_JOB])
    while at < len(m["job"]):
        live[at] = False
        at = int(m["job"][at, k.J_NEXT])
    roots = live & (m["job"][:, k.J_LOAD] >= 0) & (m["job"][:, k.J_COUNTED] == 1)
    young = roots & (m.clock[k.NOW] - m["job_f"][:, k.F_ARRIVE] <= m.clock[k.OBJECTIVE])
    loads = len(m["load"])
    observed = float(m.clock[k.NOW] - m.clock[k.START]) if m.count[k.COUNTING] else 0.0
    samples = int(m.count[k.SAMPLES])
    return Tally(
        observed_s=observed,
        events=int(m.count[k.EVENTS]),
        complete=complete,
        stat=m["stat"].copy(),
        stat_f=m["stat_f"].copy(),
        pool_area=m["pool_f"][:, k.P_AREA].copy(),
        book=m["book"].copy(),
        inside=np.bincount(m["job"][roots, k.J_LOAD], minlength=loads),
        undecided=np.bincount(m["job"][young, k.J_LOAD], minlength=loads),
        hist=m["hist"].copy(),
        series=m["series"][:samples].copy(),
        flow=m["flow"][:samples].copy(),
        interrupted=interrupted,
    )
