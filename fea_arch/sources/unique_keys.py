"""Documents in which a name may stand only once: a second entry would silently replace the first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fea_arch.errors import ModelError
from fea_arch.sources.loading import parse_json, parse_yaml

__all__ = ["parse_unique_json", "parse_unique_yaml"]


def parse_unique_json(content: str, path: str | Path) -> Any:
    """Return parsed JSON whose objects name every key once.

    Raises
    ------
    ModelError
        As :func:`fea_arch.sources.loading.parse_json`; also for a key that stands twice in one object.
    """
    document = parse_json(content, path)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            hits = list(re.finditer(re.escape(json.dumps(twice)) + r"\s*:", content))
            line = content.count("\n", 0, hits[1].start()) + 1 if len(hits) > 1 else None
            raise ModelError(
                f"{twice[:80]!r} stands twice in one object", path=str(path), line=line, fix="make the names unique"
            )
        return found

    json.loads(content, object_pairs_hook=once)
    return document


def parse_unique_yaml(content: str, path: str | Path) -> list[Any]:
    """Return the documents of a YAML text whose mappings name every key once.

    Raises
    ------
    ModelError
        As :func:`fea_arch.sources.loading.parse_yaml`; also for a key that stands twice in one mapping.
    """
    documents = parse_yaml(content, path)
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # one entry per open container: the keys of a mapping and whether a key comes next; None for a sequence
    stack: list[list[Any] | None] = []

    def value_ends() -> None:
        if stack and stack[-1] is not None:
            stack[-1][1] = not stack[-1][1]

    events: Any = yaml.parse(content, Loader=loader)
    for event in events:
        kind = type(event).__name__
        if kind == "MappingStartEvent":
            stack.append([set(), True])
        elif kind == "SequenceStartEvent":
            stack.append(None)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            stack.pop()
            value_ends()
        elif kind in ("ScalarEvent", "AliasEvent"):
            top = stack[-1] if stack else None
            if kind == "ScalarEvent" and top is not None and top[1] and event.value != "<<":
                if event.value in top[0]:
                    raise ModelError(
                        f"{event.value[:80]!r} stands twice in one mapping",
                        path=str(path),
                        line=event.start_mark.line + 1,
                        fix="make the names unique",
                    )
                top[0].add(event.value)
            value_ends()
    return documents
