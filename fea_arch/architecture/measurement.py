"""Measurements of one component and their overlay on a declared architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fea_arch.architecture.component import Component
from fea_arch.architecture.provenance import Provenance
from fea_arch.architecture.rendering import HtmlText
from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.architecture.container import Architecture

__all__ = ["KEY_FIELDS", "Measurement", "overlay"]

#: Fields whose provenance decides the measured share of an architecture.
KEY_FIELDS = ("service_time_s", "servers", "memory_bytes", "cold_start_s")


@dataclass(frozen=True, slots=True, repr=False)
class Measurement(HtmlText):
    """What a probe saw of one component.

    Parameters
    ----------
    component : str
        Name of the component (or of the thing that was probed).
    kind : str
        ``mcp``, ``cli``, ``http``, ``kafka``, ``process`` or ``load_test``.
    ok : bool
        Whether it answered.
    latency_s : sequence of float
        Response times of single requests, unloaded [s].
    cold_start_s : float, optional
        Spawn to first answer [s].
    memory_bytes, unique_bytes : float, optional
        Resident and unique memory of the process tree [bytes].
    cpu_s : float, optional
        CPU time per request [s].
    values : mapping
        Further component fields that were measured (``servers``, ``usl_sigma``, ``curve`` ...).
    errors : sequence of str
        Reasons of failures; never a secret.
    started_at : float
        Wall-clock time of the measurement [s since the epoch].
    details : mapping
        Anything else worth keeping (versions, tool counts).
    """

    component: str
    kind: str = "process"
    ok: bool = True
    latency_s: Sequence[float] = ()
    cold_start_s: float | None = None
    memory_bytes: float | None = None
    unique_bytes: float | None = None
    cpu_s: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Sequence[str] = ()
    started_at: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        if self.latency_s:
            middle = sorted(self.latency_s)[len(self.latency_s) // 2]
            rows.append(("latency", f"median {middle:.4g} s of {len(self.latency_s)} samples"))
        for name, unit in (("cold_start_s", "s"), ("memory_bytes", "B"), ("unique_bytes", "B"), ("cpu_s", "s")):
            value = getattr(self, name)
            if value is not None:
                rows.append((name, f"{value:.4g} {unit}"))
        rows += [(str(name), str(value)[:60]) for name, value in list(self.values.items())[:4]]
        return rows + [("error", str(error)[:100]) for error in self.errors[:3]]

    def __repr__(self) -> str:
        answered = "answered" if self.ok else "did not answer"
        lines = [f"<Measurement of {self.component!r} ({self.kind}): {answered}>"]
        return "\n".join(lines + [f"  {name}: {value}" for name, value in self._rows()])

    def fields(self) -> tuple[dict[str, Any], dict[str, Provenance]]:
        """Return measured component fields and their provenance."""
        values: dict[str, Any] = {}
        origin: dict[str, Provenance] = {}
        n = len(self.latency_s)
        if n:
            sample = np.asarray(self.latency_s, float)
            mean = float(sample.mean())
            if not np.isfinite(sample).all() or sample.min() < 0 or mean <= 0:
                raise ModelError(
                    "holds a time that is negative or not finite, or only zeros",
                    component=self.component,
                    field="latency_s",
                    fix="positive times in seconds",
                )
            values["service_time_s"] = mean
            spread = float(sample.std(ddof=1) / mean / np.sqrt(n)) if n > 1 else 0.0
            origin["service_time_s"] = Provenance("measured", samples=n, source=self.kind, spread=spread)
            if n >= 10:
                values["service_scv"] = float(sample.var(ddof=1) / mean**2)
                origin["service_scv"] = Provenance("measured", samples=n, source=self.kind)
        single = {
            "cold_start_s": self.cold_start_s,
            "memory_bytes": self.memory_bytes,
            "cpu_s": self.cpu_s,
            **self.values,
        }
        for name, value in single.items():
            if value is not None:
                values[name] = value
                origin[name] = Provenance(
                    "measured", samples=1 if name not in self.values else max(n, 1), source=self.kind
                )
        values["available"] = self.ok
        return values, origin

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        ModelError
            For unknown keys.
        """
        known = {f.name for f in fields(cls)}
        unknown = set(data) - known
        if unknown or "component" not in data:
            raise ModelError(f"not a measurement: {sorted(unknown) or 'component is missing'}", field="measurement")
        return cls(**dict(data))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def overlay(arch: Architecture, measurements: Mapping[str, Measurement] | Iterable[Measurement]) -> Architecture:
    """Return the architecture with measured numbers in place of declared ones."""
    pairs = (
        list(measurements.items()) if isinstance(measurements, Mapping) else [(m.component, m) for m in measurements]
    )
    rows: dict[int, Component] = {}
    for name, measurement in pairs:
        i = arch.number(name)
        values, origin = measurement.fields()
        old = rows.get(i, arch.components[i])
        if "cpu_s" not in values and old.cpu_s is not None and values.get("service_time_s", 1e300) < old.cpu_s:
            values["cpu_s"] = values["service_time_s"]
        rows[i] = replace(old, **values, provenance={**old.provenance, **origin})
    return replace(arch, components=arch.component_columns.with_rows(rows))
