"""Sweeps over one or two parameters with one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.results.quantiles import mixture_quantile
from fea_arch.results.sweep import SweepResult
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import solve_network

__all__ = ["sweep"]

#: The parameter that scales all loads.
LOAD = "load_factor"


def sweep(arch: Architecture, over: Mapping[str, Sequence[float]]) -> SweepResult:
    """Solve the static equilibrium over a grid of one or two parameters.

    Parameters
    ----------
    arch : Architecture
        With open loads.
    over : mapping
        Values of ``"load_factor"`` or of ``place.field``, for instance ``"orders.servers"`` or ``"a->b.timeout_s"``.

    Returns
    -------
    SweepResult
        NaN where there is no equilibrium.

    Raises
    ------
    ModelError
        No or more than two parameters, an unknown place or field, closed loads.

    Notes
    -----
    Load factors and servers of M/M/c components change numbers of one network that is built once; everything else
    builds the network of the changed architecture.

    Examples
    --------
    >>> import fea_arch as fa
    >>> found = fa.sweep(fa.load_sample("chain", n=2), {"load_factor": [0.5, 1.0, 3.0]})
    >>> [bool(x) for x in found.stable]
    [True, True, False]
    """
    require_valid(arch)
    if not 1 <= len(over) <= 2:
        raise ModelError(f"has {len(over)} parameters", field="over", fix="one or two")
    if any(load.closed for load in arch.loads):
        raise ModelError("are closed", field="loads", fix="open loads, or fa.static for each design")
    axes = [np.asarray(list(values), float) for values in over.values()]
    for name, axis in zip(over, axes):
        if not axis.size or not np.isfinite(axis).all():
            raise ModelError("has no finite values", field=name)
    network = build_network(arch)
    shape = tuple(a.size for a in axes)
    names = ("response_s", "percentile_s", "worst_utilisation")
    out = {name: np.full(shape, np.nan) for name in names}
    built = 1
    for place in product(*(range(k) for k in shape)):
        factor, changed, current = 1.0, network, arch
        for (name, _), axis, k in zip(over.items(), axes, place):
            value = float(axis[k])
            if name == LOAD:
                factor = value
                continue
            part, field = _split(name)
            if field == "servers" and part in arch and _plain(network, arch.number(part)) and value == int(value) >= 1:
                servers = changed.servers.copy()
                servers[arch.number(part)] = int(value)
                changed = replace(changed, servers=servers)
            else:
                current = current.replaced(part, **{field: _typed(current, part, field, value)})
        if current is not arch:
            built += 1
            rebuilt = build_network(current)
            moved = changed.servers != network.servers
            changed = replace(rebuilt, servers=np.where(moved, changed.servers, rebuilt.servers))
        found = _solved(changed, factor, arch.objective.quantile)
        for name in names:
            out[name][place] = found[name]
    return SweepResult(
        parameters=tuple(over), values=tuple(axes), stable=np.isfinite(out["response_s"]), networks=built, **out
    )


def _split(name: str) -> tuple[str, str]:
    place, dot, field = name.rpartition(".")
    place = place.strip('"')
    if not dot or not place or not field:
        raise ModelError(f"{name!r} is no parameter", field="over", fix='"load_factor" or "orders.servers"')
    return place, field


def _typed(arch: Architecture, place: str, field: str, value: float) -> Any:
    from fea_arch.architecture import Component, Dependency, Host
    from fea_arch.architecture.fields import specs

    kind: type = Component if place in arch else (Dependency if "->" in place else Host)
    spec = specs(kind).get(field)
    return int(value) if spec is not None and spec.form == "count" and value == int(value) else value


def _plain(network: Network, i: int) -> bool:
    return bool(network.law[i] == 0 and network.places[i] < 0)


def _solved(network: Network, factor: float, quantile: float) -> dict[str, float]:
    nothing = {"response_s": math.nan, "percentile_s": math.nan, "worst_utilisation": math.nan}
    try:
        state = solve_network(network, load_factor=factor)
    except ConvergenceError:
        return nothing
    total = network.external.sum()
    if state.limiting >= 0 or total <= 0:
        return nothing
    at = np.flatnonzero(network.external)
    weight = network.external[at] / total
    return {
        "response_s": float(weight @ state.response[at]),
        "percentile_s": mixture_quantile(quantile, state.response[at], state.variance[at], weight),
        "worst_utilisation": float(state.utilisation.max()),
    }
