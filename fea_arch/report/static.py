"""The static report: a result in words an on-call engineer reads, and as a document that ``jq`` reads.

Every figure is computed from the architecture and the result; the definitions are in the docs (reading a result).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch import __version__
from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.connectivity import connectivity
from fea_arch.report.quantities import bytes_text, number_text, share_text, time_text
from fea_arch.results.base import plain
from fea_arch.results.quantiles import mixture_within

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.errors import UnstableLoadError
    from fea_arch.results.static import StaticResult

__all__ = [
    "DEFAULT_OBJECTIVE_S",
    "Condition",
    "assumed_clause",
    "assumptions",
    "collapsed_document",
    "collapsed_text",
    "conditions",
    "largest_load",
    "served_within_objective",
    "static_document",
    "static_text",
]

#: Latency objective where none is stated [s].
DEFAULT_OBJECTIVE_S = 1.0
#: Percentiles of the end-to-end response that are reported.
PERCENTILES = (0.50, 0.95, 0.99)

_STYLES = {"elastic": "green", "yielding": "yellow", "failing": "bold red", "down": "dim", "idle": "dim"}


@dataclass(frozen=True)
class Condition:
    """One boundary condition: a limit, what was computed, whether it is met, and whether the limit is assumed."""

    name: str
    met: bool
    value: float
    limit: float
    unit: str
    culprit: str = ""
    assumed: bool = False

    def text(self) -> str:
        """Return one line of text."""
        show = {"s": time_text, "B": bytes_text}.get(self.unit, number_text)
        where = f" ({shown(self.culprit)})" if self.culprit else ""
        sign = "<=" if self.unit in ("s", "B") or self.name == "failing components" else ">="
        basis = " (assumed)" if self.assumed else ""
        met = "ok    " if self.met else "MISSED"
        return f"  {met}  {self.name}: {show(self.value)} {sign} {show(self.limit)}{basis}{where}"


def served_within_objective(arch: Architecture, result: StaticResult) -> float:
    """Return the share of offered requests that are answered within the latency objective at this load [1].

    Where no objective is stated it is :data:`DEFAULT_OBJECTIVE_S`. Responses follow the gamma distribution of the
    propagated mean and variance.

    Raises
    ------
    ModelError
        If nothing loads the architecture.
    """
    index = np.array([arch.index[e] for e in result.entries], np.int64)
    rate = np.asarray(result.entry_rate_per_s, float)
    if not index.size or rate.sum() <= 0:
        raise ModelError("there is no load, so no request to answer", field="loads", fix="a load above zero")
    limit = arch.objective.latency_s or DEFAULT_OBJECTIVE_S
    answered = rate * result.success_share[index]
    if answered.sum() <= 0:
        return 0.0
    within = mixture_within(limit, result.response_s[index], result.variance_s2[index], answered)
    return within * float(answered.sum() / rate.sum())


def largest_load(result: StaticResult) -> tuple[float, str, str]:
    """Return the largest load factor with an equilibrium, what limits it, and why it could not be found."""
    try:
        factor, limiting = result.sustainable
    except ConvergenceError as error:
        return math.nan, "", str(error)
    return factor, limiting, ""


def conditions(arch: Architecture, result: StaticResult) -> list[Condition]:
    """Return every boundary condition with the value that was computed; an objective that nobody states is assumed."""
    found = []
    objective, loaded = arch.objective, float(np.sum(result.entry_rate_per_s)) > 0
    if loaded:
        value, limit = result.latency_quantile_s(objective.quantile), objective.latency_s or DEFAULT_OBJECTIVE_S
        name, assumed = f"response p{100 * objective.quantile:g}", objective.latency_s is None
        found.append(Condition(name, value <= limit, value, limit, "s", assumed=assumed))
    if objective.memory_bytes is not None:
        value = result.total_memory_bytes
        found.append(Condition("memory", value <= objective.memory_bytes, value, objective.memory_bytes, "B"))
    failing = [name for name, state in zip(result.components, result.state) if state == "failing"]
    culprit = ", ".join(failing[:3]) + (" ..." if len(failing) > 3 else "")
    found.append(Condition("failing components", not failing, float(len(failing)), 0.0, "1", culprit))
    required, have = _required_safety(arch), result.safety_factor
    limited = np.isfinite(have)
    if limited.any():
        ratio = np.where(limited, have / required, np.inf)
        i = int(np.argmin(ratio))
        met = bool(ratio[i] >= 1.0)
        found.append(Condition("safety factor", met, float(have[i]), float(required[i]), "1", result.components[i]))
    return found


def _required_safety(arch: Architecture) -> np.ndarray[Any, np.dtype[np.float64]]:
    from fea_arch.architecture.component import REQUIRED_SAFETY

    columns = arch.component_columns
    stated, kind = columns.column("required_safety"), columns.column("kind")
    default = np.ones(len(arch))
    for word, factor in REQUIRED_SAFETY.items():
        default[kind == word] = factor
    return np.where(np.isnan(stated), default, stated)


def assumptions(arch: Architecture) -> list[str]:
    """Return what a verdict rests on although nobody measured or declared it, in words.

    Examples
    --------
    >>> import fea_arch as fa
    >>> assumptions(fa.load_sample("shop"))
    []
    >>> assumptions(fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.02)],
    ...                             loads=[fa.Load("api", rate_per_s=5.0)]))
    ['the objective of 1 s']
    """
    found = []
    if arch.objective.latency_s is None and any((load.rate_per_s or load.users or 0) > 0 for load in arch.loads):
        found.append(f"the objective of {time_text(DEFAULT_OBJECTIVE_S)}")
    codes = arch.component_columns.codes("service_time_s")
    if codes.size and not codes.any():
        found.append("all service times")
    return found


def assumed_clause(arch: Architecture) -> str:
    """Return the clause behind a verdict that names its assumptions; empty if there are none."""
    words = assumptions(arch)
    verb = "is" if words and words[-1].startswith("the objective") else "are"
    return f"; {' and '.join(words)} {verb} assumed" if words else ""


def _verdict(arch: Architecture, missed: Sequence[Condition]) -> str:
    if not missed:
        return f"stands and meets every condition{assumed_clause(arch)}"
    return f"stands, but misses {len(missed)} condition{'s' if len(missed) > 1 else ''}{assumed_clause(arch)}"


def static_document(arch: Architecture, result: StaticResult, *, source: str = "") -> dict[str, Any]:
    """Return the static report as plain data.

    Parameters
    ----------
    arch : Architecture
    result : StaticResult
        Answer of :func:`fea_arch.static` for ``arch``.
    source : str
        What was read.

    Returns
    -------
    dict
        Sections ``verdict``, ``connectivity``, ``boundary_conditions``, ``mesh_quality``, ``findings`` and ``result``.
    """
    found = conditions(arch, result)
    missed = [c for c in found if not c.met]
    factor, limiting, reason = largest_load(result)
    loaded = float(np.sum(result.entry_rate_per_s)) > 0
    stiffness = 1.0 / arch.component_columns.column("service_time_s")
    document = {
        **_head(arch, result.load_factor, source),
        "verdict": {
            "stands": True,
            "meets_all_conditions": not missed,
            "text": _verdict(arch, missed),
            "assumed": assumptions(arch),
            "largest_load_factor": factor,
            "limited_by": limiting,
            "not_found_because": reason,
            "served_within_objective": served_within_objective(arch, result) if loaded else None,
            "objective_s": arch.objective.latency_s or DEFAULT_OBJECTIVE_S,
        },
        "connectivity": connectivity(arch),
        "boundary_conditions": {
            "entries": {
                name: {"rate_per_s": float(rate)} | _percentiles(result, name)
                for name, rate in zip(result.entries, result.entry_rate_per_s)
            },
            "response_s": ({"mean": result.mean_response_s} | _percentiles(result, None)) if loaded else {},
            "memory_bytes": result.total_memory_bytes,
            "reaction_per_s": result.reaction_per_s,
            "hosts": {
                name: {"utilisation": float(rho), "memory_bytes": float(size)}
                for name, rho, size in zip(result.hosts, result.host_utilisation, result.host_memory_bytes)
            },
            "conditions": [asdict(c) for c in found],
        },
        "mesh_quality": {
            "nodes": len(arch),
            "elements": int(np.sum(arch.component_columns.column("replicas"))),
            "host_elements": len(arch.hosts),
            "stiffness_ratio": float(stiffness.max() / stiffness.min()),
            "residual": result.residual,
            "method": result.method,
            "sweeps": result.sweeps,
            "measured_share": arch.measured_share(),
        },
        "findings": [asdict(f) for f in arch.check()] + [{"level": "info", "message": m} for m in result.findings],
        "result": result.to_dict(),
    }
    return dict(plain(document))


def collapsed_document(
    arch: Architecture, error: UnstableLoadError, load_factor: float, *, source: str = ""
) -> dict[str, Any]:
    """Return the report of a load that has no equilibrium as plain data."""
    document = {
        **_head(arch, load_factor, source),
        "verdict": {
            "stands": False,
            "meets_all_conditions": False,
            "text": error.message,
            "largest_load_factor": error.max_load_factor,
            "limited_by": error.limiting,
        },
        "connectivity": connectivity(arch),
        "findings": [asdict(f) for f in arch.check()],
    }
    return dict(plain(document))


def _head(arch: Architecture, load_factor: float, source: str) -> dict[str, Any]:
    return {
        "report_type": "static_analysis",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fea_arch": __version__,
        "architecture": arch.name,
        "source": source,
        "load_factor": load_factor,
    }


def _percentiles(result: StaticResult, at: str | None) -> dict[str, float]:
    return {f"p{100 * p:g}": result.latency_quantile_s(p, at=at) for p in PERCENTILES}


def static_text(arch: Architecture, result: StaticResult, *, limit: int = 15) -> list[Block]:
    """Return the static report as text and tables, the verdict first.

    Parameters
    ----------
    arch : Architecture
    result : StaticResult
    limit : int
        Rows of the component table; the most utilised come first.
    """
    found = conditions(arch, result)
    missed = [c for c in found if not c.met]
    rate = float(np.sum(result.entry_rate_per_s))
    blocks: list[Block] = [
        f"{shown(arch.name)} at load factor {result.load_factor:g} ({number_text(rate)} requests/s): "
        f"{_verdict(arch, missed)}.",
        _limit_text(result, rate),
        "",
        "Conditions",
        *(c.text() for c in found),
    ]
    if rate > 0:
        limit_s = arch.objective.latency_s or DEFAULT_OBJECTIVE_S
        served = served_within_objective(arch, result)
        blocks.append(f"  {share_text(served)} of the requests are answered within {time_text(limit_s)}.")
    blocks += ["", _entry_table(result), "", _component_table(result, limit)]
    if result.hosts:
        blocks += ["", _host_table(result)]
    blocks += ["", _basis(arch, result)]
    notes = [f for f in arch.check() if f.level != "info"]
    blocks += [f"  {shown(str(f))}" for f in notes[:10]]
    blocks += [f"  note: {shown(m)}" for m in result.findings[:5]]
    return blocks


def _limit_text(result: StaticResult, rate: float) -> str:
    factor, limiting, reason = largest_load(result)
    if reason:
        return f"How far the load can grow was not found: {shown(reason)}"
    if math.isinf(factor):
        return "Nothing limits how far the load can grow."
    own = result.load_factor
    more = f" ({number_text(rate * factor / own)} requests/s)" if own > 0 else ""
    first = f"{shown(limiting)} is the first to pass its capacity"
    return f"It has an equilibrium up to load factor {factor:.4g}{more}; {first}."


def _entry_table(result: StaticResult) -> Table:
    rows = []
    if float(np.sum(result.entry_rate_per_s)) > 0 and len(result.entries) > 1:
        numbers = (result.mean_response_s, *_percentiles(result, None).values())
        rows.append(["all entries", number_text(float(np.sum(result.entry_rate_per_s))), *map(time_text, numbers)])
    for name, rate in list(zip(result.entries, result.entry_rate_per_s))[:20]:
        numbers = (result[name]["response_s"], *_percentiles(result, name).values())
        rows.append([shown(name), number_text(float(rate)), *map(time_text, numbers)])
    headers = ("entry", "requests/s", "mean", *(f"p{100 * p:g}" for p in PERCENTILES))
    return Table(headers, rows, "End-to-end response", range(1, len(headers)))


def _component_table(result: StaticResult, limit: int) -> Table:
    order = np.argsort(-result.utilisation, kind="stable")[:limit].tolist()
    rows = [
        [
            shown(result.components[i]),
            number_text(result.throughput_per_s[i]),
            share_text(result.utilisation[i]),
            result.state[i],
            number_text(result.in_flight[i]),
            time_text(result.response_s[i]),
            bytes_text(result.memory_bytes[i]),
            number_text(result.safety_factor[i]),
            result.governs[i],
        ]
        for i in order
    ]
    rest = len(result.components) - len(rows)
    title = "Components, the most utilised first" + (f" ({rest} more: --all)" if rest else "")
    headers = ("component", "req/s", "utilisation", "state", "in flight", "response", "memory", "safety", "governed by")
    return Table(headers, rows, title, (1, 2, 4, 5, 6, 7), _STYLES)


def _host_table(result: StaticResult) -> Table:
    rows = [
        [shown(name), share_text(rho), bytes_text(size)]
        for name, rho, size in zip(result.hosts, result.host_utilisation, result.host_memory_bytes)
    ]
    return Table(("host", "CPU utilisation", "memory"), rows[:20], "", (1, 2))


def _basis(arch: Architecture, result: StaticResult) -> str:
    return (
        f"Basis: {share_text(arch.measured_share())} of the numbers are measured, the rest is declared or assumed. "
        f"Flow conservation holds to {result.residual:.1e} ({shown(result.method)}, {result.sweeps} rounds)."
    )


def collapsed_text(arch: Architecture, error: UnstableLoadError, load_factor: float) -> list[Block]:
    """Return the report of a load that has no equilibrium as text."""
    blocks: list[Block] = [
        f"{shown(arch.name)} at load factor {load_factor:g}: does not stand, there is no steady state.",
        f"{shown(error.limiting)} is the first to pass its capacity; "
        f"the largest load factor with an equilibrium is {error.max_load_factor:.4g}.",
    ]
    return [*blocks, f"What would help: {shown(error.fix)}." if error.fix else ""]
