"""Findings name the component, the field and the fix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fea_arch as fa
from fea_arch.architecture import require_valid
from fea_arch.architecture.checks import _spread
from fea_arch.errors import ModelError


def pair(**changes):
    given = {
        "components": [fa.Component("a"), fa.Component("b")],
        "dependencies": [fa.Dependency("a", "b")],
        "loads": [fa.Load("a", rate_per_s=1.0)],
    } | changes
    return fa.Architecture(name="pair", **given)


def only(arch, level, words):
    hits = [f for f in arch.check() if f.level == level and words in str(f)]
    assert len(hits) == 1, arch.check()
    return hits[0]


def test_a_sound_description_has_no_errors():
    arch = pair(objective=fa.Objective(latency_s=1.0))
    assert [f for f in arch.check() if f.level != "info"] == []
    require_valid(arch)


def test_worst_first():
    levels = [f.level for f in pair(loads=[]).replaced("a", memory_bytes=5.0, memory_limit_bytes=5.0).check()]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)


@pytest.mark.parametrize(
    ("arch", "level", "words", "component", "field"),
    [
        (fa.Architecture(name="empty"), "error", "no components", "", "components"),
        (pair(loads=[]), "error", "nothing loads", "", "loads"),
        (pair(loads=[fa.Load("a", rate_per_s=0.0)]), "warning", "all loads are zero", "", "loads"),
        (
            pair(components=[fa.Component("a", available=False), fa.Component("b")]),
            "error",
            "not available",
            "a",
            "loads",
        ),
        (pair(dependencies=[]), "warning", "no load reaches 1 components: b", "b", "dependencies"),
        (pair(dependencies=[fa.Dependency("a", "b", calls=0.0)]), "warning", "no load reaches", "b", "dependencies"),
        (pair(dependencies=[fa.Dependency("a", "b", retries=2)]), "warning", "retries without", "a->b", "timeout_s"),
        (
            pair(dependencies=[fa.Dependency("a", "b"), fa.Dependency("b", "b", calls=1.0)]),
            "error",
            "calls itself",
            "b->b",
            "calls",
        ),
        (
            pair(components=[fa.Component("a"), fa.Component("b", available=False)]),
            "warning",
            "requires a component that is not available",
            "a->b",
            "required",
        ),
        (
            pair(components=[fa.Component("a"), fa.Component("b", memory_bytes=5e8, memory_limit_bytes=4e8)]),
            "error",
            "at or above the limit",
            "b",
            "memory_limit_bytes",
        ),
        (
            pair(
                components=[fa.Component("a", memory_bytes=6.0, replicas=2), fa.Component("b")],
                objective=fa.Objective(memory_bytes=10.0),
            ),
            "warning",
            "above the budget",
            "",
            "memory_bytes",
        ),
        (pair(), "info", "no latency objective", "", "objective"),
        (pair(), "info", "2 of 2 components is assumed", "a", "service_time_s"),
    ],
)
def test_findings(arch, level, words, component, field):
    found = only(arch, level, words)
    assert (found.component, found.field) == (component, field)
    assert found.fix
    assert str(found).startswith(f"{level}: ")


def test_optional_dependency_on_a_missing_component_is_fine():
    arch = pair(
        components=[fa.Component("a"), fa.Component("b", available=False)],
        dependencies=[fa.Dependency("a", "b", required=False)],
    )
    assert not [f for f in arch.check() if "not available" in f.message]


def test_errors_stop_an_analysis_and_all_are_listed():
    arch = pair(dependencies=[fa.Dependency("a", "a", calls=2.0), fa.Dependency("b", "b", calls=1.0)])
    with pytest.raises(ModelError, match=r"a->a.calls: .*1 more: error: b->b"):
        require_valid(arch)


def test_reader_notes_are_findings():
    note = fa.Finding("warning", "2 spans without a parent", count=2)
    assert note in pair(notes=[note]).check()
    assert "(2 times)" in str(note)


def slow_spread(reached, source, target):
    changed = True
    while changed:
        changed = False
        for i, j in zip(source, target):
            if reached[i] and not reached[j]:
                reached[j] = changed = True


@given(
    st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=120), st.integers(0, 39)
)
def test_reachability_equals_the_naive_closure(n, edges, start):
    pairs = np.array([(i % n, j % n) for i, j in edges], np.int64).reshape(-1, 2)
    fast, slow = np.zeros(n, bool), np.zeros(n, bool)
    fast[start % n] = slow[start % n] = True
    _spread(fast, pairs[:, 0], pairs[:, 1])
    slow_spread(slow, pairs[:, 0], pairs[:, 1])
    assert fast.tolist() == slow.tolist()


@pytest.mark.parametrize("shape", ["chain", "star", "layers"])
def test_large_shapes_are_walked_once(shape):
    n = 60_000
    number = np.arange(n - 1)
    if shape == "chain":
        source, target = number, number + 1
    elif shape == "star":
        source, target = np.zeros(n - 1, np.int64), number + 1
    else:
        source, target = np.repeat(np.arange(n // 3), 3)[: n - 1], number + 1
    reached = np.zeros(n, bool)
    reached[0] = True
    _spread(reached, source, target)
    assert reached.all()
