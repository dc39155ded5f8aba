"""Results of a directly given structure in motion: modes, time histories and equilibrium paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.rendering import HtmlText
from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["HistoryResult", "ModesResult", "PathResult"]

Array = NDArray[np.float64]


class _Frozen(HtmlText, Plottable):
    """Make array fields read-only; give the result as plain types."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types; not-a-number becomes None."""
        named = {f.name: plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]
        return {"result": type(self).__name__, **named}


@dataclass(frozen=True, eq=False, repr=False)
class ModesResult(_Frozen):
    """Natural modes of ``K phi = omega^2 M phi``.

    Parameters
    ----------
    frequencies_hz : (n_modes,) float64
        Natural frequencies, ascending; 0 for rigid modes [1/s].
    shapes : (n_nodes, n_modes) float64
        Mode shapes with ``phi^T M phi = 1``; zero at supports.
    rigid : (n_modes,) bool
        Modes that store no energy (motion of an unsupported part).
    participation : (n_modes,) float64
        ``phi^T M 1``: how much the mode answers to all supports moving together.
    residuals : (n_modes,) float64
        ``|K phi - omega^2 M phi| / (|K phi| + omega^2 |M phi|)``; for rigid modes ``|K phi| / (max K |phi|)``.
    sturm_count : int
        Number of eigenvalues below the shift of the check, from the inertia of ``K - sigma M``; -1 if not computed.
    expected_count : int
        Number of reported modes below the same shift; equal to ``sturm_count`` when none was missed.
    method : str
        ``"dense"``, ``"shift-invert"``, ``"shift-invert by conjugate gradients"``, ``"block iteration"`` or
        ``"rigid"``.
    """

    frequencies_hz: Array
    shapes: Array
    rigid: NDArray[np.bool_]
    participation: Array
    residuals: Array
    sturm_count: int
    expected_count: int
    method: str

    @property
    def angular_per_s(self) -> Array:
        """Angular frequencies ``omega`` (n_modes,) [rad/s]."""
        return 2.0 * np.pi * self.frequencies_hz

    @property
    def complete(self) -> bool | None:
        """Whether the Sturm count confirms that no mode was missed; None if it was not computed."""
        return None if self.sturm_count < 0 else self.sturm_count == self.expected_count

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        rows = [(k + 1, float(f), float(r)) for k, (f, r) in enumerate(zip(self.frequencies_hz, self.residuals))]
        return ("mode", "frequency [Hz]", "residual"), rows[:30]

    def __repr__(self) -> str:
        shown = ", ".join(f"{f:.4g}" for f in self.frequencies_hz[:6])
        more = " ..." if self.frequencies_hz.size > 6 else ""
        return (
            f"<ModesResult: {self.frequencies_hz.size} modes of {self.shapes.shape[0]} nodes ({self.method})>\n"
            f"  frequencies_hz {shown}{more}\n  rigid modes {int(self.rigid.sum())}, largest residual "
            f"{self.residuals.max(initial=0.0):.1e}, complete {self.complete}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class HistoryResult(_Frozen):
    """A time history.

    Parameters
    ----------
    time_s : (n_times,) float64
        Times from 0 [s].
    displacement, velocity, acceleration : (n_times, n_nodes) float64
        State; the acceleration of a first-order problem is zero.
    reaction : (n_times, n_held) float64
        Force that the supports and driven nodes exert on the structure.
    held : (n_held,) int64
        Their node numbers.
    kinetic, strain : (n_times,) float64
        Energy in motion and in the elements (work spent on the elements when a law has memory).
    damped, external : (n_times,) float64
        Work dissipated by dashpots and done by loads and driven nodes, by the trapezoidal rule, from the start.
    energy_error : float
        Largest ``|kinetic + strain + damped - external - initial|`` relative to the largest energy.
    iterations : int
        Equilibrium iterations in all.
    method : str
        Integrator.
    """

    time_s: Array
    displacement: Array
    velocity: Array
    acceleration: Array
    reaction: Array
    held: NDArray[np.int64]
    kinetic: Array
    strain: Array
    damped: Array
    external: Array
    energy_error: float
    iterations: int
    method: str

    def __repr__(self) -> str:
        peak = np.abs(self.displacement).max(initial=0.0)
        return (
            f"<HistoryResult: {self.time_s.size - 1} steps to {self.time_s[-1]:g} s, "
            f"{self.displacement.shape[1]} nodes ({self.method})>\n"
            f"  largest displacement {peak:.4g}, energy error {self.energy_error:.1e}, iterations {self.iterations}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class PathResult(_Frozen):
    """An equilibrium path ``A^T g(A u) = Lambda f``.

    Parameters
    ----------
    load_factor : (n_points,) float64
        ``Lambda`` at each converged point.
    displacement : (n_points, n_nodes) float64
        Nodal displacement.
    force : (n_points, n_elements) float64
        Element forces.
    stable : (n_points,) bool
        Whether the tangent stiffness is positive definite (stable under a held load).
    limit_points : (n_limits,) int64
        Rows of the path that are limit points of the load, located to the tolerance.
    bifurcations : (n_bifurcations,) int64
        Rows next to which the number of negative pivots changes without a limit point.
    turning_points : (n_turns,) int64
        Rows after which the displacement along the load turns back (snap-back).
    work : (n_points,) float64
        Work done by the load from the start, ``integral Lambda f.du``.
    dissipated : (n_points,) float64
        Work lost in plastic flow and damage.
    control : str
        Parameter that was advanced.
    """

    load_factor: Array
    displacement: Array
    force: Array
    stable: NDArray[np.bool_]
    limit_points: NDArray[np.int64]
    bifurcations: NDArray[np.int64]
    turning_points: NDArray[np.int64]
    work: Array
    dissipated: Array
    control: str

    def __repr__(self) -> str:
        limits = ", ".join(f"{self.load_factor[i]:.5g}" for i in self.limit_points[:4])
        return (
            f"<PathResult: {self.load_factor.size} points under {self.control} control>\n"
            f"  load factor {self.load_factor.min():.4g} to {self.load_factor.max():.4g}, limit points at [{limits}]\n"
            f"  {int((~self.stable).sum())} unstable points, {self.bifurcations.size} bifurcations, "
            f"work {self.work[-1]:.4g}"
        )
