r"""Implicit and explicit time integration of structures.

Second order, ``M u'' + C u' + p(u) = f(t)``: Newmark (J. Eng. Mech. Div. ASCE 85 (1959) 67), HHT-alpha (Hilber, Hughes
& Taylor, Earthquake Eng. Struct. Dyn. 5 (1977) 283), Bathe's two-step method (Comput. Struct. 83 (2005) 2513) and
central differences. First order, ``C u' + p(u) = f(t)``: backward Euler, Crank-Nicolson and the five-stage L-stable
SDIRK method of order 4 (Hairer & Wanner, Solving ODEs II, table IV.6.5). ``p(u) = A^T g(A u)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.errors import ConvergenceError
from fea_arch.laws.base import Array
from fea_arch.solvers.structure import Structure, factor

__all__ = ["FIRST_ORDER", "SECOND_ORDER", "Problem", "first_order", "initial_acceleration", "second_order"]

SECOND_ORDER = ("newmark", "hht", "bathe", "central_difference")
FIRST_ORDER = ("backward_euler", "crank_nicolson", "sdirk4")

_SDIRK_C = np.array([1 / 4, 3 / 4, 11 / 20, 1 / 2, 1.0])
_SDIRK_A = np.array([
    [1 / 4, 0, 0, 0, 0],
    [1 / 2, 1 / 4, 0, 0, 0],
    [17 / 50, -1 / 25, 1 / 4, 0, 0],
    [371 / 1360, -137 / 2720, 15 / 544, 1 / 4, 0],
    [25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4],
])  # fmt: skip


@dataclass(eq=False)
class Problem:
    """A structure in motion.

    Parameters
    ----------
    structure : Structure
        Elements, laws and free nodes.
    M, C : csr_array (n_nodes, n_nodes)
        Mass and damping (first order: capacity in ``C``).
    load : callable
        ``t -> (n_nodes,)`` nodal load.
    motion : callable
        ``t -> (u, v, a)``, each (n_nodes,), zero except at nodes whose motion is prescribed.
    tolerance : float
        Newton stops at this force residual relative to the largest nodal force.
    driven : bool
        Whether the motion of any node is prescribed.
    """

    structure: Structure
    M: Any
    C: Any
    load: Callable[[float], Array]
    motion: Callable[[float], tuple[Array, Array, Array]]
    tolerance: float = 1e-11
    driven: bool = True

    def __post_init__(self) -> None:
        free = self.structure.free
        self._cache: dict[tuple[float, float, float], Callable[[Array], Array]] = {}
        self._K: Any = self.structure.full_stiffness() if self.structure.linear else None
        self._Mf: Any = self.M[free]
        self._Cf: Any = self.C[free]
        self._Mff: Any = self._Mf[:, free]
        self._Cff: Any = self._Cf[:, free]

    def internal(self, u: Array) -> Array:
        """Return ``p(u)`` at every node."""
        return np.asarray(self._K @ u) if self._K is not None else self.structure.internal(u)

    def solver(self, m: float, c: float, k: float, u: Array) -> Callable[[Array], Array]:
        """Return a solver of ``m M + c C + k K(u)`` on the free nodes; kept for linear structures."""
        key = (m, c, k)
        if self.structure.linear and key in self._cache:
            return self._cache[key]
        matrix = m * self._Mff + c * self._Cff
        if k:
            matrix = matrix + k * self.structure.tangent(u)
        solve = factor(matrix)
        if self.structure.linear or k == 0.0:
            self._cache[key] = solve
        return solve

    def correct(
        self, u: Array, weights: tuple[float, float, float], rates: Callable[[Array], tuple[Array, Array]],
        right: Array, time: float,
    ) -> tuple[Array, int]:  # fmt: skip
        """Solve ``M a(u) + c C v(u) + k p(u) = right`` for the free part of ``u`` by Newton.

        ``weights`` are ``d(residual)/du`` in terms of M, C and K; ``rates`` maps ``u`` to ``M a`` and ``C v`` terms.
        """
        free, linear = self.structure.free, self.structure.linear
        k = weights[2]
        scale = np.abs(right).max(initial=0.0)
        best = np.inf
        for iteration in range(1, 41):
            inertia, damping = rates(u)
            resisting = k * self.internal(u)[free]
            residual = right - inertia - damping - resisting
            if linear:
                u[free] += self.solver(*weights, u)(residual)
                return u, 1
            worst = float(np.abs(residual).max(initial=0.0))
            parts = [scale, *(float(np.abs(part).max(initial=0.0)) for part in (resisting, inertia)), 1e-300]
            size = max(parts)
            stalled = iteration > 8 and worst >= 0.5 * best and worst <= 1e3 * self.tolerance * size
            if worst <= self.tolerance * size or stalled:
                return u, iteration
            if not np.isfinite(worst):
                break
            best = min(best, worst)
            u[free] += self.solver(*weights, u)(residual)
        order = np.argsort(-np.abs(residual))[:3]
        names = tuple(self.structure.mesh.node_name(int(free[i])) for i in order)
        raise ConvergenceError(f"no equilibrium in the step to t = {time:g} s; a shorter dt_s may help.", worst=names,
                               residual=worst / size)  # fmt: skip


def initial_acceleration(problem: Problem, u: Array, v: Array) -> Array:
    """Return ``M^-1 (f - C v - p(u))`` at t = 0, zero where a node has no mass, (n_nodes,) float64."""
    free = problem.structure.free
    a = problem.motion(0.0)[2].copy()
    rest = (problem.load(0.0) - problem.C @ v - problem.internal(u) - problem.M @ a)[free]
    heavy = np.flatnonzero(problem._Mff.diagonal() > 0.0)
    if heavy.size:
        a[free[heavy]] = factor(problem._Mff[heavy][:, heavy])(rest[heavy])
    return np.asarray(a, float)


def second_order(
    problem: Problem, method: str, dt: float, steps: int, start: tuple[Array, Array, Array],
    beta: float = 0.25, gamma: float = 0.5, alpha: float = 0.0,
) -> tuple[Array, Array, Array, int]:  # fmt: skip
    """Integrate ``M u'' + C u' + p(u) = f`` and return displacement, velocity, acceleration and Newton iterations.

    Parameters
    ----------
    problem : Problem
        The structure in motion.
    method : {"newmark", "hht", "bathe", "central_difference"}
        Integrator.
    dt : float
        Step [s].
    steps : int
        Number of steps.
    start : (u, v, a), each (n_nodes,) float64
        Initial state.
    beta, gamma, alpha : float
        Parameters of Newmark and HHT (``alpha`` in [-1/3, 0]).

    Returns
    -------
    u, v, a : (steps + 1, n_nodes) float64
    iterations : int
    """
    U, V, W = (np.empty((steps + 1, s.size)) for s in start)
    U[0], V[0], W[0] = start
    if method == "central_difference":
        return _central(problem, dt, steps, U, V, W)
    if method != "bathe" and problem.structure.linear and not problem.driven:
        return _linear_newmark(problem, dt, steps, U, V, W, beta, gamma, alpha)
    one = _bathe if method == "bathe" else _newmark
    total = 0
    previous = problem.load(0.0)
    for i in range(steps):
        time = (i + 1) * dt
        now = problem.load(time)
        U[i + 1], V[i + 1], W[i + 1], count = one(
            problem, i * dt, dt, U[i], V[i], W[i], previous, now, beta, gamma, alpha
        )
        previous = now
        total += count
        problem.structure.commit(U[i + 1])
    return U, V, W, total


def _place(problem: Problem, time: float, u: Array) -> tuple[Array, Array, Array]:
    """Return ``u`` with the prescribed motion put in, and full velocity and acceleration holding only that motion."""
    given, v, a = problem.motion(time)
    out = given.copy()
    out[problem.structure.free] = u[problem.structure.free]
    return out, v.copy(), a.copy()


def _newmark(
    problem: Problem, t0: float, dt: float, u0: Array, v0: Array, a0: Array, f0: Array, f1: Array,
    beta: float, gamma: float, alpha: float,
) -> tuple[Array, Array, Array, int]:  # fmt: skip
    free = problem.structure.free
    guess = u0 + dt * v0 + dt * dt * (0.5 - beta) * a0 if problem.structure.linear else u0
    u, v, a = _place(problem, t0 + dt, guess)
    c1, c2 = 1.0 / (beta * dt * dt), gamma / (beta * dt)
    keep = 1.0 + alpha

    def kinematics(x: Array) -> None:
        a[free] = c1 * (x[free] - u0[free] - dt * v0[free]) - (0.5 / beta - 1.0) * a0[free]
        v[free] = v0[free] + dt * ((1.0 - gamma) * a0[free] + gamma * a[free])

    def rates(x: Array) -> tuple[Array, Array]:
        kinematics(x)
        return problem._Mf @ a, keep * (problem._Cf @ v)

    right = keep * f1[free]
    if alpha:
        right = right - alpha * (f0[free] - problem._Cf @ v0 - problem.internal(u0)[free])
    u, count = problem.correct(u, (c1, keep * c2, keep), rates, right, t0 + dt)
    kinematics(u)
    return u, v, a, count


def _linear_newmark(
    problem: Problem, dt: float, steps: int, U: Array, V: Array, W: Array, beta: float, gamma: float, alpha: float
) -> tuple[Array, Array, Array, int]:
    """Newmark and HHT of a linear structure in predictor form: one product with K and C and one solve per step."""
    free, keep = problem.structure.free, 1.0 + alpha
    K, C = problem._K[free][:, free], problem._Cff
    matrix = (1.0 / (beta * dt * dt)) * problem._Mff + keep * ((gamma / (beta * dt)) * C + K)
    solve = factor(matrix)
    damped = C.nnz > 0
    u, v, a = U[0][free], V[0][free], W[0][free]
    before = problem.load(0.0)[free]
    U[1:], V[1:], W[1:] = 0.0, 0.0, 0.0
    for i in range(1, steps + 1):
        now = problem.load(i * dt)[free]
        ahead = u + dt * v
        ahead += ((0.5 - beta) * dt * dt) * a
        speed = v + ((1.0 - gamma) * dt) * a
        right = now - K @ ahead
        if damped:
            right -= C @ speed
        if alpha:
            right *= keep
            right -= alpha * (before - C @ v - K @ u)
        rise = solve(right)  # beta dt^2 times the new acceleration
        a = rise / (beta * dt * dt)
        u = ahead + rise
        v = speed + (gamma * dt) * a
        U[i, free], V[i, free], W[i, free] = u, v, a
        before = now
    return U, V, W, steps


def _bathe(
    problem: Problem, t0: float, dt: float, u0: Array, v0: Array, a0: Array, f0: Array, f1: Array,
    beta: float, gamma: float, alpha: float,
) -> tuple[Array, Array, Array, int]:  # fmt: skip
    free, half = problem.structure.free, t0 + 0.5 * dt
    middle = problem.load(half)
    u1, v1, _, first = _newmark(problem, t0, 0.5 * dt, u0, v0, a0, f0, middle, 0.25, 0.5, 0.0)
    u, v, a = _place(problem, t0 + dt, u1)

    def kinematics(x: Array) -> None:
        v[free] = (u0[free] - 4.0 * u1[free] + 3.0 * x[free]) / dt
        a[free] = (v0[free] - 4.0 * v1[free] + 3.0 * v[free]) / dt

    def rates(x: Array) -> tuple[Array, Array]:
        kinematics(x)
        return problem._Mf @ a, problem._Cf @ v

    u, second = problem.correct(u, (9.0 / dt**2, 3.0 / dt, 1.0), rates, f1[free], t0 + dt)
    kinematics(u)
    return u, v, a, first + second


def _central(
    problem: Problem, dt: float, steps: int, U: Array, V: Array, W: Array
) -> tuple[Array, Array, Array, int]:
    free = problem.structure.free
    solve = problem.solver(1.0 / dt**2, 0.5 / dt, 0.0, U[0])
    before = U[0] - dt * V[0] + 0.5 * dt * dt * W[0]
    for i in range(steps + 1):
        time = i * dt
        right = problem.load(time) - problem.internal(U[i]) + problem.M @ (2.0 * U[i] - before) / dt**2
        right = (right + problem.C @ before * (0.5 / dt))[free]
        after, _, _ = _place(problem, time + dt, U[i])
        known = after.copy()
        known[free] = 0.0
        right = right - (problem._Mf @ known) / dt**2 - (problem._Cf @ known) * (0.5 / dt)
        after[free] = solve(right)
        if i:
            V[i], W[i] = (after - before) / (2.0 * dt), (after - 2.0 * U[i] + before) / dt**2
        if i < steps:
            U[i + 1] = after
            problem.structure.commit(after)
        before = U[i]
    return U, V, W, steps


def first_order(problem: Problem, method: str, dt: float, steps: int, start: Array) -> tuple[Array, Array, int]:
    """Integrate ``C u' + p(u) = f`` and return displacement, its rate and the number of Newton iterations.

    Parameters
    ----------
    problem : Problem
        The structure; ``C`` holds the capacity.
    method : {"backward_euler", "crank_nicolson", "sdirk4"}
        Integrator, of order 1, 2 and 4.
    dt : float
        Step [s].
    steps : int
        Number of steps.
    start : (n_nodes,) float64
        Initial displacement.

    Returns
    -------
    u, rate : (steps + 1, n_nodes) float64
    iterations : int
    """
    structure = problem.structure
    free = structure.free
    U, V = np.empty((steps + 1, start.size)), np.zeros((steps + 1, start.size))
    U[0] = start
    V[0] = problem.motion(0.0)[1]
    full = np.flatnonzero(problem._Cff.diagonal() > 0.0)
    rest = (problem.load(0.0) - problem.internal(start) - problem.C @ V[0])[free]
    V[0][free[full]] = factor(problem._Cff[full][:, full])(rest[full]) if full.size else 0.0
    table, nodes = (_SDIRK_A, _SDIRK_C) if method == "sdirk4" else (np.ones((1, 1)), np.ones(1))
    total = 0
    for i in range(steps):
        if method == "crank_nicolson":
            U[i + 1], count = _trapezoid(problem, i * dt, dt, U[i])
            V[i + 1] = 2.0 * (U[i + 1] - U[i]) / dt - V[i]
        else:
            U[i + 1], V[i + 1], count = _stages(problem, i * dt, dt, U[i], table, nodes)
        total += count
        structure.commit(U[i + 1])
    return U, V, total


def _trapezoid(problem: Problem, t0: float, dt: float, u0: Array) -> tuple[Array, int]:
    free = problem.structure.free
    u, _, _ = _place(problem, t0 + dt, u0)
    right = 0.5 * (problem.load(t0) + problem.load(t0 + dt) - problem.internal(u0))[free]
    none = np.zeros(free.size)
    return problem.correct(
        u, (0.0, 1.0 / dt, 0.5), lambda x: (none, problem._Cf @ (x - u0) / dt), right, t0 + dt
    )


def _stages(
    problem: Problem, t0: float, dt: float, u0: Array, table: Array, nodes: Array
) -> tuple[Array, Array, int]:
    """Run the stages of a stiffly accurate diagonally implicit method; the last stage is the new state."""
    free = problem.structure.free
    none = np.zeros(free.size)
    slopes = np.zeros((len(nodes), u0.size))
    u, total = u0, 0
    for s, node in enumerate(nodes):
        weight = float(dt * table[s, s])
        base = u0 + dt * (table[s, :s] @ slopes[:s])
        time = t0 + float(node) * dt
        u, _, _ = _place(problem, time, u)

        def damping(x: Array, base: Array = base, weight: float = weight) -> tuple[Array, Array]:
            return none, problem._Cf @ (x - base) / weight

        u, count = problem.correct(u, (0.0, 1.0 / weight, 1.0), damping, problem.load(time)[free], time)
        slopes[s] = (u - base) / weight
        total += count
    return u, slopes[-1], total
