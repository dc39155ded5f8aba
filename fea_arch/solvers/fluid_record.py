"""Records of a fluid run: every step, or given times by cubic interpolation inside the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

    def __init__(
        self, model: Fluid, march: Any, times: Array | None, stream: Callable[[Array, Array, Array], None] | None
    ) -> None:
        self.march, self.stream, self.refine, self.n0 = march, stream, model.refine, model.n0
        s = model.state
        self.live = (s["number"], s["flow"], march.inflow, march.admitted, s["variance"], s["response"], march.service)
        self.times = None if times is None else np.ascontiguousarray(times, np.float64)
        self.next = 0
        self.now: list[Any] = []
        self.done: list[list[Array]] = []

    def begin(self, t: float) -> None:
        """Record the state at the start of a smooth stretch."""
        if self.times is None:
            self._keep(t, [a.copy() for a in self.live])
        elif self.next == 0 and self.times[0] <= t:
            self._keep(t, [a.copy() for a in self.live])
            self.next = 1

    def add(self, before: float, t: float) -> None:
        """Record a step."""
        if self.times is None:
            self._keep(t, [a.copy() for a in self.live])
            return
        while self.next < self.times.size and self.times[self.next] <= t * (1.0 + 1e-12):
            x = min(max((float(self.times[self.next]) - before) / (t - before), 0.0), 1.0)
            self._keep(float(self.times[self.next]), self._between(x, t - before))
            self.next += 1

    def _between(self, x: float, step: float) -> list[Array]:
        """Hermite cubic for the numbers, a straight line where that leaves the range of the step and for flows."""
        n0, n1, f0, f2, y0, i0, a0 = self.march.work[:7]
        change = n1 - n0
        straight = n0 + x * change
        curve = straight + x * (1.0 - x) * ((1.0 - x) * (step * f0 - change) - x * (step * f2 - change))
        room = 0.1 * np.abs(change)
        inside = (curve >= np.minimum(n0, n1) - room) & (curve <= np.maximum(n0, n1) + room)
        _, flow, inflow, admitted, variance, response, service = self.live
        return [
            np.where(inside, curve, straight), y0 + x * (flow - y0), i0 + x * (inflow - i0),
            a0 + x * (admitted - a0), variance.copy(), response.copy(), service.copy(),
        ]  # fmt: skip

    def _keep(self, t: float, row: list[Array]) -> None:
        self.now.append((t, *row))
        if len(self.now) >= BLOCK:
            self._hand_on()

    def _hand_on(self) -> None:
        if not self.now:
            return
        block = [np.array(column) for column in zip(*self.now)]
        self.now = []
        self.done.append(block)
        if self.stream is not None:
            number = block[1].reshape(block[0].size, self.refine, self.n0).sum(axis=1)
            self.stream(block[0].copy(), number, block[2][:, -self.n0 :].copy())

    def rows(self) -> list[Array]:
        """Return all rows: times, numbers, flows, inflows, shares admitted, variances, responses, services."""
        self._hand_on()
        return [np.concatenate([block[k] for block in self.done]) for k in range(8)]
