"""Architecture -> arrays of the event simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.simulation import columns as k

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["Plan", "build_plan"]

_BALANCING = {"round_robin": 0, "random": 1, "least_outstanding": 2}
#: Servers of an infinite-server station.
ENDLESS = 1 << 40
#: Components with their own histogram of response times; more than this only at entries.
HISTOGRAMS = 2000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """The arrays that describe an architecture; the same for every replication, picklable."""

    arrays: dict[str, NDArray[Any]]
    hist_rows: int
    margin: int
    objective_s: float
    #: Expected visits of each component per second by open loads, (n,) float64; and the expected events per second.
    visits_per_s: Floats
    events_per_s: float
    roots_per_s: float


def _sites(arch: Architecture) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Group call edges into sites (one per dependency or balancer); return them and the edges of each."""
    g = arch.graph
    sites: list[dict[str, Any]] = []
    edges: list[list[int]] = []
    of_group: dict[int, int] = {}
    for e in range(g.n_edges):
        group = int(g.group[e])
        if group >= 0 and group in of_group:
            edges[of_group[group]].append(e)
            sites[of_group[group]]["calls"] += float(g.calls[e])
            continue
        if group >= 0:
            of_group[group] = len(sites)
        sites.append({"edge": e, "calls": float(g.calls[e]), "stage": int(g.stage[e]), "sync": bool(g.sync[e])})
        edges.append([e])
    return sites, edges


def build_plan(arch: Architecture) -> Plan:
    """Translate an architecture into arrays.

    Raises
    ------
    ModelError
        Names what the simulation cannot do or a call cycle that never ends.
    """
    arrays: dict[str, NDArray[Any]] = {}
    hist_rows = _components(arch, arrays)
    margin = _calls(arch, arrays)
    _loads(arch, arrays)
    visits, events, roots = _estimate(arch)
    objective = arch.objective.latency_s
    return Plan(arrays, hist_rows, margin, np.inf if objective is None else float(objective), visits, events, roots)


def _components(arch: Architecture, arrays: dict[str, NDArray[Any]]) -> int:
    n = len(arch)
    col = arch.component_columns.column
    comp, comp_f = np.zeros((n, k.N_COMP), np.int64), np.zeros((n, k.N_COMP_F))
    replicas = np.asarray(col("replicas"), np.int64)
    comp[:, k.K_REPLICAS] = replicas
    comp[:, k.K_REP] = np.concatenate([[0], np.cumsum(replicas)[:-1]]) if n else 0
    law = col("law")
    servers = np.array(col("servers"), np.int64)
    delay = np.asarray(law == "delay", bool)
    for i in np.flatnonzero(np.asarray(law == "tabulated", bool)).tolist():
        # the largest measured concurrency is the largest concurrency
        servers[i] = max(int(np.ceil(col("curve")[i][-1][0])), 1)
    pressed = np.asarray(law == "memory", bool)
    delay |= pressed & ~(np.asarray(col("memory_limit_bytes")) > 0)
    endless = delay | pressed
    comp[:, k.K_SERVERS] = np.where(endless, ENDLESS, servers)
    comp[:, k.K_CAPACITY] = np.where(endless, -1, col("queue_capacity"))
    comp[:, k.K_HOLDS] = np.asarray(col("blocking"), bool) & ~delay
    comp[:, k.K_BALANCING] = [_BALANCING[b] for b in col("balancing")]
    comp[:, k.K_AVAILABLE] = col("available")
    comp[:, k.K_DELAY] = delay
    comp_f[:, k.K_SERVICE] = col("service_time_s")
    scv = np.asarray(col("service_scv"), float)
    comp_f[:, k.K_SCV] = scv
    comp_f[:, k.K_BRANCH] = 0.5 * (1.0 + np.sqrt(np.maximum(scv - 1.0, 0.0) / (scv + 1.0)))
    comp_f[:, k.K_RATE_LIMIT] = np.nan_to_num(col("rate_limit_per_s"), nan=-1.0)
    comp_f[:, k.K_TOKENS] = np.maximum(comp_f[:, k.K_RATE_LIMIT], 1.0)
    comp_f[:, k.K_RESIDENT] = np.nan_to_num(col("memory_bytes"))
    comp_f[:, k.K_PER_REQUEST] = np.nan_to_num(col("memory_per_request_bytes"))
    comp_f[:, k.K_LIMIT] = np.nan_to_num(col("memory_limit_bytes"), nan=-1.0)
    cold = np.asarray(col("cold_start_s"), float)
    page_in = comp_f[:, k.K_RESIDENT] / _page_in_bytes_per_s()
    comp_f[:, k.K_WARM_UP] = np.where(np.isnan(cold), page_in, cold)
    comp_f[:, k.K_SLOW] = 1.0
    full = (comp_f[:, k.K_LIMIT] > 0) & (comp_f[:, k.K_RESIDENT] >= comp_f[:, k.K_LIMIT])
    if full.any():
        raise ModelError(
            "resident memory alone reaches the limit: it never starts",
            component=arch.names[int(np.flatnonzero(full)[0])],
            field="memory_limit_bytes",
            fix="a limit above memory_bytes",
        )
    rep = np.zeros((int(replicas.sum()), k.N_REP), np.int64)
    rep[:, k.R_COMP] = np.repeat(np.arange(n), replicas)
    rep[:, k.R_SERVERS] = comp[rep[:, k.R_COMP], k.K_SERVERS]
    for name in (k.R_HEAD, k.R_TAIL, k.R_MEMBERS, k.R_POOL):
        rep[:, name] = -1
    pools, pools_f, table = _pools(arch, comp, comp_f, rep)
    entries = {arch.index[load.entry] for load in arch.loads}
    own = range(n) if n <= HISTOGRAMS else sorted(entries)
    comp[:, k.K_HIST] = -1
    for at, i in enumerate(own):
        comp[i, k.K_HIST] = len(arch.loads) + at
    arrays.update(comp=comp, comp_f=comp_f, rep=rep, pool=pools, pool_f=pools_f, table=table)
    return len(arch.loads) + len(own)


def _page_in_bytes_per_s() -> float:
    from fea_arch.architecture.component import PAGE_IN_BYTES_PER_S

    return PAGE_IN_BYTES_PER_S


def _pools(arch: Architecture, comp: Ints, comp_f: Floats, rep: Ints) -> tuple[Ints, Floats, Floats]:
    """Set up processor-sharing pools: one per host in use, one per replica with a load-dependent law."""
    ints: list[list[int]] = []
    floats: list[list[float]] = []
    table: list[float] = []
    col = arch.component_columns.column
    comp[:, k.K_POOL] = comp[:, k.K_HOST] = -1
    cpu, host, law = np.nan_to_num(col("cpu_s")), col("host"), col("law")
    of_host: dict[str, int] = {}
    cpus = {h.name: h.cpus for h in arch.hosts}
    for i in range(len(arch)):
        if law[i] in ("usl", "tabulated", "memory") and not comp[i, k.K_DELAY]:
            kind, a, b, first, rows = 1, 0.0, 0.0, 0, 0
            component = arch.components[i]
            if law[i] == "usl":
                a, b = component.usl_sigma or 0.0, component.usl_kappa or 0.0
            elif law[i] == "memory":
                kind, a = 3, float(component.servers)
                room = comp_f[i, k.K_LIMIT] - comp_f[i, k.K_RESIDENT]
                b = room / comp_f[i, k.K_PER_REQUEST] if comp_f[i, k.K_PER_REQUEST] > 0 else np.inf
            else:
                kind, first = 2, len(table)
                values = _tabulated(component.curve or (), component.service_time_s)
                table.extend(values)
                rows = len(values)
            for r in np.flatnonzero(rep[:, k.R_COMP] == i).tolist():
                rep[r, k.R_POOL] = len(ints)
                ints.append([kind, 0, -1, 0, first, rows])
                floats.append([0.0, 0.0, a, b, 1.0, 0.0])
        elif host[i] is not None and cpu[i] > 0:
            if host[i] not in of_host:
                of_host[host[i]] = len(ints)
                ints.append([0, 0, -1, 0, 0, 0])
                floats.append([0.0, 0.0, cpus[host[i]], 0.0, 1.0, 0.0])
            comp[i, k.K_HOST] = of_host[host[i]]
            comp_f[i, k.K_CPU_SHARE] = min(cpu[i] / comp_f[i, k.K_SERVICE], 1.0)
    return (
        np.array(ints, np.int64).reshape(-1, k.N_POOL),
        np.array(floats, float).reshape(-1, k.N_POOL_F),
        np.array(table, float),
    )


def _tabulated(curve: tuple[tuple[float, float], ...], service_s: float) -> list[float]:
    """Return X(n) S for n = 1, 2, ... up to the last measured concurrency, linear between the points and to (0, 0)."""
    n = np.arange(1, max(int(np.ceil(curve[-1][0])), 1) + 1)
    x, y = np.array([(0.0, 0.0), *curve]).T
    return [float(v) for v in np.interp(n, x, y) * service_s]


def _calls(arch: Architecture, arrays: dict[str, NDArray[Any]]) -> int:
    g, comp = arch.graph, arrays["comp"]
    sites, edges = _sites(arch)
    source = [int(g.source[s["edge"]]) for s in sites]
    # by component: steps of calls it waits for (no stage first, in order; then stage by stage), then events
    order = sorted(
        range(len(sites)),
        key=lambda s: (source[s], not sites[s]["sync"], sites[s]["stage"], s),
    )
    site, site_f = np.zeros((len(sites), k.N_SITE), np.int64), np.zeros((len(sites), k.N_SITE_F))
    targets: list[list[int]] = []
    targets_f: list[list[float]] = []
    steps: list[list[int]] = []
    last: tuple[int, int] | None = None
    most = np.zeros(len(arch))
    for at, number in enumerate(order):
        item, e, i = sites[number], sites[number]["edge"], source[number]
        breaker = g.breakers[e] if g.breakers else None
        site[at] = [
            len(targets),
            len(edges[number]),
            g.policy[e],
            0,
            item["sync"],
            g.cancel[e],
            g.required[e],
            g.retries[e],
            breaker is not None,
        ]
        given = [item["calls"], g.latency_s[e], g.timeout_s[e], g.backoff_s[e], g.retry_budget[e], 0.0]
        site_f[at] = np.where(np.isnan(given), -1.0, given)
        total = sum(float(g.calls[t]) for t in edges[number]) or 1.0
        for t in edges[number]:
            targets.append([g.target[t], 0, 0, breaker.minimum_calls if breaker else 0, 0, 0])
            weight = float(g.calls[t]) / total
            given = [breaker.failure_share, breaker.window_s, breaker.open_s] if breaker else [1.0, 1.0, 1.0]
            targets_f.append([weight, *given, 0.0])
        if not item["sync"]:
            if comp[i, k.K_ASYNCS] == 0:
                comp[i, k.K_ASYNC] = at
            comp[i, k.K_ASYNCS] += 1
            most[i] += np.ceil(item["calls"])
            continue
        most[i] += 1
        if item["stage"] >= 0 and last == (i, item["stage"]):
            steps[-1][1] += 1
        else:
            if comp[i, k.K_STEPS] == 0:
                comp[i, k.K_STEP] = len(steps)
            comp[i, k.K_STEPS] += 1
            steps.append([at, 1])
        last = (i, item["stage"])
    comp[:, k.K_HOLDS] &= comp[:, k.K_STEPS] > 0
    arrays.update(
        step=np.array(steps, np.int64).reshape(-1, 2),
        site=site,
        site_f=site_f,
        target=np.array(targets, np.int64).reshape(-1, k.N_TARGET),
        target_f=np.array(targets_f, float).reshape(-1, k.N_TARGET_F),
        bucket=np.zeros((len(targets) if g.breakers else 0, k.BUCKETS, 3), np.int64),
    )
    return int(most.max(initial=0.0)) + 64


def _loads(arch: Architecture, arrays: dict[str, NDArray[Any]]) -> None:
    load, load_f = np.zeros((len(arch.loads), k.N_LOAD), np.int64), np.zeros((len(arch.loads), k.N_LOAD_F))
    for at, item in enumerate(arch.loads):
        load[at] = [arch.index[item.entry], item.users or 0, 0, 0]
        load_f[at] = [item.rate_per_s or 0.0, item.think_time_s, item.arrival_scv, 0.0]
    arrays.update(load=load, load_f=load_f)


def _estimate(arch: Architecture) -> tuple[Floats, float, float]:
    """Estimate visits and events per second from the call graph, without queueing and without retries."""
    g = arch.graph
    service = np.asarray(arch.component_columns.column("service_time_s"), float)
    wait = np.zeros(len(arch))
    if any(load.closed for load in arch.loads):
        wait = _accumulate(arch, service, backwards=True)  # unloaded response time of each component
    rate = np.zeros(len(arch))
    for load in arch.loads:
        i = arch.index[load.entry]
        cycle = load.think_time_s + wait[i]
        rate[i] += load.rate_per_s if load.rate_per_s is not None else (load.users or 0) / cycle
    visits = _accumulate(arch, rate, backwards=False)
    timed = (~np.isnan(g.timeout_s)).astype(float) + 2.0 * (g.latency_s > 0)
    events = float(rate.sum() + visits.sum() + (visits[g.source] * g.calls * timed).sum())
    return visits, events, float(rate.sum())


def _accumulate(arch: Architecture, start: Floats, *, backwards: bool) -> Floats:
    """Add up along the calls: ``x = start + P^T x`` (visits) or ``x = start + P x`` (response times)."""
    g = arch.graph
    into, out = (g.source, g.target) if backwards else (g.target, g.source)
    total, wave = start.copy(), start.copy()
    for _ in range(200_000):
        wave = np.bincount(into, wave[out] * g.calls, minlength=len(arch)).astype(float)
        total += wave
        if wave.max(initial=0.0) <= 1e-9 * max(total.max(initial=0.0), 1e-300):
            return total
        if not np.isfinite(wave).all() or total.max() > 1e15:
            break
    worst = arch.names[int(np.argmax(wave))]
    raise ModelError(
        "is in a cycle of calls that makes more requests than it answers: the simulation would never end",
        component=worst,
        field="calls",
        fix="expected calls around the cycle below 1",
    )
