"""Fit laws at low concurrency, predict the rest, and print the table of errors.

Run: ``python benchmarks/validation/law_fits.py [--json]``. The data sets are looked up in ``$FEA_ARCH_DATA`` or
``../shared/data`` beside the project. Nothing is fitted to the points that are predicted.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from data_sets import data, rows

from fea_arch.probes import fit_law

Point = tuple[float, float]


def usl() -> Iterator[tuple[str, str, list[Point]]]:
    points = [(float(r["processors"]), float(r["throughput"])) for r in rows("usl-scalability", "raytracer.csv")]
    yield "usl-scalability", "raytracer", points


def techempower() -> Iterator[tuple[str, str, list[Point]]]:
    document = json.loads(data().joinpath("techempower", "bottle_20131001174331.json").read_text())
    for test, levels in document["rawData"].items():
        if isinstance(levels, list) and len(levels) >= 5 and all("concurrency" in v for v in levels):
            yield "techempower", f"bottle {test}", [
                (float(v["concurrency"]), v["totalRequests"] / document["duration_s"]) for v in levels
            ]


def wso2_gateway() -> Iterator[tuple[str, str, list[Point]]]:
    groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for r in rows("wso2-apim-loadtest", "summary-passthrough-2020-06-14.csv"):
        key = (r["Back-end Service Delay (ms)"], r["Message Size (Bytes)"])
        groups[key].append((float(r["Concurrent Users"]), float(r["Throughput (Requests/sec)"])))
    for (delay, size), points in groups.items():
        yield "wso2-apim", f"delay {delay} ms, {size} B", sorted(points)


def wso2_identity() -> Iterator[tuple[str, str, list[Point]]]:
    for file in ("5.8.0_single-node_4-core.csv", "5.9.0_single_node-2core.csv"):
        groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
        for r in rows("wso2-is-loadtest", file):
            key = (r["Scenario Name"], r["Label"])
            groups[key].append((float(r["Concurrent Users"]), float(r["Throughput (Requests/sec)"])))
        for (scenario, label), points in groups.items():
            name = f"{file[:5]} {scenario}: {label}"
            if len({n for n, _ in points}) >= 4:
                yield "wso2-is", name, sorted(points)


def mcp_servers() -> Iterator[tuple[str, str, list[Point]]]:
    groups: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in rows("mcp-servers-measured", "closed_loop.csv"):
        groups[r["server"], r["request"]][float(r["outstanding"])].append(float(r["throughput_per_s"]))
    for (server, request), table in groups.items():
        points = sorted((n, float(np.mean(x))) for n, x in table.items())
        if max(x for _, x in points) < 2500 and len(points) >= 5:  # above, the measuring client was the bottleneck
            yield "mcp-servers-measured", f"{server} {request}", points


def etcd() -> list[dict[str, object]]:
    """One client and a thousand: what one point foretells is the zero-load response time only."""
    found = []
    table = rows("etcd-benchmark", "etcd_v3_2_benchmark.csv")
    for r in table:
        n, x, latency = float(r["clients"]), float(r["qps"]), float(r["mean_latency_ms"]) / 1e3
        case = f"{r['operation']} {r['target']} {n:g} clients"
        found.append({"set": "etcd-benchmark", "case": case, "little": x * latency / n - 1})
    return found


def evaluate(name: str, case: str, points: list[Point], law: str | None) -> dict[str, object]:
    keep = max(2, len(points) // 2) if len(points) >= 6 or name == "wso2-is" else 2
    known, rest = points[:keep], points[keep:]
    fit = fit_law(known, law)
    predicted = fit.predict([n for n, _ in rest], extrapolate=True).throughput_per_s
    error = predicted / np.array([x for _, x in rest]) - 1
    whole = fit_law(points, law)
    return {
        "set": name, "case": case, "law": fit.law, "knee": fit.knee,
        "fitted_to": [n for n, _ in known], "predicted": [n for n, _ in rest],
        "errors": error.tolist(), "mean_abs": float(np.abs(error).mean()), "max_abs": float(np.abs(error).max()),
        "fit_of_all": whole.relative_error, "law_of_all": whole.law,
    }  # fmt: skip


def main() -> None:
    results = []
    for source in (usl, techempower, wso2_gateway, wso2_identity, mcp_servers):
        for name, case, points in source():
            for law in ("mmc", "usl"):
                results.append(evaluate(name, case, points, law) | {"asked": law})
    little = etcd()
    if "--json" in sys.argv:
        print(json.dumps({"extrapolation": results, "little": little}))
        return
    print("Fitted to the lower concurrencies, predicted beyond them (relative error of throughput)\n")
    print(
        f"{'data set':<22}{'cases':>6}{'law':>6}{'points':>8}{'median |err|':>14}{'mean |err|':>12}"
        f"{'worst |err|':>13}{'all points, fit':>17}"
    )
    for name in dict.fromkeys(r["set"] for r in results):
        for law in ("mmc", "usl"):
            group = [r for r in results if r["set"] == name and r["asked"] == law]
            errors = np.abs(np.concatenate([r["errors"] for r in group]))  # type: ignore[arg-type]
            fit = float(np.mean([r["fit_of_all"] for r in group]))  # type: ignore[misc]
            print(
                f"{name:<22}{len(group):>6}{law:>6}{len(errors):>8}{np.median(errors):>14.1%}{errors.mean():>12.1%}"
                f"{errors.max():>13.1%}{fit:>17.1%}"
            )
    print("\nM/M/c where the fitted points prove a knee, and where they leave it open (capacity is only a bound)")
    for name in dict.fromkeys(r["set"] for r in results):
        for knee in (True, False):
            group = [r for r in results if r["set"] == name and r["asked"] == "mmc" and r["knee"] is knee]
            if group:
                errors = np.abs(np.concatenate([r["errors"] for r in group]))  # type: ignore[arg-type]
                word = "knee" if knee else "none"
                print(
                    f"{name:<22}{len(group):>6}{word:>6}{len(errors):>8}{np.median(errors):>14.1%}{errors.mean():>12.1%}"
                    f"{errors.max():>13.1%}"
                )
    print("\nWorst cases")
    for r in sorted(results, key=lambda r: -float(r["max_abs"]))[:8]:  # type: ignore[arg-type]
        print(f"  {r['set']:<22}{r['asked']:<5}{float(r['max_abs']):>8.0%}  {r['case']} (fitted to {r['fitted_to']})")  # type: ignore[arg-type]
    print("\nLittle's law on the published etcd table (X R / N - 1); rounded to one digit there")
    for row in little:
        print(f"  {row['case']:<40}{float(row['little']):>+8.1%}")  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
