"""Meshing of architectures: rows, replicas, refinement, cycles, statics on the mesh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fea_arch as fa


def chain(**extra) -> fa.Architecture:
    return fa.Architecture(
        name="chain",
        components=[
            fa.Component("a", service_time_s=0.005, servers=20, blocking=False, memory_bytes=2e8, **extra),
            fa.Component("b", service_time_s=0.010, servers=8, blocking=False, cold_start_s=3.0),
            fa.Component("c", service_time_s=0.020, servers=6, blocking=False),
        ],
        dependencies=[fa.Dependency("a", "b"), fa.Dependency("b", "c", calls=1.5)],
        loads=[fa.Load("a", rate_per_s=120.0)],
    )


def test_rows_are_bars_levers_and_grounded_springs():
    mesh = fa.mesh(chain())
    np.testing.assert_array_equal(mesh.incidence.toarray(), [[1, -1, 0], [0, 1, -1.5], [0, 0, 1]])
    np.testing.assert_allclose(mesh.stiffness(), [200, 100, 50])
    np.testing.assert_allclose(mesh.strength, [4000, 800, 300])
    np.testing.assert_allclose(mesh.mass, [0.2, 3.0, 0.0])  # resident bytes over page-in bandwidth, cold start, nothing
    assert not mesh.two_node_bars
    assert mesh.element_names == ("a", "b", "c")


def test_equilibrium_compatibility_and_virtual_work():
    """A^T q = f, N = A u, f.u = q.N with the numbers of the static answer."""
    arch = chain()
    mesh, result = fa.mesh(arch), fa.static(arch)
    A = mesh.incidence
    f = np.array([120.0, 0, 0])
    np.testing.assert_allclose(A.T @ result.throughput_per_s, f, atol=1e-9)
    np.testing.assert_allclose(mesh.elongation(result.throughput_per_s), result.in_flight, rtol=1e-9)
    np.testing.assert_allclose(mesh.force(result.in_flight), result.throughput_per_s, rtol=1e-9)
    u = np.linalg.solve(A.toarray(), result.in_flight)
    assert f @ u == pytest.approx(result.throughput_per_s @ result.in_flight, rel=1e-9)


def test_replicas_are_parallel_elements():
    mesh = fa.mesh(chain(replicas=3))
    assert mesh.element_names[:3] == ("a#1", "a#2", "a#3")
    assert mesh.n_nodes == 3
    np.testing.assert_array_equal(mesh.ingress[:3], [0, 0, 0])


@pytest.mark.parametrize("refine", [2, 3, 8])
def test_refinement_keeps_capacity_and_law(refine):
    arch = chain()
    coarse, fine = fa.mesh(arch), fa.mesh(arch, refine=refine)
    q = np.array([120.0, 120.0, 180.0])
    parts = fine.elongation(np.repeat(q, refine)).reshape(3, refine)
    np.testing.assert_allclose(parts.sum(axis=1), coarse.elongation(q), rtol=1e-9)
    np.testing.assert_allclose(fine.strength.reshape(3, refine)[:, 0], coarse.strength)
    np.testing.assert_allclose(fine.force(parts.ravel()), np.repeat(q, refine), rtol=1e-7)
    assert fine.n_nodes == 3 + 3 * (refine - 1)
    # a series of springs: the flow that enters leaves
    np.testing.assert_allclose(
        fine.incidence.T @ np.repeat(q, refine), np.r_[120.0, np.zeros(fine.n_nodes - 1)], atol=1e-9
    )


def test_cycles_and_self_calls_are_meshed():
    arch = fa.Architecture(
        name="loop",
        components=[fa.Component("x", blocking=False), fa.Component("y", blocking=False)],
        dependencies=[fa.Dependency("x", "y"), fa.Dependency("y", "x", calls=0.25), fa.Dependency("x", "x", calls=0.5)],
        loads=[fa.Load("x", rate_per_s=3.0)],
    )
    mesh = fa.mesh(arch)
    np.testing.assert_allclose(mesh.incidence.toarray(), [[0.5, -1], [-0.25, 1]])
    np.testing.assert_allclose(fa.static(arch).throughput_per_s, np.linalg.solve(mesh.incidence.toarray().T, [3.0, 0]))


@pytest.mark.parametrize("refine", [0, -1, 1.5, True, "2"])
def test_senseless_refinement_is_named(refine):
    with pytest.raises(fa.ModelError, match="refine"):
        fa.mesh(chain(), refine=refine)


def test_no_component_is_named():
    with pytest.raises(fa.ModelError, match="components"):
        fa.mesh(fa.Architecture(name="empty"))


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_traffic_is_equilibrium_on_random_meshes(n, seed):
    """The flows of the static answer balance at every node of the mesh, cycles included."""
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(n)]
    calls = [
        fa.Dependency(names[i], names[j], calls=float(rng.uniform(0, 0.9 / n)), mode=str(rng.choice(["sync", "async"])))
        for i in range(n)
        for j in range(n)
        if i != j and rng.random() < 0.5
    ]
    arch = fa.Architecture(
        name="random",
        components=[fa.Component(c, law="delay", blocking=False) for c in names],
        dependencies=calls,
        loads=[fa.Load(names[0], rate_per_s=5.0)],
    )
    flow = fa.static(arch).throughput_per_s
    f = np.zeros(n)
    f[0] = 5.0
    np.testing.assert_allclose(fa.mesh(arch).incidence.T @ flow, f, atol=1e-9)
