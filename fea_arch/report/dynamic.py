"""The dynamic report: bursts, load handling, resonance and the travel of a wave, as text and as a document."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch import __version__
from fea_arch.errors import ConvergenceError, UnstableLoadError
from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.quantities import number_text, share_text, time_text
from fea_arch.results.base import plain

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture, LoadCase
    from fea_arch.results.harmonic import HarmonicResult
    from fea_arch.results.modal import ModalResult
    from fea_arch.results.recovery import RecoveryResult
    from fea_arch.results.static import StaticResult
    from fea_arch.results.transient import TransientResult

__all__ = ["dynamic_document", "dynamic_text"]

#: Latency objective where none is stated [s].
DEFAULT_OBJECTIVE_S = 1.0


def _decay(damping: float) -> float:
    """Amplitude left after one oscillation, ``exp(-2 pi zeta / sqrt(1 - zeta^2))``; 0 where it does not oscillate."""
    return math.exp(-2.0 * math.pi * damping / math.sqrt(1.0 - damping * damping)) if damping < 1.0 else 0.0


def dynamic_document(
    arch: Architecture,
    static: StaticResult,
    burst: TransientResult,
    modes: ModalResult,
    harmonic: HarmonicResult,
    wave: TransientResult,
    batches: dict[int, TransientResult],
    cases: dict[str, TransientResult | UnstableLoadError | ConvergenceError],
    *,
    lagging: tuple[ModalResult, HarmonicResult] | None = None,
    recovered: RecoveryResult | None = None,
    load_factor: float = 1.0,
    source: str = "",
) -> dict[str, Any]:
    """Return the dynamic report as plain data.

    Parameters
    ----------
    arch : Architecture
    static : StaticResult
        At the operating point.
    burst : TransientResult
        Answer to the burst.
    modes, harmonic : ModalResult, HarmonicResult
        Open modes and frequency response.
    wave : TransientResult
        Answer to a small step of the load at ``wave.disturbance_end_s``.
    batches : dict of int to TransientResult
        Answer to that many events at once.
    cases : dict of str to TransientResult or error
        Answer to each load case.
    lagging : (ModalResult, HarmonicResult), optional
        The same where every change of capacity takes the warm-up time.
    recovered : RecoveryResult, optional

    Returns
    -------
    dict
        Sections ``event_propagation``, ``load_handling``, ``system_resonance``, ``wave_propagation``, ``recovery``.
    """
    objective = arch.objective.latency_s or DEFAULT_OBJECTIVE_S
    loaded = float(np.sum(static.entry_rate_per_s)) > 0
    top = static.latency_quantile_s(arch.objective.quantile) if loaded else math.nan
    document = {
        "report_type": "dynamic_analysis",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fea_arch": __version__,
        "architecture": arch.name,
        "source": source,
        "load_factor": load_factor,
        "event_propagation": {
            "target_s": objective,
            "target_assumed": arch.objective.latency_s is None,
            "mean_s": static.mean_response_s,
            f"p{100 * arch.objective.quantile:g}_s": top,
            "meets_target": bool(top <= objective),
            "entries": {name: static[name]["response_s"] for name in static.entries},
            "workflows": {
                w.name: sum(static[name]["residence_s"] for name in w.path) for w in arch.workflows
            },
        },
        "load_handling": {
            "burst": _transient(burst),
            "events": {str(n): _transient(r) for n, r in batches.items()},
            "cases": {
                case.name: _load_case(case) | _case(cases[case.name]) for case in arch.load_cases if case.name in cases
            },
        },
        "system_resonance": {
            **_resonance(modes, harmonic),
            "with_capacity_lag": None if lagging is None else _resonance(*lagging),
        },
        "wave_propagation": _wave(arch, wave),
        "recovery": None if recovered is None else recovered.to_dict(),
    }
    return dict(plain(document))


def _resonance(modes: ModalResult, harmonic: HarmonicResult) -> dict[str, Any]:
    """Least damped mode that rings, or else the slowest one, and the known periods of the architecture."""
    slowest = int(np.argmax(modes.drain_times_s)) if modes.drain_times_s.size else 0
    ringing = np.flatnonzero(modes.ringing_hz > 0.0)
    lead = int(ringing[np.argmin(modes.damping_ratios[ringing])]) if ringing.size else slowest
    return {
        "natural_frequency_hz": modes.frequencies_hz[lead],
        "ringing_frequency_hz": modes.ringing_hz[lead],
        "damping_ratio": modes.damping_ratios[lead],
        "amplitude_decay_per_cycle": _decay(float(modes.damping_ratios[lead])),
        "moves": dict(modes.dominant(lead)),
        "slowest_drain_s": modes.drain_times_s[slowest],
        "stability_margin_per_s": modes.stability_margin_per_s,
        "stable": modes.stable,
        "instability": modes.instability,
        "resonates": harmonic.resonates,
        "periods": list(harmonic.periods),
        "drivers": dict(modes.drivers),
    }


def _transient(result: TransientResult) -> dict[str, Any]:
    held = result.in_flight.sum(axis=1)
    return {
        "within_objective_share": result.within_objective_share,
        "peak_backlog": float(held.max() - held[0]),
        "worst_component": result.worst,
        "worst_peak": float(result.peak.max()),
        "drain_time_s": result.total_drain_time_s,
        "drained": bool(np.isfinite(result.total_drain_time_s)),
        "out_of_memory_kills": [[when, name] for when, name in result.kills],
        "rejected": float(result.rejected.sum()),
        "balance": result.balance,
    }


def _load_case(case: LoadCase) -> dict[str, Any]:
    return {"load_factor": case.factor, "peak_factor": case.peak_factor, "peak_s": case.peak_s}


def _case_name(name: str, figures: dict[str, Any]) -> str:
    if figures["peak_factor"] is None:
        return f"{name}: {figures['load_factor']:g}x"
    length = time_text(figures["peak_s"] or 60.0)
    return f"{name}: {figures['load_factor']:g}x, {length} of {figures['peak_factor']:g}x"


def _case(result: TransientResult | UnstableLoadError | ConvergenceError) -> dict[str, Any]:
    if isinstance(result, (UnstableLoadError, ConvergenceError)):
        return {"status": "failed", "reason": str(result)}
    return {"status": "computed", **_transient(result)}


def _wave(arch: Architecture, wave: TransientResult) -> dict[str, Any]:
    """Arrival of a step: the throughput has made half of its change; speed in calls per second."""
    begin = wave.disturbance_end_s
    hops = _hops(arch, wave.entries)
    first = int(np.searchsorted(wave.time_s, begin, side="right")) - 1
    rows: dict[str, dict[str, Any]] = {}
    arrival: dict[str, float] = {}
    for i, name in enumerate(wave.components):
        path = wave.throughput_per_s[first:, i] - wave.throughput_per_s[first, i]
        total = path[-1]
        if hops[i] < 0 or abs(total) <= 1e-9 * max(abs(float(wave.throughput_per_s[first, i])), 1e-9):
            continue
        at = int(np.argmax(path / total >= 0.5))
        t = wave.time_s[first:]
        if at > 0:
            x = (0.5 * total - path[at - 1]) / (path[at] - path[at - 1])
            when = float(t[at - 1] + x * (t[at] - t[at - 1]) - begin)
        else:
            when = 0.0
        arrival[name] = when
        speed = (hops[i] + 1) / when if when > 0 else None
        rows[name] = {"arrival_s": when, "hops": int(hops[i]), "speed_hops_per_s": speed}
    late = max(arrival, key=lambda name: arrival[name]) if arrival else None
    return {
        "front": "half of the change of throughput after a small step of the load",
        "components": rows,
        "last": late,
        "crossing_time_s": rows[late]["arrival_s"] if late is not None else None,
        "mean_speed_hops_per_s": float(np.mean([r["speed_hops_per_s"] for r in rows.values() if r["speed_hops_per_s"]]))
        if any(r["speed_hops_per_s"] for r in rows.values())
        else None,
    }


def _hops(arch: Architecture, entries: tuple[str, ...]) -> Any:
    graph = arch.graph
    hops = np.full(len(arch), -1, np.int64)
    front = [arch.index[e] for e in entries]
    hops[front] = 0
    while front:
        reached = np.isin(graph.source, front) & (hops[graph.target] < 0) & (graph.calls > 0)
        step = hops[front[0]] + 1
        front = np.unique(graph.target[reached]).tolist()
        hops[front] = step
    return hops


def _rings(resonance: dict[str, Any]) -> str:
    state = "stable" if resonance["stable"] else f"NOT stable ({resonance['instability']})"
    near = [p["name"] for p in resonance["periods"] if p["resonates"]]
    return (
        f"{state}, least damped at {number_text(resonance['natural_frequency_hz'])} Hz with damping "
        f"{number_text(resonance['damping_ratio'])}; periods in resonance: {', '.join(map(shown, near)) or 'none'}."
    )


def dynamic_text(document: dict[str, Any]) -> list[Block]:
    """Return the report as text and tables from its document."""
    burst, resonance = document["load_handling"]["burst"], document["system_resonance"]
    event, wave = document["event_propagation"], document["wave_propagation"]
    drained = f"drained after {time_text(burst['drain_time_s'])}" if burst["drained"] else "not drained in the window"
    blocks: list[Block] = [
        f"{shown(document['architecture'])} under a burst: {share_text(burst['within_objective_share'] or 0.0)} "
        f"answered within {time_text(event['target_s'])}, largest backlog {number_text(burst['peak_backlog'])} "
        f"requests (most at {shown(burst['worst_component'])}), {drained}.",
    ]
    if burst["out_of_memory_kills"]:
        when, name = burst["out_of_memory_kills"][0]
        many = len(burst["out_of_memory_kills"])
        blocks.append(f"{many} out-of-memory kills, the first at {shown(name)} after {time_text(when)}.")
    if event["mean_s"] is not None:
        blocks.append(
            f"An event takes {time_text(event['mean_s'])} on average; the target is "
            f"{'met' if event['meets_target'] else 'MISSED'}."
        )
    rows = [
        [shown(name), share_text(r["within_objective_share"] or 0.0), number_text(r["peak_backlog"]),
         time_text(r["drain_time_s"]) if r["drained"] else "not in the window", shown(r["worst_component"])]
        if r.get("status") != "failed"
        else [shown(name), "-", "-", "-", shown(r["reason"])[:60]]
        for name, r in (
            *((f"{n} events at once", r) for n, r in document["load_handling"]["events"].items()),
            *((_case_name(n, r), r) for n, r in document["load_handling"]["cases"].items()),
        )
    ]  # fmt: skip
    blocks += ["", Table(("load", "within objective", "backlog", "drained", "worst"), rows, "Load handling", (1, 2, 3))]
    blocks += ["", f"Resonance, warm: {_rings(resonance)}"]
    if resonance["with_capacity_lag"] is not None:
        blocks.append(f"Where capacity follows with the warm-up time: {_rings(resonance['with_capacity_lag'])}")
    if wave["last"] is not None:
        blocks.append(
            f"Wave: a change reaches {shown(wave['last'])} last, after {time_text(wave['crossing_time_s'])}."
        )
    recovered = document["recovery"]
    if recovered is not None:
        missed = [name for name, r in recovered["components"].items() if not r["met"]]
        text = f"misses its objective after an outage of {', '.join(map(shown, missed[:5]))}" if missed else (
            "every outage is over within its recovery time objective"
        )
        blocks.append(f"Recovery: {text}; {shown(recovered['governs'])} governs.")
        for backup in recovered["backups"]:
            if not backup["met"]:
                blocks.append(
                    f"  {shown(backup['name'])}: every {time_text(backup['period_s'])}, but the recovery point "
                    f"objective is {time_text(backup['objective_s'])}."
                )
    return blocks
