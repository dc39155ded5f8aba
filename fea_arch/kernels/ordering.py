"""Approximate minimum degree ordering on a quotient graph, which stops when the fill grows too large.

The method of Amestoy, Davis and Duff, "An approximate minimum degree ordering algorithm", SIAM J. Matrix Anal. Appl. 17
(1996) 886: eliminated nodes become elements (cliques kept as one list), degrees are bounded from above by the sizes of
the lists, nodes with equal lists are merged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["minimum_degree"]


@subroutine
def _collect(start: Any, length: Any, alive: Any, work: Any, room: int) -> Any:
    """Move the lists of all living objects to the front of a fresh work space; return it and its first free place."""
    fresh = np.empty(room, np.int32)
    place = 0
    for i in range(start.size):
        if alive[i] >= 0:
            p = start[i]
            start[i] = place
            for t in range(length[i]):
                fresh[place] = work[p + t]
                place += 1
    return fresh, place


@kernel(work=lambda indptr, indices, budget: 60.0 * indices.size + 200.0 * indptr.size)
def minimum_degree(indptr: Any, indices: Any, budget: float) -> Any:
    """Order a symmetric pattern for a sparse factor.

    Parameters
    ----------
    indptr, indices : (n + 1,) int32, (nnz,) int32
        Full symmetric structure; diagonal entries are skipped.
    budget : float
        Multiplications of the factor above which the ordering gives up.

    Returns
    -------
    order : (n,) int64
        Node to eliminate at each step.
    fill, work : float
        Bounds of the entries of L and of the multiplications of the factor.
    done : bool
        False if the budget was exceeded: ``order`` is then not a permutation.
    """
    n = indptr.size - 1
    room = int(indices.size * 1.3) + 2 * n + 16
    work = np.empty(room, np.int32)
    start = np.empty(n, np.int64)
    length = np.zeros(n, np.int64)
    elements = np.zeros(n, np.int64)  # how many of the first entries of a list are elements
    weight = np.ones(n, np.int64)  # nodes of a merged node; 0: merged or eliminated; < 0: marked in this step
    alive = np.zeros(n, np.int8)  # 0 node, 1 element, -1 gone
    degree = np.zeros(n, np.int64)
    parent = np.full(n, -1, np.int64)
    head = np.full(n + 1, -1, np.int64)
    after = np.full(n, -1, np.int64)
    before = np.full(n, -1, np.int64)
    bucket = np.full(n, -1, np.int64)
    bucket_next = np.full(n, -1, np.int64)
    hashed = np.zeros(n, np.int64)
    mark = np.zeros(n, np.int64)
    stamp = 1
    free = 0
    for i in range(n):
        start[i] = free
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] != i:
                work[free] = indices[p]
                free += 1
        length[i] = free - start[i]
        degree[i] = length[i]
    for i in range(n - 1, -1, -1):
        d = degree[i]
        after[i] = head[d]
        if head[d] >= 0:
            before[head[d]] = i
        head[d] = i
    pivots = np.empty(n, np.int64)
    n_pivots = 0
    eliminated = 0
    least = 0
    fill = 0.0
    flops = 0.0
    while eliminated < n:
        while head[least] < 0:
            least += 1
        me = head[least]
        head[least] = after[me]
        if after[me] >= 0:
            before[after[me]] = -1
        own = weight[me]
        eliminated += own
        # the new element: union of the pivot's nodes and those of its elements
        need = degree[me] + 1
        if free + need > room:
            work, free = _collect(start, length, alive, work, room)
            if free + need > room:
                room = free + need + n
                work, free = _collect(start, length, alive, work, room)
        begin = free
        size = 0
        weight[me] = -own
        for part in range(elements[me] + 1):
            if part < elements[me]:
                e = work[start[me] + part]
                p = start[e]
                stop = p + length[e]
            else:
                e = me
                p = start[me] + elements[me]
                stop = start[me] + length[me]
            while p < stop:
                i = work[p]
                p += 1
                w = weight[i]
                if w > 0:
                    size += w
                    weight[i] = -w
                    work[free] = i
                    free += 1
                    if before[i] >= 0:
                        after[before[i]] = after[i]
                    else:
                        head[degree[i]] = after[i]
                    if after[i] >= 0:
                        before[after[i]] = before[i]
            if e != me:
                parent[e] = me
                alive[e] = -1
        alive[me] = 1
        start[me] = begin
        length[me] = free - begin
        elements[me] = 0
        # sizes of the other elements outside the new one
        for q in range(begin, free):
            i = work[q]
            w = -weight[i]
            for p in range(start[i], start[i] + elements[i]):
                e = work[p]
                if mark[e] >= stamp:
                    mark[e] -= w
                elif alive[e] == 1:
                    mark[e] = degree[e] + stamp - w
        # new lists and degree bounds
        keys = 0
        for q in range(begin, free):
            i = work[q]
            first = start[i]
            put = first
            d = 0
            code = 0
            for p in range(first, first + elements[i]):
                e = work[p]
                if alive[e] == 1 and e != me:
                    outside = mark[e] - stamp
                    if outside > 0:
                        d += outside
                        work[put] = e
                        put += 1
                        code += e
                    else:
                        parent[e] = me
                        alive[e] = -1
            n_elements = put - first
            for p in range(first + elements[i], first + length[i]):
                j = work[p]
                w = weight[j]
                if w > 0 and alive[j] == 0:
                    d += w
                    work[put] = j
                    put += 1
                    code += j
            if d == 0:  # nothing but the new element: eliminated together with the pivot
                parent[i] = me
                w = -weight[i]
                size -= w
                own += w
                eliminated += w
                weight[i] = 0
                alive[i] = -1
                continue
            degree[i] = min(degree[i], d)
            # the new element goes first; the list has lost the pivot or one of the pivot's elements
            if put > first + n_elements:
                work[put] = work[first + n_elements]
            if n_elements > 0:
                work[first + n_elements] = work[first]
            work[first] = me
            elements[i] = n_elements + 1
            length[i] = put - first + 1
            code = code % n
            hashed[i] = code
            bucket_next[i] = bucket[code]
            bucket[code] = i
            keys += 1
        degree[me] = size
        top = size
        stamp += top + n + 1
        # merge nodes with equal lists
        for q in range(begin, free):
            i = work[q]
            if alive[i] != 0 or weight[i] >= 0:
                continue
            code = hashed[i]
            i = bucket[code]
            bucket[code] = -1
            while i >= 0 and bucket_next[i] >= 0:
                for p in range(start[i] + 1, start[i] + length[i]):
                    mark[work[p]] = stamp
                last = i
                j = bucket_next[i]
                while j >= 0:
                    same = length[j] == length[i] and elements[j] == elements[i]
                    if same:
                        for p in range(start[j] + 1, start[j] + length[j]):
                            if mark[work[p]] != stamp:
                                same = False
                                break
                    if same:
                        parent[j] = i
                        weight[i] += weight[j]
                        weight[j] = 0
                        alive[j] = -1
                        j = bucket_next[j]
                        bucket_next[last] = j
                    else:
                        last = j
                        j = bucket_next[j]
                stamp += 1
                i = bucket_next[i]
        # restore the marks, put the nodes back by degree
        put = begin
        for q in range(begin, free):
            i = work[q]
            w = -weight[i]
            if w <= 0 or alive[i] != 0:
                continue
            weight[i] = w
            d = min(degree[i] + size - w, n - eliminated - w)
            degree[i] = d
            after[i] = head[d]
            before[i] = -1
            if head[d] >= 0:
                before[head[d]] = i
            head[d] = i
            if d < least:
                least = d
            work[put] = i
            put += 1
        length[me] = put - begin
        free = put
        weight[me] = 0
        pivots[n_pivots] = me
        n_pivots += 1
        if length[me] == 0:
            alive[me] = -1
        fill += own * size + 0.5 * own * (own - 1.0)
        flops += own * (float(size) * size + float(size) * own + own * own / 3.0)
        if flops > budget:
            return pivots, fill, flops, False
    # order: the pivots as chosen, each with the nodes merged into it
    rank = np.full(n, -1, np.int64)
    for k in range(n_pivots):
        rank[pivots[k]] = k
    count = np.zeros(n_pivots + 1, np.int64)
    for i in range(n):
        j = i
        while rank[j] < 0:
            j = parent[j]
        k = rank[j]
        j = i
        while rank[j] < 0:
            rank[j], j = k, parent[j]
        count[k + 1] += 1
    for k in range(n_pivots):
        count[k + 1] += count[k]
    order = np.empty(n, np.int64)
    for i in range(n):
        order[count[rank[i]]] = i
        count[rank[i]] += 1
    return order, fill, flops, True
