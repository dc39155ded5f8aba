"""Every notebook runs, asserts its key numbers, and is committed without output."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Packages that a notebook needs beyond those of the library.
NEEDS = {"05_measuring_mcp_servers": ("mcp", "psutil")}

missing = [m for m in ("nbclient", "nbformat", "ipykernel") if importlib.util.find_spec(m) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (extra notebook)")


def runner():
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_notebooks():
    assert len(BOOKS) >= 6


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_is_committed_without_output(path):
    assert runner().clean(path) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_runs_and_shows_pictures(path):
    absent = [m for m in NEEDS.get(path.stem, ()) if importlib.util.find_spec(m) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    notebook = runner().execute(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    asserting = [cell for cell in cells if "assert " in cell.source]
    pictures = [o for cell in cells for o in cell.outputs if "image/png" in o.get("data", {})]
    assert asserting and pictures
