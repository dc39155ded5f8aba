"""Derivatives of one answer by every parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ModelError, suggestion
from fea_arch.results.base import ComponentTable

__all__ = ["SensitivityResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SensitivityResult(ComponentTable):
    """How one answer of the static analysis moves with every parameter.

    ``[y]`` is the unit of the answer: seconds for a response, 1 for a collapse factor.

    Attributes
    ----------
    of, quantity : str
        Component (or "entries") and what is differentiated: mean response, a percentile, collapse factor.
    value : float
        The answer itself [y].
    limiting : str
        What limits the load, for the collapse factor.
    components : tuple of str
    by_service_time : (n,) float64
        Derivative by the mean service time [y/s].
    by_service_scv : (n,) float64
        Derivative by its squared coefficient of variation [y].
    by_servers : (n,) float64
        First-order change for one server more in every replica [y]; NaN where a measured law has no servers.
    by_rate : (n,) float64
        Influence line: derivative by requests that enter from outside at each component [y s].
    by_memory : (n,) float64
        Derivative by the memory limit [y/byte]; 0 for responses, which no memory limit bends.
    elasticity : (n,) float64
        Relative change for a relative change of the service time [1].
    dependencies : tuple of str
        Calls in the order of the architecture, one for each target of a balancer.
    by_calls, by_latency, by_timeout, by_backoff, by_retries : (n_edges,) float64
        By calls per request [y], network latency [y/s], time-out [y/s], back-off [y/s], one retry more [y]; NaN
        where a call has no such parameter. At whole numbers of calls, where the variance of their number has a kink,
        the mean of both slopes.
    method : str
        How the derivatives were found: by the adjoint, or by central differences with two steps.
    spread : float
        Largest disagreement of the two steps as a share of the largest effect; 0 for the adjoint [1].

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.1)],
    ...                        loads=[fa.Load("api", rate_per_s=5.0)])
    >>> round(float(fa.sensitivity(arch, of="api").by_service_time[0]), 9)  # 1 / (1 - rho)^2
    4.0
    """

    of: str
    quantity: str
    value: float
    components: Sequence[str]
    by_service_time: Array
    by_service_scv: Array
    by_servers: Array
    by_rate: Array
    by_memory: Array
    elasticity: Array
    dependencies: tuple[str, ...]
    by_calls: Array
    by_latency: Array
    by_timeout: Array
    by_backoff: Array
    by_retries: Array
    entries: tuple[str, ...]
    load_factor: float
    limiting: str = ""
    method: str = "adjoint"
    sweeps: int = 1
    spread: float = 0.0
    findings: tuple[str, ...] = ()

    component_fields: ClassVar[tuple[str, ...]] = (
        "by_service_time", "by_service_scv", "by_servers", "by_rate", "by_memory", "elasticity",
    )  # fmt: skip
    shown_fields: ClassVar[tuple[str, ...]] = ("elasticity", "by_service_time", "by_servers", "by_rate")

    @property
    def influence(self) -> dict[str, float]:
        """Derivative of the answer by the load of each entry [y s]."""
        return {name: float(self.by_rate[self._number(name)]) for name in self.entries}

    def dependency(self, label: str) -> dict[str, Any]:
        """Return the derivatives by the parameters of one call.

        Raises
        ------
        ModelError
            If there is no such call.
        """
        if label not in self.dependencies:
            raise ModelError(f"no such dependency.{suggestion(label, self.dependencies)}", component=label)
        k = self.dependencies.index(label)
        names = ("by_calls", "by_latency", "by_timeout", "by_backoff", "by_retries")
        return {"dependency": label, **{name: float(getattr(self, name)[k]) for name in names}}

    def ranking(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the components whose service time matters most, as (name, elasticity)."""
        return [(self.components[i], float(self.elasticity[i])) for i in list(self._order())[:count]]

    def _headline(self) -> str:
        return f"SensitivityResult: {self.quantity} of {self.of} = {self.value:.4g} at load factor {self.load_factor:g}"

    def _notes(self) -> tuple[str, ...]:
        limit = (f"limited by {self.limiting}",) if self.limiting else ()
        return limit if self.method == "adjoint" else (*limit, self.method)

    def _order(self) -> Sequence[int]:
        order: Sequence[Any] = np.argsort(-np.abs(np.nan_to_num(self.elasticity)), kind="stable").tolist()
        return order
