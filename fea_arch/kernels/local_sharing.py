"""Local load sharing on a ring of parallel fibres."""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels.compile import kernel

__all__ = ["share_locally"]


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
