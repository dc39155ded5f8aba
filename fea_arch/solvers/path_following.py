r"""Follow the solutions of ``F(u, lambda) = 0`` through folds: pseudo-arc-length continuation.

Each step predicts along the tangent ``t`` of the curve and corrects by Newton on the bordered system
``[[F_u, F_lambda], [c_u, c_lambda]]``, which stays regular at a fold (Keller 1977; Crisfield, Comput. Struct. 13 (1981)
55). The plane ``c`` is the tangent (arc length) or a control the system chooses (load, displacement, dissipation).
Folds are zeros of the tangent's ``lambda`` part over the step length, found by Brent's method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.laws.base import Array

__all__ = ["Curve", "Path", "follow", "trace_curve"]

#: Order up to which Jacobians are handled densely.
DENSE = 120


class Curve:
    """A system ``F(u, lambda) = 0`` whose curve is followed; subclasses may add memory and controls.

    Parameters
    ----------
    residual : callable
        ``(u, lambda) -> (n,)``.
    jacobian : callable
        ``(u, lambda) -> (F_u (n, n) dense or sparse, F_lambda (n,))``.
    """

    def __init__(
        self, residual: Callable[[Array, float], Array], jacobian: Callable[[Array, float], tuple[Any, Array]]
    ) -> None:
        self.residual, self.jacobian = residual, jacobian

    def scale(self, u: Array, parameter: float) -> float:
        """Return the force that a residual is compared with."""
        return 1.0

    def beyond(self, u: Array, direction: Array) -> Array:
        """Return the state at which the tangent is taken: past a kink that ``u`` sits on."""
        return u

    def forward(self, u: Array, direction: Array) -> float:
        """Return a number whose sign says whether a direction is forward; 0 leaves it to the previous direction."""
        return 0.0

    def kink(self, u: Array, direction: Array, step: float) -> float:
        """Return the largest step up to ``step`` that does not pass a kink of the laws."""
        return step

    def control(self, u: Array, tangent: Array) -> Array | None:
        """Return the plane ``(c_u, c_lambda)`` of the corrector; None for arc length."""
        return None

    def stretch(self, tangent: Array) -> float:
        """Return how far to go along a unit tangent per unit of step, for controls with their own measure."""
        return 1.0

    def watched(self, tangent: Array) -> Array:
        """Return quantities whose sign changes are located: the parameter's rate first."""
        return tangent[-1:]

    def accept(self, u: Array, parameter: float) -> None:
        """Take note of a converged point."""


@dataclass(frozen=True, eq=False)
class Path:
    """Points of a curve in order.

    Parameters
    ----------
    parameter : (m,) float64
        ``lambda``.
    state : (m, n) float64
        ``u``.
    tangent : (m, n + 1) float64
        Unit tangent ``(du, dlambda)`` in the scaled norm.
    negative : (m,) int64
        Negative eigenvalues of the symmetric part of ``F_u``.
    events : tuple of (k,) int64
        Rows at which each watched quantity vanishes; ``events[0]`` are the folds.
    bifurcations : (k,) int64
        Rows at which the number of negative eigenvalues changes away from a fold.
    """

    parameter: Array
    state: Array
    tangent: Array
    negative: NDArray[np.int64]
    events: tuple[NDArray[np.int64], ...]
    bifurcations: NDArray[np.int64]

    @property
    def folds(self) -> NDArray[np.int64]:
        """Rows of the folds, (k,) int64."""
        return self.events[0]


def follow(
    residual: Callable[[Array, float], ArrayLike],
    jacobian: Callable[[Array, float], tuple[Any, ArrayLike]],
    start: ArrayLike,
    parameter: float,
    *,
    step: float,
    max_points: int = 1000,
    direction: float = 1.0,
    stop: Callable[[Array, float], bool] | None = None,
    max_step: float | None = None,
) -> Path:
    """Follow ``F(u, lambda) = 0`` from a solution, through folds.

    Parameters
    ----------
    residual, jacobian : callable
        ``(u, lambda) -> F (n,)`` and ``-> (F_u (n, n), F_lambda (n,))``.
    start : (n,) float
        Solution, or near one, at ``parameter``.
    parameter : float
        ``lambda`` at the start.
    step, max_step : float
        First and largest step in arc length ``sqrt(|du|^2 + dlambda^2)``; the largest is 4 times the first.
    max_points : int
        Bound on the number of points.
    direction : float
        Sign of the first change of ``lambda``.
    stop : callable, optional
        ``(u, lambda) -> bool``: end after this point.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the start is not near a solution or a step makes no sense.
    ConvergenceError
        If the curve is lost; carries the path so far.

    Examples
    --------
    >>> circle = follow(lambda u, p: u**2 + p**2 - 1, lambda u, p: (2 * u[None, :], np.array([2 * p])), [1.0], 0.0,
    ...                 step=0.1, stop=lambda u, p: u[0] < 0)
    >>> circle.parameter[circle.folds].round(9)
    array([1.])
    """
    curve = Curve(lambda u, p: np.atleast_1d(np.asarray(residual(u, p), float)), lambda u, p: _pair(jacobian(u, p)))
    return trace_curve(
        curve, np.atleast_1d(np.array(start, float)), float(parameter), step=step, max_points=max_points,
        direction=direction, stop=stop, max_step=max_step, weight=1.0,
    )  # fmt: skip


def _pair(value: tuple[Any, ArrayLike]) -> tuple[Any, Array]:
    matrix, rate = value
    return (matrix if hasattr(matrix, "tocsc") else np.atleast_2d(np.asarray(matrix, float))), np.atleast_1d(
        np.asarray(rate, float)
    )


def _border(matrix: Any, rate: Array, plane: Array) -> Callable[[Array], Array]:
    """Return a solver of the bordered system."""
    n = rate.size
    if n <= DENSE:
        full = np.empty((n + 1, n + 1))
        full[:n, :n] = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        full[:n, n], full[n] = rate, plane
        return lambda rhs: np.asarray(np.linalg.solve(full, rhs))
    from scipy.sparse import block_array, csc_array
    from scipy.sparse.linalg import splu

    whole = block_array([[csc_array(matrix), csc_array(rate[:, None])],
                         [csc_array(plane[None, :n]), csc_array(plane[None, n:])]], format="csc")  # fmt: skip
    try:
        lu = splu(whole)
    except RuntimeError as error:
        raise np.linalg.LinAlgError(str(error)) from error
    return lambda rhs: np.asarray(lu.solve(rhs))


def _negatives(matrix: Any) -> int:
    """Count negative eigenvalues of a symmetric matrix from its inertia."""
    if matrix.shape[0] <= DENSE:
        dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        values = np.linalg.eigvalsh(0.5 * (dense + dense.T))
        return int(np.sum(values < -1e-13 * np.abs(values).max(initial=0.0)))
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    try:
        lu = splu(csc_array(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:
        return -1
    return int(np.sum(lu.U.diagonal() < 0.0))


class _Walker:
    def __init__(self, curve: Curve, weight: float, tolerance: float) -> None:
        self.curve, self.weight, self.tolerance = curve, weight, tolerance

    def dot(self, a: Array, b: Array) -> float:
        return float(self.weight * (a[:-1] @ b[:-1]) + a[-1] * b[-1])

    def tangent(self, u: Array, p: float, before: Array) -> Array:
        """Return the unit tangent at a point, oriented forward."""
        curve = self.curve
        at = curve.beyond(u, before[:-1])
        matrix, rate = curve.jacobian(at, p)
        plane = np.append(self.weight * before[:-1], before[-1])
        right = np.zeros(rate.size + 1)
        right[-1] = 1.0
        rng = np.random.default_rng(0)
        for _ in range(3):  # a plane that holds the tangent makes the border singular: turn it
            try:
                t = _border(matrix, rate, plane)(right)
                if np.all(np.isfinite(t)):
                    break
            except np.linalg.LinAlgError:
                pass
            plane = plane + 0.1 * np.abs(plane).max() * rng.standard_normal(plane.size)
        else:
            raise np.linalg.LinAlgError("no tangent")
        t /= np.sqrt(self.dot(t, t))
        sign = curve.forward(at, t[:-1])
        if sign < 0.0 or (sign == 0.0 and self.dot(t, before) < 0.0):
            t = -t
        return np.asarray(t)

    def correct(self, u: Array, p: float, tangent: Array, step: float) -> tuple[Array, float, int] | None:
        """Return the point at a step along the tangent, or None."""
        curve = self.curve
        plane = curve.control(u, tangent)
        if plane is None:
            plane = np.append(self.weight * tangent[:-1], tangent[-1])
        ahead = float(plane @ tangent)
        if not abs(ahead) > 1e-12 * np.abs(plane).max():
            return None
        x = np.append(u, p) + step * tangent
        target = float(plane @ np.append(u, p)) + step * ahead
        last = np.inf
        for iteration in range(25):
            try:
                force = curve.residual(x[:-1], float(x[-1]))
                size = curve.scale(x[:-1], float(x[-1]))
                worst = float(np.abs(force).max(initial=0.0)) / size
                if not np.isfinite(worst):
                    return None
                if worst <= self.tolerance or (iteration > 4 and worst >= 0.5 * last and worst < 1e3 * self.tolerance):
                    return x[:-1], float(x[-1]), iteration
                last = worst
                matrix, rate = curve.jacobian(x[:-1], float(x[-1]))
                change = _border(matrix, rate, plane)(np.append(-force, target - plane @ x))
            except np.linalg.LinAlgError:
                return None
            x = x + change
            moved = x - np.append(u, p)
            if self.dot(moved, moved) > (20.0 * step) ** 2:  # a jump to another branch is no continuation
                return None
        return None


def trace_curve(
    curve: Curve, u: Array, p: float, *, step: float, max_points: int, direction: float,
    stop: Callable[[Array, float], bool] | None, max_step: float | None, weight: float, tolerance: float = 1e-12,
) -> Path:  # fmt: skip
    """Follow a :class:`Curve`; see :func:`follow`. ``weight`` multiplies ``|du|^2`` in the arc length."""
    for name, value in (("step", step), ("max_points", max_points)):
        if not (np.isfinite(value) and value > 0):
            raise ModelError(f"is {value}, not a positive number", field=name)
    walker = _Walker(curve, weight, tolerance)
    for _ in range(50):
        force = curve.residual(u, p)
        if np.abs(force).max(initial=0.0) <= tolerance * curve.scale(u, p):
            break
        matrix, _ = curve.jacobian(u, p)
        dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        try:
            u = u - np.linalg.solve(dense, force)
        except np.linalg.LinAlgError as error:
            raise ModelError("the start is a singular point", field="start") from error
    else:
        raise ModelError("the start is not near a solution", field="start")
    guess = np.zeros(u.size + 1)
    guess[-1] = direction
    points, events, bifurcations = [(u, p)], [[] for _ in range(4)], []  # type: ignore[var-annotated]
    t = walker.tangent(u, p, guess)
    tangents, negative = [t], [_negatives(curve.jacobian(curve.beyond(u, t[:-1]), p)[0])]
    largest = 4.0 * step if max_step is None else max_step
    length = step

    def done() -> Path:
        rows = tuple(np.array(e, np.int64) for e in events)
        return Path(
            np.array([q for _, q in points]), np.array([x for x, _ in points]), np.array(tangents),
            np.array(negative, np.int64), rows, np.array(bifurcations, np.int64),
        )  # fmt: skip

    def add(x: Array, q: float, tangent: Array) -> None:
        points.append((x, q))
        tangents.append(tangent)
        negative.append(_negatives(curve.jacobian(curve.beyond(x, tangent[:-1]), q)[0]))
        curve.accept(x, q)

    while len(points) < max_points:
        u, p = points[-1]
        t = tangents[-1]
        goal = length * curve.stretch(t)
        trial = min(curve.kink(u, t[:-1], goal), goal)
        found, at_kink = None, trial < goal
        while trial > 1e-10 * step:
            found = walker.correct(u, p, t, trial)
            if found is not None:
                try:
                    new = walker.tangent(found[0], found[1], t)
                except np.linalg.LinAlgError:
                    found = None
            if found is not None and (at_kink or walker.dot(new, t) > 0.6 or trial < 1e-4 * step):
                break
            found, at_kink = None, False
            trial *= 0.5
        if found is None:
            raise ConvergenceError(
                f"the path is lost after {len(points)} points at parameter {p:g}: it turns back under this control, or "
                "the laws jump", partial=done(),
            )
        x, q, iterations = found
        old_signs, new_signs = curve.watched(t), curve.watched(new)
        crossed = [i for i in range(old_signs.size) if old_signs[i] * new_signs[i] < 0.0
                   or (abs(new_signs[i]) < 1e-12 <= abs(old_signs[i]))]  # fmt: skip
        spots = sorted((trial if at_kink else _locate(walker, u, p, t, trial, i), i) for i in crossed)
        for spot, i in spots:
            inside = walker.correct(u, p, t, spot) if spot < trial * (1.0 - 1e-9) else None
            if inside is not None:
                add(inside[0], inside[1], walker.tangent(inside[0], inside[1], t))
                events[i].append(len(points) - 1)
            else:
                events[i].append(len(points))
        before = negative[-1]
        if not spots and not at_kink:
            spot = _switch(walker, u, p, t, trial, before)
            inside = walker.correct(u, p, t, spot) if spot < trial else None
            if inside is not None:
                add(inside[0], inside[1], walker.tangent(inside[0], inside[1], t))
                bifurcations.append(len(points) - 1)
        add(x, q, new)
        base = length if at_kink else length * trial / goal
        change = 1.5 if iterations <= 4 else 0.7 if iterations > 8 else 1.0
        length = max(min(largest, base * change), 1e-3 * step)
        if stop is not None and stop(x, q):
            break
    return done()


def _locate(walker: _Walker, u: Array, p: float, t: Array, step: float, which: int) -> float:
    """Return the step length at which a watched quantity changes sign."""
    from scipy.optimize import brentq

    def rate(s: float) -> float:
        found = walker.correct(u, p, t, s)
        if found is None:
            return float("nan")
        return float(walker.curve.watched(walker.tangent(found[0], found[1], t))[which])

    start, end = float(walker.curve.watched(t)[which]), rate(step)
    if not start * end < 0.0:
        return step
    try:
        return float(brentq(lambda s: start if s == 0.0 else rate(s), 0.0, step, xtol=1e-15 * step, rtol=1e-14))
    except (ValueError, RuntimeError):
        return step


def _switch(walker: _Walker, u: Array, p: float, t: Array, step: float, before: int) -> float:
    """Return the step length at which the number of negative eigenvalues changes, ``step`` if it does not."""

    def count(s: float) -> int:
        found = walker.correct(u, p, t, s)
        if found is None:
            return before
        at = walker.curve.beyond(found[0], t[:-1])
        return _negatives(walker.curve.jacobian(at, found[1])[0])

    end = count(step)
    if end == before or min(end, before) < 0:
        return step
    low, high = 0.0, step
    while high - low > 1e-12 * step:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if count(middle) == before else (low, middle)
    return 0.5 * (low + high)
