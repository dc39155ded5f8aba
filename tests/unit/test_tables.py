"""Tables by column: frames, names and numbers, bad cells, and a million rows without an object each."""

from __future__ import annotations

import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fea_arch as fa

COMPONENTS = {
    "name": ["web", "db", "cache"],
    "service_time_s": [0.002, 0.010, 0.001],
    "servers": [4, 2, 1],
    "kind": ["service", "database", "cache"],
}
CALLS = {"source": ["web", "web"], "target": ["db", "cache"], "calls": [1.0, 0.5], "mode": ["sync", "async"]}
LOADS = {"entry": ["web"], "rate_per_s": [50.0]}


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def polars_like(columns: dict[str, list[Any]]) -> Any:
    """What the reader uses of a polars frame: names under ``columns``, and columns with ``to_numpy``."""

    class Frame:
        def __init__(self) -> None:
            self.columns = list(columns)

        def __getitem__(self, name: str) -> Any:
            values = columns[name]

            class Series:
                def __len__(self) -> int:
                    return len(values)

                def to_numpy(self) -> np.ndarray:
                    return np.array(values, object if isinstance(values[0], str) else None)

            return Series()

    return Frame()


def expected() -> fa.Architecture:
    return fa.Architecture(
        name="tables",
        components=[fa.Component(**row) for row in rows(COMPONENTS)],
        dependencies=[fa.Dependency(**row) for row in rows(CALLS)],
        loads=[fa.Load("web", rate_per_s=50.0)],
    )


@pytest.mark.parametrize("form", [dict, pd.DataFrame, rows, polars_like], ids=["dict", "pandas", "rows", "polars-like"])
def test_all_forms_of_tables_mean_the_same(form: Any) -> None:
    arch = fa.from_tables(form(COMPONENTS), form(CALLS), loads=form(LOADS))
    assert arch == expected()


def test_real_polars_frames() -> None:
    pl = pytest.importorskip("polars")
    arch = fa.from_tables(pl.DataFrame(COMPONENTS), pl.DataFrame(CALLS), loads=pl.DataFrame(LOADS))
    assert arch == expected()


def test_rows_by_number_equal_rows_by_name() -> None:
    numbered = {**CALLS, "source": np.array([0, 0]), "target": [1, 2]}
    arch = fa.from_tables(COMPONENTS, numbered, loads={"entry": [0], "rate_per_s": [50.0]})
    assert arch == expected()
    # the shortcut of numbered edges must not survive a change of the components
    moved = arch.without("web").graph
    assert moved.n_edges == 0
    assert arch.replaced("db", name="store").graph.target.tolist() == [1, 2]


def test_empty_cells_mean_not_given() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "memory_bytes": [1e6, None],
            "host": [None, float("nan")],
            "replicas": pd.array([2, 1], "Int64"),
        }
    )
    arch = fa.from_tables(frame)
    assert (arch["a"].memory_bytes, arch["b"].memory_bytes, arch["b"].host, arch["a"].replicas) == (1e6, None, None, 2)
    with pytest.raises(fa.ModelError, match="replicas"):
        fa.from_tables(pd.DataFrame({"name": ["a", "b"], "replicas": pd.array([2, None], "Int64")}))


def test_provenance_of_columns() -> None:
    arch = fa.from_tables(
        COMPONENTS, CALLS, provenance={"service_time_s": fa.Provenance("measured", 30), "servers": "assumed"}
    )
    assert arch.component_columns.codes("service_time_s").tolist() == [2, 2, 2]
    assert arch.component_columns.codes("servers").tolist() == [0, 0, 0]
    assert arch["db"].provenance["service_time_s"].samples == 30
    assert fa.from_tables(COMPONENTS).component_columns.codes("service_time_s").tolist() == [
        1,
        0,
        1,
    ]  # 10 ms is the default


@pytest.mark.parametrize(
    ("components", "calls", "words"),
    [
        ({"nome": ["a"]}, None, "'name'"),
        ({"name": ["a"], "servise_time_s": [1]}, None, "Did you mean 'service_time_s'"),
        ({"name": ["a", "b"], "service_time_s": [1.0]}, None, "rows"),
        ({"name": ["a"], "service_time_s": ["fast"]}, None, "components.service_time_s: row 0 is 'fast'"),
        ({"name": ["a", "b"], "service_time_s": [1.0, np.nan]}, None, "row 1"),
        ({"name": ["a", "b"], "service_time_s": [1.0, -1.0]}, None, "row 1"),
        ({"name": ["a"], "servers": [1.5]}, None, "servers"),
        ({"name": ["a"], "kind": ["servise"]}, None, "Did you mean 'service'"),
        ({"name": ["a", "a"]}, None, "used twice"),
        ({"name": ["a", None]}, None, "row 1 is empty"),
        ({"name": ["a", 3]}, None, "row 1"),
        ({"name": ["a"], "cpu_s": [5.0]}, None, "a.cpu_s"),
        ({"name": ["a"], "law": ["tabulated"]}, None, "a.curve"),
        ({"name": ["a"], "failure_limit": [0.1]}, None, "a.failure_limit"),
        ({"name": ["a"]}, {"source": ["a"], "target": ["b"]}, "not a component"),
        ({"name": ["a"]}, {"source": [0], "target": [1]}, "dependencies.target: row 0 is 1, outside"),
        ({"name": ["a"]}, {"source": ["a"]}, "target"),
        ({"name": "a"}, None, "not a column"),
        (5, None, "not a table"),
        ({"name": ["a"]}, {"source": ["a"], "target": ["a"], "calls": [np.inf]}, "calls"),
    ],
)
def test_bad_tables_name_the_cell(components: Any, calls: Any, words: str) -> None:
    with pytest.raises(fa.ModelError) as caught:
        fa.from_tables(components, calls)
    assert words in str(caught.value)


def test_loads_are_checked() -> None:
    with pytest.raises(fa.ModelError, match="differ in length"):
        fa.from_tables(COMPONENTS, loads={"entry": ["web", "db"], "rate_per_s": [1.0]})
    with pytest.raises(fa.ModelError, match="no field 'rate'"):
        fa.from_tables(COMPONENTS, loads={"entry": ["web"], "rate": [1.0]})
    with pytest.raises(fa.ModelError, match="not a table"):
        fa.from_tables(COMPONENTS, loads=SimpleNamespace())


@pytest.mark.slow
def test_a_million_components_need_no_object_each() -> None:
    n = 1_000_000
    rng = np.random.default_rng(0)
    names = np.array([f"s{i}" for i in range(n)], object)
    source = rng.integers(0, n - 1, n)
    target = np.minimum(source + rng.integers(1, 100, n), n - 1)
    times = rng.uniform(1e-3, 1e-2, n)
    begin = time.perf_counter()
    sorted(names.tolist())  # the yardstick of this machine: sorting the names once
    yardstick = time.perf_counter() - begin
    tracemalloc.start()
    begin = time.perf_counter()
    arch = fa.from_tables(
        {"name": names, "service_time_s": times},
        {"source": source, "target": target},
        loads=[fa.Load("s0", rate_per_s=1.0)],
    )
    elapsed = time.perf_counter() - begin
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(arch), arch.graph.n_edges) == (n, n)
    assert arch.components[77].name == "s77"
    # arrays, the index of names and the edge arrays: a Component alone would take over 300 bytes
    assert kept / n < 300
    assert elapsed < 60 * yardstick
