"""Independent marches on all processors: kernels let go of the interpreter while they run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["processors", "side_by_side"]

Item = TypeVar("Item")
Found = TypeVar("Found")

#: Threads beyond these gain nothing: what is not in a kernel runs one after the other.
_MOST_THREADS = 8


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(function: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """Return ``[function(item) for item in items]``, worked out by as many threads as there are processors.

    Parameters
    ----------
    function : callable
        Of one item; depends on no other and changes nothing that another reads. Its first error is raised.
    items : sequence
    """
    threads = min(processors(), _MOST_THREADS, len(items))
    if threads < 2:
        return [function(item) for item in items]
    first = function(items[0])  # alone: it compiles what the others then share
    with ThreadPoolExecutor(threads) as pool:
        return [first, *pool.map(function, items[1:])]
