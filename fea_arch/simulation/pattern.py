"""Load patterns and outages -> arrays of the event simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.architecture.loads import Outage

__all__ = ["mean_factor", "outages", "segments"]

#: Pieces of a load factor between its breakpoints; those that are linear already lose nothing.
PIECES = 4096


def segments(load: Callable[[float], float] | None, duration_s: float) -> NDArray[np.float64]:
    """Return a load factor as linear pieces: begin [s], length [s], factor at begin [1], slope [1/s].

    Raises
    ------
    ModelError
        If it is not callable, or returns something negative or not finite.
    """
    if load is None:
        return np.zeros((0, 4))
    if not callable(load):
        raise ModelError(f"is {load!r}", field="load", fix="fa.Burst, fa.Ramp, fa.Periodic, fa.Recorded or a callable")
    known: Sequence[float] = load.breakpoints() if hasattr(load, "breakpoints") else ()
    inner = [t for t in known if 0.0 < t < duration_s]
    grid = np.unique(np.concatenate([np.linspace(0.0, duration_s, PIECES + 1), inner]))
    begin, length = grid[:-1], np.diff(grid)
    # both ends are taken inside the piece, so that a jump at a breakpoint stays a jump
    low, high = begin + 1e-6 * length, begin + (1.0 - 1e-6) * length
    f, g = (_values(load, t) for t in (low, high))
    slope = (g - f) / (high - low)
    start = np.maximum(f - slope * (low - begin), 0.0)
    slope = np.maximum(slope, -start / length)
    return np.ascontiguousarray(np.column_stack([begin, length, start, slope]))


def _values(load: Callable[[float], Any], times: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.empty(len(times))
    for i, t in enumerate(times.tolist()):
        try:
            values[i] = float(load(t))
        except (TypeError, ValueError) as error:
            raise ModelError(f"returns no number at {t:g} s", field="load", fix="a factor of at least 0") from error
        if not 0.0 <= values[i] < np.inf:
            raise ModelError(f"is {values[i]!r} at {t:g} s", field="load", fix="a finite factor of at least 0")
    return values


def mean_factor(pieces: NDArray[np.float64]) -> float:
    """Return the mean load factor over all pieces [1]."""
    if not len(pieces):
        return 1.0
    area = pieces[:, 1] * (pieces[:, 2] + 0.5 * pieces[:, 3] * pieces[:, 1])
    return float(area.sum() / pieces[:, 1].sum())


def outages(
    arch: Architecture, events: Sequence[Outage], duration_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return outages as component numbers and (start, end, share).

    Raises
    ------
    ModelError
        Unknown components, things that are no outage, partial outages of one component that overlap.
    """
    from fea_arch.architecture.loads import Outage

    rows: list[tuple[int, float, float, float]] = []
    for event in events:
        if not isinstance(event, Outage):
            raise ModelError(f"{event!r} is not an Outage", field="events", fix="a list of fa.Outage")
        row = (arch.number(event.component), event.start_s, event.end_s, event.share)
        for other in rows:
            both = other[0] == row[0] and other[1] < row[2] and row[1] < other[2]
            if both and other[3] < 1.0 and row[3] < 1.0:
                raise ModelError("partial outages overlap", component=event.component, field="events")
        if event.start_s <= duration_s:
            rows.append(row)
    return (
        np.array([[r[0]] for r in rows], np.int64).reshape(-1, 1),
        np.array([r[1:] for r in rows], float).reshape(-1, 3),
    )
