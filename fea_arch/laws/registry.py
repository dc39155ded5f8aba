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
from fea_arch.laws.custom import Custom, Polynomial
from fea_arch.laws.elastic_plastic import ElasticPlastic
from fea_arch.laws.linear import Linear
from fea_arch.laws.softening import ExponentialSoftening, LinearSoftening
from fea_arch.laws.tension_only import TensionOnly

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
    "elastic_plastic": Entry(
        ElasticPlastic, lambda: ElasticPlastic([1.0, 2.0, 1.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]), (-4.0, 4.0)
    ),
    "linear_softening": Entry(
        LinearSoftening, lambda: LinearSoftening([1.0, 2.0], [1.0, 1.5], [3.0, 2.5]), (-1.0, 4.0)
    ),
    "exponential_softening": Entry(
        ExponentialSoftening, lambda: ExponentialSoftening([4.0, 2.0], [1.0, 1.5], [1.0, 2.0]), (-1.0, 4.0)
    ),
    "tension_only": Entry(TensionOnly, lambda: TensionOnly([1.0, 5.0], [0.0, 1.0]), (-1.0, 4.0)),
    "polynomial": Entry(Polynomial, lambda: Polynomial([[2.0, -0.12, 0.0016], [1.0, 0.0, -0.05]]), (-2.0, 4.0)),
    "custom": Entry(
        Custom,
        lambda: Custom(lambda e, a: a * e / (1 + np.abs(e)), lambda e, a: a / (1 + np.abs(e)) ** 2, [[1.0, 2.0]]),
        (-2.0, 4.0),
    ),
}


def registered_laws() -> dict[str, Entry]:
    """Return every law of the library by name.

    Examples
    --------
    >>> registered_laws()["linear"].example().capacity()
    array([inf, inf, inf])
    """
    return dict(_ENTRIES)
