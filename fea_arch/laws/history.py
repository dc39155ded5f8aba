"""What a law with memory adds: a frozen law object holds its committed state, and :meth:`committed` returns the next.

Plastic flow and damage depend on the path. A converged step is made permanent by asking the law for its successor;
within a step the law answers from the state it was built with, so iterations that fail leave no trace.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fea_arch.laws.base import Array, Law

__all__ = ["HistoryLaw"]


@runtime_checkable
class HistoryLaw(Law, Protocol):
    """A law whose response depends on the largest or last states it has been through."""

    def committed(self, elongation: Array) -> HistoryLaw:
        """Return the law after a converged state ``e``, (n,) float64; the law itself does not change."""
        ...

    def dissipated(self) -> Array:
        """Return the work lost for good up to the committed state, (n,) float64."""
        ...
