"""Laws the user gives: polynomials, and any vectorised pair of force and tangent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ModelError
from fea_arch.laws.base import Array
from fea_arch.laws.columns import columns

__all__ = ["Custom", "Polynomial"]

Function = Callable[..., Array]


@dataclass(frozen=True, slots=True, init=False)
class Custom:
    """A block of elements with a user-given law ``q = force(e, *parameters)``.

    Parameters
    ----------
    force, tangent : callable
        Vectorised ``(elongation, *parameters) -> (n,)``; ``force`` vanishes at zero, ``tangent`` is its derivative and
        positive at zero.
    parameters : sequence of (n,) float64
        Columns handed to the functions, one entry per element.
    limit : (n,) float64
        Elongation at which the first stable branch ends; infinity if the force rises for ever.
    energy : callable, optional
        Closed form of the work; by default Gauss-Legendre quadrature in panels.

    Raises
    ------
    ModelError
        If the functions do not return one finite number per element, or the force at zero is not zero.

    Examples
    --------
    >>> law = Custom(lambda e, a: a * np.tanh(e), lambda e, a: a / np.cosh(e) ** 2, [[2.0, 3.0]])
    >>> law.elongation(law.force(np.array([0.5, 1.0])))
    array([0.5, 1. ])
    """

    function: Function
    derivative: Function
    parameters: tuple[Array, ...]
    limit: Array
    work: Function | None
    name: str = field(default="custom")

    def __init__(
        self, force: Function, tangent: Function, parameters: Sequence[ArrayLike] = (1.0,), limit: ArrayLike = np.inf,
        energy: Function | None = None,
    ) -> None:  # fmt: skip
        filled = columns("custom", **{f"parameter_{i}": (p, "finite") for i, p in enumerate(parameters)})
        if not filled:
            raise ModelError("needs at least one column", component="custom", field="parameters")
        ends = np.broadcast_to(np.asarray(limit, float), filled[0].shape)
        for key, value in (
            ("function", force), ("derivative", tangent), ("parameters", filled), ("limit", ends), ("work", energy),
            ("name", "custom"),
        ):  # fmt: skip
            object.__setattr__(self, key, value)
        zero = np.zeros(filled[0].size)
        for what, function in (("force", force), ("tangent", tangent)):
            try:
                value = np.asarray(function(zero, *filled), float)
            except TypeError as error:
                raise ModelError(
                    f"cannot be called with (elongation, {len(filled)} parameters): {error}",
                    component="custom",
                    field=what,
                ) from error
            if value.shape != zero.shape or not np.all(np.isfinite(value)):
                raise ModelError("does not return a finite number per element at zero", component="custom", field=what)
            if what == "force" and np.any(np.abs(value) > 1e-9):
                raise ModelError(
                    f"is {value[np.argmax(np.abs(value))]:g} at zero elongation, not 0",
                    component="custom",
                    field="force",
                    fix="subtract the force at rest",
                )

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.parameters[0].size)

    def take(self, index: NDArray[np.int64]) -> Custom:
        """Return the law of a subset, ``index`` (k,) int64."""
        part = [p[index] for p in self.parameters]
        return Custom(self.function, self.derivative, part, self.limit[index], self.work)

    def force(self, elongation: Array) -> Array:
        """Return the user's force, (n,) float64."""
        return np.asarray(self.function(elongation, *self.parameters), float)

    def tangent(self, elongation: Array) -> Array:
        """Return the user's tangent, (n,) float64."""
        return np.asarray(self.derivative(elongation, *self.parameters), float)

    def elongation(self, force: Array) -> Array:
        """Return ``e`` on the first stable branch by bisection, ``inf`` at or beyond the capacity, (n,) float64."""
        return _invert(self.force, self.limit, self.capacity(), force)

    def energy(self, elongation: Array) -> Array:
        """Return ``integral_0^e g``, (n,) float64."""
        if self.work is not None:
            return np.asarray(self.work(elongation, *self.parameters), float)
        points, weights = np.polynomial.legendre.leggauss(10)
        total = np.zeros_like(elongation)
        for panel in range(32):
            for point, weight in zip(points, weights):
                total += weight * self.force((panel + 0.5 + 0.5 * point) / 32.0 * elongation)
        return total * elongation / 64.0

    def capacity(self) -> Array:
        """Return the force at the end of the first stable branch, (n,) float64."""
        bounded = np.isfinite(self.limit)
        return np.where(bounded, self.force(np.where(bounded, self.limit, 0.0)), np.inf)

    def stiffness(self) -> Array:
        """Return the tangent at zero, (n,) float64."""
        return self.tangent(np.zeros(self.size()))


@dataclass(frozen=True, slots=True, init=False)
class Polynomial:
    """Elements with ``q = c_1 e + c_2 e^2 + ... + c_m e^m``.

    Parameters
    ----------
    coefficients : (n, m) float64
        One row ``c_1 ... c_m`` per element; ``c_1`` is the initial stiffness and positive.

    Raises
    ------
    ModelError
        For coefficients that are not finite or an initial stiffness that is not positive.

    Examples
    --------
    >>> law = Polynomial([[1.0, 0.0, -1.0]])  # e - e^3: peak at e = 1/sqrt(3)
    >>> law.capacity().round(6)
    array([0.3849])
    """

    coefficients: Array
    limit: Array
    name: str = field(default="polynomial")

    def __init__(self, coefficients: ArrayLike) -> None:
        table = np.atleast_2d(np.array(coefficients, np.float64))
        if table.ndim != 2 or not np.all(np.isfinite(table)):
            raise ModelError("is not a finite (n, m) table", component="polynomial", field="coefficients")
        if not np.all(table[:, 0] > 0):
            raise ModelError(
                "the first column (initial stiffness) is not positive", component="polynomial", field="coefficients"
            )
        table.setflags(write=False)
        object.__setattr__(self, "coefficients", table)
        slopes = table * np.arange(1, table.shape[1] + 1)
        ends = np.full(len(table), np.inf)
        for row, slope in enumerate(slopes):
            roots = np.roots(np.trim_zeros(slope[::-1], "f"))
            real = roots.real[(np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots))) & (roots.real > 0)]
            ends[row] = real.min() if real.size else np.inf
        object.__setattr__(self, "limit", ends)
        object.__setattr__(self, "name", "polynomial")

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.coefficients.shape[0])

    def take(self, index: NDArray[np.int64]) -> Polynomial:
        """Return the law of a subset, ``index`` (k,) int64."""
        return Polynomial(self.coefficients[index])

    def _horner(self, factors: Array, elongation: Array) -> Array:
        out = np.zeros_like(elongation)
        for column in factors.T[::-1]:
            out = out * elongation + column
        return out

    def force(self, elongation: Array) -> Array:
        """Return the polynomial, (n,) float64."""
        return elongation * self._horner(self.coefficients, elongation)

    def tangent(self, elongation: Array) -> Array:
        """Return its derivative, (n,) float64."""
        return self._horner(self.coefficients * np.arange(1, self.coefficients.shape[1] + 1), elongation)

    def elongation(self, force: Array) -> Array:
        """Return ``e`` on the first stable branch by bisection, ``inf`` at or beyond the capacity, (n,) float64."""
        return _invert(self.force, self.limit, self.capacity(), force)

    def energy(self, elongation: Array) -> Array:
        """Return its integral, (n,) float64."""
        factors = self.coefficients / np.arange(2, self.coefficients.shape[1] + 2)
        return elongation**2 * self._horner(factors, elongation)

    def capacity(self) -> Array:
        """Return the force at the first limit point, infinity without one, (n,) float64."""
        bounded = np.isfinite(self.limit)
        return np.where(bounded, self.force(np.where(bounded, self.limit, 0.0)), np.inf)

    def stiffness(self) -> Array:
        """Return ``c_1``, (n,) float64."""
        return self.coefficients[:, 0]


def _invert(function: Callable[[Array], Array], limit: Array, capacity: Array, force: Array) -> Array:
    """Bisect ``function(e) = force`` on the branch from zero; forces of either sign."""
    sign = np.where(force < 0, -1.0, 1.0)
    high = np.where(np.isfinite(limit) & (force > 0), limit, 1.0)
    reachable = force < capacity
    free = ~(np.isfinite(limit) & (force > 0))
    for _ in range(200):
        short = free & (sign * function(sign * high) < sign * force) & reachable
        if not short.any():
            break
        high = np.where(short, 2.0 * high, high)
    low = np.zeros_like(high)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = sign * function(sign * middle) < sign * force
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(reachable, sign * 0.5 * (low + high), np.inf)
