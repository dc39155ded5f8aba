"""Registry of constitutive laws: one line a law, and the law contract test picks it up.

To add a law: write its file in this folder, import its class here and add an :class:`Entry` to ``_ENTRIES`` under the
law's ``name``. ``example`` builds a small block (two or more elements with different parameters); ``span`` is the
range of elongations the contract test samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.laws.base import Law
from fea_arch.laws.linear import Linear

__all__ = ["Entry", "registered_laws"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered law.

    Parameters
    ----------
    kind : type
        Class of the law.
    example : callable
        Returns a block of at least two elements with different parameters.
    span : (float, float)
        Elongations over which the law contract is tested.
    """

    kind: type[Any]
    example: Callable[[], Law]
    span: tuple[float, float] = (0.0, 4.0)


_ENTRIES: dict[str, Entry] = {
    "linear": Entry(Linear, lambda: Linear(np.array([0.5, 2.0, 10.0])), (-4.0, 4.0)),
}


def registered_laws() -> dict[str, Entry]:
    """Return every law of the library by name.

    Examples
    --------
    >>> registered_laws()["linear"].example().capacity()
    array([inf, inf, inf])
    """
    return dict(_ENTRIES)
