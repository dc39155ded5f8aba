"""The answer of a fragility analysis: probability of collapse against the load factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError
from fea_arch.results.base import plain
from fea_arch.results.plots import Plottable

__all__ = ["FragilityResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class FragilityResult(Plottable):
    """Fragility curve.

    Attributes
    ----------
    load_factor : (n_factors,) float64
        Load factors asked for [1].
    probability, lower, upper : (n_factors,) float64
        P(collapse | load factor) and its Wilson score interval at 95 % [1].
    collapse_factor : (n_samples,) float64
        Collapse factor of each sample that was computed, in the order of the samples [1].
    samples : int
        Samples asked for.
    seed : int
    spreads : dict of str to float
        Coefficient of variation used for each component's service time [1].
    complete, interrupted : bool
        Whether every sample was computed; whether Ctrl-C ended it.
    """

    load_factor: Array
    probability: Array
    lower: Array
    upper: Array
    collapse_factor: Array
    samples: int
    seed: int
    spreads: dict[str, float]
    complete: bool = True
    interrupted: bool = False
    method: str = "latin hypercube"

    def __post_init__(self) -> None:
        for name in ("load_factor", "probability", "lower", "upper", "collapse_factor"):
            getattr(self, name).setflags(write=False)

    def factor_at(self, probability: float) -> float:
        """Return the load factor at which a share ``probability`` of the samples has collapsed [1].

        Raises
        ------
        ModelError
            For a probability outside 0 to 1.
        """
        if not 0.0 <= probability <= 1.0:
            raise ModelError(f"is {probability!r}", field="probability", fix="between 0 and 1")
        return float(np.quantile(self.collapse_factor, probability, method="inverted_cdf"))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        names = ("load_factor", "probability", "lower", "upper", "samples", "seed", "complete", "interrupted", "method")
        quantiles = {f"p{round(100 * p)}": plain(self.factor_at(p)) for p in (0.05, 0.5, 0.95)}
        return {
            "result": type(self).__name__,
            **{n: plain(getattr(self, n)) for n in names},
            "computed": int(self.collapse_factor.size),
            "collapse_factor": quantiles,
        }

    def to_dataframe(self) -> Any:
        """Return one row per load factor as a ``pandas.DataFrame``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            from fea_arch.errors import MissingExtraError

            raise MissingExtraError("pandas", "frames") from None
        rows = {n: np.array(getattr(self, n)) for n in ("load_factor", "probability", "lower", "upper")}
        return pd.DataFrame(rows).set_index("load_factor")

    def __repr__(self) -> str:
        state = "" if self.complete else " (partial)"
        head = f"<FragilityResult: {self.collapse_factor.size} of {self.samples} samples{state}, "
        head += f"collapse factor median {self.factor_at(0.5):.4g}>"
        rows = [
            f"  load factor {f:g}: P(collapse) {p:.3g} [{a:.3g}, {b:.3g}]"
            for f, p, a, b in zip(self.load_factor, self.probability, self.lower, self.upper)
        ]
        return "\n".join([head, *(rows if len(rows) <= 7 else [*rows[:6], f"  ... and {len(rows) - 6} more"])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{f:.4g}</td><td>{p:.4g}</td><td>{a:.4g} - {b:.4g}</td></tr>"
            for f, p, a, b in zip(self.load_factor, self.probability, self.lower, self.upper)
        )
        return f"<table><thead><tr><th>load factor</th><th>P(collapse)</th><th>95 %</th></tr></thead>{rows}</table>"
