"""What to do: changes tried one by one, each with the score it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fea_arch.architecture import Architecture, Dependency
from fea_arch.results.score import Score
from fea_arch.scoring.catalogue import Catalogue
from fea_arch.scoring.score import score

__all__ = ["Advice", "advise"]

#: Gain below which a change is no advice [points].
LEAST_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class Advice:
    """One change and what it gains.

    Parameters
    ----------
    change : str
        In words.
    component, field : str
        What is changed.
    before, after : object
        Its value.
    score, gain : float
        Score after this change alone, and how much more than now [points].
    """

    change: str
    component: str
    field: str
    before: Any
    after: Any
    score: float
    gain: float


def advise(
    arch: Architecture, now: Score, catalogue: Catalogue | None = None, *, components: int = 4, limit: int = 8
) -> list[Advice]:
    """Try changes at the components that lose most points and rank them by what they gain.

    Tried are twice the servers, twice the memory limit, a fallback for the required calls to a component, half the
    service time, and twice the processors of a host.

    Parameters
    ----------
    arch : Architecture
    now : Score
        Score of ``arch`` with the same catalogue.
    catalogue : Catalogue, optional
    components : int
        How many components are looked at.
    limit : int
        Length of the list.
    """
    found = []
    for change, component, field, before, after, edited in _candidates(arch, list(now.by_component())[:components]):
        value = score(edited, catalogue, samples=0).value
        if value - now.value > LEAST_GAIN:
            found.append(Advice(change, component, field, before, after, value, value - now.value))
    return sorted(found, key=lambda a: (-a.gain, a.component, a.field))[:limit]


def _candidates(arch: Architecture, names: list[str]) -> Iterator[tuple[str, str, str, Any, Any, Architecture]]:
    hosts = {}
    for name in names:
        c = arch[name]
        if not c.available:
            yield f"bring {name} back", name, "available", False, True, arch.replaced(name, available=True)
            continue
        if c.law == "mmc":
            more = 2 * c.servers
            text = f"give {name} {more} servers instead of {c.servers}"
            yield text, name, "servers", c.servers, more, arch.replaced(name, servers=more)
        if c.memory_limit_bytes is not None and c.memory_per_request_bytes:
            size = 2 * c.memory_limit_bytes
            text = f"raise the memory limit of {name} from {c.memory_limit_bytes:.3g} to {size:.3g} B"
            yield text, name, "memory_limit_bytes", c.memory_limit_bytes, size, arch.replaced(
                name, memory_limit_bytes=size
            )
        calls = [d for d in arch.dependencies if isinstance(d, Dependency) and d.target == name]
        required = [d.label for d in calls if d.required and d.mode == "sync"]
        if required:
            edited = arch
            for label in dict.fromkeys(required):
                edited = edited.replaced(label, required=False)
            callers = f"{len(required)} caller{'s' if len(required) > 1 else ''}"
            yield f"give the {callers} of {name} a fallback", name, "required", True, False, edited
        quicker = 0.5 * c.service_time_s
        cpu = None if c.cpu_s is None else 0.5 * c.cpu_s
        text = f"halve the service time of {name} to {quicker:.3g} s"
        edited = arch.replaced(name, service_time_s=quicker, cpu_s=cpu)
        yield text, name, "service_time_s", c.service_time_s, quicker, edited
        if c.host is not None and c.cpu_s:
            hosts[c.host] = next(h for h in arch.hosts if h.name == c.host)
    for host in hosts.values():
        machines = tuple(replace(h, cpus=2 * h.cpus) if h.name == host.name else h for h in arch.hosts)
        text = f"give the host {host.name} {2 * host.cpus:g} processors instead of {host.cpus:g}"
        yield text, host.name, "cpus", host.cpus, 2 * host.cpus, replace(arch, hosts=machines)
