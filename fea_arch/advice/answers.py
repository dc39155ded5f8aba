"""Answers that have no adjoint: each one number of an architecture, for differences and targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError

__all__ = ["ANSWERS", "answer"]

Answer = Callable[[Architecture, float], float]

#: Components beyond which ``recovery_time`` follows the busiest ones only.
MOST = 8


def answer(name: str) -> Answer:
    """Return the function (architecture, load factor) -> number of a named answer."""
    return ANSWERS[name]


def _score(arch: Architecture, load_factor: float) -> float:
    from fea_arch.scoring.score import score

    return score(arch if load_factor == 1.0 else arch.scaled(load_factor), samples=0).value


def _least_stable(arch: Architecture, load_factor: float) -> tuple[float, float]:
    from fea_arch.analyses.modal import modal

    found = modal(arch, modes=4, load_factor=load_factor, coupling="open")
    k = int(np.argmax(found.growth_per_s))
    return float(found.damping_ratios[k]), found.stability_margin_per_s


def _recovery(arch: Architecture, load_factor: float) -> float:
    from fea_arch.analyses.recovery import recovery
    from fea_arch.analyses.static import static

    busy = static(arch, load_factor)
    order = np.argsort(-busy.utilisation, kind="stable")
    chosen = [arch.names[i] for i in order.tolist() if busy.throughput_per_s[i] > 0.0][:MOST]
    found = recovery(arch, components=chosen, load_factor=load_factor, tolerance=1e-4)
    value = float(found.recovery_time_s.max())
    if not np.isfinite(value):
        raise ModelError(
            "never recovers from an outage of 60 s, so its recovery time has no derivative",
            component=str(found.components[int(np.argmax(found.recovery_time_s))]), field="recovery_time",
            fix="fewer retries or more servers first",
        )  # fmt: skip
    return value


#: Named answers beside responses and the collapse factor, with their units.
ANSWERS: dict[str, Answer] = {
    "score": _score,
    "damping": lambda arch, factor: _least_stable(arch, factor)[0],
    "stability_margin": lambda arch, factor: _least_stable(arch, factor)[1],
    "recovery_time": _recovery,
}
