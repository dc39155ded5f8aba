"""The native document, YAML or JSON, as :func:`fea_arch.write` writes it."""

from __future__ import annotations

import re
from json import JSONDecodeError
from pathlib import Path

from fea_arch.architecture.container import Architecture
from fea_arch.architecture.document import from_document
from fea_arch.errors import ModelError
from fea_arch.sources.loading import parse_json, parse_yaml, read_text
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source

__all__ = ["SOURCE", "read_native"]

_MARK = re.compile(r"^[\"']?fea_arch[\"']?\s*:", re.MULTILINE)


def read_native(path: str | Path) -> Architecture:
    """Read the native document.

    Parameters
    ----------
    path : str or Path
        YAML or JSON; the content decides.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Every mistake of the document with its place.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "a.yaml"
    ...     _ = file.write_text("{fea_arch: 1, name: a, components: [{name: web, service_time_s: 12 ms}]}")
    ...     read_native(file)["web"].service_time_s
    0.012
    """
    content = read_text(path, max_bytes=512 * 2**20)
    try:
        document = parse_json(content, path) if content.lstrip()[:1] == "{" else None
    except ModelError as error:
        # YAML may be written with braces too; only the standard parser's syntax errors leave that open
        if str(path).endswith(".json") or not isinstance(error.__cause__, JSONDecodeError):
            raise
        document = None
    if document is None:
        documents = parse_yaml(content, path)
        if len(documents) != 1:
            raise ModelError(f"holds {len(documents)} documents", path=str(path), fix="exactly one")
        document = documents[0]
    try:
        return from_document(document, path=str(path))
    except ModelError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"is not a native document: {error}", path=str(path), fix="fea-arch schema") from error


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form in ("object", "array"):
        return 1.0 if look.has("fea_arch") else 0.0
    return 1.0 if _MARK.search(look.text) else 0.0


SOURCE = Source("native", _sniff, read_native, "the native YAML or JSON document")
