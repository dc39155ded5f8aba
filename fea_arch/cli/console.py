"""Printing: text and tables on stdout, progress on stderr.

rich is loaded only where somebody looks: on a terminal. Everywhere else the output is plain and stable.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fea_arch.report.blocks import Table, fitted, plain_lines

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
        if not block.headers:
            continue
        table = RichTable(title=Text(block.title) if block.title else None, title_justify="left", header_style="bold")
        # lines between the columns where there is room for them, else all room for the text
        widths = fitted(block, console.width - 4, gap=3)
        if len(widths) < len(block.headers) or widths != fitted(block, 10_000, gap=3):
            table.box, table.pad_edge, table.padding = None, False, (0, 2, 0, 0)
            widths = fitted(block, console.width)
        for header, right, width in zip(block.headers, block.right(), widths):
            table.add_column(Text(header), justify="right" if right else "left", overflow="fold", width=width)
        for row in block.rows:
            table.add_row(*(Text(cell, style=block.style(cell)) for cell in row[: len(widths)]))
        console.print(table)
        if len(widths) < len(block.headers):
            left = ", ".join(block.headers[len(widths) :])
            console.print(Text(f"Too narrow for: {left}.", style="dim"))


class _Line:
    """One line on stderr that is rewritten: what is done, how far it is, how long it has taken; silent elsewhere.

    A thread rewrites it twice a second, so that a long step without news is seen to be alive.
    """

    #: Seconds before anything is shown, and between two looks at the clock.
    PATIENCE, PERIOD = 0.5, 0.5
    BAR = 24

    def __init__(self) -> None:
        self.on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.text, self.share = "", math.nan
        self.width = 0
        self.begin = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock: threading.Thread | None = None

    def bar(self, text: str, part: float) -> None:
        """Show what is being done now and a bar of the part of it that is done, 0 to 1."""
        self.say(text, part)

    def say(self, text: str, share: float = math.nan) -> None:
        """Show what is being done now, and with ``share`` (0 to 1) a bar of how much of it is done."""
        if not self.on:
            return
        self.text, self.share = text, share
        if self._clock is None:
            self._clock = threading.Thread(target=self._tick, daemon=True)
            self._clock.start()
        elif time.monotonic() - self.begin > self.PATIENCE:
            self._draw()

    def _tick(self) -> None:
        while not self._ended.wait(self.PERIOD):
            self._draw()

    def _draw(self) -> None:
        import shutil  # dear, and only for who looks

        with self._lock:
            if self._ended.is_set():
                return
            line = f"{drawn_bar(self.share, self.BAR)}{self.text}, {time.monotonic() - self.begin:.0f} s"
            line = line[: max(shutil.get_terminal_size().columns - 1, 20)]
            sys.stderr.write("\r" + line.ljust(self.width))
            sys.stderr.flush()
            self.width = max(self.width, len(line))

    def clear(self) -> None:
        """Remove the line."""
        self._ended.set()
        with self._lock:
            if self.on and self.width:
                sys.stderr.write("\r" + " " * self.width + "\r")
                sys.stderr.flush()


def drawn_bar(share: float, width: int) -> str:
    """Return a bar of ``width`` characters and the percentage; nothing where the share is unknown.

    Examples
    --------
    >>> drawn_bar(0.5, 8)
    '[####----]  50 % '
    """
    if math.isnan(share):
        return ""
    part = min(max(share, 0.0), 1.0)
    full = round(part * width)
    return f"[{'#' * full}{'-' * (width - full)}] {100 * part:3.0f} % "


@contextmanager
def progress() -> Iterator[_Line]:
    """Show progress on stderr while the block runs, on a terminal only."""
    line = _Line()
    try:
        yield line
    finally:
        line.clear()
