"""Records of a fluid run: every step, or given times, in blocks that the march fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fea_arch.solvers.fluid import Fluid

__all__ = ["History", "Recorder"]

Array = NDArray[np.float64]

#: Rows that are handed on together.
BLOCK = 256


@dataclass(eq=False)
class History:
    """What a run recorded, rows by time, and its books over the whole run.

    ``offered``, ``admitted``, ``served``, ``external`` and ``killed`` are (n,) requests; ``balance`` is the largest
    mismatch of the books relative to what was offered [1].
    """

    time: Array
    number: Array
    flow: Array
    inflow: Array
    admitted_share: Array
    variance: Array
    response: Array
    service: Array
    offered: Array
    admitted: Array
    served: Array
    external: Array
    killed: Array
    balance: float
    steps: int
    repeated: int
    kills: tuple[tuple[float, int], ...] = ()
    interrupted: bool = False


class Recorder:
    """Collects rows of a run."""

    def __init__(self, model: Fluid, times: Array | None, stream: Callable[[Array, Array, Array], None] | None) -> None:
        self.stream, self.refine, self.n0, self.n = stream, model.refine, model.n0, model.n
        self.again = model.again
        self.times = np.zeros(0) if times is None else np.ascontiguousarray(times, np.float64)
        self.size = BLOCK if times is None else max(min(BLOCK, self.times.size), 1)
        self.done: list[tuple[Array, Array]] = []
        self._open()

    def _open(self) -> None:
        self.filled, self.stamp, self.block = 0, np.empty(self.size), np.empty((7, self.size, self.n))

    def room(self) -> tuple[Array, Array]:
        """Return where the next rows go: times (r,), and (7, r, n) with as yet unused rows at the end."""
        if self.filled == self.size:
            self._hand_on()
        return self.stamp, self.block

    def _hand_on(self) -> None:
        if not self.filled:
            return
        stamp, block = self.stamp[: self.filled], self.block[:, : self.filled]
        self.done.append((stamp, block))
        if self.stream is not None:
            number = block[0].reshape(stamp.size, self.refine, self.n0).sum(axis=1)
            self.stream(stamp.copy(), number, block[1][:, -self.n0 :].copy())
        self._open()

    def rows(self) -> list[Array]:
        """Return all rows: times, numbers, flows, inflows, shares admitted, variances, responses, services."""
        self._hand_on()
        if len(self.done) == 1:
            return [self.done[0][0], *self.done[0][1]]
        columns = (np.concatenate([block[k] for _, block in self.done]) for k in range(7))
        return [np.concatenate([stamp for stamp, _ in self.done]), *columns]
