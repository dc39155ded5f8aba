"""Contingency: take every component and every dependency away, one or two at a time."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np

from fea_arch.analyses.fracture import open_model
from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.results.contingency import ContingencyResult
from fea_arch.solvers.outages import OutageSolver, Outcome

__all__ = ["contingency"]

#: Largest number of cases of one analysis.
MOST_CASES = 2_000_000


def contingency(
    arch: Architecture, order: int = 1, *, load_factor: float = 1.0, dependencies: bool = True
) -> ContingencyResult:
    """Remove each component and each dependency and rank what is left (N-1, or N-2 with ``order=2``).

    Parameters
    ----------
    arch : Architecture
    order : int
        1 or 2 outages at a time.
    load_factor : float
        Multiple of the design load [1].
    dependencies : bool
        Whether dependencies are taken away too, not only components.

    Returns
    -------
    ContingencyResult
        One row per outage; a case that fails is a row with its reason. Ctrl-C returns the rows so far.

    Raises
    ------
    ModelError
        Without load, for another order, or for more cases than can be held.

    Notes
    -----
    A component that is gone answers nothing: callers that require it fail, optional calls are left out, balancers pass
    it over, and what is no longer asked for disappears downstream. Where nothing feeds back (no time-outs, bounded
    queues, shared hosts, cycles) only the flows and times that an outage reaches are computed again, exactly, for
    many outages side by side in a large network; otherwise, or where a queue fills up, the full equilibrium is solved
    from the intact one.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="pair", components=[fa.Component("web", servers=4), fa.Component("cache")],
    ...     dependencies=[fa.Dependency("web", "cache", required=False)], loads=[fa.Load("web", rate_per_s=50.0)])
    >>> result = fa.contingency(arch)
    >>> result["cache"]["served_share"], result["web"]["status"]
    (1.0, 'failed')
    """
    if isinstance(order, bool) or order not in (1, 2):
        raise ModelError(f"is {order!r}", field="order", fix="1 or 2")
    if not (isinstance(load_factor, (int, float, np.number)) and 0.0 < float(load_factor) < math.inf):
        raise ModelError(f"is {load_factor!r}", field="load_factor", fix="a positive finite number")
    model, _ = open_model(arch)
    network = model.network
    up = np.flatnonzero(network.available).tolist()
    labels: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {network.names[i]: ((i,), ()) for i in up}
    if dependencies:
        for e in np.argsort(network.edge).tolist():
            name = f"{network.names[network.source[e]]}->{network.names[network.target[e]]}"
            before = labels.get(name, ((), ()))
            labels[name] = (before[0], (*before[1], e))
    names = list(labels)
    count = len(names) if order == 1 else len(names) * (len(names) - 1) // 2
    if count > MOST_CASES:
        raise ModelError(
            f"{count} pairs of outages are more than {MOST_CASES}", field="order", fix="order=1 or dependencies=False"
        )
    solver = OutageSolver(model, float(load_factor))
    cases = [(n,) for n in names] if order == 1 else list(combinations(names, 2))
    parts = (
        (tuple(i for name in case for i in labels[name][0]), tuple(e for name in case for e in labels[name][1]))
        for case in cases
    )
    found: dict[int, Outcome] = {}
    interrupted = False
    try:
        for k, outcome in solver.outcomes(parts, count):
            found[k] = outcome
    except KeyboardInterrupt:
        interrupted = True
    done: list[Any] = [cases[k] for k in sorted(found)]
    rows = [found[k] for k in sorted(found)]
    return ContingencyResult(
        components=tuple(" + ".join(case) for case in done),
        served_share=np.array([r.served_share for r in rows]),
        worst_component=tuple(network.names[r.worst] if r.worst >= 0 else "" for r in rows),
        worst_utilisation=np.array([r.utilisation for r in rows]),
        response_s=np.array([r.response_s for r in rows]),
        status=tuple(r.status for r in rows),
        reason=tuple(r.reason for r in rows),
        order=order,
        load_factor=float(load_factor),
        served_share_intact=solver.intact.served_share,
        method=solver.method,
        interrupted=interrupted,
    )
