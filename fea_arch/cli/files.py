"""Report files and the validation log."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fea_arch.errors import ModelError

__all__ = ["LOG_FILE", "as_json", "write_report"]

#: The log, relative to the working directory.
LOG_FILE = Path("logs") / "fea-validation" / "fea-validation.log"


def as_json(document: Mapping[str, Any]) -> str:
    """Return a document as strict JSON text (no NaN, no Infinity), one line feed at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_report(out: str, stem: str, document: Mapping[str, Any], message: str) -> Path:
    """Write ``<stem>_<unix time>.json`` and one line of the log.

    Parameters
    ----------
    out : str
        Folder; it is created.
    stem : str
        First part of the file name, for instance ``static_analysis``.
    document : mapping
        Plain data.
    message : str
        What the log says about it.

    Returns
    -------
    Path
        The report file; an existing one is never overwritten.

    Raises
    ------
    ModelError
        The folder or the log cannot be written.
    """
    now = int(time.time())
    content = as_json(document)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = _written(folder, f"{stem}_{now}", content)
        LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        with LOG_FILE.open("a", encoding="utf-8") as log:
            log.write(f"{stamp} {stem} {' '.join(message.split())} -> {target}\n")
    except OSError as error:
        place = str(error.filename or folder)
        raise ModelError(
            f"cannot be written: {error.strerror or error}", path=place, field="--out", fix="a folder that is writable"
        ) from error
    return target


def _written(folder: Path, stem: str, content: str) -> Path:
    """Write beside and link into place, so that a reader never sees half a file and no report is lost."""
    handle, name = tempfile.mkstemp(prefix=f".{stem}", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(name, 0o644)
        for number in range(1000):
            target = folder / (f"{stem}.json" if number == 0 else f"{stem}_{number}.json")
            try:
                os.link(name, target)
                return target
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links
                if not target.exists():
                    Path(name).replace(target)
                    return target
        raise OSError(None, "too many reports of the same second", str(folder))
    finally:
        Path(name).unlink(missing_ok=True)
