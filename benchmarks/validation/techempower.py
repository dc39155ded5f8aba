"""TechEmpower: the framework bottle at 8 and 16 connections calibrated, 32 to 256 predicted."""

from __future__ import annotations

import json

from closed_loops import predicted_rows
from data_sets import data
from outcome import Outcome, Row

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def seconds(text: str) -> float:
    """Return a time as wrk prints it in seconds."""
    unit = next(u for u in UNITS if text.endswith(u))
    return float(text.removesuffix(unit)) * UNITS[unit]


def run() -> Outcome:
    """Predict and compare."""
    document = json.loads(data().joinpath("techempower", "bottle_20131001174331.json").read_text(encoding="utf-8"))
    out: list[Row] = []
    for test, levels in document["rawData"].items():
        length = document["duration_s"]
        points = [(float(v["concurrency"]), v["totalRequests"] / length, seconds(v["latencyAvg"])) for v in levels]
        out += predicted_rows(f"bottle {test}", points, 2, "mmc", unit="connections")
    return Outcome(
        "techempower", "TechEmpower, the framework bottle",
        "wrk in a closed loop without think time against one web framework (json, a database row, a template). The "
        "law is M/M/c in a closed loop, X = min(N, c)/S; responses follow from N = X R.",
        "8 and 16 connections of each test.",
        "The calibration points are at or near saturation, where capacity is all there is to know. The json test is "
        "still rising between 8 and 16 connections, and its capacity is read as the largest of the two. The responses"
        " that wrk reports differ from Little's law by up to a tenth, which bounds what can be compared.",
        out,
    )  # fmt: skip
