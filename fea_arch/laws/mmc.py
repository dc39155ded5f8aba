"""M/M/c station: ``N = a + v C(c, a) rho / (1 - rho)``, ``a = q S``, by the Erlang C formula.

``v`` is the Allen-Cunneen variability factor ``(ca^2 + cs^2) / 2``; 1 for exponential times. The zero-load stiffness is
``1/S`` whatever the number of servers; the capacity is ``c/S``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.kernels.erlang import mmc_load, mmc_number
from fea_arch.laws.base import Array
from fea_arch.laws.quadrature import work_of

__all__ = ["MMC"]


@dataclass(frozen=True, slots=True, eq=False)
class MMC:
    """A block of M/M/c stations.

    Parameters
    ----------
    service_s : (n,) float64
        Mean service time [s].
    servers : (n,) int64
        Servers.
    variability : (n,) float64
        Factor on the waiting number [1].

    Examples
    --------
    >>> law = MMC([0.1], [1], [1.0])
    >>> law.elongation(np.array([8.0])).round(9)
    array([4.])
    """

    service_s: Array
    servers: NDArray[np.int64]
    variability: Array
    name: str = "mmc"

    def __init__(self, service_s: ArrayLike, servers: ArrayLike, variability: ArrayLike = 1.0) -> None:
        s = np.atleast_1d(np.asarray(service_s, float))
        object.__setattr__(self, "service_s", s)
        object.__setattr__(
            self, "servers", np.ascontiguousarray(np.broadcast_to(np.asarray(servers, np.int64), s.shape))
        )
        object.__setattr__(
            self, "variability", np.ascontiguousarray(np.broadcast_to(np.asarray(variability, float), s.shape))
        )
        object.__setattr__(self, "name", "mmc")

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.service_s.size)

    def take(self, index: NDArray[np.int64]) -> MMC:
        """Return the law of a subset, ``index`` (k,) int64."""
        return MMC(self.service_s[index], self.servers[index], self.variability[index])

    def elongation(self, force: Array) -> Array:
        """Return the mean number in the station at throughput ``q`` [req], (n,) float64; inf at capacity."""
        load = np.ascontiguousarray(np.asarray(force, float) * self.service_s)
        number, slope = np.empty(load.size), np.empty(load.size)
        mmc_number(self.servers, self.variability, load, number, slope)
        return number

    def _load(self, elongation: Array) -> tuple[Array, Array]:
        number = np.array(elongation, float)
        load, slope = np.empty(number.size), np.empty(number.size)
        mmc_load(self.servers, self.variability, number, load, slope)
        return load, slope

    def force(self, elongation: Array) -> Array:
        """Return the throughput at which ``e`` requests are inside on average [1/s], (n,) float64."""
        return self._load(elongation)[0] / self.service_s

    def tangent(self, elongation: Array) -> Array:
        """Return ``dq/dN`` [1/s], (n,) float64."""
        return 1.0 / self._load(elongation)[1] / self.service_s

    def energy(self, elongation: Array) -> Array:
        """Return the stored energy, (n,) float64."""
        return work_of(self.force, elongation)

    def capacity(self) -> Array:
        """Return ``c/S`` [1/s], (n,) float64."""
        return self.servers / self.service_s

    def stiffness(self) -> Array:
        """Return ``1/S`` [1/s], (n,) float64 (one M/M/1 server: the limit at zero load)."""
        return 1.0 / self.service_s
