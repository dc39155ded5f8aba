"""Execute notebooks without keeping their output in them: python notebooks/run.py [NAME.ipynb ...].

Every notebook asserts its key numbers, so a failure is a wrong answer or an error. The executed notebooks are written
to ``docs/notebooks`` (``--keep DIR`` names another folder), where the documentation shows them with their output. One
that was executed before with the same cells and the same library is not executed again, unless ``--force`` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
    client = NotebookClient(
        notebook, timeout=int(timeout_s), kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    # a backend that is set for the shell would keep pictures out of the output
    client.execute(env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"})
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
    found = hashlib.sha256(Path(__file__).read_bytes())
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


def execute_missing(books: list[Path], keep: Path, jobs: int, *, force: bool = False) -> list[str]:
    """Execute what is not up to date, several at a time, each in a process of its own.

    Parameters
    ----------
    books : list of Path
    keep : Path
        Folder of the executed notebooks.
    jobs : int
        Notebooks at the same time.
    force : bool
        Execute what is up to date, too.

    Returns
    -------
    list of str
        What failed: the end of its error output.
    """
    due = [book for book in books if force or not up_to_date(book, keep)]
    for book in books:
        if book not in due:
            print(f"{book.name}: executed before with these cells and this library", flush=True)

    def one(book: Path) -> str:
        begin = time.perf_counter()
        command = [sys.executable, str(FOLDER / "run.py"), "--alone", "--keep", str(keep), str(book)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begin
        print(f"{book.name}: {'failed' if done.returncode else 'executed'} in {seconds:.1f} s", flush=True)
        return f"{book.name}\n{done.stderr[-4000:]}" if done.returncode else ""

    if not due:
        return []
    with ThreadPoolExecutor(max(min(jobs, len(due)), 1)) as pool:
        return [problem for problem in pool.map(one, due) if problem]


def main() -> int:
    """Execute the notebooks named, or all; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", type=Path)
    parser.add_argument("--keep", type=Path, default=EXECUTED)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    books = [p.resolve() for p in given.names] or sorted(FOLDER.glob("*.ipynb"))
    if given.alone:
        for book in books:
            execute_and_keep(book, given.keep)
        return 0
    problems = execute_missing(books, given.keep, given.jobs, force=given.force)
    print("\n".join(problems), file=sys.stderr, end="")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
