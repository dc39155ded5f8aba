"""Building blocks of a report: a paragraph is a string, a table is a :class:`Table`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Block", "Table", "fitted", "plain_lines", "shown"]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Parameters
    ----------
    headers : sequence of str
    rows : sequence of sequences of str
    title : str
    numeric : sequence of int
        Columns that are aligned to the right.
    styles : mapping
        Style of a cell by its text, for instance ``{"failing": "bold red"}``; plain output ignores it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numeric: Sequence[int] = ()
    styles: Mapping[str, str] = field(default_factory=dict)

    def right(self) -> list[bool]:
        """Return for each column whether it is aligned to the right."""
        return [i in self.numeric for i in range(len(self.headers))]

    def style(self, cell: str) -> str:
        """Return the style of a cell."""
        return self.styles.get(cell, "")


Block: TypeAlias = str | Table


def shown(text: str) -> str:
    """Return a text from outside with control characters made visible.

    Examples
    --------
    >>> shown("orders\\x1b[31m")
    'orders�[31m'
    """
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * max(width - _width(text), 0)
    return space + text if right else text + space


def fitted(table: Table, room: int, gap: int = 2) -> list[int]:
    """Return the width of each column of a table that fits into ``room`` characters.

    Names and numbers keep their width; text is broken between words. What has no room is left out from the right, so
    the list may be shorter than the headers. A name takes half of the room at most.

    Examples
    --------
    >>> table = Table(("component", "in flight", "governed by"), [("gateway", "0.04", "its own capacity")], "", (1,))
    >>> fitted(table, 60), fitted(table, 34), fitted(table, 24)
    ([9, 9, 16], [9, 7, 14], [9, 9])
    """
    natural, least = [], []
    for k, (column, right) in enumerate(zip(zip(table.headers, *table.rows), table.right())):
        words = [word for text in (column[:1] if right or k == 0 else column) for word in text.split()]
        cells = column[1:] if right or k == 0 else ()
        natural.append(max(map(_width, column)))
        least.append(max(map(_width, (*words, *cells)), default=0))
    least[0] = min(least[0], max(room // 2, 1))
    natural[0] = min(natural[0], max(room // 2, least[0]))
    kept = len(least)
    while kept > 1 and sum(least[:kept]) + gap * (kept - 1) > room:
        kept -= 1
    widths, spare = least[:kept], room - sum(least[:kept]) - gap * (kept - 1)
    while spare > 0 and widths != natural[:kept]:  # a character at a time where most is missing
        k = max(range(kept), key=lambda i: natural[i] - widths[i])
        widths[k], spare = widths[k] + 1, spare - 1
    return widths


def plain_lines(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the lines of a report as plain text."""
    for block in blocks:
        if not isinstance(block, Table):
            yield from block.split("\n")
            continue
        if block.title:
            yield block.title
        widths = [max(map(_width, column)) for column in zip(block.headers, *block.rows)]
        for row in (block.headers, *block.rows):
            cells = (_padded(c, w, r) for c, w, r in zip(row, widths, block.right()))
            yield "  ".join(cells).rstrip()
