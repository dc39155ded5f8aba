"""The margins of an architecture: one number each, with the side on which it is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.errors import ConvergenceError, ModelError, UnstableLoadError, suggestion

__all__ = ["MARGINS", "Margin", "checked_target", "margins", "push_margin"]


@dataclass(frozen=True, slots=True)
class Margin:
    """What a margin is.

    Parameters
    ----------
    title : str
    unit : str
    sign : int
        1 where more is better, -1 where less is.
    """

    title: str
    unit: str
    sign: int


#: Margins that are compared, by name.
MARGINS: dict[str, Margin] = {
    "score": Margin("score", "points", 1),
    "collapse_factor": Margin("collapse factor", "1", 1),
    "response_s": Margin("mean response", "s", -1),
    "percentile_s": Margin("response percentile of the objective", "s", -1),
    "worst_utilisation": Margin("highest utilisation", "1", -1),
    "single_failure": Margin("served share after the worst single failure behind the entries", "1", 1),
    "vulnerable": Margin("can stay down after a push (1: yes)", "1", -1),
}


def margins(
    arch: Architecture, names: tuple[str, ...] = tuple(MARGINS), *, at_most: float = math.inf
) -> dict[str, float]:
    """Return the named margins; a response without an equilibrium is infinite.

    The collapse factor is followed up to ``at_most``; one beyond is infinite.
    """
    out: dict[str, float] = {}
    if "score" in names:
        from fea_arch.scoring.score import score

        out["score"] = score(arch, samples=0).value
    if "collapse_factor" in names:
        from fea_arch.analyses.fracture import fracture

        out["collapse_factor"] = float(fracture(arch, at_most if math.isfinite(at_most) else None).collapse_factor)
    if {"response_s", "percentile_s", "worst_utilisation"} & set(names):
        out |= {k: v for k, v in _static(arch).items() if k in names}
    if "single_failure" in names:
        from fea_arch.analyses.contingency import contingency

        found = contingency(arch, dependencies=False)
        entries = {load.entry for load in arch.loads}  # without its entry a request is lost by definition
        left = [s for name, s in zip(found.outages, found.served_share.tolist()) if name not in entries]
        out["single_failure"] = min(left, default=1.0)
    if "vulnerable" in names:
        out["vulnerable"] = push_margin(arch)[0]
    return {name: out[name] for name in names}


def checked_target(target: float | Mapping[str, float]) -> dict[str, float]:
    """Return a target by margin; a number is a score.

    Raises
    ------
    ModelError
        Unknown margin, or a value that is no finite number of 0 or more.
    """
    goal = {"score": target} if isinstance(target, (int, float)) else dict(target)
    if not goal:
        raise ModelError("is empty", field="target", fix='for instance {"score": 80}')
    for name, value in goal.items():
        if name not in MARGINS:
            raise ModelError(f"no margin {name!r}.{suggestion(str(name), MARGINS)}", field="target")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise ModelError(f"is {value!r}", field=f"target[{name!r}]", fix="a finite number of 0 or more")
    return {name: float(value) for name, value in goal.items()}


def push_margin(arch: Architecture) -> tuple[float, float]:
    """Return 1 where a push can keep it down (else 0), and the load below which it recovers, over the design load."""
    from fea_arch.analyses.metastability import metastability

    found = metastability(arch)
    recovery = found.recovery_load_per_s / found.design_load_per_s if found.design_load_per_s > 0 else math.inf
    return float(found.vulnerable), min(recovery, found.recovery_factor, 1.0)


def _static(arch: Architecture) -> dict[str, float]:
    from fea_arch.analyses.static import static

    try:
        found = static(arch)
    except (UnstableLoadError, ConvergenceError):
        return {"response_s": math.inf, "percentile_s": math.inf, "worst_utilisation": math.inf}
    return {
        "response_s": found.mean_response_s,
        "percentile_s": found.latency_quantile_s(arch.objective.quantile),
        "worst_utilisation": float(np.max(found.utilisation)),
    }
