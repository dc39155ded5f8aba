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
from fea_arch.laws.birth_death import BirthDeath
from fea_arch.laws.custom import Custom, Polynomial
from fea_arch.laws.elastic_plastic import ElasticPlastic
from fea_arch.laws.linear import Linear
from fea_arch.laws.mmc import MMC
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
    "mmc": Entry(MMC, lambda: MMC([0.1, 0.02, 0.5], [1, 4, 30], [1.0, 0.6, 2.0]), (0.0, 20.0)),
    "bounded": Entry(BirthDeath, lambda: BirthDeath([[10.0], [5.0, 10.0, 15.0]], [4, 2], name="bounded"), (0.0, 3.5)),
    "usl": Entry(
        BirthDeath,
        lambda: BirthDeath(
            [[n / (0.1 * (1 + 0.05 * (n - 1) + 0.01 * n * (n - 1))) for n in range(1, c + 1)] for c in (6, 20)],
            -1,
            name="usl",
        ),
        (0.0, 12.0),
    ),
    "tabulated": Entry(
        BirthDeath, lambda: BirthDeath([[9.0, 16.0, 20.0], [3.0, 5.0]], -1, name="tabulated"), (0.0, 6.0)
    ),
    "memory": Entry(
        BirthDeath,
        lambda: BirthDeath([[4.0, 8.0, 8.0, 6.0, 3.0], [2.0, 4.0, 4.0, 2.0, 1.0, 0.5]], 0, name="memory"),
        (0.0, 4.5),
    ),
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
