"""What kind of document begins here: a cheap look at the first bytes, without parsing the file.

Readers recognise their format by the outline of a JSON document (which keys occur at which place) or by patterns in
the first lines of a text. A truncated head is the normal case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["HEAD_BYTES", "Outline", "outline"]

#: How much of a file (decompressed) is looked at.
HEAD_BYTES = 65536

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|[{}\[\]:,]|[^\s"{}\[\]:,/]+|/', re.DOTALL)
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Outline:
    """The form of the head of a document.

    Attributes
    ----------
    form : {"object", "array", "text", "binary", "empty"}
        ``object`` and ``array`` are JSON, as far as the head tells.
    paths : frozenset of str
        Places of the keys seen, such as ``"data[].spans[].operationName"``, down to six levels.
    text : str
        The decoded head; empty for binary content.
    """

    form: str
    paths: frozenset[str] = field(default_factory=frozenset)
    text: str = ""

    def has(self, *paths: str) -> bool:
        """Return whether all these places occur."""
        return all(p in self.paths for p in paths)

    def any(self, *paths: str) -> bool:
        """Return whether one of these places occurs."""
        return any(p in self.paths for p in paths)


@lru_cache(maxsize=4)  # every source asks about the same head
def outline(head: bytes) -> Outline:
    """Return the outline of the first bytes of a document.

    Examples
    --------
    >>> outline(b'{"data": [{"spans": [').has("data[].spans")
    True
    >>> outline(b'services:\\n  web:\\n').form
    'text'
    """
    if not head.strip():
        return Outline("empty")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        content = head[: len(head) // 2 * 2].decode("utf-16", errors="replace")
    else:
        control = sum(head[:4096].count(c) for c in (0, 1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18))
        if control:
            return Outline("binary")
        content = head.decode("utf-8", errors="replace").lstrip("\ufeff")
    begin = re.sub(r"\A(?:\s+|//[^\n]*\n|/\*.*?\*/)*", "", content, flags=re.DOTALL)[:1]
    if begin not in ("{", "["):
        return Outline("text", text=content)
    return Outline("object" if begin == "{" else "array", _paths(content), content)


def _paths(content: str) -> frozenset[str]:
    found: set[str] = set()
    stack: list[tuple[bool, str]] = []  # (is an object, place of the container)
    place, pending = "", None
    for match in _TOKEN.finditer(content):
        token = match.group()
        first = token[0]
        if first == "/":
            continue
        if first in "{[":
            if stack:
                is_object, base = stack[-1]
                place = (f"{base}.{pending}" if base else str(pending)) if is_object else f"{base}[]"
            # deeper places are not kept: their names would grow with the depth
            stack.append((first == "{", place if 0 < len(stack) <= _MAX_DEPTH else ""))
            pending = None
        elif first in "}]":
            if stack:
                stack.pop()
            if not stack:
                break
        elif first == "," and stack:
            pending = None
        elif first == '"' and stack and stack[-1][0] and pending is None:
            pending = token[1:-1]
            if len(stack) <= _MAX_DEPTH:
                base = stack[-1][1]
                found.add(f"{base}.{pending}" if base else pending)
    return frozenset(found)
