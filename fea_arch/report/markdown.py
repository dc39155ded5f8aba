"""The report as Markdown, short enough for a comment on a change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fea_arch.report import wording
from fea_arch.report.blocks import Table, shown

if TYPE_CHECKING:
    from fea_arch.report.overview import Overview

__all__ = ["markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$&])")
#: Signs that would address people or link issues; a zero-width space behind them breaks the reference.
_REFERENCE = re.compile(r"([@#])(?=\w)")
#: Components in the table of the comment.
ROWS = 10


def quoted(text: str) -> str:
    """Return a text from outside that Markdown and HTML show as it is.

    Examples
    --------
    >>> print(quoted("a|b <i>"))
    a\\|b \\<i\\>
    """
    return _REFERENCE.sub("\\1\N{ZERO WIDTH SPACE}", _SPECIAL.sub(r"\\\1", shown(text.replace("\n", " "))))


def _table(table: Table, limit: int | None = None) -> list[str]:
    if not table.rows:
        return []
    rule = ["---:" if right else "---" for right in table.right()]
    rows = table.rows if limit is None else table.rows[:limit]
    lines = [table.headers, *([quoted(c) for c in row] for row in rows)]
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    return [text[0], "| " + " | ".join(rule) + " |", *text[1:], ""]


def markdown(o: Overview) -> str:
    """Return the report as GitHub-flavoured Markdown.

    Parameters
    ----------
    o : Overview

    Examples
    --------
    >>> import fea_arch as fa
    >>> from fea_arch.report.overview import overview
    >>> markdown(overview(fa.load_sample("shop"), quick=True)).splitlines()[0]
    '## shop: Stands and meets every condition.'
    """
    mark = {"good": "", "warning": "(warning) ", "bad": "(critical) "}[o.grade]
    mark = "(fails) " if o.collapse is not None else mark
    lines = [f"## {quoted(o.arch.name)}: {mark}{quoted(wording.headline(o))}", ""]
    lines += [f"- {quoted(line)}" for line in wording.verdict(o)]
    if "score" in o.further:
        score = o.further["score"]
        lines.append(f"- Score {score.value:.1f} of 100, {score.label}.")
    if "fracture" in o.further and o.further["fracture"].limiting:
        found = o.further["fracture"]
        lines.append(f"- It gives way at {found.collapse_factor:.3g}x the design load, by {quoted(found.limiting)}.")
    lines += [f"- {quoted(wording.limits(o))}", f"- {quoted(wording.basis(o))}", ""]
    for title, table, limit in (
        ("Conditions", wording.condition_table(o), None),
        ("What breaks first", wording.stress_table(o), 5),
        ("What to do", wording.step_table(o), None),
        ("Most utilised components", wording.component_table(o), ROWS),
    ):
        rows = _table(table, limit)
        if rows:
            lines += [f"### {title}", "", *rows]
    findings = [f for f in o.arch.check() if f.level != "info"]
    if findings:
        lines += ["### Findings", "", *(f"- {quoted(str(f))}" for f in findings[:10]), ""]
    lines.append(f"Load factor {o.load_factor:g}; {' '.join(quoted(m) for m in wording.methods(o)[:2])}")
    return "\n".join(lines) + "\n"
