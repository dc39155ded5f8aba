"""The event loop: take the next event, change the state, until a time or a limit is reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.calls import advance, answer, drop_calls, finish, resolve, send_async, try_call
from fea_arch.simulation.columns import Floats, Ints
from fea_arch.simulation.event_queue import exponential, gamma, now_do, pack, pop, schedule
from fea_arch.simulation.sharing import change_speed, join, leave
from fea_arch.simulation.stations import admit, detach, enter, free_job, new_job, out_of_memory, release, touch

__all__ = ["run"]


@subroutine
def _next_arrival(I: Ints, F: Floats, load: int) -> None:
    """Schedule the next arrival of an open load.

    Times between arrivals are drawn in operational time, the integral of the rate, and mapped back through its inverse:
    exact for Poisson arrivals of any rate function, and renewal arrivals keep their variability.
    """
    load_f_load = I[k.LOAD_F] + k.N_LOAD_F * load
    load_load = I[k.LOAD] + k.N_LOAD * load
    scv = F[load_f_load + k.L_SCV]
    rate = F[load_f_load + k.L_RATE]
    if scv == 1.0:
        gap = exponential(I, F) / rate
    elif scv == 0.0:
        gap = 1.0 / rate
    else:
        gap = gamma(I, F, 1.0 / scv) * scv / rate
    code = pack(k.E_ARRIVAL, load, 0)
    if I[k.ROOM_SEGMENT] == 0:
        schedule(I, F, F[k.NOW] + gap, code)
        return
    time = F[load_f_load + k.L_CLOCK]
    at = I[load_load + k.L_SEGMENT]
    while at < I[k.ROOM_SEGMENT]:
        begin, length, f, slope = (
            F[I[k.SEGMENT] + 4 * at + 0],
            F[I[k.SEGMENT] + 4 * at + 1],
            F[I[k.SEGMENT] + 4 * at + 2],
            F[I[k.SEGMENT] + 4 * at + 3],
        )
        x = time - begin
        here = f + slope * x
        rest = length - x
        area = rest * (here + 0.5 * slope * rest)
        if gap <= area:
            # solve here dt + slope dt^2/2 = gap in the form that does not cancel
            root = max(here * here + 2.0 * slope * gap, 0.0) ** 0.5
            time += 2.0 * gap / (here + root)
            I[load_load + k.L_SEGMENT] = at
            F[load_f_load + k.L_CLOCK] = time
            schedule(I, F, time, code)
            return
        gap -= area
        time = begin + length
        at += 1
    I[load_load + k.L_SEGMENT] = at  # no arrivals beyond the last segment


@subroutine
def _root(I: Ints, F: Floats, load: int) -> int:
    j = new_job(I, F, I[I[k.LOAD] + k.N_LOAD * load + k.L_ENTRY], -1, load)
    if I[I[k.JOB] + k.N_JOB * j + k.J_COUNTED]:
        I[I[k.BOOK] + k.N_BOOK * load + k.B_OFFERED] += 1
    if I[k.ROOM_FLOW] > 0:
        I[I[k.FLOW] + 3 * (min(int(F[k.NOW] / F[k.DT]), I[k.ROOM_FLOW] - 1)) + 0] += 1
    return int(j)


@subroutine
def _deliver(I: Ints, F: Floats, j: int) -> None:
    job_j = I[k.JOB] + k.N_JOB * j
    i = I[job_j + k.J_COMP]
    stat_i = I[k.STAT] + k.N_STAT * i
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE] = F[k.NOW]
    I[stat_i + k.Q_ARRIVED] += 1
    r = admit(I, F, j)
    if r < 0:
        I[stat_i + k.Q_REJECTED] += 1
        I[job_j + k.J_FAIL] = k.REJECTED
        answer(I, F, j)
        return
    touch(I, F, i)
    enter(I, F, j, r)
    if out_of_memory(I, F, r):
        I[stat_i + k.Q_KILLS] += 1
        _kill(I, F, r, 1)
        schedule(I, F, F[k.NOW] + F[I[k.COMP_F] + k.N_COMP_F * i + k.K_WARM_UP], pack(k.E_UP, r, 0))


@subroutine
def _kill(I: Ints, F: Floats, r: int, bit: int) -> None:
    """Take a replica down: every request inside fails."""
    rep_r = I[k.REP] + k.N_REP * r
    I[rep_r + k.R_DOWN] |= bit
    j = I[rep_r + k.R_MEMBERS]
    while j >= 0:
        nxt = I[I[k.JOB] + k.N_JOB * j + k.J_MNEXT]
        drop_calls(I, F, j)
        finish(I, F, j, k.KILLED)
        j = nxt


@subroutine
def _served(I: Ints, F: Floats, j: int) -> None:
    """End the own service of a request."""
    job_f_j = I[k.JOB_F] + k.N_JOB_F * j
    job_j = I[k.JOB] + k.N_JOB * j
    i = I[job_j + k.J_COMP]
    stat_f_i = I[k.STAT_F] + k.N_STAT_F * i
    stat_i = I[k.STAT] + k.N_STAT * i
    comp_i = I[k.COMP] + k.N_COMP * i
    touch(I, F, i)
    I[stat_i + k.Q_OWN] -= 1
    I[stat_i + k.Q_DONE] += 1
    residence = F[k.NOW] - F[job_f_j + k.F_ARRIVE]
    F[stat_f_i + k.A_WAIT] += residence - F[job_f_j + k.F_DRAW]
    F[stat_f_i + k.A_SERVICE] += F[job_f_j + k.F_DRAW]
    I[job_j + k.J_STATE] = k.CALLING
    if I[comp_i + k.K_ASYNCS] > 0:
        send_async(I, F, i)
    if I[comp_i + k.K_HOLDS] == 0:
        release(I, F, j)
    now_do(I, F, pack(k.E_ADVANCE, j, I[job_j + k.J_GEN]))


@subroutine
def _cancel(I: Ints, F: Floats, j: int) -> None:
    job_j = I[k.JOB] + k.N_JOB * j
    state = I[job_j + k.J_STATE]
    if state == k.ANSWERING:
        return
    if state != k.TRANSIT:
        i = I[job_j + k.J_COMP]
        drop_calls(I, F, j)
        detach(I, F, j)
        I[I[k.STAT] + k.N_STAT * i + k.Q_CANCELLED] += 1
    free_job(I, F, j)


@subroutine
def _slow(I: Ints, F: Floats, i: int, share: float) -> None:
    """Take a share of the capacity of a component away; zero gives everything back.

    Whole servers go where that is exact; the rest is a slower service of those that begin meanwhile.
    """
    comp_i = I[k.COMP] + k.N_COMP * i
    left = 1.0 - share
    servers = I[comp_i + k.K_SERVERS]
    first, n = I[comp_i + k.K_REP], I[comp_i + k.K_REPLICAS]
    if I[I[k.REP] + k.N_REP * first + k.R_POOL] >= 0:
        for r in range(first, first + n):
            change_speed(I, F, I[I[k.REP] + k.N_REP * r + k.R_POOL], left)
        return
    fewer = servers
    if I[comp_i + k.K_DELAY] == 0:
        fewer = min(max(int(servers * left + 0.999999), 1), servers)
    F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SLOW] = fewer / (servers * left)
    for r in range(first, first + n):
        I[I[k.REP] + k.N_REP * r + k.R_SERVERS] = fewer


@subroutine
def _outage(I: Ints, F: Floats, o: int, begins: bool) -> None:
    i = I[I[k.OUTAGE] + o]
    comp_i = I[k.COMP] + k.N_COMP * i
    touch(I, F, i)
    share = F[I[k.OUTAGE_F] + 3 * o + k.O_SHARE]
    first, n = I[comp_i + k.K_REP], I[comp_i + k.K_REPLICAS]
    if share < 1.0:
        _slow(I, F, i, share if begins else 0.0)
        return
    I[comp_i + k.K_OUT] += 1 if begins else -1
    for r in range(first, first + n):
        if begins:
            _kill(I, F, r, 2)
        elif I[comp_i + k.K_OUT] == 0:
            I[I[k.REP] + k.N_REP * r + k.R_DOWN] &= ~2


@subroutine
def _forget(I: Ints, F: Floats) -> None:
    """Start counting: the warm-up is over."""
    for i in range(I[k.ROOM_COMP]):
        touch(I, F, i)
        for q in range(k.Q_OWN):
            I[I[k.STAT] + k.N_STAT * i + q] = 0
        for a in range(k.A_TIME + 1, k.N_STAT_F):
            F[I[k.STAT_F] + k.N_STAT_F * i + a] = 0.0
    for p in range(I[k.ROOM_POOL]):
        F[I[k.POOL_F] + k.N_POOL_F * p + k.P_AREA] = 0.0
    F[k.START] = F[k.NOW]
    I[k.COUNTING] = 1


@subroutine
def _sample(I: Ints, F: Floats) -> None:
    row = I[k.SAMPLES]
    if row < I[k.ROOM_SERIES]:
        for i in range(I[k.ROOM_COMP]):
            F[I[k.SERIES] + I[k.COMPS] * row + i] = I[I[k.STAT] + k.N_STAT * i + k.Q_OWN]
        I[k.SAMPLES] = row + 1
        schedule(I, F, (row + 1) * F[k.DT], pack(k.E_SAMPLE, 0, 0))


@subroutine
def _has_room(I: Ints, F: Floats, margin: int) -> bool:
    n = I[k.N_HEAP]
    if n + margin > I[k.ROOM_HEAP_T] or I[k.JOBS] + margin > I[k.ROOM_JOB]:
        return False
    if I[k.CALLS] + margin > I[k.ROOM_CALL]:
        return False
    # a kill answers and cancels everybody inside at once
    return bool(I[k.RING_N] + 2 * (I[k.JOBS] + I[k.CALLS]) + margin <= I[k.ROOM_RING])


@subroutine
def _happen(I: Ints, F: Floats, code: int) -> int:
    """Do one event; return 0 if it was stale."""
    kind = code >> (k.GEN_BITS + k.ROW_BITS)
    row = code & k.ROW_MASK
    generation = (code >> k.ROW_BITS) & k.GEN_MASK
    # every large function is called from one place only: the compiler copies it to each place
    if kind == k.E_SHARE:
        if I[I[k.POOL] + k.N_POOL * row + k.P_GEN] != generation:
            return 0
        j = I[I[k.POOL] + k.N_POOL * row + k.P_ROOT]
        leave(I, F, row, j)
        row, kind, generation = j, k.E_SERVED, I[I[k.JOB] + k.N_JOB * j + k.J_GEN]
    elif kind == k.E_ARRIVAL or kind == k.E_BEGIN:
        F[I[k.LOAD_F] + k.N_LOAD_F * row + k.L_CLOCK] = F[k.NOW]
        _next_arrival(I, F, row)
        if kind == k.E_BEGIN:
            return 0
        kind = k.E_THINK
    if kind == k.E_THINK:
        row = _root(I, F, row)
        kind, generation = k.E_DELIVER, I[I[k.JOB] + k.N_JOB * row + k.J_GEN]
    if kind == k.E_TIMEOUT or kind == k.E_TRY:
        if I[I[k.CALL] + k.N_CALL * row + k.C_GEN] != generation:
            return 0
    elif kind <= k.E_JOB_LAST and I[I[k.JOB] + k.N_JOB * row + k.J_GEN] != generation:
        return 0
    if kind == k.E_SERVED:
        _served(I, F, row)
    elif kind == k.E_DELIVER:
        _deliver(I, F, row)
    elif kind == k.E_ADVANCE:
        advance(I, F, row)
    elif kind == k.E_STEP:
        job_row = I[k.JOB] + k.N_JOB * row
        I[job_row + k.J_STATE] = k.SHARING
        host = I[I[k.COMP] + k.N_COMP * I[job_row + k.J_COMP] + k.K_HOST]
        join(I, F, host, row, F[I[k.JOB_F] + k.N_JOB_F * row + k.F_WORK])
    elif kind == k.E_CANCEL:
        _cancel(I, F, row)
    elif kind == k.E_TRY:
        try_call(I, F, row)
    elif kind == k.E_ANSWER or kind == k.E_TIMEOUT:
        c, why = row, k.TIMED_OUT
        if kind == k.E_ANSWER:
            c, why = I[I[k.JOB] + k.N_JOB * row + k.J_CALL], I[I[k.JOB] + k.N_JOB * row + k.J_FAIL]
            if c >= 0:
                I[I[k.CALL] + k.N_CALL * c + k.C_CHILD] = -1
            free_job(I, F, row)
        if c >= 0:
            resolve(I, F, c, why)
    elif kind == k.E_UP:
        I[I[k.REP] + k.N_REP * row + k.R_DOWN] &= ~1
    elif kind == k.E_OUTAGE or kind == k.E_OUTAGE_END:
        _outage(I, F, row, kind == k.E_OUTAGE)
    elif kind == k.E_SAMPLE:
        _sample(I, F)
    else:
        _forget(I, F)
    return 1


def _sources() -> str:
    """Return a hash of the files the event loop is compiled from.

    A compiled function is cached by its own file; it must not outlive a change of the functions that it calls.
    """
    here = Path(__file__).parent
    names = ("columns", "event_queue", "sharing", "stations", "calls", "event_kernel")
    found = [here / f"{name}.py" for name in names]
    text = b"".join(f.read_bytes() for f in found if f.exists())
    return hashlib.sha256(text).hexdigest()


def _loop(stamp: str) -> Callable[[Ints, Floats, float, int, int], int]:
    @kernel
    def run(I: Ints, F: Floats, until: float, most: int, margin: int) -> int:
        """Simulate until a time, a number of events, or until an array is used up; return a status.

        ``margin`` is the room every array must have left before an event. Cost is O(log n) an event.
        """
        done = 0
        if not stamp:  # names the closure, so that it is part of the cache key
            return k.FINISHED
        while done < most:
            if not _has_room(I, F, margin):
                return k.NO_ROOM
            if (
                I[k.AT_U] + margin > I[k.ROOM_UNIFORMS]
                or I[k.AT_E] + margin > I[k.ROOM_EXPONENTIALS]
                or I[k.AT_N] + margin > I[k.ROOM_NORMALS]
            ):
                return k.NO_RANDOM
            if I[k.RING_N] > 0:
                head = I[k.RING_HEAD]
                code = I[I[k.RING] + head]
                I[k.RING_HEAD] = head + 1 if head + 1 < I[k.ROOM_RING] else 0
                I[k.RING_N] -= 1
                I[k.STILL] += 1
                if I[k.STILL] > 10_000_000:
                    return k.STANDSTILL
                _happen(I, F, code)
                continue
            if I[k.N_HEAP] == 0 or F[I[k.HEAP_T] + 0] > until:
                F[k.NOW] = until
                for i in range(I[k.ROOM_COMP]):
                    touch(I, F, i)
                return k.FINISHED
            time = F[I[k.HEAP_T] + 0]
            if time > F[k.NOW]:
                F[k.NOW] = time
                I[k.STILL] = 0
            I[k.EVENTS] += _happen(I, F, pop(I, F))
            done += 1
        return k.RUNNING

    return run


run = _loop(_sources())
