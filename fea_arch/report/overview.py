"""Everything that the report page, the Markdown comment and the JSON report say, gathered once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch import __version__
from fea_arch.errors import UnstableLoadError
from fea_arch.report.connectivity import connectivity
from fea_arch.report.further import MOST_COMPONENTS, analysed_further
from fea_arch.report.static import (
    DEFAULT_OBJECTIVE_S,
    PERCENTILES,
    Condition,
    assumptions,
    conditions,
    largest_load,
    served_within_objective,
)
from fea_arch.report.strengthening import Step, strengthening_steps
from fea_arch.results.base import plain

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["Overview", "overview"]

#: Share of the largest load at which a system is shown that does not stand under its own load.
SHOWN_BELOW_COLLAPSE = 0.95
#: Fields whose origin the report breaks down, with the words for them.
ORIGINS = {
    "service_time_s": "service time",
    "servers": "servers",
    "memory_bytes": "memory",
    "cold_start_s": "cold start",
}


@dataclass(frozen=True, eq=False)
class Overview:
    """The answers of one report.

    Attributes
    ----------
    arch : Architecture
    result : StaticResult or None
        The state that is shown; None where nothing could be solved.
    load_factor : float
        Load that was asked for [1].
    shown_load_factor : float
        Load of ``result``; smaller than ``load_factor`` where no steady state exists there [1].
    collapse : UnstableLoadError or None
        Why there is no steady state at the load that was asked for.
    largest, limited_by, unknown : float, str, str
        Largest load factor with an equilibrium, what limits it, why it is not known.
    served : float
        Share of the offered requests that are answered within the objective; NaN without load [1].
    conditions : sequence of Condition
    steps : sequence of Step
        What to do.
    source : str
        What was read.
    further : dict
        Results of further analyses by name: ``score``, ``fracture``.
    missing : sequence of str
        Why further analyses have no result.
    """

    arch: Architecture
    result: StaticResult | None
    load_factor: float
    shown_load_factor: float
    collapse: UnstableLoadError | None
    largest: float
    limited_by: str
    unknown: str
    served: float
    conditions: Sequence[Condition]
    steps: Sequence[Step]
    source: str
    further: dict[str, Any] = field(default_factory=dict)
    missing: Sequence[str] = ()
    made: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def rate_per_s(self) -> float:
        """Requests a second at the load that was asked for, closed loads left out [1/s]."""
        return self.load_factor * float(self.arch.graph.rate_per_s.sum())

    @property
    def objective_s(self) -> float:
        """Latency objective, stated or assumed [s]."""
        return self.arch.objective.latency_s or DEFAULT_OBJECTIVE_S

    @property
    def missed(self) -> list[Condition]:
        """Conditions that are not met."""
        return [c for c in self.conditions if not c.met]

    @property
    def grade(self) -> str:
        """``bad`` (no steady state, or a critical score), ``warning`` (a condition or points are missed), ``good``."""
        label = self.further["score"].label if "score" in self.further else ""
        if self.collapse is not None or label == "critical":
            return "bad"
        return "warning" if self.missed or label == "degraded" else "good"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        from fea_arch.report.wording import headline

        arch, result = self.arch, self.result
        document = {
            "report_type": "report",
            "timestamp": self.made,
            "fea_arch": __version__,
            "architecture": arch.name,
            "source": self.source,
            "load_factor": self.load_factor,
            "shown_load_factor": self.shown_load_factor,
            "verdict": {
                "stands": self.collapse is None,
                "meets_all_conditions": self.collapse is None and not self.missed,
                "grade": self.grade,
                "text": headline(self),
                "assumed": assumptions(arch),
                "served_within_objective": self.served,
                "objective_s": self.objective_s,
                "largest_load_factor": self.largest,
                "limited_by": self.limited_by,
                "not_found_because": self.unknown,
            },
            "conditions": [asdict(c) for c in self.conditions],
            "what_to_do": [asdict(s) for s in self.steps],
            "connectivity": connectivity(arch),
            "provenance": {"measured_share": arch.measured_share(), "fields": origins(arch)},
            "findings": [asdict(f) for f in arch.check()],
            "result": None if result is None else result.to_dict(),
            **{name: found.to_dict() for name, found in self.further.items()},
        }
        return dict(plain(document))


def origins(arch: Architecture) -> dict[str, dict[str, float]]:
    """Return for each key field the share of components whose value is measured, declared and assumed [1]."""
    found = {}
    for name in ORIGINS:
        codes = arch.component_columns.codes(name)
        words = ("assumed", "declared", "measured")
        found[name] = {word: float(np.mean(codes == k)) if codes.size else 0.0 for k, word in enumerate(words)}
    return found


def percentiles(result: StaticResult, at: str | None = None) -> dict[str, float]:
    """Return the reported percentiles of the end-to-end response [s]."""
    return {f"p{100 * p:g}": result.latency_quantile_s(p, at=at) for p in PERCENTILES}


def overview(
    arch: Architecture, load_factor: float = 1.0, *, source: str = "", rounds: int = 3, quick: bool = False
) -> Overview:
    """Analyse an architecture for a report.

    Parameters
    ----------
    arch : Architecture
    load_factor : float
        Multiple of the design load.
    source : str
        What was read.
    rounds : int
        Changes that are tried for the section "what to do".
    quick : bool
        Leave out the longer analyses; they are left out beyond 200 components anyway.

    Examples
    --------
    >>> import fea_arch as fa
    >>> overview(fa.load_sample("shop"), quick=True).grade
    'good'
    """
    from fea_arch.analyses.static import static

    collapse: UnstableLoadError | None = None
    result: StaticResult | None = None
    shown = load_factor
    try:
        result = static(arch, load_factor)
    except UnstableLoadError as error:
        collapse = error
        shown = SHOWN_BELOW_COLLAPSE * error.max_load_factor
        if 0 < shown < math.inf:
            result = static(arch, shown)
    if collapse is not None:
        largest, limited_by, unknown = collapse.max_load_factor, collapse.limiting, ""
    else:
        assert result is not None
        largest, limited_by, unknown = largest_load(result)
    served = math.nan
    if collapse is None and result is not None and float(np.sum(result.entry_rate_per_s)) > 0:
        served = served_within_objective(arch, result)
    steps = (
        strengthening_steps(arch, largest, limited_by, load_factor=load_factor, rounds=rounds) if limited_by else []
    )
    further: dict[str, Any] = {}
    missing: list[str] = []
    if len(arch) > MOST_COMPONENTS and not quick:
        missing = [f"Score and collapse of more than {MOST_COMPONENTS} components: ask for them by their own commands."]
    elif not quick:
        further, missing = analysed_further(arch, load_factor)
    return Overview(
        arch=arch, result=result, load_factor=load_factor, shown_load_factor=shown, collapse=collapse,
        largest=largest, limited_by=limited_by, unknown=unknown, served=served,
        conditions=conditions(arch, result) if result is not None else [], steps=steps, source=source,
        further=further, missing=missing,
    )
