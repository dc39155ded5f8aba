"""Cycles of calls that feed themselves: found, and scaled so that the load they carry has an end.

Around a cycle of components the calls multiply. Where the largest eigenvalue of the call matrix of a strongly connected
group reaches one, no arrival rate above zero has an equilibrium. Measured calls cannot do that; declared start-up
orders and assumed calls can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Finding

__all__ = ["groups_of", "limit_gain", "source_groups"]

_DENSE = 400


def groups_of(n: int, source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the strongly connected group of each component, (n,) int64."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    links = csr_matrix((np.ones(len(source), np.int8), (source, target)), shape=(n, n))
    return np.asarray(connected_components(links, directed=True, connection="strong")[1], np.int64)


def source_groups(n: int, source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one component of each group that nothing outside it calls: where load must enter, (k,) int64."""
    group = groups_of(n, source, target)
    called = np.zeros(int(group.max()) + 1 if n else 0, np.bool_)
    outside = group[source] != group[target]
    called[group[target[outside]]] = True
    first = np.full(called.size, n, np.int64)
    np.minimum.at(first, group, np.arange(n))
    return np.sort(first[~called])


def limit_gain(
    names: Sequence[str],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    calls: NDArray[np.float64],
    *,
    largest: float = 0.5,
    allowed: float = 1.0 - 1e-9,
) -> tuple[NDArray[np.float64], list[Finding]]:
    """Scale the calls inside every group whose gain is ``allowed`` or more down to the gain ``largest``.

    Parameters
    ----------
    names : sequence of str
        Component names.
    source, target : (n_edges,) int64
        Component numbers.
    calls : (n_edges,) float64
        Calls per request.
    largest, allowed : float
        Gain after scaling, and gain from which a group is scaled [1].

    Returns
    -------
    calls : (n_edges,) float64
    findings : list of Finding
        One per scaled group.

    Examples
    --------
    >>> calls, notes = limit_gain(["a", "b"], np.array([0, 1]), np.array([1, 0]), np.ones(2))
    >>> float(calls[0] * calls[1]), len(notes)
    (0.25, 1)
    """
    live = calls > 0
    group = groups_of(len(names), source[live], target[live])
    inner = np.flatnonzero(live & (group[source] == group[target]))
    calls = calls.copy()
    found: list[Finding] = []
    if not inner.size:
        return calls, found
    order = inner[np.argsort(group[source[inner]], kind="stable")]
    for edges in np.split(order, np.flatnonzero(np.diff(group[source[order]])) + 1):
        gain = _gain(source[edges], target[edges], calls[edges])
        if gain < allowed:
            continue
        calls[edges] *= largest / gain
        members = [names[i] for i in np.unique(source[edges])]
        shown = ", ".join(members[:5]) + (" ..." if len(members) > 5 else "")
        found.append(
            Finding(
                "warning",
                f"calls go in a circle ({shown}) and multiply {gain:.3g} times each round, which no load survives: "
                f"its {len(edges)} calls are scaled to a gain of {largest:g}",
                members[0],
                "calls",
                "state how often each call really happens, or remove the dependency",
                count=len(edges),
            )
        )
    return calls, found


def _gain(source: NDArray[np.int64], target: NDArray[np.int64], calls: NDArray[np.float64]) -> float:
    """Return the largest eigenvalue of the call matrix of one group."""
    members, ends = np.unique(np.concatenate([source, target]), return_inverse=True)
    a, b, n = ends[: len(source)], ends[len(source) :], len(members)
    if n <= _DENSE:
        matrix = np.zeros((n, n))
        np.add.at(matrix, (a, b), calls)
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    # power iteration on (I + P)/2, which has no second eigenvalue of the same size as the largest
    x = np.ones(n)
    value = 0.0
    for _ in range(500):
        y = 0.5 * (x + np.bincount(b, weights=calls * x[a], minlength=n))
        last, value = value, float(np.linalg.norm(y) / np.linalg.norm(x))
        x = y / np.linalg.norm(y)
        if abs(value - last) <= 1e-12 * value:
            break
    return 2.0 * value - 1.0
