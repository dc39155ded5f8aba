"""Exact queue in front of a pool whose workers call one station: a matrix-geometric solution, level by level."""

from __future__ import annotations

import numpy as np


def semi_open_pool(rate, own, callee, share, pool):
    """Return the mean number waiting for a worker, and the mean number at the callee.

    Poisson arrivals of ``rate`` wait for one of ``pool`` workers, spend an exponential time of mean ``own``, then with
    probability ``share`` call a station with the completion rates ``callee`` (1, 2, ... there), and leave. Level is the
    number of requests, phase the number at the callee (Neuts 1981, chapter 1).
    """

    def blocks(n):
        local, down = np.zeros((n + 1, n + 1)), np.zeros((n + 1, max(n, 1)))
        for k in range(n + 1):
            if n - k > 0:
                local[k, k + 1] += (n - k) / own * share
                down[k, k] += (n - k) / own * (1.0 - share)
            if k > 0:
                down[k, k - 1] += callee[k - 1]
            local[k, k] -= rate + (n - k) / own + (callee[k - 1] if k else 0.0)
        return local, down[:, :n]

    local, down = blocks(pool)
    again = np.hstack([down, np.zeros((pool + 1, 1))])  # whoever leaves a full pool is replaced from the queue
    up = rate * np.eye(pool + 1)
    first = np.zeros_like(up)
    while True:  # natural iteration of G, then R
        new = np.linalg.solve(-(local + up @ first), again)
        if np.abs(new - first).max() < 1e-13:
            break
        first = new
    ratio = up @ np.linalg.inv(-(local + up @ first))
    steps = []
    here = local + ratio @ again
    for n in range(pool, 0, -1):
        step = np.hstack([rate * np.eye(n), np.zeros((n, 1))]) @ np.linalg.inv(-here)
        here = blocks(n - 1)[0] + step @ blocks(n)[1]
        steps.append(step)
    level = [np.ones(1)]
    for step in reversed(steps):
        level.append(level[-1] @ step)
    tail = np.linalg.inv(np.eye(pool + 1) - ratio)
    full = level[-1] @ tail
    total = sum(p.sum() for p in level[:-1]) + full.sum()
    waiting = (level[-1] @ ratio @ tail @ tail).sum() / total
    called = (sum(p @ np.arange(p.size) for p in level[:-1]) + full @ np.arange(pool + 1)) / total
    return float(waiting), float(called)
