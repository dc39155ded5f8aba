"""Tables of components and dependencies, by column: a million rows without an object each.

A table is a pandas or polars data frame, a mapping of column name to values, or a list of rows. Column names are the
field names of the attribute table; every column is checked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture import (
    Architecture,
    Columns,
    Component,
    Dependency,
    Finding,
    Host,
    Load,
    Objective,
    Provenance,
)
from fea_arch.architecture.fields import specs
from fea_arch.errors import ModelError, suggestion

__all__ = ["as_columns", "from_tables"]


def from_tables(
    components: Any,
    dependencies: Any = None,
    *,
    loads: Any = (),
    hosts: Iterable[Host] = (),
    objective: Objective | None = None,
    provenance: Mapping[str, Provenance | str] | None = None,
    dependency_provenance: Mapping[str, Provenance | str] | None = None,
    notes: Iterable[Finding] = (),
    name: str = "tables",
    origin: str = "",
) -> Architecture:
    """Build an architecture from tables, column by column.

    Parameters
    ----------
    components : DataFrame, mapping of columns, or list of row mappings
        Needs ``name``; every other field of :class:`Component` is optional. An empty cell (None, NaN) in an optional
        column means "not given".
    dependencies : same, optional
        Needs ``source`` and ``target``, as names or as row numbers of ``components`` (integers).
    loads : same, or sequence of Load
        Needs ``entry`` (a name or a row number) and ``rate_per_s`` or ``users``.
    hosts : iterable of Host
    objective : Objective, optional
    provenance, dependency_provenance : mapping of field to Provenance, optional
        Origin of whole columns. A column without one counts as declared where it differs from the default.
    notes : iterable of Finding
    name, origin : str

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Names the table, the column, the row and what would be accepted.

    Examples
    --------
    >>> arch = from_tables({"name": ["a", "b"], "service_time_s": [0.002, 0.010]},
    ...                    {"source": [0], "target": [1]}, loads={"entry": ["a"], "rate_per_s": [50.0]})
    >>> arch.graph.n_edges, arch["b"].service_time_s
    (1, 0.01)
    """
    rows = as_columns(components, "components")
    if "name" not in rows and (rows or _length(components)):
        raise ModelError(
            f"needs the column 'name', has {', '.join(map(str, list(rows)[:10])) or 'none'}",
            component="components",
            field="name",
            fix="a column of unique component names",
        )
    stations = Columns.from_arrays(Component, _cleaned(Component, rows), _origins(provenance), "components")
    _cross_check(stations)
    names = stations.column("name")
    calls = as_columns({} if dependencies is None else dependencies, "dependencies")
    numbered: dict[str, NDArray[np.int64]] = {}
    for end in ("source", "target"):
        if end in calls:
            numbers = _numbers(calls[end], len(names), "dependencies", end)
            if numbers is not None:
                numbered[end], calls[end] = numbers, names[numbers]
    edges = Columns.from_arrays(
        Dependency, _cleaned(Dependency, calls), _origins(dependency_provenance), "dependencies"
    )
    edges.numbers = (names, numbered)  # spares the look-up of millions of names
    return Architecture(
        name=name,
        components=stations,
        dependencies=edges,
        loads=_loads(loads, names),
        hosts=tuple(hosts),
        objective=objective or Objective(),
        notes=tuple(notes),
        origin=origin,
    )


def as_columns(table: Any, owner: str) -> dict[str, Any]:
    """Return a table as a mapping of column name to values.

    Raises
    ------
    ModelError
        If it is not a table.
    """
    if isinstance(table, Mapping):
        columns = dict(table)
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):
        columns = {str(c): table[c] for c in table.columns}
    elif isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) for row in table):
        keys = dict.fromkeys(key for row in table for key in row)
        columns = {str(key): [row.get(key) for row in table] for key in keys}
    else:
        raise ModelError(
            f"a {type(table).__name__} is not a table",
            component=owner,
            fix="a data frame, a mapping of columns, or a list of row mappings",
        )
    for key, values in columns.items():
        if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
            raise ModelError("is not a column of values", component=owner, field=str(key), fix="a list or an array")
    return columns


def _length(table: Any) -> int:
    return len(table) if hasattr(table, "__len__") else 0


def _plain(values: Any) -> Any:
    """Return a column as a numpy array, or as a list in which every empty cell is None."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "US":
            return values.astype(object)
        if values.dtype != object or (values.ndim == 1 and set(map(type, values.tolist())) <= {str}):
            return values
    return [None if v is None or _is_blank(v) else v for v in values]


def _is_blank(value: Any) -> bool:
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


def _cleaned(kind: type[Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    known = specs(kind)
    owner = "components" if kind is Component else "dependencies"
    cleaned: dict[str, Any] = {}
    for name, values in columns.items():
        spec = known.get(str(name))
        column = _plain(values)
        if spec is None:
            raise ModelError(
                f"unknown column {name!r}.{suggestion(str(name), known)}",
                component=owner,
                field=str(name),
                fix=f"one of {', '.join(k for k in known if k != 'provenance')}",
            )
        if isinstance(column, np.ndarray) and column.dtype.kind == "f" and spec.form not in ("number", "count"):
            column = [None if v != v else v for v in column.tolist()]  # a frame's way to write an empty text column
        if isinstance(column, list):
            _require_filled(column, not spec.required and (spec.optional or spec.default is None), owner, spec.name)
            if spec.form in ("number", "count"):
                wrong = next((i for i, v in enumerate(column) if isinstance(v, (str, bytes, bool))), None)
                if wrong is not None:
                    raise ModelError(
                        f"row {wrong} is {column[wrong]!r}, not a number", component=owner, field=spec.name
                    )
        cleaned[spec.name] = column
    return cleaned


def _require_filled(column: Sequence[Any], optional: bool, owner: str, field: str) -> None:
    if optional:
        return
    empty = next((i for i, v in enumerate(column) if v is None), None)
    if empty is not None:
        raise ModelError(f"row {empty} is empty", component=owner, field=field, fix="a value in every row")


def _origins(provenance: Mapping[str, Provenance | str] | None) -> dict[str, Provenance]:
    return {k: v if isinstance(v, Provenance) else Provenance(str(v)) for k, v in (provenance or {}).items()}


def _numbers(values: Any, n: int, owner: str, field: str) -> NDArray[np.int64] | None:
    """Return a column of row numbers, or None if it holds names."""
    column = _plain(values)
    if isinstance(column, list) and column and all(isinstance(v, int) and not isinstance(v, bool) for v in column):
        column = np.array(column, np.int64)
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "iu":
        return None
    outside = np.flatnonzero((column < 0) | (column >= n))
    if outside.size:
        raise ModelError(
            f"row {outside[0]} is {column[outside[0]]}, outside the {n} components",
            component=owner,
            field=field,
            fix=f"a row number from 0 to {n - 1}",
        )
    return column.astype(np.int64)


def _loads(loads: Any, names: NDArray[np.object_]) -> list[Load]:
    if isinstance(loads, (list, tuple)) and all(isinstance(item, Load) for item in loads):
        return list(loads)
    columns = as_columns(loads, "loads")
    if "entry" in columns:
        numbers = _numbers(columns["entry"], len(names), "loads", "entry")
        columns["entry"] = columns["entry"] if numbers is None else names[numbers]
    sizes = {len(v) for v in columns.values()}
    if len(sizes) > 1:
        raise ModelError("its columns differ in length", component="loads", fix="columns of equal length")
    lists: dict[str, list[Any]] = {
        k: [None if _is_blank(v) else v for v in list(_plain(values))] for k, values in columns.items()
    }
    return [Load(**{k: v[i] for k, v in lists.items() if v[i] is not None}) for i in range(sizes.pop() if sizes else 0)]


def _cross_check(stations: Columns[Component]) -> None:
    """Check what ties several columns together, as a single Component does for itself."""
    if "cpu_s" in stations.data:
        _refuse(
            stations,
            stations.column("cpu_s") > stations.column("service_time_s") * (1 + 1e-9),
            "cpu_s",
            "the CPU time does not fit into service_time_s",
        )
    if "failure_limit" in stations.data or "elastic_limit" in stations.data:
        below = stations.column("failure_limit") < stations.column("elastic_limit")
        _refuse(stations, below, "failure_limit", "is below elastic_limit")
    if "law" in stations.data:
        law = stations.column("law")
        blank = (
            np.array([c is None for c in stations.column("curve")], np.bool_) if (law == "tabulated").any() else False
        )
        _refuse(stations, (law == "tabulated") & blank, "curve", "law 'tabulated' needs a curve")
        _refuse(stations, (law == "usl") & np.isnan(stations.column("usl_sigma")), "usl_sigma", "law 'usl' needs it")
        _refuse(
            stations,
            (law == "bounded") & (stations.column("queue_capacity") < 0),
            "queue_capacity",
            "law 'bounded' needs it",
        )


def _refuse(stations: Columns[Component], wrong: Any, field: str, message: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise ModelError(message, component=str(stations.column("name")[rows[0]]), field=field)
