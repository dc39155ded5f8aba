"""The comprehensive report: every analysis, one explanation, one document.

The section names are those that people's ``jq`` lines use; every figure is computed, its definition is in the docs
(the architecture score) and, in short, in the document itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch import __version__
from fea_arch.errors import FeaArchError, ModelError, UnstableLoadError
from fea_arch.report.static import conditions, largest_load
from fea_arch.results.base import plain
from fea_arch.results.score import label_of

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.architecture.health import Health
    from fea_arch.results.modal import ModalResult
    from fea_arch.results.score import Score
    from fea_arch.results.static import StaticResult
    from fea_arch.scoring.advice import Advice
    from fea_arch.scoring.catalogue import Catalogue

__all__ = ["DUE_DAYS", "Comprehensive", "Recovered", "comprehensive_document", "comprehensive_schema", "examine"]

#: Days until the next validation is due, by incident level.
DUE_DAYS = {0: 7, 1: 1, 2: 1, 3: 1}
#: Share of its undisturbed good answers that counts as recovered [1].
RECOVERED = 0.95

DEFINITIONS = {
    "reliability_index": "mean share of requests answered correctly within the objective over all single failures [1]",
    "performance_rating": "label of the share answered within the objective at the design load",
    "scalability_potential": "largest multiple of the design load that has a steady state [1]; null: nothing limits it",
    "status": "label of the overall score, incident if the incident level is above 0",
}


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a passing disturbance leaves behind.

    Parameters
    ----------
    situation : str
    factor : float
        Multiple of the design load during the disturbance [1].
    duration_s : float
        Its length [s].
    lost_share : float
        Share of the requests of the whole window that are not answered in time [1].
    recovered_after_s : float or None
        Time after its end from which good answers are back for good [s]; None: not within the window.
    window_s : float
        Time that was looked at after its end [s].
    """

    situation: str
    factor: float
    duration_s: float
    lost_share: float
    recovered_after_s: float | None
    window_s: float


@dataclass(frozen=True, eq=False)
class Comprehensive:
    """The answers of all analyses; ``None`` with a reason in ``reasons`` where one has none."""

    arch: Architecture
    source: str
    score: Score
    static: StaticResult | None
    modal: ModalResult | None
    health: Health
    largest: float
    limited_by: str
    recoveries: tuple[Recovered, ...]
    advice: tuple[Advice, ...]
    reasons: Mapping[str, str]
    elapsed_s: Mapping[str, float]

    @property
    def reliability_index(self) -> float:
        """Mean share answered in time over the single failures; NaN if the catalogue has none [1]."""
        rows = [k for k, name in enumerate(self.score.situations) if name.startswith("single failures")]
        weights = self.score.weights[rows]
        return float(self.score.shares[rows] @ weights / weights.sum()) if rows else math.nan

    @property
    def design_share(self) -> float:
        """Share answered in time at the design load [1]."""
        names = list(self.score.situations)
        return float(self.score.shares[names.index("design load")]) if "design load" in names else math.nan

    @property
    def status(self) -> str:
        """Label of the score, or the incident."""
        return self.score.label if self.health.level == 0 else f"incident level {self.health.level}"


def examine(arch: Architecture, *, source: str = "", catalogue: Catalogue | None = None) -> Comprehensive:
    """Run every analysis.

    Parameters
    ----------
    arch : Architecture
    source : str
        What was read.
    catalogue : Catalogue, optional

    Raises
    ------
    ModelError
        No load, or a description that cannot be analysed.
    """
    from fea_arch.analyses.modal import modal
    from fea_arch.analyses.static import static
    from fea_arch.architecture.health import health
    from fea_arch.scoring.advice import advise
    from fea_arch.scoring.score import score

    reasons: dict[str, str] = {}
    spent: dict[str, float] = {}

    def timed(name: str, call: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call()
        except UnstableLoadError as error:
            reasons[name] = error.message
            if name == "static":
                reasons["collapse"] = f"{error.max_load_factor!r} {error.limiting}"
        except FeaArchError as error:
            reasons[name] = str(error)
        finally:
            spent[name] = time.perf_counter() - begin
        return None

    begin = time.perf_counter()
    value = score(arch, catalogue)
    spent["score"] = time.perf_counter() - begin
    stands: StaticResult | None = timed("static", lambda: static(arch))
    begin = time.perf_counter()
    largest, limiting = math.nan, ""
    if stands is not None:
        largest, limiting, reason = largest_load(stands)
        if reason:
            reasons["largest load"] = reason
    elif "collapse" in reasons:
        word, _, limiting = reasons.pop("collapse").partition(" ")
        largest = float(word)
    spent["largest load"] = time.perf_counter() - begin
    shapes: ModalResult | None = timed("modal", lambda: modal(arch, 3))
    recoveries = timed("recovery", lambda: _recoveries(arch, value, catalogue)) or ()
    advice = timed("advice", lambda: advise(arch, value, catalogue)) or []
    return Comprehensive(
        arch, source, value, stands, shapes, health(arch, score=value.value), largest, limiting, tuple(recoveries),
        tuple(advice), reasons, spent,
    )  # fmt: skip


def _recoveries(arch: Architecture, score: Score, catalogue: Catalogue | None) -> tuple[Recovered, ...]:
    from fea_arch.scoring.catalogue import default_catalogue
    from fea_arch.scoring.situations import cases
    from fea_arch.solvers.quasi_static import build_march, walk

    if any(load.closed for load in arch.loads):
        raise ModelError("bursts of closed loads are not followed", field="loads")
    tables, found = build_march(arch), []
    for case in cases(arch, catalogue or default_catalogue()):
        s = case.situation
        if s.kind not in ("burst", "outage"):
            continue
        over = s.start_s + s.duration_s
        window = over + 600.0
        events = [(case.start_s, case.end_s, case.lost_share)] if case.lost_share else []
        march = walk(tables, objective_s=score.objective_s, duration_s=window, load=case.load, events=events)
        rate, good, t = march.offered_per_s, march.good_per_s, march.time_s
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(rate > 0, good / rate, 1.0)
        before = float(share[(t > 0) & (t <= s.start_s)].max(initial=0.0))
        late = np.flatnonzero((t > over) & (share < RECOVERED * before))
        back = None if late.size and late[-1] == t.size - 1 else (
            max(float(t[late[-1]]) - over, 0.0) if late.size else 0.0
        )  # fmt: skip
        factor = s.factor if s.kind == "burst" and s.factor is not None else 1.0
        found.append(Recovered(case.label, factor, s.duration_s, 1.0 - march.share, back, 600.0))
    return tuple(found)


def comprehensive_document(found: Comprehensive) -> dict[str, Any]:
    """Return the report as plain data; its JSON Schema is :func:`comprehensive_schema`."""
    arch, score = found.arch, found.score
    kinds = [str(k) for k in arch.component_columns.column("kind")]
    now = time.time()
    stands = found.static
    document = {
        "report_type": "comprehensive_fea_report",
        "timestamp": _stamp(now),
        "system_overview": {
            "name": arch.name,
            "architecture": "event-driven" if "bus" in kinds or "queue" in kinds else "request-response",
            "components": len(arch),
            "components_by_kind": {k: kinds.count(k) for k in sorted(set(kinds))},
            "integration_points": int(arch.graph.n_edges),
            "hosts": len(arch.hosts),
            "offered_per_s": math.fsum(load.rate_per_s or 0.0 for load in arch.loads),
            "not_available": list(found.health.down),
            "measured_share": arch.measured_share(),
        },
        "analysis_results": {
            "static_score": score.static,
            "dynamic_score": score.dynamic,
            "nonlinear_score": score.nonlinear,
            "modal_score": score.modal,
            "overall_score": score.value,
            "label": score.label,
            "interval": list(score.interval),
            "conditions": [] if stands is None else [asdict(c) for c in conditions(arch, stands)],
            "modes": _modes(found),
            "recovery": [asdict(r) for r in found.recoveries],
            "situations": score.to_dict()["situations"],
            "losses": score.to_dict()["losses"][:50],
            "without_answer": dict(found.reasons),
        },
        "system_health": {
            "status": found.status,
            "reliability_index": found.reliability_index,
            "performance_rating": None if math.isnan(found.design_share) else label_of(100.0 * found.design_share),
            "scalability_potential": found.largest,
            "limited_by": found.limited_by,
            "incident_level": found.health.level,
            "reasons": list(found.health.reasons),
            "steps": list(found.health.steps),
            "definitions": DEFINITIONS,
        },
        "recommendations": [asdict(a) | {"rank": k} for k, a in enumerate(found.advice, 1)],
        "fea_methodology": {
            "nodes": len(arch),
            "elements": int(np.sum(arch.component_columns.column("replicas"))),
            "residual": None if stands is None else stands.residual,
            "method": "quasi-static march of the queues" if stands is None else stands.method,
            "sweeps": None if stands is None else stands.sweeps,
            "situations": score.runs,
            "catalogue": score.catalogue,
            "objective_s": score.objective_s,
            "objective_stated": score.objective_stated,
            "elapsed_s": dict(found.elapsed_s),
            "findings": [asdict(f) for f in arch.check() if f.level != "info"] + list(score.findings),
        },
        "validation_metadata": {
            "fea_arch": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "source": found.source,
            "input_sha256": input_hash(arch),
            "next_validation_due": _stamp(now + 86400.0 * DUE_DAYS[found.health.level]),
        },
    }
    return dict(plain(document))


def _modes(found: Comprehensive) -> dict[str, Any]:
    if found.modal is None:
        return {"frequencies_hz": [], "damping_ratios": [], "stable": None}
    return {
        "frequencies_hz": found.modal.frequencies_hz,
        "damping_ratios": found.modal.damping_ratios,
        "stable": found.modal.stable,
    }


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def input_hash(arch: Architecture) -> str:
    """Return the SHA-256 of the native document of an architecture: the same input, the same hash."""
    from fea_arch.architecture.document import to_document

    text = json.dumps(plain(to_document(arch)), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def comprehensive_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    path = Path(__file__).with_name("comprehensive.schema.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))
