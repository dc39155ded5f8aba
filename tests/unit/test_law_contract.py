"""Every registered law keeps the contract of ``fea_arch.laws.base.Law``."""

from __future__ import annotations

import numpy as np
import pytest

from fea_arch.laws import registered_laws
from fea_arch.laws.base import Law

ENTRIES = registered_laws()
N_POINTS = 25


@pytest.fixture(params=sorted(ENTRIES))
def entry(request):
    return ENTRIES[request.param]


def samples(entry, size, seed=0):
    """Random elongations: a step of the difference quotient meets a kink with probability zero."""
    low, high = entry.span
    return [np.full(size, x) for x in low + (high - low) * np.random.default_rng(seed).random(N_POINTS)]


def rising(law, elongation):
    """Elements whose force rises strictly from zero to the elongation: the first stable branch."""
    grid = np.linspace(0.0, 1.0, 201)[1:-1]
    slopes = np.array([law.tangent(s * elongation) for s in grid])
    return (slopes > 1e-9).all(axis=0)


def test_is_a_law(entry):
    law = entry.example()
    assert isinstance(law, Law)
    assert isinstance(law, entry.kind)
    assert law.size() >= 2
    assert ENTRIES[law.name].kind is entry.kind
    assert law.capacity().shape == law.stiffness().shape == (law.size(),)
    assert np.all(law.capacity() > 0)
    assert np.all(law.stiffness() > 0)


def test_rest_is_at_zero(entry):
    law = entry.example()
    zero = np.zeros(law.size())
    np.testing.assert_allclose(law.force(zero), 0.0, atol=1e-12)
    np.testing.assert_allclose(law.energy(zero), 0.0, atol=1e-12)


def test_tangent_is_the_difference_quotient(entry):
    law = entry.example()
    for e in samples(entry, law.size()):
        h = 1e-6 * np.maximum(1.0, np.abs(e))
        quotient = (law.force(e + h) - law.force(e - h)) / (2 * h)
        tangent = law.tangent(e)
        scale = np.maximum(np.abs(tangent), np.max(np.abs(law.force(e))) + 1e-3)
        assert np.all(np.abs(quotient - tangent) <= 2e-6 * scale), (e[0], quotient, tangent)


def test_energy_is_the_work_of_the_force(entry):
    law = entry.example()
    points, weights = np.polynomial.legendre.leggauss(8)
    for e in samples(entry, law.size())[:8]:
        panels = np.linspace(0.0, 1.0, 801)
        middle, half = (panels[1:] + panels[:-1]) / 2, (panels[1:] - panels[:-1]) / 2
        work = np.zeros(law.size())
        for m, s in zip(middle, half):
            for p, w in zip(points, weights):
                work += w * s * law.force((m + s * p) * e) * e
        np.testing.assert_allclose(law.energy(e), work, rtol=1e-5, atol=1e-8)


def test_elongation_inverts_the_force_on_the_first_stable_branch(entry):
    law = entry.example()
    checked = 0
    for e in samples(entry, law.size()):
        stable = rising(law, e) & (e > 0)
        checked += int(stable.sum())
        force = law.force(e)
        assert np.all(force[stable] <= law.capacity()[stable] * (1 + 1e-12))
        np.testing.assert_allclose(law.elongation(force)[stable], e[stable], rtol=1e-7)
    assert checked >= 2 or law.elongation(0.5 * np.minimum(law.capacity(), 1.0)).min() > 0


def test_no_elongation_beyond_capacity(entry):
    law = entry.example()
    capacity = law.capacity()
    limited = np.isfinite(capacity)
    beyond = law.elongation(np.where(limited, 1.001 * capacity, 1.0))
    assert np.all(np.isinf(beyond[limited]))
    assert np.all(np.isfinite(beyond[~limited]))


def test_take_selects_elements(entry):
    law = entry.example()
    index = np.array([law.size() - 1, 0])
    part = law.take(index)
    assert part.size() == 2
    assert part.name == law.name
    low, high = entry.span
    e = np.linspace(low, high, law.size()) * 0.37 + 0.01
    for method in ("force", "tangent", "energy", "elongation"):
        np.testing.assert_allclose(getattr(part, method)(e[index]), getattr(law, method)(e)[index], rtol=1e-10)
    for method in ("capacity", "stiffness"):
        np.testing.assert_array_equal(getattr(part, method)(), getattr(law, method)()[index])


def test_inputs_stay_untouched(entry):
    law = entry.example()
    e = np.full(law.size(), 0.3)
    e.setflags(write=False)
    for method in ("force", "tangent", "energy", "elongation"):
        out = getattr(law, method)(e)
        assert out.shape == e.shape
        assert np.all(e == 0.3)
