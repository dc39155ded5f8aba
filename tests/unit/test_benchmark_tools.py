"""The comparison of two versions trips when it should and only then; the table says what was recorded."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not beside the tests")


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = found  # dataclasses look their module up
    spec.loader.exec_module(found)
    return found


def written(path: Path, times: dict[str, float], **counters: dict[str, int]) -> str:
    entries = [
        {
            "fullname": f"benchmarks/test_a.py::{name}",
            "name": name,
            "stats": {"min": seconds, "rounds": 3},
            "extra_info": {"counters": counters.get(name, {})},
        }
        for name, seconds in times.items()
    ]
    info = {"system": "Linux", "machine": "x86_64", "cpu": {"brand_raw": "some processor", "count": 2}}
    document = {"benchmarks": entries, "machine_info": info, "datetime": "2026-01-02T03:04:05"}
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_trips_above_a_quarter_and_not_below(tmp_path, capsys):
    compare = module("compare")
    base = written(tmp_path / "base.json", {"a": 0.100, "b": 0.200})
    assert compare.main([base, written(tmp_path / "near.json", {"a": 0.124, "b": 0.2})]) == 0
    assert compare.main([base, written(tmp_path / "slow.json", {"a": 0.126, "b": 0.2})]) == 1
    out = capsys.readouterr().out
    assert "| `benchmarks/test_a.py::a` | time | 100 ms | 126 ms | 1.26 | WORSE |" in out


def test_noise_of_microseconds_does_not_trip(tmp_path):
    compare = module("compare")
    base = written(tmp_path / "base.json", {"a": 20e-6})
    assert compare.main([base, written(tmp_path / "head.json", {"a": 60e-6})]) == 0
    assert compare.main([base, written(tmp_path / "more.json", {"a": 80e-6})]) == 1


def test_the_best_of_several_runs_counts(tmp_path):
    compare = module("compare")
    base = written(tmp_path / "b1.json", {"a": 0.1}) + "," + written(tmp_path / "b2.json", {"a": 0.2})
    assert compare.main([base, written(tmp_path / "h1.json", {"a": 0.15})]) == 1
    both = f"{tmp_path / 'h1.json'},{written(tmp_path / 'h2.json', {'a': 0.11})}"
    assert compare.main([base, both]) == 0


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ({"fill": 100}, {"fill": 100}, 0),
        ({"fill": 100}, {"fill": 101}, 1),
        ({"iterations": 30}, {"iterations": 20}, 0),
        ({"peak_memory_bytes": 1000}, {"peak_memory_bytes": 1049}, 0),
        ({"peak_memory_bytes": 1000}, {"peak_memory_bytes": 1060}, 1),
        ({"specialisations": 10}, {"specialisations": 12}, 1),
        ({}, {"fill": 7}, 0),
    ],
)
def test_counters_trip_whatever_the_clock_says(tmp_path, before, after, code):
    compare = module("compare")
    base = written(tmp_path / "base.json", {"a": 0.1}, a=before)
    assert compare.main([base, written(tmp_path / "head.json", {"a": 0.05}, a=after)]) == code


def test_new_and_gone_are_listed_and_do_not_trip(tmp_path, capsys):
    compare = module("compare")
    base = written(tmp_path / "base.json", {"a": 0.1, "old": 0.1})
    assert compare.main([base, written(tmp_path / "head.json", {"a": 0.1, "fresh": 9.0})]) == 0
    out = capsys.readouterr().out
    assert "new: `benchmarks/test_a.py::fresh`" in out
    assert "gone: `benchmarks/test_a.py::old`" in out


def test_nothing_in_common_is_an_error(tmp_path):
    compare = module("compare")
    assert compare.main([written(tmp_path / "a.json", {"a": 1.0}), written(tmp_path / "b.json", {"b": 1.0})]) == 2


def test_table_shows_time_ratio_and_counters(tmp_path):
    table = module("table")
    path = written(tmp_path / "run.json", {"test_x[1]": 0.00123}, **{"test_x[1]": {"fill": 7}})
    run = json.loads(Path(path).read_text(encoding="utf-8"))
    run["benchmarks"][0]["extra_info"]["times_faster_than_scipy"] = 12.345
    text = table.table(table.trimmed(run))
    assert "| `x[1]` | 1.23 ms | times faster than scipy 12.3 | fill 7 |" in text
    assert "some processor, 2 cores" in text


def test_the_readme_is_what_was_recorded():
    table = module("table")
    if not table.RECORDED.exists():
        pytest.fail("no run is recorded: python benchmarks/table.py RUN.json")
    record = json.loads(table.RECORDED.read_text(encoding="utf-8"))
    assert table.README.read_text(encoding="utf-8") == table.table(record)
    assert record["versions"]["numpy"] and record["machine"]["cores"] >= 1
    assert len(record["benchmarks"]) > 20
