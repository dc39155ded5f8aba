"""The native document: an architecture as YAML or JSON, exactly and both ways.

Plain data in, plain data out. Every part is a mapping of the fields of the attribute table; defaults are left out.
Numbers may be written with units (``12 ms``, ``512MiB``); they are normalised to SI. All mistakes of a document are
reported at once, each with its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

from fea_arch.architecture.component import Component, Host
from fea_arch.architecture.container import Architecture
from fea_arch.architecture.dependency import Balancer, Breaker, Dependency
from fea_arch.architecture.fields import FieldSpec, specs
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.loads import Load, LoadCase, Objective, Period, Workflow
from fea_arch.architecture.provenance import Provenance
from fea_arch.architecture.units import parse_bytes, parse_rate, parse_seconds
from fea_arch.errors import ModelError, suggestion

__all__ = ["FORMAT", "from_document", "schema", "to_document", "to_yaml", "write"]

#: Version of the native document; the marker key of the format.
FORMAT = 1

_LISTS: dict[str, type] = {
    "components": Component,
    "dependencies": Dependency,
    "balancers": Balancer,
    "loads": Load,
    "hosts": Host,
    "load_cases": LoadCase,
    "workflows": Workflow,
    "periods": Period,
    "notes": Finding,
}
_UNITS = {"s": parse_seconds, "B": parse_bytes, "1/s": parse_rate}


def to_document(arch: Architecture) -> dict[str, Any]:
    """Return an architecture as plain data, defaults left out."""
    document: dict[str, Any] = {"fea_arch": FORMAT, "name": arch.name}
    if arch.origin:
        document["origin"] = arch.origin
    objective = _part(arch.objective)
    if objective:
        document["objective"] = objective
    for key in _LISTS:
        rows = [_part(item) for item in getattr(arch, key)]
        if rows:
            document[key] = rows
    return document


def _part(item: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for spec in specs(type(item)).values():
        value = getattr(item, spec.name)
        if spec.name == "provenance":
            if value:
                out["provenance"] = {name: _origin(p) for name, p in value.items()}
        elif spec.required or value != spec.default:
            out[spec.name] = _part(value) if isinstance(value, Breaker) else _listed(value)
    return out


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, (tuple, list)) else value


def _origin(p: Provenance) -> dict[str, Any]:
    blank = Provenance(p.kind)
    return {"kind": p.kind} | {
        f.name: getattr(p, f.name) for f in dataclass_fields(p) if getattr(p, f.name) != getattr(blank, f.name)
    }


def from_document(document: Any, *, path: str | None = None) -> Architecture:
    """Read plain data as an architecture.

    Raises
    ------
    ModelError
        Every mistake of the document with its place.
    """
    if not isinstance(document, Mapping):
        raise ModelError("the document is not a mapping", path=path, fix="start with 'fea_arch: 1'")
    if document.get("fea_arch") != FORMAT:
        raise ModelError(f"is {document.get('fea_arch')!r}", path=path, field="fea_arch", fix=f"fea_arch: {FORMAT}")
    problems: list[str] = []
    known = ["fea_arch", "name", "origin", "objective", *_LISTS]
    problems += [f"{key}: unknown key.{suggestion(str(key), known)}" for key in document if key not in known]
    parts: dict[str, Any] = {}
    for key, kind in _LISTS.items():
        rows = document.get(key) or []
        if not isinstance(rows, list):
            problems.append(f"{key}: not a list")
            continue
        parts[key] = [p for i, row in enumerate(rows) if (p := _read(kind, row, f"{key}[{i}]", problems)) is not None]
    objective = _read(Objective, document.get("objective") or {}, "objective", problems) or Objective()
    if problems:
        raise ModelError(
            "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else ""), path=path
        )
    calls = [*parts.pop("dependencies"), *parts.pop("balancers")]
    try:
        return Architecture(
            name=document.get("name") or "architecture",
            dependencies=calls,
            objective=objective,
            origin=str(document.get("origin") or ""),
            **parts,
        )
    except ModelError as error:
        raise ModelError(
            error.message, path=path, component=error.component, field=error.field, fix=error.fix
        ) from error


def _read(kind: type, row: Any, place: str, problems: list[str]) -> Any:
    if not isinstance(row, Mapping):
        problems.append(f"{place}: not a mapping")
        return None
    if kind is Finding:
        try:
            return Finding(**{str(k): v for k, v in row.items()})
        except (TypeError, ModelError) as error:
            problems.append(f"{place}: {error}")
            return None
    known = specs(kind)
    values: dict[str, Any] = {}
    before = len(problems)
    for key, value in row.items():
        spec = known.get(str(key))
        if spec is None:
            problems.append(f"{place}.{key}: unknown field.{suggestion(str(key), known)}")
            continue
        try:
            values[spec.name] = _value(spec, value)
        except (ModelError, TypeError, ValueError) as error:
            problems.append(f"{place}.{key}: {error}")
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except ModelError as error:
        problems.append(f"{place}: {error}")
        return None


def _value(spec: FieldSpec, value: Any) -> Any:
    if value is None:
        return None
    if spec.name == "provenance":
        return {
            str(k): Provenance(**v) if isinstance(v, Mapping) else Provenance(str(v)) for k, v in dict(value).items()
        }
    if spec.name == "breaker":
        return Breaker(**dict(value))
    if spec.name == "curve":
        return tuple((float(a), float(b)) for a, b in value)
    if isinstance(value, list):
        return tuple(value)
    if spec.form == "number" and isinstance(value, str):
        parse = _UNITS.get(spec.unit)
        return float(value) if parse is None else parse(value)
    return value


def to_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML that reads back exactly."""
    import yaml

    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    if any(mark in text for mark in "\x85\u2028\u2029"):  # line ends to YAML: only escapes keep them inside a text
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=120)
    return str(text)


def write(arch: Architecture, path: str | Path) -> Path:
    """Write the native document; ``.json`` writes JSON, anything else YAML.

    Parameters
    ----------
    arch : Architecture
    path : str or Path

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    target = Path(path)
    document = to_document(arch)
    if target.suffix.lower() == ".json":
        content = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        content = to_yaml(document)
    try:
        target.write_bytes(content.encode("utf-8"))
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ModelError(f"holds a text that is not valid Unicode ({bad!r})", path=str(target)) from None
    except OSError as error:
        raise ModelError(
            f"cannot be written: {error.strerror}", path=str(target), fix="a folder that exists and is writable"
        ) from error
    return target


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the native document."""
    definitions = {k.__name__: _object(k) for k in (*_LISTS.values(), Objective, Breaker) if k is not Finding}
    definitions["Provenance"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind"],
        "properties": {
            "kind": {"enum": ["assumed", "declared", "measured"]},
            "samples": {"type": "integer", "minimum": 0},
            "source": {"type": "string"},
            "spread": {"type": "number", "minimum": 0},
        },
    }
    definitions["Finding"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["level", "message"],
        "properties": {
            "level": {"enum": ["error", "warning", "info"]},
            **{name: {"type": "string"} for name in ("message", "component", "field", "fix")},
            "count": {"type": "integer"},
        },
    }
    properties: dict[str, Any] = {
        "fea_arch": {"const": FORMAT},
        "name": {"type": "string", "minLength": 1},
        "origin": {"type": "string"},
        "objective": {"$ref": "#/$defs/Objective"},
    }
    for key, kind in _LISTS.items():
        properties[key] = {"type": "array", "items": {"$ref": f"#/$defs/{kind.__name__}"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fea_arch architecture",
        "type": "object",
        "required": ["fea_arch", "name"],
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def _object(kind: type) -> dict[str, Any]:
    table = specs(kind)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [s.name for s in table.values() if s.required],
        "properties": {s.name: _property(s) for s in table.values()},
    }


def _property(spec: FieldSpec) -> dict[str, Any]:
    base: dict[str, Any] = {"description": spec.doc + (f" [{spec.unit}]" if spec.unit not in ("", "1") else "")}
    if spec.name == "provenance":
        return base | {"type": "object", "additionalProperties": {"$ref": "#/$defs/Provenance"}}
    if spec.name == "breaker":
        return base | {"anyOf": [{"$ref": "#/$defs/Breaker"}, {"type": "null"}]}
    if spec.form == "part":
        return base | ({"type": "boolean"} if isinstance(spec.default, bool) else {"type": ["array", "null"]})
    if spec.form == "choice":
        return base | {"enum": list(spec.choices)}
    if spec.form in ("flag", "text"):
        kind = "boolean" if spec.form == "flag" else "string"
        return base | {"type": [kind, "null"] if spec.optional else kind}
    words = ["integer"] if spec.form == "count" else ["number"]
    words += ["string"] if spec.unit in _UNITS else []
    words += ["null"] if spec.optional else []
    limits: dict[str, Any] = {}
    if spec.minimum > float("-inf"):
        limits["exclusiveMinimum" if spec.exclusive else "minimum"] = spec.minimum
    if spec.maximum < float("inf"):
        limits["maximum"] = spec.maximum
    return base | {"type": words} | limits
