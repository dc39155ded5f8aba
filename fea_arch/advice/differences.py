"""Derivatives by central differences, for answers that are piecewise or have no adjoint.

Every difference is taken with a step and with half of it; the spread of the two is kept, so that a kink or a jump
between them shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.solvers.gradient import Gradient
from fea_arch.solvers.network import Array, Network

__all__ = ["Differences", "by_differences", "call_labels"]

Value = Callable[[Architecture], float]

#: Relative step of the differences; each is verified with half of it.
STEP = 0.01
#: Disagreement of the two steps, as a share of the largest effect, from which a slope is not called a derivative.
KINK = 0.1


@dataclass(frozen=True, eq=False)
class Differences:
    """A gradient from differences and where the two steps disagree.

    Both as a share of the largest effect of any parameter: ``spread`` is the largest disagreement, ``kinks`` names the
    parameters beyond 10 %.
    """

    gradient: Gradient
    memory: Array
    spread: float
    kinks: tuple[str, ...]


def call_labels(arch: Architecture) -> tuple[str, ...]:
    """Return the name of every call, one for each target of a balancer."""
    names, graph = arch.names, arch.graph
    return tuple(f"{names[a]}->{names[b]}" for a, b in zip(graph.source.tolist(), graph.target.tolist()))


def by_differences(
    value: Value,
    arch: Architecture,
    network: Network,
    chosen: list[int],
    *,
    memory: bool = False,
    variability: bool = True,
    step: float = STEP,
) -> Differences:
    """Differentiate ``value`` by the parameters of the ``chosen`` components and of the calls to them.

    Parameters
    ----------
    value : callable
        Architecture -> answer.
    arch, network : Architecture, Network
    chosen : list of int
        Components; everything else stays NaN.
    memory : bool
        Whether memory limits are varied, too.
    variability : bool
        Whether squared coefficients of variation are.
    step : float
        Relative step [1].
    """
    n, m = network.n, network.target.size
    by = {name: np.full(n, np.nan) for name in ("rate", "service", "scv", "servers", "memory")}
    edge = {name: np.full(m, np.nan) for name in ("calls", "latency", "timeout", "backoff", "retries")}
    base = value(arch)
    seen: list[tuple[str, float, float]] = []

    def slope(label: str, x: float, change: Callable[[float], Architecture]) -> float:
        h = step * x
        wide = (value(change(x + h)) - value(change(x - h))) / (2.0 * h)
        near = (value(change(x + 0.5 * h)) - value(change(x - 0.5 * h))) / h
        seen.append((label, abs(wide - near) * x, abs(near) * x))
        return near

    def vary(name: str, field: str, x: float) -> float:
        return slope(f"{name}.{field}", x, lambda new: arch.replaced(name, **{field: new}))

    for i in chosen:
        c = arch[arch.names[i]]
        if not c.cpu_s:
            by["service"][i] = vary(c.name, "service_time_s", c.service_time_s)
        if variability and c.service_scv > 0:
            by["scv"][i] = vary(c.name, "service_scv", c.service_scv)
        if network.law[i] == 0:
            by["servers"][i] = value(arch.replaced(c.name, servers=c.servers + 1)) - base
        if memory:
            limit = c.memory_limit_bytes
            by["memory"][i] = 0.0 if limit is None else vary(c.name, "memory_limit_bytes", limit)
    busy, labels = set(chosen), call_labels(arch)
    plain = {d.label: d for d in arch.dependencies}
    for e in range(m):
        label = labels[int(network.edge[e])]
        if network.group[e] >= 0 or label not in plain or int(network.target[e]) not in busy:
            continue
        d = plain[label]
        for key, field, x in (
            ("calls", "calls", d.calls), ("latency", "network_latency_s", d.network_latency_s),
            ("timeout", "timeout_s", d.timeout_s), ("backoff", "backoff_s", d.backoff_s),
        ):  # fmt: skip
            if x:
                edge[key][e] = vary(label, field, float(x))
        if d.timeout_s is not None:
            edge["retries"][e] = value(arch.replaced(label, retries=d.retries + 1)) - base
    for entry in dict.fromkeys(load.entry for load in arch.loads if load.rate_per_s):
        i = arch.index[entry]
        total = sum(load.rate_per_s or 0.0 for load in arch.loads if load.entry == entry)
        by["rate"][i] = slope(f"load at {entry}", total, partial(_with_rate, arch, entry, total))
    memory_by = by.pop("memory")
    # a slope that moves the answer by little is judged against the one that moves it most
    top = max((1e-6 * abs(base) or 1.0, *(effect for _, _, effect in seen)))
    kinks = tuple(label for label, gap, _ in seen if gap > KINK * top)
    spread = max((gap for _, gap, _ in seen), default=0.0) / top
    return Differences(Gradient(**by, **edge, sweeps=0), memory_by, spread, kinks)


def _with_rate(arch: Architecture, entry: str, before: float, rate: float) -> Architecture:
    """Return a copy in which the open loads of an entry add up to ``rate``."""
    loads = tuple(
        replace(load, rate_per_s=load.rate_per_s * rate / before)
        if load.entry == entry and load.rate_per_s is not None else load
        for load in arch.loads
    )  # fmt: skip
    return replace(arch, loads=loads)
