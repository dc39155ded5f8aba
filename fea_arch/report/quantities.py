"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["bytes_text", "number_text", "share_text", "time_text"]

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def number_text(value: float) -> str:
    """Return a number with three or four digits that matter; ``-`` if there is none.

    Examples
    --------
    >>> number_text(1234.5), number_text(0.5), number_text(float("inf"))
    ('1234', '0.5', 'inf')
    """
    value = float(value)
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def share_text(value: float) -> str:
    """Return a share as a percentage that never rounds up to 100.

    Examples
    --------
    >>> share_text(0.4197), share_text(0.99999), share_text(1.0)
    ('42.0 %', '99.9 %', '100 %')
    """
    value = float(value)
    if math.isnan(value):
        return "-"
    if 0.9995 <= value < 1.0:
        return "99.9 %"
    return "100 %" if value == 1.0 else f"{100 * value:.1f} %"


def time_text(seconds: float) -> str:
    """Return a time in the unit people expect.

    Examples
    --------
    >>> time_text(0.0160), time_text(2.5), time_text(4.2e-6)
    ('16 ms', '2.5 s', '4.2 us')
    """
    if 0.0 < seconds < 1e-9:  # the tail of a fitted distribution, no time that software knows
        return "< 1 ns"
    return _scaled(float(seconds), _TIMES)


def bytes_text(size: float) -> str:
    """Return a size with decimal prefixes.

    Examples
    --------
    >>> bytes_text(2.452e9), bytes_text(0.0)
    ('2.45 GB', '0 B')
    """
    return _scaled(float(size), _SIZES)


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if math.isnan(value):
        return "-"
    if value == 0.0 or math.isinf(value):
        unit = next(name for size, name in units if size == 1.0)
        return f"{value:g} {unit}"
    size, name = next(((s, n) for s, n in units if abs(value) >= s), units[-1])
    return f"{number_text(value / size)} {name}"
