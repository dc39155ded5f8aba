"""Memory of the mechanical laws, their parameters, and the Gram-Schmidt kernel of the modes."""

from __future__ import annotations

import numpy as np
import pytest
from reference.lanczos import orthogonalise as slow

import fea_arch as fa
from fea_arch.kernels.lanczos import orthogonalise
from fea_arch.laws.custom import Custom, Polynomial
from fea_arch.laws.elastic_plastic import ElasticPlastic
from fea_arch.laws.history import HistoryLaw
from fea_arch.laws.softening import ExponentialSoftening, LinearSoftening
from fea_arch.laws.tension_only import TensionOnly


def at(x):
    return np.array([float(x)])


def walk(law, *points):
    """Commit a sequence of elongations; return the law and the forces on the way."""
    forces = []
    for x in points:
        forces.append(float(law.force(at(x))[0]))
        law = law.committed(at(x))
    return law, forces


def test_perfect_plasticity_cycles():
    law, forces = walk(ElasticPlastic(2.0, 1.0), 0.5, 2.0, 1.0, 0.0, 2.0)
    assert forces == pytest.approx([1.0, 1.0, -1.0, -1.0, 1.0])
    assert law.dissipated()[0] == pytest.approx(1.5 + 0.0 + 1.0 + 1.0, abs=1e-12)


def test_kinematic_hardening_keeps_the_elastic_range():
    law, _ = walk(ElasticPlastic(1.0, 1.0, 1.0), 3.0)
    top = float(law.force(at(3.0))[0])
    assert top == pytest.approx(2.0)
    assert float(law.force(at(1.0))[0]) == pytest.approx(0.0)  # two yield forces below: still elastic
    assert float(law.tangent(at(1.1))[0]) == pytest.approx(1.0)
    assert float(law.tangent(at(0.9))[0]) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [LinearSoftening, ExponentialSoftening])
def test_damage_unloads_to_the_origin_and_comes_back(kind):
    law, (force,) = walk(kind(4.0, 1.0, 2.0), 1.2)
    assert float(law.force(at(0.6))[0]) == pytest.approx(0.5 * force)
    assert float(law.force(at(1.2))[0]) == pytest.approx(force)
    assert float(law.force(at(1.3))[0]) == pytest.approx(float(kind(4.0, 1.0, 2.0).force(at(1.3))[0]))
    assert float(law.force(at(-0.5))[0]) == pytest.approx(-2.0)  # the crack closes
    assert law.capacity()[0] == pytest.approx(force)


def test_elastic_unloading_leaves_an_elongation():
    law, (force,) = walk(LinearSoftening(1.0, 1.0, 3.0, unloading="elastic"), 2.0)
    assert float(law.force(at(1.8))[0]) == pytest.approx(force - 0.2)
    assert float(law.force(at(2.0 - force))[0]) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("unloading", ["secant", "elastic"])
def test_fracture_energy(unloading):
    law, _ = walk(LinearSoftening(1.0, 1.0, 3.0, unloading=unloading), 0.5, 1.5, 1.0, 2.5, 4.0)
    assert law.dissipated()[0] == pytest.approx(1.5)
    law, _ = walk(ExponentialSoftening(4.0, 1.0, 0.7, unloading=unloading), 1.0, 60.0)
    assert law.dissipated()[0] == pytest.approx(0.7)


def test_work_splits_into_stored_and_dissipated():
    fresh = ExponentialSoftening(4.0, 1.0, 1.0)
    work = float(fresh.energy(at(1.5))[0])
    law = fresh.committed(at(1.5))
    assert work == pytest.approx(float(law.energy(at(1.5))[0]) + float(law.dissipated()[0]))


def test_commit_leaves_the_law_as_it_was():
    law = LinearSoftening([1.0, 1.0], 1.0, 3.0)
    before = law.force(np.array([0.9, 0.9])).copy()
    law.committed(np.array([2.0, 2.0]))
    np.testing.assert_array_equal(law.force(np.array([0.9, 0.9])), before)
    assert isinstance(law, HistoryLaw)
    assert not isinstance(TensionOnly(1.0), HistoryLaw)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ElasticPlastic(-1.0, 1.0), "stiffness"),
        (lambda: ElasticPlastic([1.0, 2.0], [1.0, 2.0, 3.0]), "stiffness"),
        (lambda: ElasticPlastic("stiff", 1.0), "stiffness"),
        (lambda: LinearSoftening(1.0, 1.0, 0.5), "final"),
        (lambda: LinearSoftening(1.0, 1.0, 3.0, unloading="plastic"), "unloading"),
        (lambda: ExponentialSoftening(1.0, 1.0, 0.5), "fracture_energy"),
        (lambda: TensionOnly(1.0, -1.0), "slack"),
        (lambda: Polynomial([[0.0, 1.0]]), "coefficients"),
        (lambda: Custom(lambda e, a: e + 1.0, lambda e, a: a), "force"),
        (lambda: Custom(lambda e: e, lambda e: e), "force"),
        (lambda: Custom(lambda e, a: a * e, lambda e, a: 1.0), "tangent"),
    ],
)
def test_bad_parameters_are_named(make, word):
    with pytest.raises(fa.ModelError, match=word):
        make()


@pytest.mark.parametrize("fast", [False, True])
def test_gram_schmidt_matches_the_reference(fast):
    rng = np.random.default_rng(2)
    basis = np.zeros((9, 5000))
    basis[:7] = np.linalg.qr(rng.standard_normal((5000, 7)))[0].T
    w = rng.standard_normal(5000)
    left, parts, norm = slow(basis, 7, w)
    out = np.zeros(12)
    function = orthogonalise.compiled() if fast else orthogonalise.py_func
    if not fast:
        basis, w = np.ascontiguousarray(basis[:, :200]), w[:200].copy()
        left, parts, norm = slow(basis, 7, w)
        basis[:7] = np.linalg.qr(basis[:7].T)[0].T
        left, parts, norm = slow(basis, 7, w)
    found = function(basis, 7, w, out)
    assert found == pytest.approx(norm, rel=1e-12)
    np.testing.assert_allclose(w, left, atol=1e-13)
    np.testing.assert_allclose(out[:7], parts, atol=1e-13)
    assert np.abs(basis[:7] @ w).max() < 1e-13
