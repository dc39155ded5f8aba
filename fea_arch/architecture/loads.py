"""What acts on an architecture: loads, objectives, load cases, bursts, ramps, periods and outages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fea_arch.architecture.fields import choice, count, flag, number, part, strict, text, validate
from fea_arch.errors import ModelError

__all__ = [
    "Burst",
    "Load",
    "LoadCase",
    "Objective",
    "Outage",
    "Period",
    "Periodic",
    "Ramp",
    "Recorded",
    "Workflow",
]


@strict
@dataclass(frozen=True, slots=True)
class Load:
    """Requests that arrive from outside: open (a rate) or closed (a population of users).

    Examples
    --------
    >>> Load("gateway", rate_per_s=100.0).closed
    False
    """

    entry: str = text(doc="Component at which the requests arrive.")
    rate_per_s: float | None = number(None, unit="1/s", optional=True, doc="Arrival rate of an open load.")
    users: int | None = count(None, optional=True, minimum=1, doc="Population of a closed load.")
    think_time_s: float = number(0.0, unit="s", doc="Mean pause of a user between an answer and the next request.")
    arrival_scv: float = number(1.0, doc="Squared coefficient of variation of the times between arrivals.")
    name: str | None = text(None, optional=True, doc="Name of the load path.")
    measured: bool = flag(False, doc="Whether the rate was measured.")

    def __post_init__(self) -> None:
        validate(self, f"load at {self.entry}")
        if (self.rate_per_s is None) == (self.users is None):
            raise ModelError("needs either rate_per_s (open) or users (closed)", component=self.entry, field="load")

    @property
    def closed(self) -> bool:
        """Whether the load is a fixed population."""
        return self.users is not None


@strict
@dataclass(frozen=True, slots=True)
class Objective:
    """What "answered within objective" means."""

    latency_s: float | None = number(
        None, unit="s", optional=True, exclusive=True, doc="Response time of a good answer."
    )
    memory_bytes: float | None = number(
        None, unit="B", optional=True, exclusive=True, doc="Memory of all components together."
    )
    quantile: float = number(0.95, exclusive=True, maximum=0.999999, doc="Share of requests that must meet latency_s.")

    def __post_init__(self) -> None:
        validate(self, "objective")


@strict
@dataclass(frozen=True, slots=True)
class LoadCase:
    """A named multiple of the design load, for instance "high"."""

    name: str = text(doc="Name of the case.")
    factor: float = number(1.0, doc="Multiple of the design load.")
    peak_factor: float | None = number(None, optional=True, doc="Multiple during peaks.")
    peak_s: float | None = number(None, unit="s", optional=True, doc="Length of a peak.")

    def __post_init__(self) -> None:
        validate(self, f"load case {self.name}")


@strict
@dataclass(frozen=True, slots=True)
class Workflow:
    """A named load path through components, for reports."""

    name: str = text(doc="Name of the workflow.")
    path: tuple[str, ...] = part(doc="Components in order.")
    rate_per_s: float | None = number(None, unit="1/s", optional=True, doc="How often it runs at design load.")

    def __post_init__(self) -> None:
        validate(self, f"workflow {self.name}")
        path = self.path
        if not isinstance(path, (tuple, list)) or not path or not all(isinstance(p, str) and p for p in path):
            raise ModelError(
                f"is {path!r}", component=f"workflow {self.name}", field="path", fix="a list of component names"
            )
        object.__setattr__(self, "path", tuple(path))


PERIOD_KINDS = ("retry", "poll", "health", "cron", "gc", "other")


@strict
@dataclass(frozen=True, slots=True)
class Period:
    """A known periodic excitation: retry, poll, health check, cron job, garbage collection."""

    name: str = text(doc="Name of the excitation.")
    period_s: float = number(unit="s", exclusive=True, doc="Time from one start to the next.")
    at: str | None = text(None, optional=True, doc="Component that it hits; None: every entry.")
    kind: str = choice("other", PERIOD_KINDS, doc="What it is.")
    requests: float = number(1.0, doc="Requests that arrive together at each period.")

    def __post_init__(self) -> None:
        validate(self, f"period {self.name}")


@strict
@dataclass(frozen=True, slots=True)
class Burst:
    """A rectangular burst: the load is ``factor`` times the design load for ``duration_s``.

    Examples
    --------
    >>> burst = Burst(factor=10, start_s=5, duration_s=30)
    >>> burst(4.0), burst(5.0), burst(35.0)
    (1.0, 10.0, 1.0)
    """

    factor: float = number(10.0, doc="Multiple of the design load.")
    start_s: float = number(0.0, unit="s", doc="Begin.")
    duration_s: float = number(30.0, unit="s", exclusive=True, doc="Length.")

    def __post_init__(self) -> None:
        validate(self, "burst")

    def __call__(self, time_s: float) -> float:
        """Return the load factor at a time [1]."""
        return self.factor if self.start_s <= time_s < self.start_s + self.duration_s else 1.0

    def breakpoints(self) -> tuple[float, ...]:
        """Return the times at which the factor is not smooth [s]."""
        return (self.start_s, self.start_s + self.duration_s)


@strict
@dataclass(frozen=True, slots=True)
class Ramp:
    """A linear change of the load factor."""

    from_factor: float = number(0.0, doc="Factor before.")
    to_factor: float = number(1.0, doc="Factor after.")
    start_s: float = number(0.0, unit="s", doc="Begin.")
    duration_s: float = number(300.0, unit="s", exclusive=True, doc="Length.")

    def __post_init__(self) -> None:
        validate(self, "ramp")

    def __call__(self, time_s: float) -> float:
        """Return the load factor at a time [1]."""
        x = min(max((time_s - self.start_s) / self.duration_s, 0.0), 1.0)
        return self.from_factor + x * (self.to_factor - self.from_factor)

    def breakpoints(self) -> tuple[float, ...]:
        """Return the times at which the factor is not smooth [s]."""
        return (self.start_s, self.start_s + self.duration_s)


@strict
@dataclass(frozen=True, slots=True)
class Periodic:
    """A sinusoidal load factor ``mean + amplitude sin(2 pi (t - start) / period)``, never below zero."""

    period_s: float = number(unit="s", exclusive=True, doc="Period.")
    amplitude: float = number(0.5, doc="Amplitude of the factor.")
    mean: float = number(1.0, doc="Mean factor.")
    start_s: float = number(0.0, unit="s", doc="Begin; the mean factor acts before.")

    def __post_init__(self) -> None:
        validate(self, "periodic load")

    def __call__(self, time_s: float) -> float:
        """Return the load factor at a time [1]."""
        if time_s < self.start_s:
            return self.mean
        phase = 2.0 * math.pi * (time_s - self.start_s) / self.period_s
        return max(self.mean + self.amplitude * math.sin(phase), 0.0)

    def breakpoints(self) -> tuple[float, ...]:
        """Return the times at which the factor is not smooth [s]."""
        return (self.start_s,)


@strict
@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded load factor, linear between its points and constant outside."""

    time_s: Sequence[float] = part(doc="Increasing times [s].")
    factor: Sequence[float] = part(doc="Load factor at each time [1].")

    def __post_init__(self) -> None:
        try:
            times, factors = tuple(float(t) for t in self.time_s), tuple(float(f) for f in self.factor)
        except (TypeError, ValueError) as error:
            raise ModelError("needs two lists of numbers, time_s and factor", field="time_s") from error
        if len(times) != len(factors) or not times:
            raise ModelError("needs as many factors as times", field="factor")
        if any(b <= a for a, b in zip(times, times[1:])) or not all(math.isfinite(t) for t in times):
            raise ModelError("is not increasing", field="time_s")
        if any(not (0 <= f < math.inf) for f in factors):
            raise ModelError("holds a negative or infinite number", field="factor")
        object.__setattr__(self, "time_s", times)
        object.__setattr__(self, "factor", factors)

    def __call__(self, time_s: float) -> float:
        """Return the load factor at a time [1]."""
        from bisect import bisect_right

        i = bisect_right(self.time_s, time_s)
        if i == 0:
            return self.factor[0]
        if i == len(self.time_s):
            return self.factor[-1]
        a, b = self.time_s[i - 1], self.time_s[i]
        x = (time_s - a) / (b - a)
        return self.factor[i - 1] * (1 - x) + self.factor[i] * x

    def breakpoints(self) -> tuple[float, ...]:
        """Return the times at which the factor is not smooth [s]."""
        return tuple(self.time_s)


@strict
@dataclass(frozen=True, slots=True)
class Outage:
    """A component loses ``share`` of its capacity from ``start_s`` to ``end_s``."""

    component: str = text(doc="Component that fails.")
    start_s: float = number(unit="s", doc="Begin.")
    end_s: float = number(unit="s", exclusive=True, doc="End: the component comes back.")
    share: float = number(1.0, exclusive=True, maximum=1.0, doc="Share of the capacity that is lost.")

    def __post_init__(self) -> None:
        validate(self, f"outage of {self.component}")
        if self.end_s <= self.start_s:
            raise ModelError("ends before it starts", component=self.component, field="end_s")
