"""Identities of graph theory through the structural solver (V-GR-01 to V-GR-09), tolerance 1e-10."""

from __future__ import annotations

import math
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from reference.linear_algebra import random_tree_graph

import fea_arch as fa
from fea_arch.assembly import Pattern
from fea_arch.solvers.linear import factor

TOL = 1e-10


def bars(graph):
    graph = nx.convert_node_labels_to_integers(graph)
    ends = np.array(graph.edges)
    return graph.number_of_nodes(), ends, np.array([d.get("weight", 1.0) for _, _, d in graph.edges(data=True)], float)


def resistance(n, ends, k, i, j):
    f = np.zeros(n)
    f[i] = 1.0
    return fa.solve(fa.Mesh.from_bars(n, ends, k, supports=[j]), f).displacement[i]


def all_resistances(n, ends, k):
    mesh = fa.Mesh.from_bars(n, ends, k, supports=[0])
    inverse = np.zeros((n, n))
    inverse[1:, 1:] = factor(fa.assemble(mesh).K).solve_many(np.eye(n - 1))
    d = inverse.diagonal()
    return d[:, None] + d - inverse - inverse.T


def trees(n, ends, k, method):
    pattern = Pattern.of(fa.Mesh.from_bars(n, ends, k, supports=[0]))
    return math.exp(factor(pattern.refill(k), method=method).logdet)


def test_effective_resistance_of_paths_cycles_complete_graphs_and_stars():
    """V-GR-01."""
    assert resistance(*bars(nx.path_graph(10)), 9, 0) == pytest.approx(9, rel=TOL)
    for distance in range(1, 10):
        value = distance * (10 - distance) / 10
        assert resistance(*bars(nx.cycle_graph(10)), distance, 0) == pytest.approx(value, rel=TOL)
    assert resistance(*bars(nx.complete_graph(7)), 3, 5) == pytest.approx(2 / 7, rel=TOL)
    assert resistance(*bars(nx.star_graph(9)), 3, 5) == pytest.approx(2, rel=TOL)


@pytest.mark.parametrize(
    ("graph", "value"),
    [(nx.path_graph(10), 165), (nx.cycle_graph(10), 82.5), (nx.complete_graph(10), 9), (nx.star_graph(9), 81)],
)
def test_kirchhoff_index_and_the_spectrum(graph, value):
    """V-GR-02, V-GR-03: the sum of resistances is n times the sum of the inverse Laplacian eigenvalues."""
    n, ends, k = bars(graph)
    assert np.triu(all_resistances(n, ends, k)).sum() == pytest.approx(value, rel=TOL)
    full = Pattern.of(fa.Mesh.from_bars(n, ends, k, supports=[])).refill(k).toarray()
    spectrum = np.linalg.eigvalsh(full)[1:]
    assert n * (1 / spectrum).sum() == pytest.approx(value, rel=TOL)


def test_laplacian_spectra_of_assembled_structures():
    """V-GR-03: closed forms; eigenvalue counts below a shift agree through the inertia of the factor."""
    n = 12
    place = np.arange(n)
    cases = {
        "path": (nx.path_graph(n), 2 - 2 * np.cos(np.pi * place / n)),
        "cycle": (nx.cycle_graph(n), 2 - 2 * np.cos(2 * np.pi * place / n)),
        "star": (nx.star_graph(n - 1), np.array([0.0] + [1.0] * (n - 2) + [n])),
        "complete": (nx.complete_graph(n), np.array([0.0] + [n] * (n - 1))),
    }
    line = 2 - 2 * np.cos(np.pi * np.arange(4) / 4)
    cases["grid"] = (nx.grid_2d_graph(4, 4), (line[:, None] + line).ravel())
    for d in (2, 3, 4):
        cases[f"cube{d}"] = (
            nx.hypercube_graph(d), np.repeat(2.0 * np.arange(d + 1), [math.comb(d, k) for k in range(d + 1)])
        )
    for graph, spectrum in cases.values():
        size, ends, k = bars(graph)
        full = Pattern.of(fa.Mesh.from_bars(size, ends, k, supports=[])).refill(k)
        np.testing.assert_allclose(np.linalg.eigvalsh(full.toarray()), np.sort(spectrum), atol=TOL)
        shift = 1.2345
        moved = full.copy()
        moved.setdiag(full.diagonal() - shift)
        for method in ("ldl", "dense"):
            assert factor(moved, method=method, definite=False).inertia[0] == (spectrum < shift).sum()


@pytest.mark.parametrize(("d", "near", "far", "count"), [
    (2, 0.75, 1, 4), (3, 0.583333333333333, 0.833333333333333, 384), (4, 0.46875, 0.666666666666667, 42467328),
])
def test_hypercubes(d, near, far, count):
    """V-GR-04."""
    n, ends, k = bars(nx.hypercube_graph(d))
    assert resistance(n, ends, k, *ends[0]) == pytest.approx(near, rel=TOL)
    assert resistance(n, ends, k, n - 1, 0) == pytest.approx(far, rel=TOL)
    assert far == pytest.approx(sum(1 / math.comb(d - 1, i) for i in range(d)) / d, rel=TOL)
    for method in ("ldl", "dense"):
        assert trees(n, ends, k, method) == pytest.approx(count, rel=TOL)


@pytest.mark.parametrize(
    ("n", "value"), [(2, 1), (3, 1.5), (4, 13 / 7), (5, 47 / 22), (6, 1171 / 495), (8, 270941 / 99283)]
)
def test_corner_to_corner_resistance_of_grids(n, value):
    """V-GR-05."""
    assert resistance(*bars(nx.grid_2d_graph(n, n)), n * n - 1, 0) == pytest.approx(value, rel=TOL)


@pytest.mark.parametrize(("n", "count"), [(3, 192), (4, 100352), (5, 557568000)])
def test_spanning_trees_of_grids(n, count):
    """V-GR-05: the determinant of the grounded stiffness counts spanning trees."""
    for method in ("ldl", "dense"):
        assert trees(*bars(nx.grid_2d_graph(n, n)), method) == pytest.approx(count, rel=TOL)


def test_foster_sum_on_the_weighted_karate_club():
    """V-GR-06: the sum of w_e R_e is n - 1."""
    n, ends, k = bars(nx.karate_club_graph())
    assert (k * all_resistances(n, ends, k)[ends[:, 0], ends[:, 1]]).sum() == pytest.approx(33, rel=TOL)


@pytest.mark.parametrize("seed", range(8))
def test_stiffening_an_element_never_raises_a_resistance(seed):
    """V-GR-07: Rayleigh monotonicity, with equality where no current passes through the element."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 14))
    ends = random_tree_graph(rng, n, n)
    k = rng.uniform(0.1, 10, len(ends))
    before = all_resistances(n, ends, k)
    e = int(rng.integers(len(ends)))
    more = k.copy()
    more[e] *= 3
    after = all_resistances(n, ends, more)
    assert (after <= before + 1e-12).all()
    for i, j in combinations(range(n), 2):
        f = np.zeros(n)
        f[i] = 1.0
        q = fa.solve(fa.Mesh.from_bars(n, ends, k, supports=[j]), f).force[e]
        assert (abs(q) > 1e-9) == (before[i, j] - after[i, j] > 1e-13)


@pytest.mark.parametrize(("graph", "total", "gap", "count"), [
    (nx.path_graph(4), 10, 0.585786437626905, 1), (nx.cycle_graph(4), 5, 2, 4),
    (nx.Graph([(0, 1), (0, 2), (0, 3), (1, 2), (2, 3)]), 4, 2, 8), (nx.complete_graph(4), 3, 4, 16),
])
def test_small_graphs_of_a_robustness_library(graph, total, gap, count):
    """V-GR-08: values of safreita1/TIGER@8ddb87b:tests/test_measures.py."""
    n, ends, k = bars(graph)
    assert np.triu(all_resistances(n, ends, k)).sum() == pytest.approx(total, rel=TOL)
    full = Pattern.of(fa.Mesh.from_bars(n, ends, k, supports=[])).refill(k).toarray()
    assert np.linalg.eigvalsh(full)[1] == pytest.approx(gap, rel=TOL)
    assert trees(n, ends, k, "ldl") == pytest.approx(count, rel=TOL)


@pytest.mark.parametrize("seed", range(4))
def test_share_of_spanning_trees_with_an_edge(seed):
    """V-GR-09: P(e in a weighted uniform tree) = w_e R_e; trees without e are counted by removing it."""
    rng = np.random.default_rng(seed)
    n = 9
    ends = random_tree_graph(rng, n, 12)
    k = rng.uniform(0.1, 10, len(ends))
    whole = trees(n, ends, k, "ldl")
    shares = k * all_resistances(n, ends, k)[ends[:, 0], ends[:, 1]]
    for e, share in enumerate(shares):
        if share < 1 - 1e-9:
            rest = np.delete(np.arange(len(ends)), e)
            assert 1 - trees(n, ends[rest], k[rest], "ldl") / whole == pytest.approx(share, rel=1e-8, abs=1e-10)
