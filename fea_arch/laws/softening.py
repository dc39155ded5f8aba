"""Softening elements with damage: they pass a peak and lose strength, and remember the largest opening.

``LinearSoftening`` falls on a straight line to zero; ``ExponentialSoftening`` is a spring in series with a crack of
``q = q_t exp(-w q_t / G_f)`` (the cohesive crack of Hillerborg, Cement and Concrete Research 6 (1976) 773), whose
opening has the closed form ``w = e + w_c W_0(-a exp(-e / w_c))`` with ``w_c = G_f / q_t``, ``a = q_t / (k w_c)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fea_arch.errors import ModelError
from fea_arch.laws.base import Array
from fea_arch.laws.columns import columns

__all__ = ["ExponentialSoftening", "LinearSoftening"]


class _Damage:
    """Response common to softening laws: an envelope, and unloading below the largest elongation ``reached``.

    ``secant`` unloading goes to the origin (damage), ``elastic`` unloading keeps the initial stiffness and leaves a
    permanent elongation. Compression closes the crack: the initial stiffness acts again.
    """

    __slots__ = ()
    k: Array
    peak: Array
    scale: Array
    reached: Array
    unloading: str

    def size(self) -> int:
        """Return the number of elements."""
        return int(self.k.size)

    def _envelope(self, elongation: Array) -> Array:
        raise NotImplementedError  # pragma: no cover

    def _slope(self, elongation: Array) -> Array:
        raise NotImplementedError  # pragma: no cover

    def _envelope_work(self, elongation: Array) -> Array:
        raise NotImplementedError  # pragma: no cover

    def _unloading(self) -> tuple[Array, Array, Array]:
        """Return the start of the envelope, the unloading stiffness and the elongation without force."""
        start = np.maximum(self.reached, self.peak / self.k)
        top = self._envelope(start)
        if self.unloading == "elastic":
            return start, self.k, start - top / self.k
        return start, top / start, np.zeros_like(start)

    def force(self, elongation: Array) -> Array:
        """Return the force from the committed damage, (n,) float64."""
        start, stiffness, rest = self._unloading()
        below = np.where(elongation < rest, self.k, stiffness) * (elongation - rest)
        return np.where(elongation > start, self._envelope(np.maximum(elongation, start)), below)

    def tangent(self, elongation: Array) -> Array:
        """Return ``dq/de``, negative on the softening branch, (n,) float64."""
        start, stiffness, rest = self._unloading()
        below = np.where(elongation < rest, self.k, stiffness)
        return np.where(elongation > start, self._slope(np.maximum(elongation, start)), below)

    def elongation(self, force: Array) -> Array:
        """Return the elongation on the first stable branch, ``inf`` at or beyond the capacity, (n,) float64."""
        _, stiffness, rest = self._unloading()
        with np.errstate(divide="ignore", invalid="ignore"):
            out = rest + force / np.where(force < 0.0, self.k, stiffness)
        return np.where(force >= self.capacity(), np.inf, out)

    def energy(self, elongation: Array) -> Array:
        """Return ``integral_0^e g`` from the committed damage, (n,) float64."""
        return self._work(elongation) - self._work(np.zeros_like(elongation))

    def _work(self, elongation: Array) -> Array:
        start, stiffness, rest = self._unloading()
        low = np.minimum(elongation, start) - rest
        below = 0.5 * np.where(low < 0.0, self.k, stiffness) * low**2
        return below + self._envelope_work(np.maximum(elongation, start)) - self._envelope_work(start)

    def capacity(self) -> Array:
        """Return the force at which (further) damage starts, (n,) float64."""
        return self._envelope(np.maximum(self.reached, self.peak / self.k))

    def stiffness(self) -> Array:
        """Return the initial stiffness ``k``, (n,) float64."""
        return self.k

    def dissipated(self) -> Array:
        """Return the work to the committed damage that unloading does not give back, (n,) float64."""
        start, stiffness, rest = self._unloading()
        return self._envelope_work(start) - 0.5 * stiffness * (start - rest) ** 2


def _fill(law: _Damage, name: str, stiffness: ArrayLike, **others: tuple[ArrayLike, str]) -> None:
    unloading = str(others.pop("unloading")[0])
    if unloading not in ("secant", "elastic"):
        raise ModelError(f"{unloading!r} is not known", component=name, field="unloading", fix="'secant' or 'elastic'")
    filled = columns(name, stiffness=(stiffness, "positive"), **others)
    for key, value in zip(("k", "peak", "scale", "reached"), filled):
        object.__setattr__(law, key, value)
    object.__setattr__(law, "unloading", unloading)
    object.__setattr__(law, "name", name)


@dataclass(frozen=True, slots=True, init=False)
class LinearSoftening(_Damage):
    """Elements that rise to a peak and fall on a straight line to zero.

    Parameters
    ----------
    stiffness : (n,) float64
        Initial stiffness ``k``.
    peak : (n,) float64
        Largest force ``q_t``.
    final : (n,) float64
        Elongation at which the force has vanished; larger than ``peak / stiffness``.
    reached : (n,) float64
        Committed largest elongation.
    unloading : {"secant", "elastic"}
        To the origin, or with the initial stiffness.

    Raises
    ------
    ModelError
        Names the parameter and the element.

    Examples
    --------
    >>> LinearSoftening(1.0, 1.0, 3.0).force(np.array([2.0]))
    array([0.5])
    """

    k: Array
    peak: Array
    scale: Array
    reached: Array
    unloading: str
    name: str = field(default="linear_softening")

    def __init__(
        self, stiffness: ArrayLike, peak: ArrayLike, final: ArrayLike, reached: ArrayLike = 0.0,
        unloading: str = "secant",
    ) -> None:  # fmt: skip
        _fill(
            self,
            "linear_softening",
            stiffness,
            peak=(peak, "positive"),
            final=(final, "positive"),
            reached=(reached, "non-negative"),
            unloading=(unloading, ""),
        )
        steep = np.flatnonzero(self.scale <= self.peak / self.k)
        if steep.size:
            raise ModelError(
                f"entry {steep[0]} is not beyond the elongation at the peak",
                component="linear_softening",
                field="final",
                fix="pass an elongation larger than peak / stiffness",
            )

    def take(self, index: NDArray[np.int64]) -> LinearSoftening:
        """Return the law of a subset, ``index`` (k,) int64."""
        return LinearSoftening(self.k[index], self.peak[index], self.scale[index], self.reached[index], self.unloading)

    def committed(self, elongation: Array) -> LinearSoftening:
        """Return the law after a converged state ``e`` (n,) float64."""
        reached = np.maximum(self.reached, elongation)
        return LinearSoftening(self.k, self.peak, self.scale, reached, self.unloading)

    def _envelope(self, elongation: Array) -> Array:
        first = self.peak / self.k
        return np.maximum(self.peak * (self.scale - elongation) / (self.scale - first), 0.0)

    def _slope(self, elongation: Array) -> Array:
        return np.where(elongation < self.scale, -self.peak / (self.scale - self.peak / self.k), 0.0)

    def _envelope_work(self, elongation: Array) -> Array:
        first = self.peak / self.k
        fall = np.minimum(elongation, self.scale) - first
        return 0.5 * self.peak * first + self.peak * fall - 0.5 * self.peak * fall**2 / (self.scale - first)


@dataclass(frozen=True, slots=True, init=False)
class ExponentialSoftening(_Damage):
    """A spring in series with a crack whose force decays exponentially with its opening.

    Parameters
    ----------
    stiffness : (n,) float64
        Stiffness ``k`` before the peak.
    peak : (n,) float64
        Largest force ``q_t``.
    fracture_energy : (n,) float64
        Work ``G_f`` that separates the element; above ``peak^2 / stiffness`` (else the element itself snaps back).
    reached : (n,) float64
        Committed largest elongation.
    unloading : {"secant", "elastic"}
        To the origin, or with the initial stiffness.

    Raises
    ------
    ModelError
        Names the parameter and the element.

    Examples
    --------
    >>> law = ExponentialSoftening(4.0, 1.0, 1.0)
    >>> law.force(np.array([np.exp(-1.0) / 4.0 + 1.0]))  # opening 1: q = exp(-1)
    array([0.36787944])
    """

    k: Array
    peak: Array
    scale: Array
    reached: Array
    unloading: str
    name: str = field(default="exponential_softening")

    def __init__(
        self, stiffness: ArrayLike, peak: ArrayLike, fracture_energy: ArrayLike, reached: ArrayLike = 0.0,
        unloading: str = "secant",
    ) -> None:  # fmt: skip
        _fill(
            self,
            "exponential_softening",
            stiffness,
            peak=(peak, "positive"),
            fracture_energy=(fracture_energy, "positive"),
            reached=(reached, "non-negative"),
            unloading=(unloading, ""),
        )
        brittle = np.flatnonzero(self.peak**2 >= self.k * self.scale)
        if brittle.size:
            raise ModelError(
                f"entry {brittle[0]} is too small: the element snaps back by itself",
                component="exponential_softening",
                field="fracture_energy",
                fix="pass more than peak^2 / stiffness",
            )

    def take(self, index: NDArray[np.int64]) -> ExponentialSoftening:
        """Return the law of a subset, ``index`` (k,) int64."""
        part = self.k[index], self.peak[index], self.scale[index], self.reached[index]
        return ExponentialSoftening(*part, self.unloading)

    def committed(self, elongation: Array) -> ExponentialSoftening:
        """Return the law after a converged state ``e`` (n,) float64."""
        reached = np.maximum(self.reached, elongation)
        return ExponentialSoftening(self.k, self.peak, self.scale, reached, self.unloading)

    def _crack(self, elongation: Array) -> tuple[Array, Array]:
        """Return the force on the envelope and ``a q / q_t``, the ratio of crack to spring compliance."""
        from scipy.special import lambertw

        width = self.scale / self.peak
        argument = -self.peak / (self.k * width) * np.exp(-elongation / width)
        ratio = -np.asarray(lambertw(argument.astype(complex), 0).real, float)
        return self.k * width * ratio, ratio

    def _envelope(self, elongation: Array) -> Array:
        return self._crack(elongation)[0]

    def _slope(self, elongation: Array) -> Array:
        ratio = self._crack(elongation)[1]
        return -self.k * ratio / (1.0 - ratio)

    def _envelope_work(self, elongation: Array) -> Array:
        force = self._crack(elongation)[0]
        return self.scale * (1.0 - force / self.peak) + 0.5 * force**2 / self.k
