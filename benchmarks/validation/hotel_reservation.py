"""Hotel reservation: calibrated at 100 to 300 requests/s, predicted at 400 to 600 and for the collapse load."""

from __future__ import annotations

import csv
import math

import numpy as np
from data_sets import data, rows
from outcome import Outcome, Row
from scipy.optimize import least_squares

import fea_arch as fa

KNOWN, LENGTH_S = (100, 200, 300), 90.0


def seconds(text: str) -> float:
    """Return ``"67.64ms"`` or ``"7.24s"`` in seconds."""
    return float(text[:-2]) * 1e-3 if text.endswith("ms") else float(text[:-1])


def architecture(rate: float, capacity: float, scv: float, base: float) -> fa.Architecture:
    """The fixed part of the response time, then the station that fills up."""
    return fa.Architecture(
        name="hotel reservation",
        components=[
            fa.Component("frontend", law="delay", service_time_s=base, blocking=False),
            fa.Component("reservation", service_time_s=1.0 / capacity, service_scv=scv, blocking=False),
        ],
        dependencies=[fa.Dependency("frontend", "reservation")],
        loads=[fa.Load("frontend", rate_per_s=rate)],
    )


def calibrated(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return capacity [1/s], variability and base [s] that repeat (rate, mean response) points."""
    fastest = max(rate for rate, _ in points)

    def misses(p: np.ndarray) -> list[float]:
        above, scv, base = np.exp(p)
        return [
            math.log(fa.static(architecture(rate, fastest + above, scv, base)).response_s[0] / response)
            for rate, response in points
        ]

    above, scv, base = np.exp(least_squares(misses, np.log([0.5 * fastest, 30.0, 0.01])).x)
    return fastest + float(above), float(scv), float(base)


def followed(arch: fa.Architecture) -> float:
    """Mean response of the requests that complete within the run, from the transient that begins empty [s]."""
    result = fa.transient(arch, duration_s=LENGTH_S, initial="empty")
    response = result.response_s[:, 0]
    arrival = np.linspace(0.0, LENGTH_S, 2001)
    taken = np.interp(arrival, result.time_s, response)
    return float(taken[arrival + taken <= LENGTH_S].mean())


def demands() -> dict[str, dict[int, float]]:
    """Return the processor use of each service by rate [millicores]."""
    found: dict[str, dict[int, float]] = {}
    with data().joinpath("hotel-reservation-sweep", "metrics_summary.csv").open(newline="") as file:
        for row in csv.reader(file):
            if row and row[0].isdigit():
                found.setdefault(row[1], {})[int(row[0])] = float(row[2])
    return found


def run() -> Outcome:
    """Predict and compare."""
    table = rows("hotel-reservation-sweep", "latency_stats.csv")
    measured = {int(r["Target_RPS"]): r for r in table}
    points = [(float(measured[k]["Actual_RPS"]), seconds(measured[k]["Mean_Latency"])) for k in KNOWN]
    capacity, scv, base = calibrated(points)
    fitted = f"capacity {capacity:.1f} requests/s, squared coefficient of variation {scv:.1f}"
    out, remarks = [], [f"{fitted}, fixed part {base * 1e3:.1f} ms."]
    for rate, response in points:
        state = fa.static(architecture(rate, capacity, scv, base))
        out.append(Row(f"{rate:.0f}/s", "mean response", "s", float(state.response_s[0]), response, True))
    served = float(measured[400]["Actual_RPS"])
    state = fa.static(architecture(served, capacity, scv, base))
    real = seconds(measured[400]["Mean_Latency"])
    out.append(Row(f"{served:.0f}/s", "mean response", "s", float(state.response_s[0]), real))
    for p, word in ((0.5, "P50_Latency"), (0.99, "P99_Latency")):
        value = state.latency_quantile_s(p)
        out.append(Row(f"{served:.0f}/s", f"p{100 * p:g}", "s", value, seconds(measured[400][word])))
    for rate in (500, 600):
        arch = architecture(rate, capacity, scv, base)
        try:
            fa.static(arch)
        except fa.UnstableLoadError as error:
            remarks.append(
                f"at {rate}/s there is no steady state: {error.limiting} is the first to pass its capacity, "
                f"the largest load factor that has one is {error.max_load_factor:.3f} "
                f"({rate * error.max_load_factor:.0f}/s); the transient for the {LENGTH_S:g} s of the run is given "
                "instead."
            )
        case, row = f"{rate}/s for {LENGTH_S:g} s", measured[rate]
        out.append(Row(case, "throughput", "1/s", capacity, float(row["Actual_RPS"])))
        out.append(Row(case, "mean response of the run", "s", followed(arch), seconds(row["Mean_Latency"])))
    best = max(float(r["Actual_RPS"]) for r in table)
    out.append(Row("largest served rate", "collapse load", "1/s", capacity, best))
    use = demands()
    slope = {s: v[300] - v[100] for s, v in use.items() if 300 in v and 100 in v}
    full = {s: v[600] for s, v in use.items() if 600 in v}
    out.append(Row("largest user of the processors", "bottleneck", "", max(slope, key=slope.__getitem__),
                   max(full, key=full.__getitem__)))  # fmt: skip
    return Outcome(
        "hotel_reservation", "Hotel reservation (DeathStarBench), open load",
        "Mixed workload, 100 connections, 90 s for each rate. A delay (what does not queue) and one station in "
        "series: capacity, variability and delay are three numbers, fitted to three mean response times.",
        "the mean response at 100, 200 and 300 requests/s, and the processor use at these rates (which service "
        "grows).",
        "Three light points foretell the saturation, the response close to it and how the backlog grows beyond it. "
        "The variability of the station is far above that of any service time: it stands for everything that bunches "
        "requests, the 100 connections of the load generator included, so it belongs to this client as much as to the"
        " server. At 600/s the measured capacity is lower than at 500/s (contention, which no light point shows), so "
        "the backlog grows faster than predicted. The percentiles come from a gamma distribution and are rougher than"
        " the mean.",
        out, remarks,
    )  # fmt: skip
