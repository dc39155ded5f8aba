"""Whatever a file holds, a trace reader returns an architecture or says what is wrong with the file."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fea_arch as fa
from fea_arch.architecture.document import to_document
from fea_arch.sources import read_nezha

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
READERS = {
    "native": fa.read_native,
    "otlp": fa.read_otlp,
    "jaeger": fa.read_jaeger,
    "zipkin": fa.read_zipkin,
    "jaeger-dependencies": fa.read_jaeger_dependencies,
    "zipkin-dependencies": fa.read_zipkin_dependencies,
    "nezha": read_nezha,
}
NATIVE = {
    "fea_arch": 1,
    "name": "pair",
    "components": [{"name": "a", "service_time_s": "12 ms", "provenance": {"servers": {"kind": "measured"}}},
                   {"name": "b", "law": "tabulated", "curve": [[1, 2.0], [2, 3.0]]}],
    "dependencies": [{"source": "a", "target": "b", "breaker": {"window_s": 3}}],
    "balancers": [{"source": "b", "targets": ["a"], "calls": 0.1, "policy": "weighted", "weights": [1]}],
    "loads": [{"entry": "a", "rate_per_s": 2}],
    "hosts": [{"name": "h", "cpus": 2}],
    "objective": {"latency_s": 0.1},
    "notes": [{"level": "info", "message": "x"}],
}  # fmt: skip


def _documents():
    otlp = json.loads((FIXTURES / "shop_otlp.jsonl").read_text().splitlines()[0])
    otlp["resourceSpans"][4]["scopeSpans"][0]["spans"][0]["links"] = [{"traceId": "1", "spanId": "2"}]
    jaeger = json.loads((FIXTURES / "shop_jaeger.json").read_text())
    jaeger["data"] = jaeger["data"][:1]
    zipkin = json.loads((FIXTURES / "shop_zipkin.json").read_text())[:10]
    counts = json.loads((FIXTURES / "shop_dependencies.json").read_text())
    return {"native": NATIVE, "otlp": otlp, "jaeger": jaeger, "zipkin": zipkin,
            "jaeger-dependencies": counts, "zipkin-dependencies": counts}  # fmt: skip


DOCUMENTS = _documents()
TABLE = gzip.decompress((FIXTURES / "shop_nezha.csv.gz").read_bytes())[:1500]
TEXTS = {**{k: json.dumps(v).encode() for k, v in DOCUMENTS.items()}, "nezha": TABLE}

odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1, 10**30, -(2**63), 2**63, 1e308, 5e-324, -0.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "\ud800", "nan", "1e400", "0" * 5000, "SPAN_KIND_CLIENT", "AAAA", "a\0b", "::", "->"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from(["key", "value", "spans", "name"]), st.text(max_size=3), max_size=2),
)


def attempt(reader, content, **options):
    """Read bytes; only the errors of the library may come out, and what was read must be usable."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input"
        file.write_bytes(content)
        try:
            arch = reader(file, **options)
        except (fa.ModelError, fa.MissingExtraError) as error:
            assert str(error)
            return
        assert isinstance(arch, fa.Architecture)
        arch.check()
        json.dumps(to_document(arch), allow_nan=False).encode()
        graph = arch.graph
        assert np.isfinite(graph.calls).all()
        if reader not in (fa.read_native, fa.read) and len(arch) < 40:
            matrix = np.zeros((len(arch), len(arch)))
            np.add.at(matrix, (graph.source, graph.target), graph.calls)
            assert max(abs(np.linalg.eigvals(matrix)), default=0.0) < 1
            assert arch.loads


def places(document, here=()):
    yield here
    inner = document if isinstance(document, list) else ()
    for key, value in document.items() if isinstance(document, dict) else enumerate(inner):
        yield from places(value, (*here, key))


def changed(document, place, value, action):
    document = copy.deepcopy(document)
    if not place:
        return value
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if action == "drop":
        del inner[place[-1]]
    elif action == "twice" and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[place[-1]]))
    else:
        inner[place[-1]] = value
    return document


PLACES = {name: list(places(document)) for name, document in DOCUMENTS.items()}
quick = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(content=st.binary(max_size=300), name=st.sampled_from(sorted(READERS)))
def test_random_bytes(content, name):
    attempt(READERS[name], content)
    attempt(fa.read, content)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
@quick
@given(data=st.data())
def test_changed_values(name, data):
    document = DOCUMENTS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(PLACES[name]))
        value, action = data.draw(odd_values), data.draw(st.sampled_from(["put", "put", "drop", "twice"]))
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took this place away
            document = changed(document, place, value, action)
    content = json.dumps(document).encode()
    attempt(READERS[name], content)
    if name in ("otlp", "jaeger", "zipkin"):
        attempt(READERS[name], content, by="operation")
    attempt(fa.read, content)


@pytest.mark.parametrize("name", sorted(TEXTS))
@quick
@given(data=st.data())
def test_changed_bytes(name, data):
    content = bytearray(TEXTS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        action = data.draw(st.sampled_from(["cut", "remove", "insert", "flip", "number"]))
        if action == "cut":
            del content[at:]
        elif action == "remove":
            del content[at : at + data.draw(st.integers(1, 60))]
        elif action == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=6))
        elif action == "flip" and content:
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            content[at:at] = data.draw(st.sampled_from([b"9" * 25, b"-", b"NaN", b"\n", b'"', b",", b"[[[", b"e999"]))
    attempt(READERS[name], bytes(content))
    if data.draw(st.booleans()):
        attempt(fa.read, gzip.compress(bytes(content))[: data.draw(st.integers(5, 4000))])


@quick
@given(content=st.binary(max_size=120))
def test_random_protobuf(content):
    attempt(fa.read_otlp, b"\x0a" + content)
    attempt(fa.read_otlp, len(content).to_bytes(4, "big") + content)


@quick
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 6), st.integers(0, 6), st.integers(0, 2), st.integers(0, 5),
            st.integers(0, 40), st.integers(-3, 40), st.lists(st.integers(0, 6), max_size=2),
        ),
        min_size=1, max_size=14,
    ),
    by=st.sampled_from(["service", "operation"]),
)  # fmt: skip
def test_any_pattern_of_parents_links_and_times(rows, by):
    groups = [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": f"s{service}"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": str(own % 2), "spanId": str(own), "parentSpanId": str(parent), "kind": kind,
                "name": f"n{kind}",
                "startTimeUnixNano": str(low * 1_000_000), "endTimeUnixNano": str((low + length) * 1_000_000 + 1),
                "links": [{"traceId": str(x % 2), "spanId": str(x)} for x in links],
                "attributes": [{"key": "peer.service", "value": {"stringValue": f"s{(service + kind) % 4}"}}],
            }]}],
        }
        for own, parent, service, kind, low, length, links in rows
    ]  # fmt: skip
    attempt(fa.read_otlp, json.dumps({"resourceSpans": groups}).encode(), by=by)
