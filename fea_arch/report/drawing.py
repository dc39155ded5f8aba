"""The architecture as inline SVG: the layout of the plots, every component a link with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fea_arch.plotting.view import View, view
from fea_arch.report.blocks import shown
from fea_arch.report.quantities import bytes_text, number_text, share_text, time_text

if TYPE_CHECKING:
    from fea_arch.report.overview import Overview

__all__ = ["Drawing", "Link", "Mark", "drawing"]

Array = NDArray[np.float64]

#: Pixels per character and per row.
WIDE, HIGH = 7.0, 24.0
#: Mean width of a character of a label [px].
CHARACTER = 6.4


@dataclass(frozen=True)
class Mark:
    """One node: position, radius, style class, text, details and the row of the table it leads to."""

    x: float
    y: float
    radius: float
    style: str
    label: str
    details: str
    row: str
    entry: bool
    down: bool

    @property
    def text_x(self) -> float:
        """Where the label begins [px]."""
        return round(self.x + self.radius + (8 if self.entry else 5), 1)

    @property
    def text_width(self) -> float:
        """Width of the strip of paper behind the label, on which calls do not strike it through [px]."""
        return round(CHARACTER * len(self.label) + 4, 1)


@dataclass(frozen=True)
class Link:
    """One call: path, width, dash style and tooltip."""

    path: str
    width: float
    style: str
    details: str


@dataclass(frozen=True)
class Drawing:
    """A picture ready for the template [px]."""

    width: float
    height: float
    marks: list[Mark]
    links: list[Link]
    note: str


def drawing(o: Overview) -> Drawing:
    """Return the picture of an overview.

    Examples
    --------
    >>> import fea_arch as fa
    >>> from fea_arch.report.overview import overview
    >>> len(drawing(overview(fa.load_sample("shop"), quick=True)).marks)
    5
    """
    found = view(o.arch, o.result)
    x, y = 14.0 + WIDE * found.layout.x, HIGH * (found.layout.y + 1.0)
    radius = _radii(found.memory_bytes)
    marks = [
        Mark(
            round(float(x[i]), 1), round(float(y[i]), 1), round(float(radius[i]), 1), _style(found, i),
            shown(found.texts[i]), _details(o, found, i), _row(o, found, i), bool(found.entry[i]),
            found.state[i] == "down",
        )
        for i in range(len(found.labels))
    ]
    return Drawing(
        round(WIDE * (found.layout.width + 6.0), 1), round(HIGH * (found.layout.height + 1.2), 1), marks,
        _links(found, x, y, radius), found.note.replace("\n", " "),
    )


def _radii(memory: Array) -> Array:
    top = np.nanmax(memory) if np.isfinite(memory).any() else 0.0
    if not top > 0:
        return np.full(memory.size, 5.0)
    return np.asarray(4.0 + 6.0 * np.sqrt(np.where(np.isfinite(memory), memory, 0.0) / top))


def _style(found: View, i: int) -> str:
    state, rho = found.state[i], found.stress[i]
    if state != "elastic":
        return state
    return f"elastic{min(int(rho / 0.7 * 4), 3)}"


def _row(o: Overview, found: View, i: int) -> str:
    """Return the anchor of the table row of the component (of a group: of its first member in the label)."""
    members = found.members[i]
    lead = members[0]
    if len(members) > 1:
        name = found.labels[i].rsplit(" + ", 1)[0]
        lead = next((m for m in members if m.startswith(name.rstrip("…"))), members[0])
    return f"c{o.arch.index[lead]}"


def _details(o: Overview, found: View, i: int) -> str:
    members = found.members[i]
    if len(members) > 1:
        first = ", ".join(shown(m) for m in members[:8])
        more = f" and {len(members) - 8} more" if len(members) > 8 else ""
        return f"{len(members)} components: {first}{more}. Largest utilisation {share_text(found.stress[i])}."
    name = members[0]
    component = o.arch[name]
    if not component.available:
        return f"{shown(name)} ({component.kind}): configured, not available."
    head = f"{shown(name)} ({component.kind})"
    if o.result is None:
        return f"{head}: service time {time_text(component.service_time_s)}."
    row = o.result[name]
    return (
        f"{head}: {row['state']}, utilisation {share_text(row['utilisation'])}, "
        f"{number_text(row['throughput_per_s'])} requests/s, response {time_text(row['response_s'])}, "
        f"in flight {number_text(row['in_flight'])}, memory {bytes_text(row['memory_bytes'])}, "
        f"safety factor {number_text(row['safety_factor'])} (governed by {row['governs'] or 'nothing'})."
    )


def _links(found: View, x: Array, y: Array, radius: Array) -> list[Link]:
    top = float(found.rate_per_s.max(initial=0.0))
    links = []
    for k, (a, b) in enumerate(zip(found.source.tolist(), found.target.tolist())):
        share = found.rate_per_s[k] / top if top > 0 else 0.0
        xa, ya, xb, yb = float(x[a]), float(y[a]), float(x[b]), float(y[b])
        if a == b:
            path = f"M{xa:.1f} {ya:.1f}c-22 -26 22 -26 0 0"
        elif abs(xb - xa) < 3 * WIDE:
            bend = max(0.4 * abs(yb - ya), 24.0)
            path = f"M{xa:.1f} {ya:.1f}C{xa - bend:.1f} {ya:.1f} {xb - bend:.1f} {yb:.1f} {xb:.1f} {yb:.1f}"
        else:
            label = float(radius[a]) + (12 if found.entry[a] else 9) + CHARACTER * len(found.texts[a])
            out = min(xa + label, 0.1 * xa + 0.9 * xb) if xb > xa else xa
            tip = xb - float(np.sign(xb - xa)) * (float(radius[b]) + (6 if found.entry[b] else 3))
            bend = max(0.45 * abs(tip - out), 26.0) * float(np.sign(xb - xa))
            path = f"M{out:.1f} {ya:.1f}C{out + bend:.1f} {ya:.1f} {tip - bend:.1f} {yb:.1f} {tip:.1f} {yb:.1f}"
        style = "back" if found.layout.backward[k] else "event" if found.events[k] else "call"
        details = f"{shown(found.labels[a])} to {shown(found.labels[b])}: {number_text(found.rate_per_s[k])} calls/s"
        links.append(Link(path, round(1.0 + 3.5 * share**0.5, 2), style, details))
    return links
