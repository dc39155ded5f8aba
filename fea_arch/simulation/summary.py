"""Tallies of replications -> SimulationResult."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.simulation import SimulationResult
from fea_arch.simulation import columns as k
from fea_arch.simulation.plan import Plan
from fea_arch.simulation.replication import Run, Tally

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["summarise"]

Floats = NDArray[np.float64]


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan))


def _half_width(values: Floats) -> Floats:
    """Return the half-width of the 95 % interval of the mean over the first axis, nan below two finite values."""
    from scipy.special import stdtrit

    good = np.isfinite(values)
    n = good.sum(axis=0).astype(float)
    filled = np.where(good, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(n, 1.0)
    square = np.where(good, (values - mean) ** 2, 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = stdtrit(np.maximum(n - 1.0, 1.0), 0.975) * np.sqrt(square / np.maximum(n - 1.0, 1.0) / n)
    return np.asarray(np.where(n >= 2.0, half, np.nan))


def _capacity(arch: Architecture, plan: Plan) -> Floats:
    """Return the largest throughput of components whose law has no servers, nan elsewhere, (n,) [1/s]."""
    peak = np.full(len(arch), np.nan)
    comp, rep, pool = plan.arrays["comp"], plan.arrays["rep"], plan.arrays["pool"]
    for i in range(len(arch)):
        p = rep[comp[i, k.K_REP], k.R_POOL]
        if p < 0:
            continue
        a, b = plan.arrays["pool_f"][p, k.P_A], plan.arrays["pool_f"][p, k.P_B]
        service = plan.arrays["comp_f"][i, k.K_SERVICE]
        if pool[p, k.P_KIND] == 1:
            c = float(comp[i, k.K_SERVERS])
            best = min(np.sqrt(max(1.0 - a, 0.0) / b), c) if b > 0 else c
            x = max(n / (1.0 + a * (n - 1) + b * n * (n - 1)) for n in (max(np.floor(best), 1.0), np.ceil(best)))
        elif pool[p, k.P_KIND] == 3:
            knee = max(np.floor(0.8 * b), 1.0) if np.isfinite(b) else a
            x = max(min(n, a) * min(max((1.0 - n / b) / 0.2, 0.05), 1.0) for n in (knee, knee + 1.0, min(a, knee)))
        else:
            first, rows = pool[p, k.P_TABLE], pool[p, k.P_ROWS]
            x = plan.arrays["table"][first : first + rows].max()
        peak[i] = x / service * comp[i, k.K_REPLICAS]
    return peak


def summarise(arch: Architecture, plan: Plan, job: Run, tallies: Sequence[Tally], wall_s: float) -> SimulationResult:
    """Combine replications: means over time of all, half-widths between them."""
    comp = plan.arrays["comp"]
    stat = np.array([t.stat for t in tallies], float)
    stat_f = np.array([t.stat_f for t in tallies])
    time = np.array([t.observed_s for t in tallies])[:, None]
    servers = (comp[:, k.K_SERVERS] * comp[:, k.K_REPLICAS]).astype(float)
    peak = _capacity(arch, plan)

    def measures(q: Floats, f: Floats, span: Floats) -> dict[str, Floats]:
        rate = _ratio(q[..., k.Q_DONE], span)
        busy = _ratio(f[..., k.A_BUSY], span) / servers
        busy = np.where(comp[:, k.K_DELAY] == 1, 0.0, np.where(np.isnan(peak), busy, rate / peak))
        held = _ratio(f[..., k.A_OPEN], span)
        memory = plan.arrays["comp_f"][:, k.K_RESIDENT] * comp[:, k.K_REPLICAS]
        return {
            "throughput_per_s": rate,
            "utilisation": busy,
            "in_flight": _ratio(f[..., k.A_OWN], span),
            "held": held,
            "wait_s": _ratio(f[..., k.A_WAIT], q[..., k.Q_DONE]),
            "residence_s": _ratio(f[..., k.A_WAIT] + f[..., k.A_SERVICE], q[..., k.Q_DONE]),
            "response_s": _ratio(f[..., k.A_RESPONSE], q[..., k.Q_SERVED]),
            "memory_bytes": memory + held * plan.arrays["comp_f"][:, k.K_PER_REQUEST],
        }

    each = measures(stat, stat_f, np.broadcast_to(time, stat.shape[:2]))
    mean = measures(stat.sum(axis=0), stat_f.sum(axis=0), np.full(len(comp), time.sum()))
    # rounding can leave a wait of -1e-19 s where nobody waits
    mean["wait_s"] = np.where(mean["wait_s"] < 0, 0.0, mean["wait_s"])
    half = {f"{name}_half_width": _half_width(value) for name, value in each.items()}

    book = np.array([t.book for t in tallies])
    inside = np.array([t.inside for t in tallies])
    undecided = np.array([t.undecided for t in tallies])
    offered, served, good = book[..., k.B_OFFERED], book[..., k.B_SERVED], book[..., k.B_GOOD]
    decided = (offered - undecided).astype(float)
    answered = (offered - inside).astype(float)
    shares = _ratio(served.sum(axis=1).astype(float), answered.sum(axis=1))
    goods = _ratio(good.sum(axis=1).astype(float), decided.sum(axis=1))
    rates = _ratio(served.sum(axis=1).astype(float), time[:, 0])
    rows = min(len(t.series) for t in tallies)
    flow = np.array([t.flow[:rows] for t in tallies], float).mean(axis=0) / (job.series_dt_s or 1.0)
    columns = arch.component_columns.column
    hosts: dict[str, float] = {}
    for i in np.flatnonzero(comp[:, k.K_HOST] >= 0):
        p = comp[i, k.K_HOST]
        area = sum(t.pool_area[p] for t in tallies)
        hosts[str(columns("host")[i])] = float(area / time.sum() / plan.arrays["pool_f"][p, k.P_A])

    def counted(column: int) -> NDArray[np.int64]:
        return np.asarray(stat[..., column].sum(axis=0).astype(np.int64))

    total = book.sum(axis=0)
    return SimulationResult(
        components=tuple(arch.names),
        **mean,
        **half,
        arrivals=counted(k.Q_ARRIVED),
        completed=counted(k.Q_SERVED),
        rejected=counted(k.Q_REJECTED),
        failed=counted(k.Q_FAILED),
        cancelled=counted(k.Q_CANCELLED),
        lost=counted(k.Q_LOST),
        kills=counted(k.Q_KILLS),
        entries=tuple(load.entry for load in arch.loads),
        offered=total[:, k.B_OFFERED].copy(),
        served=total[:, k.B_SERVED].copy(),
        request_rejected=total[:, k.B_REJECTED].copy(),
        request_failed=total[:, k.B_FAILED].copy(),
        request_timed_out=total[:, k.B_TIMED_OUT].copy(),
        inside=inside.sum(axis=0),
        served_share=float(_ratio(served.sum().astype(float), answered.sum())),
        served_share_half_width=float(_half_width(shares)),
        served_within_objective=float(_ratio(good.sum().astype(float), decided.sum())),
        served_within_objective_half_width=float(_half_width(goods)),
        within_objective=_ratio(good.sum(axis=0).astype(float), decided.sum(axis=0)),
        served_per_s=float(_ratio(served.sum().astype(float), time.sum())),
        served_per_s_half_width=float(_half_width(rates)),
        time_s=np.arange(rows, dtype=float) * job.series_dt_s,
        in_flight_series=np.mean([t.series[:rows] for t in tallies], axis=0),
        offered_series=flow[:, 0].copy(),
        served_series=flow[:, 1].copy(),
        good_series=flow[:, 2].copy(),
        hosts=hosts,
        duration_s=job.duration_s,
        warm_up_s=job.warm_up_s,
        observed_s=float(time.sum()),
        replications=len(tallies),
        events=sum(t.events for t in tallies),
        events_per_s=sum(t.events for t in tallies) / max(wall_s, 1e-9),
        complete=all(t.complete for t in tallies),
        interrupted=any(t.interrupted for t in tallies),
        histogram=np.sum([t.hist for t in tallies], axis=0),
        histogram_row=comp[:, k.K_HIST].copy(),
        histogram_edges_s=2.0 ** (k.HIST_LOW + np.arange(k.HIST_BINS + 1) / k.HIST_PER_OCTAVE),
    )
