"""Sensitivities of responses and of the collapse factor by the adjoint; of other answers by differences."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fea_arch.advice.answers import ANSWERS, answer
from fea_arch.advice.differences import STEP, by_differences, call_labels
from fea_arch.architecture import Architecture, Load, require_valid
from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.results.quantiles import mixture_quantile
from fea_arch.results.sensitivity import SensitivityResult
from fea_arch.solvers.adjoint import Adjoint, build_adjoint
from fea_arch.solvers.gradient import Gradient, build_gradient
from fea_arch.solvers.limit_load import largest_load_factor
from fea_arch.solvers.network import Network, build_network
from fea_arch.solvers.statics import NetworkState, solve_network

__all__ = ["COLLAPSE", "opened", "sensitivity"]

Array = NDArray[np.float64]

#: Name of the collapse factor as an answer.
COLLAPSE = "collapse_factor"
#: Relative step where the answer is smooth and accurate.
SMALL = 1e-4
#: How differences are called in a result.
METHOD = f"central differences of {STEP:.0%}, verified with half the step"
#: Components that are varied where differences are taken, the busiest ones.
MOST = 12
#: Components beyond which whole servers stay first-order changes.
MOST_AGAIN = 300
#: The same where each value is a search for a fold.
MOST_FOLDS = 3
#: Relative accuracy of such a search, and of one for whole servers [1].
FOLD_ACCURACY, SERVER_ACCURACY = 1e-5, 1e-3
#: Relative accuracy of the limit where no utilisation reaches 1 [1].
COARSE = 1e-4
#: Distances below a fold at which a response is differentiated [1].
NEAR = (2e-3, 1e-3)
#: Largest changes by one server more that are solved again.
MOST_SERVERS = 4
#: Components for answers that take long.
MOST_BY = {"score": 6, "recovery_time": 1}


def sensitivity(
    arch: Architecture,
    of: str | None = None,
    *,
    quantile: float | None = None,
    load_factor: float = 1.0,
    most: int | None = None,
) -> SensitivityResult:
    """Differentiate a response, a percentile, the collapse factor or another answer by every parameter.

    Parameters
    ----------
    arch : Architecture
        Closed loads enter as open loads of the throughput they have.
    of : str, optional
        Component whose end-to-end response is differentiated; default all entries by their rates; or
        ``"collapse_factor"``, the largest load factor with an equilibrium; ``"score"``; ``"damping"`` and
        ``"stability_margin"`` of the least stable mode; ``"recovery_time"`` after an outage of 60 s.
    quantile : float, optional
        Probability of a percentile; default the mean.
    load_factor : float
        Multiple of the design load [1].
    most : int, optional
        Where differences are taken: how many components, the busiest ones; the others stay NaN. Default 12, for a
        score 6, for the servers of a fold 3, for a recovery time 1.

    Returns
    -------
    SensitivityResult
        ``method`` says how the derivatives were found.

    Raises
    ------
    ModelError
        Unknown component, no load, a probability outside (0, 1).
    UnstableLoadError
        No equilibrium at this load.

    Notes
    -----
    With the equilibrium ``x = F(x, p)`` and ``psi = dg/dx + (dF/dx)^T psi`` the derivative of an answer ``g`` is
    ``dg/dp = psi . dF/dp`` for all parameters from one transposed solve. The collapse factor follows from the implicit
    function theorem at the limiting component, ``dLambda/dp = -(d rho/dp) / (d rho/d Lambda)``. Where a full pool or a
    fold of retries limits, every response ``g`` grows beyond bounds there, and ``-(dg/dp) / (dg/d Lambda)`` just below
    it tends to the same;
    ``spread`` is what it still moves from 0.2 to 0.1 % below. For the score (a sum over paths that break and
    recover), modes and recovery times,
    central differences over the busiest components are taken with two steps; ``spread`` is their largest
    disagreement as a share of the largest effect, and a finding names the parameters beyond 10 %.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=3)
    >>> fa.sensitivity(arch, of="s1").ranking(1)[0][0]
    's1'
    """
    require_valid(arch)
    if quantile is not None and not 0.0 < quantile < 1.0:
        raise ModelError(f"is {quantile!r}", field="quantile", fix="a probability between 0 and 1")
    arch, findings = opened(arch, load_factor)
    network = build_network(arch)
    if of == COLLAPSE and COLLAPSE not in arch:
        return _collapse(arch, network, findings, most or MOST_FOLDS)
    if of in ANSWERS and of not in arch:
        return _numerical(arch, network, findings, of=of, load_factor=load_factor, most=most or MOST_BY.get(of, MOST))
    entries = tuple(dict.fromkeys(load.entry for load in arch.loads))
    weight = np.zeros(network.n)
    if of is not None:
        weight[arch.number(of)] = 1.0
    elif network.external.sum() > 0:
        weight = network.external / network.external.sum()
    else:
        raise ModelError("there is no load, so no mean over the entries", field="loads", fix="of='<component>'")
    # tight: the derivative is compared with differences of converged states
    state = solve_network(network, load_factor=load_factor, tol=1e-12)
    if state.limiting >= 0:
        from fea_arch.analyses.static import static

        static(arch, load_factor)  # raises with the largest load factor
    value, mean, variance, quantity = _answer(state, weight, quantile)

    def moved(changed: Architecture) -> float:
        other = build_network(changed)
        total = other.external.sum()
        share = weight if of is not None else other.external / total
        return _answer(solve_network(other, load_factor=load_factor, tol=1e-12), share, quantile)[0]

    adjoint = build_adjoint(state)
    if not adjoint.exact:
        chosen = np.argsort(-state.utilisation, kind="stable")[: most or MOST].tolist()
        found = by_differences(moved, arch, network, chosen, step=SMALL)
        return _result(
            arch, network, found.gradient, of=of or "entries", quantity=quantity, value=value, entries=entries,
            load_factor=load_factor, method=METHOD.replace(f"{STEP:.0%}", f"{SMALL:.2%}"),
            findings=(*findings, *_kinks(found.kinks)), spread=found.spread,
        )  # fmt: skip
    psi, sweeps = adjoint.solve(adjoint.seed(mean, variance))
    gradient = build_gradient(adjoint, psi, sweeps)
    if of is None:  # the weights move with the rates
        gradient.rate[:] = gradient.rate + _mix(state, weight, quantile, value) / (state.external.sum() or 1.0)
    if (state.sweeps > 1 or quantile is not None) and network.n <= MOST_AGAIN:
        for i in np.argsort(-np.abs(np.nan_to_num(gradient.servers)), kind="stable")[:MOST_SERVERS].tolist():
            c = arch.components[i]
            if abs(gradient.servers[i]) > 1e-4 * value and network.law[i] == 0:  # no small step
                with suppress(ConvergenceError):
                    gradient.servers[i] = moved(arch.replaced(c.name, servers=c.servers + 1)) - value
    return _result(
        arch, network, gradient, of=of or "entries", quantity=quantity, value=value, entries=entries,
        load_factor=load_factor, findings=findings,
    )  # fmt: skip


def opened(arch: Architecture, load_factor: float = 1.0) -> tuple[Architecture, tuple[str, ...]]:
    """Return the architecture with closed loads replaced by open ones of the throughput that they have."""
    if not any(load.closed for load in arch.loads):
        return arch, ()
    from fea_arch.analyses.static import static

    result = static(arch, load_factor)
    scale = 1.0 / load_factor if load_factor > 0 else 1.0
    loads = [
        Load(name, rate_per_s=float(rate) * scale)
        for name, rate in zip(result.entries, np.asarray(result.entry_rate_per_s).tolist())
    ]
    return replace(arch, loads=tuple(loads)), ("closed loads enter as open loads of the throughput they have",)


def _answer(state: NetworkState, weight: Array, quantile: float | None) -> tuple[float, Array, Array | None, str]:
    """Return the answer and its derivatives by every response and variance."""
    if quantile is None:
        return float(weight @ state.response), weight, None, "mean response"
    at = np.flatnonzero(weight)
    mean, variance = np.zeros(weight.size), np.zeros(weight.size)
    base = [state.response[at], state.variance[at]]
    value = mixture_quantile(quantile, base[0], base[1], weight[at])
    for out, k in ((mean, 0), (variance, 1)):
        for place, i in enumerate(at.tolist()):
            h = 2e-4 * float(base[k][place])
            if h <= 0.0:
                continue
            ends = []
            for step in (h, -h, 2 * h, -2 * h):
                moved = [b.copy() for b in base]
                moved[k][place] += step
                ends.append(mixture_quantile(quantile, moved[0], moved[1], weight[at]))
            out[i] = (8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h)
    return value, mean, variance, f"p{100 * quantile:g} of the response"


def _mix(state: NetworkState, weight: Array, quantile: float | None, value: float) -> Array:
    """Return the change of the answer, per unit of weight, when an entry gets a larger share of the load."""
    on = weight > 0
    if quantile is None:
        return np.where(on, state.response - value, 0.0)
    from fea_arch.results.quantiles import mixture_within

    if on.sum() == 1:
        return np.zeros(weight.size)
    at = np.flatnonzero(on)
    below = np.zeros(weight.size)
    for i in at.tolist():
        below[i] = mixture_within(value, state.response[[i]], state.variance[[i]], np.ones(1))
    h = 1e-5 * value
    ends = [mixture_within(value + s * h, state.response[at], state.variance[at], weight[at]) for s in (1.0, -1.0)]
    density = (ends[0] - ends[1]) / (2.0 * h)
    return np.where(on, -(below - float(below @ weight)) / density, 0.0)


def _result(
    arch: Architecture,
    network: Network,
    gradient: Gradient,
    *,
    of: str,
    quantity: str,
    value: float,
    entries: tuple[str, ...],
    load_factor: float,
    limiting: str = "",
    method: str = "adjoint",
    findings: tuple[str, ...] = (),
    spread: float = 0.0,
    memory: Array | None = None,
) -> SensitivityResult:
    def by_edge(values: Array) -> Array:
        out = np.empty(network.edge.size)
        out[network.edge] = values
        return out

    return SensitivityResult(
        of=of,
        quantity=quantity,
        value=value,
        components=tuple(arch.names),
        by_service_time=gradient.service,
        by_service_scv=gradient.scv,
        by_servers=gradient.servers,
        by_rate=gradient.rate,
        by_memory=np.zeros(network.n) if memory is None else memory,
        elasticity=gradient.service * network.service / value if value else np.zeros(network.n),
        dependencies=call_labels(arch),
        by_calls=by_edge(gradient.calls),
        by_latency=by_edge(gradient.latency),
        by_timeout=by_edge(gradient.timeout),
        by_backoff=by_edge(gradient.backoff),
        by_retries=by_edge(gradient.retries),
        entries=entries,
        load_factor=load_factor,
        limiting=limiting,
        method=method,
        sweeps=gradient.sweeps,
        findings=findings,
        spread=spread,
    )


# -- collapse factor -------------------------------------------------------------------------------------------------
def _collapse(arch: Architecture, network: Network, findings: tuple[str, ...], most: int) -> SensitivityResult:
    factor, limiting = largest_load_factor(network, network.external, accuracy=COARSE)
    entries = tuple(dict.fromkeys(load.entry for load in arch.loads))
    if not math.isfinite(factor):
        raise ModelError("nothing limits the load: there is no collapse factor", field="loads", fix="a load above zero")
    name = arch.names[limiting] if limiting < network.n else arch.hosts[limiting - network.n].name
    spread, settled = 0.0, True
    distance = 10.0 * COARSE
    try:
        state = solve_network(network, load_factor=factor * (1.0 - distance), tol=1e-9, max_sweeps=150)
        if limiting < network.n and state.limiting < 0 and state.utilisation[limiting] > 1.0 - 3.0 * distance:
            factor, limiting = largest_load_factor(network, network.external, accuracy=1e-8)
            state = solve_network(network, load_factor=factor * (1.0 - 1e-8), tol=1e-10)
    except ConvergenceError as error:  # so close to a fold the sweeps creep: good enough to tell the busiest
        state, settled = error.partial, False
    by_law = limiting < network.n and network.law[limiting] == 0 and network.places[limiting] < 0
    if settled and state.limiting < 0 and by_law and not state.tight and abs(state.utilisation[limiting] - 1.0) < 1e-5:
        adjoint = build_adjoint(state)
        psi, sweeps = adjoint.solve(adjoint.utilisation_seed(limiting))
        gradient = build_gradient(adjoint, psi, sweeps)
        _explicit(gradient, adjoint, limiting)
        slope = float(gradient.rate @ network.external)
        for field in ("rate", "service", "scv", "servers", "calls", "latency", "timeout", "backoff", "retries"):
            getattr(gradient, field)[:] *= -1.0 / slope
        gradient.rate[:] *= factor  # a request of the design load is one of them at the collapse load
        method = "adjoint, implicit function theorem at the limiting component"
    elif (near := _near_fold(network, factor)) is not None:
        gradient, spread = near
        for i in [i for i in np.argsort(-state.utilisation, kind="stable").tolist() if network.law[i] == 0][:most]:
            c = arch.components[i]
            more = build_network(arch.replaced(c.name, servers=c.servers + 1))
            gradient.servers[i] = largest_load_factor(more, more.external, accuracy=SERVER_ACCURACY)[0] - factor
        method = f"adjoint of the mean response {NEAR[-1]:.1%} below the limit; servers by solving again"
    else:
        chosen = np.argsort(-state.utilisation, kind="stable").tolist()
        chosen = [i for i in (limiting, *chosen) if i < network.n]
        chosen = list(dict.fromkeys(chosen))[: min(most, MOST_FOLDS)]
        found = by_differences(lambda a: _fold_near(a, factor), arch, network, chosen, variability=False)
        gradient, spread = found.gradient, found.spread
        method, findings = METHOD, (*findings, *_kinks(found.kinks))
    return _result(
        arch, network, gradient, of="the architecture", quantity="collapse factor", value=factor, entries=entries,
        load_factor=factor, limiting=name, method=method, findings=findings, spread=spread,
    )  # fmt: skip


def _near_fold(network: Network, factor: float) -> tuple[Gradient, float] | None:
    """Return the derivatives of a fold from those of a response just below it, and their change with the distance."""
    weight = network.external / network.external.sum()
    found: list[Gradient] = []
    for distance in NEAR:
        try:
            state = solve_network(network, load_factor=factor * (1.0 - distance), tol=1e-11, max_sweeps=2000)
            if state.limiting >= 0:
                return None
            adjoint = build_adjoint(state)
            if not adjoint.exact:
                return None
            gradient = build_gradient(adjoint, *adjoint.solve(adjoint.seed(weight)))
        except ConvergenceError:
            return None
        slope = float(gradient.rate @ network.external)
        if not slope > 0.0 or not np.isfinite(slope):
            return None
        for name in ("rate", "service", "scv", "calls", "latency", "timeout", "backoff"):
            getattr(gradient, name)[:] *= -1.0 / slope
        gradient.rate[:] *= factor
        gradient.servers[:] = np.nan  # whole numbers are no small steps at a limit
        gradient.retries[:] = np.nan
        found.append(gradient)
    far, close = (np.nan_to_num(np.append(g.rate * network.external, g.service * network.service)) for g in found)
    return found[-1], float(np.abs(far - close).max() / max(np.abs(close).max(), 1e-300))


def _fold_near(arch: Architecture, factor: float) -> float:
    """Return the largest load factor of a slightly changed architecture by bisection around a known one."""
    network = build_network(arch)

    def stands(value: float) -> bool:
        try:
            return solve_network(network, load_factor=value, tol=1e-6, max_sweeps=60).limiting < 0
        except ConvergenceError:
            return False

    low, high = 0.97 * factor, 1.03 * factor
    if not stands(low) or stands(high):
        return largest_load_factor(network, network.external, accuracy=FOLD_ACCURACY)[0]
    while high - low > FOLD_ACCURACY * factor:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if stands(middle) else (low, middle)
    return 0.5 * (low + high)


def _numerical(
    arch: Architecture, network: Network, findings: tuple[str, ...], *, of: str, load_factor: float, most: int
) -> SensitivityResult:
    from fea_arch.analyses.static import static

    measure = answer(of)
    state = static(arch, load_factor) if of != "score" else None
    if state is None:
        from fea_arch.scoring.score import score

        lost = score(arch, samples=0).losses.sum(axis=1)
        chosen = np.argsort(-lost, kind="stable")[:most].tolist()
    else:
        chosen = np.argsort(-state.utilisation, kind="stable")[:most].tolist()
    found = by_differences(lambda a: measure(a, load_factor), arch, network, chosen, memory=of == "score")
    return _result(
        arch, network, found.gradient, of="the architecture", quantity=of.replace("_", " "),
        value=measure(arch, load_factor), entries=tuple(dict.fromkeys(load.entry for load in arch.loads)),
        load_factor=load_factor, method=METHOD, findings=(*findings, *_kinks(found.kinks)), spread=found.spread,
        memory=found.memory if of == "score" else None,
    )  # fmt: skip


def _kinks(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (f"a kink or jump within the step: {', '.join(names[:6])}{more}; the slope there is no derivative",)


def _explicit(gradient: Gradient, adjoint: Adjoint, i: int) -> None:
    """Add what the utilisation of the limiting component itself owes to its parameters."""
    network, state = adjoint.network, adjoint.state
    slots = float(network.servers[i] * network.replicas[i])
    if not adjoint.service.size:
        gradient.service[i] += state.arrivals[i] * state.admitted[i] / slots
    more = (network.servers[i] + 1) / network.servers[i]
    gradient.servers[i] += state.utilisation[i] * (1.0 / more - 1.0)
