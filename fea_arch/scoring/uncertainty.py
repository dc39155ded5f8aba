"""How far the score can be off because the service times are only known so well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import Architecture
from fea_arch.kernels import march_tables as k
from fea_arch.scoring.situations import Case
from fea_arch.solvers.quasi_static import Tables, walk
from fea_arch.solvers.side_by_side import side_by_side

__all__ = ["SPREADS", "interval", "relative_errors"]

Array = NDArray[np.float64]

#: Relative standard error of a service time by its origin, where the provenance states no spread [1].
SPREADS = {"assumed": 0.5, "declared": 0.1}


def relative_errors(arch: Architecture) -> Array:
    """Return the relative standard error of each service time, (n,) float64 [1].

    The spread that the provenance states; without one ``sqrt(scv / samples)`` of a measured mean, or 10 % of a declared
    and 50 % of an assumed number.
    """
    out = np.empty(len(arch))
    for i, c in enumerate(arch.components):
        origin = c.provenance.get("service_time_s")
        kind = "declared" if origin is None else origin.kind
        if origin is not None and origin.spread > 0:
            out[i] = origin.spread
        elif origin is not None and kind == "measured":
            out[i] = math.sqrt(max(c.service_scv, 0.0) / origin.samples) if origin.samples else SPREADS["declared"]
        else:
            out[i] = SPREADS[kind]
    return out


def interval(
    arch: Architecture, tables: Tables, todo: Sequence[Case], shares: Sequence[float], objective_s: float, samples: int,
    seed: int,
) -> Array:
    """Return how far the score of a part can lie below and above its value, (2,) float64 [points].

    Latin hypercube samples of the service times (log-normal); runs of single failures move with the other runs. The
    95 % interval is that of a normal distribution with the spread of the samples.
    """
    from scipy.special import ndtri

    errors = relative_errors(arch)
    if not (errors > 0).any():
        return np.zeros(2)
    rng = np.random.default_rng(seed)
    n = len(arch)
    cells = (np.stack([rng.permutation(samples) for _ in range(n)], axis=1) + rng.random((samples, n))) / samples
    sigma = np.sqrt(np.log1p(errors**2))
    factors = np.exp(ndtri(np.clip(cells, 1e-9, 1 - 1e-9)) * sigma - 0.5 * sigma**2)
    direct = [i for i, case in enumerate(todo) if case.down is None and not case.memory_share and case.hit is None]
    weight = math.fsum(todo[i].weight for i in direct)
    if weight <= 0.0:
        return np.zeros(2)
    base = math.fsum(todo[i].weight * shares[i] for i in direct) / weight

    def one(s: int) -> float:
        node = tables.node.copy()
        node[:, k.N_SERVICE] *= factors[s]
        node[:, k.N_CPU] *= factors[s]
        changed = replace(tables, node=node)
        total = 0.0
        for i in direct:
            case = todo[i]
            events = [(case.start_s, case.end_s, case.lost_share)] if case.lost_share else []
            march = walk(
                changed, objective_s=objective_s, duration_s=case.window_s, load=case.load, events=events, iterations=3
            )
            total += case.weight * march.share
        return total / weight

    found = np.array(side_by_side(one, range(samples)))
    shift = 100.0 * (found - base)
    wide = 1.96 * float(np.sqrt(np.mean(shift**2)))
    return np.array([wide, wide])
