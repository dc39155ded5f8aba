"""Check the parameter columns of a law: one length, finite, of the right sign."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ModelError
from fea_arch.laws.base import Array

__all__ = ["columns"]


def columns(law: str, **parameters: tuple[ArrayLike, str]) -> tuple[Array, ...]:
    """Broadcast law parameters to one length and check their sign.

    Parameters
    ----------
    law : str
        Name of the law, for the message.
    **parameters : (array_like, str)
        Values and what they must be: ``"positive"``, ``"non-negative"`` or ``"finite"``.

    Returns
    -------
    tuple of (n,) float64
        Read-only columns in the order given.

    Raises
    ------
    ModelError
        Names the law, the parameter and the element.

    Examples
    --------
    >>> columns("spring", stiffness=([1.0, 2.0], "positive"), gap=(0.0, "finite"))
    (array([1., 2.]), array([0., 0.]))
    """
    raw = {}
    for name, (values, _) in parameters.items():
        try:
            raw[name] = np.atleast_1d(np.asarray(values, np.float64))
        except (TypeError, ValueError) as error:
            raise ModelError("is not numeric", component=law, field=name, fix="pass one number an element") from error
    size = max(array.size for array in raw.values())
    out = []
    for name, array in raw.items():
        if array.ndim != 1 or array.size not in (1, size):
            raise ModelError(f"has shape {array.shape}, not ({size},)", component=law, field=name)
        column = np.ascontiguousarray(np.broadcast_to(array, (size,))).copy()
        need = parameters[name][1]
        wrong = ~np.isfinite(column)
        if need == "positive":
            wrong |= column <= 0.0
        elif need == "non-negative":
            wrong |= column < 0.0
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ModelError(f"entry {first} is {column[first]}, not a {need} number", component=law, field=name)
        column.setflags(write=False)
        out.append(column)
    return tuple(out)
