"""Static analysis: equilibrium at a multiple of the design load."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import ModelError, UnstableLoadError
from fea_arch.results.static import StaticResult
from fea_arch.solvers.closed import schweitzer, solve_closed_single
from fea_arch.solvers.limit_load import largest_load_factor, root_cause
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["largest_load_factor", "root_cause", "static"]

Array = NDArray[np.float64]

#: Load factor of the linear analysis: small enough that nothing waits.
_TINY = 1e-9


def static(arch: Architecture, load_factor: float = 1.0, *, linear: bool = False) -> StaticResult:
    """Compute flows, waits, responses, memory and safety of every component.

    Parameters
    ----------
    arch : Architecture
    load_factor : float
        Multiple of the design load [1]; closed populations are multiplied and rounded.
    linear : bool
        Use the zero-load stiffness ``k0 = 1/S``: no waiting, any load has an answer.

    Returns
    -------
    StaticResult

    Raises
    ------
    ModelError
        For a description that cannot be analysed.
    UnstableLoadError
        If no equilibrium exists at this load: names the limiting component and the largest load factor that has one.

    Notes
    -----
    Equilibrium ``A^T q = f``, compatibility ``N = A u``, law ``N = q R(q)``; Little (1961) makes it Hooke's law.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="pair", components=[fa.Component("web", servers=4), fa.Component("db")],
    ...                        dependencies=[fa.Dependency("web", "db")], loads=[fa.Load("web", rate_per_s=50.0)])
    >>> fa.static(arch)["db"]["utilisation"]
    0.5
    """
    require_valid(arch)
    if not (isinstance(load_factor, (int, float, np.number)) and 0.0 <= float(load_factor) < math.inf):
        raise ModelError(f"is {load_factor!r}", field="load_factor", fix="a finite number of 0 or more")
    factor = float(load_factor)
    network = build_network(arch)
    closed = [load for load in arch.loads if load.closed]
    if closed and not linear:
        state, entries, rates, findings = _closed(arch, network, factor)
        return _result(arch, state, entries, rates, factor, method="mean value analysis", findings=findings)
    if closed:
        # without waiting a population of N users offers N / (Z + R0)
        return _linear(arch, network, factor, _unloaded_rates(arch, network))
    if linear:
        return _linear(arch, network, factor, network.external)
    state = solve_network(network, load_factor=factor)
    if state.limiting >= 0:
        raise _unstable(network, state, network.external, factor)
    entries, rates = _open_entries(arch, factor)
    return _result(arch, state, entries, rates, factor)


def _open_entries(arch: Architecture, factor: float) -> tuple[tuple[str, ...], Array]:
    named: dict[str, float] = {}
    for load in arch.loads:
        if load.rate_per_s is not None:
            named[load.entry] = named.get(load.entry, 0.0) + load.rate_per_s * factor
    return tuple(named), np.array(list(named.values()))


def _linear(arch: Architecture, network: Network, factor: float, external: Array) -> StaticResult:
    state = solve_network(network, external, load_factor=_TINY)
    if state.limiting >= 0:
        raise _unstable(network, state, external, factor)
    scale = factor / _TINY
    state.arrivals *= scale
    state.external = state.external * scale
    state.utilisation *= scale
    state.host_utilisation *= scale
    state.wait[:] = 0.0
    state.load_factor = factor
    entries, rates = _open_entries(arch, factor)
    if any(load.closed for load in arch.loads):
        index = np.flatnonzero(external > 0)
        entries, rates = tuple(arch.names[i] for i in index.tolist()), external[index] * factor
    return _result(arch, state, entries, rates, factor, linear=True)


def _unloaded_rates(arch: Architecture, network: Network) -> Array:
    probe = np.zeros(network.n)
    for load in arch.loads:
        probe[arch.index[load.entry]] = 1.0
    base = solve_network(network, probe, load_factor=_TINY)
    rates = network.external.copy()
    for load in arch.loads:
        if load.users is not None:
            i = arch.index[load.entry]
            rates[i] += load.users / (load.think_time_s + base.response[i])
    return rates


def _label(network: Network, number: int) -> str:
    if number < 0:
        return ""
    return network.names[number] if number < network.n else network.arch.hosts[number - network.n].name


def _unstable(network: Network, state: NetworkState, external: Array, factor: float) -> UnstableLoadError:
    largest, culprit = largest_load_factor(network, external)
    name = _label(network, culprit if culprit >= 0 else root_cause(network, state, state.limiting))
    return UnstableLoadError(
        f"no equilibrium at load factor {factor:g}: {name} is the first to pass its capacity, "
        f"the largest load factor with a steady state is {largest:.4g}",
        limiting=name,
        max_load_factor=largest,
        partial=None,
        fix=f"load_factor <= {largest:.4g}, more servers or a shorter service time at {name}; "
        "for what happens beyond use fa.fracture, fa.transient or fa.simulate",
    )


def _closed(
    arch: Architecture, network: Network, factor: float
) -> tuple[NetworkState, tuple[str, ...], Array, tuple[str, ...]]:
    loads = [load for load in arch.loads if load.closed]
    users = [max(round((load.users or 1) * factor), 1) for load in loads]
    findings: list[str] = []
    visits = []
    for load in loads:
        unit = np.zeros(network.n)
        unit[arch.index[load.entry]] = 1.0
        visits.append(solve_network(network, unit, load_factor=_TINY).arrivals / _TINY)
    exact = len(loads) == 1 and not (network.external > 0).any() and not (network.host >= 0).any()
    if exact:
        try:
            solution = solve_closed_single(
                network, arch.index[loads[0].entry], users[0], loads[0].think_time_s, visits[0]
            )
        except ModelError as error:
            findings.append(f"approximate mean value analysis: {error.message}")
            exact = False
    if exact:
        flows, inside = np.array([solution.throughput]), solution.in_flight
    else:
        if not findings:
            findings.append("approximate mean value analysis (Schweitzer-Bard): several loads, or shared hosts")
        opened = solve_network(network, load_factor=factor)
        if opened.limiting >= 0:
            raise _unstable(network, opened, network.external, factor)
        demand = np.array(visits) * network.service
        slots = (network.servers * network.replicas).astype(float)
        rho = opened.arrivals * opened.admitted * network.service / slots
        flows, number = schweitzer(
            demand,
            slots,
            network.law == 1,
            np.array(users, float),
            np.array([load.think_time_s for load in loads]),
            open_utilisation=rho,
        )
        inside = number.sum(axis=0) + opened.arrivals * (opened.wait + opened.service)
    external = network.external * factor
    for load, flow in zip(loads, flows):
        external = external.copy()
        external[arch.index[load.entry]] += flow
    state = _state_of(network, external, factor, inside)
    named: dict[str, float] = {}
    for load, flow in zip(loads, flows):
        named[load.entry] = named.get(load.entry, 0.0) + float(flow)
    for load in arch.loads:
        if load.rate_per_s is not None:
            named[load.entry] = named.get(load.entry, 0.0) + load.rate_per_s * factor
    return state, tuple(named), np.array(list(named.values())), tuple(findings)


def _state_of(network: Network, external: Array, factor: float, inside: Array) -> NetworkState:
    """Build the state from known flows and numbers: waits by Little's law, responses by one upward sweep."""
    state = solve_network(network, external / max(external.max(), 1e-300), load_factor=_TINY)
    state.external, state.load_factor = external, factor
    state.arrivals *= max(external.max(), 1e-300) / _TINY
    with np.errstate(divide="ignore", invalid="ignore"):
        residence = np.where(state.arrivals > 0, inside / state.arrivals, network.service)
    state.wait = np.maximum(residence - network.service, 0.0)
    for i in network.order.tolist():
        outside = outside_var = 0.0
        for e in range(network.ptr[i], network.ptr[i + 1]):
            if network.sync[e]:
                j = network.target[e]
                outside += network.calls[e] * (network.latency[e] + state.response[j])
                outside_var += network.calls[e] * state.variance[j]
        state.hold[i] = network.service[i] + (outside if network.blocking[i] else 0.0)
        state.response[i] = state.wait[i] + network.service[i] + outside
        state.variance[i] = network.scv[i] * network.service[i] ** 2 + state.wait[i] ** 2 + outside_var
    slots = network.servers * network.replicas
    state.utilisation = np.where(network.law == 1, 0.0, state.arrivals * state.hold / slots)
    for i in np.flatnonzero(network.law == 2):
        top = network.rates[network.rate_first[i] : network.rate_first[i] + network.servers[i]].max()
        state.utilisation[i] = state.arrivals[i] / (top * network.replicas[i])
    return state


def _result(
    arch: Architecture,
    state: NetworkState,
    entries: tuple[str, ...],
    rates: Array,
    factor: float,
    *,
    method: str = "force method (topological sweeps)",
    linear: bool = False,
    findings: tuple[str, ...] = (),
) -> StaticResult:
    network, columns = state.network, arch.component_columns
    flow = state.arrivals * state.admitted
    residence = np.where(state.admitted > 0, state.wait + state.service, 0.0)
    held = flow * state.response
    resident, per = columns.column("memory_bytes"), columns.column("memory_per_request_bytes")
    with np.errstate(invalid="ignore"):
        memory = network.replicas * resident + np.nan_to_num(per) * held
    limit: Array = np.asarray(columns.column("memory_limit_bytes") * network.replicas, float)
    failure: Array = np.asarray(columns.column("failure_limit"), float)
    factors, names = _safety(network, state, flow, memory, limit, failure)
    best = np.argmin(factors, axis=0)
    safety = factors[best, np.arange(network.n)]
    governs = np.where(np.isfinite(safety), np.array(names, object)[best], "")
    elastic = np.asarray(columns.column("elastic_limit"))
    stress = state.utilisation
    state_code: Any = np.where(stress > failure, 3, np.where(stress > elastic, 2, np.where(flow > 0, 1, 0)))
    state_code = np.where(network.available, state_code, 4).astype(np.int64)
    from fea_arch.results.static import STATES

    hosts = tuple(h.name for h in arch.hosts)
    host_memory: Array = np.zeros(len(hosts))
    on = network.host >= 0
    if hosts and on.any():
        host_memory = np.bincount(network.host[on], np.nan_to_num(memory[on]), len(hosts)).astype(float)
    external = state.external.copy()
    cache: list[Any] = []

    def largest() -> tuple[float, str]:
        if not cache:
            if any(load.closed for load in arch.loads):
                cache.append((math.inf, ""))
            else:
                value, culprit = largest_load_factor(network, network.external)
                cache.append((value, _label(network, culprit)))
        found: tuple[float, str] = cache[0]
        return found

    return StaticResult(
        components=tuple(arch.names),
        throughput_per_s=flow,
        utilisation=stress.copy(),
        in_flight=flow * residence,
        held=held,
        wait_s=state.wait.copy(),
        residence_s=residence,
        response_s=state.response.copy(),
        memory_bytes=memory,
        safety_factor=safety,
        state=tuple(np.array(STATES, object)[state_code].tolist()),
        governs=tuple(governs.tolist()),
        success_share=state.success.copy(),
        variance_s2=state.variance.copy(),
        residual=state.residual,
        load_factor=factor,
        entries=entries,
        entry_rate_per_s=rates,
        hosts=hosts,
        host_utilisation=state.host_utilisation.copy(),
        host_memory_bytes=host_memory,
        reaction_per_s=float(external.sum()),
        sweeps=state.sweeps,
        method="linear" if linear else method,
        linear=linear,
        findings=findings,
        _largest=largest,
    )


def _safety(
    network: Network, state: NetworkState, flow: Array, memory: Array, limit: Array, failure: Array
) -> tuple[Array, tuple[str, ...]]:
    """Return the safety factor against each limit, (n_limits, n), and the names of the limits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        capacity = np.where(state.utilisation > 0, failure / state.utilisation, np.inf)
        room = np.where(np.isnan(memory / limit), np.inf, limit / memory)
        admission = np.where(state.arrivals > 0, network.rate_limit / state.arrivals, np.inf)
        host = np.full(network.n, np.inf)
        on = network.host >= 0
        if on.any() and state.host_utilisation.size:
            host[on] = 0.9 / np.maximum(state.host_utilisation[network.host[on]], 1e-300)
            host[on & (network.cpu <= 0)] = np.inf
    return np.vstack([capacity, room, admission, host]), ("capacity", "memory", "rate limit", "host")
