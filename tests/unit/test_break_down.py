"""Fracture: the same breaks as a fresh dense solve, under load and displacement; odd cases and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.linear_algebra import break_down_afresh, lattice, random_tree_graph

import fea_arch as fa
from fea_arch.kernels import downdate, ldl, local_sharing, supernodes
from fea_arch.solvers import fracture


@given(st.integers(0, 2**32 - 1), st.integers(3, 25), st.integers(0, 40), st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_graph_breaks_as_with_fresh_solves(seed, n, extra, held):
    rng = np.random.default_rng(seed)
    ends = random_tree_graph(rng, n, extra)
    flip = rng.random(len(ends)) < 0.5
    ends[flip] = ends[flip][:, ::-1]
    k, strength = rng.uniform(0.2, 5, len(ends)), rng.uniform(0.1, 1, len(ends))
    mesh = fa.Mesh.from_bars(n, ends, k, strength=strength)
    if held:
        f, prescribed = None, {n - 1: 1.0, n // 2: 0.3} if n > 3 else {n - 1: 1.0}
    else:
        f, prescribed = np.zeros(n), None
        f[n - 1] = 1.0
    original = fracture.LEAST_BLOCK, fracture.BLOCK_RATIO
    fracture.LEAST_BLOCK, fracture.BLOCK_RATIO = 4.0, 2.0  # many blocks even in a small graph
    try:
        r = fa.break_down(mesh, f, prescribed=prescribed)
    finally:
        fracture.LEAST_BLOCK, fracture.BLOCK_RATIO = original
    sequence, factors = break_down_afresh(mesh, f, strength, prescribed)
    assert r.sequence.tolist() == sequence
    np.testing.assert_allclose(r.load_factor, factors, rtol=1e-7)
    assert r.separated
    assert r.residual <= 1e-9


@pytest.mark.parametrize("control", ["displacement", "force"])
def test_leaving_blocks_out_changes_nothing(control, monkeypatch):
    size = 24
    n, ends = lattice(size + 1, size, periodic=True)
    rng = np.random.default_rng(4)
    mesh = fa.Mesh.from_bars(n, ends, 10 ** rng.uniform(-0.5, 0.5, len(ends)), supports=np.arange(size))
    strength = rng.random(len(ends))
    top = range(n - size, n)
    f = np.zeros(n)
    f[list(top)] = 1.0
    arguments = {"prescribed": dict.fromkeys(top, 1.0)} if control == "displacement" else {"f": f}
    runs = []
    for least in (60.0, 1e12):
        monkeypatch.setattr(fracture, "LEAST_BLOCK", least)
        runs.append(fa.break_down(mesh, strength=strength, **arguments))
    assert runs[0].sequence.tolist() == runs[1].sequence.tolist()
    np.testing.assert_allclose(runs[0].load_factor, runs[1].load_factor, rtol=1e-10)
    for r in runs:
        assert r.separated
        assert r.residual <= 1e-12


def test_levers_break_as_with_fresh_solves():
    """Redundant levers on three nodes, loaded at one: rows that are no bars use the same factor."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        rows = rng.normal(size=(9, 3))
        strength = rng.uniform(0.5, 1, 9)
        mesh = fa.Mesh.from_incidence(rows, strength=strength)
        f = np.array([1.0, 0, 0])
        sequence, factors = break_down_afresh(mesh, f, strength)
        r = fa.break_down(mesh, f)
        assert r.sequence.tolist() == sequence[: r.sequence.size]
        np.testing.assert_allclose(r.load_factor, factors[: r.sequence.size], rtol=1e-7)
        assert r.separated
        assert len(sequence) - 2 <= r.sequence.size <= len(sequence)


def test_interpreted_and_compiled_kernels_agree(monkeypatch):
    n, ends = lattice(6, 5, periodic=True)
    strength = np.random.default_rng(2).random(len(ends))
    mesh = fa.Mesh.from_bars(n, ends, 1.0, supports=np.arange(5), strength=strength)
    prescribed = dict.fromkeys(range(n - 5, n), 1.0)
    monkeypatch.setattr(fracture, "LEAST_BLOCK", 10.0)
    runs = []
    for mode in ("py_func", "compiled"):
        with monkeypatch.context() as patch:
            for module, name in (
                (downdate, "break_elements"), (ldl, "forward_load"), (downdate, "back_substitute"),
                (supernodes, "relaxed_supernodes"), (supernodes, "panel_layout"), (supernodes, "fill_panels"),
                (supernodes, "tree_blocks"),
            ):
                kernel = getattr(module, name)
                patch.setattr(module, name, kernel.py_func if mode == "py_func" else kernel.compiled())
            runs.append(fa.break_down(mesh, prescribed=prescribed))
    assert runs[0].sequence.tolist() == runs[1].sequence.tolist()
    np.testing.assert_allclose(runs[0].load_factor, runs[1].load_factor, rtol=1e-11)
    ring = []
    for kernel in (local_sharing.share_locally.py_func, local_sharing.share_locally.compiled()):
        sequence, factor = np.empty(len(ends), np.int64), np.empty(len(ends))
        kernel(strength, sequence, factor)
        ring.append((sequence, factor))
    np.testing.assert_array_equal(ring[0][0], ring[1][0])
    np.testing.assert_array_equal(ring[0][1], ring[1][1])


def test_floating_and_dangling_parts_carry_nothing():
    ends = [(1, 0), (2, 1), (3, 2), (4, 5), (6, 1)]  # 4-5 float, 6 dangles
    mesh = fa.Mesh.from_bars(7, ends, 1.0, strength=[3.0, 2.0, 4.0, 0.1, 0.1])
    r = fa.break_down(mesh, np.eye(7)[3])
    assert r.sequence.tolist() == [1]
    assert r.load_factor.tolist() == [pytest.approx(2.0)]
    assert r.stiffness[0] == pytest.approx(1 / 3)
    assert r.separated
    with pytest.raises(fa.ModelError, match="node 4 has no path to a support"):
        fa.break_down(mesh, np.eye(7)[4])


def test_max_breaks_and_elements_that_never_break():
    mesh = fa.Mesh.from_bars(2, [(1, 0)] * 4, 1.0, strength=[1.0, 2.0, np.inf, 3.0])
    r = fa.break_down(mesh, [0, 1.0])
    assert r.sequence.tolist() == [0, 1, 3]
    assert r.load_factor.tolist() == [4.0, 6.0, 6.0]
    assert not r.separated
    assert fa.break_down(mesh, [0, 1.0], max_breaks=1).sequence.tolist() == [0]
    assert fa.break_down(mesh, [0, 1.0], max_breaks=0).sequence.size == 0
    chain = fa.Mesh.from_bars(4, [(1, 0), (2, 1), (2, 0), (3, 2)], 1.0, strength=[1.0, 1.0, 5.0, np.inf])
    r = fa.break_down(chain, np.eye(4)[3], max_breaks=1)
    assert r.sequence.size == 1
    assert r.load_factor[0] == pytest.approx(3.0)
    assert not r.separated


def test_a_prescribed_bundle_breaks_fibre_by_fibre():
    mesh = fa.Mesh.from_bars(2, [(1, 0)] * 3, [1.0, 2.0, 4.0], strength=[1.0, 1.0, 1.0])
    r = fa.break_down(mesh, prescribed={1: 1.0})
    assert r.sequence.tolist() == [2, 1, 0]
    assert r.load_factor.tolist() == [0.25, 0.5, 1.0]
    assert r.stiffness.tolist() == [7.0, 3.0, 1.0]
    assert r.load.tolist() == [1.75, 1.5, 1.0]


def test_result_tables_and_text():
    r = fa.break_down(fa.Mesh.from_bars(2, [(1, 0)] * 2, 1.0, strength=[1.0, 3.0]), [0, 1.0])
    assert r.to_dict()["sequence"] == [0, 1]
    assert len(repr(r).splitlines()) <= 8
    assert "BreakDownResult" in r._repr_html_()
    assert r.to_dataframe()["load_factor"].tolist() == [2.0, 3.0]
    with pytest.raises(ValueError):
        r.load[0] = 1.0


@pytest.mark.parametrize(("arguments", "field"), [
    ({"f": [0, 1.0]}, "strength"), ({"f": [0, 1.0], "strength": [1.0]}, "strength"),
    ({"f": [0, 1.0], "strength": [1.0, 0.0]}, "strength"), ({"f": [0, 1.0], "strength": [1.0, np.nan]}, "strength"),
    ({"strength": 1.0}, "f"), ({"f": [0, 1.0], "prescribed": {1: 1.0}, "strength": 1.0}, "f"),
    ({"f": [0, 1.0], "strength": 1.0, "sharing": "locally"}, "sharing"),
    ({"f": [0, 1.0], "strength": 1.0, "max_breaks": -1}, "max_breaks"),
])
def test_bad_input_is_named(arguments, field):
    with pytest.raises(fa.ModelError) as caught:
        fa.break_down(fa.Mesh.from_bars(2, [(1, 0)] * 2, 1.0), **arguments)
    assert caught.value.field == field
