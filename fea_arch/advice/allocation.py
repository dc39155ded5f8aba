"""Allocations with a closed form or a proof: square-root capacities, fully stressed servers, integer choice."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["choose_levels", "fully_stressed", "square_root_capacities"]

Array = NDArray[np.float64]


def square_root_capacities(work: ArrayLike, flow: ArrayLike, budget: float, cost: ArrayLike | None = None) -> Array:
    """Return the capacities of single servers that minimise the mean response at a given budget.

    ``c_i = a_i + sqrt(a_i d_i / ...)`` of Kleinrock (1964): the work that arrives plus a share of what is left in
    proportion to ``sqrt(work cost)``.

    Parameters
    ----------
    work : (n,) float
        Work per request [units].
    flow : (n,) float
        Requests [1/s].
    budget : float
        Sum of ``cost x capacity``.
    cost : (n,) float, optional
        Cost per capacity; default 1.

    Returns
    -------
    (n,) float64
        Capacities [units/s].

    Examples
    --------
    >>> square_root_capacities([1.0, 1.0], [1.0, 4.0], 8.0).tolist()
    [2.0, 6.0]
    """
    s, q = np.asarray(work, float), np.asarray(flow, float)
    d = np.ones(s.size) if cost is None else np.asarray(cost, float)
    load = s * q
    left = budget - float(d @ load)
    share = np.sqrt(load * d)
    return np.asarray(load + left * share / (d * share.sum()), float)


def fully_stressed(offered: ArrayLike, limit: float) -> NDArray[np.int64]:
    """Return the fewest servers with which no component is beyond a utilisation limit.

    Parameters
    ----------
    offered : (n,) float
        Busy servers of each component [1].
    limit : float
        Highest utilisation, below 1.

    Examples
    --------
    >>> fully_stressed([0.5, 3.0], 0.75).tolist()
    [1, 4]
    """
    return np.maximum(np.ceil(np.asarray(offered, float) / limit - 1e-9), 1).astype(np.int64)


def choose_levels(gain: list[Array], cost: list[Array], need: float) -> list[int] | None:
    """Choose one level for each part so that the gains reach ``need`` at the least cost, provably.

    A 0/1 programme (one binary for each part and level), solved to optimality by branch and bound.

    Parameters
    ----------
    gain, cost : lists of (n_levels,) float64
        Of each level of each part; level 0 is as it is.
    need : float
        Sum of gains that is asked for.

    Returns
    -------
    list of int or None
        Level of each part; None where the highest levels are not enough.

    Examples
    --------
    >>> import numpy as np
    >>> choose_levels([np.array([0.0, 2.0, 3.0]), np.array([0.0, 2.5])], [np.arange(3.0), np.array([0.0, 1.0])], 4.0)
    [1, 1]
    """
    if math.fsum(float(g.max()) for g in gain) < need:
        return None
    from scipy.optimize import Bounds, LinearConstraint, milp

    sizes = [g.size for g in gain]
    n = sum(sizes)
    one = np.zeros((len(gain), n))
    start = 0
    for k, size in enumerate(sizes):
        one[k, start : start + size] = 1.0
        start += size
    top = max(abs(need), 1e-300)
    found = milp(
        np.concatenate(cost),
        constraints=[
            LinearConstraint(one, 1.0, 1.0),
            LinearConstraint(np.concatenate(gain)[None, :] / top, need / top + 1e-9, np.inf),
        ],
        integrality=np.ones(n, np.int64),
        bounds=Bounds(0.0, 1.0),
    )
    if found.x is None:
        return None
    out, start = [], 0
    for size in sizes:
        out.append(int(np.argmax(found.x[start : start + size])))
        start += size
    return out
