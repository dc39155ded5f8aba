"""The answer of an overload cascade on a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import plain

__all__ = ["CascadeResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CascadeResult:
    """Course of a cascade.

    Attributes
    ----------
    waves : tuple of tuple of int
        Nodes that fail together, wave after wave, after the attack; empty where overloaded nodes only slow down.
    largest_component : (n_waves + 1,) float64
        Nodes of the largest connected part over all nodes: after the attack and after each wave [1].
    efficiency : (n_waves + 1,) float64
        Mean of the inverse lengths of the most efficient paths over all pairs, over its value before the attack [1].
    load, capacity : (n,) float64
        Paths through each node at the end, and its capacity.
    """

    waves: tuple[tuple[int, ...], ...]
    largest_component: Array
    efficiency: Array
    load: Array
    capacity: Array

    def __post_init__(self) -> None:
        for name in ("largest_component", "efficiency", "load", "capacity"):
            getattr(self, name).setflags(write=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        names = ("waves", "largest_component", "efficiency", "load", "capacity")
        return {"result": "CascadeResult", **{n: plain(getattr(self, n)) for n in names}}
