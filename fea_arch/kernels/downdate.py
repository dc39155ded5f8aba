"""Quasi-static fracture on a living factor: rank-one downdates along the elimination tree.

The load is one more row ``y`` of the factor, ``L D y = f``: taking an element out changes ``L``, ``D`` and ``y``
along one path of the tree, and ``u = L^-T y`` needs a single backward substitution. Downdate: Gill, Golub, Murray and
Saunders, Math. Comp. 28 (1974) 505, method C1; sparse path: Davis and Hager, SIAM J. Matrix Anal. Appl. 20 (1999)
606; its use for fuse networks: Nukala and Simunovic, J. Phys. A 36 (2003) 11403. All numbers of nodes are places in elimination order,
``n`` stands for a held node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["break_elements", "forward_load", "share_locally"]


@kernel(work=lambda l_pointer, l_row, *rest: 3.0 * l_row.size + 5.0 * l_pointer.size)
def forward_load(l_pointer: Any, l_row: Any, l_value: Any, d: Any, load: Any) -> Any:
    """Return the load row ``y = D^-1 L^-1 load``, (n,) float64."""
    n = d.size
    y = load.copy()
    for k in range(n):
        yk = y[k]
        if yk != 0.0:
            for p in range(l_pointer[k], l_pointer[k + 1]):
                y[l_row[p]] -= l_value[p] * yk
    for k in range(n):
        y[k] /= d[k]
    return y


@kernel(work=lambda *a: min(float(a[22]), 50.0) * (2.0 * a[1].size + 12.0 * a[7].size + 5.0 * a[3].size))
def break_elements(
    l_pointer: Any, l_row: Any, l_value: Any, d: Any, parent: Any, y: Any, u: Any,
    tail: Any, tip: Any, stiffness: Any, weakness: Any, offset: Any, name: Any, living: int,
    row_pointer: Any, row_node: Any, row_value: Any, bars: bool, least_work: float,
    sequence: Any, factor: Any, work: Any, limit: int,
) -> Any:
    """Break elements one at a time, always the one with the largest ``|force| / strength``.

    Parameters
    ----------
    l_pointer, l_row, l_value, d, parent : ndarray
        Factor and elimination tree, updated in place.
    y, u : (n,), (n + 1,) float64
        Load row, updated; displacement, written (``u[n]`` is 0).
    tail, tip : (m,) int32
        Nodes of bar ``name[e]``; unused for general rows.
    stiffness, weakness, offset : (m,) float64
        Stiffness, 1/strength and elongation due to held nodes of element ``name[e]``.
    name : (m,) int32
        Element number; the arrays are kept dense, in ascending order of ``name``.
    living : int
        How many of the m entries are in use.
    row_pointer, row_node, row_value : ndarray
        Compatibility rows on free nodes, by element number.
    bars : bool
        Whether every row is a two-node bar.
    least_work : float
        Stop when the work done by prescribed displacements falls below this; negative under load control.
    sequence, factor, work : (>= limit,)
        Written: broken element, load factor, twice the strain energy at load factor one.
    limit : int
        Breaks to do at most.

    Returns
    -------
    done, living, status : int
        Status 0: ``limit`` reached, 1: no element carries force, 2: the last break nearly cut a node off,
        3: the same, and the factor is lost, 4: the work fell below ``least_work``.
    """
    n = d.size
    w = np.zeros(n + 1, np.float64)
    done = 0
    dead = 0
    while done < limit:
        u[n] = 0.0
        energy = 0.0
        for k in range(n - 1, -1, -1):
            total = y[k]
            energy += d[k] * total * total
            for p in range(l_pointer[k], l_pointer[k + 1]):
                total -= l_value[p] * u[l_row[p]]
            u[k] = total
        largest = 0.0
        chosen = -1
        reaction = 0.0
        for e in range(living):
            if bars:
                q = u[tail[e]] - u[tip[e]] + offset[e]
            else:
                q = offset[e]
                for p in range(row_pointer[name[e]], row_pointer[name[e] + 1]):
                    q += row_value[p] * u[row_node[p]]
            q *= stiffness[e]
            reaction += q * offset[e]
            ratio = abs(q) * weakness[e]
            if ratio > largest:
                largest = ratio
                chosen = e
        if least_work >= 0.0:
            energy = reaction
            if energy <= least_work:
                return done, living, 4
        if chosen < 0:
            return done, living, 1
        element = name[chosen]
        sequence[done] = element
        factor[done] = 1.0 / largest
        work[done] = energy
        done += 1
        # take it out: K - k a a^T, and its share of the held displacements out of the load
        root = np.sqrt(stiffness[chosen])
        last = -root * offset[chosen]
        j = n
        for p in range(row_pointer[element], row_pointer[element + 1]):
            w[row_node[p]] += root * row_value[p]
            j = min(j, row_node[p])
        stiffness[chosen] = 0.0
        dead += 1
        alpha = -1.0
        thinnest = 1.0
        while j >= 0 and j < n:
            step = w[j]
            w[j] = 0.0
            before = d[j]
            after = before + alpha * step * step
            if not after > 1e-14 * before:
                return done, living, 3
            thinnest = min(thinnest, after / before)
            beta = alpha * step / after
            alpha *= before / after
            d[j] = after
            for p in range(l_pointer[j], l_pointer[j + 1]):
                i = l_row[p]
                wi = w[i] - step * l_value[p]
                w[i] = wi
                l_value[p] += beta * wi
            last -= step * y[j]
            y[j] += beta * last
            j = parent[j]
        if 16 * dead > living:
            put = 0
            for e in range(living):
                if stiffness[e] > 0.0:
                    tail[put] = tail[e]
                    tip[put] = tip[e]
                    stiffness[put] = stiffness[e]
                    weakness[put] = weakness[e]
                    offset[put] = offset[e]
                    name[put] = name[e]
                    put += 1
            living = put
            dead = 0
        if thinnest < 1e-8:
            return done, living, 2
    return done, living, 0


@kernel(work=lambda strength, sequence, factor: 10.0 * strength.size * strength.size)
def share_locally(strength: Any, sequence: Any, factor: Any) -> None:
    """Break a ring of fibres under local load sharing, weakest of ``strength / (1 + (l + r) / 2)`` first.

    ``l`` and ``r`` are the numbers of adjacent broken fibres on either side. ``factor`` is the load on each fibre of
    the intact ring at which the break happens.
    """
    n = strength.size
    intact = np.ones(n, np.bool_)
    left = np.zeros(n, np.int64)
    right = np.zeros(n, np.int64)
    for done in range(n):
        best = np.inf
        chosen = -1
        for i in range(n):
            if intact[i]:
                load = strength[i] / (1.0 + 0.5 * (left[i] + right[i]))
                if chosen < 0 or load < best:
                    best = load
                    chosen = i
        sequence[done] = chosen
        factor[done] = best
        intact[chosen] = False
        gap = left[chosen] + right[chosen] + 1
        right[(chosen - left[chosen] - 1) % n] = gap
        left[(chosen + right[chosen] + 1) % n] = gap
