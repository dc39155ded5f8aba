"""The published etcd table: two populations, one of them a single client; what can and cannot be said from it."""

from __future__ import annotations

from data_sets import rows
from outcome import Outcome, Row


def run() -> Outcome:
    """Compare the published response with that of Little's law; nothing can be predicted from one client."""
    out = []
    for r in rows("etcd-benchmark", "etcd_v3_2_benchmark.csv"):
        clients, rate, response = float(r["clients"]), float(r["qps"]), float(r["mean_latency_ms"]) / 1e3
        case = f"{r['operation']} {r['target']}, {clients:g} clients"
        out.append(Row(case, "response by Little's law", "s", clients / rate, response))
    return Outcome(
        "etcd", "etcd 3.2, the published table",
        "Writes and reads by one client and by a thousand. Not a prediction: each line compares N/X with the response"
        " that the table prints.",
        "nothing.",
        "The capacity cannot be foretold from this table. One client shows the response without load only (1.6 ms a "
        "write), which bounds the throughput of a thousand clients by 625,000/s; measured are 44,341/s. The capacity "
        "is set by how many proposals the leader batches into one disk write, of which a single client shows nothing,"
        " and the two populations also differ in connections (1 and 100) and in the number of requests. A third "
        "population between them would be needed. For writes the table agrees with Little's law to 7 %. For reads by "
        "a thousand clients the printed response is far below N/X: the clients were not all waiting for an answer all"
        " of the time (the load generator was busy itself), so these lines must not be used to calibrate a closed "
        "load.",
        out,
    )  # fmt: skip
