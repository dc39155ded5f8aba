"""Congestion equilibria: V-CO-01 (Braess, six travellers), V-CO-02 (Braess, unit demand), V-CO-03 (Pigou).

Choosing the quickest path is static equilibrium: a path that is used costs as much as every other used one, none costs
less. Links are springs ``e = cost(flow)`` with tension only, costs are elongations, the time is the displacement.
V-CO-05 stands with the limit points.
"""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.laws.custom import Custom

START, END = 0, 1
STIFF = 1e-9
FLAT = 1e-5  # slope of links whose time does not depend on the flow: a spring needs one


def link(free, slope):
    """Flow of a link whose time is ``free + slope flow``: nothing below its free time (V-CO uses slopes near 0 too)."""
    free, slope = np.atleast_1d(np.asarray(free, float)), np.atleast_1d(np.asarray(slope, float))
    return Custom(
        lambda e, a, b: np.maximum(e - a, 0.0) / b + STIFF * e,
        lambda e, a, b: np.where(e > a, 1.0 / b, 0.0) + STIFF,
        [free, slope],
    )


def equilibrium(ends, free, slope, demand):
    """Return flow, time of each link and time from start to end."""
    ends = np.asarray(ends)
    rows = np.zeros((len(ends), ends.max() + 1))
    rows[np.arange(len(ends)), ends[:, 0]] = 1.0
    rows[np.arange(len(ends)), ends[:, 1]] = -1.0
    mesh = fa.Mesh.from_incidence(np.delete(rows, END, axis=1), link(free, slope))
    load = np.zeros(rows.shape[1])
    load[START] = demand
    path = fa.trace(mesh, np.delete(load, END), "load", step=0.02, max_step=0.02, stop=lambda factor, u: factor > 1.0)

    def at_demand(values):  # the path is straight between the points where a link opens
        return np.array([np.interp(1.0, path.load_factor, column) for column in values.T])

    time = np.insert(at_demand(path.displacement), END, 0.0)
    flow = at_demand(path.force)
    return flow, time[ends[:, 0]] - time[ends[:, 1]], time[START]


BRAESS = [(0, 2), (3, 1), (0, 3), (2, 1), (2, 3)]  # 1->3, 4->2, 1->4, 3->2, 3->4 with nodes 1, 2, 3, 4 = 0, 1, 2, 3


def test_braess_with_six_travellers():
    """V-CO-01: 83 each without the new link, 92 with it; data: TransportationNetworks, Braess-Example."""
    free, slope = [0.0, 0.0, 50.0, 50.0], [10.0, 10.0, 1.0, 1.0]
    flow, _, each = equilibrium(BRAESS[:4], free, slope, 6.0)
    assert each == pytest.approx(83.0, abs=1e-5)
    np.testing.assert_allclose(flow, 3.0, atol=1e-5)
    flow, time, each = equilibrium(BRAESS, [*free, 10.0], [*slope, 1.0], 6.0)
    assert each == pytest.approx(92.0, abs=1e-5)
    np.testing.assert_allclose(flow, [4.0, 4.0, 2.0, 2.0, 2.0], atol=1e-5)  # two on each of the three paths
    np.testing.assert_allclose(time, [40.0, 40.0, 52.0, 52.0, 12.0], atol=1e-4)
    best, _, _ = equilibrium(BRAESS, [*free, 10.0], 2.0 * np.array([*slope, 1.0]), 6.0)  # marginal costs
    assert best[4] == pytest.approx(0.0, abs=1e-4)
    assert float(best @ (np.array([*free, 10.0]) + np.array([*slope, 1.0]) * best)) == pytest.approx(498.0, abs=1e-2)


def test_braess_with_unit_demand():
    """V-CO-02: x / 1 / 1 / x; 1.5 without the bridge and 2 with it."""
    free, slope = [0.0, 0.0, 1.0, 1.0], [1.0, 1.0, FLAT, FLAT]
    flow, _, each = equilibrium(BRAESS[:4], free, slope, 1.0)
    assert each == pytest.approx(1.5, abs=3 * FLAT)
    np.testing.assert_allclose(flow, 0.5, atol=3 * FLAT)
    flow, _, each = equilibrium(BRAESS, [*free, 0.0], [*slope, FLAT], 1.0)
    assert each == pytest.approx(2.0, abs=3 * FLAT)
    assert flow[4] == pytest.approx(1.0, abs=3 * FLAT)
    assert each / 1.5 == pytest.approx(4.0 / 3.0, abs=3 * FLAT)


def test_pigou():
    """V-CO-03: all take the link whose time is its flow: 1; half and half would be 3/4."""
    ends = [(0, 1), (0, 1)]
    flow, _, each = equilibrium(ends, [0.0, 1.0], [1.0, FLAT], 1.0)
    assert each == pytest.approx(1.0, abs=3 * FLAT)
    assert flow[0] == pytest.approx(1.0, abs=3 * FLAT)
    best, _, _ = equilibrium(ends, [0.0, 1.0], [2.0, FLAT], 1.0)
    total = best[0] * best[0] + best[1]
    np.testing.assert_allclose(best, 0.5, atol=3 * FLAT)
    assert total == pytest.approx(0.75, abs=3 * FLAT)
    assert each / total == pytest.approx(4.0 / 3.0, abs=1e-4)
