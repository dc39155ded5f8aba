"""Printing: text and tables on stdout, progress on stderr.

rich is loaded only where somebody looks: on a terminal. Everywhere else the output is plain and stable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fea_arch.report.blocks import Table, plain_lines

if TYPE_CHECKING:
    from fea_arch.report.blocks import Block

__all__ = ["progress", "show"]


def show(blocks: Iterable[Block]) -> None:
    """Print blocks of a report: rich tables on a terminal, plain columns elsewhere."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        for line in plain_lines(blocks):
            click.echo(line)
        return
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(highlight=False)  # honours NO_COLOR
    for block in blocks:
        if not isinstance(block, Table):
            console.print(Text(block))
            continue
        table = RichTable(title=Text(block.title) if block.title else None, title_justify="left", header_style="bold")
        for header, right in zip(block.headers, block.right()):
            table.add_column(Text(header), justify="right" if right else "left", overflow="fold")
        for row in block.rows:
            table.add_row(*(Text(cell, style=block.style(cell)) for cell in row))
        console.print(table)


class _Line:
    """One line on stderr that is rewritten; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self.on = sys.stderr.isatty()
        self.width = 0

    def say(self, text: str) -> None:
        """Show what is being done now."""
        if self.on:
            sys.stderr.write("\r" + text.ljust(self.width))
            sys.stderr.flush()
            self.width = max(self.width, len(text))

    def bar(self, text: str, part: float) -> None:
        """Show how much of it is done."""
        full = round(24 * min(max(part, 0.0), 1.0))
        self.say(f"{text} [{'#' * full}{'.' * (24 - full)}] {part:4.0%}")

    def clear(self) -> None:
        """Remove the line."""
        if self.on and self.width:
            sys.stderr.write("\r" + " " * self.width + "\r")
            sys.stderr.flush()


@contextmanager
def progress() -> Iterator[_Line]:
    """Show progress on stderr while the block runs, on a terminal only."""
    line = _Line()
    try:
        yield line
    finally:
        line.clear()
