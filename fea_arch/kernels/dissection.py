"""Nested dissection: an elimination order from small separators, found by multilevel bisection.

A graph is cut in two by few nodes, which are eliminated last, and so on in the parts. The cut: heavy edges are
contracted until few nodes are left, several regions are grown there, and the best is carried back, refined at every
level by moving separator nodes to a side. A. George, SIAM J. Numer. Anal. 10 (1973) 345; B. Hendrickson and E.
Rothberg, SIAM J. Sci. Comput. 20 (1998) 468; refinement after C. Ashcraft and J. W. H. Liu, SIAM J. Matrix Anal. Appl.
19 (1998) 325.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["nested_dissection"]

SEPARATOR = 2  # label of separator nodes; the sides are 0 and 1


@subroutine
def _sums(v: int, pointer: Any, node: Any, weight: Any, side: Any, reach: Any) -> None:
    """Write the weight of a node's neighbours on either side, ``reach[v, :]``."""
    reach[v, 0] = 0
    reach[v, 1] = 0
    for p in range(pointer[v], pointer[v + 1]):
        if side[node[p]] < 2:
            reach[v, side[node[p]]] += weight[node[p]]


@subroutine
def _improve(
    pointer: Any, node: Any, weight: Any, side: Any, most: int, passes: int, reach: Any, listed: Any, locked: Any,
    log: Any,
) -> Any:
    """Move separator nodes to a side, the best move first, uphill too, and go back to the best state; passes of it.

    Moving node v to side s draws its neighbours on the other side into the separator: it shrinks by
    ``weight[v] - reach[v, 1 - s]``. Returns the weights of the sides and of the separator.
    """
    n = side.size
    total = np.zeros(3, np.int64)
    for v in range(n):
        total[side[v]] += weight[v]
    for _ in range(passes):
        count = 0
        for v in range(n):
            locked[v] = False
            if side[v] == 2:
                listed[count] = v
                count += 1
                _sums(v, pointer, node, weight, side, reach)
        logged = 0
        best_log = 0
        best_cut = total[2]
        best_gap = abs(total[0] - total[1])
        idle = 0
        start_cut = best_cut
        start_gap = best_gap
        while idle < 30 and count > 0:
            pick = -1
            to = 0
            gain = -(1 << 60)
            q = 0
            while q < count:
                v = listed[q]
                if side[v] != 2 or locked[v]:
                    count -= 1
                    listed[q] = listed[count]
                    continue
                for s in range(2):
                    g = weight[v] - reach[v, 1 - s]
                    if total[s] + weight[v] > most:
                        continue
                    if g > gain or (g == gain and total[s] < total[to]):
                        gain = g
                        pick = q
                        to = s
                q += 1
            if pick < 0:
                break
            v = listed[pick]
            count -= 1
            listed[pick] = listed[count]
            other = 1 - to
            side[v] = to
            locked[v] = True
            total[to] += weight[v]
            total[2] -= weight[v]
            pulled = 0
            for p in range(pointer[v], pointer[v + 1]):
                x = node[p]
                if side[x] == 2:
                    reach[x, to] += weight[v]
                elif side[x] == other:
                    side[x] = 2
                    pulled += 1
                    log[logged] = x
                    logged += 1
                    total[other] -= weight[x]
                    total[2] += weight[x]
                    _sums(x, pointer, node, weight, side, reach)
                    if not locked[x]:
                        listed[count] = x
                        count += 1
                    for r in range(pointer[x], pointer[x + 1]):
                        if side[node[r]] == 2:
                            reach[node[r], other] -= weight[x]
            log[logged] = v
            log[logged + 1] = pulled
            logged += 2
            gap = abs(total[0] - total[1])
            if total[2] < best_cut or (total[2] == best_cut and gap < best_gap):
                best_cut = total[2]
                best_gap = gap
                best_log = logged
                idle = 0
            else:
                idle += 1
            if logged + 2 + count + pointer[n] > log.size:
                break
        while logged > best_log:
            pulled = log[logged - 1]
            v = log[logged - 2]
            to = side[v]
            logged -= 2
            side[v] = 2
            total[to] -= weight[v]
            total[2] += weight[v]
            for _ in range(pulled):
                logged -= 1
                x = log[logged]
                side[x] = 1 - to
                total[1 - to] += weight[x]
                total[2] -= weight[x]
        if best_cut == start_cut and best_gap == start_gap:
            break
    return total


@subroutine
def _grow(pointer: Any, node: Any, weight: Any, side: Any, seed: int, queue: Any) -> None:
    """Grow side 0 from a node, breadth first, to half of the weight; its last nodes become the separator."""
    n = side.size
    half = 0
    for v in range(n):
        side[v] = 1
        half += weight[v]
    half //= 2
    got = 0
    first = 0
    last = 0
    fresh = 0
    side[seed] = 0
    queue[0] = seed
    last = 1
    while True:
        if first == last:  # another part
            while fresh < n and side[fresh] != 1:
                fresh += 1
            if fresh == n:
                break
            side[fresh] = 0
            queue[last] = fresh
            last += 1
        v = queue[first]
        if got + weight[v] > half and got > 0:
            break
        first += 1
        got += weight[v]
        for p in range(pointer[v], pointer[v + 1]):
            if side[node[p]] == 1:
                side[node[p]] = 0
                queue[last] = node[p]
                last += 1
    for q in range(first, last):
        side[queue[q]] = 1
    for q in range(first):
        v = queue[q]
        for p in range(pointer[v], pointer[v + 1]):
            if side[node[p]] == 1:
                side[v] = 2
                break


@subroutine
def _contract(pointer: Any, node: Any, tie: Any, weight: Any, heaviest: int, seed: int, coarse: Any, mate: Any) -> int:
    """Match every node with the free neighbour it is tied to most; return the number of pairs and single nodes.

    ``coarse`` (n,) gets the number of each node's pair.
    """
    n = weight.size
    count = 0
    step = seed
    for v in range(n):
        mate[v] = v
        coarse[v] = -1
    for i in range(n):  # a fixed shuffle
        step = (step * 1103515245 + 12345) % 2147483648
        j = i + (step >> 8) % (n - i)
        mate[i], mate[j] = mate[j], mate[i]
    for i in range(n):
        v = mate[i]
        if coarse[v] >= 0:
            continue
        best = -1
        most = 0
        for p in range(pointer[v], pointer[v + 1]):
            x = node[p]
            if coarse[x] < 0 and tie[p] > most and weight[v] + weight[x] <= heaviest:
                most = tie[p]
                best = x
        coarse[v] = count
        if best >= 0:
            coarse[best] = count
        count += 1
    return count


@subroutine
def _coarse_graph(
    pointer: Any, node: Any, tie: Any, weight: Any, coarse: Any, count: int, out_pointer: Any, out_node: Any,
    out_tie: Any, out_weight: Any, first: Any, second: Any, slot: Any,
) -> int:
    """Write the graph of the pairs, parallel edges added up; return the number of its entries."""
    n = weight.size
    for c in range(count):
        first[c] = -1
        second[c] = -1
        slot[c] = -1
    for v in range(n):
        c = coarse[v]
        if first[c] < 0:
            first[c] = v
        else:
            second[c] = v
    put = 0
    out_pointer[0] = 0
    for c in range(count):
        begin = put
        out_weight[c] = 0
        for half in range(2):
            v = first[c] if half == 0 else second[c]
            if v < 0:
                continue
            out_weight[c] += weight[v]
            for p in range(pointer[v], pointer[v + 1]):
                x = coarse[node[p]]
                if x == c:
                    continue
                if slot[x] >= begin:
                    out_tie[slot[x]] += tie[p]
                else:
                    slot[x] = put
                    out_node[put] = x
                    out_tie[put] = tie[p]
                    put += 1
        out_pointer[c + 1] = put
    return put


@kernel(work=lambda indptr, indices, leaf: 2000.0 * indptr.size)
def nested_dissection(indptr: Any, indices: Any, leaf: int) -> Any:
    """Cut a symmetric pattern by nested dissection.

    Parameters
    ----------
    indptr, indices : (n + 1,), (nnz,) int32
        Full symmetric structure; diagonal entries are skipped.
    leaf : int
        Parts of at most so many nodes are not cut.

    Returns
    -------
    order : (n,) int64
        Node to eliminate at each step, but for the order within the parts.
    begin, end : (n_parts,) int64
        Places of the parts that were not cut.
    """
    n = indptr.size - 1
    order = np.arange(n)
    position = np.arange(n)
    room, space = 8 * n + 64, 4 * indices.size + 64
    pointers = np.empty(room, np.int64)
    weights = np.empty(room, np.int64)
    coarse = np.empty(room, np.int64)
    nodes = np.empty(space, np.int64)
    ties = np.empty(space, np.int64)
    side = np.empty(n, np.int64)
    trial = np.empty(n, np.int64)
    finer = np.empty(n, np.int64)
    mate = np.empty(n, np.int64)
    reach = np.empty((n, 2), np.int64)
    listed = np.empty(n, np.int64)
    locked = np.empty(n, np.bool_)
    log = np.empty(4 * n + indices.size + 64, np.int64)
    parts = np.empty((n, 2), np.int64)
    count_parts = 0
    level_node = np.empty(64, np.int64)
    level_edge = np.empty(64, np.int64)
    level_size = np.empty(64, np.int64)
    stack = np.empty((n + 1, 2), np.int64)
    stack[0, 0] = 0
    stack[0, 1] = n
    depth = 1
    while depth > 0:
        depth -= 1
        begin = stack[depth, 0]
        end = stack[depth, 1]
        size = end - begin
        if size <= leaf:
            parts[count_parts, 0] = begin
            parts[count_parts, 1] = end
            count_parts += 1
            continue
        # the part as a graph of its own
        put = 0
        pointers[0] = 0
        for a in range(size):
            weights[a] = 1
            v = order[begin + a]
            for p in range(indptr[v], indptr[v + 1]):
                c = position[indices[p]]
                if begin <= c and c < end and indices[p] != v:
                    nodes[put] = c - begin
                    ties[put] = 1
                    put += 1
            pointers[a + 1] = put
        level_node[0] = 0
        level_edge[0] = 0
        level_size[0] = size
        top = 0
        while level_size[top] > 80 and top < 62:
            q, t, m = level_node[top], level_edge[top], level_size[top]
            nnz = pointers[q + m]
            ptr, wgt, cmp = pointers[q : q + m + 1], weights[q : q + m], coarse[q : q + m]
            if q + 2 * m + 2 > room or t + 2 * nnz > space:
                break
            count = _contract(
                ptr, nodes[t : t + nnz], ties[t : t + nnz], wgt, 1 + size // 40, size + 7 * top, cmp, mate[:m]
            )
            if count > 0.9 * m:
                break
            q2, t2 = q + m + 1, t + nnz
            _coarse_graph(
                ptr, nodes[t : t + nnz], ties[t : t + nnz], wgt, cmp, count, pointers[q2 : q2 + count + 1],
                nodes[t2:], ties[t2:], weights[q2 : q2 + count], listed, mate, finer,
            )
            top += 1
            level_node[top], level_edge[top], level_size[top] = q2, t2, count
        most = int(0.65 * size)
        cut = n + 1
        gap = 0
        q, t, m = level_node[top], level_edge[top], level_size[top]
        ptr, nds, wgt = pointers[q : q + m + 1], nodes[t:], weights[q : q + m]
        for attempt in range(8):
            _grow(ptr, nds, wgt, trial[:m], (attempt * m) // 8, mate)
            total = _improve(ptr, nds, wgt, trial[:m], most, 4, reach, listed, locked, log)
            if total[2] < cut or (total[2] == cut and abs(total[0] - total[1]) < gap):
                cut = total[2]
                gap = abs(total[0] - total[1])
                side[:m] = trial[:m]
        while top > 0:
            top -= 1
            q, t, m = level_node[top], level_edge[top], level_size[top]
            for a in range(m):
                finer[a] = side[coarse[q + a]]
            side[:m] = finer[:m]
            ptr, nds, wgt = pointers[q : q + m + 1], nodes[t:], weights[q : q + m]
            total = _improve(ptr, nds, wgt, side[:m], most, 6, reach, listed, locked, log)
            cut = total[2]
        # sides first, then the separator
        for a in range(size):
            mate[a] = order[begin + a]
        put = begin
        for s in range(3):
            middle = put
            for a in range(size):
                if side[a] == s:
                    order[put] = mate[a]
                    position[mate[a]] = put
                    put += 1
            if s < 2 and put > middle:
                stack[depth, 0] = middle
                stack[depth, 1] = put
                depth += 1
    return order, parts[:count_parts, 0].copy(), parts[:count_parts, 1].copy()
