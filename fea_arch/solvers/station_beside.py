"""A station of a closed network on a tape: its rates, what is behind it, and what it serves besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fea_arch.kernels.shared_tables import pull_beside, see_beside
from fea_arch.solvers.network import Array
from fea_arch.solvers.reverse_tape import Tape, Value

if TYPE_CHECKING:
    from fea_arch.solvers.pool_inputs import CrowdValue
    from fea_arch.solvers.pool_subsystem import Solved

__all__ = ["StationValue", "put_beside_value"]

Back = Callable[[Array], None]


@dataclass(eq=False)
class StationValue:
    """Rates (None for a delay), the requests ``slots`` from which the rest waits, and the pool behind it.

    Beside load of others ``number`` (t, k) has what is behind, ``queue`` (k,) how many wait, by the number of the
    population there.
    """

    component: int
    rates: Value | None
    slots: Value
    inner: Solved | None
    number: Value | None = None
    queue: Value | None = None

    def names(self) -> list[int]:
        """Return the components behind the station, itself last."""
        if self.inner is None:
            return [self.component]
        return [*self.inner.component, self.component]

    def behind(self, population: int) -> tuple[Array, list[int], Back | None]:
        """Return the mean numbers behind the station with 0 .. population there, by :meth:`names`."""
        count = np.arange(population + 1.0)
        names, number, inner = self.names(), self.number, self.inner
        if inner is None:
            return count[None, :].astype(float), names, None
        if number is not None:

            def back_number(g: Array) -> None:
                number.g[:, : population + 1] += g

            return number.v[:, : population + 1], names, back_number
        last = inner.number.v.shape[1] - 1
        place = np.minimum(count, last).astype(np.int64)
        values = np.concatenate([inner.number.v[:, place], self._over(count)[None, :]])
        low = min(population, last)

        def back(g: Array) -> None:
            inner.number.g[:, : low + 1] += g[:-1, : low + 1]
            inner.number.g[:, low] += g[:-1, low + 1 :].sum(axis=1)
            self.slots.g -= float(g[-1] @ np.heaviside(count - self.slots.v, 0.5))

        return values, names, back

    def _over(self, count: Array) -> Array:
        return np.asarray(np.maximum(count - self.slots.v, 0.0))

    def waiting(self, population: int) -> tuple[Array, Back | None]:
        """Return how many wait with 0 .. population there, (1, population + 1)."""
        count = np.arange(population + 1.0)
        queue = self.queue
        if queue is not None:

            def back_queue(g: Array) -> None:
                queue.g[: population + 1] += g[0]

            return queue.v[None, : population + 1], back_queue

        def back(g: Array) -> None:
            self.slots.g -= float(g[0] @ np.heaviside(count - self.slots.v, 0.5))

        return self._over(count)[None, :], back


def put_beside_value(
    tape: Tape, station: StationValue, load: Value, population: int, crowd: CrowdValue | None
) -> None:
    """Let a station serve others as well, as :func:`fea_arch.solvers.shared_stations.put_beside`."""
    rates, slots, inner = station.rates, station.slots, station.inner
    assert rates is not None
    top = float(rates.v[-1])
    most = top * (1.0 - 1e-9)
    background = min(load.v, most)
    size = rates.v.size
    if crowd is None:
        limit = int(min(4000, size + population + 40.0 / max(1.0 - background / top, 1e-3)))
        room = Value(np.ones(1))
    else:
        limit, room = crowd.bound, crowd.room(tape)
    apart = bool(crowd is not None and crowd.apart)
    again = station.queue
    number = station.number
    if again is None:  # the rest of a pool waits in front of it
        tables = inner.number.v if inner is not None else np.zeros((0, 1))
        free = slots.v
    else:
        tables = again.v[None, :] if number is None else np.concatenate([number.v, again.v[None, :]])
        free = np.inf
    work = np.empty(limit + 1)
    seen = tape.value(np.empty(population))
    means, waits = np.empty((tables.shape[0], population + 1)), np.empty(population + 1)
    see_beside(rates.v, background, room.v, crowd is not None, apart, limit, tables, free, work, seen.v, means, waits)
    behind: Value | None = None
    if again is None:
        queue = tape.value(waits)
        if inner is not None:
            behind = tape.value(np.concatenate([means, waits[None, :]]))
    else:
        queue = tape.value(means[-1].copy())
        if number is not None:
            behind = tape.value(means[:-1].copy())

    def back() -> None:
        by_waits = np.zeros(population + 1)
        by_means = np.zeros_like(means)
        if again is None:
            by_waits += queue.g
            if behind is not None:
                by_waits += behind.g[-1]
                by_means += behind.g[:-1]
        else:
            by_means[-1] += queue.g
            if behind is not None:
                by_means[:-1] += behind.g
        if not (seen.g.any() or by_waits.any() or by_means.any()):
            return
        by_tables, by_room = np.zeros_like(tables), np.zeros(room.v.size)
        by_load, by_slots = pull_beside(
            rates.v, background, room.v, crowd is not None, apart, limit, tables, free, work, seen.g, by_means,
            by_waits, np.empty(limit + 1), np.zeros(population + limit + 1), rates.g, by_room, by_tables,
        )  # fmt: skip
        room.g += by_room
        if load.v < most:
            load.g += by_load / background
        else:
            rates.g[-1] += by_load / top
        if again is None:
            slots.g += by_slots
            if inner is not None:
                inner.number.g += by_tables
        else:
            again.g += by_tables[-1]
            if number is not None:
                number.g += by_tables[:-1]

    tape.step(back)
    station.rates, station.queue, station.number = seen, queue, behind
