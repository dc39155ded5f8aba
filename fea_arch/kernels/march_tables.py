"""Columns of the tables of the quasi-static march and of what is computed from its states."""

from __future__ import annotations

__all__ = [
    "E_BACKOFF", "E_BREAK_OPEN_S", "E_BREAK_SHARE", "E_BUDGET", "E_CALLS", "E_LATENCY", "E_TIMEOUT", "N_BLOCKING",
    "N_CPU", "N_LIMIT", "N_REPLICAS", "N_ROOM", "N_SCV", "N_SCV_IN", "N_SERVERS", "N_SERVICE", "N_WARM_UP",
    "S_ADMITTED", "S_ARRIVE", "S_BUSY", "S_CAPACITY", "S_CROWD", "S_CULPRIT", "S_FAST_VAR", "S_HOLD", "S_MOST",
    "S_RESPONSE", "S_SERVICE", "S_SLOW_GAP", "S_SLOW_SHARE", "S_SLOW_VAR", "S_SPREAD", "S_SUCCESS", "S_VARIANCE",
    "S_WAIT", "S_WAIT_VAR",
]  # fmt: skip

# columns of the table of components; N_ROOM: requests inside one replica at which it is killed, inf without limit
N_SERVICE, N_SCV, N_SERVERS, N_REPLICAS, N_BLOCKING, N_SCV_IN, N_LIMIT, N_ROOM, N_WARM_UP, N_CPU = range(10)
# columns of the table of calls
E_CALLS, E_LATENCY, E_TIMEOUT, E_BACKOFF, E_BUDGET, E_BREAK_SHARE, E_BREAK_OPEN_S = range(7)
# columns of the states; S_SLOW_SHARE, S_SLOW_GAP: share of slow requests and how much longer they take [s];
# S_FAST_VAR, S_SLOW_VAR: variance inside the two groups [s^2]
(
    S_ARRIVE, S_CAPACITY, S_WAIT, S_WAIT_VAR, S_RESPONSE, S_VARIANCE, S_SUCCESS, S_HOLD, S_SPREAD, S_BUSY, S_CROWD,
    S_MOST, S_ADMITTED, S_CULPRIT, S_SERVICE, S_SLOW_SHARE, S_SLOW_GAP, S_FAST_VAR, S_SLOW_VAR,
) = range(19)  # fmt: skip
