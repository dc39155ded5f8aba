"""Overload cascades: Motter-Lai and Crucitti-Latora-Marchiori as cases of the avalanche (V-CA-01 to V-CA-03)."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import fea_arch as fa
from fea_arch.analyses.cascade import cascade
from fea_arch.solvers.avalanche import run_avalanche


def ring(n):
    return [(k, (k + 1) % n) for k in range(n)]


@pytest.mark.parametrize(("n", "below", "above"), [(9, 3, 8), (11, 4, 10), (12, 5, 11)])
def test_ring_needs_twice_its_load(n, below, above):
    """V-CA-01: the intact load is (n - 1)(n - 3) / 8 for odd n, and the largest after one removal is twice that."""
    under, over = cascade(ring(n), [0], tolerance=0.999), cascade(ring(n), [0], tolerance=1.001)
    assert under.largest_component[-1] == pytest.approx(below / n)
    assert over.largest_component[-1] == pytest.approx(above / n) and not over.waves
    assert sum(map(len, under.waves)) == (2 if n % 2 else 1)
    if n % 2:
        np.testing.assert_allclose(over.capacity / 2.001, (n - 1) * (n - 3) / 8)


@pytest.mark.parametrize(("tolerance", "left", "waves"), [
    (0.0, 15, [11]), (0.05, 16, [10]), (0.1, 16, [10]), (0.2, 16, [9, 1]), (0.3, 16, [9, 1]), (0.4, 17, [8, 1]),
    (0.5, 17, [6, 1]), (0.75, 19, [4, 1]), (1.0, 19, [4, 1]), (1.5, 24, [2]), (2.0, 24, [2]),
])  # fmt: skip
def test_karate_club_after_the_loss_of_its_instructor(tolerance, left, waves):
    """V-CA-02: Motter and Lai, PRE 66 (2002) 065102; computed with networkx betweenness."""
    result = cascade(nx.karate_club_graph(), [0], tolerance=tolerance)
    assert result.largest_component[-1] == pytest.approx(left / 34)
    assert [len(w) for w in result.waves] == waves
    assert result.efficiency[-1] < result.efficiency[0] < 1.0


def test_attack_defended_and_baseline_are_in_order():
    """V-CA-03: the largest parts left, summed over the spare capacities; 4 nodes attacked, as many strengthened."""
    club = nx.karate_club_graph()
    by_load = sorted(nx.betweenness_centrality(club).items(), key=lambda p: -p[1])
    attacked = [node for node, _ in by_load[:4]]
    strengthened = {node: 3.0 for node, _ in by_load[4:8]}

    def left(nodes, stronger=None):
        spare = (0.2, 0.5, 0.8, 1.5)
        return sum(cascade(club, nodes, tolerance=a, strengthened=stronger).largest_component[-1] for a in spare)

    assert left(attacked) <= left(attacked, strengthened) <= left([])
    assert left(attacked) < left([]) == pytest.approx(4.0)


def test_slow_nodes_lose_efficiency_and_break_nothing():
    """Crucitti, Latora and Marchiori: calls of an overloaded node slow down to capacity over load, none disappears."""
    club = nx.karate_club_graph()
    tight = cascade(club, [33], tolerance=0.05, model="crucitti", max_waves=30)
    assert not tight.waves and tight.largest_component[-1] == tight.largest_component[0]
    assert tight.efficiency.min() < tight.efficiency[0] < 1.0
    roomy = cascade(ring(6), [0], tolerance=10.0, model="crucitti")
    assert roomy.efficiency.size == 1  # nothing is overloaded: only the attack counts
    lost = 20.0 * nx.global_efficiency(nx.path_graph(5)) / (30.0 * nx.global_efficiency(nx.cycle_graph(6)))
    assert roomy.efficiency[0] == pytest.approx(lost)


def test_one_slow_step_by_hand():
    """A star with a ring: without node 1 all paths of the ring go round; the share is capacity over load."""
    result = cascade(ring(6), [0], tolerance=0.0, model="crucitti", max_waves=1)
    load = nx.betweenness_centrality(nx.path_graph(5), normalized=False)  # what is left is a path of five
    first = 2.0  # every node of a ring of six: (n - 2)^2 / 8
    assert np.allclose(result.capacity, first)
    length = {(a, a + 1): max(1.0, load[a] / first, load[a + 1] / first) for a in range(4)}
    path = nx.path_graph(5)
    for (a, b), value in length.items():
        path.edges[a, b]["length"] = value
    far = dict(nx.all_pairs_dijkstra_path_length(path, weight="length"))
    total = sum(1.0 / far[a][b] for a in far for b in far if a != b) / 30
    assert result.efficiency[-1] == pytest.approx(total / nx.global_efficiency(nx.cycle_graph(6)))


def test_an_architecture_is_a_graph():
    arch = fa.load_sample("runbook")
    hub = max(nx.betweenness_centrality(_undirected(arch)).items(), key=lambda p: p[1])[0]
    result = cascade(arch, [arch.names[hub]], tolerance=0.3)
    assert 0 < result.largest_component[-1] < 1
    assert result.to_dict()["largest_component"][0] == pytest.approx(result.largest_component[0])


def _undirected(arch):
    work = nx.Graph()
    work.add_nodes_from(range(len(arch)))
    work.add_edges_from(zip(arch.graph.source.tolist(), arch.graph.target.tolist()))
    return work


def test_equal_load_sharing_is_the_same_avalanche():
    """V-NL-09a as an avalanche at the load 9: two bars break in two waves, three carry it."""
    strength = np.array([3.0, 1.0, 4.0, 2.0, 5.0])
    whole = np.ones(5, bool)

    def out(bars, wave):
        whole[bars] = False

    def weak(force):
        return np.flatnonzero(whole & (strength < force)).tolist()

    share, waves = run_avalanche(lambda: 9.0 / whole.sum(), weak, out)
    assert share == pytest.approx(3.0) and waves == [[1], [3]]


@pytest.mark.parametrize(("arguments", "words"), [
    ({"graph": [(0, 1)], "attacked": ["x"]}, "unknown node 'x'"),
    ({"graph": [(0, 0)], "attacked": []}, "no calls"),
    ({"graph": [[0, 1, 2]], "attacked": []}, "is not a graph"),
    ({"graph": [(0, 1)], "attacked": [], "tolerance": -1.0}, "tolerance"),
    ({"graph": [(0, 1)], "attacked": [], "tolerance": float("nan")}, "tolerance"),
    ({"graph": [(0, 1)], "attacked": [], "model": "motter_lay"}, "Did you mean 'motter_lai'"),
])  # fmt: skip
def test_bad_input_is_named(arguments, words):
    with pytest.raises(fa.ModelError, match=words):
        cascade(**arguments)
