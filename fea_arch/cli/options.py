"""Options that several commands share, and how they turn into an architecture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fea_arch.errors import ModelError, suggestion

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.architecture.fields import FieldSpec

__all__ = [
    "DEFAULT_OUT",
    "Input",
    "fail_under_option",
    "input_options",
    "json_option",
    "load_factor_option",
    "out_option",
]

F = TypeVar("F", bound=Callable[..., Any])

#: Folder of the report files when ``--out`` names none.
DEFAULT_OUT = "data/fea_results"


class Number(click.ParamType[float]):
    """A finite number within bounds; NaN and infinities are usage errors."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number or fail with what would be accepted."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not math.isfinite(number) or not self.low <= number <= self.high:
            upper = "" if math.isinf(self.high) else f" and at most {self.high:g}"
            self.fail(f"{value!r} is not a finite number of at least {self.low:g}{upper}", param, ctx)
        return number


@dataclass(frozen=True)
class Input:
    """What to analyse: a file or the bundled platform, with what-if changes."""

    path: str | None
    changes: tuple[str, ...]
    gone: tuple[str, ...]
    scale: float
    case: str | None

    def load(self) -> Architecture:
        """Read the description and apply the changes.

        Raises
        ------
        ModelError
            The file cannot be read, or a change names something unknown.
        """
        import fea_arch

        return self.changed(fea_arch.load_sample("runbook") if self.path is None else fea_arch.read(Path(self.path)))

    def changed(self, arch: Architecture) -> Architecture:
        """Apply the what-if changes to an architecture."""
        for change in self.changes:
            arch = _changed(arch, change)
        if self.gone:
            arch = arch.without(*self.gone)
        if self.case is not None:
            arch = arch.case(self.case)
        return arch if self.scale == 1.0 else arch.scaled(self.scale)

    @property
    def label(self) -> str:
        """What was read, for messages and logs."""
        return self.path or "runbook (bundled)"


def input_options(command: F) -> F:
    """Add ``ARCH`` and the what-if options; the command receives one :class:`Input` as ``given``."""
    from functools import wraps

    @wraps(command)
    def run(
        *,
        arch: str | None,
        changes: tuple[str, ...],
        gone: tuple[str, ...],
        scale: float,
        case: str | None,
        **rest: Any,
    ) -> Any:
        return command(given=Input(arch, changes, gone, scale, case), **rest)

    path = click.Path(exists=True, dir_okay=True, readable=True)
    for decorate in (
        click.option("--case", metavar="NAME", help="Use a named load case of the description, for instance high."),
        click.option("--scale", type=Number(0.0), default=1.0, help="Multiply all loads.  [default: 1]"),
        click.option("--without", "gone", multiple=True, metavar="NAME", help="Take a component or a->b away."),
        click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="NAME.FIELD=VALUE",
            help='Change a number: orders.servers=16, "a->b".timeout_s="2 s".',
        ),
        click.argument("arch", required=False, type=path),
    ):
        run = decorate(run)
    return run  # type: ignore[return-value]


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(command)


def out_option(command: F) -> F:
    """Add ``--out [DIR]``."""
    return click.option(
        "--out",
        is_flag=False,
        flag_value=DEFAULT_OUT,
        type=click.Path(file_okay=False),
        metavar="[DIR]",
        help=f"Write the report file to DIR (without DIR: {DEFAULT_OUT}) and a line to logs/fea-validation/.",
    )(command)


def load_factor_option(command: F) -> F:
    """Add ``--load-factor``."""
    return click.option(
        "--load-factor", type=Number(0.0), default=1.0, help="Multiple of the design load.  [default: 1]"
    )(command)


def fail_under_option(command: F) -> F:
    """Add ``--fail-under``."""
    return click.option(
        "--fail-under",
        type=Number(0.0, 100.0),
        metavar="SCORE",
        help="Exit with 1 if the score is below SCORE (0 to 100).",
    )(command)


def _changed(arch: Architecture, change: str) -> Architecture:
    from fea_arch.architecture import Component, Dependency, Host, Objective
    from fea_arch.architecture.fields import specs

    place, equals, value = change.partition("=") if "->" not in change else _split_dependency(change)
    name, dot, field = place.rpartition(".")
    name = name.strip().strip('"')
    field = field.strip()
    if not (equals and dot and name and field):
        raise ModelError(
            f"{change!r} is not a change", field="--set", fix="NAME.FIELD=VALUE, for instance orders.servers=16"
        )
    kind: type
    if name == "objective" and name not in arch:
        kind = Objective
    elif "->" in name and name not in arch:
        kind = Dependency
    elif name not in arch and any(h.name == name for h in arch.hosts):
        kind = Host
    else:
        kind = Component
        arch.number(name)
    table = specs(kind)
    if field not in table:
        raise ModelError(
            f"{kind.__name__} has no field {field!r}.{suggestion(field, table)}", component=name, field=field
        )
    parsed = _parsed(table[field], value.strip(), name)
    if kind is Objective:
        return replace(arch, objective=replace(arch.objective, **{field: parsed}))
    return arch.replaced(name, **{field: parsed})


def _split_dependency(change: str) -> tuple[str, str, str]:
    head, _, tail = change.partition("->")
    target, equals, value = tail.partition("=")
    return f"{head}->{target}", equals, value


def _parsed(spec: FieldSpec, text: str, name: str) -> Any:
    from fea_arch.architecture.units import parse_bytes, parse_rate, parse_seconds

    if text.lower() in ("none", "null", "") and spec.optional:
        return None
    if spec.form == "part":
        raise ModelError(
            "cannot be changed from the command line", component=name, field=spec.name, fix="edit the document"
        )
    if spec.form == "flag":
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ModelError(f"is {text!r}", component=name, field=spec.name, fix="true or false")
        return words[text.lower()]
    if spec.form not in ("number", "count"):
        return text
    try:
        parse = {"s": parse_seconds, "B": parse_bytes, "1/s": parse_rate}.get(spec.unit, float)
        return parse(text)
    except ValueError as error:
        fix = error.fix if isinstance(error, ModelError) else "a number"
        raise ModelError(f"is {text!r}", component=name, field=spec.name, fix=fix) from error
