"""What a bounded population sees of a station beside others, and its transpose.

With ``m`` of the population there, ``n`` others have the weight ``C(m+n, n) b^n / (X(1) ... X(m+n))``, times that of
the room which is left elsewhere where the others are bounded.
"""

from __future__ import annotations

from typing import Any

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["pull_beside", "see_beside"]


@subroutine
def _weigh(rates: Any, background: float, room: Any, bounded: bool, apart: bool, limit: int, m: int, w: Any) -> int:
    """Fill the distribution of the number of others beside ``m``; return how many numbers there are."""
    size = rates.size
    term = 1.0
    total = 0.0
    count = limit
    for n in range(limit + 1):
        ratio = 0.0
        if n > 0:
            ratio = (m + n) / n * background / rates[min(m + n, size) - 1]
            term *= ratio
        value = term
        if bounded:
            at = n if apart else m + n
            if at > limit:
                if n > 0:
                    count = n - 1
                    break
                at = limit
            value = term * room[at]
        w[n] = value
        total += value
        if n > 0 and ratio < 0.9 and value * (m + n) < 1e-19 * total and (m + n >= size or ratio < 0.5):
            count = n
            break
        if total > 1e200:
            for j in range(n + 1):
                w[j] *= 1e-200
            total *= 1e-200
            term *= 1e-200
    for n in range(count + 1):
        w[n] /= total
    return count + 1


@kernel(work=lambda rates, *rest: 200.0 * rest[8].size)
def see_beside(
    rates: Any, background: float, room: Any, bounded: bool, apart: bool, limit: int, tables: Any, slots: float,
    work: Any, seen: Any, means: Any, waiting: Any,
) -> None:  # fmt: skip
    """Fill the rates, the means of tables and the number waiting that the population sees.

    Parameters
    ----------
    rates : (size,) float64
        ``X(1 .. size)``; the last one holds beyond [1/s].
    background : float
        Rate of the others [1/s].
    room : (limit + 1,) float64
        Weight of the room elsewhere; used where ``bounded``.
    bounded, apart : bool
        Whether the others are bounded, and whether by themselves or together with the population.
    limit : int
        Most others.
    tables : (t, k) float64
        By the number of all there; the last one holds beyond.
    slots : float
        Number of requests from which the rest waits.
    work : (limit + 1,) float64
    seen : (population,) float64, filled in place
    means : (t, population + 1) float64, filled in place
    waiting : (population + 1,) float64, filled in place
    """
    size, last = rates.size, tables.shape[1] - 1
    waiting[0] = 0.0
    means[:, 0] = 0.0
    for m in range(1, seen.size + 1):
        count = _weigh(rates, background, room, bounded, apart, limit, m, work)
        done = 0.0
        queue = 0.0
        means[:, m] = 0.0
        for n in range(count):
            share = work[n] * m / (m + n)
            done += share * rates[min(m + n, size) - 1]
            if m + n > slots:
                queue += share * (m + n - slots)
            for t in range(tables.shape[0]):
                means[t, m] += share * tables[t, min(m + n, last)]
        seen[m - 1] = done
        waiting[m] = queue


@kernel(work=lambda rates, *rest: 400.0 * rest[8].size)
def pull_beside(
    rates: Any, background: float, room: Any, bounded: bool, apart: bool, limit: int, tables: Any, slots: float,
    work: Any, by_seen: Any, by_means: Any, by_waiting: Any, turn: Any, by_number: Any, by_rates: Any, by_room: Any,
    by_tables: Any,
) -> Any:  # fmt: skip
    """Add the derivatives of what :func:`see_beside` fills by rates, room and tables.

    ``turn`` is (limit + 1,), ``by_number`` (population + limit + 1,) of zeros, both work space; ``by_room`` is the
    derivative by the logarithm of the room.

    Returns
    -------
    by_background, by_slots : float
        The derivative by the logarithm of the background, and by the slots.
    """
    size, last = rates.size, tables.shape[1] - 1
    by_background = 0.0
    by_slots = 0.0
    for m in range(1, by_seen.size + 1):
        count = _weigh(rates, background, room, bounded, apart, limit, m, work)
        mean = 0.0
        for n in range(count):
            share = m / (m + n)
            at = min(m + n, size) - 1
            value = by_seen[m - 1] * rates[at]
            by_rates[at] += by_seen[m - 1] * work[n] * share
            if m + n > slots:
                value += by_waiting[m] * (m + n - slots)
                by_slots -= by_waiting[m] * work[n] * share
            elif m + n == slots:  # the mean of both sides
                by_slots -= 0.5 * by_waiting[m] * work[n] * share
            place = min(m + n, last)
            for t in range(tables.shape[0]):
                value += by_means[t, m] * tables[t, place]
                by_tables[t, place] += by_means[t, m] * work[n] * share
            turn[n] = value * share
            mean += work[n] * turn[n]
        for n in range(count):
            by_log = work[n] * (turn[n] - mean)
            by_background += n * by_log
            by_number[m + n] += by_log
            if bounded:
                at = n if apart else min(m + n, limit)
                by_room[at] += by_log
    total = 0.0
    for number in range(by_number.size - 1, 0, -1):  # log X(l) is in every weight of l and more
        total += by_number[number]
        at = min(number, size) - 1
        by_rates[at] -= total / rates[at]
    return by_background, by_slots
