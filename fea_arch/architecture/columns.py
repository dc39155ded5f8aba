"""Column storage: many descriptions of one class as arrays, without a Python object each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.fields import FieldSpec, specs
from fea_arch.architecture.provenance import ASSUMED, DECLARED, Provenance
from fea_arch.errors import ModelError, suggestion

__all__ = ["Columns"]

T = TypeVar("T")


class Columns(Sequence[T], Generic[T]):
    """A read-only sequence of descriptions that is stored by column.

    Only columns that differ from the default exist. Numbers are float64 with NaN for "not given", counts int64 with
    -1, flags bool and everything else objects.
    """

    __slots__ = ("cache", "cls", "data", "n", "numbers", "origin")

    def __init__(
        self,
        cls: type[T],
        n: int,
        data: Mapping[str, NDArray[Any]],
        origin: Mapping[str, NDArray[np.object_]] | None = None,
    ) -> None:
        self.cls, self.n = cls, int(n)
        self.data = dict(data)
        self.origin = dict(origin or {})
        #: What was derived from these columns (index, call graph); columns never change, so it never goes stale.
        self.cache: dict[str, Any] = {}
        # rows of references that are already numbered: the array of names they refer to, and the numbers by field
        self.numbers: tuple[NDArray[Any], dict[str, NDArray[np.int64]]] | None = None
        for array in (*self.data.values(), *self.origin.values()):
            array.setflags(write=False)

    @classmethod
    def from_rows(cls, kind: type[T], rows: Iterable[T]) -> Columns[T]:
        """Store descriptions by column."""
        items = list(rows)
        data: dict[str, NDArray[Any]] = {}
        origin: dict[str, NDArray[np.object_]] = {}
        for name, spec in specs(kind).items():
            if name == "provenance":
                for i, item in enumerate(items):
                    for key, value in item.provenance.items():  # type: ignore[attr-defined]
                        origin.setdefault(key, np.full(len(items), None, object))[i] = value
                continue
            values = [getattr(item, name) for item in items]
            if spec.required or any(v != spec.default for v in values):
                data[name] = _encode(spec, values)
        return cls(kind, len(items), data, origin)

    @classmethod
    def from_arrays(
        cls,
        kind: type[T],
        arrays: Mapping[str, Any],
        provenance: Mapping[str, Provenance] | None = None,
        owner: str = "table",
        names: NDArray[Any] | None = None,
    ) -> Columns[T]:
        """Check whole columns at once and store them.

        Parameters
        ----------
        kind : type
            Class of the descriptions.
        arrays : mapping
            One array per field, all of one length (n,).
        provenance : mapping, optional
            Origin of whole columns.
        owner : str
            What the columns are called in messages.
        names : (k,) object, optional
            With it, text columns may be given as whole numbers into ``names``: the quick way for large call graphs.

        Raises
        ------
        ModelError
            Names the column, the row and what would be accepted.
        """
        known = specs(kind)
        n = -1
        data: dict[str, NDArray[Any]] = {}
        number: dict[str, NDArray[np.int64]] = {}
        for name, values in arrays.items():
            if name not in known or name == "provenance":
                raise ModelError(f"unknown column {name!r}.{suggestion(name, known)}", component=owner, field=name)
            spec = known[name]
            if names is not None and spec.form == "text" and getattr(values, "dtype", np.dtype(object)).kind in "iu":
                number[name] = _coded(spec, values, len(names), owner)
                column = np.asarray(names, object)[number[name]]
            else:
                column = _column(spec, values, owner)
            if n not in (-1, len(column)):
                raise ModelError(f"has {len(column)} rows, others {n}", component=owner, field=name)
            n = len(column)
            data[name] = column
        missing = [s.name for s in known.values() if s.required and s.name not in data]
        if missing and n > 0:
            raise ModelError(f"needs the columns {', '.join(missing)}", component=owner, field=missing[0])
        n = max(n, 0)
        for name, spec in known.items():
            if spec.required and name not in data:
                data[name] = _encode(spec, [])
        origin: dict[str, NDArray[np.object_]] = {}
        for name, value in (provenance or {}).items():
            origin[name] = np.full(n, None, object)
            origin[name][:] = value
        columns = cls(kind, n, data, origin)
        if number:
            columns.numbers = (np.asarray(names), number)
        return columns

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.n))]
        i = int(index)
        if not -self.n <= i < self.n:
            raise IndexError(index)
        i %= self.n
        known = specs(self.cls)
        values = {name: _decode(known[name], column[i]) for name, column in self.data.items()}
        provenance = {name: column[i] for name, column in self.origin.items() if column[i] is not None}
        build: Any = self.cls
        return cast(T, build(**values, provenance=provenance))

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(self.n))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columns):
            return NotImplemented
        if self.cls is not other.cls or self.n != other.n:
            return False
        return all(_same(self.column(f), other.column(f)) for f in specs(self.cls) if f != "provenance") and all(
            _same(self._origin(f), other._origin(f)) for f in set(self.origin) | set(other.origin)
        )

    __hash__ = None  # type: ignore[assignment]

    def _origin(self, name: str) -> NDArray[np.object_]:
        column = self.origin.get(name)
        return np.full(self.n, None, object) if column is None else column

    def column(self, name: str) -> NDArray[Any]:
        """Return one column, defaults filled in, (n,) of the field's type."""
        known = specs(self.cls)
        if name not in known:
            raise ModelError(f"unknown field {name!r}.{suggestion(name, known)}", field=name)
        found = self.data.get(name)
        if found is not None:
            return found
        spec = known[name]
        blank = _encode(spec, [spec.default])
        return np.broadcast_to(blank, (self.n,)) if blank.dtype != object else np.repeat(blank, self.n)

    def codes(self, name: str) -> NDArray[np.uint8]:
        """Return the provenance of one column: 0 assumed, 1 declared, 2 measured, (n,) uint8."""
        spec = specs(self.cls)[name]
        if name in self.data:
            blank = _encode(spec, [spec.default])[0]
            column = self.data[name]
            given = ~_equal(column, blank)
            codes = np.where(given, DECLARED, ASSUMED).astype(np.uint8)
        else:
            codes = np.zeros(self.n, np.uint8)
        stated = self.origin.get(name)
        if stated is not None:
            kinds = {p: p.code for p in _distinct(stated) if p is not None}
            for origin, code in kinds.items():
                codes[_equal(stated, origin)] = code
        return codes

    def samples(self, name: str) -> NDArray[np.int64]:
        """Return how many samples stand behind each value of a column, (n,) int64."""
        stated = self.origin.get(name)
        if stated is None:
            return np.zeros(self.n, np.int64)
        return np.fromiter((0 if v is None else v.samples for v in stated), np.int64, self.n)

    def take(self, index: NDArray[np.int64]) -> Columns[T]:
        """Return the rows of an index array, (k,) int64."""
        return Columns(
            self.cls,
            len(index),
            {k: v[index] for k, v in self.data.items()},
            {k: v[index] for k, v in self.origin.items()},
        )

    def with_rows(self, rows: Mapping[int, T]) -> Columns[T]:
        """Return a copy with some rows exchanged, without decoding the others."""
        known = specs(self.cls)
        data, origin = dict(self.data), dict(self.origin)

        def put(table: dict[str, NDArray[Any]], name: str, i: int, value: Any) -> None:
            if not table[name].flags.writeable:
                table[name] = table[name].copy()
            table[name][i] = value

        for i, item in rows.items():
            for name, spec in known.items():
                if name == "provenance":
                    continue
                value = getattr(item, name)
                if name not in data:
                    if value == spec.default:
                        continue
                    data[name] = np.array(self.column(name))
                encoded = _encode(spec, [value])
                if not _same(data[name][i : i + 1], encoded):
                    put(data, name, i, encoded[0])
            given = item.provenance  # type: ignore[attr-defined]
            for name in set(origin) | set(given):
                if name not in origin:
                    origin[name] = np.full(self.n, None, object)
                if origin[name][i] != given.get(name):
                    put(origin, name, i, given.get(name))
        changed = Columns(self.cls, self.n, data, origin)
        if data.get("name") is self.data.get("name"):
            changed.cache |= {k: v for k, v in self.cache.items() if k in ("names", "index")}
        return changed

    def with_column(self, name: str, values: NDArray[Any]) -> Columns[T]:
        """Return a copy with one stored column exchanged."""
        return Columns(self.cls, self.n, {**self.data, name: values}, self.origin)


def _encode(spec: FieldSpec, values: Sequence[Any]) -> NDArray[Any]:
    if spec.form == "number":
        return np.array([np.nan if v is None else v for v in values], np.float64)
    if spec.form == "count":
        return np.array([-1 if v is None else v for v in values], np.int64)
    if spec.form == "flag":
        return np.array(values, np.bool_)
    column = np.empty(len(values), object)
    for i, v in enumerate(values):
        column[i] = v
    return column


def _decode(spec: FieldSpec, value: Any) -> Any:
    if spec.form == "number":
        return None if np.isnan(value) else float(value)
    if spec.form == "count":
        return None if value < 0 else int(value)
    if spec.form == "flag":
        return bool(value)
    return value


def _column(spec: FieldSpec, values: Any, owner: str) -> NDArray[Any]:
    """Check a whole column against its specification."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if spec.form in ("number", "count"):
        try:
            column = np.array([np.nan if v is None else v for v in values] if _has_none(values) else values, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError("holds a value that is not a number", component=owner, field=spec.name) from error
        if column.ndim != 1:
            raise ModelError("is not one-dimensional", component=owner, field=spec.name)
        blank = np.isnan(column)
        optional = spec.optional or spec.default is None
        low = column <= spec.minimum if spec.exclusive else column < spec.minimum
        wrong = (blank & (not optional)) | (~blank & (np.isinf(column) | low | (column > spec.maximum)))
        if spec.form == "count":
            wrong |= ~blank & (column != np.floor(column))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ModelError(
                f"row {row} is {column[row]!r}",
                component=owner,
                field=spec.name,
                fix=f"{spec.form} {'>' if spec.exclusive else '>='} {spec.minimum:g}",
            )
        return np.where(blank, -1, column).astype(np.int64) if spec.form == "count" else column
    if spec.form == "flag":
        return np.array(values, np.bool_)
    if isinstance(values, np.ndarray) and values.dtype == object:
        column = values.copy()
    elif isinstance(values, np.ndarray) and values.ndim == 1:
        column = values.astype(object)
    else:
        column = np.empty(len(values), object)
        for i, v in enumerate(values):
            column[i] = v.item() if isinstance(v, np.str_) else v
    if column.ndim != 1:
        raise ModelError("is not one-dimensional", component=owner, field=spec.name)
    if spec.form == "choice":
        wrong_words = {v for v in _distinct(column) if v not in spec.choices}
        if wrong_words:
            word = sorted(map(str, wrong_words))[0]
            raise ModelError(
                f"holds {word!r}.{suggestion(word, spec.choices)}",
                component=owner,
                field=spec.name,
                fix=f"one of {', '.join(spec.choices)}",
            )
    elif spec.form == "text":
        items = column.tolist()
        plain = set(map(type, items)) <= {str} and all(items)  # the usual case, without a look at each row
        bad = (
            []
            if plain
            else [
                i for i, v in enumerate(items) if not (isinstance(v, str) and v) and not (v is None and spec.optional)
            ]
        )
        if bad:
            raise ModelError(f"row {bad[0]} is {column[bad[0]]!r}, not a text", component=owner, field=spec.name)
    return column


def _coded(spec: FieldSpec, values: Any, k: int, owner: str) -> NDArray[np.int64]:
    """Check numbers that stand for names."""
    numbers = np.array(values, np.int64)
    wrong = (numbers < 0) | (numbers >= k)
    if numbers.ndim != 1 or wrong.any():
        row = int(np.flatnonzero(wrong)[0]) if numbers.ndim == 1 else 0
        raise ModelError(
            f"row {row} is not the number of a name", component=owner, field=spec.name, fix=f"0 to {k - 1}, one column"
        )
    return numbers


def _distinct(column: NDArray[Any]) -> set[Any]:
    """Return the distinct values of an object column; unhashable ones by their text."""
    try:
        return set(column)
    except TypeError:
        return {str(v) for v in column}


def _has_none(values: Any) -> bool:
    return not isinstance(values, np.ndarray) and any(v is None for v in values)


def _equal(column: NDArray[Any], blank: Any) -> NDArray[np.bool_]:
    if column.dtype == np.float64:
        return np.isnan(column) if np.isnan(blank) else np.asarray(column == blank)
    if column.dtype == object and blank is None:
        return np.fromiter((v is None for v in column), np.bool_, len(column))
    if column.dtype == object and not isinstance(blank, str):  # numpy might take it for a row
        return np.fromiter((v == blank for v in column), np.bool_, len(column))
    return np.asarray(column == blank, np.bool_)


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.dtype == np.float64:
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(a.shape == b.shape and (a == b).all())
