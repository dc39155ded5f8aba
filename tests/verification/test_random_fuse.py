"""Random fuse networks (V-RF-01 to V-RF-03)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference.linear_algebra import break_down_afresh, congruential, diamond, lattice

import fea_arch as fa
from fea_arch.solvers.fracture import FractureModel


def bond(size, row, column, s):
    return 2 * (row * size + column % size) + s


@pytest.mark.parametrize(("size", "value"), [(16, 1.3593002818), (64, 1.3631172747), (128, 1.3633143863)])
def test_current_beside_a_missing_bond_of_the_diamond_lattice(size, value):
    """V-RF-01: tends to 2 - 2/pi (Gilabert et al., J. Physique 48 (1987) 763, quote 1.36)."""
    n, ends = diamond(size)
    gone = bond(size, size // 2, size // 2, 0)
    kept = np.delete(np.arange(len(ends)), gone)
    q = fa.solve(fa.Mesh.from_bars(n, ends[kept], 1.0), prescribed={n - 1: 1.0}).force * size
    assert np.abs(q).max() == pytest.approx(value, abs=1e-8)
    assert abs(np.abs(q).max() - (2 - 2 / math.pi)) < 1.1 / size**2


@pytest.mark.parametrize(("size", "value"), [(16, 1.2683145432), (64, 1.2729288795), (128, 1.2731618440)])
def test_current_beside_a_missing_bond_of_the_square_lattice(size, value):
    """V-RF-01: tends to 4/pi (Duxbury, Leath and Beale)."""
    n, ends = lattice(size + 1, size, periodic=True)
    low, high = np.arange(size), np.arange(n - size, n)
    gone = (size // 2) * size + size // 2
    kept = np.delete(np.arange(len(ends)), gone)
    mesh = fa.Mesh.from_bars(n, ends[kept], 1.0, supports=low)
    q = fa.solve(mesh, prescribed=dict.fromkeys(high.tolist(), 1.0)).force * size
    assert q[gone] == pytest.approx(value, abs=1e-8)  # the neighbour has moved up by one


SEQUENCES = [
    (4, 1, 1.21254407, 2.07211641, 10, 12, 0.13194589, [8, 4, 22, 21, 24, 20, 23, 10]),
    (4, 2, 1.16056662, 0.89744579, 6, 11, 0.11233045, [16, 28, 5, 2, 27, 26, 25, 24]),
    (4, 3, 1.72585641, 1.25425259, 6, 11, 0.27138802, [8, 30, 10, 21, 16, 0, 31, 23]),
    (8, 1, 2.01202030, 1.67725724, 23, 32, 0.02561803, [102, 124, 66, 51, 127, 8, 67, 95]),
    (8, 2, 2.10523335, 1.96210154, 23, 30, 0.01977909, [77, 52, 118, 53, 16, 72, 75, 110]),
    (8, 3, 2.35999090, 1.67489853, 20, 32, 0.07108514, [39, 111, 91, 119, 8, 93, 90, 52]),
    (16, 1, 4.45097293, 3.35253399, 75, 103, 0.03555309, [466, 202, 102, 299, 124, 333, 66, 428]),
    (16, 2, 3.81408996, 3.17680155, 78, 121, 0.03955818, [77, 52, 510, 474, 270, 118, 349, 53]),
    (16, 3, 3.15305498, 3.10757875, 66, 79, 0.09905915, [409, 418, 39, 207, 448, 464, 139, 394]),
]


@pytest.mark.parametrize("case", SEQUENCES, ids=lambda c: f"{c[0]}-{c[1]}")
@pytest.mark.parametrize("control", ["voltage", "current"])
def test_break_sequences_of_diamond_lattices(case, control):
    """V-RF-02: peak current, voltage there, breaks before it, breaks in all, first current, first bonds."""
    size, seed, peak, voltage, before, total, first, bonds = case
    n, ends = diamond(size)
    strength = congruential(len(ends), seed)
    mesh = fa.Mesh.from_bars(n, ends, 1.0, strength=strength)
    if control == "voltage":
        r = fa.break_down(mesh, prescribed={n - 1: 1.0})
        assert r.load_factor[r.peak_index] == pytest.approx(voltage, abs=1e-7)
    else:
        r = fa.break_down(mesh, np.eye(n)[n - 1])
        np.testing.assert_array_equal(r.load_factor, r.load)
    assert r.peak == pytest.approx(peak, abs=1e-7)
    assert r.load[0] == pytest.approx(first, abs=1e-7)
    assert (r.peak_index, r.sequence.size) == (before, total)
    assert r.sequence[: len(bonds)].tolist() == bonds
    assert r.separated
    assert r.residual < 1e-12


@pytest.mark.parametrize("size", [4, 8])
def test_the_downdated_factor_breaks_the_same_bonds_as_a_fresh_solve(size):
    n, ends = diamond(size)
    for seed in range(5, 9):
        strength = congruential(len(ends), seed)
        mesh = fa.Mesh.from_bars(n, ends, 1.0, strength=strength)
        sequence, factors = break_down_afresh(mesh, None, strength, {n - 1: 1.0})
        r = fa.break_down(mesh, prescribed={n - 1: 1.0})
        assert r.sequence.tolist() == sequence
        np.testing.assert_allclose(r.load_factor, factors, rtol=1e-9)


@pytest.mark.parametrize(
    ("size", "samples", "reference"),
    [
        (4, 2500, [(1.4131, 0.3824, 0.0027), (6.765, 2.181, 0.015), (11.552, 1.732, 0.012)]),
        (8, 1000, [(2.1058, 0.3879, 0.0055), (22.214, 4.822, 0.068), (32.934, 4.312, 0.061)]),
        (16, 200, [(3.4780, 0.4317, 0.0137), (74.97, 12.12, 0.38), (101.37, 10.85, 0.34)]),
        (32, 40, [(5.924, 0.509, 0.051), (253.1, 32.0, 3.2), (318.8, 28.5, 2.9)]),
    ],
)
def test_statistics_of_diamond_lattices(size, samples, reference):
    """V-RF-03: means of peak current, breaks at the peak and breaks in all, within 4 combined standard errors."""
    n, ends = diamond(size)
    model = FractureModel(fa.Mesh.from_bars(n, ends, 1.0), prescribed={n - 1: 1.0})
    rng = np.random.default_rng(size)
    seen = np.empty((samples, 3))
    for i in range(samples):
        run = model.run(rng.random(len(ends)))
        load = run.factor * run.energy
        seen[i] = load.max(), load.argmax(), load.size
        assert run.separated
    for column, (mean, deviation, error) in zip(seen.T, reference):
        assert abs(column.mean() - mean) < 4 * math.hypot(error, deviation / math.sqrt(samples))
        assert column.std(ddof=1) == pytest.approx(deviation, rel=4 / math.sqrt(2 * samples))
