"""Quasi-static fracture on a living factor: rank-one downdates along the elimination tree.

The load is one more row ``y`` of the factor, ``L D y = f``: taking an element out changes ``L``, ``D`` and ``y``
along one path of the tree, and ``u = L^-T y`` needs a single backward substitution. Downdate: Gill, Golub, Murray and
Saunders, Math. Comp. 28 (1974) 505, method C1; sparse path: Davis and Hager, SIAM J. Matrix Anal. Appl. 20 (1999)
606; its use for fuse networks: Nukala and Simunovic, J. Phys. A 36 (2003) 11403. All numbers of nodes are places in
elimination order, ``n`` stands for a held node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["break_elements", "forward_load", "leading_runs", "tree_blocks"]


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


@kernel(work=lambda parent, *rest: 30.0 * parent.size)
def tree_blocks(parent: Any, count: Any, least: float, ratio: float) -> Any:
    """Cut an elimination tree in postorder into blocks of comparable subtree size; return (block, top).

    Nodes of one block are connected and their subtrees' numbers of entries lie between ``least * ratio^l`` and
    ``least * ratio^(l + 1)``. ``block`` (n,) int32 is numbered children first, ``top`` (n_blocks,) is each block's
    highest node.
    """
    n = parent.size
    weight = np.empty(n, np.float64)
    for j in range(n):
        weight[j] = count[j] + 1.0
    for j in range(n):
        if parent[j] >= 0:
            weight[parent[j]] += weight[j]
    level = np.zeros(n, np.int32)
    top = np.empty(n, np.int64)
    opens = np.zeros(n, np.bool_)
    for j in range(n):
        size = weight[j]
        while size > least:
            size /= ratio
            level[j] += 1
    blocks = 0
    for j in range(n):
        if parent[j] < 0 or level[parent[j]] != level[j]:
            opens[j] = True
            top[blocks] = j
            blocks += 1
    block = np.empty(n, np.int32)
    number = blocks
    for j in range(n - 1, -1, -1):
        if opens[j]:
            number -= 1
            block[j] = number
        else:
            block[j] = block[parent[j]]
    return block, top[:blocks].copy()


@subroutine
def _dot(a: Any, b: Any) -> float:
    """Return the scalar product, in eight interleaved sums that fit vector registers."""
    n = a.size
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    s4 = 0.0
    s5 = 0.0
    s6 = 0.0
    s7 = 0.0
    for t in range(n // 8):
        i = 8 * t
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        s4 += a[i + 4] * b[i + 4]
        s5 += a[i + 5] * b[i + 5]
        s6 += a[i + 6] * b[i + 6]
        s7 += a[i + 7] * b[i + 7]
    for i in range(n - n % 8, n):
        s0 += a[i] * b[i]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@subroutine
def _turn(w: Any, column: Any, step: float, beta: float) -> None:
    """Downdate consecutive rows of a column of L together with the carried vector."""
    for t in range(column.size):
        value = w[t] - step * column[t]
        w[t] = value
        column[t] += beta * value


@kernel(work=lambda l_pointer, l_row: 3.0 * l_pointer.size)
def leading_runs(l_pointer: Any, l_row: Any) -> Any:
    """Return how many rows of each column of L follow its diagonal without a gap, (n,) int32."""
    n = l_pointer.size - 1
    run = np.zeros(n, np.int32)
    for k in range(n):
        count = 0
        for p in range(l_pointer[k], l_pointer[k + 1]):
            if l_row[p] != k + 1 + count:
                break
            count += 1
        run[k] = count
    return run


@subroutine
def _hull(first: int, last: int, boundary: Any, u: Any, known: Any, grounded: bool, enough: float) -> float:
    """Return the width of the range of displacement changes on a boundary since they were noted.

    Stops as soon as the width exceeds ``enough``.
    """
    low = 0.0
    high = 0.0
    if not grounded and last > first:
        low = u[boundary[first]] - known[first]
        high = low
    for p in range(first, last):
        change = u[boundary[p]] - known[p]
        if change < low:
            low = change
            if high - low > enough:
                break
        elif change > high:
            high = change
            if high - low > enough:
                break
    return high - low


@kernel(work=lambda *a: min(float(a[-1]), 50.0) * (2.0 * a[1].size + 12.0 * a[9].size + 5.0 * a[4].size))
def break_elements(
    l_pointer: Any, l_row: Any, l_value: Any, run: Any, d: Any, parent: Any, y: Any, u: Any, corner: Any,
    tail: Any, tip: Any, stiffness: Any, weakness: Any, offset: Any,
    row_pointer: Any, row_node: Any, row_value: Any, bars: bool, least_work: float,
    block: Any, node_pointer: Any, node_list: Any, element_pointer: Any, element_list: Any, above: Any,
    boundary_pointer: Any, boundary: Any, known: Any, grounded: Any, highest: Any, softest: Any, stale: Any,
    sequence: Any, factor: Any, work: Any, limit: int,
) -> Any:
    """Break elements one at a time, always the one with the largest ``|force| / strength``.

    The elimination tree is cut into blocks, parents after children. A break changes the factor on one path only; below
    a block that the path misses, displacement changes lie within the range of the changes on its boundary (maximum
    principle of a graph matrix). So its largest ratio is at most the old one plus ``max(k / strength)`` times the width
    of that range, and a block whose bound is below a ratio already found is not evaluated: the choice stays exact.

    Parameters
    ----------
    l_pointer, l_row, l_value, run, d, parent : ndarray
        Factor, updated in place, its :func:`leading_runs` and the elimination tree.
    y, u : (n,), (n + 1,) float64
        Load row, updated; displacement, written where it was needed (``u[n]`` is 0).
    corner : (1,) float64
        Pivot of the load row, updated: work of held displacements, or minus the work of the load.
    tail, tip : (m,) int32
        Nodes of each bar, in the order of ``element_list``; unused for general rows.
    stiffness, weakness, offset : (m,) float64
        Stiffness (0: broken), 1/strength and elongation due to held nodes, in the order of ``element_list``.
    row_pointer, row_node, row_value : ndarray
        Compatibility rows on free nodes, by element number.
    bars : bool
        Whether every row is a two-node bar: only then may blocks be left out.
    least_work : float
        Stop when the work done by held displacements falls below this; negative under load control.
    block : (n,) int32
        Block of each node.
    node_pointer, node_list, element_pointer, element_list : ndarray
        Nodes (last first) and element numbers of each block.
    above : (n_blocks,) int32
        Parent block, -1 at a root.
    boundary_pointer, boundary, known : ndarray
        Nodes outside each block's subtree that it is tied to, and their displacements when it was last evaluated.
    grounded : (n_blocks,) bool
        Whether the subtree has an element to a held node.
    highest, softest : (n_blocks,) float64
        Bounds over the subtree: of the ratio when last evaluated, of ``k / strength``.
    stale : (n_blocks,) bool
        Blocks that must be evaluated, all at the first call.
    sequence, factor, work : (>= limit,)
        Written: broken element, load factor, twice the strain energy at load factor one.
    limit : int
        Breaks to do at most.

    Returns
    -------
    done, status : int
        Status 0: ``limit`` reached, 1: no element carries force, 2: the last break cut a node off or nearly so; the
        factor is then as before that break, 4: the work fell below ``least_work``.
    """
    n = d.size
    blocks = above.size
    w = np.zeros(n + 1, np.float64)
    bound = np.zeros(blocks, np.float64)
    touched = np.zeros(blocks, np.bool_)
    spare = np.empty(0, np.float64)
    spare_d = np.empty(n, np.float64)
    spare_y = np.empty(n, np.float64)
    done = 0
    guess = 0.0
    u[n] = 0.0
    while done < limit:
        energy = corner[0] if least_work >= 0.0 else -corner[0]
        if least_work >= 0.0 and energy <= least_work:
            return done, 4
        largest = 0.0
        second = 0.0
        chosen = -1
        for b in range(blocks):
            touched[b] = False
        while True:
            for b in range(blocks - 1, -1, -1):
                if touched[b] or (above[b] >= 0 and not touched[above[b]]):
                    continue
                first = boundary_pointer[b]
                last = boundary_pointer[b + 1]
                if bars and not stale[b]:
                    pass_at = max(guess, largest)
                    room = pass_at * (1.0 - 1e-9) - highest[b]
                    if room >= 0.0:
                        width = _hull(first, last, boundary, u, known, grounded[b], room / max(softest[b], 1e-300))
                        bound[b] = highest[b] + softest[b] * width
                        if bound[b] <= pass_at * (1.0 - 1e-9):
                            continue
                touched[b] = True
                for p in range(first, last):
                    known[p] = u[boundary[p]]
                for t in range(node_pointer[b], node_pointer[b + 1]):
                    k = node_list[t]
                    p = l_pointer[k]
                    end = l_pointer[k + 1]
                    near = run[k]
                    s0 = y[k]
                    if near >= 8:
                        s0 -= _dot(l_value[p : p + near], u[k + 1 : k + 1 + near])
                        p += near
                    s1 = 0.0
                    while p + 1 < end:  # two sums: one alone would wait for each addition
                        s0 -= l_value[p] * u[l_row[p]]
                        s1 -= l_value[p + 1] * u[l_row[p + 1]]
                        p += 2
                    if p < end:
                        s0 -= l_value[p] * u[l_row[p]]
                    u[k] = s0 + s1
                best = 0.0
                weakest = 0.0
                for t in range(element_pointer[b], element_pointer[b + 1]):
                    q = offset[t]
                    if bars:
                        q += u[tail[t]] - u[tip[t]]
                    else:
                        e = element_list[t]
                        for p in range(row_pointer[e], row_pointer[e + 1]):
                            q += row_value[p] * u[row_node[p]]
                    slack = stiffness[t] * weakness[t]
                    ratio = abs(q) * slack
                    if slack > weakest:
                        weakest = slack
                    if ratio > best:
                        best = ratio
                        if ratio > largest:
                            second = largest
                            largest = ratio
                            chosen = t
                        elif ratio > second:
                            second = ratio
                highest[b] = best
                softest[b] = weakest
            if largest >= guess:
                break
            guess = largest  # nothing reached the guess: go through what it left out
        for b in range(blocks):  # children come before parents
            a = above[b]
            if a >= 0 and touched[a]:
                highest[a] = max(highest[a], highest[b] if touched[b] else bound[b])
                softest[a] = max(softest[a], softest[b])
            if touched[b]:
                stale[b] = False
        if chosen < 0:
            return done, 1
        guess = 0.97 * second
        element = element_list[chosen]
        sequence[done] = element
        factor[done] = 1.0 / largest
        work[done] = energy
        done += 1
        # take it out: K - k a a^T, and its share of the held displacements out of the load
        root = np.sqrt(stiffness[chosen])
        last_entry = -root * offset[chosen]
        start = n
        for p in range(row_pointer[element], row_pointer[element + 1]):
            w[row_node[p]] += root * row_value[p]
            start = min(start, row_node[p])
        if least_work < 0.0:  # under a load the break may be the end: keep the path of the factor
            need = 0
            j = start
            while j >= 0 and j < n:
                need += l_pointer[j + 1] - l_pointer[j]
                j = parent[j]
            if need > spare.size:
                spare = np.empty(2 * need, np.float64)
            put = 0
            j = start
            while j >= 0 and j < n:
                spare_d[j] = d[j]
                spare_y[j] = y[j]
                for p in range(l_pointer[j], l_pointer[j + 1]):
                    spare[put] = l_value[p]
                    put += 1
                j = parent[j]
        alpha = -1.0
        cut = False
        j = start
        while j >= 0 and j < n:
            step = w[j]
            w[j] = 0.0
            before = d[j]
            after = before + alpha * step * step
            if not after > 1e-8 * before:
                cut = True
                break
            beta = alpha * step / after
            alpha *= before / after
            d[j] = after
            p = l_pointer[j]
            near = run[j]
            _turn(w[j + 1 : j + 1 + near], l_value[p : p + near], step, beta)
            for q in range(p + near, l_pointer[j + 1]):
                i = l_row[q]
                wi = w[i] - step * l_value[q]
                w[i] = wi
                l_value[q] += beta * wi
            last_entry -= step * y[j]
            y[j] += beta * last_entry
            stale[block[j]] = True
            j = parent[j]
        if cut:
            if least_work < 0.0:
                put = 0
                j = start
                while j >= 0 and j < n:
                    d[j] = spare_d[j]
                    y[j] = spare_y[j]
                    for p in range(l_pointer[j], l_pointer[j + 1]):
                        l_value[p] = spare[put]
                        put += 1
                    j = parent[j]
            return done, 2
        stiffness[chosen] = 0.0
        corner[0] += alpha * last_entry * last_entry
    return done, 0
