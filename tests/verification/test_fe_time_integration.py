"""Time integration against closed forms and printed tables: V-FE-10 to V-FE-15, V-QU-10."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import lambertw

import fea_arch as fa
from fea_arch.laws.custom import Custom
from fea_arch.laws.elastic_plastic import ElasticPlastic


def oscillator(m, k, zeta=0.0):
    return fa.Mesh.from_bars(2, [(1, 0)], [k], mass=m, damping=[2.0 * zeta * np.sqrt(k * m)])


def words(text):
    return np.array([float(w) for w in text.split()])


# --- V-FE-10: Chopra, Dynamics of Structures, examples 5.3 and 5.4 -----------------------------------------------
def half_sine(t):
    return np.array([0.0, 10.0 * np.sin(np.pi * t / 0.6) if t <= 0.6 + 1e-12 else 0.0])


AVERAGE = "0.043667 0.232619 0.612071 1.082543 1.430954 1.423078 0.962175 0.190776 -0.604380 -1.144195"
LINEAR = "0.029984 0.219334 0.616610 1.113016 1.478209 1.462486 0.951430 0.127306 -0.695431 -1.220830"
DUHAMEL = "0.032798 0.233170 0.648740 1.160495 1.524154 1.481352 0.924513 0.059313 -0.775155 -1.271829"
SPEED = "0.873339 2.905701 4.683342 4.726091 2.242133 -2.399646 -6.818408 -8.609582 -7.293537 -3.502769"
PULL = "17.466779 23.180461 12.372352 -11.517367 -38.161796 -54.673780 -33.701452 -2.122031 28.442934 47.372414"


@pytest.mark.parametrize(("beta", "expected"), [(1 / 4, AVERAGE), (1 / 6, LINEAR)])
def test_half_sine_pulse(beta, expected):
    history = fa.integrate(oscillator(0.2533, 10.0, 0.05), half_sine, dt_s=0.1, duration_s=1.0, beta=beta)
    np.testing.assert_allclose(history.displacement[1:, 1], words(expected), atol=1e-6)


def test_half_sine_pulse_rates():
    history = fa.integrate(oscillator(0.2533, 10.0, 0.05), half_sine, dt_s=0.1, duration_s=1.0)
    np.testing.assert_allclose(history.velocity[1:, 1], words(SPEED), atol=1e-6)
    np.testing.assert_allclose(history.acceleration[1:, 1], words(PULL), atol=1e-6)


def test_half_sine_pulse_converges_to_duhamel():
    history = fa.integrate(oscillator(0.2533, 10.0, 0.05), half_sine, dt_s=1e-4, duration_s=1.0)
    np.testing.assert_allclose(history.displacement[1000::1000, 1], words(DUHAMEL), atol=2e-6)


# --- V-FE-11: Bathe, Finite Element Procedures, examples 9.1 to 9.4 ----------------------------------------------
TWO = {
    "trapezoidal": (
        "0.006733 0.050448 0.189380 0.484557 0.961314 1.580529 2.232811 2.760701 3.003509 2.850493 2.284025 1.396784",
        "0.363746 1.351041 2.683251 3.995386 4.949717 5.336621 5.129645 4.478094 3.642357 2.896744 2.435192 2.312925",
    ),
    "central": (
        "0 0.030733 0.167531 0.487094 1.016989 1.700880 2.396871 2.913348 3.071354 2.771056 2.036820 1.022300",
        "0.392000 1.445069 2.833783 4.144092 5.015189 5.256988 4.900893 4.167707 3.368342 2.778253 2.535405 2.600828",
    ),
    "exact": (
        "0.002515 0.038071 0.175595 0.486026 0.996351 1.656965 2.338202 2.860814 3.051709 2.805723 2.130584 1.157226",
        "0.381875 1.411599 2.780950 4.093560 4.996228 5.290510 4.985713 4.276650 3.457479 2.806216 2.484335 2.488756",
    ),
}


def two_masses():
    return fa.Mesh.from_bars(3, [(1, 0), (2, 1), (2, 0)], [4.0, 2.0, 2.0], mass=[0.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("case", "options", "parts"),
    [
        ("trapezoidal", {"method": "newmark"}, 1),
        ("central", {"method": "central_difference"}, 1),
        ("exact", {"method": "bathe"}, 400),
    ],
)
def test_two_masses(case, options, parts):
    history = fa.integrate(two_masses(), [0.0, 0.0, 10.0], dt_s=0.28 / parts, duration_s=0.28 * 12, **options)
    for column, expected in zip((1, 2), TWO[case]):
        np.testing.assert_allclose(history.displacement[parts::parts, column], words(expected), atol=1e-6)


# --- V-FE-12: period elongation and numerical damping from the amplification matrix ------------------------------
def amplification(step, **options):
    """One step from each unit state gives the columns of the amplification matrix of (u, v, a)."""
    mesh = oscillator(1.0, 4.0 * np.pi**2)
    columns = []
    for start in np.eye(3):
        history = fa.integrate(
            mesh, dt_s=step, duration_s=step, displacement=[0, start[0]], velocity=[0, start[1]],
            acceleration=[0, start[2]], **options,
        )
        columns.append([history.displacement[1, 1], history.velocity[1, 1], history.acceleration[1, 1]])
    values = np.linalg.eigvals(np.array(columns).T)
    pair = values[np.argmax(values.imag)]
    turn = abs(np.angle(pair))
    return 2 * np.pi * step / turn - 1.0, -np.log(abs(pair)) / turn, np.abs(values).max()


PERIOD = [
    ({}, [(3.289003e-4, 0), (8.1712426e-3, 0), (3.20749106e-2, 0), (0.120033086, 0)]),
    ({"beta": 1 / 6}, [(1.644474e-4, 0), (4.0837892e-3, 0), (1.60019218e-2, 0), (5.91451032e-2, 0)]),
    ({"beta": 0.3025, "gamma": 0.6}, [(3.387569e-4, 3.1395274e-3), (8.4101009e-3, 1.545504e-2),
                                      (3.29459012e-2, 2.95125398e-2), (0.122581444, 5.04806733e-2)]),
    ({"method": "hht", "alpha": -0.05}, [(3.744873e-4, 1.3967e-6), (9.2761386e-3, 1.673982e-4),
                                         (3.61109559e-2, 1.1837518e-3), (0.1320335335, 6.3143695e-3)]),
    ({"method": "hht", "alpha": -0.3}, [(4.915391e-4, 4.5482e-6), (1.21166628e-2, 5.408527e-4),
                                        (4.65666711e-2, 3.7522253e-3), (0.1648758095, 1.93802053e-2)]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), PERIOD)
def test_period_elongation_and_damping(options, expected):
    for step, (elongation, ratio) in zip((0.01, 0.05, 0.1, 0.2), expected):
        found = amplification(step, **options)
        assert found[0] == pytest.approx(elongation, abs=1e-6)
        assert found[1] == pytest.approx(ratio, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "radius"),
    [({}, 1.0), ({"beta": 0.3025, "gamma": 0.6}, 0.818182), ({"method": "hht", "alpha": -0.05}, 0.904762),
     ({"method": "hht", "alpha": -0.3}, 0.538462)],
)  # fmt: skip
def test_spectral_radius_at_infinite_step(options, radius):
    assert amplification(1e5, **options)[2] == pytest.approx(radius, abs=1e-5)


# --- V-FE-13: NAFEMS T3, transient conduction with a driven end --------------------------------------------------
def heat_bar(n, lumped):
    h, k, c = 0.1 / n, 35.0, 7200.0 * 440.5
    mesh = fa.Mesh.from_bars(n + 1, np.column_stack([np.arange(n), np.arange(1, n + 1)]), np.full(n, k / h))
    diagonal = np.full(n + 1, 2.0)
    diagonal[[0, -1]] = 1.0
    if lumped:
        return mesh, diagonal * c * h / 2.0
    side = np.ones(n)
    return mesh, csr_array(c * h / 6.0 * (np.diag(2.0 * diagonal) + np.diag(side, 1) + np.diag(side, -1)))


def end_temperature(t):
    return 100.0 * np.sin(np.pi * t / 40.0)


@pytest.mark.parametrize(
    ("method", "step", "lumped", "expected"),
    [
        ("backward_euler", 1.0, False, (40.2807, 36.8931, 36.2880, 36.1529)),
        ("crank_nicolson", 0.1, False, (40.9965, 37.4480, 36.7968, 36.6503)),
        ("crank_nicolson", 0.1, True, (34.8692, 35.9431, 36.4207, 36.5563)),
    ],
)
def test_heat_bar(method, step, lumped, expected):
    for n, value in zip((5, 10, 20, 40), expected):
        mesh, capacity = heat_bar(n, lumped)
        history = fa.integrate(
            mesh, dt_s=step, duration_s=32.0, method=method, capacity=capacity, motion={n: end_temperature}
        )
        assert history.displacement[-1, round(0.8 * n)] == pytest.approx(value, abs=1e-4)
    if method == "crank_nicolson":
        assert history.displacement[-1, 32] == pytest.approx(36.60, abs=0.2)


def test_heat_bar_reaches_the_series_solution():
    mesh, capacity = heat_bar(320, False)
    history = fa.integrate(
        mesh, dt_s=0.1, duration_s=32.0, method="sdirk4", capacity=capacity, motion={320: end_temperature}
    )
    assert history.displacement[-1, 256] == pytest.approx(36.603116, abs=1e-3)


# --- V-FE-14: Bathe & Noh 2012, stiff and soft spring behind a driven support -------------------------------------
STEP = 0.2618


def driven_springs(method, parts=1, duration=38 * STEP, k1=1e7, **options):
    mesh = fa.Mesh.from_bars(3, [(1, 0), (2, 1)], [k1, 1.0], mass=[0.0, 1.0, 1.0], supports=())
    motion = {0: lambda t: np.sin(1.2 * t)}
    return fa.integrate(mesh, dt_s=STEP / parts, duration_s=duration, method=method, motion=motion,
                        velocity=[1.2, 0.0, 0.0], **options)  # fmt: skip


def reference(t):
    """Exact solution without the part at omega = 3162.28 rad/s."""
    k1, w = 1e7, 1.2
    K, M = np.array([[k1 + 1.0, -1.0], [-1.0, 1.0]]), np.eye(2)
    U = np.linalg.solve(K - w * w * M, [k1, 0.0])
    values, shapes = np.linalg.eigh(K)
    omega, phi = np.sqrt(values[0]), shapes[:, 0]
    speed = -(phi @ (w * U)) / omega
    s, c = np.sin(omega * t), np.cos(omega * t)
    u = np.outer(np.sin(w * t), U) + np.outer(speed * s, phi)
    v = np.outer(w * np.cos(w * t), U) + np.outer(speed * omega * c, phi)
    a = np.outer(-w * w * np.sin(w * t), U) + np.outer(-speed * omega**2 * s, phi)
    return u, v, a


REFERENCE = """
0.2618 0.309017707 0.003558766 1.141267601 0.040552737 -0.444985467 0.305458941 -0.13952653
0.5236 0.587786470 0.027760922 0.970819415 0.155478069 -0.846412456 0.560025548 -0.28638691
1.3090 1.000000080 0.361617954 -0.000004337 0.705872089 -1.440000000 0.638382126 -0.80161787
2.6180 -0.000007210 1.363638668 -1.200000016 0.365377130 0.000010442 -1.363645878 -1.36363544
5.2360 0.000014457 -2.361904099 1.199999916 -1.363607873 -0.000020921 2.361918556 2.36189763
9.9484 -0.587762696 -0.027865894 0.970839669 -4.568310213 0.846378222 -0.559896802 0.28648142
"""


def test_driven_springs_reference():
    table = words(REFERENCE).reshape(6, 8)
    u, v, a = reference(table[:, 0])
    np.testing.assert_allclose(u, table[:, 1:3], atol=1e-8)
    np.testing.assert_allclose(v, table[:, 3:5], atol=1e-6)
    np.testing.assert_allclose(a, table[:, 5:7], atol=1e-6)
    history = driven_springs("bathe", parts=200)
    rows = np.round(table[:, 0] / STEP).astype(int) * 200
    np.testing.assert_allclose(history.displacement[rows, 1:], table[:, 1:3], atol=1e-4)
    np.testing.assert_allclose(history.velocity[rows, 1:], table[:, 3:5], atol=1e-3)
    np.testing.assert_allclose(history.acceleration[rows, 1:], table[:, 5:7], atol=1e-3)
    np.testing.assert_allclose(history.reaction[rows, 0], table[:, 7], atol=1e-2)


@pytest.mark.parametrize(
    ("method", "options", "a2", "speed", "error"),
    [
        ("newmark", {}, (18.0344, -37.8337, -697.70), 2.41852, 0.1236856),
        ("hht", {"alpha": -0.3}, (10.6712, -12.5365, 0.96674), 2.23498, 0.1802336),
        ("bathe", {}, (-23.3281, -0.63561, 0.980318), None, 0.0625436),
    ],
)
def test_driven_springs_methods(method, options, a2, speed, error):
    history = driven_springs(method, **options)
    np.testing.assert_allclose(history.acceleration[[1, 2, 38], 1], a2, rtol=1e-3)
    if speed is not None:
        assert np.abs(history.velocity[:, 1]).max() == pytest.approx(speed, rel=1e-3)
    exact = reference(history.time_s)[0][:, 1]
    assert np.abs(history.displacement[:, 2] - exact).max() == pytest.approx(error, rel=1e-3)


# --- V-FE-15: single oscillator, closed forms; order of convergence -----------------------------------------------
K, PERIOD_S = 2.0, 0.8
MASS = K / (2.0 * np.pi / PERIOD_S) ** 2


def harmonic(t):
    return np.array([0.0, 2.0 * np.sin(2.0 * np.pi * t / 5.0)])


def step_load(t):
    return np.array([0.0, 2.0])


def still(t):
    return np.zeros(2)


CASES = [
    (0.0, harmonic, 0.0, {0.5: 0.7193373741, 1.0: 0.8118396103, 2.5: -0.1161094879, 11.25: 0.9634345760}),
    (0.05, harmonic, 0.0, {0.5: 0.6741444966, 1.0: 0.8602761765, 2.5: -0.0208248478, 11.25: 1.0256419543}),
    (0.05, step_load, 0.0, {0.4: 1.8544612789, 0.8: 0.2699072289, 2.0: 1.4554017029}),
    (0.05, still, 1.0, {0.2: 3.6349060178, 0.4: 0.0132042906, 1.0: 2.6548221564}),
]


def error_at(zeta, load, impulse, values, step, **options):
    last = max(values)
    history = fa.integrate(oscillator(MASS, K, zeta), load, dt_s=step, duration_s=last,
                           velocity=[0.0, impulse / MASS], **options)
    return np.array([history.displacement[round(t / step), 1] - u for t, u in values.items()])


@pytest.mark.parametrize(("zeta", "load", "impulse", "values"), CASES)
def test_oscillator_by_extrapolation(zeta, load, impulse, values):
    """Errors of an order-2 method fall 4 times with the step, so two runs extrapolate to the closed form."""
    coarse, fine = (error_at(zeta, load, impulse, values, s) for s in (1e-3, 5e-4))
    assert np.abs(fine).max() < 1e-3
    np.testing.assert_allclose((4.0 * fine - coarse) / 3.0, 0.0, atol=5e-9)


@pytest.mark.parametrize(
    "options", [{"method": "newmark"}, {"beta": 1 / 6}, {"method": "hht", "alpha": -0.1}, {"method": "bathe"},
                {"method": "central_difference"}],
)  # fmt: skip
def test_second_order(options):
    zeta, load, impulse, values = CASES[1]
    a, b = (np.abs(error_at(zeta, load, impulse, {1.0: values[1.0]}, s, **options))[0] for s in (2e-3, 1e-3))
    assert a / b == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(
    ("method", "step", "ratio"), [("backward_euler", 0.05, 2.0), ("crank_nicolson", 0.05, 4.0), ("sdirk4", 0.02, 16.0)]
)
def test_order_of_first_order_methods(method, step, ratio):
    mesh = fa.Mesh.from_bars(2, [(1, 0)], [1.0])
    exact = (np.sin(2.0) - np.cos(2.0) + np.exp(-2.0)) / 2.0
    errors = []
    for s in (step, step / 2):
        history = fa.integrate(mesh, lambda t: np.array([0.0, np.sin(t)]), dt_s=s, duration_s=2.0, method=method,
                               capacity=1.0)
        errors.append(abs(history.displacement[-1, 1] - exact))
    assert errors[0] / errors[1] == pytest.approx(ratio, rel=0.06)


def test_energy_is_conserved_by_the_trapezoidal_rule():
    rng = np.random.default_rng(1)
    mesh = fa.Mesh.from_bars(30, np.column_stack([np.arange(1, 30), rng.integers(0, np.arange(1, 30))]),
                             rng.random(29) + 0.1, mass=rng.random(30) + 0.1)
    history = fa.integrate(mesh, lambda t: np.sin(t) * np.ones(30), dt_s=0.1, duration_s=20.0)
    assert history.energy_error < 1e-12


# --- V-QU-10: PSFFA of the transient M/M/1 queue as a first-order structure ---------------------------------------
def test_transient_queue_psffa():
    rate, mu = 0.8, 1.0
    law = Custom(lambda x, m: m * x / (1.0 + x), lambda x, m: m / (1.0 + x) ** 2, [[mu]])
    mesh = fa.Mesh.from_incidence(np.ones((1, 1)), law)
    history = fa.integrate(mesh, [rate], dt_s=0.1, duration_s=100.0, method="sdirk4", capacity=1.0)
    times = np.array([1.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    a = mu - rate
    closed = (rate / a) * (1.0 + (mu / rate) * lambertw(-(rate / mu) * np.exp(-(a**2 * times + rate) / mu)).real)
    printed = words("0.572900668770 1.641640451282 2.311107825301 3.016950420256 3.743980519792 3.966862114088")
    np.testing.assert_allclose(closed, printed, atol=1e-11)
    np.testing.assert_allclose(history.displacement[np.round(times / 0.1).astype(int), 0], printed, rtol=0, atol=1e-8)


# --- nonlinear dynamics and bad input -----------------------------------------------------------------------------
def test_plastic_oscillator_balances_energy():
    mesh = fa.Mesh.from_incidence(np.ones((1, 1)), ElasticPlastic(4.0, 1.0, 0.2), mass=1.0)
    history = fa.integrate(mesh, lambda t: np.array([1.5 * np.sin(1.7 * t)]), dt_s=0.005, duration_s=20.0)
    assert history.energy_error < 1e-4
    assert history.strain[-1] > 1.0  # work spent in hysteresis


def test_first_order_needs_no_mass_and_bad_input_is_named():
    mesh = fa.Mesh.from_bars(2, [(1, 0)], [1.0])
    with pytest.raises(fa.ModelError, match="mass"):
        fa.integrate(mesh, dt_s=0.1, duration_s=1.0)
    heavy = oscillator(1.0, 1.0)
    for options, word in [({"dt_s": -1.0, "duration_s": 1.0}, "dt_s"),
                          ({"dt_s": 0.1, "duration_s": np.nan}, "duration_s"),
                          ({"dt_s": 2.0, "duration_s": 0.1}, "dt_s"),
                          ({"dt_s": 0.1, "duration_s": 1.0, "method": "newmrak"}, "Did you mean 'newmark'"),
                          ({"dt_s": 0.1, "duration_s": 1.0, "method": "hht", "alpha": 0.4}, "alpha"),
                          ({"dt_s": 0.1, "duration_s": 1.0, "gamma": 0.3}, "gamma"),
                          ({"dt_s": 0.1, "duration_s": 1.0, "mass_matrix": np.eye(3)}, "mass_matrix"),
                          ({"dt_s": 0.1, "duration_s": 1.0, "displacement": [1.0]}, "displacement")]:
        with pytest.raises(fa.ModelError, match=word):
            fa.integrate(heavy, **options)
    with pytest.raises(fa.ModelError, match="f_of_t"):
        fa.integrate(heavy, lambda t: np.ones(3), dt_s=0.1, duration_s=1.0)


def test_unstable_explicit_step_is_named():
    with pytest.raises(fa.ModelError, match="stability limit"), np.errstate(all="ignore"):
        fa.integrate(oscillator(1.0, 1.0), [0.0, 1.0], dt_s=4.0, duration_s=4000.0, method="central_difference")
