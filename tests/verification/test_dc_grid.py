"""IEEE 14-bus network in the DC approximation (V-CA-04): reference flows of pandapower 3.5.6, case14, rundcpp."""

from __future__ import annotations

import numpy as np

import fea_arch as fa

# from, to, reactance [p.u.], tap ratio, flow [MW]
BRANCHES = [
    (1, 2, 0.05917, 1, 147.838596), (1, 5, 0.22304, 1, 71.161404), (2, 3, 0.19797, 1, 70.014636),
    (2, 4, 0.17632, 1, 55.151853), (2, 5, 0.17388, 1, 40.972107), (3, 4, 0.17103, 1, -24.185364),
    (4, 5, 0.04211, 1, -61.746491), (4, 7, 0.20912, 0.978, 28.361153), (4, 9, 0.55618, 0.969, 16.551827),
    (5, 6, 0.25202, 0.932, 42.787021), (6, 11, 0.19890, 1, 6.728346), (6, 12, 0.25581, 1, 7.607358),
    (6, 13, 0.13027, 1, 17.251317), (7, 8, 0.17615, 1, 0.0), (7, 9, 0.11001, 1, 28.361153),
    (9, 10, 0.08450, 1, 5.771654), (9, 14, 0.27038, 1, 9.641325), (10, 11, 0.19207, 1, -3.228346),
    (12, 13, 0.19988, 1, 1.507358), (13, 14, 0.34802, 1, 5.258675),
]
INJECTION = [219, 18.3, -94.2, -47.8, -7.6, -11.2, 0, 0, -29.5, -9, -3.5, -6.1, -13.5, -14.9]


def test_flows_and_angles_of_the_14_bus_network():
    """V-CA-04: bars of stiffness 1/(x tap), the slack bus is the support."""
    ends = np.array([(a - 1, b - 1) for a, b, *_ in BRANCHES])
    stiffness = [100.0 / (x * tap) for _, _, x, tap, _ in BRANCHES]  # MW a radian on the base of 100 MVA
    r = fa.solve(fa.Mesh.from_bars(14, ends, stiffness, supports=[0]), np.array(INJECTION, float))
    np.testing.assert_allclose(r.force, [row[4] for row in BRANCHES], atol=1e-6)
    degrees = np.degrees(r.displacement)[[1, 2, 3, 4, 13]]
    np.testing.assert_allclose(degrees, [-5.012011, -12.953663, -10.583667, -9.093894, -17.188288], atol=1e-6)
    np.testing.assert_allclose(r.reaction, [-219.0 + np.sum(INJECTION[1:]) * -1], atol=1e-6)
