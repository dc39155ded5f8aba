"""Stations with state-dependent completion rates, homogenised from their birth-death chain.

With arrival rate ``x`` the stationary weights are ``w_n = x^n / (X(1) ... X(n))``. Means obey
``dE[f]/d log x = Cov(f, n)``, which gives the tangent ``dq/dN = Cov(X, n) / Var(n)`` without differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ModelError
from fea_arch.kernels.birth_death import chain_at_flow, chain_at_number, chain_peak
from fea_arch.laws.base import Array
from fea_arch.laws.quadrature import work_of

__all__ = ["BirthDeath"]


@dataclass(frozen=True, slots=True, eq=False)
class BirthDeath:
    """A block of stations given by their completion rates.

    Parameters
    ----------
    rates : sequence of (c_i,) array_like
        ``X(1), ..., X(c)`` of each element [1/s]; ``X(c)`` holds beyond.
    places : (n,) int
        Waiting places beyond ``c``; -1 without bound. Arrivals that find no place are lost.
    name : str
        ``bounded``, ``usl``, ``tabulated`` or ``memory``.

    Examples
    --------
    >>> law = BirthDeath([[10.0]], [-1], name="usl")        # one exponential server: M/M/1
    >>> law.elongation(np.array([8.0])).round(6)
    array([4.])
    """

    rates: tuple[Array, ...]
    places: NDArray[np.int64]
    name: str
    _table: Array
    _first: NDArray[np.int64]
    _size: NDArray[np.int64]
    _peak: Array
    _capacity: Array

    def __init__(self, rates: Sequence[ArrayLike], places: ArrayLike = -1, name: str = "bounded") -> None:
        tables = tuple(np.atleast_1d(np.asarray(r, float)) for r in rates)
        for i, table in enumerate(tables):
            if table.ndim != 1 or not table.size or not np.all((table > 0) & np.isfinite(table)):
                raise ModelError(f"element {i} needs positive finite completion rates", field="rates")
        size = np.array([t.size for t in tables], np.int64)
        first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
        flat = np.concatenate(tables) if tables else np.empty(0)
        room = np.array(np.broadcast_to(np.asarray(places, np.int64), (len(tables),)))
        peak, capacity = np.empty(len(tables)), np.empty(len(tables))
        chain_peak(flat, first, size, room, peak, capacity)
        parts = {"rates": tables, "places": room, "name": name, "_table": flat, "_first": first, "_size": size}
        for field, value in (parts | {"_peak": peak, "_capacity": capacity}).items():
            object.__setattr__(self, field, value)

    def size(self) -> int:
        """Return the number of elements."""
        return len(self.rates)

    def take(self, index: NDArray[np.int64]) -> BirthDeath:
        """Return the law of a subset, ``index`` (k,) int64."""
        return BirthDeath([self.rates[i] for i in index], self.places[index], self.name)

    def _at(self, elongation: Array) -> tuple[Array, Array]:
        flow, tangent = np.empty(self.size()), np.empty(self.size())
        number = np.array(elongation, float)
        chain_at_number(self._table, self._first, self._size, self.places, number, flow, tangent)
        return flow, tangent

    def force(self, elongation: Array) -> Array:
        """Return the throughput with ``e`` requests inside on average [1/s], (n,) float64."""
        return self._at(elongation)[0]

    def tangent(self, elongation: Array) -> Array:
        """Return ``dq/dN`` [1/s], (n,) float64; negative where the station softens."""
        return self._at(elongation)[1]

    def elongation(self, force: Array) -> Array:
        """Return the mean number at throughput ``q`` on the rising branch [req], (n,) float64; inf beyond."""
        number = np.empty(self.size())
        flow = np.array(force, float)
        chain_at_flow(self._table, self._first, self._size, self.places, self._peak, self._capacity, flow, number)
        return number

    def energy(self, elongation: Array) -> Array:
        """Return the stored energy, (n,) float64."""
        return work_of(self.force, elongation)

    def capacity(self) -> Array:
        """Return the largest throughput [1/s], (n,) float64: ``X(c)`` unbounded, the peak of the curve if bounded."""
        return self._capacity

    def stiffness(self) -> Array:
        """Return ``X(1)``, the zero-load stiffness [1/s], (n,) float64."""
        return np.array([r[0] for r in self.rates])
