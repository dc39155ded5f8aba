"""What every result with one row per component shares: rows by name, plain dictionaries, tables, text and HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np

from fea_arch.errors import MissingExtraError, ModelError, suggestion
from fea_arch.results.plots import Plottable

__all__ = ["ComponentTable", "plain"]

#: Rows of an HTML table before it is cut.
HTML_ROWS = 30
#: Lines of a text representation.
TEXT_LINES = 8


def plain(value: Any) -> Any:
    """Return a value as JSON types: arrays as lists, numpy scalars as numbers, not-a-number and infinity as None."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _short(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.4g}"
    return str(value)


class ComponentTable(Plottable):
    """Mixin of frozen result dataclasses that hold one value per component in each of some array fields.

    A subclass is a ``@dataclass(frozen=True, eq=False, repr=False)`` with a field ``components`` (names, in order). It
    lists the array fields of shape (n_components,) in ``component_fields``, those shown in text and HTML in
    ``shown_fields`` (default: all), fields that a dictionary leaves out in ``hidden_fields``, and may override
    ``_headline``. All arrays are made read-only.
    """

    components: Sequence[str]
    component_fields: ClassVar[tuple[str, ...]] = ()
    shown_fields: ClassVar[tuple[str, ...]] = ()
    hidden_fields: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", tuple(self.components))
        for name in self._field_names():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                if value.flags.writeable and value.base is not None:
                    value = value.copy()
                value.setflags(write=False)
                object.__setattr__(self, name, value)
        for name in self.component_fields:
            size = np.shape(getattr(self, name))[:1]
            if size != (len(self.components),):
                raise ModelError(f"has {size} rows for {len(self.components)} components", field=name)

    @classmethod
    def _field_names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls))  # type: ignore[arg-type]

    def _number(self, name: str) -> int:
        """Return the number of a component in this result."""
        try:
            return list(self.components).index(name)
        except ValueError:
            close = suggestion(str(name), self.components)
            raise ModelError(f"no component of this name in the result.{close}", component=str(name)) from None

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Return the row of one component.

        Raises
        ------
        ModelError
            If there is none of that name, with a suggestion.
        """
        i = self._number(name)
        row: dict[str, Any] = {"component": self.components[i]}
        for field in self.component_fields:
            value = getattr(self, field)[i]
            row[field] = value.item() if isinstance(value, np.generic) else value
        return row

    def __len__(self) -> int:
        return len(self.components)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as JSON types; not-a-number becomes None."""
        table = {
            name: {f: plain(getattr(self, f)[i]) for f in self.component_fields}
            for i, name in enumerate(self.components)
        }
        skip = {"components", *self.component_fields, *self.hidden_fields}
        rest = {f: plain(getattr(self, f)) for f in self._field_names() if f not in skip and not f.startswith("_")}
        return {"result": type(self).__name__, **rest, "components": table}

    def to_dataframe(self) -> Any:
        """Return the component table as a ``pandas.DataFrame`` indexed by component.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "frames") from None
        index = pd.Index(list(self.components), name="component")
        return pd.DataFrame({f: np.array(getattr(self, f)) for f in self.component_fields}, index=index)

    def _headline(self) -> str:
        """Return the first line of the representation."""
        return f"{type(self).__name__}: {len(self.components)} components"

    def _notes(self) -> tuple[str, ...]:
        """Return further lines (at most three are shown)."""
        return ()

    def _order(self) -> Sequence[int]:
        """Return component numbers, the most interesting first."""
        return range(len(self.components))

    def _shown(self) -> tuple[str, ...]:
        return self.shown_fields or self.component_fields

    def __repr__(self) -> str:
        lines = [f"<{self._headline()}>", *(f"  {note}" for note in self._notes()[:3])]
        shown, order = self._shown(), list(self._order())
        room = TEXT_LINES - len(lines)
        cut = len(order) > room
        for i in order[: room - 1 if cut else room]:
            cells = ", ".join(f"{f} {_short(getattr(self, f)[i])}" for f in shown[:6])
            lines.append(f"  {self.components[i]}: {cells}")
        if cut:
            lines.append(f"  ... and {len(order) - room + 1} more components")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        shown, order = self._shown(), list(self._order())
        head = "".join(f"<th>{escape(h)}</th>" for h in ("component", *shown))
        body = []
        for i in order[:HTML_ROWS]:
            cells = "".join(f"<td>{escape(_short(getattr(self, f)[i]))}</td>" for f in shown)
            body.append(f"<tr><td>{escape(str(self.components[i]))}</td>{cells}</tr>")
        more = f"<p>... and {len(order) - HTML_ROWS} more</p>" if len(order) > HTML_ROWS else ""
        notes = "".join(f"<p>{escape(n)}</p>" for n in self._notes()[:3])
        return (
            f"<div><b>{escape(self._headline())}</b>{notes}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}</div>"
        )
