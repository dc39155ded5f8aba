"""The same question to scikit-fem, networkx, OpenSees and graph-tiger in the same run, answers compared."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.assembly import Pattern

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference.linear_algebra import scale_free


def once(function):
    """Return (time [s], answer)."""
    begin = time.perf_counter()
    answer = function()
    return time.perf_counter() - begin, answer


def opensees():
    """Import OpenSees; its Linux wheel brings libraries that have to be loaded first."""
    spec = importlib.util.find_spec("openseespylinux")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "lib"
        for name in ("libquadmath.so.0", "libgfortran.so.4", "libblas.so.3", "liblapack.so.3"):
            if (folder / name).exists():
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    try:
        import openseespy.opensees as ops
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"OpenSees does not load: {error}")
    return ops


@pytest.mark.parametrize("m", [10_000, pytest.param(300_000, marks=pytest.mark.full)])
def test_assembly_against_scikit_fem(benchmark, counters, m):
    skfem = pytest.importorskip("skfem")
    from skfem.helpers import dot, grad

    n = m // 3 + 3
    ends = scale_free(n, 3)
    k = np.random.default_rng(0).uniform(0.1, 10.0, len(ends))
    place = np.arange(n, dtype=float)
    grid = skfem.MeshLine1(place[None, :], np.sort(ends, axis=1).T.copy())
    length = np.abs(place[ends[:, 1]] - place[ends[:, 0]])

    @skfem.BilinearForm
    def stiffness(u, v, w):
        return w["k"] * dot(grad(u), grad(v))

    basis = skfem.Basis(grid, skfem.ElementLineP1(), intorder=0)
    # a conductivity k times the length gives a bar of stiffness k
    order = np.lexsort((grid.t[1], grid.t[0]))
    mine = np.lexsort((ends.max(axis=1), ends.min(axis=1)))
    per_element = np.empty(len(ends))
    per_element[order] = (k * length)[mine]
    values = np.repeat(per_element[:, None], basis.X.shape[-1], axis=1)

    def peer():
        return stiffness.assemble(basis, k=values)

    peer()
    seconds, matrix = min((once(peer) for _ in range(3)), key=lambda found: found[0])
    mesh = fa.Mesh.from_bars(n, ends, k, supports=(0,))
    pattern = Pattern.of(mesh)
    out = pattern.values(k)
    benchmark(lambda: pattern.values(k, out))
    ours = pattern.refill(k)
    assert abs(ours - matrix.tocsr()[1:, 1:]).max() <= 1e-9 * abs(ours).max()
    counters(nonzeros=ours.nnz)
    benchmark.extra_info["times_faster_than_scikit_fem"] = seconds / benchmark.stats.stats.min


def test_resistance_between_two_nodes_against_networkx(benchmark, counters):
    import networkx as nx

    n = 400
    ends = scale_free(n, 2)
    mesh = fa.Mesh.from_bars(n, ends, np.ones(len(ends)), supports=(0,))
    f = np.zeros(n)
    f[n - 1] = 1.0
    fa.solve(mesh, f)
    found = benchmark(lambda: fa.solve(mesh, f))
    graph = nx.Graph(ends.tolist())
    seconds, resistance = once(lambda: nx.resistance_distance(graph, 0, n - 1))
    assert found.displacement[n - 1] == pytest.approx(resistance, rel=1e-9)
    counters.peak_memory(lambda: fa.solve(mesh, f))
    benchmark.extra_info["times_faster_than_networkx"] = seconds / benchmark.stats.stats.min


def test_sum_of_all_resistances_against_graph_tiger(benchmark):
    """Kirchhoff index ``n sum 1/lambda`` of a graph of 500 nodes, by all modes of the free structure."""
    measures = pytest.importorskip("graph_tiger.measures")
    import networkx as nx

    n = 500
    ends = scale_free(n, 2)
    mesh = fa.Mesh.from_bars(n, ends, np.ones(len(ends)), mass=np.ones(n), supports=())
    fa.eigen(mesh, modes=n)
    found = benchmark.pedantic(lambda: fa.eigen(mesh, modes=n), rounds=3)
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(ends.tolist())
    seconds, total = once(lambda: measures.run_measure(graph, "effective_resistance"))
    squares = found.angular_per_s[~np.asarray(found.rigid)] ** 2
    assert squares.size == n - 1
    assert n * np.sum(1.0 / squares) == pytest.approx(total, rel=1e-6)
    benchmark.extra_info["times_faster_than_graph_tiger"] = seconds / benchmark.stats.stats.min


def tower(n: int):
    """A chain of bars with extra bars that skip a few nodes; numbered along the chain, as a banded solver likes it."""
    rng = np.random.default_rng(0)
    first = np.arange(n - 1)
    skip = np.flatnonzero(rng.random(n - 4) < 0.5)
    ends = np.vstack([np.column_stack([first, first + 1]), np.column_stack([skip, skip + 3])])
    return ends, rng.uniform(0.5, 2.0, len(ends))


def in_opensees(ops, ends, k, n, mass=0.0):
    ops.wipe()
    ops.model("basic", "-ndm", 1, "-ndf", 1)
    for i in range(n):
        ops.node(i, float(i))
        if mass:
            ops.mass(i, mass)
    ops.fix(0, 1)
    for e, ((i, j), stiffness) in enumerate(zip(ends.tolist(), k.tolist())):
        ops.uniaxialMaterial("Elastic", e, stiffness * abs(j - i))
        ops.element("Truss", e, i, j, 1.0, e)


def test_statics_against_opensees(benchmark, counters):
    """Two thousand nodes: building and solving, both."""
    ops = opensees()
    n = 2000
    ends, k = tower(n)
    f = np.zeros(n)
    f[n - 1] = 1.0

    def peer():
        in_opensees(ops, ends, k, n)
        ops.timeSeries("Constant", 1)
        ops.pattern("Plain", 1, 1)
        ops.load(n - 1, 1.0)
        ops.system("BandSPD")
        ops.numberer("RCM")
        ops.constraints("Plain")
        ops.algorithm("Linear")
        ops.integrator("LoadControl", 1.0)
        ops.analysis("Static")
        assert ops.analyze(1) == 0
        return np.array([ops.nodeDisp(i, 1) for i in range(n)])

    def ours():
        return fa.solve(fa.Mesh.from_bars(n, ends, k, supports=(0,)), f)

    ours()
    found = benchmark(ours)
    seconds, displacement = min((once(peer) for _ in range(3)), key=lambda pair: pair[0])
    ops.wipe()
    np.testing.assert_allclose(found.displacement, displacement, rtol=1e-8, atol=1e-12)
    counters.peak_memory(ours)
    benchmark.extra_info["times_faster_than_opensees"] = seconds / benchmark.stats.stats.min


def test_modes_against_opensees(benchmark):
    """Six lowest modes of two thousand nodes: building and solving, both."""
    ops = opensees()
    n = 2000
    ends, k = tower(n)

    def peer():
        in_opensees(ops, ends, k, n, mass=1.0)
        return np.sqrt(np.array(ops.eigen(6)))

    def ours():
        return fa.eigen(fa.Mesh.from_bars(n, ends, k, mass=np.ones(n), supports=(0,)), modes=6)

    ours()
    found = benchmark(ours)
    seconds, angular = min((once(peer) for _ in range(3)), key=lambda pair: pair[0])
    ops.wipe()
    np.testing.assert_allclose(found.angular_per_s, angular, rtol=1e-6)
    benchmark.extra_info["times_faster_than_opensees"] = seconds / benchmark.stats.stats.min
