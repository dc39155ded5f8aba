"""The catalogue of situations: what an architecture is asked to stand, and how much each counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fea_arch.errors import ModelError, suggestion

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["GROUPS", "KINDS", "Catalogue", "Situation", "default_catalogue"]

GROUPS = ("static", "dynamic", "modal", "nonlinear")
KINDS = ("load", "burst", "ramp", "outage", "periodic", "failure", "memory")


@dataclass(frozen=True, slots=True)
class Situation:
    """One line of the catalogue.

    Parameters
    ----------
    name : str
        Unique name.
    group : {"static", "dynamic", "modal", "nonlinear"}
        Sub-score it belongs to.
    kind : str
        ``load``: a constant multiple of the design load. ``burst``: ``factor`` for ``duration_s``. ``ramp``: from
        the design load to ``factor`` in ``duration_s``. ``outage``: the components (all of them by default) lose
        ``lost_share`` of their capacity for ``duration_s``. ``periodic``: the load swings by ``amplitude`` at each
        period that the architecture states. ``failure``: each of the components (all by default) is down alone.
        ``memory``: the share ``lost_share`` of the free memory of every component with a limit is gone.
    weight : float
        Share of the score [1]; all weights sum to 1.
    window_s : float
        Length of the situation [s]; every request offered in it counts.
    factor : float, optional
        Multiple of the design load [1]; None: the largest load case of the architecture, or 2.
    start_s, duration_s : float
        Begin and length of what happens [s].
    lost_share, amplitude : float
        See ``kind`` [1].
    components : tuple of str, optional
        What fails; None: all.
    default_periods_s : tuple of float
        Periods where the architecture states none [s].
    """

    name: str
    group: str
    kind: str
    weight: float
    window_s: float = 60.0
    factor: float | None = None
    start_s: float = 0.0
    duration_s: float = 0.0
    lost_share: float = 0.5
    amplitude: float = 0.5
    components: tuple[str, ...] | None = None
    default_periods_s: tuple[float, ...] = (10.0, 60.0)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ModelError(f"is {self.name!r}", field="situation.name", fix="a text")
        for word, known in (("group", GROUPS), ("kind", KINDS)):
            value = getattr(self, word)
            if value not in known:
                raise ModelError(
                    f"is {value!r}.{suggestion(str(value), known)}",
                    component=self.name, field=word, fix=f"one of {', '.join(known)}",
                )  # fmt: skip
        self._number("weight", 0.0, 1.0)
        self._number("window_s", 1e-9, 1e6)
        self._number("start_s", 0.0, self.window_s)
        self._number("duration_s", 0.0, 1e6)
        self._number("lost_share", 0.0, 1.0)
        self._number("amplitude", 0.0, 1.0)
        if self.factor is not None:
            self._number("factor", 0.0, 1e6)
        if self.kind in ("burst", "ramp", "outage") and not self.duration_s > 0:
            raise ModelError("is missing", component=self.name, field="duration_s", fix="a length above 0 s")
        if self.components is not None:
            object.__setattr__(self, "components", self._names(self.components))
        periods = self.default_periods_s
        if not isinstance(periods, (list, tuple)) or not all(_is_number(p) and 0 < p < 1e6 for p in periods):
            raise ModelError(f"is {periods!r}", component=self.name, field="default_periods_s", fix="times above 0 s")
        object.__setattr__(self, "default_periods_s", tuple(float(p) for p in periods))

    def _number(self, field: str, low: float, high: float) -> None:
        value = getattr(self, field)
        if not _is_number(value) or not low <= value <= high:
            raise ModelError(
                f"is {value!r}", component=self.name, field=field, fix=f"a number between {low:g} and {high:g}"
            )
        object.__setattr__(self, field, float(value))

    def _names(self, names: Any) -> tuple[str, ...]:
        if isinstance(names, str) or not all(isinstance(n, str) and n for n in names) or not names:
            raise ModelError(f"is {names!r}", component=self.name, field="components", fix="a list of component names")
        return tuple(names)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Situations with their weights.

    Parameters
    ----------
    version : str
        Version of the catalogue; scores of different versions are not comparable.
    situations : tuple of Situation
        At least one; the weights sum to 1.
    title : str
        For reports.

    Examples
    --------
    >>> from fea_arch.scoring import default_catalogue
    >>> default_catalogue().version
    '1.0'
    """

    version: str
    situations: tuple[Situation, ...]
    title: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.version, str) or not self.version:
            raise ModelError(f"is {self.version!r}", field="catalogue.version", fix='a text, for instance "1.0"')
        object.__setattr__(self, "situations", tuple(self.situations))
        if not self.situations:
            raise ModelError("is empty", field="catalogue.situations", fix="at least one situation")
        names = [s.name for s in self.situations]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise ModelError("is named twice", component=twice, field="catalogue.situations")
        total = math.fsum(s.weight for s in self.situations)
        if abs(total - 1.0) > 1e-9:
            raise ModelError(
                f"the weights sum to {total:.6g}", field="catalogue.weights", fix="weights that sum to 1"
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], path: str | None = None) -> Catalogue:
        """Build a catalogue from plain data.

        Raises
        ------
        ModelError
            Names the situation, the field and what would be accepted.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("situations"), list):
            raise ModelError(
                "is no catalogue", path=path, field="situations", fix='{"version": "1.0", "situations": [...]}'
            )
        known = {f.name for f in fields(Situation)}
        found = []
        for number, row in enumerate(data["situations"]):
            if not isinstance(row, Mapping):
                raise ModelError(f"situation {number} is {row!r}", path=path, field="situations", fix="an object")
            for name in row:
                if name not in known:
                    raise ModelError(
                        f"unknown field {name!r}.{suggestion(str(name), known)}",
                        path=path, component=str(row.get("name", number)), field=str(name),
                    )  # fmt: skip
            missing = [n for n in ("name", "group", "kind", "weight") if n not in row]
            if missing:
                raise ModelError("is missing", path=path, component=str(row.get("name", number)), field=missing[0])
            found.append(Situation(**row))
        return cls(str(data.get("version", "")), tuple(found), str(data.get("title", "")))

    @classmethod
    def read(cls, path: str | Path) -> Catalogue:
        """Read a catalogue from a JSON file.

        Raises
        ------
        ModelError
            If the file cannot be read, is no JSON, or describes no valid catalogue.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
        except (ValueError, RecursionError) as error:
            raise ModelError(f"is no JSON: {error}", path=str(path), fix="a catalogue as JSON") from error
        return cls.from_dict(data, str(path))

    def check(self, arch: Architecture) -> None:
        """Check that every component that the catalogue names exists.

        Raises
        ------
        ModelError
            Names the situation and the component, with a suggestion.
        """
        for situation in self.situations:
            for name in situation.components or ():
                if name not in arch:
                    raise ModelError(
                        f"names the unknown component {name!r}.{suggestion(name, arch.names)}",
                        component=situation.name, field="components",
                    )  # fmt: skip


@lru_cache(maxsize=1)
def default_catalogue() -> Catalogue:
    """Return the bundled catalogue."""
    return Catalogue.read(Path(__file__).with_name("catalogue.json"))
