"""Results of periodic loads and of bursts over duration and height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.rendering import HtmlText
from fea_arch.results.base import ComponentTable, plain
from fea_arch.results.plots import Plottable

__all__ = ["BurstSpectrum", "HarmonicResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class HarmonicResult(ComponentTable):
    """Frequency response of the linearised system.

    Attributes
    ----------
    components : tuple of str
    frequencies_hz : (n_frequencies,) float64
        Frequencies of the load [1/s].
    gain : (n_frequencies, n) float64
        Amplitude of the number in flight for an amplitude of 1 request/s at the inlet [s].
    phase_rad : (n_frequencies, n) float64
        Lead of the number in flight over the load [rad].
    flow_gain : (n_frequencies, n) float64
        Amplitude of the throughput [1].
    static_gain : (n,) float64
        Gain of a load that hardly changes [s].
    amplification : (n,) float64
        Largest gain over the static one [1].
    peak_hz : (n,) float64
        Frequency of the largest gain [1/s].
    at : str
        Inlet; empty for the design load at all entries in proportion.
    periods : tuple of dict
        Known periods of the architecture with their amplification, the ringing mode that is near, and whether it
        resonates.
    """

    components: Sequence[str]
    frequencies_hz: Array
    gain: Array
    phase_rad: Array
    flow_gain: Array
    static_gain: Array
    amplification: Array
    peak_hz: Array
    at: str
    load_factor: float
    periods: tuple[dict[str, Any], ...] = ()

    component_fields: ClassVar[tuple[str, ...]] = ("static_gain", "amplification", "peak_hz")

    @property
    def resonates(self) -> bool:
        """Whether a known period meets a ringing mode that amplifies it."""
        return any(p["resonates"] for p in self.periods)

    def _headline(self) -> str:
        return (
            f"HarmonicResult: {self.frequencies_hz.size} frequencies from {self.frequencies_hz[0]:.4g} to "
            f"{self.frequencies_hz[-1]:.4g} Hz at {self.at or 'all entries'}"
        )

    def _notes(self) -> tuple[str, ...]:
        near = [p["name"] for p in self.periods if p["resonates"]]
        return (f"periods in resonance: {', '.join(near) or 'none'}",) if self.periods else ()

    def _order(self) -> Any:
        return np.argsort(-self.amplification, kind="stable").tolist()


@dataclass(frozen=True, eq=False, repr=False)
class BurstSpectrum(HtmlText, Plottable):
    """Peak backlog and drain time over the duration and the height of a burst: the response spectrum of a load.

    Attributes
    ----------
    durations_s : (n_durations,) float64
    factors : (n_factors,) float64
        Multiples of the design load [1].
    peak_backlog : (n_factors, n_durations) float64
        Largest number in flight above rest, all components together [req].
    drain_time_s : (n_factors, n_durations) float64
        Time from the end of the burst until everything has drained; inf if not within the window [s].
    within_objective_share : (n_factors, n_durations) float64
        Share of the requests offered during the burst and its drain that meet the objective [1].
    worst : tuple of tuple of str
        Component with the largest peak.
    """

    durations_s: Array
    factors: Array
    peak_backlog: Array
    drain_time_s: Array
    within_objective_share: Array
    worst: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        return {"result": type(self).__name__, **{f.name: plain(getattr(self, f.name)) for f in fields(self)}}

    def to_dataframe(self) -> Any:
        """Return one row per burst as a ``pandas.DataFrame``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        from fea_arch.errors import MissingExtraError

        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "frames") from None
        factor, duration = np.meshgrid(self.factors, self.durations_s, indexing="ij")
        return pd.DataFrame(
            {
                "factor": factor.ravel(),
                "duration_s": duration.ravel(),
                "peak_backlog": self.peak_backlog.ravel(),
                "drain_time_s": self.drain_time_s.ravel(),
                "within_objective_share": self.within_objective_share.ravel(),
                "worst": [w for row in self.worst for w in row],
            }
        )

    def __repr__(self) -> str:
        return (
            f"<BurstSpectrum: {self.factors.size} heights x {self.durations_s.size} durations>\n"
            f"  largest backlog {self.peak_backlog.max():.4g} requests, longest drain {self.drain_time_s.max():.4g} s"
        )
