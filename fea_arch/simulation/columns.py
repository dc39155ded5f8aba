"""Memory layout of the event simulation: which column of which table holds what.

The whole state of a replication lives in two flat arrays, ``I`` (int64) and ``F`` (float64), so that it can stop after
any event, be resumed and be copied to another process. Two arrays, because every array that is handed to a compiled
function costs time in each call. The head of ``I`` holds counters, then the offset of every table and its rows; entry
``(row, column)`` of a table is ``I[I[k.JOB] + k.N_JOB * row + k.J_STATE]``. Rows of ``job`` are requests at a
component, rows of ``call`` are calls in progress; both are pools with a free list. Events are packed into one integer:
kind, generation (stale events are recognised by it) and row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Ints"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# event kinds
# up to E_JOB_LAST the row is a job
(
    E_SERVED,
    E_DELIVER,
    E_ANSWER,
    E_CANCEL,
    E_STEP,
    E_ADVANCE,
    E_TIMEOUT,
    E_TRY,
    E_ARRIVAL,
    E_BEGIN,
    E_THINK,
    E_UP,
    E_OUTAGE,
    E_OUTAGE_END,
    E_SAMPLE,
    E_SHARE,
    E_WARM,
) = range(17)
E_JOB_LAST = E_ADVANCE
GEN_BITS = 26
ROW_BITS = 31
GEN_MASK = (1 << GEN_BITS) - 1
ROW_MASK = (1 << ROW_BITS) - 1

# why a request was not answered
OK, REJECTED, FAILED, TIMED_OUT, KILLED, BROKEN = range(6)

# where a request is
TRANSIT, QUEUED, SERVING, SHARING, CALLING, ANSWERING = range(6)

# jobs (int); J_NEXT and J_PREV are links of the waiting line, of a sharing pool, or of the free list
(
    J_GEN,
    J_COMP,
    J_REP,
    J_CALL,
    J_LOAD,
    J_STATE,
    J_STEP,
    J_PENDING,
    J_CALLS,
    J_NEXT,
    J_PREV,
    J_CHILD,
    J_MNEXT,
    J_MPREV,
    J_FAIL,
    J_HOLD,
    J_EDGE,
    J_COUNTED,
    J_POOL,
) = range(19)
N_JOB = 19
# jobs (float): arrival here, drawn service time, work left for processor sharing (then finish in virtual time)
F_ARRIVE, F_DRAW, F_WORK = range(3)
N_JOB_F = 3

# calls
C_GEN, C_JOB, C_SITE, C_CHILD, C_TRIES, C_LEFT, C_NEXT, C_PREV, C_EDGE, C_TRIAL = range(10)
N_CALL = 10

# components (int); K_POOL is the processor-sharing law pool of its first replica, K_HOST the pool of its host, or -1
(
    K_REP,
    K_REPLICAS,
    K_SERVERS,
    K_CAPACITY,
    K_HOLDS,
    K_BALANCING,
    K_TURN,
    K_AVAILABLE,
    K_STEP,
    K_STEPS,
    K_ASYNC,
    K_ASYNCS,
    K_DELAY,
    K_POOL,
    K_HOST,
    K_OUT,
    K_HIST,
) = range(17)
N_COMP = 17
# components (float)
(
    K_SERVICE,
    K_SCV,
    K_BRANCH,
    K_RATE_LIMIT,
    K_TOKENS,
    K_TOKEN_TIME,
    K_RESIDENT,
    K_PER_REQUEST,
    K_LIMIT,
    K_WARM_UP,
    K_SLOW,
    K_CPU_SHARE,
) = range(12)
N_COMP_F = 12

# replicas; R_DOWN is a bit set: 1 out of memory, 2 outage
R_COMP, R_BUSY, R_SERVERS, R_HEAD, R_TAIL, R_QUEUED, R_MEMBERS, R_OPEN, R_DOWN, R_POOL = range(10)
N_REP = 10

# processor-sharing pools; P_KIND 0: host, 1: USL, 2: tabulated, 3: memory pressure
P_KIND, P_N, P_ROOT, P_GEN, P_TABLE, P_ROWS = range(6)
N_POOL = 6
# P_V virtual time, P_T time of P_V, P_A and P_B parameters, P_SPEED outage factor
P_V, P_T, P_A, P_B, P_SPEED, P_AREA = range(6)
N_POOL_F = 6

# call sites: a dependency, or a balancer with several targets
(
    S_TARGET,
    S_TARGETS,
    S_POLICY,
    S_TURN,
    S_WAITS,
    S_CANCEL,
    S_REQUIRED,
    S_RETRIES,
    S_BREAKER,
) = range(9)
N_SITE = 9
S_CALLS, S_LATENCY, S_TIMEOUT, S_BACKOFF, S_BUDGET, S_TOKENS = range(6)
N_SITE_F = 6

# targets of call sites, with the circuit breaker of each: state 0 closed, 1 open, 2 half open
T_COMP, T_STATE, T_TRIAL, T_MINIMUM, T_CALLS, T_ERRORS = range(6)
N_TARGET = 6
T_WEIGHT, T_SHARE, T_WINDOW, T_OPEN, T_UNTIL = range(5)
N_TARGET_F = 5
BUCKETS = 10

# loads
L_ENTRY, L_USERS, L_SEGMENT, L_SEGMENTS = range(4)
N_LOAD = 4
L_RATE, L_THINK, L_SCV, L_CLOCK = range(4)
N_LOAD_F = 4

# outages
O_COMP = 0
O_START, O_END, O_SHARE = range(3)

# counters, at the head of the int array, and behind them where each table begins (offset) and how many rows it has
(
    N_HEAP,
    RING_HEAD,
    RING_N,
    FREE_JOB,
    JOBS,
    FREE_CALL,
    CALLS,
    EVENTS,
    AT_U,
    AT_E,
    AT_N,
    STILL,
    SAMPLES,
    COUNTING,
) = range(14)
N_COUNT = 14
INT_TABLES: tuple[str, ...] = (
    "ring",
    "heap_c",
    "job",
    "call",
    "comp",
    "rep",
    "pool",
    "step",
    "site",
    "target",
    "bucket",
    "load",
    "outage",
    "stat",
    "book",
    "hist",
    "flow",
)
FLOAT_TABLES: tuple[str, ...] = (
    "heap_t",
    "job_f",
    "comp_f",
    "pool_f",
    "table",
    "site_f",
    "target_f",
    "load_f",
    "segment",
    "outage_f",
    "stat_f",
    "series",
    "uniforms",
    "exponentials",
    "normals",
)
(
    RING,
    HEAP_C,
    JOB,
    CALL,
    COMP,
    REP,
    POOL,
    STEP,
    SITE,
    TARGET,
    BUCKET,
    LOAD,
    OUTAGE,
    STAT,
    BOOK,
    HIST,
    FLOW,
    HEAP_T,
    JOB_F,
    COMP_F,
    POOL_F,
    TABLE,
    SITE_F,
    TARGET_F,
    LOAD_F,
    SEGMENT,
    OUTAGE_F,
    STAT_F,
    SERIES,
    UNIFORMS,
    EXPONENTIALS,
    NORMALS,
) = range(N_COUNT, N_COUNT + 32)
N_TABLES = 32
ROOM_RING = RING + N_TABLES
ROOM_JOB = JOB + N_TABLES
ROOM_CALL = CALL + N_TABLES
ROOM_COMP = COMP + N_TABLES
ROOM_POOL = POOL + N_TABLES
ROOM_FLOW = FLOW + N_TABLES
ROOM_HEAP_T = HEAP_T + N_TABLES
ROOM_SEGMENT = SEGMENT + N_TABLES
ROOM_SERIES = SERIES + N_TABLES
ROOM_UNIFORMS = UNIFORMS + N_TABLES
ROOM_EXPONENTIALS = EXPONENTIALS + N_TABLES
ROOM_NORMALS = NORMALS + N_TABLES
COMPS = ROOM_COMP
N_HEADER = N_COUNT + 2 * N_TABLES
# clocks, at the head of the float array
NOW, END, DT, OBJECTIVE, WARM, START = range(6)
N_CLOCK = 6

# statistics of a component
Q_ARRIVED, Q_SERVED, Q_REJECTED, Q_FAILED, Q_CANCELLED, Q_DONE, Q_LOST, Q_KILLS, Q_OWN, Q_OPEN, Q_BUSY = range(11)
N_STAT = 11
A_TIME, A_OWN, A_OPEN, A_BUSY, A_WAIT, A_SERVICE, A_RESPONSE = range(7)
N_STAT_F = 7

# books of a load
B_OFFERED, B_SERVED, B_REJECTED, B_FAILED, B_TIMED_OUT, B_GOOD = range(6)
N_BOOK = 6

# histogram of response times: HIST_PER_OCTAVE bins per factor of two from 2**HIST_LOW seconds
HIST_PER_OCTAVE, HIST_LOW, HIST_BINS = 32, -30, 1600

# why the kernel returned
RUNNING, FINISHED, NO_ROOM, NO_RANDOM, STANDSTILL = range(5)
