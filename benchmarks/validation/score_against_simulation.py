"""Score against event simulation over random architectures, with simpler scores beside it.

Run ``python benchmarks/validation/score_against_simulation.py [count] [out.json]``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "reference"))

from scored_architectures import scored_architecture

import fea_arch as fa


def rank(values: Any) -> np.ndarray:
    """Mean ranks."""
    from scipy.stats import rankdata

    return rankdata(values)


def spearman(a: Any, b: Any) -> float:
    """Rank correlation."""
    return float(np.corrcoef(rank(a), rank(b))[0, 1])


def utilisations(arch: fa.Architecture) -> np.ndarray:
    """Utilisation of each component by visits and own service only, what a capacity sheet shows."""
    graph = arch.graph
    visits = np.zeros(len(arch))
    for load in arch.loads:
        visits[arch.index[load.entry]] += load.rate_per_s or 0.0
    order = sorted(range(graph.n_edges), key=lambda e: int(graph.source[e]))
    for e in order:  # the generator numbers callees after their callers
        visits[graph.target[e]] += visits[graph.source[e]] * graph.calls[e]
    return np.array([visits[i] / c.capacity_per_s for i, c in enumerate(arch.components)])


def penalty_score(arch: fa.Architecture, used: np.ndarray) -> float:
    """100 minus points for single points of failure, depth and utilisation above 70, 80, 90 percent."""
    graph = arch.graph
    required = {int(t) for t, r, s in zip(graph.target, graph.required, graph.sync) if r and s}
    single = sum(1 for i in required if arch.components[i].replicas == 1)
    depth = np.ones(len(arch), int)
    for e in sorted(range(graph.n_edges), key=lambda e: int(graph.source[e])):
        depth[graph.target[e]] = max(depth[graph.target[e]], depth[graph.source[e]] + 1)
    points = 30.0 * single / len(arch) + 2.0 * max(int(depth.max()) - 3, 0)
    for limit, cost in ((0.7, 5.0), (0.8, 10.0), (0.9, 20.0)):
        points += cost * float(np.mean(used > limit)) + cost * float((used > limit).any())
    return max(100.0 - points, 0.0)


def run(count: int, *, replications: int = 2, first: int = 0) -> dict[str, Any]:
    """Score and simulate ``count`` random architectures."""
    rows = []
    for seed in range(first, first + count):
        arch = scored_architecture(seed)
        begin = time.perf_counter()
        fa.score(arch, samples=0)
        seconds = time.perf_counter() - begin
        result = fa.score(arch, check="simulate", samples=0, replications=replications)
        used = utilisations(arch)
        rows.append({
            "seed": seed, "components": len(arch), "rate_per_s": arch.loads[0].rate_per_s, "score": result.value,
            "simulated": result.simulated_value, "seconds": seconds, "worst_utilisation": float(used.max()),
            "penalty_score": penalty_score(arch, used),
        })  # fmt: skip
        line = f"{seed:3d} n={len(arch):2d} score {result.value:5.1f} simulated {result.simulated_value:5.1f}"
        print(line, flush=True)
    score, simulated = (np.array([r[k] for r in rows]) for k in ("score", "simulated"))
    return {"rows": rows} | figures(rows, np.abs(score - simulated), score, simulated)


def figures(rows: list[dict[str, Any]], gap: np.ndarray, score: np.ndarray, simulated: np.ndarray) -> dict[str, Any]:
    """Return the figures that the documentation quotes."""
    return {
        "count": len(rows),
        "mean_difference": float(gap.mean()),
        "worst_difference": float(gap.max()),
        "median_difference": float(np.median(gap)),
        "share_within_3": float(np.mean(gap <= 3.0)),
        "share_within_8": float(np.mean(gap <= 8.0)),
        "bias": float((score - simulated).mean()),
        "spearman": spearman(score, simulated),
        "spearman_worst_utilisation": spearman([-r["worst_utilisation"] for r in rows], simulated),
        "spearman_penalty_score": spearman([r["penalty_score"] for r in rows], simulated),
        "mean_difference_penalty_score": float(np.mean([abs(r["penalty_score"] - r["simulated"]) for r in rows])),
    }


if __name__ == "__main__":
    found = run(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=1))
