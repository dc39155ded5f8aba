"""Frequency response of damped structures (V-FE-07) and modal superposition against direct integration."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa

#: Eight masses between walls, dampers of 5e-4 of the stiffness, unit load on mass 4: displacement of mass 4 [m]
#: (VPCS SDLD21).
PUBLISHED = {
    5.0: 1.0236955849990e-04 - 8.518743998377e-06j,
    5.5: 4.50661561166e-04 - 7.79143533608e-04j,
    6.0: -9.41009643783e-05 - 1.058518192306e-05j,
    8.0: -1.05087949818e-05 - 5.8171134777e-07j,
    10.5: 5.18798342688e-06 - 3.43745226244e-06j,
    11.0: -7.32926935592e-06 - 1.216712222338e-05j,
    20.0: 2.97844381167e-06 - 6.69700144584e-06j,
    40.0: -2.56958175900e-06 - 2.7553667310e-07j,
}


def eight_masses(damping=50.0):
    ends = np.column_stack([np.arange(1, 10), np.arange(9)])
    return fa.Mesh.from_bars(10, ends, np.full(9, 1e5), mass=10.0, damping=np.full(9, damping), supports=(0, 9))


def test_published_response_of_the_damped_chain():
    found = fa.harmonic(eight_masses(), list(PUBLISHED), at=4)
    expected = np.array(list(PUBLISHED.values()))
    np.testing.assert_allclose(found.displacement[:, 4], expected, rtol=1e-8)
    assert found.residual < 1e-10
    np.testing.assert_array_equal(found.displacement[:, [0, 9]], 0.0)


def test_superposed_modes_give_the_same_response():
    # C = 5e-4 K is diagonal in the modes: u = sum phi (phi.f) / (w_r^2 - w^2 + i w c w_r^2)
    mesh, f = eight_masses(), np.linspace(1.0, 35.0, 30)
    modes = fa.eigen(mesh, 8)
    square, w = modes.angular_per_s**2, 2.0 * np.pi * f
    phi = modes.shapes
    parts = 1.0 / (square[None, :] - w[:, None] ** 2 + 5e-4j * w[:, None] * square[None, :])
    expected = (parts * phi[4]) @ phi.T
    np.testing.assert_allclose(fa.harmonic(mesh, f, at=4).displacement, expected, atol=1e-12)


def test_superposed_modes_give_the_integrated_history():
    # step load on mass 4 from rest: q = (phi.f / w^2)(1 - e^(-zeta w t)(cos w_d t + zeta w / w_d sin w_d t))
    mesh = eight_masses()
    load = np.zeros(10)
    load[4] = 1.0
    modes = fa.eigen(mesh, 8)
    w, phi = modes.angular_per_s, modes.shapes
    history = fa.integrate(mesh, load, dt_s=2e-5, duration_s=0.2)
    t = history.time_s[::500, None]
    zeta = 0.5 * 5e-4 * w
    damped = w * np.sqrt(1.0 - zeta**2)
    swing = np.cos(damped * t) + zeta * w / damped * np.sin(damped * t)
    q = phi[4] / w**2 * (1.0 - np.exp(-zeta * w * t) * swing)
    expected = q @ phi.T
    np.testing.assert_allclose(history.displacement[::500], expected, atol=2e-6 * np.abs(expected).max())


def test_steady_swing_of_an_integrated_history():
    mesh, f = eight_masses(500.0), 8.0
    amplitude = np.abs(fa.harmonic(mesh, [f], at=4).displacement[0, 4])
    load = np.zeros(10)
    load[4] = 1.0
    history = fa.integrate(mesh, lambda t: load * np.sin(2 * np.pi * f * t), dt_s=1e-3, duration_s=8.0)
    late = history.displacement[history.time_s > 7.0, 4]
    assert late.max() == pytest.approx(amplitude, rel=2e-3)


def test_bad_input_is_named():
    mesh = eight_masses(0.0)
    resonant = 100.0 / np.pi * np.sin(np.pi / 18.0)
    for arguments, word in [
        (([resonant], 4), "natural frequency"), (([1.0], 99), "at"), (([-1.0], 4), "frequencies_hz"),
        ((["x"], 4), "frequencies_hz"), (([1.0], np.zeros(10)), "zero"), (([1.0],), "load"),
    ]:  # fmt: skip
        with pytest.raises(fa.ModelError, match=word):
            fa.harmonic(mesh, *arguments)
