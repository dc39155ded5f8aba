"""Throughput of a closed loop against its concurrency: the curves that a load test is fitted with.

* multi-server: ``c`` servers with mean service time ``S`` and a delay ``Z`` outside the servers (network, client),
  population ``N``. Without delay ``X = min(N, c)/S``; with delay the stationary mean of the birth-death chain with
  arrival rate ``(N - n)/Z`` and completion rate ``min(n, c)/S`` (the machine repairman).
* universal scalability law (Gunther): ``X = N/S / (1 + sigma (N-1) + kappa N (N-1))``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "multi_server", "scalability", "table"]

Array = NDArray[np.float64]

#: Population above which the chain is replaced by its bound ``min(N/(S+Z), c/S)``; they agree to 1e-2 there.
_LARGE = 20_000


def _chain(population: int, service_s: float, servers: float, delay_s: float) -> float:
    if population == 0:
        return 0.0
    if population > _LARGE:
        return min(population / (service_s + delay_s), servers / service_s)
    n = np.arange(1, population + 1)
    busy = np.minimum(n, servers)
    log_p = np.concatenate(
        ([0.0], np.cumsum(np.log(population - n + 1.0) - np.log(busy) + np.log(service_s / delay_s)))
    )
    p = np.exp(log_p - log_p.max())
    return float((p[1:] * busy).sum() / p.sum() / service_s)


def multi_server(concurrency: Array, service_s: float, servers: float, delay_s: float = 0.0) -> Array:
    """Return the throughput of a closed loop on ``servers`` servers, (n,) float64 [1/s].

    A population that is not a whole number (a measured mean) is interpolated between its neighbours.

    Examples
    --------
    >>> multi_server(np.array([1.0, 4.0, 8.0]), 0.5, 4.0).tolist()
    [2.0, 8.0, 8.0]
    """
    n = np.asarray(concurrency, np.float64)
    if delay_s <= 1e-9 * service_s:
        return np.asarray(np.minimum(n, servers) / service_s)
    low = np.floor(n).astype(int)
    share = n - low
    whole = {int(k): _chain(int(k), service_s, servers, delay_s) for k in np.union1d(low, low[share > 0] + 1)}
    below = np.array([whole[int(k)] for k in low])
    above = np.array([whole.get(int(k) + 1, 0.0) for k in low])
    return np.asarray(np.where(share > 0, (1 - share) * below + share * above, below))


def scalability(concurrency: Array, service_s: float, sigma: float, kappa: float) -> Array:
    """Return the throughput by the universal scalability law, (n,) float64 [1/s]."""
    n = np.asarray(concurrency, np.float64)
    return np.asarray(n / service_s / (1 + sigma * (n - 1) + kappa * n * (n - 1)))


def table(concurrency: Array, known_n: Array, known_x: Array) -> Array:
    """Return throughput interpolated in a measured table; linear from the origin, flat beyond, (n,) float64 [1/s]."""
    return np.interp(concurrency, np.concatenate(([0.0], known_n)), np.concatenate(([0.0], known_x)))
