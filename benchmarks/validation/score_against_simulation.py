"""Score against event simulation over random architectures, with simpler scores beside it.

Run ``python benchmarks/validation/score_against_simulation.py [count] [out.json] [--first=SEED] [--write]``;
``--replications=4`` of each situation;
``--write`` renews the page of the documentation. ``--replay=earlier.json`` takes the simulated shares from an earlier
``out.json`` instead of simulating again: they depend on the architecture and the seed only.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "reference"))

from scored_architectures import scored_architecture

import fea_arch as fa
from fea_arch.scoring.catalogue import default_catalogue
from fea_arch.scoring.situations import cases
from fea_arch.simulation.columns import B_GOOD, B_OFFERED
from fea_arch.simulation.pattern import outages, segments
from fea_arch.simulation.plan import build_plan
from fea_arch.simulation.replication import Run, replicate

PAGE = Path(__file__).parents[2] / "docs" / "validation" / "score_and_simulation.md"
NOTE = """The order is right, and the mean and the worst difference are within the aim on this set. The simulated score
has an error of its own: close to where blocking pools fill up or retries take over, one replication tips over, another
does not. The standard error in the table is that of the mean of the four replications. For seed 28 (a pool of ten
workers at 95 %, most of whose time is spent at one busy callee that is called again up to three times) it is 5 points;
with sixteen replications the simulated score is 31.7 with a standard error of 1.7. What is left at the top of the table
is of this kind, on the positive side: pools close to their capacity, whose workers are held by one callee with variable
service times, and storms that set off more easily than the chain of one station says.

The model of the score was worked on with these architectures in view: about fifteen variants were tried and what
brought the scores nearer was kept, so trust what follows more. On 40 others (seeds 100 to 139, `40 --first=100
--replications=2`), which were looked at less, the mean difference is 2.7 points, the worst 13.9 (seed 139), 38 of the
40 are within 8 points, and the rank correlation is 0.983. On 24 that had not been looked at (seeds 200 to 223, `24
--first=200 --replications=2`) the mean difference was 3.3 points, the worst 23.9 (seed 215), 22 of the 24 were within 8
points, and the rank correlation was 0.956. Seed 215 showed two faults of the march: calls that are withdrawn in the
middle of their service did not give their worker back, and of two groups of responses the fast one was given a part of
the spread of the slow one. Without them the mean of these 24 is 2.5, the worst 9.6 (seed 215), 22 of the 24 are within
8 points, and the rank correlation is 0.980; they are no longer a set that nobody has looked at. In seed 139 the sweeps
of a step swing between two states of a full pool whose calls are withdrawn, and what is kept is a mixture of both.

Constants without a derivation, set once and not scanned over either set: the fourth power of its utilisation with which
the callee that holds a pool back sets the rhythm of the pool; the tenth of the variance from which two groups of
responses are told apart; caps of 5 on the variability of that rhythm and on what the slow swings of a callee's line add
to it, and of 4 on the waiting in it, a floor of 0.1 on the visits; and the storm that is marched a second time, which
begins where 0.3 of its probability has passed, at 1.5 times the wait of no return."""


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


#: Robustness measures of a graph and the sign with which more of it should mean a better score.
MEASURES = {
    "average_distance": -1, "effective_resistance": -1, "natural_connectivity": 1, "algebraic_connectivity": 1,
    "spectral_gap": 1, "average_vertex_betweenness": -1,
}  # fmt: skip


def robustness(arch: fa.Architecture) -> dict[str, float]:
    """graph-tiger's measures of the undirected graph; empty if it is not installed."""
    try:
        from graph_tiger.measures import run_measure
    except ImportError:
        return {}
    import networkx as nx

    graph = nx.Graph(zip(arch.graph.source.tolist(), arch.graph.target.tolist()))
    return {name: sign * float(run_measure(graph, name)) for name, sign in MEASURES.items()}


def replayed(arch: fa.Architecture, replications: int) -> dict[str, list[list[int]]]:
    """Replay the catalogue and return good and decided requests of each replication, by situation."""
    found: dict[str, list[list[int]]] = {}
    objective = arch.objective.latency_s
    plan_seeds = np.random.SeedSequence(0).spawn(replications)
    for case in cases(arch, default_catalogue()):
        changed = replace(case.architecture(arch), objective=replace(arch.objective, latency_s=objective))
        numbers, times = outages(changed, case.outages(arch), case.window_s)
        job = Run(case.window_s, 0.0, 0.0, 2**62, segments(case.load, case.window_s), numbers, times)
        plan = build_plan(changed)
        tallies = [replicate(plan, job, seed) for seed in plan_seeds]
        found[case.label] = [
            [int(t.book[:, B_GOOD].sum()), int(t.book[:, B_OFFERED].sum() - t.undecided.sum())] for t in tallies
        ]
    return found


def run(count: int, *, replications: int = 4, first: int = 0, replay: dict[str, Any] | None = None) -> dict[str, Any]:
    """Score and simulate ``count`` random architectures."""
    rows = []
    earlier = {r["seed"]: r["counts"] for r in replay["rows"]} if replay else {}
    for seed in range(first, first + count):
        arch = scored_architecture(seed)
        begin = time.process_time()
        fa.score(arch, samples=0)
        seconds = time.process_time() - begin
        result = fa.score(arch, samples=0)
        counts = earlier[seed] if seed in earlier else replayed(arch, replications)
        table = np.array([counts[label] for label in result.situations], float)  # situations x replications x 2
        each = 100.0 * result.weights @ (table[:, :, 0] / np.maximum(table[:, :, 1], 1.0))
        share = table[:, :, 0].sum(axis=1) / np.maximum(table[:, :, 1].sum(axis=1), 1.0)
        value = 100.0 * float(result.weights @ share)
        used = utilisations(arch)
        rows.append({
            "seed": seed, "components": len(arch), "rate_per_s": arch.loads[0].rate_per_s, "score": result.value,
            "simulated": value, "seconds": seconds, "worst_utilisation": float(used.max()), "counts": counts,
            "error": float(each.std(ddof=1) / np.sqrt(each.size)) if each.size > 1 else float("nan"),
            "penalty_score": penalty_score(arch, used), "robustness": robustness(arch),
        })  # fmt: skip
        line = f"{seed:3d} n={len(arch):2d} score {result.value:5.1f} simulated {value:5.1f}"
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
        "median_error": float(np.median([r["error"] for r in rows])),
        "worst_error": float(np.max([r["error"] for r in rows])),
        "bias": float((score - simulated).mean()),
        "spearman": spearman(score, simulated),
        "spearman_worst_utilisation": spearman([-r["worst_utilisation"] for r in rows], simulated),
        "spearman_penalty_score": spearman([r["penalty_score"] for r in rows], simulated),
        "spearman_robustness": {
            name: spearman([r["robustness"][name] for r in rows], simulated) for name in rows[0]["robustness"]
        },
        "median_seconds": float(np.median([r["seconds"] for r in rows])),
        "mean_difference_penalty_score": float(np.mean([abs(r["penalty_score"] - r["simulated"]) for r in rows])),
    }


def page(found: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    lines = [
        "# Score and event simulation", "",
        f"{found['count']} random architectures of 5 to 60 components, light to overloaded (peak utilisation at the",
        "design load 0.1 to 1.3), with retries, time-outs, optional and asynchronous calls, blocking pools and memory",
        "limits. Each is scored and its whole catalogue replayed in the event simulation, four replications of each",
        "situation. Written by `python benchmarks/validation/score_against_simulation.py 64 --write`.", "",
        "| | found | aim |", "|---|---:|---:|",
        f"| mean difference [points] | {found['mean_difference']:.2f} | 3 |",
        f"| worst difference [points] | {found['worst_difference']:.1f} | 8 |",
        f"| median difference [points] | {found['median_difference']:.2f} | |",
        f"| bias, score less simulation [points] | {found['bias']:+.2f} | |",
        f"| standard error of the simulated score, median and largest [points] | {found['median_error']:.1f}, "
        f"{found['worst_error']:.1f} | |",
        f"| share of architectures within 3 points | {100 * found['share_within_3']:.0f} % | |",
        f"| share of architectures within 8 points | {100 * found['share_within_8']:.0f} % | 100 % |",
        f"| rank correlation (Spearman) | {found['spearman']:.3f} | 0.95 |",
        f"| median processor time of a score [ms] | {1e3 * found['median_seconds']:.0f} | |",
        "", NOTE, "", "## Simpler scores on the same set", "",
        "Rank correlation with the simulated score; each measure with the sign that should help it.", "",
        "| baseline | Spearman |", "|---|---:|",
        f"| worst utilisation alone | {found['spearman_worst_utilisation']:.3f} |",
        f"| penalty score (single points of failure, depth, utilisation above 70, 80, 90 %) | "
        f"{found['spearman_penalty_score']:.3f} |",
    ]  # fmt: skip
    for name, value in sorted(found["spearman_robustness"].items(), key=lambda p: -p[1]):
        lines.append(f"| graph-tiger: {name.replace('_', ' ')} | {value:.3f} |")
    worst = sorted(found["rows"], key=lambda r: -abs(r["score"] - r["simulated"]))[:12]
    far = found["mean_difference_penalty_score"]
    lines += ["", f"The penalty score misses the simulated one by {far:.0f} points in the mean.", "",
              "## The largest differences", "",
              "| seed | components | score | simulated | standard error | difference |",
              "|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for r in worst:
        gap = r["score"] - r["simulated"]
        row = f"| {r['seed']} | {r['components']} | {r['score']:.1f} | {r['simulated']:.1f} | {r['error']:.1f}"
        lines.append(f"{row} | {gap:+.1f} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run and write what is asked."""
    words = [a for a in arguments if not a.startswith("-")]
    first = next((int(a.removeprefix("--first=")) for a in arguments if a.startswith("--first=")), 0)
    path = next((a.removeprefix("--replay=") for a in arguments if a.startswith("--replay=")), None)
    replay = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    times = next((int(a.removeprefix("--replications=")) for a in arguments if a.startswith("--replications=")), 4)
    found = run(int(words[0]) if words else 64, replications=times, first=first, replay=replay)
    if len(words) > 1:
        Path(words[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if "--write" in arguments:
        PAGE.write_text(page(found), encoding="utf-8")
    print(json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
