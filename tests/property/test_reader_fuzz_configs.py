"""Readers of configurations, metrics and graphs under mutated input: an architecture or a ModelError, nothing else."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fea_arch as fa

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

KIALI = {
    "graphType": "workload",
    "elements": {
        "nodes": [
            {
                "data": {
                    "id": "1",
                    "nodeType": "workload",
                    "workload": "web",
                    "namespace": "x",
                    "traffic": [{"protocol": "http", "rates": {"httpIn": "9.00"}}],
                }
            },
            {"data": {"id": "2", "nodeType": "workload", "workload": "db", "namespace": "x"}},
            {"data": {"id": "3", "nodeType": "unknown"}},
        ],
        "edges": [
            {
                "data": {
                    "id": "a",
                    "source": "3",
                    "target": "1",
                    "traffic": {"protocol": "http", "rates": {"http": "5.00"}},
                }
            },
            {
                "data": {
                    "id": "b",
                    "source": "1",
                    "target": "2",
                    "responseTime": "12",
                    "traffic": {"protocol": "grpc", "rates": {"grpc": "8.00"}},
                }
            },
            {
                "data": {
                    "id": "c",
                    "source": "1",
                    "target": "1",
                    "traffic": {"protocol": "http", "rates": {"http": "2.00"}},
                }
            },
        ],
    },
}
PROMETHEUS = {
    "rate(traces_service_graph_request_total[5m])": {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": {"client": "user", "server": "web"}, "value": [1, "20"]},
                {"metric": {"client": "web", "server": "db"}, "value": [1, "60"]},
            ],
        },
    },
    "rate(traces_service_graph_request_server_seconds_sum[5m])": {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": {"client": "web", "server": "db"}, "value": [1, "0.6"]}],
        },
    },
    "rate(traces_service_graph_request_server_seconds_count[5m])": {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {"client": "web", "server": "db"}, "value": [1, "60"]}]},
    },
    "rate(container_cpu_usage_seconds_total[5m])": {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": {"pod": "db-1", "container": "c"}, "value": [1, "0.2"]}],
        },
    },
    "kube_pod_container_resource_limits": {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {"metric": {"pod": "db-1", "container": "c", "resource": "memory"}, "values": [[1, "200"], [2, "300"]]}
            ],
        },
    },
}
NODE_LINK = {
    "nodes": [{"id": "a", "service_time_s": 0.01}, {"id": "b", "servers": 2, "kind": "cache"}],
    "links": [
        {"source": "a", "target": "b", "calls": 0.5, "mode": "async"},
        {"source": "b", "target": "a", "weight": 3},
    ],
}
GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="d" for="node" attr.name="servers" '
    'attr.type="int"/><graph edgedefault="directed"><node id="a"><data key="d">3</data></node><node id="b"/>'
    '<edge source="a" target="b"/></graph></graphml>'
)
CSV = "caller,callee,rps,latency_ms\nweb,db,30,5\nweb,cache,12,1\ncache,web,1,2\n"
ROUTER = json.loads((FIXTURES / "event-router.json").read_text(encoding="utf-8"))
MCP = {
    "mcpServers": {
        "a": {"command": "npx", "args": ["x"], "env": {"K": "v"}},
        "b": {"type": "http", "url": "https://h.test/m"},
    }
}
COMPOSE = {
    "services": {
        "web": {
            "image": "nginx",
            "depends_on": {"db": {"condition": "x"}},
            "environment": {"A_URL": "http://u:p@db:80", "B": None},
            "deploy": {"replicas": 2, "resources": {"limits": {"memory": "300M", "cpus": "0.5"}}},
        },
        "db": {
            "image": "postgres",
            "environment": ["X=${Y:-${Z}}"],
            "mem_limit": 5_000_000,
            "networks": {"n": {"aliases": ["d"]}},
        },
    }
}

READERS: dict[str, tuple[Callable[..., fa.Architecture], Any]] = {
    "kiali": (fa.read_kiali, KIALI),
    "prometheus": (fa.read_prometheus, PROMETHEUS),
    "node-link": (fa.read_node_link, NODE_LINK),
    "event-router": (fa.read_event_router, ROUTER),
    "mcp": (fa.read_mcp_config, MCP),
    "compose": (fa.read_compose, COMPOSE),
}
TEXTS: dict[str, tuple[Callable[..., fa.Architecture], bytes]] = {
    "compose.yaml": (fa.read_compose, (FIXTURES / "configs" / "compose.yaml").read_bytes()),
    "workloads.yaml": (fa.read_kubernetes, (FIXTURES / "configs" / "workloads.yaml").read_bytes()),
    "mcp.json": (fa.read_mcp_config, (FIXTURES / "configs" / "vscode-mcp.json").read_bytes()),
    "g.graphml": (fa.read_graphml, GRAPHML.encode()),
    "edges.csv": (fa.read_csv, CSV.encode()),
    "kiali.json": (fa.read_kiali, json.dumps(KIALI).encode()),
    "answers.json": (fa.read_prometheus, json.dumps(PROMETHEUS).encode()),
}

odd = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "NaN", "-1", "inf", "a", "web", "1e400",
        "${", "${A:-", "\x00", "é" * 50, "x" * 300, "http://[", "http://h:99999"]),
    st.just([]), st.just({}), st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)  # fmt: skip


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(document, dict):
        for key, value in document.items():
            found += places(value, (*at, key))
    elif isinstance(document, list):
        for i, value in enumerate(document):
            found += places(value, (*at, i))
    return found


def mutate(document: Any, place: tuple[Any, ...], value: Any, *, delete: bool) -> Any:
    copy = json.loads(json.dumps(document))
    if not place:
        return value
    owner = copy
    for key in place[:-1]:
        owner = owner[key]
    if delete:
        del owner[place[-1]]
    else:
        owner[place[-1]] = value
    return copy


def must_be_sound(read: Callable[..., fa.Architecture], file: Path) -> None:
    try:
        arch = read(file)
    except fa.ModelError as error:
        assert str(error).strip()
        assert len(str(error)) < 5000
        return
    # what was read can be checked, written and read back, holds only finite numbers, and its calls have an end
    arch.check()
    graph = arch.graph
    assert np.isfinite(graph.calls).all() and (graph.calls >= 0).all()
    assert np.isfinite(graph.rate_per_s).all()
    calls = np.zeros((graph.n, graph.n))
    np.add.at(calls, (graph.source, graph.target), graph.calls)
    assert np.abs(np.linalg.eigvals(calls)).max() < 1.0 + 1e-6
    assert fa.read(fa.write(arch, file.with_name("again.json"))) == arch


@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_documents_with_one_or_two_wrong_values(name: str, tmp_path: Path, data: st.DataObject) -> None:
    read, document = READERS[name]
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from(places(document)))
        document = mutate(document, where, data.draw(odd), delete=bool(where) and data.draw(st.booleans()))
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    must_be_sound(read, file)


@pytest.mark.parametrize("name", TEXTS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_damaged_bytes(name: str, tmp_path: Path, data: st.DataObject) -> None:
    read, content = TEXTS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40, len(content)]))
        patch = data.draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from(
                    [
                        b"&a",
                        b"*a",
                        b"!!python/name:os.system",
                        b"{",
                        b"]",
                        b"\xff\xfe",
                        b"- ",
                        b'"',
                        b"\t",
                        b"<!DOCTYPE a>",
                        b"e999",
                    ]
                ),
            )
        )
        content = content[:at] + patch + content[at + length :]
    file = tmp_path / name
    file.write_bytes(content)
    must_be_sound(read, file)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.binary(max_size=200), name=st.sampled_from(["a.json", "a.yaml", "a.csv", "a.xml", "a"]))
def test_any_bytes_through_the_recognition(head: bytes, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        must_be_sound(fa.read, file)
