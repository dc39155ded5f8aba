"""The queue in front of a pool that is called from outside, on a tape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fea_arch.errors import ModelError
from fea_arch.solvers.network import Array, Index
from fea_arch.solvers.pool_inputs import CrowdValue, CrowdValues, Inputs, queue_factor_of
from fea_arch.solvers.pool_subsystem import Solved
from fea_arch.solvers.reverse_tape import Tape, Value
from fea_arch.solvers.shared_stations import NOTHING, with_background

__all__ = ["OuterQueue", "queue_in_front"]


@dataclass(eq=False)
class OuterQueue:
    """Mean numbers by component of what comes from outside, the queue of the pool included."""

    number: dict[int, Value]
    solved: Solved


def queue_in_front(
    inputs: Inputs, i: int, solved: Solved, crowds: CrowdValues, again: Value, slots: int
) -> OuterQueue:  # fmt: skip
    """Solve the birth-death chain in front of a pool.

    Raises
    ------
    ModelError
        If more arrives than the pool completes.
    """
    tape, flow, arriving = inputs.tape, inputs.flow[i], inputs.arriving[i]
    # what the queue owes to the pool is kept apart from what other pools owe to it
    solved = replace(
        solved, rates=tape.copy(solved.rates), number=tape.copy(solved.number), room=tape.copy(solved.room)
    )
    rates = solved.rates
    if flow.v >= rates.v[-1] * (1.0 - 1e-9):
        raise ModelError("the pool is full", component=inputs.network.names[i], field="servers", fix="more workers")
    aside = flow.v - arriving.v
    crowd = crowds.at(i)
    if aside > NOTHING * flow.v and crowd is not None:
        weight, queue = _beside(tape, rates, solved.room, flow, arriving, crowd)
    else:
        weight, queue = _alone(tape, rates, solved.room, flow, arriving)
    if queue.v > 1e-9:
        scv = solved.full(inputs.hold_scv[i])
        queue = _varied(tape, queue, again, scv, tape.ratio(flow, tape.last(rates)), slots)
    last = solved.number.v.shape[1] - 1
    low = min(weight.v.size - 1, last)
    held = weight.v[: low + 1].copy()
    held[low] += weight.v[low + 1 :].sum()
    inside = tape.value(solved.number.v[:, : low + 1] @ held)

    def back() -> None:
        if not inside.g.any():
            return
        solved.number.g[:, : low + 1] += inside.g[:, None] * held
        on = inside.g @ solved.number.v[:, : low + 1]
        weight.g[: low + 1] += on
        weight.g[low + 1 :] += on[low]

    tape.step(back)
    number: dict[int, Value] = {}
    for row, k in enumerate(solved.component):
        one = tape.value(float(inside.v[row]) + (queue.v if k == i else 0.0))

        def back_one(row: int = row, own: bool = k == i, one: Value = one) -> None:
            inside.g[row] += one.g
            if own:
                queue.g += one.g

        tape.step(back_one)
        number[k] = one
    return OuterQueue(number, solved)


def _varied(tape: Tape, queue: Value, again: Value, scv: Value, load: Value, slots: int) -> Value:
    """Return the queue of times that vary more or less than exponential ones."""
    found = queue_factor_of(again.v, scv.v, np.array([load.v]), slots)
    factor, by_again, by_scv, by_load = (float(x[0]) for x in found)
    out = tape.value(queue.v * factor)

    def back() -> None:
        g = out.g * queue.v
        queue.g += out.g * factor
        again.g += g * by_again
        scv.g += g * by_scv
        load.g += g * by_load

    tape.step(back)
    return out


def _alone(tape: Tape, rates: Value, room: Value, flow: Value, arriving: Value) -> tuple[Value, Value]:
    """Return the distribution of what comes from outside, the tail at the last entry, and its queue."""
    size = rates.v.size
    logs = np.concatenate([[0.0], np.cumsum(np.log(flow.v) - np.log(rates.v))])
    p = np.exp(logs - logs.max())
    x = flow.v / float(rates.v[-1])
    p[-1] /= 1.0 - x
    p /= p.sum()
    own = arriving.v / flow.v
    beyond = float(p[-1]) * (x / (1.0 - x) + size - room.v)  # waiting beyond the last entry, and before it
    weight, queue = tape.value(p * own), tape.value(own * beyond)

    def back() -> None:
        on_p = weight.g * own
        on_own = float(weight.g @ p) + queue.g * beyond
        on_beyond = queue.g * own
        on_p[-1] += on_beyond * beyond / p[-1]
        # the last entry is there twice at a whole number of requests: the mean of both sides
        room.g -= on_beyond * (p[-1] + (0.5 * p[-2] if room.v == size - 1 else 0.0))
        on_x = on_beyond * p[-1] / (1.0 - x) ** 2
        on_log = p * (on_p - on_p @ p)
        on_x += on_log[-1] / (1.0 - x)
        flow.g += float(on_log @ np.arange(size + 1.0)) / flow.v + on_x / rates.v[-1]
        rates.g -= np.cumsum(on_log[::-1])[::-1][1:] / rates.v
        rates.g[-1] -= on_x * x / rates.v[-1]
        arriving.g += on_own / flow.v
        flow.g -= on_own * own / flow.v

    tape.step(back)
    return weight, queue


def _beside(
    tape: Tape, rates: Value, room: Value, flow: Value, arriving: Value, crowd: CrowdValue
) -> tuple[Value, Value]:
    """Return the mean number of open arrivals by the number of all there, beside a bounded crowd, and its queue."""
    bound, left = crowd.bound, crowd.room(tape)
    aside = flow.v - arriving.v
    top = float(rates.v[-1])
    open_flow = min(arriving.v, top * (1.0 - 1e-9))

    def parts() -> tuple[Array, Array, Array, Index, Array]:
        seen, others = with_background(rates.v, arriving.v, bound)
        logs = np.concatenate([[0.0], np.cumsum(np.log(aside) - np.log(seen))]) + np.log(np.maximum(left.v, 1e-300))
        p = np.exp(logs - logs.max())
        p /= p.sum()
        m, n = np.arange(bound + 1)[:, None], np.arange(others.shape[1])
        both = m + n
        return seen, others, np.asarray(p), np.asarray(both), np.asarray(n / np.maximum(both, 1))

    _, others, p, both, part = parts()
    weight = tape.value(np.bincount(both.ravel(), (p[:, None] * others * part).ravel()))
    count = np.arange(weight.v.size)
    queue = tape.value(float(weight.v @ np.maximum(count - room.v, 0.0)))

    def back() -> None:
        on_weight = weight.g + queue.g * np.maximum(count - room.v, 0.0)
        if not on_weight.any():
            return
        room.g -= queue.g * float(weight.v @ np.heaviside(count - room.v, 0.5))
        seen, others, p, both, part = parts()
        turn = on_weight[both] * part
        on_p = (others * turn).sum(axis=1)
        on_log = p * (on_p - on_p @ p)
        left.g += on_log
        side = float(on_log @ np.arange(bound + 1.0)) / aside
        flow.g += side
        arriving.g -= side
        on_seen = -np.cumsum(on_log[::-1])[::-1][1:] / seen
        place = np.minimum(both, rates.v.size) - 1
        share = np.arange(1, bound + 1)[:, None] / both[1:]
        on_others = p[:, None] * turn
        on_others[1:] += on_seen[:, None] * rates.v[place[1:]] * share
        size = rates.v.size
        rates.g += np.bincount(place[1:].ravel(), (on_seen[:, None] * others[1:] * share).ravel(), size)
        by_log = others * (on_others - (others * on_others).sum(axis=1)[:, None])
        total = np.cumsum(np.bincount(both.ravel(), by_log.ravel())[::-1])[::-1][1:]
        at = np.minimum(np.arange(total.size), size - 1)
        rates.g -= np.bincount(at, total / rates.v[at], size)
        by_open = float((by_log.sum(axis=0) * np.arange(others.shape[1])).sum())
        if arriving.v < top * (1.0 - 1e-9):
            arriving.g += by_open / open_flow
        else:
            rates.g[-1] += by_open / top

    tape.step(back)
    return weight, queue
