"""The result of a recovery analysis: drain times and work at risk against objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import ComponentTable

__all__ = ["RecoveryResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class RecoveryResult(ComponentTable):
    """What an outage of each component leaves behind.

    Attributes
    ----------
    components : tuple of str
    level : (n,) int64
        Incident level of the outage (1 to 3).
    backlog : (n,) float64
        Largest number in flight above rest, all components together [req].
    drain_time_s : (n,) float64
        From the return of the component until everything is at rest again; inf where it never is [s].
    recovery_time_s : (n,) float64
        Outage, restart and drain [s].
    objective_s : (n,) float64
        Recovery time objective of the level [s].
    met : (n,) bool
    at_risk : (n,) float64
        Requests and events that are open at the component at design load and lost if it dies [req].
    at_risk_s : (n,) float64
        The same as time of work [s].
    point_objective_s : (n,) float64
        Recovery point objective of what the component keeps [s].
    governs : str
        Component with the smallest margin to its objective.
    backups : tuple of dict
        Known backups: the work of one period is at risk, compared with the recovery point objective.
    """

    components: Sequence[str]
    level: NDArray[np.int64]
    backlog: Array
    drain_time_s: Array
    recovery_time_s: Array
    objective_s: Array
    met: NDArray[np.bool_]
    at_risk: Array
    at_risk_s: Array
    point_objective_s: Array
    governs: str
    backups: tuple[dict[str, Any], ...]
    outage_s: float
    load_factor: float

    component_fields: ClassVar[tuple[str, ...]] = (
        "level", "backlog", "drain_time_s", "recovery_time_s", "objective_s", "met", "at_risk", "at_risk_s",
        "point_objective_s",
    )  # fmt: skip
    shown_fields: ClassVar[tuple[str, ...]] = ("level", "backlog", "recovery_time_s", "objective_s", "met", "at_risk")

    @property
    def all_met(self) -> bool:
        """Whether every outage is over within its recovery time objective."""
        return bool(self.met.all())

    def _headline(self) -> str:
        return (
            f"RecoveryResult: outages of {self.outage_s:g} s of {len(self.components)} components, "
            f"{int((~self.met).sum())} miss their objective"
        )

    def _notes(self) -> tuple[str, ...]:
        return (f"{self.governs} governs",) if self.governs else ()

    def _order(self) -> Any:
        return np.argsort(-(self.recovery_time_s / self.objective_s), kind="stable").tolist()
