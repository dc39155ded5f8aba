"""The frequency response of a directly given structure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["FrequencyResponse"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class FrequencyResponse(Plottable):
    """Steady answer of a structure to a load ``f e^(i omega t)``.

    Attributes
    ----------
    frequencies_hz : (n_frequencies,) float64
        Frequencies of the load [1/s].
    displacement : (n_frequencies, n_nodes) complex128
        Complex amplitude of each node; zero at supports.
    residual : float
        Largest ``|f - (K + i omega C - omega^2 M) u| / |f|`` [1].
    """

    frequencies_hz: Array
    displacement: NDArray[np.complex128]
    residual: float

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def gain(self) -> Array:
        """Amplitude of each node, (n_frequencies, n_nodes) float64."""
        return np.asarray(np.abs(self.displacement))

    @property
    def phase_rad(self) -> Array:
        """Lead of each node over the load, (n_frequencies, n_nodes) float64 [rad]."""
        return np.asarray(np.angle(self.displacement))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types: gain and phase for the complex amplitudes."""
        return {
            "result": "FrequencyResponse",
            "frequencies_hz": plain(self.frequencies_hz),
            "gain": plain(self.gain),
            "phase_rad": plain(self.phase_rad),
            "residual": self.residual,
        }

    def __repr__(self) -> str:
        where, node = np.unravel_index(int(np.argmax(self.gain)), self.gain.shape)
        return (
            f"<FrequencyResponse: {self.frequencies_hz.size} frequencies, {self.displacement.shape[1]} nodes>\n"
            f"  largest {self.gain[where, node]:.4g} at node {node}, {self.frequencies_hz[where]:.4g} Hz; "
            f"residual {self.residual:.1e}"
        )
