"""Quantities with units, as files and command lines write them: ``"12 ms"``, ``"512MiB"``, ``"250m"``."""

from __future__ import annotations

import math
import re

from fea_arch.errors import ModelError

__all__ = ["parse_bytes", "parse_cpus", "parse_rate", "parse_seconds"]

_TIME = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
    "m": 60.0,
    "min": 60.0,
    "mins": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
}
_BYTES = {
    "": 1.0,
    "b": 1.0,
    "byte": 1.0,
    "bytes": 1.0,
    "k": 2.0**10,
    "m": 2.0**20,
    "g": 2.0**30,
    "t": 2.0**40,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "ki": 2.0**10,
    "mi": 2.0**20,
    "gi": 2.0**30,
    "ti": 2.0**40,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
    "tib": 2.0**40,
}
_RATE = {
    "": 1.0,
    "/s": 1.0,
    "1/s": 1.0,
    "hz": 1.0,
    "rps": 1.0,
    "qps": 1.0,
    "/min": 1 / 60,
    "/h": 1 / 3600,
    "/m": 1 / 60,
}
_PATTERN = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*$")


def _parse(value: object, units: dict[str, float], what: str, example: str) -> float:
    if isinstance(value, bool) or value is None:
        raise ModelError(f"{value!r} is not a {what}", fix=f"for instance {example}")
    if isinstance(value, (int, float)):
        number, factor = float(value), 1.0
    else:
        match = _PATTERN.match(str(value)) if len(str(value)) <= 64 else None
        unit = (match.group(2) or "").lower() if match else None
        if match is None or unit not in units:
            raise ModelError(f"{str(value)[:64]!r} is not a {what}", fix=f"for instance {example}")
        number, factor = float(match.group(1)), units[unit]
    if not math.isfinite(number) or number < 0:
        raise ModelError(f"{str(value)[:64]!r} is not a finite non-negative {what}", fix=f"for instance {example}")
    return number * factor


def parse_seconds(value: object) -> float:
    """Return a time in seconds; plain numbers are seconds.

    Examples
    --------
    >>> parse_seconds("12 ms"), parse_seconds(3)
    (0.012, 3.0)
    """
    return _parse(value, _TIME, "time", '"12 ms"')


def parse_bytes(value: object) -> float:
    """Return a size in bytes; ``k``, ``M``, ``G`` are binary as in compose files, ``MB`` decimal, ``MiB`` binary.

    Examples
    --------
    >>> parse_bytes("512MiB") == parse_bytes("512M") == 512 * 2**20
    True
    """
    return _parse(value, _BYTES, "size", '"512MiB"')


def parse_cpus(value: object) -> float:
    """Return a number of processors; ``"250m"`` is a quarter."""
    return _parse(value, {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}, "number of processors", '"250m"')


def parse_rate(value: object) -> float:
    """Return a rate per second."""
    return _parse(value, _RATE, "rate", '"100/s"')
