"""Metastability: can the system stay down after the cause is gone, and how long does it hold out by itself?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fea_arch.analyses.fracture import open_model
from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.results.metastability import Branches, MetastabilityResult, Remedy, Trigger
from fea_arch.solvers.break_criteria import collapse_factor
from fea_arch.solvers.first_passage import RetryStation
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload

__all__ = ["metastability"]

#: Disturbances whose least length is reported.
SURGES, LOSSES = (2.0, 5.0, 10.0), (1.0, 0.5)
#: Served share of the unloaded system from which a state counts as recovered.
RECOVERED = 0.95
#: Recovery factors below this share of the collapse factor count as a fold of the network's equilibrium curve.
FOLDED = 0.97


@dataclass(frozen=True)
class _Row:
    """A retry station in the network: first tries at the design load, and the edges that retry."""

    component: int
    station: RetryStation
    first_tries: float
    edges: tuple[int, ...]

    @property
    def collapse(self) -> float:
        """First tries at the fold, or the capacity where the curve does not fold [1/s]."""
        found = self.station.fold()
        return found[1] if found is not None else self.station.capacity_per_s / self.station.worst_gain


def metastability(arch: Architecture) -> MetastabilityResult:
    """Follow the equilibrium curve that time-outs and retries fold, and say what it means at the design load.

    Parameters
    ----------
    arch : Architecture

    Returns
    -------
    MetastabilityResult

    Raises
    ------
    ModelError
        Without load, or for retries without a time-out: they have nothing to wait for.

    Notes
    -----
    A time-out ``t_o`` and up to ``r`` retries turn ``f`` first tries into ``f a(p)``, ``a = 1 + p + ... + p^r``, with
    ``p = P(response > t_o)`` of an M/M/c station at the total rate. The normal branch ends at the fold; from full
    queues (``p = 1``) the failed branch goes down to ``mu / (r + 1)``. Times to collapse are mean first-passage times
    of each station with retries that come one time-out (and the back-off) after a late try. The callers are taken to
    have workers enough; what bounded pools of callers change is in ``collapse_factor`` and ``recovery_factor``, solved
    on the network from empty and from full queues.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="retry",
    ...     components=[fa.Component("web", law="delay", blocking=False, service_time_s=0.001),
    ...                 fa.Component("db", service_time_s=0.1)],
    ...     dependencies=[fa.Dependency("web", "db", timeout_s=1.0, retries=3)],
    ...     loads=[fa.Load("web", rate_per_s=4.16)])
    >>> result = fa.metastability(arch)
    >>> round(result.collapse_load_per_s, 2), round(result.recovery_load_per_s, 2), result.vulnerable
    (6.94, 2.5, True)
    """
    model, findings = open_model(arch)
    network = model.network
    live = network.calls > 0
    blind = np.flatnonzero((network.retries > 0) & np.isnan(network.timeout) & live)
    if blind.size:
        e = int(blind[0])
        raise ModelError(
            "retries without a time-out: a call that is never late is never repeated",
            component=f"{network.names[network.source[e]]}->{network.names[network.target[e]]}",
            field="timeout_s",
            fix="state timeout_s, or retries=0",
        )
    rows = _stations(model)
    offered = model.offered
    collapse = collapse_factor(model, accuracy=1e-4)
    recovery = _recovery_factor(model, collapse)
    if not rows:
        load = collapse * offered
        blank = Branches(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool), ())
        return MetastabilityResult(
            components=(),
            callers=(),
            collapse_load=np.zeros(0),
            recovery_load=np.zeros(0),
            time_to_collapse=np.zeros(0),
            vulnerable_stations=np.zeros(0, bool),
            collapse_load_per_s=load,
            recovery_load_per_s=recovery * offered,
            vulnerable=_folded(collapse, recovery),
            design_load_per_s=offered,
            collapse_factor=collapse,
            recovery_factor=recovery,
            branches=blank,
            findings=(*findings, "no call is retried after a time-out: the curve does not fold"),
        )
    per = [offered / r.first_tries for r in rows]
    collapses = np.array([r.collapse * k for r, k in zip(rows, per)])
    recoveries = np.array([r.station.recovery()[1] * k for r, k in zip(rows, per)])
    recoveries = np.minimum(recoveries, collapses)
    times = np.array([r.station.time_to_collapse_s(r.first_tries) for r in rows])
    weak = (recoveries < offered) & (offered < collapses)
    first = int(np.argmin(collapses))
    governing = int(np.flatnonzero(weak)[np.argmin(times[weak])]) if weak.any() else first
    row, scale = rows[governing], offered / rows[governing].first_tries
    own, pushed = row.first_tries, row.station

    def life(rate: float, immediate: bool) -> float:
        factor = rate / offered
        shares = [1.0 / r.station.time_to_collapse_s(r.first_tries * factor, immediate=immediate) for r in rows]
        return 1.0 / sum(shares) if sum(shares) > 0 else math.inf

    def healing(rate: float, backlog: float) -> float:
        return pushed.time_to_recovery_s(own * rate / offered, backlog)

    return MetastabilityResult(
        components=tuple(network.names[r.component] for r in rows),
        callers=tuple(", ".join(dict.fromkeys(network.names[network.source[e]] for e in r.edges)) for r in rows),
        collapse_load=collapses,
        recovery_load=recoveries,
        time_to_collapse=times,
        vulnerable_stations=weak,
        collapse_load_per_s=float(collapses[first]),
        recovery_load_per_s=float(recoveries.min()),
        vulnerable=bool(weak.any()) or _folded(collapse, recovery),
        design_load_per_s=offered,
        collapse_factor=collapse,
        recovery_factor=recovery,
        branches=_branches(row.station, scale),
        triggers=(
            *(Trigger("surge", s, row.station.trigger_s(own, load_factor=s)) for s in SURGES),
            *(Trigger("loss of capacity", s, row.station.trigger_s(own, capacity=1.0 - s)) for s in LOSSES),
        ),
        remedies=_remedies(model, row, scale) if weak.any() else (),
        findings=findings,
        _time=life,
        _recovery=healing,
    )


def _folded(collapse: float, recovery: float) -> bool:
    """Return whether the network has a normal and a failed state at the design load."""
    return bool(recovery < FOLDED * min(collapse, 1.0) and collapse > 1.0)


def _stations(model: OverloadModel) -> list[_Row]:
    """Return every component whose callers retry, with its flow at a load at which nothing is late."""
    network = model.network
    again = (network.retries > 0) & ~np.isnan(network.timeout) & (network.calls > 0) & network.sync & ~model.cancel
    if not again.any():
        return []
    calm = overload(model, 1e-6)
    flow = calm.edge_flow / np.maximum(calm.tries, 1e-300) * 1e6
    rows = []
    for j in np.unique(network.target[again]).tolist():
        edges = network.in_edge[network.in_ptr[j] : network.in_ptr[j + 1]]
        total = float(model.external[j] + flow[edges].sum())
        groups = [int(e) for e in edges.tolist() if again[e] and flow[e] > 0]
        if not groups or total <= 0 or network.law[j] == 1:
            continue
        outside = calm.response[j] - calm.wait[j] - calm.hold[j]  # calls of a component that does not block
        spare = [float(network.timeout[e] - network.latency[e] - outside) for e in groups]
        station = RetryStation(
            service_s=float(calm.hold[j]),
            servers=int(network.servers[j] * network.replicas[j]),
            shares=tuple(float(flow[e] / total) for e in groups),
            timeouts_s=tuple(max(t, 1e-9) for t in spare),
            retries=tuple(int(network.retries[e]) for e in groups),
            budgets=tuple(float(b) if b == b else math.inf for b in network.budget[groups]),
            places=int(network.places[j]) * int(network.replicas[j]) if network.places[j] >= 0 else -1,
            delays_s=tuple(max(float(network.timeout[e]), 1e-9) for e in groups),
            pauses_s=tuple(float(network.backoff[e]) for e in groups),
        )
        rows.append(_Row(j, station, total, tuple(groups)))
    return rows


def _recovers(state: OverloadState, unloaded: float) -> bool:
    return state.converged and not state.growing and state.served_share >= RECOVERED * unloaded


def _recovery_factor(model: OverloadModel, collapse: float) -> float:
    """Return the largest load factor that the network comes back to from full queues."""
    unloaded = overload(model, 1e-9).served_share
    top = min(collapse, 1e6)
    if _recovers(overload(model, 0.999 * top, failed=True, max_sweeps=600), unloaded):
        return collapse
    low, high = 0.0, top
    for _ in range(16):
        middle = 0.5 * (low + high)
        if _recovers(overload(model, middle, failed=True, max_sweeps=600), unloaded):
            low = middle
        else:
            high = middle
    return low


def _branches(station: RetryStation, scale: float) -> Branches:
    mu = station.capacity_per_s
    found = station.fold()
    fold = found[0] if found is not None else mu
    end = 3.0 * mu if station.places >= 0 else 2.0 * max(station.worst_gain, 1.0) * mu
    stop = station.recovery()[0]
    normal = np.linspace(0.0, fold, 60)[1:]
    middle = np.linspace(fold, stop, 40)[1:-1] if stop > fold else np.zeros(0)
    failed = np.linspace(stop, end, 40) if found is not None else np.zeros(0)
    arrivals = np.concatenate([normal, middle, failed])
    load = np.array([station.load(x) for x in arrivals]) * scale
    late = np.array([station.late(x, station.timeouts_s[0]) for x in arrivals])
    kinds = ("normal",) * normal.size + ("unstable",) * middle.size + ("failed",) * failed.size
    return Branches(load, arrivals, late, np.array([k != "unstable" for k in kinds]), kinds)


def _remedies(model: OverloadModel, row: _Row, scale: float) -> tuple[Remedy, ...]:
    """Compute what would take the failed branch away at the design load."""
    network, station, f = model.network, row.station, row.first_tries
    share = sum(station.shares)
    edge = row.edges[0]
    label = f"{network.names[network.source[edge]]}->{network.names[network.target[edge]]}"
    mu = station.capacity_per_s
    found: list[Remedy] = []

    def add(
        what: str, place: str, field: str, value: float, changed: RetryStation, *, note: bool | None = None
    ) -> None:
        fold = changed.fold()
        collapse = fold[1] if fold is not None else changed.capacity_per_s / changed.worst_gain
        removes = f < changed.recovery()[1] if note is None else note
        found.append(
            Remedy(what, place, field, value, bool(removes), collapse * scale, changed.time_to_collapse_s(f))
        )

    room = (mu / f - (1.0 - share)) / share - 1.0 if f > 0 else math.inf
    if room > 0:
        budget = math.floor(0.95 * room * 1000.0) / 1000.0
        add("retry budget", label, "retry_budget", budget, replace(station, budgets=(budget,) * len(station.shares)))
        fewer = min(math.ceil(room - 1e-9) - 1, max(station.retries))
        if 0 <= fewer < max(station.retries):
            add("fewer retries", label, "retries", fewer, _with_retries(station, fewer))
    need = math.floor(f * station.worst_gain * station.service_s + 1e-9) + 1
    if need > station.servers:
        name = network.names[row.component]
        replicas = int(network.replicas[row.component])
        each = math.ceil(need / replicas)
        add("more servers", name, "servers", each, replace(station, servers=each * replicas))
    longer = 2.0 * max(station.timeouts_s)
    way = [d - t for d, t in zip(station.delays, station.timeouts_s)]  # network time
    slower = replace(
        station, timeouts_s=(longer,) * len(station.shares), delays_s=tuple(max(longer + w, 1e-9) for w in way)
    )
    add("longer time-out", label, "timeout_s", longer, slower)
    # retries come later, not less often: the failed branch stays where it is
    pause = 2.0 * float(network.timeout[edge])
    add("back-off", label, "backoff_s", pause, replace(station, pauses_s=(pause,) * len(station.shares)))
    return tuple(found)


def _with_retries(station: RetryStation, retries: int) -> RetryStation:
    return replace(station, retries=tuple(min(r, retries) for r in station.retries))


