"""Which components of the fluid model are stepped side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fea_arch.kernels.fluid_lanes import LANES
from fea_arch.solvers.fluid import Fluid

__all__ = ["side_by_side"]

#: Components from which on blocks pay for their kernels, which are compiled apart from those for one at a time.
MANY = 2000
#: Places in blocks for one that is taken, up to which blocks are quicker.
ROOM = 1.3


def side_by_side(model: Fluid) -> NDArray[np.int64]:
    """Return blocks of components that do not call each other, as places in the order of the pass, callers first.

    Components of a block have the same longest chain of calls before them and, as far as possible, as many calls of
    their own. None at all where there are too few, or where too many places would stay empty.

    Returns
    -------
    (blocks * LANES,) int64
        Place in ``model.order`` of each lane, or -1.
    """
    n = model.n
    none = np.zeros(0, np.int64)
    if n < MANY or model.level is None:
        return none
    level = (model.level[:, None] * model.refine + np.arange(model.refine)).T.ravel()[model.order]
    degree = np.diff(model.out_ptr)[model.order]
    sorts = np.lexsort((model.row[model.order], degree, level))
    level = level[sorts]
    size = np.bincount(level)
    start = np.cumsum(np.concatenate([[0], -(-size // LANES) * LANES]))
    lane = start[level] + np.arange(n) - np.searchsorted(level, level)
    who = np.full(int(start[-1]), -1, np.int64)
    who[lane] = sorts
    calls = np.zeros(who.size, np.int64)
    calls[lane] = degree[sorts]
    places = LANES * int(calls.reshape(-1, LANES).max(axis=1).sum())
    return who if who.size <= ROOM * n and places <= ROOM * model.m + n else none
