"""Where an architecture needs help for a target."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.errors import FeaArchError

__all__ = ["weak_places"]


def weak_places(design: Architecture, goal: Iterable[str], count: int) -> list[str]:
    """Return the components where help is needed: most points lost, least margin to capacity, worst to lose."""
    goal = set(goal)
    names: list[str] = []
    if "score" in goal:
        from fea_arch.scoring.score import score

        names += list(score(design, samples=0).by_component())[:count]
    if goal - {"score", "single_failure"}:
        names += _busiest(design)[:count]
    if "collapse_factor" in goal:
        from fea_arch.analyses.fracture import fracture

        names += [e.component for e in fracture(design).path][:count]
    if "single_failure" in goal:
        from fea_arch.analyses.contingency import contingency

        entries = {load.entry for load in design.loads}
        found = contingency(design, dependencies=False)
        names += [n for n in found.worst(len(design)) if n in design and n not in entries][:count]
    return [n for n in dict.fromkeys(names) if n in design]


def _busiest(arch: Architecture) -> list[str]:
    from fea_arch.analyses.static import static

    for factor in (1.0, 0.5, 0.1, 1e-3):  # an overloaded design still has a busiest component at less load
        try:
            found = static(arch, factor)
        except FeaArchError:
            continue
        order = np.argsort(-found.utilisation, kind="stable")
        waits = np.argsort(-found.wait_s * found.throughput_per_s, kind="stable")
        mixed = [int(i) for pair in zip(order.tolist(), waits.tolist()) for i in pair]
        return [arch.names[i] for i in dict.fromkeys(mixed)]
    return list(arch.names)
