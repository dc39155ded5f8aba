"""Which free nodes hang on a support, and how far away they are: a breadth-first sweep over the matrix graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["distance_to_ground"]


@kernel(work=lambda indptr, indices, grounded: 8.0 * indices.size + 8.0 * indptr.size)
def distance_to_ground(indptr: Any, indices: Any, grounded: Any) -> Any:
    """Return (distance, depth): bars to the nearest grounded row, -1 if there is none, and the largest distance.

    ``grounded`` (n,) bool marks rows with an element to a support.
    """
    n = grounded.size
    distance = np.full(n, -1, np.int32)
    queue = np.empty(n, np.int32)
    tail = 0
    for i in range(n):
        if grounded[i]:
            distance[i] = 0
            queue[tail] = i
            tail += 1
    place = 0
    while place < tail:
        i = queue[place]
        place += 1
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if distance[j] < 0:
                distance[j] = distance[i] + 1
                queue[tail] = j
                tail += 1
    depth = 0
    if tail > 0:
        depth = distance[queue[tail - 1]]
    return distance, depth
