"""Closed loops of a load generator: the law fitted to the small populations, the others predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from outcome import Row

from fea_arch.probes import fit_law

__all__ = ["predicted_rows"]

Point = tuple[float, float, float]


def predicted_rows(
    case: str, points: Sequence[Point], keep: int, law: str | None, *, responses: bool = True, unit: str = "users"
) -> list[Row]:
    """Rows for (population, throughput [1/s], response [s]) points, ``keep`` of which are the calibration."""
    fit = fit_law([(n, x) for n, x, _ in points[:keep]], law)
    foretold = fit.predict([n for n, _, _ in points], extrapolate=True).throughput_per_s
    out = []
    for k, ((n, x, r), guess) in enumerate(zip(points, np.asarray(foretold, float))):
        label = f"{case}, {n:g} {unit}"
        out.append(Row(label, "throughput", "1/s", float(guess), x, k < keep))
        if responses:
            out.append(Row(label, "mean response", "s", n / float(guess), r, k < keep))
    return out
