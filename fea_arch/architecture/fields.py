"""The attribute table: every field of a description is declared once, with unit, bounds and meaning.

Validation, column storage, the native document, its JSON Schema and the reference page are all fed from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import wraps
from typing import Any, TypeVar

from fea_arch.errors import ModelError, suggestion

__all__ = ["FieldSpec", "choice", "count", "flag", "number", "part", "specs", "strict", "text", "validate"]

T = TypeVar("T")

#: Largest whole number that a float64 column carries exactly.
LARGEST_COUNT = 2**53


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a description."""

    name: str
    form: str  # number | count | flag | choice | text | part
    default: Any
    required: bool
    unit: str
    doc: str
    minimum: float
    exclusive: bool
    maximum: float
    optional: bool
    choices: tuple[str, ...]


def _declare(form: str, default: Any, doc: str, **extra: Any) -> Any:
    meta = {"form": form, "doc": doc, **extra}
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


def number(
    default: Any = MISSING,
    *,
    doc: str,
    unit: str = "1",
    minimum: float = 0.0,
    exclusive: bool = False,
    maximum: float = math.inf,
    optional: bool = False,
) -> Any:
    """Declare a float field with its unit and bounds."""
    return _declare(
        "number", default, doc, unit=unit, minimum=minimum, exclusive=exclusive, maximum=maximum, optional=optional
    )


def count(default: Any = MISSING, *, doc: str, minimum: int = 0, optional: bool = False) -> Any:
    """Declare a whole-number field."""
    return _declare("count", default, doc, minimum=minimum, maximum=LARGEST_COUNT, optional=optional)


def flag(default: bool, *, doc: str) -> Any:
    """Declare a true/false field."""
    return _declare("flag", default, doc)


def choice(default: str, options: tuple[str, ...], *, doc: str) -> Any:
    """Declare a field with a closed set of words."""
    return _declare("choice", default, doc, choices=options)


def text(default: Any = MISSING, *, doc: str, optional: bool = False) -> Any:
    """Declare a text field."""
    return _declare("text", default, doc, optional=optional)


def part(default: Any = MISSING, *, doc: str, factory: Callable[[], Any] | None = None) -> Any:
    """Declare a structured field (checked by its own type)."""
    meta = {"form": "part", "doc": doc, "optional": True}
    if factory is not None:
        return field(default_factory=factory, metadata=meta)
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


_TABLES: dict[Any, Mapping[str, FieldSpec]] = {}


def specs(cls: type[Any]) -> Mapping[str, FieldSpec]:
    """Return the attribute table of a description class."""
    if cls in _TABLES:
        return _TABLES[cls]
    table = {}
    for item in fields(cls):
        meta = item.metadata
        table[item.name] = FieldSpec(
            name=item.name,
            form=meta.get("form", "part"),
            default=_default(item),
            required=item.default is MISSING and item.default_factory is MISSING,
            unit=meta.get("unit", ""),
            doc=meta.get("doc", ""),
            minimum=meta.get("minimum", -math.inf),
            exclusive=meta.get("exclusive", False),
            maximum=meta.get("maximum", math.inf),
            optional=meta.get("optional", False),
            choices=meta.get("choices", ()),
        )
    _TABLES[cls] = table
    return table


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else None


def strict(cls: type[T]) -> type[T]:
    """Turn the TypeError of a misspelt or missing keyword into a ModelError with a suggestion."""
    original = cls.__init__

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        known = list(specs(cls))
        for word in kwargs:
            if word not in known:
                raise ModelError(
                    f"{cls.__name__} has no field {word!r}.{suggestion(word, known)}",
                    field=word,
                    fix=f"known fields: {', '.join(known)}",
                )
        given = set(known[: len(args)]) | set(kwargs)
        missing = [n for n, s in specs(cls).items() if s.required and n not in given]
        if missing:
            raise ModelError(f"{cls.__name__} needs {', '.join(missing)}", field=missing[0])
        original(self, *args, **kwargs)

    cls.__init__ = init  # type: ignore[method-assign]
    return cls


def validate(owner: Any, label: str | None) -> None:
    """Check every field of a description against the attribute table; normalise numbers in place.

    Raises
    ------
    ModelError
        Names the description, the field and what would be accepted.
    """
    for name, spec in specs(type(owner)).items():
        value = getattr(owner, name)
        if value is None:
            if not (spec.optional or spec.default is None):
                raise ModelError("is missing", component=label, field=name, fix=_accepted(spec))
            continue
        if spec.form in ("number", "count"):
            object.__setattr__(owner, name, _checked_number(value, spec, label))
        elif spec.form == "flag":
            if not isinstance(value, (bool,)) and type(value).__name__ != "bool_" and type(value).__name__ != "bool":
                raise ModelError(f"is {value!r}, not true or false", component=label, field=name)
            object.__setattr__(owner, name, bool(value))
        elif spec.form == "choice":
            if value not in spec.choices:
                raise ModelError(
                    f"is {value!r}.{suggestion(str(value), spec.choices)}",
                    component=label,
                    field=name,
                    fix=f"one of {', '.join(spec.choices)}",
                )
        elif spec.form == "text" and (not isinstance(value, str) or not value):
            raise ModelError(f"is {value!r}, not a non-empty text", component=label, field=name)


def _checked_number(value: Any, spec: FieldSpec, label: str | None) -> float | int:
    if isinstance(value, (bool, str, bytes)):
        raise ModelError(f"is {value!r}, not a number", component=label, field=spec.name, fix=_accepted(spec))
    try:
        real = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"is {value!r}, not a number", component=label, field=spec.name, fix=_accepted(spec)
        ) from error
    below = real <= spec.minimum if spec.exclusive else real < spec.minimum
    if math.isnan(real) or math.isinf(real) or below or real > spec.maximum:
        raise ModelError(f"is {value!r}", component=label, field=spec.name, fix=_accepted(spec))
    if spec.form == "count":
        if real != int(real):
            raise ModelError(f"is {value!r}, not a whole number", component=label, field=spec.name, fix=_accepted(spec))
        return int(real)
    return real


def _accepted(spec: FieldSpec) -> str:
    kind = "a whole number" if spec.form == "count" else "a finite number" if spec.form == "number" else "a value"
    bound = f" {'above' if spec.exclusive else 'of at least'} {spec.minimum:g}" if spec.minimum > -math.inf else ""
    top = f" and at most {spec.maximum:g}" if spec.maximum < math.inf else ""
    unit = f" [{spec.unit}]" if spec.unit not in ("", "1") else ""
    return f"{kind}{bound}{top}{unit}"
