"""A component: a service, an MCP server, a CLI tool, a bus; and the host it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fea_arch.architecture.fields import choice, count, flag, number, part, specs, strict, text, validate
from fea_arch.architecture.provenance import Provenance
from fea_arch.errors import ModelError, suggestion

__all__ = ["BALANCING", "KINDS", "LAWS", "PAGE_IN_BYTES_PER_S", "REQUIRED_SAFETY", "Component", "Host"]

KINDS = ("service", "mcp", "cli", "bus", "memory", "ai", "database", "cache", "queue", "gateway", "external", "client")
LAWS = ("mmc", "delay", "bounded", "usl", "tabulated", "memory")
BALANCING = ("round_robin", "random", "least_outstanding")

#: Default safety factors by kind (theory, section 1); everything else needs 1.0.
REQUIRED_SAFETY: Mapping[str, float] = MappingProxyType({"bus": 2.0, "memory": 1.5, "ai": 3.0})

#: Assumed bandwidth at which resident memory is paged in when no cold start was measured [bytes/s].
PAGE_IN_BYTES_PER_S = 1.0e9


class _Origins(Mapping[str, Provenance]):
    """Origins of fields, read only; unlike a mapping proxy it goes to other processes."""

    __slots__ = ("_of",)

    def __init__(self, of: dict[str, Provenance]) -> None:
        self._of = of

    def __getitem__(self, name: str) -> Provenance:
        return self._of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def __repr__(self) -> str:
        return repr(self._of)


def _freeze(provenance: Any, owner: Any, label: str) -> Mapping[str, Provenance]:
    known = specs(type(owner))
    frozen = {}
    for name, origin in dict(provenance or {}).items():
        if name not in known:
            raise ModelError(f"provenance of unknown field {name!r}.{suggestion(name, known)}", component=label)
        frozen[name] = origin if isinstance(origin, Provenance) else Provenance(str(origin))
    return _Origins(frozen)


@strict
@dataclass(frozen=True, slots=True)
class Component:
    """One station of the architecture.

    Examples
    --------
    >>> Component("orders", service_time_s=0.010, servers=8).capacity_per_s
    800.0
    """

    name: str = text(doc="Unique name.")
    service_time_s: float = number(
        0.010, unit="s", exclusive=True, doc="Mean time of one request in service, own work only, unloaded."
    )
    servers: int = count(1, minimum=1, doc="Requests served at the same time by one replica (workers, threads, cores).")
    service_scv: float = number(1.0, doc="Squared coefficient of variation of the service time.")
    blocking: bool = flag(True, doc="True: a worker is held while it waits for its callees. False: event loop.")
    cpu_s: float | None = number(
        None, unit="s", optional=True, doc="CPU time per request on the host, part of service_time_s."
    )
    memory_bytes: float | None = number(None, unit="B", optional=True, doc="Resident memory of one replica at rest.")
    memory_limit_bytes: float | None = number(
        None, unit="B", optional=True, exclusive=True, doc="Memory limit of one replica; passing it kills the replica."
    )
    memory_per_request_bytes: float | None = number(
        None, unit="B", optional=True, doc="Additional memory of each request in flight."
    )
    cold_start_s: float | None = number(None, unit="s", optional=True, doc="Time to bring capacity on line.")
    replicas: int = count(1, minimum=1, doc="Number of identical instances.")
    balancing: str = choice("round_robin", BALANCING, doc="How requests are spread over the replicas.")
    queue_capacity: int | None = count(None, optional=True, doc="Waiting places of one replica; None: unbounded.")
    rate_limit_per_s: float | None = number(
        None, unit="1/s", optional=True, exclusive=True, doc="Admission limit of the component; the excess is rejected."
    )
    kind: str = choice("service", KINDS, doc="What the component is; decides the default safety factor.")
    host: str | None = text(None, optional=True, doc="Host that carries its CPU demand and memory.")
    law: str = choice("mmc", LAWS, doc="Constitutive law.")
    usl_sigma: float | None = number(None, optional=True, maximum=1.0, doc="USL contention coefficient.")
    usl_kappa: float | None = number(None, optional=True, doc="USL coherency coefficient.")
    curve: tuple[tuple[float, float], ...] | None = part(
        None, doc="Measured (concurrency, throughput [1/s]) pairs of the tabulated law, concurrency increasing."
    )
    elastic_limit: float = number(
        0.70, exclusive=True, maximum=1.0, doc="Utilisation up to which the component is elastic."
    )
    failure_limit: float = number(0.90, exclusive=True, maximum=1.0, doc="Utilisation above which it fails.")
    required_safety: float | None = number(
        None,
        optional=True,
        exclusive=True,
        doc="Required safety factor; None: by kind (bus 2.0, memory 1.5, ai 3.0, else 1.0).",
    )
    available: bool = flag(True, doc="False: configured but not running; it answers nothing.")
    provenance: Mapping[str, Provenance] = part(
        doc="Origin of each number; unstated fields are declared if given and assumed if default.", factory=dict
    )

    def __post_init__(self) -> None:
        label = self.name if isinstance(self.name, str) and self.name else "component"
        validate(self, label)
        object.__setattr__(self, "provenance", _freeze(self.provenance, self, label))
        if self.cpu_s is not None and self.cpu_s > self.service_time_s * (1 + 1e-9):
            raise ModelError(
                f"{self.cpu_s:g} s of CPU do not fit into service_time_s = {self.service_time_s:g} s",
                component=label,
                field="cpu_s",
                fix="a CPU time of at most the service time",
            )
        if self.failure_limit < self.elastic_limit:
            raise ModelError("is below elastic_limit", component=label, field="failure_limit")
        if self.curve is not None:
            object.__setattr__(self, "curve", _checked_curve(self.curve, label))
        if self.law == "tabulated" and self.curve is None:
            raise ModelError("law 'tabulated' needs a curve", component=label, field="curve")
        if self.law == "usl" and self.usl_sigma is None:
            raise ModelError("law 'usl' needs usl_sigma (and usl_kappa)", component=label, field="usl_sigma")
        if self.law == "bounded" and self.queue_capacity is None:
            raise ModelError("law 'bounded' needs queue_capacity", component=label, field="queue_capacity")

    @property
    def capacity_per_s(self) -> float:
        """Largest throughput of all replicas by their own work, ``replicas servers / service_time_s`` [1/s]."""
        return self.replicas * self.servers / self.service_time_s

    @property
    def warm_up_s(self) -> float:
        """Time to bring capacity on line: measured cold start, else resident bytes over page-in bandwidth [s]."""
        if self.cold_start_s is not None:
            return self.cold_start_s
        return (self.memory_bytes or 0.0) / PAGE_IN_BYTES_PER_S

    @property
    def safety_required(self) -> float:
        """Safety factor that is required of this component [1]."""
        return self.required_safety if self.required_safety is not None else REQUIRED_SAFETY.get(self.kind, 1.0)


def _checked_curve(curve: Any, label: str) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(n), float(x)) for n, x in curve)
    except (TypeError, ValueError) as error:
        raise ModelError("is not a list of (concurrency, throughput) pairs", component=label, field="curve") from error
    rising = all(a[0] < b[0] for a, b in zip(points, points[1:]))
    if not points or points[0][0] <= 0 or not rising or not all(0 < x < float("inf") for _, x in points):
        raise ModelError(
            "needs positive throughputs at increasing positive concurrencies", component=label, field="curve"
        )
    return points


@strict
@dataclass(frozen=True, slots=True)
class Host:
    """A machine: a processor-sharing element that its components visit with their CPU demand."""

    name: str = text(doc="Unique name.")
    cpus: float = number(1.0, exclusive=True, doc="Number of processors.")
    memory_bytes: float | None = number(None, unit="B", optional=True, exclusive=True, doc="Memory of the machine.")
    provenance: Mapping[str, Provenance] = part(doc="Origin of each number.", factory=dict)

    def __post_init__(self) -> None:
        validate(self, self.name if isinstance(self.name, str) and self.name else "host")
        object.__setattr__(self, "provenance", _freeze(self.provenance, self, self.name))
