"""Recovery: how long an outage of each component is felt, and what is lost when it dies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from fea_arch.analyses.operating_point import static_state
from fea_arch.analyses.transient import transient
from fea_arch.architecture import Architecture, require_valid
from fea_arch.architecture.health import health
from fea_arch.architecture.loads import Outage
from fea_arch.errors import ModelError, suggestion
from fea_arch.results.recovery import RecoveryResult
from fea_arch.results.transient import TransientResult

__all__ = ["POINT_OBJECTIVES_S", "TIME_OBJECTIVES_S", "recovery"]

#: Recovery time objective by incident level [s].
TIME_OBJECTIVES_S: Mapping[int, float] = MappingProxyType({1: 3600.0, 2: 14400.0, 3: 1800.0})
#: Recovery point objective by what is kept [s].
POINT_OBJECTIVES_S: Mapping[str, float] = MappingProxyType(
    {"configuration": 3600.0, "data": 86400.0, "knowledge": 3600.0}
)
_KEEPS = {"memory": "knowledge", "ai": "knowledge", "database": "data", "bus": "data", "queue": "data", "cache": "data"}


def recovery(
    arch: Architecture,
    outage_s: float = 60.0,
    *,
    components: Any = None,
    load_factor: float = 1.0,
    time_objectives_s: Mapping[int, float] = TIME_OBJECTIVES_S,
    tolerance: float = 1e-2,
    progress: Callable[[float], None] | None = None,
) -> RecoveryResult:
    """Take every component out in turn and follow how the backlog drains.

    Requests that meet the outage wait for its end (an event bus keeps its events), which is the largest backlog there
    can be; the component comes back after the outage and its cold start.

    Parameters
    ----------
    arch : Architecture
    outage_s : float
        Length of the outage before the restart [s].
    components : sequence of str, optional
        Only these; default all that carry load.
    load_factor : float
        Multiple of the design load [1].
    time_objectives_s : mapping
        Recovery time objective by incident level [s].
    tolerance : float
        Relative error of a time step [1].
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    RecoveryResult

    Raises
    ------
    ModelError
        Unknown components, a senseless length.
    UnstableLoadError
        If there is no steady state at this load.

    Examples
    --------
    >>> import fea_arch as fa
    >>> from fea_arch.analyses.recovery import recovery
    >>> found = recovery(fa.load_sample("chain", n=2), outage_s=10.0)     # 50/s wait for 10 s, 50/s to spare
    >>> int(round(found["s1"]["backlog"], -1)), bool(found["s1"]["met"])
    (500, True)
    """
    require_valid(arch)
    try:
        length = float(outage_s)
    except (TypeError, ValueError):
        length = math.nan
    if not 0.0 < length < math.inf:
        raise ModelError(f"is {outage_s!r}", field="outage_s", fix="a positive finite number of seconds")
    _, base = static_state(arch, load_factor)
    flow = base.arrivals * base.admitted
    if components is None:
        chosen = [name for i, name in enumerate(arch.names) if flow[i] > 0.0]
    else:
        chosen = list(components)
        for name in chosen:
            if name not in arch.index:
                raise ModelError(
                    f"no component of this name.{suggestion(str(name), arch.names)}", component=str(name),
                    field="components",
                )
    if not chosen:
        raise ModelError("no component carries load", field="loads", fix="a load above zero")
    n = len(chosen)
    level = np.ones(n, np.int64)
    backlog, drain, whole, margin = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    objective = np.zeros(n)
    index = np.array([arch.index[c] for c in chosen], np.int64)
    kinds = [str(k) for k in arch.component_columns.column("kind")[index]]
    for k, name in enumerate(chosen):
        restart = arch.components[int(index[k])].warm_up_s
        out = length + restart
        found = transient(
            arch, None, 1.0 + out + max(10.0 * out, 120.0), events=[Outage(name, 1.0, 1.0 + out)],
            load_factor=load_factor, outage="hold", tolerance=tolerance,
        )
        held = found.in_flight.sum(axis=1)
        backlog[k] = float(held.max() - held[0])
        drain[k] = _drained(found)
        whole[k] = out + drain[k]
        level[k] = max(health(arch.replaced(name, available=False)).level, 1)
        if level[k] not in time_objectives_s:
            raise ModelError(f"has no level {level[k]}", field="time_objectives_s")
        objective[k] = float(time_objectives_s[int(level[k])])
        margin[k] = whole[k] / objective[k]
        if progress is not None:
            progress((k + 1) / n)
    risk = flow[index] * base.response[index]
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = np.where(flow[index] > 0.0, risk / flow[index], 0.0)
    return RecoveryResult(
        components=tuple(chosen),
        level=level,
        backlog=backlog,
        drain_time_s=drain,
        recovery_time_s=whole,
        objective_s=objective,
        met=whole <= objective,
        at_risk=risk,
        at_risk_s=seconds,
        point_objective_s=np.array([POINT_OBJECTIVES_S[_KEEPS.get(kind, "configuration")] for kind in kinds]),
        governs=chosen[int(np.argmax(margin))],
        backups=_backups(arch),
        outage_s=length,
        load_factor=float(load_factor),
    )


def _drained(found: TransientResult) -> float:
    """Drain time; where the window ends first, go on at the rate of its last fifth."""
    if np.isfinite(found.total_drain_time_s):
        return found.total_drain_time_s
    t, held = found.time_s, found.in_flight.sum(axis=1)
    begin = t[-1] - 0.2 * (t[-1] - found.disturbance_end_s)
    before = float(np.interp(begin, t, held))
    rate = (before - float(held[-1])) / (t[-1] - begin)
    if rate <= 1e-6 * max(before, 1.0) / (t[-1] - begin):
        return math.inf
    return float(t[-1] - found.disturbance_end_s + max(held[-1] - held[0], 0.0) / rate)


def _backups(arch: Architecture) -> tuple[dict[str, Any], ...]:
    rows = []
    for period in arch.periods:
        words = period.name.lower()
        if "backup" not in words:
            continue
        kept = "configuration" if "config" in words else ("knowledge" if "knowledge" in words else "data")
        limit = POINT_OBJECTIVES_S[kept]
        rows.append(
            {
                "name": period.name,
                "keeps": kept,
                "period_s": period.period_s,
                "objective_s": limit,
                "met": period.period_s <= limit,
            }
        )
    return tuple(rows)
