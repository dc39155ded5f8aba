"""What differs between two architectures, part by part and field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.architecture.fields import specs

__all__ = ["Change", "differences"]


@dataclass(frozen=True, slots=True)
class Change:
    """One edit.

    Parameters
    ----------
    place : str
        Component, dependency ``"a->b"``, host, or what it belongs to (load, objective).
    field : str
        ``""`` where the whole part was added or removed.
    before, after : object
        None where it is not there.
    """

    place: str
    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if not self.field:
            return f"{self.place} {'added' if self.before is None else 'removed'}"
        return f"{self.place}.{self.field}: {_shown(self.before)} -> {_shown(self.after)}"


def differences(base: Architecture, head: Architecture) -> tuple[Change, ...]:
    """Return what was edited from ``base`` to ``head``, in the order of the architectures."""
    out: list[Change] = []
    for kind in ("components", "hosts", "dependencies", "balancers", "loads"):
        before, after = (_named(kind, getattr(arch, kind)) for arch in (base, head))
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name), after.get(name)
            if old is None or new is None:
                out.append(Change(name, "", None if old is None else kind, None if new is None else kind))
            else:
                out += _fields(name, old, new)
    out += _fields("objective", base.objective, head.objective)
    return tuple(out)


def _named(kind: str, parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        name = f"load at {part.entry}" if kind == "loads" else getattr(part, "name", None) or part.label
        while name in found:
            name += " (again)"
        found[name] = part
    return found


def _fields(name: str, old: Any, new: Any) -> list[Change]:
    if type(old) is not type(new):
        return [Change(name, "kind", type(old).__name__, type(new).__name__)]
    return [
        Change(name, field, getattr(old, field), getattr(new, field))
        for field in specs(type(old))
        if field not in ("provenance", "name", "measured") and getattr(old, field) != getattr(new, field)
    ]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
