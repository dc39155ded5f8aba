"""The parabola along which a time step follows a station law, against the law itself."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.analyses import transient as verb
from fea_arch.kernels.fluid_stage import busy_servers, find_cell, followed, improve
from fea_arch.solvers.fluid import fluid_model
from fea_arch.solvers.station_tables import CELLS


def law(kind):
    """Tables, row, copies and scale of one station."""
    more = {"M/M/1": {}, "M/M/8": {"servers": 8}, "M/G/3": {"servers": 3, "service_scv": 4.0}}[kind]
    arch = fa.Architecture(
        name="one", components=[fa.Component("a", service_time_s=0.01, blocking=False, **more)],
        loads=[fa.Load("a", rate_per_s=40.0)],
    )  # fmt: skip
    model = fluid_model(*verb._base(arch, 1.0, "steady"))
    return model.tables.cubic, int(model.row[0]), float(model.copies[0]), float(model.scale[0])


def parabola(m, cubic, row, copies, scale, *, bounded=False):
    cell, t, du, ddu = find_cell(m, copies * scale, CELLS)
    return (*busy_servers(copies, t, du, ddu, *cubic[row * CELLS + cell]), followed(m, t, du, bounded))


@pytest.mark.parametrize("kind", ["M/M/1", "M/M/8", "M/G/3"])
def test_the_parabola_is_the_law_as_far_as_it_is_followed(kind):
    given = law(kind)
    rng = np.random.default_rng(1)
    off, bent, far = [], [], []
    for m in np.exp(rng.uniform(np.log(1e-4), np.log(3e3), 3000)).tolist():
        value, slope, bow, span = parabola(m, *given)
        assert 1e-5 * (1e-3 + m) <= span <= 1e-3 * (1e-3 + m)
        for x in (-span, 0.37 * span, span):
            there, steep, *_ = parabola(max(m + x, 0.0), *given)
            x = max(m + x, 0.0) - m
            off.append(abs(value + x * (slope + x * bow) - there) / max(there, 1e-3))
            bent.append(abs(slope + 2.0 * x * bow - steep) * m / max(there, 1e-3))
        far.append(span / (1e-3 + m))
    assert max(off) < 1e-9  # a tangent over the same span: 2e-7 to 6e-7
    assert max(bent) < 3e-6
    assert np.median(far) > 0.9e-3  # else nothing would be gained


def test_a_bounded_queue_keeps_to_its_tangent():
    assert followed(2.0, 0.5, 1.0, True) == pytest.approx(1e-5 * 2.001)


@pytest.mark.parametrize("rhs", [0.3, 0.9, 2.0, 40.0])
def test_a_step_along_the_parabola_solves_the_stage(rhs):
    """Close to the root one step is the last, and what it returns is where Newton's method ends."""
    given, theta, per, infinite = law("M/M/8"), 0.004, 100.0, np.inf

    def solve(m, kept):
        for k in range(80):
            value, slope, bow, span = kept if k == 0 and kept else parabola(m, *given)
            new, _, _, last, g, *_ = improve(
                m, value, slope, bow, span, 0.0, 0.0, theta, 0.0, 1.0, 0.0, 0.0, per, infinite, rhs, 0.0, 0.0,
                -infinite, infinite,
            )  # fmt: skip
            if last:
                return new, g, k
            m = new
        raise AssertionError

    exact = rhs
    for _ in range(100):
        value, slope, *_ = parabola(exact, *given)
        exact -= (exact + theta * value * per - rhs) / (1.0 + theta * slope * per)
    for away in (-4e-4, -1e-5, 0.0, 3e-4):
        m = exact * (1.0 + away)
        root, flow, more = solve(m, parabola(m, *given))
        assert more <= 1
        assert root == pytest.approx(exact, rel=1e-9)
        assert flow == pytest.approx(parabola(exact, *given)[0] * per, rel=1e-9)
