"""Column storage: what goes in comes out, checks by column equal checks by row."""

from __future__ import annotations

import numpy as np
import pytest
from architectures import components
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fea_arch.architecture import Architecture, Columns, Component, Dependency, Load, Provenance
from fea_arch.errors import ModelError


@given(st.lists(components(), max_size=6))
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
def test_rows_come_back_as_they_went_in(rows):
    columns = Columns.from_rows(Component, rows)
    assert list(columns) == rows
    assert columns[: len(rows)] == rows
    assert columns == Columns.from_rows(Component, rows)


@given(st.lists(components(), min_size=1, max_size=5), st.data())
def test_exchanged_rows_equal_a_fresh_build(rows, data):
    i = data.draw(st.integers(0, len(rows) - 1))
    new = data.draw(components())
    changed = Columns.from_rows(Component, rows).with_rows({i: new})
    rows[i] = new
    assert list(changed) == rows
    assert changed == Columns.from_rows(Component, rows)


def test_exchange_leaves_the_original_alone():
    columns = Columns.from_rows(Component, [Component("a"), Component("b", servers=3)])
    columns.with_rows({1: Component("b", servers=4)})
    assert columns[1].servers == 3
    assert not columns.column("servers").flags.writeable


def test_index_edges():
    columns = Columns.from_rows(Component, [Component("a"), Component("b")])
    assert columns[-1].name == "b"
    for i in (2, -3):
        with pytest.raises(IndexError):
            columns[i]
    assert columns != "something else"
    assert columns != Columns.from_rows(Component, [Component("a")])


def test_defaults_fill_unstored_columns():
    columns = Columns.from_arrays(Component, {"name": ["a", "b"]})
    assert columns.column("servers").tolist() == [1, 1]
    assert columns.column("kind").tolist() == ["service", "service"]
    assert np.isnan(columns.column("memory_bytes")).all()
    with pytest.raises(ModelError, match="Did you mean 'servers'"):
        columns.column("server")


def test_empty_columns():
    assert list(Columns.from_arrays(Component, {})) == []
    assert list(Columns.from_arrays(Component, {"name": []})) == []
    assert Columns.from_arrays(Component, {}).samples("servers").shape == (0,)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("service_time_s", [1.0, -2.0], "row 1 is"),
        ("service_time_s", [0.0, 1.0], "row 0 is"),
        ("service_time_s", [np.nan, 1.0], "row 0 is"),
        ("service_time_s", [1.0, np.inf], "row 1 is"),
        ("service_time_s", ["fast", 1.0], "not a number"),
        ("service_time_s", [[1.0], [2.0]], "not one-dimensional"),
        ("service_time_s", [1.0], "rows"),
        ("servers", [1, 0], "row 1 is"),
        ("servers", [1.5, 1], "row 0 is"),
        ("servers", [1e30, 1], "row 0 is"),
        ("servers", [10**400, 1], "not a number"),
        ("kind", ["service", "servce"], "Did you mean 'service'"),
        ("kind", ["service", None], "one of"),
        ("kind", ["service", []], "one of"),
        ("host", ["", None], "row 0 is ''"),
        ("host", [5, None], "row 0 is 5"),
        ("sevice_time_s", [1.0, 1.0], "Did you mean 'service_time_s'"),
    ],
)
def test_bad_columns_name_field_and_row(name, values, words):
    with pytest.raises(ModelError, match=words) as caught:
        Columns.from_arrays(Component, {"name": ["a", "b"], name: values}, owner="components")
    assert "components" in str(caught.value)


def test_required_columns():
    with pytest.raises(ModelError, match="needs the columns target"):
        Columns.from_arrays(Dependency, {"source": ["a"]})


def test_none_in_optional_columns_means_not_given():
    columns = Columns.from_arrays(
        Component, {"name": ["a", "b"], "queue_capacity": [None, 5], "memory_bytes": [None, 1]}
    )
    assert columns[0].queue_capacity is None
    assert columns[1].queue_capacity == 5
    assert columns[0].memory_bytes is None


def test_provenance_by_column():
    measured = Provenance("measured", samples=20)
    columns = Columns.from_arrays(
        Component, {"name": ["a", "b"], "service_time_s": [0.01, 0.02]}, provenance={"service_time_s": measured}
    )
    assert columns.codes("service_time_s").tolist() == [2, 2]
    assert columns.samples("service_time_s").tolist() == [20, 20]
    assert columns.codes("servers").tolist() == [0, 0]
    mixed = columns.with_rows({1: Component("b", service_time_s=0.03)})
    assert mixed.codes("service_time_s").tolist() == [2, 1]
    assert mixed.samples("service_time_s").tolist() == [20, 0]


@given(st.lists(components(), min_size=1, max_size=6))
def test_codes_follow_the_stated_rule(rows):
    columns = Columns.from_rows(Component, rows)
    for field in ("service_time_s", "servers", "memory_bytes", "kind", "host", "queue_capacity", "curve"):
        default = getattr(Component("x"), field)
        expected = [
            row.provenance[field].code if field in row.provenance else int(getattr(row, field) != default)
            for row in rows
        ]
        assert columns.codes(field).tolist() == expected


def test_numbers_stand_for_names():
    names = np.array(["a", "b", "c"], object)
    calls = Columns.from_arrays(Dependency, {"source": np.array([0, 0]), "target": np.array([1, 2])}, names=names)
    assert [d.label for d in calls] == ["a->b", "a->c"]
    parts = Columns.from_arrays(Component, {"name": names})
    arch = Architecture(name="n", components=parts, dependencies=calls, loads=[Load("a", rate_per_s=1)])
    assert arch.graph.target.tolist() == [1, 2]
    # other components: the numbers mean nothing there, names decide
    shuffled = Architecture(name="n", components=parts.take(np.array([2, 1, 0])), dependencies=calls)
    assert shuffled.graph.source.tolist() == [2, 2]
    assert shuffled.graph.target.tolist() == [1, 0]
    for wrong in ([0, 3], [-1, 0], [[0, 1]]):
        with pytest.raises(ModelError, match=r"number of a name|not one-dimensional"):
            Columns.from_arrays(Dependency, {"source": np.array(wrong), "target": np.array([1, 2])}, names=names)


@pytest.mark.slow
def test_a_million_components_are_built_by_column(tmp_path):
    """Time is not asserted here (shared machines); memory is, in a process of its own."""
    import subprocess
    import sys

    script = """
import resource, numpy as np
from fea_arch.architecture import Architecture, Columns, Component, Dependency, Load
n = 1_000_000
rng = np.random.default_rng(0)
source = np.sort(rng.integers(0, n - 1, 4 * n))
target = np.minimum(source + 1 + rng.integers(0, n, 4 * n) % (n - source), n - 1)
names = np.array([f"c{i}" for i in range(n)], object)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
parts = Columns.from_arrays(Component, {"name": names, "service_time_s": rng.random(n) + 0.001})
calls = Columns.from_arrays(Dependency, {"source": source, "target": target}, names=names)
arch = Architecture(name="big", components=parts, dependencies=calls, loads=[Load("c0", rate_per_s=1.0)])
assert arch.graph.n_edges == 4 * n
assert len(arch.check()) >= 1
assert arch.replaced("c5", servers=2)["c5"].servers == 2
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    peak, _ = map(float, done.stdout.split())
    assert peak < 1100, f"{peak:.0f} MB"
