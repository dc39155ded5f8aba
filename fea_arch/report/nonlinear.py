"""The nonlinear report: yield, contact, fracture, metastability and outages, as text and as a document for ``jq``."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch import __version__
from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.quantities import number_text, share_text, time_text
from fea_arch.results.base import plain

if TYPE_CHECKING:
    from fea_arch.analyses.contact import Interface
    from fea_arch.architecture import Architecture
    from fea_arch.results.contingency import ContingencyResult
    from fea_arch.results.fracture import FractureResult
    from fea_arch.results.metastability import MetastabilityResult

__all__ = ["nonlinear_document", "nonlinear_text"]

#: Structural word for each constitutive law.
MATERIAL = {
    "mmc": "elastic, perfectly plastic",
    "delay": "linear elastic",
    "usl": "softening beyond its peak",
    "tabulated": "as measured",
    "memory": "softening under memory pressure",
}
#: Rows of the text tables.
ROWS = 12


def nonlinear_document(
    arch: Architecture,
    fractured: FractureResult,
    interfaces: Sequence[Interface],
    metastable: MetastabilityResult | None,
    outages: ContingencyResult | None,
    *,
    reason: str = "",
    findings: Sequence[str] = (),
    load_factor: float = 1.0,
    source: str = "",
) -> dict[str, Any]:
    """Return the nonlinear report as plain data.

    Parameters
    ----------
    arch : Architecture
    fractured : FractureResult
        Path to collapse; its load factors are multiples of the design load.
    interfaces : sequence of Interface
        One-sided constraints at ``load_factor``.
    metastable : MetastabilityResult or None
        At ``load_factor``; None with the ``reason``.
    outages : ContingencyResult, optional
        At ``load_factor``.
    findings : sequence of str
        What a reader should know besides.

    Returns
    -------
    dict
        Sections ``plasticity``, ``contact``, ``fracture_analysis``, ``constitutive_models``, ``metastability``,
        ``contingency``.
    """
    acting = [i for i in interfaces if i.active]
    document = {
        "report_type": "nonlinear_analysis",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fea_arch": __version__,
        "architecture": arch.name,
        "source": source,
        "load_factor": load_factor,
        "plasticity": _plasticity(fractured, load_factor),
        "contact": {
            "active_interfaces": [i.to_dict() for i in acting],
            "nearest": [i.to_dict() for i in interfaces if not i.active][:ROWS],
            "interfaces": len(interfaces),
        },
        "fracture_analysis": _fracture(fractured),
        "constitutive_models": _models(arch),
        "metastability": {"status": "failed", "reason": reason} if metastable is None else _metastability(metastable),
        "contingency": None if outages is None else _contingency(outages),
        "findings": [*fractured.findings, *findings],
    }
    return dict(plain(document))


def _plasticity(result: FractureResult, load_factor: float) -> dict[str, Any]:
    order = np.argsort(result.yield_factor, kind="stable")
    return {
        "elastic_limit_factor": result.elastic_factor,
        "yielded_components": [result.components[i] for i in order if result.yield_factor[i] <= load_factor],
        "yield_factor": {
            result.components[i]: float(result.yield_factor[i]) for i in order if math.isfinite(result.yield_factor[i])
        },
        "failure_point": {"load_factor": result.collapse_factor, "component": result.limiting or None},
        "overstrength": result.collapse_factor / result.elastic_factor
        if math.isfinite(result.elastic_factor)
        else math.nan,
        "ductility_index": result.ductility_index,
    }


def _fracture(result: FractureResult) -> dict[str, Any]:
    events = [e.to_dict() for e in result.path]
    first = events[0]["load_factor"] if events else None
    modes: dict[str, list[str]] = {}
    for event in result.path:
        if event.component not in modes.setdefault(event.criterion, []):
            modes[event.criterion].append(event.component)
    return {
        "collapse_factor": result.collapse_factor,
        "limiting_component": result.limiting or None,
        "initiation_points": [e for e in events if first is not None and e["load_factor"] <= first * (1.0 + 1e-6)],
        "propagation_path": events,
        "avalanches": result.avalanches,
        "ultimate_failure_modes": modes,
        "failure": result.failure,
        "residual_capacity": result.residual_capacity,
        "toughness": result.toughness,
        "curve": {
            "load_factor": result.load_factor,
            "offered_per_s": result.offered_per_s,
            "served_per_s": result.served_per_s,
            "in_flight": result.in_flight,
        },
        "complete": result.complete,
    }


def _models(arch: Architecture) -> dict[str, Any]:
    """Return the constitutive law of each component with its stiffness, strength and fracture elongation."""
    column = arch.component_columns.column
    laws, service = column("law"), np.asarray(column("service_time_s"), float)
    servers, replicas = np.asarray(column("servers")), np.asarray(column("replicas"))
    places, blocking = np.asarray(column("queue_capacity")), np.asarray(column("blocking"))
    resident = np.nan_to_num(np.asarray(column("memory_bytes"), float))
    limit, per = np.asarray(column("memory_limit_bytes"), float), np.asarray(column("memory_per_request_bytes"), float)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(per > 0, (limit - resident) / per, np.nan)
    rows = {}
    for i, name in enumerate(arch.names):
        law = str(laws[i])
        bounded = bool(places[i] >= 0)
        capacity = math.inf if law == "delay" else float(servers[i] * replicas[i] / service[i])
        rows[name] = {
            "law": law,
            "material": MATERIAL.get(law, law) + (", brittle when full (bounded queue)" if bounded else ""),
            "stiffness_per_s": 1.0 / float(service[i]),
            "strength_per_s": capacity if law in ("mmc", "delay") else None,
            "strength_while_calling": "falls with the callees' response: workers wait" if blocking[i] else None,
            "queue_capacity": int(places[i]) if bounded else None,
            "fracture_requests": float(room[i]),
        }
    return rows


def _metastability(result: MetastabilityResult) -> dict[str, Any]:
    return {
        "status": "computed",
        "vulnerable": result.vulnerable,
        "design_load_per_s": result.design_load_per_s,
        "collapse_load_per_s": result.collapse_load_per_s,
        "recovery_load_per_s": result.recovery_load_per_s,
        "collapse_factor": result.collapse_factor,
        "recovery_factor": result.recovery_factor,
        "mean_time_to_collapse_s": result.time_to_collapse_s(),
        "stations": {name: result[name] for name in result.components},
        "triggers": [t.to_dict() for t in result.triggers],
        "remedies": [r.to_dict() for r in result.remedies],
        "branches": result.branches.to_dict(),
        "findings": list(result.findings),
    }


def _contingency(result: ContingencyResult) -> dict[str, Any]:
    return {
        "order": result.order,
        "outages": len(result.components),
        "not_ok": sum(s != "ok" for s in result.status),
        "served_share_intact": result.served_share_intact,
        "method": result.method,
        "complete": not result.interrupted,
        "table": [{"outage": name, **result[name]} for name in result.worst(len(result.components))],
    }


def nonlinear_text(document: dict[str, Any]) -> list[Block]:
    """Return the report as text and tables from its document."""
    crack, yielding = document["fracture_analysis"], document["plasticity"]
    name = shown(document["architecture"])
    if crack["collapse_factor"] is None:
        last = number_text(crack["curve"]["load_factor"][-1])
        head = f"{name}: nothing gives way up to {last} times the design load."
    else:
        kept = share_text(min(crack["residual_capacity"] or 0.0, 1.0))
        head = (
            f"{name} collapses at {number_text(crack['collapse_factor'])} times the design load"
            + (f", governed by {shown(crack['limiting_component'])}" if crack["limiting_component"] else "")
            + f": {crack['failure']} failure, {kept} of the capacity is left."
        )
    blocks: list[Block] = [head]
    if yielding["elastic_limit_factor"] is not None:
        ductility = yielding["ductility_index"]
        blocks.append(
            f"Elastic up to {number_text(yielding['elastic_limit_factor'])} times the design load; yielded at "
            f"{number_text(document['load_factor'])} times: {_names(yielding['yielded_components'])}; ductility index "
            f"{'-' if ductility is None else number_text(ductility)}."
        )
    rows = [
        [number_text(e["load_factor"]), shown(e["component"]), e["criterion"], shown(e["cause"]),
         "broken" if e["breaks"] else "limit passed"]
        for e in crack["propagation_path"][:ROWS]
    ]  # fmt: skip
    if rows:
        styles = {"broken": "bold red"}
        blocks += ["", Table(("load", "component", "criterion", "cause", "state"), rows, "Crack path", (0,), styles)]
        if len(crack["propagation_path"]) > ROWS:
            blocks.append(f"... and {len(crack['propagation_path']) - ROWS} more events")
    touch = document["contact"]["active_interfaces"]
    near = document["contact"]["nearest"][:3]
    text = ", ".join(f"{i['kind']} of {shown(i['place'])}" for i in touch[:5]) or "none"
    close = ", ".join(f"{i['kind']} of {shown(i['place'])} ({share_text(i['gap'])} left)" for i in near)
    blocks += ["", f"Constraints that act: {text}." + (f" Nearest: {close}." if close else "")]
    blocks += [*_metastable_text(document["metastability"]), *_outage_text(document["contingency"])]
    return [*blocks, *(f"Note: {shown(text)}." for text in document["findings"])]


def _names(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return ", ".join(map(shown, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _metastable_text(part: dict[str, Any]) -> list[Block]:
    if part["status"] != "computed":
        return [f"Metastability: {shown(part['reason'])}"]
    design = part["design_load_per_s"]
    collapse, recovery = part["collapse_factor"], part["recovery_factor"]
    falls = "at no load" if collapse is None else f"at {number_text(collapse * design)}/s"
    back = "any load" if recovery is None else f"{number_text(recovery * design)}/s"
    blocks: list[Block] = [
        f"Metastability: {'VULNERABLE' if part['vulnerable'] else 'not vulnerable'} at {number_text(design)}/s; the "
        f"network collapses {falls} and comes back from full queues below {back}."
    ]
    life = part["mean_time_to_collapse_s"]
    if part["stations"]:
        rows = [
            [shown(name), shown(r["callers"]), number_text(r["collapse_load"]), number_text(r["recovery_load"])]
            for name, r in part["stations"].items()
        ]
        columns = ("station", "callers that retry", "folds at [1/s]", "recovers below [1/s]")
        blocks.append(Table(columns, rows[:ROWS], "Retries, each station alone", (2, 3)))
    if part["vulnerable"]:
        if life is not None:
            blocks.append(f"By itself it holds out {time_text(life)} on average.")
        rows = [
            [r["what"], shown(r["dependency"]), r["field"], number_text(r["value"]), "yes" if r["removes"] else "no"]
            for r in part["remedies"]
        ]
        if rows:
            heads = ("remedy", "at", "field", "value", "removes")
            blocks.append(Table(heads, rows, "What removes the failed state", (3,)))
    return blocks


def _outage_text(part: dict[str, Any] | None) -> list[Block]:
    if part is None:
        return []
    rows = [
        [shown(r["outage"]), "-" if r["served_share"] is None else share_text(r["served_share"]), r["status"],
         shown(r["worst_component"]), "-" if r["worst_utilisation"] is None else share_text(r["worst_utilisation"])]
        for r in part["table"][:ROWS]
    ]  # fmt: skip
    title = f"Outages, worst first (N-{part['order']}: {part['outages']} cases, {part['not_ok']} not ok)"
    styles = {"failed": "bold red", "unstable": "yellow"}
    return ["", Table(("outage", "served", "status", "most used", "utilisation"), rows, title, (1, 4), styles)]
