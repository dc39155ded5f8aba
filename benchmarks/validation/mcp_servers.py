"""MCP servers: calibrated with 1, 2 and 4 requests outstanding, predicted for 8 to 64."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from closed_loops import predicted_rows
from data_sets import rows
from outcome import Outcome, Row

#: Above this throughput the measuring client was the bottleneck, not the server [1/s].
CLIENT_LIMIT_PER_S = 2500.0


def run() -> Outcome:
    """Predict and compare."""
    groups: dict[tuple[str, str], dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for r in rows("mcp-servers-measured", "closed_loop.csv"):
        point = (float(r["throughput_per_s"]), float(r["mean_ms"]) / 1e3)
        groups[r["server"], r["request"]][float(r["outstanding"])].append(point)
    out: list[Row] = []
    remarks = []
    for (server, request), table in groups.items():
        points = [
            (n, float(np.mean([x for x, _ in v])), float(np.mean([r for _, r in v]))) for n, v in sorted(table.items())
        ]
        if max(x for _, x, _ in points) > CLIENT_LIMIT_PER_S:
            remarks.append(f"{server} {request} is left out: the measuring client was the bottleneck.")
            continue
        spread = max(max(x for x, _ in v) / min(x for x, _ in v) - 1.0 for v in table.values())
        far = f"up to {100 * spread:.0f} %"
        remarks.append(f"{server} {request}: passes differ by {far} at the same number outstanding.")
        out += predicted_rows(f"{server} {request}", points, 3, "mmc", unit="outstanding")
    return Outcome(
        "mcp_servers", "MCP servers, closed loop over stdio",
        "Public MCP servers with 1 to 64 requests outstanding for 1.5 s each, the mean of three passes. M/M/c in a "
        "closed loop, X = min(N, c)/S; responses follow from N = X R.",
        "1, 2 and 4 requests outstanding.",
        "Three light points give the capacity of a server that keeps it: within 8 % for time and calculator. sqlite "
        "and the gibson server lose throughput as more requests are outstanding (from 900/s to 630/s with 64), which "
        "one, two and four do not show; passes of the same server differ by as much, so the mean of three passes is "
        "itself uncertain. Servers faster than 2,500 requests/s saturated the measuring client and are no test of the"
        " server.",
        out, remarks,
    )  # fmt: skip
