"""Quasi-static fracture on a living factor: rank-one downdates along the elimination tree.

The load is one more row ``y`` of the factor, ``L D y = f``: taking an element out changes ``L``, ``D`` and ``y``
along one path of the tree, and ``u = L^-T y`` needs a single backward substitution. Downdate: Gill, Golub, Murray and
Saunders, Math. Comp. 28 (1974) 505, method C1; sparse path: Davis and Hager, SIAM J. Matrix Anal. Appl. 20 (1999)
606; its use for fuse networks: Nukala and Simunovic, J. Phys. A 36 (2003) 11403. The factor is stored in panels, see
:mod:`fea_arch.kernels.supernodes`. All numbers of nodes are places in elimination order, ``n`` stands for a held node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["back_substitute", "break_elements"]


@subroutine(reassociate=True)
def _four(a: Any, b: Any, c: Any, d: Any, x: Any) -> Any:
    """Return the scalar products of four vectors with one."""
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    for i in range(x.size):
        xi = x[i]
        s0 += a[i] * xi
        s1 += b[i] * xi
        s2 += c[i] * xi
        s3 += d[i] * xi
    return s0, s1, s2, s3


@subroutine(reassociate=True)
def _dot(a: Any, x: Any) -> float:
    """Return a scalar product."""
    s = 0.0
    for i in range(x.size):
        s += a[i] * x[i]
    return s


@subroutine
def _substitute(begin: int, stop: int, rows: Any, column: Any, value: Any, y: Any, u: Any, x: Any) -> None:
    """Write ``u`` on the columns ``begin .. stop - 1`` of a panel, from what it is on the panel's rows."""
    wide = stop - begin
    high = rows.size
    for t in range(high):
        x[wide + t] = u[rows[t]]
    size = wide + high
    j = wide
    while j >= 4:
        j -= 4
        long = size - j - 4
        p0 = column[begin + j]
        p1 = column[begin + j + 1]
        p2 = column[begin + j + 2]
        p3 = column[begin + j + 3]
        s0, s1, s2, s3 = _four(
            value[p0 + 3 : p0 + 3 + long], value[p1 + 2 : p1 + 2 + long], value[p2 + 1 : p2 + 1 + long],
            value[p3 : p3 + long], x[j + 4 : size],
        )  # fmt: skip
        x3 = y[begin + j + 3] - s3
        x2 = y[begin + j + 2] - s2 - value[p2] * x3
        x1 = y[begin + j + 1] - s1 - value[p1 + 1] * x3 - value[p1] * x2
        x0 = y[begin + j] - s0 - value[p0 + 2] * x3 - value[p0 + 1] * x2 - value[p0] * x1
        x[j] = x0
        x[j + 1] = x1
        x[j + 2] = x2
        x[j + 3] = x3
        u[begin + j] = x0
        u[begin + j + 1] = x1
        u[begin + j + 2] = x2
        u[begin + j + 3] = x3
    while j > 0:
        j -= 1
        p0 = column[begin + j]
        x[j] = y[begin + j] - _dot(value[p0 : p0 + size - j - 1], x[j + 1 : size])
        u[begin + j] = x[j]


@kernel(work=lambda first, row_pointer, row, column, value, y: 2.0 * value.size + 20.0 * y.size)
def back_substitute(first: Any, row_pointer: Any, row: Any, column: Any, value: Any, y: Any) -> Any:
    """Return ``L^-T y`` from the panels, (n,) float64 in elimination order."""
    u = np.empty(y.size, np.float64)
    x = np.empty(y.size, np.float64)
    for s in range(first.size - 2, -1, -1):
        _substitute(first[s], first[s + 1], row[row_pointer[s] : row_pointer[s + 1]], column, value, y, u, x)
    return u


@subroutine
def _turn(w: Any, column: Any, step: float, beta: float) -> None:
    """Downdate consecutive rows of a column of L together with the carried vector."""
    for t in range(column.size):
        value = w[t] - step * column[t]
        w[t] = value
        column[t] += beta * value


@subroutine
def _turn_panel(
    begin: int, stop: int, high: int, column: Any, value: Any, d: Any, y: Any, x: Any, state: Any
) -> None:
    """Downdate the columns ``begin .. stop - 1`` of a panel with ``high`` rows, with ``x`` carried along.

    ``state`` is (alpha, last entry of the load row, column that would become singular or -1).
    """
    wide = stop - begin
    size = wide + high
    for t in range(wide):
        step = x[t]
        if step == 0.0:
            continue
        k = begin + t
        before = d[k]
        after = before + state[0] * step * step
        if not after > 1e-8 * before:
            state[2] = k
            break
        beta = state[0] * step / after
        state[0] *= before / after
        d[k] = after
        p = column[k]
        _turn(x[t + 1 : size], value[p : p + size - t - 1], step, beta)
        state[1] -= step * y[k]
        y[k] += beta * state[1]


@subroutine
def _width(rows: Any, u: Any, known: Any, grounded: bool) -> float:
    """Return the width of the range of displacement changes on a boundary since they were noted."""
    low = 0.0
    high = 0.0
    if not grounded and rows.size > 0:
        low = u[rows[0]] - known[0]
        high = low
    for t in range(rows.size):
        change = u[rows[t]] - known[t]
        low = min(low, change)
        high = max(high, change)
    return high - low


@subroutine
def _push(key: Any, item: Any, size: int, value: float, entry: int) -> None:
    """Put an entry on a heap of ``size`` entries, the largest key at its root."""
    i = size
    while i > 0:
        up = (i - 1) // 2
        if key[up] >= value:
            break
        key[i] = key[up]
        item[i] = item[up]
        i = up
    key[i] = value
    item[i] = entry


@subroutine
def _pop(key: Any, item: Any, size: int) -> None:
    """Take the root off a heap of ``size`` entries."""
    size -= 1
    value = key[size]
    entry = item[size]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and key[down + 1] > key[down]:
            down += 1
        if key[down] <= value:
            break
        key[i] = key[down]
        item[i] = item[down]
        i = down
    key[i] = value
    item[i] = entry


@subroutine
def _take_out(
    start: int, w: Any, root_offset: float, first: Any, panel: Any, above: Any, row_pointer: Any, row: Any,
    column: Any, value: Any, d: Any, y: Any, x: Any, block: Any, stale: Any,
) -> Any:
    """Subtract ``w w^T`` from the factored matrix and ``root_offset w`` from its load, from column ``start`` on.

    ``w`` (n + 1,) is zero again afterwards. Returns the state of :func:`_turn_panel`; what comes before a column that
    would become singular is changed already.
    """
    state = np.array([-1.0, root_offset, -1.0])
    s = panel[start] if start < d.size else -1
    j = start
    while s >= 0:
        stop = first[s + 1]
        wide = stop - j
        begin = row_pointer[s]
        high = row_pointer[s + 1] - begin
        for t in range(wide):
            x[t] = w[j + t]
            w[j + t] = 0.0
        for t in range(high):
            x[wide + t] = w[row[begin + t]]
            w[row[begin + t]] = 0.0
        if state[2] < 0.0:
            _turn_panel(j, stop, high, column, value, d, y, x, state)
            for t in range(high):
                w[row[begin + t]] = x[wide + t]
        stale[block[s]] = True
        s = above[s]
        if s >= 0:
            j = first[s]
    return state


@subroutine
def _keep_path(
    s: int, above: Any, first: Any, column: Any, value: Any, d: Any, y: Any, to: Any, to_d: Any, to_y: Any, back: bool
) -> None:
    """Copy the panels from ``s`` to the root one after another, or back."""
    put = 0
    while s >= 0:
        a, b = first[s], first[s + 1]
        p, q = column[a], column[b]
        if back:
            value[p:q] = to[put : put + q - p]
            d[a:b], y[a:b] = to_d[a:b], to_y[a:b]
        else:
            to[put : put + q - p] = value[p:q]
            to_d[a:b], to_y[a:b] = d[a:b], y[a:b]
        put += q - p
        s = above[s]


@kernel(work=lambda *a: min(float(a[-1]), 50.0) * (2.0 * a[6].size + 12.0 * a[11].size + 5.0 * a[7].size))
def break_elements(
    first: Any, panel: Any, above: Any, row_pointer: Any, row: Any, column: Any, value: Any, d: Any, y: Any, u: Any,
    corner: Any, tail: Any, tip: Any, stiffness: Any, slack: Any, offset: Any,
    end_pointer: Any, end_node: Any, end_value: Any, bars: bool, least_work: float,
    block: Any, panel_pointer: Any, panel_list: Any, top: Any, child_pointer: Any, child: Any, grounded: Any,
    class_pointer: Any, element_list: Any, ceiling: Any, known: Any, highest: Any, stale: Any,
    sequence: Any, factor: Any, work: Any, limit: int,
) -> Any:
    """Break elements one at a time, always the one with the largest ``|force| / strength``.

    The elimination tree is cut into blocks. A break changes the factor on one path only; in the subtree of a block that
    the path misses, displacement changes lie within the range of the changes on its boundary (maximum principle of a
    graph matrix). So the ratio of an element there is at most its old one plus ``k / strength`` times the width of that
    range: a block whose bound is below the largest ratio found is not evaluated, and blocks are taken in the order of
    their bounds. The bound is kept for classes of elements with similar ``k / strength``. The choice stays exact.

    Parameters
    ----------
    first, panel, above, row_pointer, row, column, value, d : ndarray
        Factor in panels, updated in place (see :mod:`fea_arch.kernels.supernodes`).
    y, u : (n,), (n + 1,) float64
        Load row, updated; displacement, written where it was needed (``u[n]`` is 0).
    corner : (1,) float64
        Pivot of the load row, updated: work of held displacements, or minus the work of the load.
    tail, tip : (m,) int32
        Nodes of each bar, in the order of ``element_list``; unused for general rows.
    stiffness, slack, offset : (m,) float64
        Stiffness, stiffness / strength (0: broken), elongation due to held nodes, in the order of ``element_list``.
    end_pointer, end_node, end_value, bars : ndarray, bool
        Compatibility rows on free nodes, by element number; whether all are two-node bars: only then may blocks be
        left out.
    least_work : float
        Stop when the work done by held displacements falls below this; negative under load control.
    block, panel_pointer, panel_list, top : ndarray
        Block of each panel, panels of each block, last first, and its highest: whose rows are the block's boundary.
    child_pointer, child, grounded : ndarray
        Blocks below each block, after those of all blocks the roots; whether a subtree has an element to a held node.
    class_pointer, element_list, ceiling : (n_blocks * n_classes + 1,), (m,) int32, (n_classes,) float64
        Element numbers by block and, within it, by class; largest stiffness / strength of each class.
    known, highest : (n_rows,), (n_blocks, n_classes) float64
        Displacements on the boundaries when the block was last evaluated, bounds of the ratios in its subtree then.
    stale : (n_blocks,) bool
        Blocks that must be evaluated, all at the first call; updated.
    sequence, factor, work : (>= limit,)
        Written: broken element, load factor, twice the strain energy at load factor one.
    limit : int
        Breaks to do at most.

    Returns
    -------
    done, status : int
        Status 0: ``limit`` reached, 1: no element carries force, 2: the last break cut a node off or nearly so; under a
        load the factor is then as before that break, 4: the work fell below ``least_work``.
    """
    n = d.size
    blocks = top.size
    classes = ceiling.size
    w, x = np.zeros(n + 1, np.float64), np.empty(n + 1, np.float64)
    own = np.zeros((blocks, classes), np.float64)
    shift = np.zeros(blocks, np.float64)
    heap_key, heap_block = np.empty(blocks + 1, np.float64), np.empty(blocks + 1, np.int64)
    seen = np.empty(blocks, np.int64)
    spare = np.empty(value.size if least_work < 0.0 else 0, np.float64)
    spare_d = np.empty(n, np.float64)
    spare_y = np.empty(n, np.float64)
    done = 0
    u[n] = 0.0
    while done < limit:
        energy = corner[0] if least_work >= 0.0 else -corner[0]
        if least_work >= 0.0 and energy <= least_work:
            return done, 4
        largest = 0.0
        chosen = -1
        evaluated = 0
        waiting = 0
        b = blocks
        while True:
            for q in range(child_pointer[b], child_pointer[b + 1]):
                c = child[q]
                bound = np.inf
                if bars and not stale[c]:
                    p0 = row_pointer[top[c]]
                    p1 = row_pointer[top[c] + 1]
                    shift[c] = _width(row[p0:p1], u, known[p0:p1], grounded[c])
                    bound = 0.0
                    for g in range(classes):
                        bound = max(bound, highest[c, g] + ceiling[g] * shift[c])
                if bound > largest * (1.0 - 1e-9):
                    _push(heap_key, heap_block, waiting, bound, c)
                    waiting += 1
            if waiting == 0 or heap_key[0] <= largest * (1.0 - 1e-9):
                break
            b = heap_block[0]
            _pop(heap_key, heap_block, waiting)
            waiting -= 1
            seen[evaluated] = b
            evaluated += 1
            shift[b] = 0.0
            for p in range(row_pointer[top[b]], row_pointer[top[b] + 1]):
                known[p] = u[row[p]]
            for q in range(panel_pointer[b], panel_pointer[b + 1]):
                s = panel_list[q]
                _substitute(
                    first[s], first[s + 1], row[row_pointer[s] : row_pointer[s + 1]], column, value, y, u, x
                )
            for g in range(classes):
                best = -np.inf
                for t in range(class_pointer[b * classes + g], class_pointer[b * classes + g + 1]):
                    if slack[t] == 0.0:
                        continue
                    stretch = offset[t]
                    if bars:
                        stretch += u[tail[t]] - u[tip[t]]
                    else:
                        e = element_list[t]
                        for p in range(end_pointer[e], end_pointer[e + 1]):
                            stretch += end_value[p] * u[end_node[p]]
                    ratio = abs(stretch) * slack[t]
                    if ratio > best:
                        best = ratio
                        if ratio > largest:
                            largest = ratio
                            chosen = t
                own[b, g] = best
        for i in range(evaluated - 1, -1, -1):  # children come before parents
            b = seen[i]
            stale[b] = False
            for g in range(classes):
                highest[b, g] = own[b, g]
            for q in range(child_pointer[b], child_pointer[b + 1]):
                c = child[q]
                for g in range(classes):
                    highest[b, g] = max(highest[b, g], highest[c, g] + ceiling[g] * shift[c])
        if chosen < 0:
            return done, 1
        element = element_list[chosen]
        sequence[done] = element
        factor[done] = 1.0 / largest
        work[done] = energy
        done += 1
        # take it out: K - k a a^T, and its share of the held displacements out of the load
        root = np.sqrt(stiffness[chosen])
        start = n
        for p in range(end_pointer[element], end_pointer[element + 1]):
            w[end_node[p]] += root * end_value[p]
            start = min(start, end_node[p])
        if least_work < 0.0 and start < n:  # under a load the break may be the end: keep the path of the factor
            _keep_path(panel[start], above, first, column, value, d, y, spare, spare_d, spare_y, False)
        state = _take_out(
            start, w, -root * offset[chosen], first, panel, above, row_pointer, row, column, value, d, y, x, block,
            stale,
        )
        if state[2] >= 0.0:
            if least_work < 0.0:
                _keep_path(panel[start], above, first, column, value, d, y, spare, spare_d, spare_y, True)
            return done, 2
        stiffness[chosen] = 0.0
        slack[chosen] = 0.0
        corner[0] += state[0] * state[1] * state[1]
    return done, 0
