"""The event loop: take the next event, change the state, until a time or a limit is reached."""

from __future__ import annotations

from fea_arch.kernels.compile import kernel, subroutine
from fea_arch.simulation import columns as k
from fea_arch.simulation.calls import advance, answer, drop_calls, finish, resolve, send_async, try_call
from fea_arch.simulation.columns import State
from fea_arch.simulation.event_queue import exponential, gamma, pack, pop, schedule
from fea_arch.simulation.sharing import change_speed, join, leave
from fea_arch.simulation.stations import admit, detach, enter, free_job, new_job, out_of_memory, release, touch

__all__ = ["run"]


@subroutine
def _next_arrival(s: State, load: int) -> None:
    """Schedule the next arrival of an open load.

    Times between arrivals are drawn in operational time, the integral of the rate, and mapped back through its inverse:
    exact for Poisson arrivals of any rate function, and renewal arrivals keep their variability.
    """
    scv = s.load_f[load, k.L_SCV]
    rate = s.load_f[load, k.L_RATE]
    if scv == 1.0:
        gap = exponential(s) / rate
    elif scv == 0.0:
        gap = 1.0 / rate
    else:
        gap = gamma(s, 1.0 / scv) * scv / rate
    code = pack(k.E_ARRIVAL, load, 0)
    if s.segment.shape[0] == 0:
        schedule(s, s.clock[k.NOW] + gap, code)
        return
    time = s.load_f[load, k.L_CLOCK]
    at = s.load[load, k.L_SEGMENT]
    while at < s.segment.shape[0]:
        begin, length, f, slope = s.segment[at, 0], s.segment[at, 1], s.segment[at, 2], s.segment[at, 3]
        x = time - begin
        here = f + slope * x
        rest = length - x
        area = rest * (here + 0.5 * slope * rest)
        if gap <= area:
            # solve here dt + slope dt^2/2 = gap in the form that does not cancel
            root = max(here * here + 2.0 * slope * gap, 0.0) ** 0.5
            time += 2.0 * gap / (here + root)
            s.load[load, k.L_SEGMENT] = at
            s.load_f[load, k.L_CLOCK] = time
            schedule(s, time, code)
            return
        gap -= area
        time = begin + length
        at += 1
    s.load[load, k.L_SEGMENT] = at  # no arrivals beyond the last segment


@subroutine
def _root(s: State, load: int) -> None:
    j = new_job(s, s.load[load, k.L_ENTRY], -1, load)
    if s.job[j, k.J_COUNTED]:
        s.book[load, k.B_OFFERED] += 1
    if s.flow.shape[0] > 0:
        s.flow[min(int(s.clock[k.NOW] / s.clock[k.DT]), s.flow.shape[0] - 1), 0] += 1
    _deliver(s, j)


@subroutine
def _deliver(s: State, j: int) -> None:
    i = s.job[j, k.J_COMP]
    s.job_f[j, k.F_ARRIVE] = s.clock[k.NOW]
    s.stat[i, k.Q_ARRIVED] += 1
    r = admit(s, j)
    if r < 0:
        s.stat[i, k.Q_REJECTED] += 1
        s.job[j, k.J_FAIL] = k.REJECTED
        answer(s, j)
        return
    touch(s, i)
    enter(s, j, r)
    if out_of_memory(s, r):
        s.stat[i, k.Q_KILLS] += 1
        _kill(s, r, 1)
        schedule(s, s.clock[k.NOW] + s.comp_f[i, k.K_WARM_UP], pack(k.E_UP, r, 0))


@subroutine
def _kill(s: State, r: int, bit: int) -> None:
    """Take a replica down: every request inside fails."""
    s.rep[r, k.R_DOWN] |= bit
    j = s.rep[r, k.R_MEMBERS]
    while j >= 0:
        nxt = s.job[j, k.J_MNEXT]
        drop_calls(s, j)
        finish(s, j, k.KILLED)
        j = nxt


@subroutine
def _served(s: State, j: int) -> None:
    """End the own service of a request."""
    i = s.job[j, k.J_COMP]
    touch(s, i)
    s.stat[i, k.Q_OWN] -= 1
    s.stat[i, k.Q_DONE] += 1
    residence = s.clock[k.NOW] - s.job_f[j, k.F_ARRIVE]
    s.stat_f[i, k.A_WAIT] += residence - s.job_f[j, k.F_DRAW]
    s.stat_f[i, k.A_SERVICE] += s.job_f[j, k.F_DRAW]
    s.job[j, k.J_STATE] = k.CALLING
    if s.comp[i, k.K_ASYNCS] > 0:
        send_async(s, i)
    if s.comp[i, k.K_HOLDS] == 0:
        release(s, j)
    advance(s, j)


@subroutine
def _cancel(s: State, j: int) -> None:
    state = s.job[j, k.J_STATE]
    if state == k.ANSWERING:
        return
    if state != k.TRANSIT:
        i = s.job[j, k.J_COMP]
        drop_calls(s, j)
        detach(s, j)
        s.stat[i, k.Q_CANCELLED] += 1
    free_job(s, j)


@subroutine
def _slow(s: State, i: int, share: float) -> None:
    """Take a share of the capacity of a component away; zero gives everything back.

    Whole servers go where that is exact; the rest is a slower service of those that begin meanwhile.
    """
    left = 1.0 - share
    servers = s.comp[i, k.K_SERVERS]
    fewer = servers
    if s.comp[i, k.K_DELAY] == 0:
        fewer = min(max(int(servers * left + 0.999999), 1), servers)
        s.comp_f[i, k.K_SLOW] = fewer / (servers * left)
    else:
        s.comp_f[i, k.K_SLOW] = 1.0 / left
    for r in range(s.comp[i, k.K_REP], s.comp[i, k.K_REP] + s.comp[i, k.K_REPLICAS]):
        s.rep[r, k.R_SERVERS] = fewer
        if s.rep[r, k.R_POOL] >= 0:
            change_speed(s, s.rep[r, k.R_POOL], left)


@subroutine
def _outage(s: State, o: int, begins: bool) -> None:
    i = s.outage[o, k.O_COMP]
    touch(s, i)
    share = s.outage_f[o, k.O_SHARE]
    first, n = s.comp[i, k.K_REP], s.comp[i, k.K_REPLICAS]
    if share < 1.0:
        _slow(s, i, share if begins else 0.0)
        return
    s.comp[i, k.K_OUT] += 1 if begins else -1
    for r in range(first, first + n):
        if begins:
            _kill(s, r, 2)
        elif s.comp[i, k.K_OUT] == 0:
            s.rep[r, k.R_DOWN] &= ~2


@subroutine
def _forget(s: State) -> None:
    """Start counting: the warm-up is over."""
    for i in range(s.comp.shape[0]):
        touch(s, i)
        for q in range(k.Q_OWN):
            s.stat[i, q] = 0
        for a in range(k.A_TIME + 1, k.N_STAT_F):
            s.stat_f[i, a] = 0.0
    for p in range(s.pool.shape[0]):
        s.pool_f[p, k.P_AREA] = 0.0
    s.clock[k.START] = s.clock[k.NOW]
    s.count[k.COUNTING] = 1


@subroutine
def _sample(s: State) -> None:
    row = s.count[k.SAMPLES]
    if row < s.series.shape[0]:
        for i in range(s.comp.shape[0]):
            s.series[row, i] = s.stat[i, k.Q_OWN]
        s.count[k.SAMPLES] = row + 1
        schedule(s, (row + 1) * s.clock[k.DT], pack(k.E_SAMPLE, 0, 0))


@subroutine
def _has_room(s: State, margin: int) -> bool:
    n = s.count[k.N_HEAP]
    if n + margin > s.heap_t.shape[0] or s.count[k.JOBS] + margin > s.job.shape[0]:
        return False
    if s.count[k.CALLS] + margin > s.call.shape[0]:
        return False
    # a kill answers and cancels everybody inside at once
    return s.count[k.RING_N] + 2 * (s.count[k.JOBS] + s.count[k.CALLS]) + margin <= s.ring.shape[0]


@subroutine
def _happen(s: State, code: int) -> int:
    """Do one event; return 0 if it was stale."""
    kind = code >> (k.GEN_BITS + k.ROW_BITS)
    row = code & k.ROW_MASK
    generation = (code >> k.ROW_BITS) & k.GEN_MASK
    if kind == k.E_ARRIVAL:
        s.load_f[row, k.L_CLOCK] = s.clock[k.NOW]
        _next_arrival(s, row)
        _root(s, row)
    elif kind == k.E_SERVED or kind == k.E_DELIVER or kind == k.E_ANSWER or kind == k.E_CANCEL or kind == k.E_STEP:
        if s.job[row, k.J_GEN] != generation:
            return 0
        if kind == k.E_SERVED:
            _served(s, row)
        elif kind == k.E_DELIVER:
            _deliver(s, row)
        elif kind == k.E_STEP:
            s.job[row, k.J_STATE] = k.SHARING
            join(s, s.comp[s.job[row, k.J_COMP], k.K_HOST], row, s.job_f[row, k.F_WORK])
        elif kind == k.E_CANCEL:
            _cancel(s, row)
        else:
            c, why = s.job[row, k.J_CALL], s.job[row, k.J_FAIL]
            if c >= 0:
                s.call[c, k.C_CHILD] = -1
            free_job(s, row)
            if c >= 0:
                resolve(s, c, why)
    elif kind == k.E_TIMEOUT or kind == k.E_TRY:
        if s.call[row, k.C_GEN] != generation:
            return 0
        if kind == k.E_TIMEOUT:
            resolve(s, row, k.TIMED_OUT)
        else:
            try_call(s, row)
    elif kind == k.E_SHARE:
        if s.pool[row, k.P_GEN] != generation:
            return 0
        j = s.pool[row, k.P_ROOT]
        leave(s, row, j)
        _served(s, j)
    elif kind == k.E_THINK:
        _root(s, row)
    elif kind == k.E_BEGIN:
        _next_arrival(s, row)
        return 0
    elif kind == k.E_UP:
        s.rep[row, k.R_DOWN] &= ~1
    elif kind == k.E_OUTAGE:
        _outage(s, row, True)
    elif kind == k.E_OUTAGE_END:
        _outage(s, row, False)
    elif kind == k.E_SAMPLE:
        _sample(s)
    else:
        _forget(s)
    return 1


@kernel
def run(s: State, until: float, most: int, margin: int) -> int:
    """Simulate until a time, a number of events, or until an array is used up; return a status.

    ``margin`` is the room every array must have left before an event. Cost is O(log n) an event.
    """
    done = 0
    while done < most:
        if not _has_room(s, margin):
            return k.NO_ROOM
        if (
            s.count[k.AT_U] + margin > s.uniforms.shape[0]
            or s.count[k.AT_E] + margin > s.exponentials.shape[0]
            or s.count[k.AT_N] + margin > s.normals.shape[0]
        ):
            return k.NO_RANDOM
        if s.count[k.RING_N] > 0:
            head = s.count[k.RING_HEAD]
            code = s.ring[head]
            s.count[k.RING_HEAD] = head + 1 if head + 1 < s.ring.shape[0] else 0
            s.count[k.RING_N] -= 1
            s.count[k.STILL] += 1
            if s.count[k.STILL] > 10_000_000:
                return k.STANDSTILL
            _happen(s, code)
            continue
        if s.count[k.N_HEAP] == 0 or s.heap_t[0] > until:
            s.clock[k.NOW] = until
            for i in range(s.comp.shape[0]):
                touch(s, i)
            return k.FINISHED
        time = s.heap_t[0]
        if time > s.clock[k.NOW]:
            s.clock[k.NOW] = time
            s.count[k.STILL] = 0
        s.count[k.EVENTS] += _happen(s, pop(s))
        done += 1
    return k.RUNNING
