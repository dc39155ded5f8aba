"""Nodes and calls of the fluid model as rows in the order of a pass, all about one of them together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine

__all__ = [
    "ADMITTED", "ADMITTED1", "ADMITTED2", "AFTER", "APART", "AWAY", "BACKOFF", "BEND", "BOOKS", "BOUNDED", "BOW",
    "BUDGET", "CEILING", "CONTENT", "COPIES", "CRUSH", "EACH", "EXTRA", "FLOW", "FLOW1", "FLOW2", "HEAD", "HELD",
    "INFLOW", "INFLOW1", "INFLOW2", "LAG", "LATENCY", "LIMIT", "MADE", "MORE", "NET", "NUMBER", "NUMBER2", "OUTSIDE",
    "PART", "PASSED", "RARE", "RATE", "REQUIRED", "RESPONSE", "RETRIES", "ROW", "SCALE", "SCV", "SERVICE", "SLOPE",
    "SPAN", "SPREAD", "STAY", "SUCCESS", "SYNC", "TIME", "TIMEOUT", "TRIES", "TURN", "TURN2", "UP", "VALUE", "VARIANCE",
    "WAIT", "WEIGHT", "WHOLE", "arrange", "pack", "put_back", "show", "unpack", "unpack_record",
]  # fmt: skip

# columns of a node: where its law was evaluated (all inside, value, derivative, half the second one), how far that is
# followed; number, flow, inflow, share admitted, turn-over, dy/dt, net inflow before the step, variance of the number,
WHOLE, VALUE, SLOPE, BOW, SPAN, NUMBER, FLOW, INFLOW, ADMITTED, TURN, BEND, NET, SPREAD = range(13)
# flow, inflow and share admitted at the inner stage; what they, number, turn-over and workers that wait are at the end,
FLOW1, INFLOW1, ADMITTED1, NUMBER2, FLOW2, INFLOW2, ADMITTED2, TURN2, AWAY = range(13, 22)
# books,
BOOKS = 22
# and what it is made of, with the variability of services and the number at which memory runs out
ROW, SCALE, COPIES, LIMIT, CEILING, BOUNDED, UP, SERVICE, OUTSIDE, EXTRA, LAG, SCV, CRUSH = range(26, 39)
MADE = ROW
NODE = 40
# columns of a call on the way out: time of a request, share that goes on, rate, content of the phase now and after the
# step, whether a phase begins, whether its workers wait, and what stays of the content
TIME, PASSED, RATE, CONTENT, AFTER, HEAD, HELD, STAY = range(8)
OUT = 8
# columns of a call on the way back: what it is made of, and time and number of its tries
EACH, LATENCY, TIMEOUT, RETRIES, BACKOFF, BUDGET, WEIGHT, SYNC, REQUIRED, PART, WAIT, TRIES = range(12)
BACK = 12
# columns of an answer: response time, its variance, share answered, detour (probability, time, variance)
RESPONSE, VARIANCE, SUCCESS, RARE, MORE, APART = range(6)
ANSWER = 8


@subroutine
def pack(
    n: int, net: Any, station: Any, calls: Any, state: Any, law: Any, contract: Any, answer: Any, noise: Any, lag: Any,
    past: Any, books: Any,
) -> Any:  # fmt: skip
    """Copy ``n`` nodes (all or none) and their calls to rows in the order of the pass.

    Returns
    -------
    tuple of arrays
        First call (n + 1,) and node called (m,); nodes, calls on the way out and back, answers; requests that reach
        each node in both stages (n, 2); reach of the calls of one node (most, 4).
    """
    order, out_ptr = net[0], net[3]
    place = np.zeros(n, np.int64)
    ptr = np.zeros(n + 1, np.int64)
    most = 0
    for k in range(n):
        place[order[k]] = k
        degree = out_ptr[order[k] + 1] - out_ptr[order[k]]
        ptr[k + 1] = ptr[k] + degree
        most = max(most, degree)
    m = ptr[n]
    target = np.zeros(m, np.int64)
    node, out, back, reply = np.zeros((n, NODE)), np.zeros((m, OUT)), np.zeros((m, BACK)), np.zeros((n, ANSWER))
    for k in range(n):
        i = order[k]
        host = station[5][i]
        node[k, ROW] = station[0][i]
        node[k, SCALE] = station[1][i]
        node[k, COPIES] = station[2][i]
        node[k, SERVICE] = station[3][i] + (station[4][i] * state[8][host] if host >= 0 else 0.0)
        node[k, LIMIT] = station[6][i]
        node[k, BOUNDED] = 1.0 if station[7][i] else 0.0
        node[k, OUTSIDE] = station[8][i]
        node[k, CEILING] = station[9][i]
        node[k, UP] = station[10][i]
        node[k, EXTRA] = state[7][i]
        node[k, LAG] = lag[i]
        node[k, WHOLE] = state[0][i]
        node[k, VALUE] = law[i, 0]
        node[k, SLOPE] = law[i, 1]
        node[k, BOW] = law[i, 2]
        node[k, SPAN] = law[i, 3]
        node[k, NUMBER] = state[1][i]
        node[k, NET] = past[i, 0]
        node[k, FLOW] = past[i, 1]
        node[k, INFLOW] = past[i, 2]
        node[k, ADMITTED] = past[i, 3]
        node[k, TURN] = past[i, 4]
        node[k, BEND] = past[i, 5]
        node[k, SPREAD] = noise[0][i]
        node[k, SCV] = noise[1][i]
        node[k, CRUSH] = noise[2][i]
        for c in range(4):
            node[k, BOOKS + c] = books[i, c]
        reply[k, RESPONSE] = answer[1][i]
        reply[k, VARIANCE] = answer[2][i]
        reply[k, SUCCESS] = answer[3][i]
        for c in range(3):
            reply[k, RARE + c] = answer[4][i, c]
        shift = ptr[k] - out_ptr[i]
        for e in range(out_ptr[i], out_ptr[i + 1]):
            p = e + shift
            sync = calls[6][e]
            target[p] = place[contract[0][e]]
            out[p, TIME] = calls[2][e] * calls[0][e] * calls[3][e] if sync else 0.0
            out[p, PASSED] = calls[7][e] if sync else 1.0
            out[p, RATE] = calls[0][e]
            out[p, CONTENT] = calls[4][e]
            out[p, HEAD] = 1.0 if e == out_ptr[i] or calls[5][e] != calls[5][e - 1] else 0.0
            out[p, HELD] = 1.0 if calls[1][e] else 0.0
            back[p, EACH] = contract[1][e]
            back[p, LATENCY] = contract[2][e]
            back[p, TIMEOUT] = contract[3][e]
            back[p, RETRIES] = contract[4][e]
            back[p, BACKOFF] = contract[5][e]
            back[p, BUDGET] = contract[6][e]
            back[p, REQUIRED] = 1.0 if contract[7][e] else 0.0
            back[p, WEIGHT] = calls[2][e]
            back[p, WAIT] = calls[3][e]
            back[p, TRIES] = answer[0][e]
            back[p, SYNC] = 1.0 if sync else 0.0
            back[p, PART] = contract[1][e] - math.floor(contract[1][e])
    return ptr, target, node, out, back, reply, np.zeros((n, 2)), np.zeros((most, 4))


@subroutine
def unpack(
    packed: Any, net: Any, calls: Any, state: Any, law: Any, answer: Any, spread: Any, past: Any, books: Any
) -> None:
    """Copy what the steps renewed back to where it came from."""
    ptr, _, node, out, back, reply, _, _ = packed
    order, out_ptr = net[0], net[3]
    for k in range(node.shape[0]):
        i = order[k]
        state[0][i] = node[k, WHOLE]
        law[i, 0] = node[k, VALUE]
        law[i, 1] = node[k, SLOPE]
        law[i, 2] = node[k, BOW]
        law[i, 3] = node[k, SPAN]
        state[5][i] = node[k, TURN]
        past[i, 0] = node[k, NET]
        past[i, 1] = node[k, FLOW]
        past[i, 2] = node[k, INFLOW]
        past[i, 3] = node[k, ADMITTED]
        past[i, 4] = node[k, TURN]
        past[i, 5] = node[k, BEND]
        for c in range(4):
            books[i, c] = node[k, BOOKS + c]
        answer[2][i] = reply[k, VARIANCE]
        answer[3][i] = reply[k, SUCCESS]
        for c in range(3):
            answer[4][i, c] = reply[k, RARE + c]
        shift = ptr[k] - out_ptr[i]
        for e in range(out_ptr[i], out_ptr[i + 1]):
            p = e + shift
            calls[0][e] = out[p, RATE]
            calls[3][e] = back[p, WAIT]
            calls[4][e] = out[p, CONTENT]
            if calls[6][e]:
                calls[7][e] = out[p, PASSED]
            answer[0][e] = back[p, TRIES]
    unpack_record(packed, net, state, answer, spread, past)


@subroutine
def unpack_record(packed: Any, net: Any, state: Any, answer: Any, spread: Any, past: Any) -> None:
    """Copy back what a record shows."""
    node, reply = packed[2], packed[5]
    order = net[0]
    for k in range(node.shape[0]):
        i = order[k]
        state[1][i] = node[k, NUMBER]
        state[2][i] = node[k, FLOW]
        state[3][i] = node[k, INFLOW]
        state[4][i] = node[k, ADMITTED]
        spread[i] = node[k, SPREAD]
        past[i, 0] = node[k, NET]
        answer[1][i] = reply[k, RESPONSE]
        answer[5][i] = node[k, SERVICE]


@subroutine
def arrange(packed: Any, who: Any) -> Any:
    """Return what the passes work on: the rows as they are."""
    return packed


@subroutine
def put_back(arranged: Any, packed: Any) -> None:
    """Copy what the steps renewed back to the rows: it is there."""


@subroutine
def show(arranged: Any, packed: Any) -> None:
    """Copy what a record shows back to the rows: it is there."""
