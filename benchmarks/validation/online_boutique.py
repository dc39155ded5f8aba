"""Online Boutique (Nezha): the root latency after one edge was slowed down, foretold from the fault-free minute."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from data_sets import data
from outcome import Outcome, Row

import fea_arch as fa

FAULTS = (
    ("cartservice", "fault_12_37_trace.csv.gz"),
    ("currencyservice", "fault_13_38_trace.csv.gz"),
    ("paymentservice", "fault_14_14_trace.csv.gz"),
)


@dataclass(frozen=True)
class Minute:
    """One minute of spans: mean of the roots [s], mean [s] and number per root of the calls by edge."""

    root_s: float
    calls_s: dict[tuple[str, str], float]
    per_root: dict[tuple[str, str], float]


def minute(file: str) -> Minute:
    """Read the spans of a minute; a call is what the caller's span says (network included)."""
    path = data().joinpath("nezha-online-boutique", "trace", file)
    with gzip.open(path, "rt", encoding="utf-8") as text:
        spans = list(csv.DictReader(text))
    service = {s["SpanID"]: s["PodName"].rsplit("-", 2)[0] for s in spans}
    calls: dict[tuple[str, str], list[float]] = defaultdict(list)
    roots = []
    for s in spans:
        duration = float(s["Duration"]) * 1e-6
        if s["ParentID"] == "root":
            roots.append(duration)
            continue
        callee, caller = service[s["SpanID"]], service.get(s["ParentID"])
        if caller is not None and callee != caller:  # the callee's span: its parent is the caller's view of the call
            calls[caller, callee].append(duration)
    view = {s["SpanID"]: s for s in spans}
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    for s in spans:
        parent = view.get(s["ParentID"])
        if parent is not None and service[s["SpanID"]] != service[parent["SpanID"]]:
            seen[service[parent["SpanID"]], service[s["SpanID"]]].append(float(parent["Duration"]) * 1e-6)
    return Minute(
        float(np.mean(roots)), {e: float(np.mean(v)) for e, v in seen.items()},
        {e: len(v) / len(roots) for e, v in calls.items()},
    )  # fmt: skip


def slowed(arch: fa.Architecture, extra: dict[tuple[str, str], float]) -> fa.Architecture:
    """Return a copy in which calls take longer by ``extra`` seconds on the way."""
    for (caller, callee), more in extra.items():
        label = f"{caller}->{callee}"
        now = next((d for d in arch.dependencies if d.label == label), None)
        if now is not None:
            arch = arch.replaced(label, network_latency_s=max(now.network_latency_s + more, 0.0))
    return arch


def root(arch: fa.Architecture) -> float:
    """Mean response at the front end [s]."""
    state = fa.static(arch)
    return float(state.response_s[arch.index["frontend"]])


def run() -> Outcome:
    """Predict and compare."""
    arch = fa.read(data().joinpath("nezha-online-boutique", "trace", "normal_17_00_trace.csv.gz"))
    # the roots are what is compared: calls do not wait for each other at 8 requests/s, so keep the measured durations
    normal = minute("normal_17_00_trace.csv.gz")
    base = root(arch)
    out = [Row("fault-free minute", "mean response", "s", base, normal.root_s, True)]
    change: dict[str, tuple[float, float]] = {}
    for service, file in FAULTS:
        fault = minute(file)
        edges = [e for e in fault.calls_s if e[1] == service and e in normal.calls_s]
        only = {e: fault.calls_s[e] - normal.calls_s[e] for e in edges}
        foretold = normal.root_s + root(slowed(arch, only)) - base
        out.append(Row(f"{service} slowed", "mean response", "s", foretold, fault.root_s))
        every = {e: fault.calls_s[e] - normal.calls_s[e] for e in fault.calls_s if e in normal.calls_s}
        own = {e: v for e, v in every.items() if e != ("frontend", "checkoutservice")}
        whole = normal.root_s + root(slowed(arch, own)) - base
        case = f"{service} slowed, all edges as in that minute"
        out.append(Row(case, "mean response, all edges known", "s", whole, fault.root_s))
        change[service] = (foretold - normal.root_s, fault.root_s - normal.root_s)
    order = [sorted(change, key=lambda s: -change[s][k]) for k in (0, 1)]
    out.append(Row("services by the change they cause", "ranking", "", ", ".join(order[0]), ", ".join(order[1])))
    rates = {s: sum(per for e, per in normal.per_root.items() if e[1] == s) for s, _ in FAULTS}
    weight = {s: root(slowed(arch, {e: 0.01 for e in normal.calls_s if e[1] == s})) - base for s, _ in FAULTS}
    ranked = sorted(weight, key=lambda s: -weight[s]), sorted(rates, key=lambda s: -rates[s])
    out.append(Row("services by sensitivity and by calls per request", "ranking", "", *map(", ".join, ranked)))
    remarks = [f"10 ms more on the way to {s} cost {weight[s] * 1e3:.2f} ms at the front end." for s in ranked[0]]
    return Outcome(
        "online_boutique", "Online Boutique (Nezha), slowed edges",
        "The architecture that the trace reader makes from one fault-free minute (22,969 spans, 10 services, 13 "
        "edges). A fault is a longer way on the edges to one service: what the callers measured more than in the "
        "fault-free minute. The front end is foretold from the sensitivities, nothing of the fault minute but that "
        "delay is used.",
        "the fault-free minute, and the delay of the slowed edges.",
        "Currency and payment come out right. For the cart the prediction is too high because the minutes differ in "
        "more than the fault: the front end's calls to the currency service happened to take 33 ms in that minute "
        "instead of 56 ms, about twice a request. With all edges as measured in that minute the remaining error is "
        "small (second quantity), so it is the minute, not the structure, that is off. The order of the services is "
        "right.",
        out, remarks,
    )  # fmt: skip
