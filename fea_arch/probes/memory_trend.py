"""Memory trend towards a limit: slope with an interval, and the time that is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["MemoryTrend", "memory_trend"]

_FEWEST = 6


@dataclass(frozen=True, slots=True)
class MemoryTrend:
    """Linear trend of resident memory.

    Attributes
    ----------
    slope_bytes_per_s, low_bytes_per_s, high_bytes_per_s : float
        Slope and its confidence limits [bytes/s].
    left_s, earliest_s, latest_s : float
        Time until the limit is reached, and its limits by those of the slope [s]; infinite where memory does not grow,
        0 where the limit is passed already.
    samples : int
        Number of values; ``effective_samples`` is that after their correlation in time.
    """

    slope_bytes_per_s: float
    low_bytes_per_s: float
    high_bytes_per_s: float
    left_s: float
    earliest_s: float
    latest_s: float
    samples: int
    effective_samples: float

    @property
    def growing(self) -> bool:
        """Whether even the lower limit of the slope is above 0."""
        return self.low_bytes_per_s > 0


def memory_trend(
    time_s: Sequence[float], memory_bytes: Sequence[float], limit_bytes: float, *, confidence: float = 0.95
) -> MemoryTrend | None:
    """Fit a line to memory over time and extrapolate it to the limit.

    Parameters
    ----------
    time_s, memory_bytes : sequence of float
        Values that are not finite are left out.
    limit_bytes : float
        Memory limit [bytes].
    confidence : float
        Level of the interval [1].

    Returns
    -------
    MemoryTrend or None
        None with fewer than six values or no spread in time.

    Notes
    -----
    Least squares with Student's interval; successive values are correlated, so the number of samples is reduced to
    ``n (1 - r)/(1 + r)`` with the lag-1 correlation ``r`` of the residuals (von Storch and Zwiers 1999, section 6.6).

    Examples
    --------
    >>> trend = memory_trend(range(0, 600, 60), [1e9 + 1e6 * t for t in range(0, 600, 60)], 2e9)
    >>> round(trend.left_s)
    460
    """
    from scipy.stats import t as student

    t, m = np.asarray(time_s, float), np.asarray(memory_bytes, float)
    good = np.isfinite(t) & np.isfinite(m)
    t, m = t[good], m[good]
    if len(t) < _FEWEST or np.ptp(t) <= 0:
        return None
    dt = t - t.mean()
    spread = float(dt @ dt)
    slope = float(dt @ m) / spread
    residual = m - m.mean() - slope * dt
    power = float(residual @ residual)
    r = float(residual[1:] @ residual[:-1]) / power if power > 0 else 0.0
    effective = max(len(t) * (1 - max(r, 0.0)) / (1 + max(r, 0.0)), 3.0)
    error = math.sqrt(power / (effective - 2) / spread * len(t) / effective) if power > 0 else 0.0
    half = float(student.ppf(0.5 + confidence / 2, effective - 2)) * error
    room = limit_bytes - float(m.mean() + slope * (t[-1] - t.mean()))

    def left(rate: float) -> float:
        return 0.0 if room <= 0 else (room / rate if rate > 0 else math.inf)

    low, high = slope - half, slope + half
    return MemoryTrend(slope, low, high, left(slope), left(high), left(low), len(t), effective)
