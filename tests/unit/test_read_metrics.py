"""Kiali, Prometheus (saved and live), CSV, graphs and the hotel sweep: small inputs with known answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import networkx as nx
import numpy as np
import pytest
from shared_data import data_path, needs_data

import fea_arch as fa
from fea_arch.sources.gain import limit_gain
from fea_arch.sources.mesh_metrics import workload_of


def save(tmp_path: Path, content: Any, name: str = "graph.json") -> Path:
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def flows(arch: fa.Architecture) -> dict[str, float]:
    g = arch.graph
    calls = np.zeros((g.n, g.n))
    np.add.at(calls, (g.source, g.target), g.calls)
    through = dict(zip(arch.names, np.linalg.solve(np.eye(g.n) - calls.T, g.rate_per_s).tolist()))
    assert np.abs(np.linalg.eigvals(calls)).max() < 1
    return through


# ---- Kiali


def kiali(edges: list[tuple[str, str, dict[str, Any]]], **extra: Any) -> dict[str, Any]:
    names = sorted({n for a, b, _ in edges for n in (a, b)})
    return {
        "graphType": "app",
        "elements": {
            "nodes": [
                {"data": {"id": n, "nodeType": "app", "app": n, "namespace": "x", **extra.get(n, {})}} for n in names
            ],
            "edges": [
                {
                    "data": {
                        "id": f"{a}{b}",
                        "source": a,
                        "target": b,
                        **({"responseTime": r.pop("rt")} if "rt" in r else {}),
                        "traffic": {"protocol": "http", "rates": r},
                    }
                }
                for a, b, r in edges
            ],
        },
    }


def test_kiali_rates_become_visit_ratios_and_times(tmp_path: Path) -> None:
    graph = kiali([("gw", "web", {"http": "40.00", "rt": "30"}), ("web", "db", {"grpc": "80.00", "rt": "5"})])
    arch = fa.read(save(tmp_path, graph))
    assert {d.label: d.calls for d in arch.dependencies} == {"gw->web": 1.0, "web->db": 2.0}
    assert [(load.entry, load.rate_per_s) for load in arch.loads] == [("gw", 40.0)]
    assert arch["web"].service_time_s == pytest.approx(0.030 - 2 * 0.005)
    assert arch["db"].provenance["service_time_s"].kind == "measured"
    assert arch.dependencies[0].provenance["calls"].kind == "measured"
    assert flows(arch)["db"] == pytest.approx(80.0)
    assert sum(load.rate_per_s or 0 for load in fa.read(save(tmp_path, graph), rate_per_s=7.0).loads) == pytest.approx(
        7.0
    )


def test_kiali_tcp_counts_bytes(tmp_path: Path) -> None:
    graph = kiali([("a", "b", {"tcp": "1000.0"})])
    graph["elements"]["edges"][0]["data"]["traffic"]["protocol"] = "tcp"
    arch = fa.read(save(tmp_path, graph))
    assert arch.dependencies[0].calls == 0.0
    assert any("TCP" in n.message for n in arch.notes)
    sized = fa.read_kiali(save(tmp_path, graph), tcp_bytes_per_request=100.0)
    assert sized.loads[0].rate_per_s == 10.0


@pytest.mark.parametrize("value", ["NaN", "-1", "inf", "many", [], None])
def test_kiali_refuses_numbers_that_are_none(tmp_path: Path, value: Any) -> None:
    with pytest.raises(fa.ModelError, match=r"a->b\.rates\.http"):
        fa.read(save(tmp_path, kiali([("a", "b", {"http": value})])))


def test_kiali_refuses_dangling_edges_and_double_nodes(tmp_path: Path) -> None:
    graph = kiali([("a", "b", {"http": "1"})])
    graph["elements"]["edges"][0]["data"]["target"] = "z"
    with pytest.raises(fa.ModelError, match="unknown node 'z'"):
        fa.read(save(tmp_path, graph))
    graph = kiali([("a", "b", {"http": "1"})])
    graph["elements"]["nodes"].append(graph["elements"]["nodes"][0])
    with pytest.raises(fa.ModelError, match="two nodes"):
        fa.read(save(tmp_path, graph))


@needs_data
@pytest.mark.parametrize(
    ("file", "nodes", "edges"),
    [("test_app_graph.json", 11, 14), ("test_workload_graph.json", 13, 18), ("test_rates_total_graph.json", 13, 18)],
)
def test_kiali_bookinfo(file: str, nodes: int, edges: int) -> None:
    arch = fa.read(data_path("kiali-bookinfo", file))
    assert (len(arch), arch.graph.n_edges) == (nodes, edges)
    assert not [f for f in arch.check() if f.level == "error"]
    through = flows(arch)
    if nodes == 11:  # the rates of the file come out again
        assert through["productpage"] == pytest.approx(170.0)
        assert through["details"] == pytest.approx(80.0)
        assert through["ratings"] == pytest.approx(60.0)
        assert through["reviews"] == pytest.approx(100.0)
    for c in arch.components:
        if c.law != "delay":
            assert through[c.name] * c.service_time_s / c.servers <= 0.5 + 1e-9


# ---- Prometheus


def vector(*rows: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [1700000000, value]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


GRAPH = {
    "rate(traces_service_graph_request_total[5m])": vector(
        ({"client": "user", "server": "web", "connection_type": "virtual_node"}, "20"),
        ({"client": "web", "server": "db"}, "60"),
        ({"client": "web", "server": "mail", "connection_type": "messaging_system"}, "2"),
    ),
    "rate(traces_service_graph_request_server_seconds_sum[5m])": vector(
        ({"client": "user", "server": "web"}, "1.0"), ({"client": "web", "server": "db"}, "0.6")
    ),
    "rate(traces_service_graph_request_server_seconds_count[5m])": vector(
        ({"client": "user", "server": "web"}, "20"), ({"client": "web", "server": "db"}, "60")
    ),
    "rate(container_cpu_usage_seconds_total[5m])": vector(
        ({"pod": "db-7f9c6d5b4d-x2x4z", "container": "main"}, "0.30"),
        ({"pod": "db-7f9c6d5b4d-b7b9q", "container": "main"}, "0.12"),
    ),
    "container_memory_working_set_bytes": vector(
        ({"pod": "db-7f9c6d5b4d-x2x4z", "container": "main"}, "100"),
        ({"pod": "db-7f9c6d5b4d-x2x4z", "container": "istio-proxy"}, "5000"),
        ({"pod": "db-7f9c6d5b4d-b7b9q", "container": "main"}, "200"),
    ),
    "kube_pod_container_resource_limits": vector(
        ({"pod": "db-7f9c6d5b4d-x2x4z", "container": "main", "resource": "memory"}, "1000"),
        ({"pod": "db-7f9c6d5b4d-x2x4z", "container": "main", "resource": "cpu"}, "2"),
    ),
    "kube_deployment_status_replicas": vector(({"deployment": "db"}, "2"), ({"deployment": "mail"}, "0")),
}


def check_graph(arch: fa.Architecture) -> None:
    assert {d.label: (d.calls, d.mode) for d in arch.dependencies} == {
        "web->db": (3.0, "sync"),
        "web->mail": (pytest.approx(0.1), "async"),
    }
    assert [(load.entry, load.rate_per_s, load.measured) for load in arch.loads] == [("web", 20.0, True)]
    assert arch["web"].service_time_s == pytest.approx(0.05 - 3 * 0.01)
    db = arch["db"]
    assert (db.memory_bytes, db.memory_limit_bytes, db.servers, db.replicas) == (150.0, 1000.0, 2, 2)
    assert db.cpu_s == pytest.approx(0.42 / 60)
    assert not arch["mail"].available


def test_saved_prometheus_answers(tmp_path: Path) -> None:
    check_graph(fa.read(save(tmp_path, GRAPH)))
    as_list = [{"query": q, "response": r} for q, r in GRAPH.items()]
    check_graph(fa.read_prometheus(save(tmp_path, as_list)))
    lines = "\n".join(json.dumps({"query": q, **r}) for q, r in GRAPH.items())
    check_graph(fa.read(save(tmp_path, lines, "answers.jsonl")))


def test_istio_counters_count_each_call_once(tmp_path: Path) -> None:
    labels = {"__name__": "istio_requests_total", "source_workload": "web", "destination_workload": "db"}
    rows = [
        ({**labels, "reporter": r, "response_code": c}, v)
        for r, c, v in [("source", "200", "90"), ("destination", "200", "80"), ("destination", "503", "20")]
    ]
    rows.append(
        ({**labels, "source_workload": "unknown", "destination_workload": "web", "reporter": "destination"}, "50")
    )
    time = {**labels, "reporter": "destination"}
    rows.append(({**time, "__name__": "istio_request_duration_milliseconds_sum"}, "800"))
    rows.append(({**time, "__name__": "istio_request_duration_milliseconds_count"}, "100"))
    arch = fa.read(save(tmp_path, vector(*rows)))
    assert {d.label: d.calls for d in arch.dependencies} == {"web->db": 2.0}
    assert arch["db"].service_time_s == pytest.approx(0.008)
    assert arch.loads[0].rate_per_s == 1.0 and not arch.loads[0].measured
    assert any("counts over an unknown time" in n.message for n in arch.notes)
    assert any("failed" in n.message for n in arch.notes)


def test_ranges_of_counters_become_rates_across_resets(tmp_path: Path) -> None:
    series = {
        "metric": {"__name__": "traces_service_graph_request_total", "client": "a", "server": "b"},
        "values": [[0, "10"], [10, "40"], [20, "5"], [30, "25"]],
    }
    arch = fa.read(save(tmp_path, {"status": "success", "data": {"resultType": "matrix", "result": [series]}}))
    assert arch.loads[0].rate_per_s == pytest.approx((30 + 5 + 20) / 30)


def test_histogram_buckets_give_a_mean_where_no_sum_is(tmp_path: Path) -> None:
    ends = {"client": "a", "server": "b"}
    document = {
        "rate(traces_service_graph_request_total[1m])": vector((ends, "4")),
        "rate(traces_service_graph_request_server_seconds_bucket[1m])": vector(
            ({**ends, "le": "0.1"}, "2"), ({**ends, "le": "0.3"}, "4"), ({**ends, "le": "+Inf"}, "4")
        ),
    }
    assert fa.read(save(tmp_path, document))["b"].service_time_s == pytest.approx((2 * 0.05 + 2 * 0.2) / 4)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"status": "error", "error": "parse error", "data": {"resultType": "vector", "result": []}}, "parse error"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}, "resultType"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "no metric"),
        (vector(({"__name__": "istio_requests_total", "destination_workload": "a"}, "-1")), "istio_requests_total"),
        (vector(({"__name__": "istio_requests_total", "destination_workload": "a"}, "x")), "istio_requests_total"),
        (vector(({"__name__": "up"}, "1")), "no metric"),
    ],
)
def test_bad_prometheus_answers(tmp_path: Path, document: Any, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_prometheus(save(tmp_path, document))
    assert words in str(caught.value)


@contextmanager
def server(answer: Any) -> Iterator[tuple[str, list[Any]]]:
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            status, body = answer(parse_qs(urlsplit(self.path).query)["query"][0])
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{httpd.server_port}", seen
        finally:
            httpd.shutdown()
            thread.join()


def test_live_prometheus_reads_like_the_file() -> None:
    empty = vector()
    with server(lambda q: (200, json.dumps(GRAPH.get(q, empty)).encode())) as (place, seen):
        check_graph(fa.fetch_prometheus(f"http://me:hidden@{place}/"))
    assert all(auth == "Basic bWU6aGlkZGVu" for _, auth in seen)
    assert all(path.startswith("/api/v1/query?") for path, _ in seen)


def test_live_prometheus_failures_name_the_server_and_hide_the_password() -> None:
    cases: list[tuple[Any, str]] = [
        (lambda q: (500, b"no"), "answers 500"),
        (lambda q: (200, b"<html>"), "not answer with JSON"),
        (lambda q: (200, b"[]"), "not answer as Prometheus"),
        (lambda q: (200, b"x" * 5000), "more than 4,000 bytes"),
        (lambda q: (302, b"http://example.invalid/"), "answers 302"),
    ]
    for answer, words in cases:
        with server(answer) as (place, _):
            with pytest.raises(fa.ProbeError, match=words) as caught:
                fa.fetch_prometheus(f"http://me:hidden@{place}", max_bytes=4000)
            assert "hidden" not in str(caught.value)
            assert place in str(caught.value)
    with pytest.raises(fa.ProbeError, match="does not answer"):
        fa.fetch_prometheus("http://127.0.0.1:1", timeout_s=2)
    for url in ("file:///etc/passwd", "prometheus", "http://", None):
        with pytest.raises(fa.ModelError, match="not an http address"):
            fa.fetch_prometheus(url)  # type: ignore[arg-type]
    with pytest.raises(fa.ModelError, match="window"):
        fa.fetch_prometheus("http://localhost", window="5m]) or vector(1")


def test_pods_belong_to_workloads() -> None:
    assert workload_of("checkout-service-578fcf4766-9csqn") == "checkout-service"
    assert workload_of("my-db-0", ["my", "my-db"]) == "my-db"


# ---- CSV


def test_csv_columns_are_recognised_by_name(tmp_path: Path) -> None:
    for text in (
        "source,target,rate\nweb,db,30\nweb,cache,15\n",
        "Caller;Callee;RPS\nweb;db;30\nweb;cache;15\n",
        "Parent\tChild\tqps\nweb\tdb\t30\nweb\tcache\t15\n",
        "\ufeffFrom,To,rate_per_min\nweb,db,1800\nweb,cache,900\n",
    ):
        arch = fa.read(save(tmp_path, text, "edges.csv"))
        assert {d.label: d.calls for d in arch.dependencies} == {"web->db": 1.0, "web->cache": 0.5}
        assert [(load.entry, load.rate_per_s) for load in arch.loads] == [("web", 30.0)]


def test_csv_rows_of_one_pair_are_counted_and_own_calls_left_out(tmp_path: Path) -> None:
    text = "caller,callee,duration_us\n" + "a,b,1000\n" * 6 + "a,c,500\n" * 3 + "b,b,9\n" * 4
    arch = fa.read_csv(save(tmp_path, text, "calls.csv"), rate_per_s=2.0)
    assert {d.label: d.calls for d in arch.dependencies} == {"a->b": 1.0, "a->c": 0.5}
    assert arch["b"].service_time_s == pytest.approx(1e-3)
    assert any("own work" in n.message and n.count == 4 for n in arch.notes)


def test_csv_with_calls_per_request_and_a_node_table(tmp_path: Path) -> None:
    edges = save(tmp_path, "src,dst,calls\na,b,3\nb,c,0.5\n", "edges.csv")
    nodes = save(
        tmp_path, "service,latency_ms,Memory(Mi),workers,cpu_ms\na,4,10,5,1\nb,2,,2,\nd,1,5,1,3\n", "nodes.csv"
    )
    arch = fa.read_csv(edges, components=nodes, rate_per_s=12.0)
    assert {d.label: pytest.approx(d.calls) for d in arch.dependencies} == {"a->b": 3.0, "b->c": 0.5}
    a, d = arch["a"], arch["d"]
    assert (a.service_time_s, a.memory_bytes, a.servers, a.cpu_s) == (0.004, 10 * 2**20, 5, 0.001)
    assert (d.cpu_s, d.service_time_s) == (0.003, 0.003)
    assert arch["b"].memory_bytes is None
    assert a.provenance["service_time_s"].kind == "declared"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no source and no target"),
        ("source,target,rate\na,b\n", "csv:2: has 2 values"),
        ("source,target,rate\na,b,nan\n", "rate"),
        ("source,target,rate\na,b,-3\n", "rate"),
        ("source,target\na,\n", "csv:2"),
        ("source,target\n", "no component"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read_csv(save(tmp_path, text, "e.csv"))
    assert words in str(caught.value)


@needs_data
def test_real_tables() -> None:
    nezha = fa.read(data_path("nezha-online-boutique", "metric", "dependency.csv.gz"))
    assert nezha.graph.n_edges == 26
    social = fa.read(data_path("deathstarbench", "social-network-trace-edges.csv"), time_unit_s=1e-6)
    own = next(n.count for n in social.notes if "own work" in n.message)
    assert (len(social), social.graph.n_edges) == (12, 11)
    assert own == 420  # of 640 rows; the other 220 are calls between services
    assert not [f for f in social.check() if f.level == "error"]


# ---- graphs


def test_networkx_graphs() -> None:
    g = nx.DiGraph(name="demo")
    g.add_node("a", service_time_s=0.002, servers=np.int64(3), colour="red")
    g.add_edge("a", 7, weight=0.5, mode="async")
    arch = fa.from_networkx(g)
    assert (arch.name, arch.names) == ("demo", ["a", "7"])
    assert (arch["a"].servers, arch.dependencies[0].calls, arch.dependencies[0].mode) == (3, 0.5, "async")
    assert any("colour" in n.message for n in arch.notes)
    ring = fa.from_networkx(nx.cycle_graph(5), entry="0", rate_per_s=3.0)
    assert ring.graph.n_edges == 10
    assert flows(ring)["0"] > 3.0
    bad = nx.DiGraph()
    bad.add_node("a", service_time_s=-1)
    with pytest.raises(fa.ModelError, match=r"a\.service_time_s"):
        fa.from_networkx(bad)
    with pytest.raises(fa.ModelError, match="not a networkx graph"):
        fa.from_networkx({"a": ["b"]})


@pytest.mark.parametrize("directed", [True, False])
def test_graph_files_agree_with_networkx(tmp_path: Path, directed: bool) -> None:
    g = nx.gnp_random_graph(20, 0.15, seed=1, directed=directed)
    g = nx.relabel_nodes(g, str)
    nx.set_edge_attributes(g, 0.1, "calls")
    nx.set_node_attributes(g, 0.003, "service_time_s")
    nx.write_graphml(g, tmp_path / "g.graphml")
    save(tmp_path, nx.node_link_data(g, edges="links"), "g.json")
    direct = fa.from_networkx(g)

    def table(arch: fa.Architecture) -> set[tuple[str, float]]:
        return {(d.label, d.calls) for d in arch.dependencies}

    for name in ("g.graphml", "g.json"):
        arch = fa.read(tmp_path / name)
        assert arch.names == direct.names
        assert table(arch) == table(direct)
        assert arch["3"].service_time_s == 0.003


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("g.graphml", "<!DOCTYPE x [<!ENTITY a 'b'>]><graphml/>", "document type"),
        ("g.graphml", "<graphml><graph>", "XML"),
        ("g.graphml", "<graphml></graphml>", "no graph"),
        ("g.graphml", "<graphml><graph><node id='a'/><node id='a'/></graph></graphml>", "two nodes"),
        ("g.graphml", "<graphml><graph><node id='a'/><edge source='a' target='b'/></graph></graphml>", "unknown node"),
        ("g.json", '{"nodes": [{"id": "a"}], "links": [{"source": "a", "target": "q"}]}', "unknown node"),
        ("g.json", '{"nodes": [{"id": "a"}, {"id": "a"}], "links": []}', "two nodes"),
        ("g.json", '{"nodes": [{"id": "a", "service_time_s": "slow"}], "links": []}', "service_time_s"),
        ("g.json", '{"nodes": [{"id": "a", "service_time_s": NaN}], "links": []}', "NaN"),
    ],
)
def test_bad_graphs(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.read(save(tmp_path, text, name))
    assert words in str(caught.value)


def test_gain_of_large_circles_is_limited_like_that_of_small_ones() -> None:
    n = 1000
    source, target = np.arange(n), (np.arange(n) + 1) % n
    calls, notes = limit_gain([str(i) for i in range(n)], source, target, np.full(n, 1.5))
    assert np.allclose(calls, 0.5, rtol=1e-6)
    assert len(notes) == 1
    untouched, none = limit_gain(["a", "b"], np.array([0, 1]), np.array([1, 0]), np.array([0.9, 1.0]))
    assert untouched.tolist() == [0.9, 1.0] and none == []


# ---- hotel reservation


@needs_data
def test_hotel_reservation_sweep() -> None:
    folder = data_path("hotel-reservation-sweep")
    arch = fa.read(folder)
    calls = {d.label: d.calls for d in arch.dependencies}
    # 14,254 spans of the frontend less its 10,284 calls are 3,970 requests
    assert calls["frontend->search"] == pytest.approx(2376 / 3970)
    assert calls["frontend->profile"] == pytest.approx(3926 / 3970)
    assert calls["search->geo"] == pytest.approx(1.0)
    assert arch.loads[0].rate_per_s == pytest.approx(99.46)
    assert arch["frontend"].cpu_s == pytest.approx(0.220 / 99.46)
    assert arch["reservation"].cpu_s == pytest.approx(2.079 / (99.46 * 2389 / 3970))
    assert arch["geo"].memory_bytes == 8 * 2**20
    through = flows(arch)
    cores = sum(through[c.name] * (c.cpu_s or 0) for c in arch.components)
    import csv

    with (folder / "metrics_summary.csv").open(newline="") as file:
        rows = [r for r in csv.reader(file) if r[0] == "100" and r[1] in arch]
    assert len(rows) == len(arch)
    assert cores == pytest.approx(1e-3 * sum(float(r[2]) for r in rows), rel=1e-9)  # nothing is lost or counted twice
    assert fa.read_hotel_sweep(folder, rate=300).loads[0].rate_per_s == pytest.approx(297.81)
    with pytest.raises(fa.ModelError, match="no row for 150/s"):
        fa.read_hotel_sweep(folder, rate=150)
