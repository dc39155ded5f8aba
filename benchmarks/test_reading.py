"""Reading traces: spans a second from JSON lines, against the bare JSON parser in the same run, and large graphs."""

from __future__ import annotations

import json
import random
import time

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.sources import call_counts

SERVICES = ("gateway", "orders", "users", "stock", "payment")


def write_otlp_lines(path, n_traces, traces_a_line=20, seed=0):
    """Write traces of nine spans with four attributes each, about 500 bytes a span; return the number of spans."""
    rng = random.Random(seed)

    def attributes(service, name):
        pairs = {"http.request.method": "GET", "url.path": f"/api/v1/{name}", "server.address": f"{service}.internal"}
        rows = [{"key": k, "value": {"stringValue": v}} for k, v in pairs.items()]
        return [*rows, {"key": "http.response.status_code", "value": {"intValue": "200"}}]

    with open(path, "w", encoding="utf-8") as file:
        for first in range(0, n_traces, traces_a_line):
            groups = {s: [] for s in SERVICES}
            for number in range(first, first + traces_a_line):
                trace, zero = f"{rng.getrandbits(128):032x}", 1_700_000_000_000_000_000 + number * 10_000_000

                def span(service, parent, kind, low, high, name, trace=trace, zero=zero, groups=groups):
                    own = f"{rng.getrandbits(64):016x}"
                    groups[service].append(
                        {"traceId": trace, "spanId": own, "parentSpanId": parent, "flags": 257, "name": name,
                         "kind": kind,
                         "startTimeUnixNano": str(zero + low), "endTimeUnixNano": str(zero + high),
                         "attributes": attributes(service, name), "status": {}}
                    )  # fmt: skip
                    return own

                root = span("gateway", "", 2, 0, 9_000_000, "GET /")
                for k, service in enumerate(SERVICES[1:]):
                    at = 1_000_000 + 2_000_000 * k
                    half = span("gateway", root, 3, at, at + 1_800_000, f"GET {service}")
                    span(service, half, 2, at + 200_000, at + 1_600_000, f"GET {service}")
            rows = [
                {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": s}}]},
                 "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}]}
                for s, spans in groups.items()
            ]  # fmt: skip
            file.write(json.dumps({"resourceSpans": rows}, separators=(",", ":")) + "\n")
    return 9 * n_traces


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("spans") / "spans.jsonl"
    return path, write_otlp_lines(path, 10_000)


def test_otlp_json_lines(benchmark, lines):
    """At least 100,000 spans a second on one core (processor time), with the standard JSON parser."""
    path, n = lines
    begin = time.process_time()
    with open(path, "rb") as file:
        for line in file:
            json.loads(line)
    bare = time.process_time() - begin
    times = []

    def run():
        begin = time.process_time()
        arch = fa.read_otlp(path)
        times.append(time.process_time() - begin)
        return arch

    arch = benchmark.pedantic(run, rounds=3, iterations=1)
    assert len(arch) == 5
    assert arch.loads[0].rate_per_s == pytest.approx(100.0, rel=0.01)
    benchmark.extra_info["spans_per_s"] = n / min(times)
    benchmark.extra_info["times_the_bare_parser"] = min(times) / bare
    benchmark.extra_info["bytes_per_span"] = path.stat().st_size / n
    assert min(times) / bare < 4.0


def test_counted_graph_of_a_million_components(benchmark):
    """One million components and three million edges, by column."""
    n, m = 1_000_000, 3_000_000
    rng = np.random.default_rng(0)
    source = rng.integers(0, n, m)
    target = np.minimum(source + rng.integers(1, 1000, m), n - 1)
    count = rng.integers(1, 1000, m).astype(float)
    names = [f"s{i}" for i in range(n)]

    def run():
        return call_counts.build(
            names, source, target, count, "large", window_s=3600.0, service_time_s=0.01, what="counts", notes=[]
        )

    arch = benchmark.pedantic(run, rounds=1, iterations=1)
    assert len(arch) == n
    benchmark.extra_info["edges"] = arch.graph.n_edges
