"""What to do: which change lets the load grow, step by step, each solved and not guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fea_arch.errors import ConvergenceError, UnstableLoadError

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.static import StaticResult

__all__ = ["Step", "strengthening_steps"]

#: Gain of the sustainable load below which a change is no help [1].
LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Step:
    """One change and the load that it makes possible, earlier changes kept.

    Parameters
    ----------
    component, field : str
        What is changed; a host is named like a component.
    before, after : float
        Its value.
    largest_load_factor : float
        Largest load factor with an equilibrium after the change [1].
    limited_by : str
        What limits it then.
    """

    component: str
    field: str
    before: float
    after: float
    largest_load_factor: float
    limited_by: str


def strengthening_steps(
    arch: Architecture, factor: float, limiting: str, *, load_factor: float = 1.0, rounds: int = 3
) -> list[Step]:
    """Return changes that raise the largest load: what limits gets twice the servers (a host twice the processors).

    Parameters
    ----------
    arch : Architecture
    factor, limiting : float, str
        Largest load factor with an equilibrium, and the component or host that limits it.
    load_factor : float
        Load at which the changed architecture is solved.
    rounds : int
        Changes in all; a change that does not help ends the list.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.load_sample("chain", n=2).replaced("s2", service_time_s=0.015)
    >>> [(s.component, s.after) for s in strengthening_steps(arch, *fa.static(arch).sustainable, rounds=1)]
    [('s2', 2.0)]
    """
    steps: list[Step] = []
    tied = 0
    for _ in range(rounds):
        change = _doubled(arch, limiting) if math.isfinite(factor) else None
        if change is None:
            break
        field, before, after = change
        arch = arch.replaced(limiting, **{field: after})
        try:
            found, next_limit = _largest(arch, load_factor)
        except ConvergenceError:
            break
        steps.append(Step(limiting, field, float(before), float(after), found, next_limit))
        helps = found > factor * (1.0 + LEAST_GAIN)
        tied = 0 if helps else tied + 1
        if next_limit == limiting and not helps:
            break  # more of the same does not help
        factor, limiting = found, next_limit
    while tied and steps:  # changes at the end that bring nothing are no advice
        if len(steps) == 1 or tied == len(steps):
            return steps if len(steps) == rounds else []
        steps.pop()
        tied -= 1
    return steps


def _doubled(arch: Architecture, name: str) -> tuple[str, Any, Any] | None:
    if name in arch:
        component = arch[name]
        if component.rate_limit_per_s is not None and component.rate_limit_per_s < component.capacity_per_s:
            return "rate_limit_per_s", component.rate_limit_per_s, 2.0 * component.rate_limit_per_s
        if component.law in ("usl", "tabulated"):  # more workers do not help a law that is measured as a whole
            return "replicas", component.replicas, 2 * component.replicas
        return "servers", component.servers, 2 * component.servers
    host = next((h for h in arch.hosts if h.name == name), None)
    return None if host is None else ("cpus", host.cpus, 2.0 * host.cpus)


def _largest(arch: Architecture, load_factor: float) -> tuple[float, str]:
    from fea_arch.analyses.static import static

    try:
        result: StaticResult = static(arch, load_factor)
    except UnstableLoadError as error:
        return error.max_load_factor, error.limiting
    return result.sustainable
