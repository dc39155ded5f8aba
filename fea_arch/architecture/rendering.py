"""Text, HTML and picture of an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fea_arch.architecture.container import Architecture

__all__ = ["HtmlText", "Rendered", "html", "text"]


class HtmlText:
    """Mixin that shows ``repr`` in notebooks: the first line as heading, then the other lines or a table.

    A subclass with a table overrides :meth:`_table`.
    """

    __slots__ = ()

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """Return headings and rows, no headings for no table."""
        return (), ()

    def _repr_html_(self) -> str:
        from html import escape

        head, rows = self._table()
        first, *lines = repr(self).splitlines()
        title = f"<b>{escape(first.strip('<>'))}</b>"
        if not head:
            return f"<div>{'<br>'.join([title, *(escape(line.strip()) for line in lines)])}</div>"
        cells = ["".join(f"<td>{escape(_cell(value))}</td>" for value in row) for row in rows]
        top = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<div>{title}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Rendered:
    """Mixin that shows an architecture as text, as HTML and as a picture."""

    __slots__ = ()

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the architecture and return the matplotlib Axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; default a new figure.
        **options
            ``result`` (a static or simulated answer, for the colours), ``theme`` (``"light"`` or ``"dark"``).
        """
        return import_module("fea_arch.plotting").draw(self, ax=ax, **options)

    def __repr__(self) -> str:
        return text(self)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return html(self)  # type: ignore[arg-type]


def _loads(arch: Architecture) -> str:
    parts = []
    for load in arch.loads[:3]:
        size = f"{load.rate_per_s:g}/s" if load.rate_per_s is not None else f"{load.users} users"
        parts.append(f"{size} at {load.entry}")
    more = f" and {len(arch.loads) - 3} more" if len(arch.loads) > 3 else ""
    return ", ".join(parts) + more if parts else "none"


def text(arch: Architecture) -> str:
    """Return at most eight lines about an architecture."""
    columns = arch.component_columns
    down = int(np.count_nonzero(~columns.column("available")))
    lines = [
        f"<Architecture {arch.name!r}: {len(arch)} components, {arch.graph.n_edges} calls>",
        f"  loads: {_loads(arch)}",
    ]
    if arch.hosts:
        lines.append(f"  hosts: {', '.join(h.name for h in arch.hosts[:5])}{' ...' if len(arch.hosts) > 5 else ''}")
    if arch.objective.latency_s is not None:
        lines.append(f"  objective: {arch.objective.latency_s:g} s at p{100 * arch.objective.quantile:g}")
    if down:
        lines.append(f"  not available: {down}")
    lines.append(f"  measured share: {arch.measured_share():.0%}; {len(arch.notes)} notes")
    return "\n".join(lines)


def html(arch: Architecture, limit: int = 30) -> str:
    """Return an escaped HTML table of the components."""
    from html import escape

    rows = []
    for component in arch.components[:limit]:
        memory = "" if component.memory_bytes is None else f"{component.memory_bytes / 2**20:.0f} MiB"
        origin = ("assumed", "declared", "measured")[
            int(arch.component_columns.take(np.array([arch.index[component.name]])).codes("service_time_s")[0])
        ]
        rows.append(
            f"<tr><td>{escape(component.name)}</td><td>{escape(component.kind)}</td>"
            f"<td>{1e3 * component.service_time_s:.4g} ms</td><td>{escape(origin)}</td>"
            f"<td>{component.replicas} x {component.servers}</td><td>{memory}</td></tr>"
        )
    more = f"<p>... and {len(arch) - limit} more</p>" if len(arch) > limit else ""
    titles = ("component", "kind", "service time", "origin", "replicas x servers", "memory")
    head = "".join(f"<th>{h}</th>" for h in titles)
    return (
        f"<div><b>{escape(arch.name)}</b>: {len(arch)} components, {arch.graph.n_edges} calls, "
        f"loads: {escape(_loads(arch))}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}</div>"
    )
