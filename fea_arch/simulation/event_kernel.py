"""The event loop: take the next event, change the state, until a time or a limit is reached."""

from __future__ import annotations

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.calls import advance, answer, drop_calls, finish, resolve, send_async, try_call
from fea_arch.simulation.columns import Floats, Ints
from fea_arch.simulation.event_queue import exponential, gamma, pack, pop, schedule
from fea_arch.simulation.sharing import change_speed, join, leave
from fea_arch.simulation.stations import admit, detach, enter, free_job, new_job, out_of_memory, release, touch

__all__ = ["run"]


@subroutine
def _next_arrival(I: Ints, F: Floats, load: int) -> None:
    """Schedule the next arrival of an open load.

    Times between arrivals are drawn in operational time, the integral of the rate, and mapped back through its inverse:
    exact for Poisson arrivals of any rate function, and renewal arrivals keep their variability.
    """
    scv = F[I[k.LOAD_F] + k.N_LOAD_F * load + k.L_SCV]
    rate = F[I[k.LOAD_F] + k.N_LOAD_F * load + k.L_RATE]
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
    time = F[I[k.LOAD_F] + k.N_LOAD_F * load + k.L_CLOCK]
    at = I[I[k.LOAD] + k.N_LOAD * load + k.L_SEGMENT]
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
            I[I[k.LOAD] + k.N_LOAD * load + k.L_SEGMENT] = at
            F[I[k.LOAD_F] + k.N_LOAD_F * load + k.L_CLOCK] = time
            schedule(I, F, time, code)
            return
        gap -= area
        time = begin + length
        at += 1
    I[I[k.LOAD] + k.N_LOAD * load + k.L_SEGMENT] = at  # no arrivals beyond the last segment


@subroutine
def _root(I: Ints, F: Floats, load: int) -> None:
    j = new_job(I, F, I[I[k.LOAD] + k.N_LOAD * load + k.L_ENTRY], -1, load)
    if I[I[k.JOB] + k.N_JOB * j + k.J_COUNTED]:
        I[I[k.BOOK] + k.N_BOOK * load + k.B_OFFERED] += 1
    if I[k.ROOM_FLOW] > 0:
        I[I[k.FLOW] + 3 * (min(int(F[k.NOW] / F[k.DT]), I[k.ROOM_FLOW] - 1)) + 0] += 1
    _deliver(I, F, j)


@subroutine
def _deliver(I: Ints, F: Floats, j: int) -> None:
    i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
    F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE] = F[k.NOW]
    I[I[k.STAT] + k.N_STAT * i + k.Q_ARRIVED] += 1
    r = admit(I, F, j)
    if r < 0:
        I[I[k.STAT] + k.N_STAT * i + k.Q_REJECTED] += 1
        I[I[k.JOB] + k.N_JOB * j + k.J_FAIL] = k.REJECTED
        answer(I, F, j)
        return
    touch(I, F, i)
    enter(I, F, j, r)
    if out_of_memory(I, F, r):
        I[I[k.STAT] + k.N_STAT * i + k.Q_KILLS] += 1
        _kill(I, F, r, 1)
        schedule(I, F, F[k.NOW] + F[I[k.COMP_F] + k.N_COMP_F * i + k.K_WARM_UP], pack(k.E_UP, r, 0))


@subroutine
def _kill(I: Ints, F: Floats, r: int, bit: int) -> None:
    """Take a replica down: every request inside fails."""
    I[I[k.REP] + k.N_REP * r + k.R_DOWN] |= bit
    j = I[I[k.REP] + k.N_REP * r + k.R_MEMBERS]
    while j >= 0:
        nxt = I[I[k.JOB] + k.N_JOB * j + k.J_MNEXT]
        drop_calls(I, F, j)
        finish(I, F, j, k.KILLED)
        j = nxt


@subroutine
def _served(I: Ints, F: Floats, j: int) -> None:
    """End the own service of a request."""
    i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
    touch(I, F, i)
    I[I[k.STAT] + k.N_STAT * i + k.Q_OWN] -= 1
    I[I[k.STAT] + k.N_STAT * i + k.Q_DONE] += 1
    residence = F[k.NOW] - F[I[k.JOB_F] + k.N_JOB_F * j + k.F_ARRIVE]
    F[I[k.STAT_F] + k.N_STAT_F * i + k.A_WAIT] += residence - F[I[k.JOB_F] + k.N_JOB_F * j + k.F_DRAW]
    F[I[k.STAT_F] + k.N_STAT_F * i + k.A_SERVICE] += F[I[k.JOB_F] + k.N_JOB_F * j + k.F_DRAW]
    I[I[k.JOB] + k.N_JOB * j + k.J_STATE] = k.CALLING
    if I[I[k.COMP] + k.N_COMP * i + k.K_ASYNCS] > 0:
        send_async(I, F, i)
    if I[I[k.COMP] + k.N_COMP * i + k.K_HOLDS] == 0:
        release(I, F, j)
    advance(I, F, j)


@subroutine
def _cancel(I: Ints, F: Floats, j: int) -> None:
    state = I[I[k.JOB] + k.N_JOB * j + k.J_STATE]
    if state == k.ANSWERING:
        return
    if state != k.TRANSIT:
        i = I[I[k.JOB] + k.N_JOB * j + k.J_COMP]
        drop_calls(I, F, j)
        detach(I, F, j)
        I[I[k.STAT] + k.N_STAT * i + k.Q_CANCELLED] += 1
    free_job(I, F, j)


@subroutine
def _slow(I: Ints, F: Floats, i: int, share: float) -> None:
    """Take a share of the capacity of a component away; zero gives everything back.

    Whole servers go where that is exact; the rest is a slower service of those that begin meanwhile.
    """
    left = 1.0 - share
    servers = I[I[k.COMP] + k.N_COMP * i + k.K_SERVERS]
    fewer = servers
    if I[I[k.COMP] + k.N_COMP * i + k.K_DELAY] == 0:
        fewer = min(max(int(servers * left + 0.999999), 1), servers)
        F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SLOW] = fewer / (servers * left)
    else:
        F[I[k.COMP_F] + k.N_COMP_F * i + k.K_SLOW] = 1.0 / left
    for r in range(
        I[I[k.COMP] + k.N_COMP * i + k.K_REP],
        I[I[k.COMP] + k.N_COMP * i + k.K_REP] + I[I[k.COMP] + k.N_COMP * i + k.K_REPLICAS],
    ):
        I[I[k.REP] + k.N_REP * r + k.R_SERVERS] = fewer
        if I[I[k.REP] + k.N_REP * r + k.R_POOL] >= 0:
            change_speed(I, F, I[I[k.REP] + k.N_REP * r + k.R_POOL], left)


@subroutine
def _outage(I: Ints, F: Floats, o: int, begins: bool) -> None:
    i = I[I[k.OUTAGE] + o]
    touch(I, F, i)
    share = F[I[k.OUTAGE_F] + 3 * o + k.O_SHARE]
    first, n = I[I[k.COMP] + k.N_COMP * i + k.K_REP], I[I[k.COMP] + k.N_COMP * i + k.K_REPLICAS]
    if share < 1.0:
        _slow(I, F, i, share if begins else 0.0)
        return
    I[I[k.COMP] + k.N_COMP * i + k.K_OUT] += 1 if begins else -1
    for r in range(first, first + n):
        if begins:
            _kill(I, F, r, 2)
        elif I[I[k.COMP] + k.N_COMP * i + k.K_OUT] == 0:
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
    return I[k.RING_N] + 2 * (I[k.JOBS] + I[k.CALLS]) + margin <= I[k.ROOM_RING]


@subroutine
def _happen(I: Ints, F: Floats, code: int) -> int:
    """Do one event; return 0 if it was stale."""
    kind = code >> (k.GEN_BITS + k.ROW_BITS)
    row = code & k.ROW_MASK
    generation = (code >> k.ROW_BITS) & k.GEN_MASK
    if kind == k.E_ARRIVAL:
        F[I[k.LOAD_F] + k.N_LOAD_F * row + k.L_CLOCK] = F[k.NOW]
        _next_arrival(I, F, row)
        _root(I, F, row)
    elif kind == k.E_SERVED or kind == k.E_DELIVER or kind == k.E_ANSWER or kind == k.E_CANCEL or kind == k.E_STEP:
        if I[I[k.JOB] + k.N_JOB * row + k.J_GEN] != generation:
            return 0
        if kind == k.E_SERVED:
            _served(I, F, row)
        elif kind == k.E_DELIVER:
            _deliver(I, F, row)
        elif kind == k.E_STEP:
            I[I[k.JOB] + k.N_JOB * row + k.J_STATE] = k.SHARING
            join(
                I,
                F,
                I[I[k.COMP] + k.N_COMP * (I[I[k.JOB] + k.N_JOB * row + k.J_COMP]) + k.K_HOST],
                row,
                F[I[k.JOB_F] + k.N_JOB_F * row + k.F_WORK],
            )
        elif kind == k.E_CANCEL:
            _cancel(I, F, row)
        else:
            c, why = I[I[k.JOB] + k.N_JOB * row + k.J_CALL], I[I[k.JOB] + k.N_JOB * row + k.J_FAIL]
            if c >= 0:
                I[I[k.CALL] + k.N_CALL * c + k.C_CHILD] = -1
            free_job(I, F, row)
            if c >= 0:
                resolve(I, F, c, why)
    elif kind == k.E_TIMEOUT or kind == k.E_TRY:
        if I[I[k.CALL] + k.N_CALL * row + k.C_GEN] != generation:
            return 0
        if kind == k.E_TIMEOUT:
            resolve(I, F, row, k.TIMED_OUT)
        else:
            try_call(I, F, row)
    elif kind == k.E_SHARE:
        if I[I[k.POOL] + k.N_POOL * row + k.P_GEN] != generation:
            return 0
        j = I[I[k.POOL] + k.N_POOL * row + k.P_ROOT]
        leave(I, F, row, j)
        _served(I, F, j)
    elif kind == k.E_THINK:
        _root(I, F, row)
    elif kind == k.E_BEGIN:
        _next_arrival(I, F, row)
        return 0
    elif kind == k.E_UP:
        I[I[k.REP] + k.N_REP * row + k.R_DOWN] &= ~1
    elif kind == k.E_OUTAGE:
        _outage(I, F, row, True)
    elif kind == k.E_OUTAGE_END:
        _outage(I, F, row, False)
    elif kind == k.E_SAMPLE:
        _sample(I, F)
    else:
        _forget(I, F)
    return 1


@kernel
def run(I: Ints, F: Floats, until: float, most: int, margin: int) -> int:
    """Simulate until a time, a number of events, or until an array is used up; return a status.

    ``margin`` is the room every array must have left before an event. Cost is O(log n) an event.
    """
    done = 0
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
