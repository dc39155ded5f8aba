"""The result of a modal analysis: frequencies, damping, shapes by component, stability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import ComponentTable

__all__ = ["ModalResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ModalResult(ComponentTable):
    """Natural modes of an architecture at an operating point.

    Attributes
    ----------
    components : tuple of str
        Names of the nodes, in order.
    frequencies_hz : (n_modes,) float64
        ``omega / 2 pi`` of structural modes, ``|s| / 2 pi`` of open ones [1/s].
    ringing_hz : (n_modes,) float64
        Frequency at which the mode oscillates while it decays; 0 where it does not [1/s].
    damping_ratios : (n_modes,) float64
        1 is critical; open modes: ``-Re s / |s|`` [1].
    drain_times_s : (n_modes,) float64
        Time constant of the decay; inf where it does not decay [s].
    growth_per_s : (n_modes,) float64
        ``Re s``, negative for a mode that decays [1/s].
    shapes : (n_nodes, n_modes) float64
        Displacement of each component, largest entry 1 (open modes: at the instant when it is largest).
    phases_rad : (n_nodes, n_modes) float64
        Lead of each component over the largest one; 0 or pi for structural modes [rad].
    participation : (n_modes,) float64
        ``phi^T M 1`` with ``phi^T M phi = 1`` (structural); share of the mode in the load at the entries (open).
    mass_s, stiffness_per_s : (n_nodes,) float64
        Capacity lag and tangent stiffness of each component at the operating point [s], [1/s].
    rigid : (n_modes,) bool
        Modes that store no energy.
    stable : bool
        Whether every mode decays.
    stability_margin_per_s : float
        Distance of the least stable mode from instability, ``-max Re s`` [1/s].
    instability : str
        ``""``, ``"divergence"`` (a real eigenvalue is not negative) or ``"flutter"`` (a complex pair is not).
    drivers : tuple of (component, share)
        Components that take part in the least stable mode, from left and right vectors.
    dependency_drivers : tuple of (dependency, d(Re s)/d(log calls) [1/s])
        Dependencies whose calls move the least stable mode most.
    groups : tuple of tuple of str
        Components that move together in the lowest modes.
    residuals : (n_modes,) float64
        Relative residual of each mode [1].
    complete : bool or None
        Whether a Sturm count confirms that no structural mode was missed.
    """

    components: Sequence[str]
    frequencies_hz: Array
    ringing_hz: Array
    damping_ratios: Array
    drain_times_s: Array
    growth_per_s: Array
    shapes: Array
    phases_rad: Array
    participation: Array
    mass_s: Array
    stiffness_per_s: Array
    rigid: NDArray[np.bool_]
    stable: bool
    stability_margin_per_s: float
    instability: str
    drivers: tuple[tuple[str, float], ...]
    dependency_drivers: tuple[tuple[str, float], ...]
    groups: tuple[tuple[str, ...], ...]
    residuals: Array
    coupling: str
    load_factor: float
    method: str
    complete: bool | None = None
    condensed: tuple[str, ...] = field(default_factory=tuple)

    component_fields: ClassVar[tuple[str, ...]] = ("mass_s", "stiffness_per_s", "shapes", "phases_rad")
    shown_fields: ClassVar[tuple[str, ...]] = ("mass_s", "stiffness_per_s")

    def dominant(self, mode: int, count: int = 3) -> tuple[tuple[str, float], ...]:
        """Return the components that move most in a mode (from 0) with their displacement, if at least 1 % of the most.

        Raises
        ------
        IndexError
            If there is no such mode.
        """
        shape = self.shapes[:, mode]
        order = np.argsort(-np.abs(shape), kind="stable")[:count]
        return tuple((self.components[int(i)], float(shape[i])) for i in order if abs(shape[i]) > 1e-2)

    def resonances(self, periods_s: Any, band: float = 0.25) -> list[tuple[int, int]]:
        """Return pairs (period, mode) whose frequencies are within a relative band and that ring.

        Parameters
        ----------
        periods_s : (k,) array_like
            Periods of known excitations [s].
        band : float
            Relative distance of the frequencies [1].
        """
        found = []
        for p, period in enumerate(np.atleast_1d(np.asarray(periods_s, float))):
            for m, ring in enumerate(self.ringing_hz):
                if ring > 0.0 and abs(1.0 / period - ring) <= band * ring:
                    found.append((p, m))
        return found

    def _headline(self) -> str:
        state = "stable" if self.stable else f"unstable by {self.instability}"
        return (
            f"ModalResult: {self.frequencies_hz.size} {self.coupling} modes of {len(self.components)} components at "
            f"load factor {self.load_factor:g}, {state}"
        )

    def _notes(self) -> tuple[str, ...]:
        lines = []
        for k in range(min(self.frequencies_hz.size, 3)):
            names = ", ".join(name for name, _ in self.dominant(k, 2))
            lines.append(
                f"mode {k + 1}: {self.frequencies_hz[k]:.4g} Hz, damping {self.damping_ratios[k]:.3g}, "
                f"drains in {self.drain_times_s[k]:.3g} s: {names}"
            )
        return tuple(lines)

    def _order(self) -> Any:
        return np.argsort(-np.abs(self.shapes[:, :1]).sum(axis=1), kind="stable").tolist()
