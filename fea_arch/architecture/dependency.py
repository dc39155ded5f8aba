"""Dependencies: who calls whom, how often, and what happens when the answer is late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fea_arch.architecture.component import _freeze
from fea_arch.architecture.fields import choice, count, flag, number, part, strict, text, validate
from fea_arch.architecture.provenance import Provenance
from fea_arch.errors import ModelError

__all__ = ["MODES", "POLICIES", "Balancer", "Breaker", "Dependency"]

MODES = ("sync", "async")
POLICIES = ("least_outstanding", "round_robin", "weighted")


@strict
@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker of a caller towards one callee."""

    failure_share: float = number(0.5, exclusive=True, maximum=1.0, doc="Share of failed calls that opens it.")
    minimum_calls: int = count(20, minimum=1, doc="Calls in the window before it may open.")
    window_s: float = number(10.0, unit="s", exclusive=True, doc="Length of the observation window.")
    open_s: float = number(
        30.0, unit="s", exclusive=True, doc="Time it stays open before it lets a trial call through."
    )

    def __post_init__(self) -> None:
        validate(self, "breaker")


@strict
@dataclass(frozen=True, slots=True)
class Dependency:
    """A call from one component to another.

    Examples
    --------
    >>> Dependency("gateway", "orders", calls=2.0).label
    'gateway->orders'
    """

    source: str = text(doc="Caller.")
    target: str = text(doc="Callee.")
    calls: float = number(1.0, doc="Expected calls per request of the caller (visit ratio).")
    mode: str = choice("sync", MODES, doc="sync: the caller waits for the answer. async: an event, nobody waits.")
    network_latency_s: float = number(0.0, unit="s", doc="Round-trip network time of one call.")
    stage: int | None = count(None, optional=True, doc="Calls of one component with the same stage run in parallel.")
    timeout_s: float | None = number(
        None, unit="s", optional=True, exclusive=True, doc="The caller gives up after this time."
    )
    retries: int = count(0, doc="Further tries after a time-out or an error.")
    backoff_s: float = number(0.0, unit="s", doc="Mean pause before a retry.")
    retry_budget: float | None = number(
        None, optional=True, doc="Largest retries per first try (0.1 = 10 %); None: no limit."
    )
    cancel_on_timeout: bool = flag(False, doc="Whether a timed-out call is withdrawn from the callee.")
    breaker: Breaker | None = part(None, doc="Circuit breaker of this call.")
    required: bool = flag(True, doc="False: the caller has a fallback and answers without it.")
    provenance: Mapping[str, Provenance] = part(doc="Origin of each number.", factory=dict)

    def __post_init__(self) -> None:
        label = f"{self.source}->{self.target}"
        validate(self, label)
        object.__setattr__(self, "provenance", _freeze(self.provenance, self, label))
        if self.breaker is not None and not isinstance(self.breaker, Breaker):
            raise ModelError(f"is {self.breaker!r}", component=label, field="breaker", fix="a fa.Breaker or None")

    @property
    def label(self) -> str:
        """``"source->target"``."""
        return f"{self.source}->{self.target}"


@strict
@dataclass(frozen=True, slots=True)
class Balancer:
    """Calls from one component that are spread over several targets."""

    source: str = text(doc="Caller.")
    targets: tuple[str, ...] = part(doc="Callees, at least one.")
    calls: float = number(1.0, doc="Expected calls per request of the caller, over all targets.")
    policy: str = choice("round_robin", POLICIES, doc="How a target is chosen.")
    weights: tuple[float, ...] | None = part(None, doc="Shares of the targets for the weighted policy.")
    mode: str = choice("sync", MODES, doc="As for a dependency.")
    network_latency_s: float = number(0.0, unit="s", doc="As for a dependency.")
    stage: int | None = count(None, optional=True, doc="As for a dependency.")
    timeout_s: float | None = number(None, unit="s", optional=True, exclusive=True, doc="As for a dependency.")
    retries: int = count(0, doc="As for a dependency.")
    backoff_s: float = number(0.0, unit="s", doc="As for a dependency.")
    retry_budget: float | None = number(None, optional=True, doc="As for a dependency.")
    cancel_on_timeout: bool = flag(False, doc="As for a dependency.")
    breaker: Breaker | None = part(None, doc="As for a dependency.")
    required: bool = flag(True, doc="As for a dependency.")
    provenance: Mapping[str, Provenance] = part(doc="Origin of each number.", factory=dict)

    def __post_init__(self) -> None:
        label = f"{self.source}->balancer"
        validate(self, label)
        object.__setattr__(self, "provenance", _freeze(self.provenance, self, label))
        targets: Any = self.targets
        if not isinstance(targets, (tuple, list)) or not targets or not all(isinstance(t, str) and t for t in targets):
            raise ModelError(f"is {targets!r}", component=label, field="targets", fix="a tuple of component names")
        if len(set(targets)) != len(targets):
            raise ModelError("names a target twice", component=label, field="targets")
        object.__setattr__(self, "targets", tuple(targets))
        if self.breaker is not None and not isinstance(self.breaker, Breaker):
            raise ModelError(f"is {self.breaker!r}", component=label, field="breaker", fix="a fa.Breaker or None")
        if self.policy == "weighted":
            try:
                weights = tuple(float(w) for w in self.weights or ())
            except (TypeError, ValueError):
                weights = ()
            if len(weights) != len(targets) or not all(0 <= w < float("inf") for w in weights) or sum(weights) <= 0:
                raise ModelError(
                    f"is {self.weights!r}",
                    component=label,
                    field="weights",
                    fix=f"{len(targets)} non-negative numbers, not all zero",
                )
            object.__setattr__(self, "weights", weights)
        elif self.weights is not None:
            raise ModelError(
                f"weights have no meaning under policy {self.policy!r}",
                component=label,
                field="weights",
                fix="policy='weighted'",
            )

    @property
    def label(self) -> str:
        """``"source->a|b|c"``."""
        return f"{self.source}->{'|'.join(self.targets)}"

    def shares(self) -> tuple[float, ...]:
        """Return the prescribed share of each target; equal shares where the policy balances."""
        if self.weights is not None:
            total = sum(self.weights)
            return tuple(w / total for w in self.weights)
        return tuple(1.0 / len(self.targets) for _ in self.targets)
