"""Show the notebooks with their output: execute those that were not executed with this library before."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def runner(folder: Path) -> Any:
    """Return the module that executes notebooks."""
    spec = importlib.util.spec_from_file_location("run_notebooks", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(app: Any, config: Any) -> None:
    """Execute what is missing or out of date, and remove what has no source any more."""
    import os

    from sphinx.errors import ExtensionError

    folder = Path(app.srcdir).parent / "notebooks"
    run = runner(folder)
    keep = Path(app.srcdir) / "notebooks"
    books = sorted(folder.glob("*.ipynb"))
    for stale in set(keep.glob("*.ipynb")) - {keep / book.name for book in books}:
        stale.unlink()
    problems = run.execute_missing(books, keep, min(os.cpu_count() or 1, 4))
    if problems:
        raise ExtensionError("a notebook fails:\n" + "\n".join(problems))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", prepare)
    return {"parallel_read_safe": True}
