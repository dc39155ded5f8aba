"""The answer of a contingency analysis: one row per outage, worst first on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import ComponentTable

__all__ = ["ContingencyResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ContingencyResult(ComponentTable):
    """What is left when components or dependencies are gone, one row per outage.

    Attributes
    ----------
    components : tuple of str
        The outages: a component, a dependency ``"a->b"``, or two of them joined by ``" + "``.
    served_share : (n_cases,) float64
        Share of the offered requests that are answered [1].
    worst_component : tuple of str
        Component with the highest utilisation that is left.
    worst_utilisation : (n_cases,) float64
        Its utilisation [1].
    response_s : (n_cases,) float64
        Mean end-to-end response of the requests that are answered; NaN where none is [s].
    status : tuple of str
        ok, failed (nothing is answered any more) or unstable (a queue grows, or callers are trapped in retries).
    reason : tuple of str
        Why a case is not ok.
    served_share_intact : float
        Served share without any outage [1].
    """

    components: tuple[str, ...]
    served_share: Array
    worst_component: tuple[str, ...]
    worst_utilisation: Array
    response_s: Array
    status: tuple[str, ...]
    reason: tuple[str, ...]
    order: int = 1
    load_factor: float = 1.0
    served_share_intact: float = 1.0
    method: str = ""
    interrupted: bool = False

    component_fields: ClassVar[tuple[str, ...]] = (
        "served_share",
        "worst_component",
        "worst_utilisation",
        "response_s",
        "status",
        "reason",
    )
    shown_fields: ClassVar[tuple[str, ...]] = ("served_share", "status", "worst_component", "worst_utilisation")

    @property
    def outages(self) -> tuple[str, ...]:
        """The outages, in order."""
        return self.components

    def worst(self, count: int = 10) -> tuple[str, ...]:
        """Return the outages that cost most served load, the worst first."""
        return tuple(self.components[i] for i in self._order()[:count])

    def _headline(self) -> str:
        bad = sum(s != "ok" for s in self.status)
        return f"ContingencyResult: N-{self.order}, {len(self.components)} outages, {bad} not ok"

    def _notes(self) -> tuple[str, ...]:
        return (f"served share without outage {self.served_share_intact:.1%}; {self.method}",)

    def _order(self) -> Any:
        return np.lexsort((-self.worst_utilisation, self.served_share)).tolist()
