"""Event simulation of a FIFO station whose callers retry after a time-out: an independent check of the chain.

Written from the description alone: a caller sends its next try ``timeout`` after the last one if that is not answered
by then, up to ``retries`` times; tries that nobody waits for any more are served all the same. In a first-in-first-out
station the answer time of a try is known when it arrives, and tries come back in the order in which they were sent.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["chain_collapse_times", "collapse_times", "mixed_collapse_times", "recovers"]


@njit
def _first_passage(first_rate, service_s, servers, timeout, retries, enough, most_s, seed):
    """Time at which the backlog of work is ``enough`` seconds; most_s if it is not by then."""
    np.random.seed(seed)
    free = np.zeros(servers)
    size = 1 << 20
    when = np.empty(size)
    left = np.empty(size, np.int64)
    head, tail = 0, 0
    new = np.random.exponential(1.0 / first_rate)
    while True:
        if head < tail and when[head % size] <= new:
            t, more = when[head % size], left[head % size]
            head += 1
        else:
            t, more = new, retries
            new += np.random.exponential(1.0 / first_rate)
        if t > most_s:
            return most_s
        k = 0
        for i in range(1, servers):
            if free[i] < free[k]:
                k = i
        begin = max(t, free[k])
        if begin - t >= enough:
            return t
        free[k] = begin + np.random.exponential(service_s)
        if more > 0 and free[k] - t > timeout:
            when[tail % size] = t + timeout
            left[tail % size] = more - 1
            tail += 1


def collapse_times(first_rate, service_s, servers, timeout, retries, *, enough=None, runs, seed=0, most_s=1e9):
    """Return the times until an arrival would wait ``enough`` seconds (five time-outs), (runs,) float64 [s]."""
    enough = 5.0 * timeout if enough is None else enough
    return np.array([
        _first_passage(first_rate, service_s, servers, timeout, retries, enough, most_s, seed + k)
        for k in range(runs)
    ])  # fmt: skip


@njit
def _mixed_passage(first_rate, service_s, servers, shares, timeouts, retries, pauses, budgets, enough, seed):
    """As above for groups of callers with an exponential pause before each retry and a bucket of ten retries."""
    np.random.seed(seed)
    free = np.zeros(servers)
    when, who, left = [0.0], [0], [0]  # an entry that is never used gives the lists their types
    when[0] = np.inf
    bucket = np.full(shares.size, 10.0)
    new = np.random.exponential(1.0 / first_rate)
    while True:
        soon = 0
        for i in range(len(when)):
            if when[i] < when[soon]:
                soon = i
        if when[soon] <= new:
            t, g, more = when[soon], who[soon], left[soon]
            when.pop(soon)
            who.pop(soon)
            left.pop(soon)
            if bucket[g] < 1.0:
                continue
            bucket[g] -= 1.0
        else:
            t, g, more = new, -1, 0
            new += np.random.exponential(1.0 / first_rate)
            u = np.random.random()
            for i in range(shares.size):
                if u < shares[i]:
                    g, more = i, retries[i]
                    bucket[g] = min(bucket[g] + budgets[g], 10.0)
                    break
                u -= shares[i]
        k = int(np.argmin(free))
        begin = max(t, free[k])
        if begin - t >= enough:
            return t
        free[k] = begin + np.random.exponential(service_s)
        if more > 0 and free[k] - t > timeouts[g]:
            when.append(t + timeouts[g] + np.random.exponential(1.0) * pauses[g])
            who.append(g)
            left.append(more - 1)


def mixed_collapse_times(station, first_rate, *, enough, runs, seed=0):
    """Return the times until an arrival would wait ``enough`` seconds, groups, pauses and budgets, (runs,) float64."""
    groups = [np.array(v, float) for v in (station.shares, station.timeouts_s)]
    rest = [np.array(v, float) for v in (station.pauses, station.budgets or [np.inf] * len(station.shares))]
    return np.array([
        _mixed_passage(first_rate, station.service_s, station.servers, *groups, np.array(station.retries, np.int64),
                       *rest, enough, seed + k)
        for k in range(runs)
    ])  # fmt: skip


@njit
def _after_outage(first_rate, service_s, servers, timeout, retries, outage, begin, end, seed):
    """Share of first tries answered in time in the last quarter, with no service during an outage from ``begin``."""
    np.random.seed(seed)
    free = np.zeros(servers)
    size = 1 << 20
    when = np.empty(size)
    left = np.empty(size, np.int64)
    first = np.empty(size)
    head, tail, good, asked = 0, 0, 0, 0
    new = np.random.exponential(1.0 / first_rate)
    while True:
        if head < tail and when[head % size] <= new:
            t, more, born = when[head % size], left[head % size], first[head % size]
            head += 1
        else:
            t, more, born = new, retries, new
            new += np.random.exponential(1.0 / first_rate)
        if t > end:
            return good / asked
        k = 0
        for i in range(1, servers):
            if free[i] < free[k]:
                k = i
        start = max(t, free[k])
        if begin <= start < begin + outage:
            start = begin + outage
        free[k] = start + np.random.exponential(service_s)
        late = free[k] - t > timeout
        if born > 0.75 * end:
            if more == retries:
                asked += 1
            if not late:
                good += 1
        if late and more > 0:
            when[tail % size] = t + timeout
            left[tail % size] = more - 1
            first[tail % size] = born
            tail += 1


def recovers(first_rate, service_s, servers, timeout, retries, outage, *, end=400.0, seed=0):
    """Return whether most requests are answered in time long after an outage of ``outage`` seconds."""
    return _after_outage(first_rate, service_s, servers, timeout, retries, outage, 20.0, end, seed) > 0.9


@njit
def _chain_passage(first_rate, service_s, servers, timeout, retries, tip, seed):
    """Time until ``tip`` are inside, where every try is late by services drawn afresh for what it finds inside."""
    np.random.seed(seed)
    n, t = 0, 0.0
    while n < tip:
        leave = min(n, servers) / service_s
        most = first_rate * (retries + 1)
        t += np.random.exponential(1.0 / (most + leave))
        u = np.random.random() * (most + leave)
        if u < leave:
            n -= 1
            continue
        k = min(int((u - leave) / first_rate), retries)  # a k-th retry comes only if k tries before it were late
        comes = True
        for _ in range(k):
            wait = np.random.gamma(n - servers + 1.0) * service_s / servers if n >= servers else 0.0
            if wait + np.random.exponential(service_s) <= timeout:
                comes = False
                break
        if comes:
            n += 1
    return t


def chain_collapse_times(first_rate, service_s, servers, timeout, retries, tip, *, runs, seed=0):
    """Return first passage times of the birth-death process to ``tip``, (runs,) float64 [s]."""
    return np.array([
        _chain_passage(first_rate, service_s, servers, timeout, retries, tip, seed + k) for k in range(runs)
    ])  # fmt: skip
