"""Variables of compose files: ``${X:-default}`` from defaults and a given file, never from the process environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fea_arch.errors import ModelError
from fea_arch.sources.loading import read_text

__all__ = ["Variables", "read_variables"]

_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.\-]*)\s*(?:=\s*(.*?))?\s*$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEPTH, _LONGEST = 20, 100_000


@dataclass
class Variables:
    """Values by name, and the names that were asked for in vain."""

    values: Mapping[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def resolve(self, text: str, depth: int = 0) -> str:
        """Return the text with its variables written out; unknown ones become empty and are remembered.

        Examples
        --------
        >>> Variables({"PORT": "80"}).resolve("web:${PORT}/${PATH_:-index} $$5")
        'web:80/index $5'
        """
        if "$" not in text or depth > _DEPTH:
            return text
        out, i = [], 0
        while i < len(text):
            c = text[i]
            if c != "$":
                end = text.find("$", i)
                end = len(text) if end < 0 else end
                out.append(text[i:end])
                i = end
            elif text[i : i + 2] == "$$":
                out.append("$")
                i += 2
            elif text[i : i + 2] == "${":
                end = _closing(text, i + 2)
                if end < 0:
                    out.append(text[i:])
                    break
                out.append(self._braced(text[i + 2 : end], depth))
                i = end + 1
            else:
                match = _NAME.match(text, i + 1)
                out.append(self._value(match.group(), depth) if match else "$")
                i = match.end() if match else i + 1
            if sum(map(len, out)) > _LONGEST:
                raise ModelError("grows beyond 100,000 characters through its variables", field="environment")
        return "".join(out)

    def _value(self, name: str, depth: int) -> str:
        if name in self.values:
            return self.values[name]
        self.missing.add(name)
        return ""

    def _braced(self, body: str, depth: int) -> str:
        match = _NAME.match(body)
        if match is None:
            return ""
        name, rest = match.group(), body[match.end() :]
        strict = rest[:1] == ":"
        operator, word = rest[strict : strict + 1], rest[strict + 1 :]
        given = name in self.values and (self.values[name] != "" or not strict)
        if operator == "-":
            return self.values[name] if given else self.resolve(word, depth + 1)
        if operator == "+":
            return self.resolve(word, depth + 1) if given else ""
        return self._value(name, depth)


def _closing(text: str, start: int) -> int:
    depth = 1
    for i in range(start, min(len(text), start + _LONGEST)):
        if text[i] == "}":
            depth -= 1
            if not depth:
                return i
        elif text[i] == "{" and text[i - 1] == "$":
            depth += 1
    return -1


def read_variables(path: str | Path) -> dict[str, str]:
    """Read a file of ``NAME=value`` lines; values may use names that stand above.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to str

    Raises
    ------
    ModelError
        With the line that is not of this form.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(read_text(path, max_bytes=2**22).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ModelError(
                "is not NAME=value", path=str(path), line=number, fix="one variable a line, # for comments"
            )
        name, raw = match.group(1), match.group(2)
        if raw is None:
            continue
        if raw[:1] == "'" and raw.find("'", 1) > 0:
            values[name] = raw[1 : raw.find("'", 1)]
            continue
        if raw[:1] == '"' and raw.find('"', 1) > 0:
            raw = raw[1 : raw.find('"', 1)]
        else:
            raw = re.split(r"\s+#", raw, maxsplit=1)[0]
        values[name] = Variables(values).resolve(raw)
    return values
