"""Numbers of the TR-BDF2 step, and what stays in a phase of calls over it.

Two stages with the same implicit share ``D`` of the step, weights ``W``, ``W``, ``D`` at its beginning, inner stage and
end, and their difference ``E0``, ``E1``, ``E2`` from those of the embedded method of third order (Hosea & Shampine,
Appl. Numer. Math. 20 (1996) 21).
"""

from __future__ import annotations

import math
from typing import Any

from fea_arch.kernels.compile import subroutine

__all__ = ["E0", "E1", "E2", "D", "W", "grown"]

D = 1.0 - math.sqrt(0.5)
W = math.sqrt(2.0) / 4.0
E0 = (1.0 - W) / 3.0 - W
E1 = (3.0 * W + 1.0) / 3.0 - W
E2 = D / 3.0 - D
_SIXTH = 1.0 / 6.0


@subroutine(inline=True)
def grown(span: float, time: float) -> Any:
    """``time**3`` over the share of a phase that is left after ``span``, third order as in ``ask`` [s^3]."""
    return time * time * time + span * (time * time + span * (0.5 * time + span * _SIXTH))
