"""Execute notebooks without keeping their output in them: python notebooks/run.py [NAME.ipynb ...].

Every notebook asserts its key numbers, so a failure is a wrong answer or an error. The executed notebooks are written
to ``docs/notebooks`` (``--keep DIR`` names another folder), where the documentation shows them with their output. One
that was executed before with the same cells and the same library is not executed again, unless ``--force`` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
#: Where the documentation looks for executed notebooks.
EXECUTED = FOLDER.parent / "docs" / "notebooks"


def execute(path: Path, timeout_s: float = 300.0) -> Any:
    """Execute one notebook in its own kernel and folder and return it with its output.

    Parameters
    ----------
    path : Path
    timeout_s : float
        Longest time of one cell [s].
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=int(timeout_s), kernel_name="python3", resources={
        "metadata": {"path": str(path.parent)}
    }).execute()
    return notebook


def clean(path: Path) -> list[str]:
    """Return what a committed notebook must not hold: outputs and execution counts."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell.id for cell in code if cell.outputs or cell.execution_count is not None]


@lru_cache(maxsize=1)
def library_digest() -> str:
    """Return a digest of every file of the library and of the data that notebooks read."""
    found = hashlib.sha256()
    for folder in (FOLDER.parent / "fea_arch", FOLDER.parent / "tests" / "fixtures"):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            found.update(str(path.relative_to(FOLDER.parent)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def digest(path: Path) -> str:
    """Return what decides whether an executed notebook is still right: its source and the library."""
    return hashlib.sha256(path.read_bytes() + library_digest().encode()).hexdigest()


def up_to_date(path: Path, keep: Path) -> bool:
    """Return whether ``keep`` holds this notebook, executed with this library."""
    import nbformat

    target = keep / path.name
    if not target.exists():
        return False
    kept = nbformat.read(target, as_version=4)
    return bool(kept.metadata.get("fea_arch", {}).get("digest") == digest(path))


def execute_and_keep(path: Path, keep: Path) -> float:
    """Execute one notebook, write it with its output, and return how long it took [s]."""
    import nbformat

    begin = time.perf_counter()
    notebook = execute(path)
    notebook.metadata["fea_arch"] = {"digest": digest(path)}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # time stamps
    keep.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, keep / path.name)
    return time.perf_counter() - begin


def main() -> int:
    """Execute the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", type=Path)
    parser.add_argument("--keep", type=Path, default=EXECUTED)
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args()
    for path in [p.resolve() for p in given.names] or sorted(FOLDER.glob("*.ipynb")):
        if not given.force and up_to_date(path, given.keep):
            print(f"{path.name}: executed before with these cells and this library", flush=True)
        else:
            print(f"{path.name}: {execute_and_keep(path, given.keep):.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
