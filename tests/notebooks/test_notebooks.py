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
    run = runner()
    if run.up_to_date(path, run.EXECUTED):  # executed before with these cells and this library
        import nbformat

        notebook = nbformat.read(run.EXECUTED / path.name, as_version=4)
    else:
        notebook = run.execute(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    asserting = [cell for cell in cells if "assert " in cell.source]
    pictures = [o for cell in cells for o in cell.outputs if "image/png" in o.get("data", {})]
    assert asserting and pictures


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_is_executed_again_only_after_a_change(tmp_path):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    run = runner()
    path, keep = tmp_path / "small.ipynb", tmp_path / "executed"
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 1")]), path)
    assert not run.up_to_date(path, keep)
    run.execute_and_keep(path, keep)
    assert run.up_to_date(path, keep)
    executed = nbformat.read(keep / path.name, as_version=4)
    assert executed.cells[0].outputs[0]["data"]["text/plain"] == "2"
    assert run.clean(path) == []  # the source holds no output
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 2")]), path)
    assert not run.up_to_date(path, keep)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_pictures_are_kept_whatever_backend_the_shell_names(tmp_path, monkeypatch):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.setenv("MPLBACKEND", "Agg")
    path = tmp_path / "picture.ipynb"
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), path)
    outputs = runner().execute(path).cells[0].outputs
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_wrong_number_fails(tmp_path):
    import nbformat
    from nbclient.exceptions import CellExecutionError
    from nbformat.v4 import new_code_cell, new_notebook

    path = tmp_path / "wrong.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("assert 1 == 2")]), path)
    with pytest.raises(CellExecutionError, match="AssertionError"):
        runner().execute(path)
