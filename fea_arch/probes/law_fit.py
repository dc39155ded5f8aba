"""The result of fitting a law: parameters with intervals, goodness of fit, and prediction inside the measured range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fea_arch.architecture.measurement import Measurement
from fea_arch.architecture.rendering import HtmlText
from fea_arch.errors import ModelError
from fea_arch.probes.closed_curves import Array

__all__ = ["Candidate", "LawFit", "Prediction"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Throughput and response time at given concurrencies.

    Attributes
    ----------
    concurrency, throughput_per_s, response_s : (n,) float64
        In flight [req], completed [1/s] and ``R = N/X`` [s].
    low_per_s, high_per_s : (n,) float64
        Confidence limits of the mean throughput (first order) [1/s]; NaN where the fit has no degrees of freedom left,
        infinite beyond the measured range of a law whose knee the data do not show.
    extrapolated : (n,) bool
        True outside the measured range.
    """

    concurrency: Array
    throughput_per_s: Array
    response_s: Array
    low_per_s: Array
    high_per_s: Array
    extrapolated: Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """One law of the model selection; ``aicc`` is infinite with too few points for its parameters."""

    law: str
    parameters: Mapping[str, float]
    aicc: float
    relative_error: float


@dataclass(frozen=True, eq=False)
class LawFit(HtmlText):
    """A law fitted to (concurrency, throughput) points.

    Attributes
    ----------
    law : {"mmc", "usl", "tabulated"}
    parameters : mapping
        ``service_time_s`` [s]; ``servers`` and ``delay_s`` [s] (mmc); ``usl_sigma``, ``usl_kappa`` (usl).
    intervals : mapping
        Confidence interval of each parameter, cut at its bounds; infinite without degrees of freedom. ``servers`` is
        chosen on a grid and its interval holds every count that the data do not reject.
    confidence : float
        Level of the intervals [1].
    relative_error : float
        Root mean square of ``(measured - fitted)/measured`` [1].
    r_squared : float
        Share of the variance of throughput that is explained [1].
    aicc : float
        Corrected Akaike criterion; NaN for a table.
    candidates : tuple of Candidate
        What was compared.
    reason : str
        Why this law was taken.
    concurrency, throughput_per_s : (n,) float64
        The measured points.
    little_error : float
        Largest ``|X R / N - 1|`` of the points that carry a response time [1]; NaN if none does.
    """

    law: str
    parameters: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confidence: float
    relative_error: float
    r_squared: float
    aicc: float
    candidates: tuple[Candidate, ...]
    reason: str
    concurrency: Array
    throughput_per_s: Array
    little_error: float
    curve: Callable[[Array], Array] = field(repr=False)
    band: Callable[[Array], tuple[Array, Array]] = field(repr=False)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest measured concurrency [req]."""
        return float(self.concurrency[0]), float(self.concurrency[-1])

    @property
    def knee(self) -> bool:
        """Whether the data show where throughput stops to grow; if not, the capacity is a lower bound."""
        if self.law == "mmc":
            return self.intervals["servers"][1] < float("inf")
        if self.law == "usl":
            return self.intervals["usl_sigma"][0] > 0 or self.intervals["usl_kappa"][0] > 0
        return bool(self.throughput_per_s.argmax() < len(self.throughput_per_s) - 1)

    @property
    def capacity_per_s(self) -> float:
        """Largest throughput of the law [1/s]; infinite for a USL without contention or coherency."""
        if self.law == "mmc":
            return self.parameters["servers"] / self.parameters["service_time_s"]
        if self.law == "tabulated":
            return float(self.throughput_per_s.max())
        sigma, kappa = self.parameters["usl_sigma"], self.parameters["usl_kappa"]
        if kappa > 0:
            peak = max(np.sqrt(max(1 - sigma, 0.0) / kappa), 1.0)
            return float(self.curve(np.array([peak]))[0])
        return 1 / (sigma * self.parameters["service_time_s"]) if sigma > 0 else float("inf")

    def predict(self, concurrency: Any, *, extrapolate: bool = False) -> Prediction:
        """Predict throughput and response time.

        Parameters
        ----------
        concurrency : float or sequence of float
            Requests in flight [req].
        extrapolate : bool
            Allow values outside the measured range; they are flagged in the result.

        Raises
        ------
        ModelError
            Outside the measured range without ``extrapolate=True``.
        """
        n = np.atleast_1d(np.asarray(concurrency, np.float64))
        if n.ndim != 1 or not (np.isfinite(n).all() and (n > 0).all()):
            raise ModelError("is not positive and finite", field="concurrency", fix="numbers of requests in flight")
        low, high = self.range
        outside = (n < low * (1 - 1e-9)) | (n > high * (1 + 1e-9))
        if outside.any() and not extrapolate:
            raise ModelError(
                f"{n[outside][0]:g} lies outside the measured range {low:g} to {high:g}",
                field="concurrency",
                fix="measure there, or pass extrapolate=True and treat the result as a guess",
            )
        x = self.curve(n)
        least, most = self.band(n)
        if not self.knee:  # beyond the last point it may go on to grow
            most = np.where(n > high * (1 + 1e-9), np.where(np.isnan(most), most, np.inf), most)
        return Prediction(n, x, n / x, np.maximum(least, 0.0), most, outside)

    def component_fields(self) -> dict[str, Any]:
        """Return the fields of a component that the fit determines."""
        if self.law == "tabulated":
            pairs = tuple(zip(self.concurrency.tolist(), self.throughput_per_s.tolist()))
            return {"law": "tabulated", "curve": pairs, "service_time_s": self.parameters["service_time_s"]}
        if self.law == "usl":
            return {"law": "usl", **self.parameters}
        return {
            "law": "mmc",
            "service_time_s": self.parameters["service_time_s"],
            "servers": max(round(self.parameters["servers"]), 1),
        }

    def measurement(self, component: str) -> Measurement:
        """Return the fit as a measurement of a component, for ``arch.measured``."""
        return Measurement(component, "load_test", values=self.component_fields(), details=self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "law": self.law,
            "parameters": dict(self.parameters),
            "intervals": {k: list(v) for k, v in self.intervals.items()},
            "confidence": self.confidence,
            "relative_error": self.relative_error,
            "r_squared": self.r_squared,
            "aicc": self.aicc,
            "reason": self.reason,
            "knee": self.knee,
            "concurrency": self.concurrency.tolist(),
            "throughput_per_s": self.throughput_per_s.tolist(),
            "little_error": self.little_error,
        }

    def __repr__(self) -> str:
        rows = [f"<LawFit {self.law!r} of {len(self.concurrency)} points, {self.reason}>"]
        for name, value in self.parameters.items():
            low, high = self.intervals[name]
            rows.append(f"  {name} = {value:.4g}  [{low:.4g}, {high:.4g}] ({self.confidence:.0%})")
        rows.append(f"  relative error {self.relative_error:.2%}, R^2 {self.r_squared:.4f}, AICc {self.aicc:.1f}")
        bound = "capacity" if self.knee else "no knee seen: capacity of at least"
        rows.append(
            f"  measured for {self.range[0]:g} to {self.range[1]:g} in flight, {bound} {self.capacity_per_s:.4g}/s"
        )
        return "\n".join(rows)
