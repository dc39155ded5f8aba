"""Execute notebooks without keeping their output: python notebooks/run.py [NAME.ipynb ...].

Every notebook asserts its key numbers, so a failure is a wrong answer or an error. With ``--keep DIR`` the executed
notebooks are written there, to look at.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


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


def main() -> int:
    """Execute the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", type=Path)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    for path in given.names or sorted(FOLDER.glob("*.ipynb")):
        begin = time.perf_counter()
        notebook = execute(path.resolve())
        print(f"{path.name}: {time.perf_counter() - begin:.1f} s")
        if given.keep:
            import nbformat

            given.keep.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, given.keep / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
