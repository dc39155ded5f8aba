"""What a constitutive law is: ``q = g(e)`` for a block of elements, with tangent, inverse and energy.

A law object carries its parameters as arrays, one entry per element of its block, so one object describes a million
elements. Everything is vectorised; nothing is computed per element in Python.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Law"]

Array = NDArray[np.float64]


@runtime_checkable
class Law(Protocol):
    """The contract of a constitutive law over a block of ``n`` elements.

    ``force`` and ``elongation`` are inverse to each other on the stable branch; ``tangent`` is ``dq/de``; ``energy`` is
    the work ``integral q de``. For an architecture ``e`` is the number in flight [req] and ``q`` the throughput
    [req/s]; for a mechanical structure elongation and axial force.
    """

    @property
    def name(self) -> str:
        """Registry name of the law."""
        ...

    def size(self) -> int:
        """Return the number of elements in the block."""
        ...

    def take(self, index: NDArray[np.int64]) -> Law:
        """Return the law of a subset of the block's elements, ``index`` (k,) int64."""
        ...

    def force(self, elongation: Array) -> Array:
        """Return ``q = g(e)``, (n,) float64."""
        ...

    def tangent(self, elongation: Array) -> Array:
        """Return ``dq/de`` at ``e``, (n,) float64."""
        ...

    def elongation(self, force: Array) -> Array:
        """Return ``e = h(q)`` on the first stable branch, (n,) float64; ``inf`` at or beyond capacity."""
        ...

    def energy(self, elongation: Array) -> Array:
        """Return the work ``integral_0^e g``, (n,) float64."""
        ...

    def capacity(self) -> Array:
        """Return the largest force the law can carry, (n,) float64; ``inf`` where unlimited."""
        ...

    def stiffness(self) -> Array:
        """Return the zero-load stiffness ``k0``, (n,) float64."""
        ...
