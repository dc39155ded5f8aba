"""``plot`` of every result: the picture is found by name when it is asked for, so results do not import pictures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Plottable"]


class Plottable:
    """Mixin that adds ``plot`` to results."""

    __slots__ = ()

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the result and return the matplotlib Axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; default a new figure.
        **options
            Those of the picture, for instance ``theme="dark"``; see :mod:`fea_arch.plotting`.
        """
        return import_module("fea_arch.plotting").draw(self, ax=ax, **options)
