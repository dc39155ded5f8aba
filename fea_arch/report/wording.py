"""The sentences of the report page and of the Markdown comment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fea_arch.report.blocks import Table, shown
from fea_arch.report.overview import ORIGINS, origins, percentiles
from fea_arch.report.quantities import bytes_text, number_text, share_text, time_text
from fea_arch.report.static import assumed_clause, assumptions

if TYPE_CHECKING:
    from fea_arch.report.overview import Overview
    from fea_arch.report.strengthening import Step

__all__ = [
    "basis", "call_rows", "component_table", "condition_table", "entry_table", "headline", "host_table", "key_figures",
    "limits", "methods", "origin_table", "step_table", "step_text", "stress_table", "verdict",
]

_UNITS = {"s": time_text, "B": bytes_text}
_FIELDS = {
    "servers": "servers", "replicas": "replicas", "cpus": "processors", "rate_limit_per_s": "requests/s admitted",
}


def factor_text(factor: float) -> str:
    """Return a load factor as people say it."""
    return "no limit" if math.isinf(factor) else "unknown" if math.isnan(factor) else f"{factor:.3g}x"


def headline(o: Overview) -> str:
    """Return the verdict in one line."""
    if o.collapse is not None:
        guess = "; all service times are assumed" if "all service times" in assumptions(o.arch) else ""
        return f"Does not stand at {factor_text(o.load_factor)} the design load: there is no steady state{guess}."
    several = "s" if len(o.missed) > 1 else ""
    text = f"Stands, but misses {len(o.missed)} condition{several}" if o.missed else "Stands and meets every condition"
    score = o.further.get("score")
    if score is not None and score.label in ("degraded", "critical"):
        text += f"{' and' if o.missed else ', but'} scores {score.value:.1f} of 100 ({score.label})"
    return f"{text}{assumed_clause(o.arch)}."


def verdict(o: Overview) -> list[str]:
    """Return the sentences below the headline."""
    lines = []
    if not math.isnan(o.served):
        lines.append(f"{share_text(o.served)} of the requests are answered within {time_text(o.objective_s)}.")
    elif o.collapse is None:
        lines.append("No load is stated, so nothing waits.")
    rate = f", {number_text(o.rate_per_s / o.load_factor * o.largest)} requests/s" if o.rate_per_s > 0 else ""
    if o.unknown:
        lines.append(f"How far the load can grow was not found: {shown(o.unknown)}")
    elif math.isinf(o.largest):
        lines.append("Nothing limits how far the load can grow.")
    else:
        lines.append(
            f"The load can grow to {factor_text(o.largest)} the design load{rate}; "
            f"{shown(o.limited_by)} is the first to pass its capacity."
        )
    if o.collapse is not None and o.result is not None:
        lines.append(f"What follows shows the system at {factor_text(o.shown_load_factor)} the design load.")
    return lines


def key_figures(o: Overview) -> list[tuple[str, str, str]]:
    """Return (name, value, remark) of the figures at the top."""
    found = [
        (
            "Served within objective",
            share_text(o.served),
            "no steady state" if o.collapse is not None else f"objective {time_text(o.objective_s)}"
            + ("" if o.arch.objective.latency_s else " (assumed)"),
        ),
        ("Sustainable load", factor_text(o.largest), f"of {number_text(o.rate_per_s / o.load_factor)} requests/s"
         if o.load_factor > 0 else ""),
    ]
    if o.result is not None and not math.isnan(o.served):
        tail = percentiles(o.result)
        found.append(("Response p95", time_text(tail["p95"]), f"mean {time_text(o.result.mean_response_s)}"))
    if "score" in o.further:
        score = o.further["score"]
        found.append(("Score", f"{score.value:.1f} of 100", score.label))
    if o.result is not None:
        known = int(np.count_nonzero(np.isfinite(o.result.memory_bytes)))
        value = bytes_text(o.result.total_memory_bytes) if known else "-"
        found.append(("Memory", value, f"known of {known} of {len(o.arch)} components"))
    return found


def limits(o: Overview) -> str:
    """Return one sentence on what is stressed most."""
    if o.result is None or not len(o.result):
        return "Nothing could be solved."
    i = int(np.argmax(o.result.utilisation))
    text = f"{shown(o.result.components[i])} is the most stressed component: {share_text(o.result.utilisation[i])}."
    if o.result.hosts:
        k = int(np.argmax(o.result.host_utilisation))
        rho = o.result.host_utilisation[k]
        text += f" The busiest host is {shown(o.result.hosts[k])}: {share_text(rho)} of its processors."
    return text


def stress_table(o: Overview, limit: int = 10) -> Table:
    """Return what breaks first: the smallest safety factors, a host in one row for all that it carries."""
    result = o.result
    headers = ("component or host", "safety factor", "governed by", "utilisation", "state")
    if result is None:
        return Table(headers, [])
    columns = o.arch.component_columns
    machine, failure = columns.column("host"), columns.column("failure_limit")
    number = o.arch.index
    found: list[tuple[float, list[str]]] = []
    carried: dict[str, list[int]] = {}
    for i, name in enumerate(result.components):
        safety, why, rho = float(result.safety_factor[i]), result.governs[i], float(result.utilisation[i])
        if why == "host":
            carried.setdefault(str(machine[number[name]]), []).append(i)
            if not rho > 0:
                continue
            safety, why = float(failure[number[name]]) / rho, "capacity"
        if np.isfinite(safety):
            found.append((safety, [shown(name), number_text(safety), why, share_text(rho), result.state[i]]))
    busy = dict(zip(result.hosts, result.host_utilisation))
    for host, members in carried.items():
        safety = float(min(result.safety_factor[i] for i in members))
        rho = float(busy.get(host, math.nan))
        word = f"processors, under {len(members)} components"
        state = "failing" if safety < 1 else "yielding" if rho > 0.7 else "elastic"
        found.append((safety, [shown(host), number_text(safety), word, share_text(rho), state]))
    found.sort(key=lambda item: item[0])
    return Table(headers, [row for _, row in found[:limit]], "", (1, 3))


def condition_table(o: Overview) -> Table:
    """Return every condition with its value and limit."""
    rows = [
        [
            "met" if c.met else "missed", c.name, _UNITS.get(c.unit, number_text)(c.value),
            _UNITS.get(c.unit, number_text)(c.limit) + (" (assumed)" if c.assumed else ""), shown(c.culprit),
        ]
        for c in o.conditions
    ]
    return Table(("", "condition", "value", "limit", "because of"), rows, "", (2, 3))


def step_text(step: Step) -> str:
    """Return one change as an instruction."""
    what = _FIELDS.get(step.field, step.field)
    return f"{shown(step.component)}: {number_text(step.before)} to {number_text(step.after)} {what}"


def step_table(o: Overview) -> Table:
    """Return the changes in order, each on top of those before."""
    rows = [[step_text(s), factor_text(s.largest_load_factor), shown(s.limited_by)] for s in o.steps]
    return Table(("change", "then the load can grow to", "then limited by"), rows, "", (1,))


def component_table(o: Overview) -> Table:
    """Return all components, the most utilised first."""
    headers = (
        "component", "kind", "req/s", "utilisation", "state", "in flight", "response", "memory", "safety",
        "governed by", "service time from",
    )
    if o.result is None:
        return Table(headers, [])
    r, kind = o.result, o.arch.component_columns.column("kind")
    codes = o.arch.component_columns.codes("service_time_s")
    rows = [
        [
            shown(r.components[i]), str(kind[i]), number_text(r.throughput_per_s[i]), share_text(r.utilisation[i]),
            r.state[i], number_text(r.in_flight[i]), time_text(r.response_s[i]), bytes_text(r.memory_bytes[i]),
            number_text(r.safety_factor[i]), r.governs[i], ("assumed", "declared", "measured")[codes[i]],
        ]
        for i in np.argsort(-r.utilisation, kind="stable").tolist()
    ]
    return Table(headers, rows, "", (2, 3, 5, 6, 7, 8))


def call_rows(o: Overview, limit: int = 500) -> Table:
    """Return the calls with the largest rates."""
    graph, names = o.arch.graph, o.arch.names
    through = np.zeros(len(o.arch)) if o.result is None else np.nan_to_num(o.result.throughput_per_s)
    rate = through[graph.source] * graph.calls
    rows = [
        [
            shown(names[graph.source[e]]), shown(names[graph.target[e]]), number_text(graph.calls[e]),
            number_text(rate[e]), "waits" if graph.sync[e] else "event", time_text(graph.timeout_s[e]),
            str(int(graph.retries[e])),
        ]
        for e in np.argsort(-rate, kind="stable")[:limit].tolist()
    ]
    headers = ("from", "to", "calls per request", "calls/s", "mode", "time-out", "retries")
    return Table(headers, rows, "", (2, 3, 5, 6))


def entry_table(o: Overview, limit: int = 200) -> Table:
    """Return load and response of each entry."""
    headers = ("entry", "requests/s", "mean", "p50", "p95", "p99")
    if o.result is None or math.isnan(o.served):
        return Table(headers, [])
    order = np.argsort(-o.result.entry_rate_per_s, kind="stable")[:limit].tolist()
    rows = []
    for k in order:
        name, rate = o.result.entries[k], float(o.result.entry_rate_per_s[k])
        if rate > 0:
            times = (o.result[name]["response_s"], *percentiles(o.result, name).values())
            rows.append([shown(name), number_text(rate), *map(time_text, times)])
    return Table(headers, rows, "", range(1, 6))


def host_table(o: Overview) -> Table:
    """Return processors and memory of each host."""
    r = o.result
    rows = [] if r is None else [
        [shown(n), share_text(u), bytes_text(m)] for n, u, m in zip(r.hosts, r.host_utilisation, r.host_memory_bytes)
    ]
    return Table(("host", "processors", "memory"), rows, "", (1, 2))


def origin_table(o: Overview) -> Table:
    """Return where the numbers come from."""
    rows = [
        [ORIGINS[name], *(share_text(found[w]) for w in ("measured", "declared", "assumed"))]
        for name, found in origins(o.arch).items()
    ]
    return Table(("number", "measured", "declared", "assumed"), rows, "", (1, 2, 3))


def basis(o: Overview) -> str:
    """Return on how much measurement the answer rests."""
    share = o.arch.measured_share()
    text = f"{share_text(share)} of the numbers are measured, the rest is declared or assumed."
    return text + (" Measure before you act on it." if share < 0.5 else "")


def methods(o: Overview) -> list[str]:
    """Return how the answer was computed, with residuals."""
    if o.result is None:
        return ["No state could be solved."]
    return [
        f"Static equilibrium by {shown(o.result.method)}, {o.result.sweeps} rounds.",
        f"Flow conservation holds to {o.result.residual:.1e} (relative).",
        "Percentiles: mean and variance along the calls, gamma distribution.",
        "What to do: every change was solved anew, on top of those before it.",
    ]
