"""JSON as editors write their settings: with comments and trailing commas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fea_arch.sources.unique_keys import parse_unique_json

__all__ = ["parse_relaxed_json"]

_PIECE = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def parse_relaxed_json(content: str, path: str | Path) -> Any:
    """Return parsed JSON, comments and trailing commas taken out; line numbers stay true.

    Raises
    ------
    ModelError
        As :func:`fea_arch.sources.unique_keys.parse_unique_json`.

    Examples
    --------
    >>> parse_relaxed_json('{"a": [1, 2,], // two\\n "b": "//",}', "settings.json")
    {'a': [1, 2], 'b': '//'}
    """

    def blank(match: re.Match[str]) -> str:
        text = match.group()
        return text if text[0] == '"' else re.sub(r"[^\n]", " ", text)

    without = _COMMENT.sub(blank, content)
    return parse_unique_json(_PIECE.sub(blank, without), path)
