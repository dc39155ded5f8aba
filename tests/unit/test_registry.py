"""Recognition by content, safe file access and the native document."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zlib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import fea_arch as fa
from fea_arch.sources import loading, registry
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source, read, register, sources

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture
def arch():
    return fa.Architecture(
        "pair",
        components=[fa.Component("a", servers=3), fa.Component("b", service_time_s=0.002)],
        dependencies=[fa.Dependency("a", "b", calls=2.0)],
        loads=[fa.Load("a", rate_per_s=5.0)],
    )


@pytest.fixture
def no_additions(monkeypatch):
    monkeypatch.setattr(registry, "_ADDED", [])


@pytest.mark.parametrize("name", ["x.yaml", "x.json", "noending"])
def test_native_document_round_trips(arch, tmp_path, name):
    assert fa.read(fa.write(arch, tmp_path / name)) == arch


def test_gzip_is_transparent(arch, tmp_path):
    plain = fa.write(arch, tmp_path / "x.yaml").read_bytes()
    (tmp_path / "x").write_bytes(gzip.compress(plain[:50]) + gzip.compress(plain[50:]))  # two members
    assert fa.read(tmp_path / "x") == arch


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(arch, tmp_path, encoding):
    text = fa.write(arch, tmp_path / "x.json").read_text()
    (tmp_path / "y.json").write_text(text, encoding=encoding)
    assert fa.read(tmp_path / "y.json") == arch


@pytest.mark.parametrize(
    ("file", "origin"),
    [
        ("shop_otlp.jsonl", "OTLP"),
        ("shop_jaeger.json", "Jaeger data"),
        ("shop_zipkin.json", "Zipkin data"),
        ("shop_nezha.csv.gz", "Nezha"),
        ("shop_dependencies.json", "Jaeger dependencies"),
    ],
)
def test_content_decides_whatever_the_name(tmp_path, file, origin):
    target = tmp_path / "data.bin"
    target.write_bytes((FIXTURES / file).read_bytes())
    assert fa.read(target).origin.startswith(origin)


def test_format_can_be_named(arch, tmp_path):
    file = fa.write(arch, tmp_path / "x.yaml")
    assert fa.read(file, format="native") == arch
    with pytest.raises(fa.ModelError, match="Did you mean 'native'"):
        fa.read(file, format="nativ")


def test_unknown_option_is_named(tmp_path):
    with pytest.raises(fa.ModelError, match=r"otlp reader has no option 'bye'.*'by'"):
        fa.read(FIXTURES / "shop_otlp.jsonl", bye="service")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello", "no known format"),
        (bytes(range(256)), "no known format"),
        (b"\x1f\x8b\x08 damaged", "gzip"),
        (gzip.compress(b"fea_arch: 1\nname: a\n" * 99, mtime=0)[:-12], "ends too early"),
        (b"fea_arch: 1\nname: \xff", "byte 18 .0xff. is not utf-8 text"),
        (b"fea_arch: !!python/object/apply:os.system [ls]", "line|:1:.*tag"),
        (b"fea_arch: 1\n" + b"a: " + b"[" * 5000, "nested"),
        (b'{"fea_arch": ' + b"[" * 100000, "nested"),
        (b"fea_arch: 1\na: &a [*a]", "contains itself"),
        (b"fea_arch: 1\nname: [", "YAML"),
        (b"fea_arch: 1\n---\nfea_arch: 1\n", "2 documents"),
        (b"fea_arch: 2\n", "fea_arch"),
        (b"fea_arch: 1\ncomponents: [{name: a, service_time_s: .nan}]", "nan"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    target = tmp_path / "file"
    target.write_bytes(content)
    with pytest.raises(fa.ModelError, match=message) as caught:
        fa.read(target)
    assert "file" in str(caught.value)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_such_numbers(tmp_path, word):
    target = tmp_path / "x.json"
    text = '{"fea_arch": 1, "name": "a", "components": [{"name": "b", "service_time_s": 7}]}'
    target.write_text(text.replace("7", word))
    with pytest.raises(fa.ModelError, match=word):
        fa.read(target)


def test_syntax_errors_have_line_and_column(tmp_path):
    target = tmp_path / "x.json"
    target.write_text('{"data": [\n {"traceID": "a", "spans": [,]}]}')
    with pytest.raises(fa.ModelError, match="column 29") as caught:
        fa.read(target)
    assert caught.value.line == 2


def test_alias_bomb_is_refused_in_little_time(tmp_path):
    lines = ["fea_arch: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    target = tmp_path / "bomb.yaml"
    target.write_text("\n".join(lines))
    with pytest.raises(fa.ModelError, match="aliases"):
        fa.read(target)


def test_gzip_bomb_is_refused_in_little_memory(tmp_path):
    target = tmp_path / "bomb.gz"
    packer = zlib.compressobj(9, wbits=31)
    with target.open("wb") as file:
        file.write(packer.compress(b'{"data": [{"spans": [], "traceID": "'))
        for _ in range(64):
            file.write(packer.compress(b"a" * 2**20))
        file.write(packer.flush())
    assert target.stat().st_size < 2**18
    with pytest.raises(fa.ModelError, match="more than 1,048,576 bytes") as caught:
        fa.read(target, max_bytes=2**20)
    assert caught.value.field == "max_bytes"


def test_large_file_is_refused_before_it_is_read(tmp_path):
    target = tmp_path / "large.json"
    with target.open("wb") as file:
        file.write(b'{"data": [{"traceID": "a", "spans": [' + b" " * 2**17)
        file.truncate(2**30)  # sparse
    with pytest.raises(fa.ModelError, match="max_bytes"):
        fa.read(target)


def test_missing_paths_and_devices(tmp_path):
    with pytest.raises(fa.ModelError, match="no such file"):
        fa.read(tmp_path / "nothing")
    with pytest.raises(fa.ModelError, match="no such file"):
        fa.read("a\0b")
    with pytest.raises(fa.ModelError, match="cannot be opened"):
        fa.read(None)
    with pytest.raises(fa.ModelError, match="of no known format"):
        fa.read(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(fa.ModelError, match="neither a file"):
            fa.read(tmp_path / "pipe")


def test_lines_are_counted_over_pieces(tmp_path):
    target = tmp_path / "x"
    rows = [b"a" * 700_000, b"", b"b" * 1_500_000, b"c"]
    target.write_bytes(b"\n".join(rows))
    assert [(n, len(line)) for n, line in loading.open_lines(target)] == [(1, 700_000), (3, 1_500_000), (4, 1)]


def test_own_formats_can_be_added(arch, tmp_path, no_additions):
    register(Source("demo", lambda head, path: head.startswith(b"demo"), lambda path, *, scale=1.0: arch.scaled(scale)))
    target = tmp_path / "x"
    target.write_text("demo")
    assert read(target, scale=2.0).loads[0].rate_per_s == 10.0
    with pytest.raises(fa.ModelError, match="is not a Source"):
        register("demo")


def test_plug_ins_come_from_entry_points(arch, tmp_path, monkeypatch):
    (tmp_path / "feaplug.py").write_text(
        "from fea_arch.sources import Source, read_native\n"
        "SOURCE = Source('plug', lambda head, path: head.startswith(b'plug'), read_native)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("plug", "feaplug:SOURCE", "fea_arch.sources"),
        EntryPoint("broken", "no_such_module:x", "fea_arch.sources"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.warns(RuntimeWarning, match="'broken' cannot be loaded"):
        assert "plug" in {s.name for s in sources()}


def test_a_failing_plug_in_stops_nothing(arch, tmp_path, no_additions):
    register(Source("bad", lambda head, path: 1 / 0, lambda path: arch))
    file = fa.write(arch, tmp_path / "x.yaml")
    with pytest.warns(RuntimeWarning, match="'bad' failed to look"):
        assert fa.read(file) == arch


def test_folder_of_traces(tmp_path):
    (tmp_path / "trace").mkdir()
    (tmp_path / "metric").mkdir()
    content = (FIXTURES / "shop_nezha.csv.gz").read_bytes()
    (tmp_path / "trace" / "normal_trace.csv.gz").write_bytes(content)
    (tmp_path / "metric" / "web-5f6c-x1a_metric.csv").write_text(
        "TimeStamp,MemoryUsage(Mi),MemoryUsageRate(%)\n1,40,20\n2,60,30\n"
    )
    arch = fa.read(tmp_path)
    assert arch["web"].memory_bytes == 50 * 2**20
    assert arch["web"].memory_limit_bytes == pytest.approx(200 * 2**20)
    with pytest.raises(fa.ModelError, match="has no trace"):
        fa.read(tmp_path, trace="other")


def test_outline_of_a_cut_document():
    head = json.dumps({"data": [{"traceID": "a", "spans": [{"spanID": "b", "x": {"y": [1]}}]}]}).encode()
    look = outline(head[:-9])
    assert look.has("data[].traceID", "data[].spans[].spanID", "data[].spans[].x.y")
    assert outline(b'// words "x"\n{ /* "no" */ "a": 1, // "b": 2\n "c": {}}').paths == {"a", "c"}
    assert outline(b"").form == "empty"


def test_reading_loads_nothing_heavy():
    code = (
        "import sys, fea_arch as fa\n"
        f"fa.read({str(FIXTURES / 'shop_otlp.jsonl')!r})\n"
        "print(sorted({'numba', 'networkx', 'matplotlib', 'scipy.sparse.linalg', 'pandas'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "[]"
