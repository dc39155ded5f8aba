"""Trace readers: one shop in every format, odd spans, counted graphs, and the known answers of real data."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.sources.flows import outside_arrivals
from fea_arch.sources.span_architecture import build
from fea_arch.sources.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, SpanLog

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MS = 1_000_000


def calls_of(arch):
    return {d.label: d for d in arch.dependencies}


def notes_of(arch):
    return {n.message.split(":")[0]: n for n in arch.notes}


def spectral_radius(arch):
    matrix = np.zeros((len(arch), len(arch)))
    graph = arch.graph
    np.add.at(matrix, (graph.source, graph.target), graph.calls)
    return max(abs(np.linalg.eigvals(matrix)), default=0.0)


def flow(arch):
    """Solve the traffic equations x = f + P^T x densely."""
    graph = arch.graph
    matrix = np.eye(len(arch))
    np.subtract.at(matrix, (graph.target, graph.source), graph.calls)
    return np.linalg.solve(matrix, graph.rate_per_s)


def otlp(path, spans, service_of=lambda s: s.pop("service")):
    groups = {}
    for s in spans:
        groups.setdefault(service_of(s), []).append(s)
    rows = [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]},
            "scopeSpans": [{"spans": inner}],
        }
        for name, inner in groups.items()
    ]
    path.write_text(json.dumps({"resourceSpans": rows}))
    return path


def span(own, parent, service, low_ms, high_ms, kind=INTERNAL, name="op", trace="t", **more):
    start, end = str(int(low_ms * MS)), str(int(high_ms * MS))
    return {"service": service, "traceId": trace, "spanId": own, "parentSpanId": parent, "kind": kind, "name": name,
            "startTimeUnixNano": start, "endTimeUnixNano": end, **more}  # fmt: skip


@pytest.fixture(params=["shop_otlp.jsonl", "shop_jaeger.json", "shop_zipkin.json", "protobuf", "tempo"])
def shop(request, tmp_path):
    if request.param == "protobuf":
        pytest.importorskip("opentelemetry.proto")
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

        parts = []
        for line in (FIXTURES / "shop_otlp.jsonl").read_text().splitlines():
            document = json.loads(line)
            for group in document["resourceSpans"]:
                for s in group["scopeSpans"][0]["spans"]:
                    # bytes fields are base64 in the JSON form of protobuf
                    import base64

                    for key in ("traceId", "spanId", "parentSpanId"):
                        s[key] = base64.b64encode(bytes.fromhex(s[key])).decode()
            message = ParseDict(document, TracesData()).SerializeToString()
            parts.append(len(message).to_bytes(4, "big") + message)
        target = tmp_path / "shop.binpb"
        target.write_bytes(b"".join(parts))
        return fa.read(target)
    if request.param == "tempo":
        groups = [
            g
            for line in (FIXTURES / "shop_otlp.jsonl").read_text().splitlines()
            for g in json.loads(line)["resourceSpans"]
        ]
        target = tmp_path / "tempo.json.gz"
        target.write_bytes(gzip.compress(json.dumps({"batches": groups}, indent=1).encode()))
        return fa.read(target)
    return fa.read(FIXTURES / request.param)


def test_shop_has_the_same_answer_in_every_format(shop):
    own = {c.name: c.service_time_s * 1e3 for c in shop.components}
    assert own == pytest.approx({"web": 8, "cart": 2, "redis": 2, "ads": 4, "recs": 3, "mail": 20})
    edges = calls_of(shop)
    assert set(edges) == {"web->cart", "cart->redis", "web->ads", "web->recs", "web->mail"}
    assert all(d.calls == 1.0 for d in edges.values())
    network = {k: d.network_latency_s * 1e3 for k, d in edges.items()}
    assert network == pytest.approx({"web->cart": 2, "cart->redis": 0, "web->ads": 2, "web->recs": 1, "web->mail": 0})
    assert {k for k, d in edges.items() if d.mode == "async"} == {"web->mail"}
    assert edges["web->ads"].stage is not None
    assert edges["web->ads"].stage == edges["web->recs"].stage
    assert edges["web->cart"].stage is None
    (load,) = shop.loads
    assert load.entry == "web"
    assert load.measured
    assert load.rate_per_s == pytest.approx(12 / 1.15)
    assert shop["redis"].kind == "external"
    assert shop["web"].provenance["service_time_s"].kind == "measured"
    assert shop["web"].provenance["service_time_s"].samples == 12
    assert edges["web->cart"].provenance["calls"].samples == 12
    assert not shop["web"].blocking
    assert shop.objective == fa.Objective()


def test_shop_as_nezha_table():
    arch = fa.read(FIXTURES / "shop_nezha.csv.gz")
    assert arch == fa.read_csv(FIXTURES / "shop_nezha.csv.gz") == fa.read_nezha(FIXTURES / "shop_nezha.csv.gz")
    own = {c.name: c.service_time_s * 1e3 for c in arch.components}
    assert own == pytest.approx({"web": 8, "cart": 4, "ads": 4, "recs": 3})
    assert calls_of(arch)["web->cart"].network_latency_s == pytest.approx(0.002)


def test_by_operation_folds_the_caller_half_into_the_call():
    arch = fa.read(FIXTURES / "shop_otlp.jsonl", by="operation")
    assert set(arch.names) == {
        "web: GET /checkout", "cart: cart.Get", "redis", "ads: ads.List", "recs: recs.List", "mail: orders process"
    }  # fmt: skip
    assert arch["web: GET /checkout"].service_time_s == pytest.approx(0.008)


def test_unknown_grouping_is_named():
    with pytest.raises(fa.ModelError, match="Did you mean 'service'"):
        fa.read(FIXTURES / "shop_otlp.jsonl", by="services")


def test_internal_spans_belong_to_the_request(tmp_path):
    rows = [span("1", "", "a", 0, 10), span("2", "1", "a", 1, 9), span("3", "2", "b", 2, 6), span("4", "1", "a", 9, 10)]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    assert arch["a"].service_time_s == pytest.approx(0.006)
    assert calls_of(arch)["a->b"].calls == 1.0


def test_overlapping_calls_count_once_in_own_time(tmp_path):
    rows = [span("1", "", "a", 0, 10), span("2", "1", "b", 2, 6), span("3", "1", "c", 4, 8), span("4", "1", "b", 5, 7)]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    assert arch["a"].service_time_s == pytest.approx(0.004)
    assert calls_of(arch)["a->b"].calls == 2.0
    assert calls_of(arch)["a->b"].stage == calls_of(arch)["a->c"].stage == 0


def test_sequential_calls_share_no_stage(tmp_path):
    rows = [span("1", "", "a", 0, 10), span("2", "1", "b", 2, 4), span("3", "1", "c", 4, 8)]
    assert {d.stage for d in fa.read(otlp(tmp_path / "t.json", rows)).dependencies} == {None}


def test_oddities_are_counted_and_the_rest_is_used(tmp_path):
    rows = [
        span("1", "", "a", 0, 10),
        span("2", "1", "b", 8, 14),  # ends after its caller
        span("2", "1", "b", 8, 14),  # the same once more
        span("3", "9", "c", 0, 1),  # no such parent
        span("4", "5", "d", 0, 2), span("5", "4", "d", 0, 2),  # a circle
        span("6", "1", "e", 5, 5),  # no duration
        span("7", "1", "f", 6, 5),  # backwards
        {k: v for k, v in span("8", "1", "g", 1, 2).items() if k != "endTimeUnixNano"},
        span("10", "8", "h", 1, 2),  # child of the incomplete one
        span("11", "1", "a", 1, 2, CLIENT),  # nobody answers
        span("12", "12", "i", 1, 2),  # its own parent
    ]  # fmt: skip
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    found = {k: n.count for k, n in notes_of(arch).items()}
    assert found["calls outside their caller"] == 1
    assert found["duplicates"] == 1
    assert found["missing parents"] == 1
    assert found["cycles of parents"] == 2
    assert found["zero durations"] == 1
    assert found["negative durations"] == 1
    assert found["incomplete"] == 1
    assert found["unpaired client spans"] == 1
    assert "a->h" in calls_of(arch)
    assert arch["a"].service_time_s == pytest.approx((10 - 2 - 1) / 1000)
    assert arch["e"].service_time_s == pytest.approx(1e-6)
    assert spectral_radius(arch) < 1


def test_links_stand_for_parents_of_consumers(tmp_path):
    link = [{"traceId": "t1", "spanId": "2"}, {"traceId": "t2", "spanId": "4"}]
    rows = [
        span("1", "", "a", 0, 10, SERVER, trace="t1"),
        span("2", "1", "a", 1, 2, PRODUCER, trace="t1"),
        span("3", "", "b", 0, 10, SERVER, trace="t2"),
        span("4", "3", "b", 1, 2, PRODUCER, trace="t2"),
        span("5", "", "c", 20, 30, CONSUMER, trace="t3", links=link),
    ]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    edges = calls_of(arch)
    assert {k: (d.calls, d.mode) for k, d in edges.items()} == {"a->c": (0.5, "async"), "b->c": (0.5, "async")}
    assert {load.entry for load in arch.loads} == {"a", "b"}
    np.testing.assert_allclose(flow(arch), [0.5, 0.5, 0.5], rtol=1e-12)


def test_requests_that_cause_themselves_get_a_load(tmp_path):
    # b, a child of a, seems to start before a (skew), and a is linked to it
    rows = [
        span("1", "", "a", 5, 10, CONSUMER, links=[{"traceId": "t", "spanId": "2"}]),
        span("2", "1", "b", 1, 2, SERVER),
    ]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    assert set(calls_of(arch)) == {"a->b", "b->a"}
    assert spectral_radius(arch) < 1
    assert arch.loads
    assert any("own cause" in n.message for n in arch.notes)
    assert (flow(arch) > 0).all()


def test_own_calls_over_the_network_keep_a_gain_below_one(tmp_path):
    rows = [span("1", "", "a", 0, 10, SERVER), span("2", "1", "a", 1, 9, CLIENT), span("3", "2", "a", 2, 8, SERVER)]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    assert calls_of(arch)["a->a"].calls == 0.5
    assert not [f for f in arch.check() if f.level == "error"]


def test_one_trace_gives_an_assumed_rate(tmp_path):
    arch = fa.read(otlp(tmp_path / "t.json", [span("1", "", "a", 0, 10)]))
    assert arch.loads[0].rate_per_s == 1.0
    assert not arch.loads[0].measured
    slow = fa.read(otlp(tmp_path / "s.json", [span("1", "", "a", 0, 60_000)]))
    assert slow.loads[0].rate_per_s * slow["a"].service_time_s == pytest.approx(0.5)


def test_servers_is_the_peak_of_own_work(tmp_path):
    # both requests of a wait for b from 2 to 8 ms: a works alone at any time, b on two at once
    rows = [span("1", "", "a", 0, 9), span("2", "1", "b", 2, 8), span("3", "", "a", 2, 9), span("4", "3", "b", 3, 9)]
    arch = fa.read(otlp(tmp_path / "t.json", rows))
    assert arch["b"].servers == 2
    assert arch["a"].servers == 1
    assert arch["b"].provenance["servers"].kind == "assumed"


def test_every_measured_flow_is_conserved(tmp_path):
    """Random call trees: the traffic equations give back the requests that were counted."""
    rng = np.random.default_rng(5)
    for trial in range(10):
        log = SpanLog()
        seen = np.zeros(6)
        for trace in range(40):
            n = int(rng.integers(1, 12))
            services = rng.integers(0, 6, n)
            for i in range(n):
                parent = int(rng.integers(0, i)) if i else -1
                low = int(rng.integers(0, 50)) * MS
                log.add(str(trace), str(i), str(parent) if i else None, start_ns=low, end_ns=low + MS * (60 - i),
                        kind=0, service=f"s{services[i]}", name="op")  # fmt: skip
                seen[services[i]] += parent < 0 or services[parent] != services[i]
        arch = build(log, "random")
        assert spectral_radius(arch) < 1
        window = arch.loads[0].rate_per_s * 0 + 40 / sum(load.rate_per_s for load in arch.loads)
        requests = dict(zip(arch.names, flow(arch) * window))
        for k in range(6):
            assert requests.get(f"s{k}", 0.0) == pytest.approx(seen[k], abs=1e-6), trial


def test_own_time_agrees_with_a_slow_reference():
    """Exclusive time and its peak against a search over all moments."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        log, rows = SpanLog(), []
        for trace in range(3):
            at = int(rng.integers(0, 20))
            rows.append((trace, 0, None, at, at + 30, "a"))
            for i in range(1, 5):
                low = at + int(rng.integers(0, 20))
                rows.append((trace, i, 0, low, low + int(rng.integers(1, 15)), f"b{i}"))
        for trace, own, parent, low, high, service in rows:
            log.add(str(trace), str(own), None if parent is None else str(parent), start_ns=low * MS,
                    end_ns=high * MS, kind=0, service=service, name="op")  # fmt: skip
        arch = build(log, "random")
        busy = np.zeros(100, int)
        for trace in range(3):
            mine = [r for r in rows if r[0] == trace]
            _, _, _, low, high, _ = mine[0]
            for moment in range(low, high):
                busy[moment] += not any(r[3] <= moment < r[4] for r in mine[1:])
        assert arch["a"].service_time_s == pytest.approx(max(busy.sum() / 3 / 1000, 1e-6))
        assert arch["a"].servers == max(busy.max(), 1)


def test_missing_times_and_truncated_lines(tmp_path):
    lines = (FIXTURES / "shop_otlp.jsonl").read_text()
    target = tmp_path / "cut.jsonl"
    target.write_text(lines[:-200])
    assert notes_of(fa.read(target))["cut off"].count == 1
    target.write_text(lines[:300])
    with pytest.raises(fa.ModelError, match="JSON"):
        fa.read(target)
    target.write_text(lines.replace("startTimeUnixNano", "start"))
    with pytest.raises(fa.ModelError, match="no usable span"):
        fa.read(target)


# counted graphs


def test_counted_calls(tmp_path):
    arch = fa.read(FIXTURES / "shop_dependencies.json", window_s=60.0)
    ratio = {d.label: d.calls for d in arch.dependencies}
    assert ratio == {"web->cart": 1.0, "web->ads": 0.5, "cart->db": 2.0, "sync-a->sync-b": 0.5, "sync-b->sync-a": 1.0}
    assert {load.entry: load.rate_per_s for load in arch.loads} == {"web": 2.0, "sync-a": pytest.approx(100 / 60)}
    assert spectral_radius(arch) == pytest.approx(0.5**0.5)
    assert arch["web"].provenance["service_time_s"].kind == "assumed"


def test_zipkin_dependencies_are_told_apart(tmp_path):
    target = tmp_path / "d.json"
    target.write_text('[{"parent": "a", "child": "b", "callCount": 10, "errorCount": 2}]')
    arch = fa.read(target)
    assert arch.origin.startswith("Zipkin")
    assert arch.loads == fa.read_jaeger_dependencies(target).loads
    assert any("2 calls ended with an error" in n.message for n in arch.notes)


@pytest.mark.parametrize("count", [-1, float("nan"), "many", None, 1e300])
def test_wrong_counts_are_named(tmp_path, count):
    target = tmp_path / "d.json"
    target.write_text(json.dumps([{"parent": "a", "child": "b", "callCount": count}]))
    with pytest.raises(fa.ModelError):
        fa.read_jaeger_dependencies(target)


def test_random_counted_graphs_have_a_gain_below_one():
    rng = np.random.default_rng(8)
    for _ in range(200):
        n, m = int(rng.integers(2, 12)), int(rng.integers(1, 40))
        source, target = rng.integers(0, n, (2, m))
        count = rng.integers(1, 10 ** rng.integers(1, 6), m).astype(float)
        requests, arrivals, _ = outside_arrivals(n, source, target, count)
        matrix = np.zeros((n, n))
        np.add.at(matrix, (source, target), count)
        used = requests > 0
        matrix[used] /= requests[used, None]
        assert max(abs(np.linalg.eigvals(matrix))) < 1 - 1e-12
        assert (arrivals >= 0).all()
        np.testing.assert_allclose(np.linalg.solve(np.eye(n) - matrix.T, arrivals), requests, rtol=1e-6)


# real data


@needs_data
def test_social_network():
    file = data_path("deathstarbench", "social-network-jaeger-traces.json.gz")
    arch = fa.read(file)
    with data_path("deathstarbench", "social-network-trace-edges.csv").open() as table:
        pairs = {(r["parentMS"], r["childMS"]) for r in csv.DictReader(table)}
    assert len(pairs) == 20  # own calls included
    edges = {(d.source, d.target) for d in arch.dependencies}
    assert len(arch) == 12
    assert edges == {p for p in pairs if p[0] != p[1]}
    assert all(d.calls == pytest.approx(1.0) for d in arch.dependencies)
    assert sum(n.count for n in arch.notes if n.field == "spans") == 0
    operations = fa.read(file, by="operation")
    # of the 32 operations 11 are callers' halves of the 11 calls between services
    assert len(operations) == 32 - 11


@needs_data
def test_nezha_known_answers():
    arch = fa.read(data_path("nezha-online-boutique"))
    assert len(arch) == 10
    assert arch.graph.n_edges == 13
    (load,) = arch.loads
    assert load.entry == "frontend"
    assert load.rate_per_s == pytest.approx(502 / 60.2, rel=0.01)
    assert arch["frontend"].provenance["service_time_s"].samples == 502
    assert arch["currencyservice"].memory_bytes > 0
    # calls follow one another, so own times, calls and network add up to the mean of the root spans
    response = dict.fromkeys(arch.names, 0.0)
    for _ in range(len(arch)):
        for name in arch.names:
            response[name] = arch[name].service_time_s + sum(
                d.calls * (d.network_latency_s + response[d.target]) for d in arch.dependencies if d.source == name
            )
    assert response["frontend"] == pytest.approx(0.2194, rel=0.005)


@needs_data
@pytest.mark.parametrize(
    ("trace", "edge", "calls", "seen_ms"),
    [
        ("fault_12_37_trace", "frontend->cartservice", 0.95, 219.27),
        ("fault_13_38_trace", "frontend->currencyservice", 2.64, 579.39),
        ("fault_14_14_trace", "checkoutservice->paymentservice", 1.0, 535.54),
    ],
)
def test_nezha_faults(trace, edge, calls, seen_ms):
    arch = fa.read_nezha(data_path("nezha-online-boutique", "trace", f"{trace}.csv.gz"))
    found = calls_of(arch)[edge]
    assert found.calls == pytest.approx(calls, rel=0.1)
    assert 1e3 * (found.network_latency_s + arch[found.target].service_time_s) == pytest.approx(seen_ms, rel=0.05)


@needs_data
def test_large_dependency_graph():
    arch = fa.read(data_path("jaeger-fixtures", "dependencies-large.json"))
    assert len(arch) == 1238
    assert arch.graph.n_edges == 4271
    rings = next(n for n in arch.notes if "circles" in n.message)
    assert rings.count == 5
    assert spectral_radius(arch) < 1
    assert (flow(arch) > 0).all()
    small = fa.read(data_path("jaeger-fixtures", "dependencies-small.json"))
    assert (len(small), small.graph.n_edges) == (8, 7)


@needs_data
@pytest.mark.parametrize(
    ("file", "services", "names"),
    [
        ("yelp", 9, {"memcache", "mysql", "blt"}),  # a tenth is only another name of mobile_api
        ("ascend", 3, {"auth-service"}),
        ("messaging-kafka", 3, {"servicea", "serviceb", "kafka"}),
        ("smartthings-oauth-authorization", 8, {"auth", "datamgmt"}),
        ("envoy", 1, set()),
    ],
)
def test_zipkin_samples(file, services, names):
    arch = fa.read(data_path("zipkin-traces", f"{file}.json"))
    assert len(arch) == services
    assert names <= set(arch.names)
    assert spectral_radius(arch) < 1


@needs_data
def test_the_same_trace_as_otlp_and_as_jaeger():
    for a, b in (
        ("otlp2jaeger-in.json", "otlp2jaeger-out.json"),
        ("otlp2jaeger-multi-in-combined.json", "oltp2jaeger-multi-out.json"),
    ):
        one, two = (fa.read(data_path("jaeger-fixtures", "otlp", f)) for f in (a, b))
        assert list(one.names) == list(two.names)
        assert one.graph.n_edges == two.graph.n_edges
        for x, y in zip(one.components, two.components):
            assert x.service_time_s == pytest.approx(y.service_time_s, abs=2e-6)  # Jaeger counts microseconds


@needs_data
def test_tempo_and_example():
    arch = fa.read(data_path("kiali-bookinfo", "responseTrace.json"))
    assert len(arch) == 5
    assert "productpage.bookinfo->reviews.bookinfo" in calls_of(arch)
    assert fa.read(data_path("otlp-examples", "trace.json")).names == ["my.service"]
    linked = fa.read(data_path("jaeger-fixtures", "otel_traces_01.json"))
    assert linked.names == ["service-x", "service-y"]
    assert linked["service-y"].kind == "external"


@needs_data
@pytest.mark.parametrize("number", range(1, 14))
def test_critical_path_samples(number):
    arch = fa.read(data_path("crisp-critical-path", f"{number}.json"))
    assert "S1" in arch
    assert arch.loads[0].entry == "S1"
