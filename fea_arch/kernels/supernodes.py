"""Supernodes of a sparse factor: runs of columns with one list of rows, stored as dense panels.

A panel holds the columns ``first[s] .. first[s + 1] - 1`` one after another: of each column the rows below its own
within the panel, then those of the common list ``row[row_pointer[s] : row_pointer[s + 1]]``. Columns with nearly the
same rows are joined too and filled up with zeros (relaxed supernodes: C. Ashcraft and R. Grimes, ACM Trans. Math.
Software 15 (1989) 291), where that saves more than it costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["fill_panels", "mean_path", "panel_layout", "relaxed_supernodes", "tree_blocks"]


@kernel(work=lambda parent, *rest: 20.0 * parent.size)
def relaxed_supernodes(parent: Any, count: Any, per_panel: float, per_row: float) -> Any:
    """Cut the columns of a factor in postorder into panels; return the first column of each and n, (n_panels + 1,).

    A panel is joined with its last child when the zeros this stores are fewer than ``per_panel`` plus ``per_row`` for
    each row of the child: what handling the child by itself costs, in entries. ``count`` (n,) are the entries of each
    column below its diagonal.
    """
    n = parent.size
    first = np.empty(n + 1, np.int64)
    panels = 0
    for j in range(n):
        start = j
        while panels > 0:
            begin = first[panels - 1]
            last = start - 1
            if parent[last] < start or parent[last] > j:
                break
            wide = start - begin
            zeros = wide * (j - start + 1 + count[j] - count[last])
            if zeros > per_panel + per_row * count[last]:
                break
            start = begin
            panels -= 1
        first[panels] = start
        panels += 1
    first[panels] = n
    return first[: panels + 1].copy()


@kernel(work=lambda parent, count: 10.0 * parent.size)
def mean_path(parent: Any, count: Any) -> Any:
    """Return the mean, over the columns, of the entries of the factor on the way to the root."""
    n = parent.size
    way = np.empty(n, np.float64)
    total = 0.0
    for j in range(n - 1, -1, -1):
        way[j] = count[j]
        if parent[j] >= 0:
            way[j] += way[parent[j]]
        total += way[j]
    return total / n


@kernel(work=lambda first, parent, l_pointer, l_row: 2.0 * l_row.size + 20.0 * parent.size)
def panel_layout(first: Any, parent: Any, l_pointer: Any, l_row: Any) -> Any:
    """Lay out the panels of a factor in compressed columns.

    Returns
    -------
    panel : (n,) int32
        Panel of each column.
    above : (n_panels,) int64
        Parent panel, -1 at a root.
    row_pointer, row : (n_panels + 1,) int64, (n_rows,) int32
        Common rows of each panel, ascending.
    column : (n + 1,) int64
        Place of each column's first value.
    """
    n = parent.size
    panels = first.size - 1
    panel = np.empty(n, np.int32)
    above = np.full(panels, -1, np.int64)
    row_pointer = np.zeros(panels + 1, np.int64)
    column = np.zeros(n + 1, np.int64)
    for s in range(panels):
        last = first[s + 1] - 1
        high = l_pointer[last + 1] - l_pointer[last]
        row_pointer[s + 1] = row_pointer[s] + high
        for j in range(first[s], last + 1):
            panel[j] = s
            column[j + 1] = column[j] + last - j + high
    row = np.empty(row_pointer[panels], np.int32)
    for s in range(panels):
        last = first[s + 1] - 1
        if parent[last] >= 0:
            above[s] = panel[parent[last]]
        for t in range(l_pointer[last + 1] - l_pointer[last]):
            row[row_pointer[s] + t] = l_row[l_pointer[last] + t]
    return panel, above, row_pointer, row, column


@kernel(work=lambda first, row_pointer, row, column, l_pointer, l_row, l_value: 3.0 * l_row.size)
def fill_panels(
    first: Any, row_pointer: Any, row: Any, column: Any, l_pointer: Any, l_row: Any, l_value: Any
) -> Any:
    """Return the values of a factor in compressed columns as panels, (n_values,) float64."""
    value = np.zeros(column[-1], np.float64)
    for s in range(first.size - 1):
        begin = row_pointer[s]
        stop = first[s + 1]
        for j in range(first[s], stop):
            p = l_pointer[j]
            end = l_pointer[j + 1]
            put = column[j] - j - 1
            while p < end and l_row[p] < stop:
                value[put + l_row[p]] = l_value[p]
                p += 1
            t = begin
            put = column[j] + stop - 1 - j - begin
            while p < end:
                while row[t] < l_row[p]:
                    t += 1
                value[put + t] = l_value[p]
                p += 1
    return value


@kernel(work=lambda parent, *rest: 30.0 * parent.size)
def tree_blocks(parent: Any, count: Any, least: float, ratio: float) -> Any:
    """Cut an elimination tree in postorder into blocks of comparable subtree size; return (block, top).

    The tree may be that of columns or of panels. Nodes of one block are connected and their subtrees' numbers of
    entries lie between ``least * ratio^l`` and ``least * ratio^(l + 1)``. ``block`` (n,) int32 is numbered children
    first, ``top`` (n_blocks,) is each block's highest node.
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
