"""Blocks of components that do not call each other, one column after the other, for the vector registers.

A block holds ``LANES`` rows of :mod:`fea_arch.kernels.fluid_rows`: what moves, column ``c`` of lane ``j`` at element
``c * LANES + j``, first the columns of the components, then those of their first calls, of their second calls, and so
on. What does not move is kept apart, and once where all of a block have it in common: it is laid out for each block in
turn in a place that stays in the cache. Memory is what limits a large architecture.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import subroutine
from fea_arch.kernels.fluid_rows import (
    CONTENT,
    CRUSH,
    EACH,
    HEAD,
    HELD,
    LIMIT,
    MADE,
    NODE,
    NUMBER,
    PASSED,
    ROW,
    SERVICE,
    SPREAD,
    SUCCESS,
    TRIES,
    UP,
    WAIT,
    WEIGHT,
)  # fmt: skip

__all__ = [
    "BEGINS",
    "KIND",
    "K_BACKOFF",
    "K_BEGINS",
    "K_BUDGET",
    "K_EACH",
    "K_ENDS",
    "K_HOLDS",
    "K_LATENCY",
    "K_PART",
    "K_REQUIRED",
    "K_RETRIES",
    "K_SYNC",
    "K_TIMEOUT",
    "K_WAITS",
    "K_WEIGHT",
    "LANES",
    "MADE_OF",
    "MOVES",
    "OWN",
    "O_BOUNDED",
    "O_CEILING",
    "O_COPIES",
    "O_CRUSH",
    "O_EXTRA",
    "O_LAG",
    "O_LIMIT",
    "O_OUTSIDE",
    "O_ROW",
    "O_SCALE",
    "O_SCV",
    "O_SERVICE",
    "O_UP",
    "REACH",
    "TRIED",
    "WAITED",
    "WAITS",
    "L",
    "fold",
    "lay_out",
    "unfold",
    "unfold_record",
]  # fmt: skip

#: Components of a block: a power of two would bring the columns to the same few places of the cache.
LANES = L = 48
# columns of a call that move: those on the way out up to ``AFTER``, time and number of tries
WAITED, TRIED = 5, 6
MOVES = 7
# columns of a call that do not: whether its phase begins there, ends there and lets workers wait, whether this call
# does, and from here on those on the way back
BEGINS, ENDS, HOLDS, WAITS, LATER = range(5)
MADE_OF = LATER + WAIT
# columns of the room of a block: its intermediate results, and what does not move of it and of one of its calls
OWN = 24
KIND = OWN + NODE - MADE
ROOM = KIND + MADE_OF
O_ROW, O_SCALE, O_COPIES, O_LIMIT, O_CEILING, O_BOUNDED, O_UP, O_SERVICE, O_OUTSIDE, O_EXTRA, O_LAG, O_SCV, O_CRUSH = (
    range(OWN, OWN + 13)
)  # fmt: skip
(
    K_BEGINS, K_ENDS, K_HOLDS, K_WAITS, K_EACH, K_LATENCY, K_TIMEOUT, K_RETRIES, K_BACKOFF, K_BUDGET, K_WEIGHT, K_SYNC,
    K_REQUIRED, K_PART,
) = range(KIND, ROOM)  # fmt: skip
# columns of what reaches each of its calls
REACH = 6


@subroutine
def _compress(image: Any, columns: Any, fixed: Any, used: int, piece: Any, common: Any) -> Any:
    """Keep the columns of an image, those with one value as that value; return the elements used so far."""
    for c in range(columns):
        same = True
        for j in range(LANES):
            same = same and image[c * LANES + j] == image[c * LANES]
        common[c] = image[c * LANES]
        piece[c] = -1
        if not same:
            piece[c] = used
            for j in range(LANES):
                fixed[used + j] = image[c * LANES + j]
            used += LANES
    return used


@subroutine
def lay_out(kept: Any, row: int, low: int, high: int, w: Any, base: int) -> None:
    """Lay out some columns of a block or call, those with one value only where another lies there."""
    piece, common, fixed, have = kept
    for c in range(low, high):
        at = piece[row, c]
        if at >= 0:
            have[c] = np.nan
            part, whole = w[(base + c) * LANES : (base + c + 1) * LANES], fixed[at : at + LANES]
            for j in range(LANES):
                part[j] = whole[j]
        elif have[c] != common[row, c]:
            have[c] = common[row, c]
            part = w[(base + c) * LANES : (base + c + 1) * LANES]
            for j in range(LANES):
                part[j] = common[row, c]


@subroutine
def fold(packed: Any, who: Any) -> Any:
    """Copy rows to blocks.

    Parameters
    ----------
    packed : tuple of arrays
        See :func:`fea_arch.kernels.fluid_rows.pack`.
    who : (blocks * LANES,) int64
        Row of each lane, callers before callees and never in the same block, or -1.

    Returns
    -------
    tuple
        First element of each block (blocks + 1,), ``who``, lane called by each call of a block in the order of its
        calls, first of these of each block (blocks + 1,), what moves, requests that reach each lane in both stages,
        answers of each lane, room for the results of one block and for those of its calls; and what does not move: of
        the components, of their calls.
    """
    ptr, target, node, out, back, reply, _, _ = packed
    many = who.size // LANES
    lane = np.zeros(node.shape[0], np.int64)
    start, first = np.zeros(many + 1, np.int64), np.zeros(many + 1, np.int64)
    most = 0
    for b in range(many):
        deepest = 0
        for j in range(LANES):
            k = who[b * LANES + j]
            if k >= 0:
                lane[k] = b * LANES + j
                deepest = max(deepest, ptr[k + 1] - ptr[k])
        most = max(most, deepest)
        start[b + 1] = start[b] + (MADE + MOVES * deepest) * LANES
        first[b + 1] = first[b] + deepest * LANES
    slots = first[many] // LANES
    place, store = np.full(first[many], many * LANES, np.int64), np.zeros(start[many])
    answers = np.zeros((many * LANES + 1, reply.shape[1]))
    answers[many * LANES, SUCCESS] = 1.0
    own, kind = np.zeros((NODE - MADE) * LANES), np.zeros(MADE_OF * LANES)
    fixed, own_piece = np.zeros(many * own.size), np.zeros((many, NODE - MADE), np.int64)
    calls, kind_piece = np.zeros(slots * kind.size), np.zeros((slots, MADE_OF), np.int64)
    own_common, kind_common = np.zeros(own_piece.shape), np.zeros(kind_piece.shape)
    used = held = 0
    for b in range(many):
        for j in range(LANES):
            k = who[b * LANES + j]
            if k < 0:
                for c in range(MADE, NODE):
                    own[(c - MADE) * LANES + j] = 0.0
                own[(ROW - MADE) * LANES + j] = -1.0
                own[(SERVICE - MADE) * LANES + j] = 1.0
                own[(LIMIT - MADE) * LANES + j] = np.inf
                own[(CRUSH - MADE) * LANES + j] = np.inf
                own[(UP - MADE) * LANES + j] = 1.0
                continue
            for c in range(MADE, NODE):
                own[(c - MADE) * LANES + j] = node[k, c]
            for c in range(MADE):
                store[start[b] + c * LANES + j] = node[k, c]
            for c in range(reply.shape[1]):
                answers[b * LANES + j, c] = reply[k, c]
        used = _compress(own, NODE - MADE, fixed, used, own_piece[b], own_common[b])
        for r in range((first[b + 1] - first[b]) // LANES):
            some = -1
            for j in range(LANES):
                k = who[b * LANES + j]
                if k >= 0 and some < 0 and ptr[k] + r < ptr[k + 1]:
                    some = ptr[k] + r
            for j in range(LANES):
                k = who[b * LANES + j]
                at = start[b] + (MADE + r * MOVES) * LANES + j
                e = ptr[k] + r if k >= 0 else 0
                there = k >= 0 and e < ptr[k + 1]
                made = e if there else some
                for c in range(WAIT):
                    value = back[made, c]
                    kind[(LATER + c) * LANES + j] = np.inf if np.isnan(value) else value
                kind[BEGINS * LANES + j] = 1.0 if not there or out[e, HEAD] > 0.0 else 0.0
                kind[ENDS * LANES + j] = 1.0 if not there or e + 1 == ptr[k + 1] or out[e + 1, HEAD] > 0.0 else 0.0
                kind[WAITS * LANES + j] = out[made, HELD]
                while there and out[made, HEAD] == 0.0:
                    made -= 1
                kind[HOLDS * LANES + j] = out[made, HELD]
                if not there:  # a call that is made 0 times
                    kind[(LATER + EACH) * LANES + j] = 0.0
                    kind[(LATER + WEIGHT) * LANES + j] = 0.0
                    store[at + PASSED * LANES] = 1.0
                    store[at + TRIED * LANES] = 1.0
                    continue
                place[first[b] + r * LANES + j] = lane[target[e]]
                for c in range(WAITED):
                    store[at + c * LANES] = out[e, c]
                store[at + WAITED * LANES] = back[e, WAIT]
                store[at + TRIED * LANES] = back[e, TRIES]
                if out[e, HEAD] == 0.0:  # what a phase holds lies at its last call
                    store[at + CONTENT * LANES] = store[at + (CONTENT - MOVES) * LANES]
                    store[at + (CONTENT - MOVES) * LANES] = 0.0
            row = first[b] // LANES + r
            held = _compress(kind, MADE_OF, calls, held, kind_piece[row], kind_common[row])
    return (
        start, who, place, first, store, np.zeros(2 * answers.shape[0]), answers,
        np.zeros(ROOM * LANES), np.zeros(REACH * most * LANES),
        (own_piece, own_common, fixed[:used].copy(), np.full(NODE - MADE, np.nan)),
        (kind_piece, kind_common, calls[:held].copy(), np.full(MADE_OF, np.nan)),
    )  # fmt: skip


@subroutine
def unfold(lanes: Any, packed: Any) -> None:
    """Copy what the steps renewed back to the rows."""
    start, who, store, answers = lanes[0], lanes[1], lanes[4], lanes[6]
    ptr, _, node, out, back, reply, _, _ = packed
    for a in range(who.size):
        b, j, k = a // LANES, a % LANES, who[a]
        if k < 0:
            continue
        for c in range(MADE):
            node[k, c] = store[start[b] + c * LANES + j]
        for c in range(reply.shape[1]):
            reply[k, c] = answers[a, c]
        head = ptr[k]
        for e in range(ptr[k], ptr[k + 1]):
            at = start[b] + (MADE + (e - ptr[k]) * MOVES) * LANES + j
            if out[e, HEAD] > 0.0:
                head = e
            for c in range(WAITED):
                out[e, c] = store[at + c * LANES]
            back[e, WAIT] = store[at + WAITED * LANES]
            back[e, TRIES] = store[at + TRIED * LANES]
            if head < e:
                content = out[e, CONTENT]
                out[e, CONTENT] = 0.0
                out[head, CONTENT] = content


@subroutine
def unfold_record(lanes: Any, packed: Any) -> None:
    """Copy back what a record shows."""
    start, who, store, answers = lanes[0], lanes[1], lanes[4], lanes[6]
    node, reply = packed[2], packed[5]
    for a in range(who.size):
        k = who[a]
        if k >= 0:
            at = start[a // LANES] + a % LANES
            for c in range(NUMBER, SPREAD + 1):
                node[k, c] = store[at + c * LANES]
            reply[k, 0] = answers[a, 0]
