"""From a catalogue to runs: what exactly happens to an architecture in each situation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.architecture.loads import Burst, Outage, Periodic, Ramp, Recorded
from fea_arch.scoring.catalogue import Catalogue, Situation

__all__ = ["HIGH_FACTOR", "Case", "cases", "high_factor"]

#: Multiple of the design load in "high load" where the architecture states no load case above 1.
HIGH_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """One run.

    Parameters
    ----------
    situation : Situation
    label : str
        Name of the run; one situation may need several.
    weight : float
        Share of the score [1].
    window_s : float
        Length [s].
    load : callable or None
        Load factor over time.
    lost_share, start_s, end_s : float
        Capacity that everything, or ``hit``, loses for a time.
    hit : tuple of str or None
        Components of the outage; None: all.
    down : str or None
        Component that answers nothing.
    memory_share : float
        Share of the free memory that is gone [1].
    """

    situation: Situation
    label: str
    weight: float
    window_s: float
    load: Callable[[float], float] | None = None
    lost_share: float = 0.0
    start_s: float = 0.0
    end_s: float = 0.0
    hit: tuple[str, ...] | None = None
    down: str | None = None
    memory_share: float = 0.0

    def outages(self, arch: Architecture) -> list[Outage]:
        """Return the outages, one per component."""
        if not self.lost_share:
            return []
        names = arch.names if self.hit is None else [n for n in self.hit if n in arch]
        return [Outage(n, start_s=self.start_s, end_s=self.end_s, share=self.lost_share) for n in names]

    def architecture(self, arch: Architecture) -> Architecture:
        """Return the architecture as it is in this run."""
        if self.down is not None:
            return arch.replaced(self.down, available=False)
        if self.memory_share:
            return leaked(arch, self.memory_share)
        return arch


def leaked(arch: Architecture, share: float) -> Architecture:
    """Return a copy in which a share of the free memory of every component with a limit is gone."""
    changed = {}
    for i in np.flatnonzero(~np.isnan(arch.component_columns.column("memory_limit_bytes"))).tolist():
        c = arch.components[i]
        resident, limit = c.memory_bytes or 0.0, c.memory_limit_bytes or 0.0
        changed[i] = replace(c, memory_bytes=resident + share * max(limit - resident, 0.0))
    if not changed:
        return arch
    return replace(arch, components=[changed.get(i, c) for i, c in enumerate(arch.components)])


def high_factor(arch: Architecture) -> float:
    """Return the multiple of the design load that counts as high [1]."""
    largest = max((case.factor for case in arch.load_cases), default=1.0)
    return largest if largest > 1.0 else HIGH_FACTOR


def cases(arch: Architecture, catalogue: Catalogue) -> list[Case]:
    """Return every run of a catalogue for an architecture; the weights sum to 1."""
    out: list[Case] = []
    used = _used(arch)
    running = {n for n, up in zip(arch.names, arch.component_columns.column("available")) if up}
    for s in catalogue.situations:
        factor = high_factor(arch) if s.factor is None else s.factor
        one = Case(s, s.name, s.weight, s.window_s)
        if s.kind == "load":
            out.append(replace(one, load=None if factor == 1.0 else _constant(factor, s.window_s)))
        elif s.kind == "burst":
            out.append(replace(one, load=Burst(factor=factor, start_s=s.start_s, duration_s=s.duration_s)))
        elif s.kind == "ramp":
            ramp = Ramp(from_factor=1.0, to_factor=factor, start_s=s.start_s, duration_s=s.duration_s)
            out.append(replace(one, load=ramp))
        elif s.kind == "outage":
            end = s.start_s + s.duration_s
            out.append(replace(one, lost_share=s.lost_share, start_s=s.start_s, end_s=end, hit=s.components))
        elif s.kind == "periodic":
            periods = sorted({p.period_s for p in arch.periods if p.period_s <= 10 * s.window_s})
            periods = periods or sorted(set(s.default_periods_s))
            for period in periods:
                swing = Periodic(period_s=period, amplitude=s.amplitude)
                label = f"{s.name} {period:g} s"
                out.append(Case(s, label, s.weight / len(periods), max(s.window_s, period), load=swing))
        elif s.kind == "memory":
            load = None if s.factor in (None, 1.0) else _constant(factor, s.window_s)
            out.append(replace(one, load=load, memory_share=s.lost_share))
        else:
            names = list(s.components) if s.components is not None else list(arch.names)
            names = [n for n in names if n in used and n in running]
            if not names:  # nothing can fail here: it stands as at the design load
                out.append(one)
            for name in names:
                out.append(Case(s, f"{s.name}: {name}", s.weight / len(names), s.window_s, down=name))
    return out


def _constant(factor: float, window_s: float) -> Recorded:
    return Recorded((0.0, window_s), (factor, factor))


def _used(arch: Architecture) -> set[str]:
    """Return the components that requests reach."""
    callees: dict[int, list[int]] = {}
    graph = arch.graph
    for i, j, calls in zip(graph.source.tolist(), graph.target.tolist(), graph.calls.tolist()):
        if calls > 0:
            callees.setdefault(i, []).append(j)
    stack = [arch.index[load.entry] for load in arch.loads if load.closed or (load.rate_per_s or 0.0) > 0]
    found = set(stack)
    while stack:
        for j in callees.get(stack.pop(), ()):
            if j not in found:
                found.add(j)
                stack.append(j)
    names = arch.names
    return {names[i] for i in found}
