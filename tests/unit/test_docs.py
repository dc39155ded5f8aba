"""The documentation runs: every Python block of the README and of the pages, in order, one namespace per file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fea_arch
from fea_arch.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [p for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if p.exists()]
PAGES += sorted(p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "api", "jupyter_execute"} & set(p.parts))
#: Pages of the reference that a build of the documentation writes.
GENERATED = ("names.md", "fields.md", "commands.md")
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.M | re.S)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start(2)].count("\n"), m.group(2)) for m in BLOCK.finditer(text) if m.group(1) == language]


WITH_PYTHON = [p for p in PAGES if blocks(p, "python")]


def test_there_is_something_to_run():
    assert {"README.md", "first_answer.md"} <= {p.name for p in WITH_PYTHON}


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), space)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_exist(page):
    """Every ``fea-arch NAME --option`` in a code block names a command and options that exist."""
    from click import Context

    from fea_arch.cli import program

    languages = ("sh", "") if page.name == "commands.md" else ("sh", "", "text")
    for code in (code for language in languages for _, code in blocks(page, language)):
        for call in re.findall(r"^(?:.*&& )?fea-arch ([^\n|#>&]*)", code, flags=re.M):
            name, *rest = call.split()
            if name.startswith("-"):
                continue
            assert name in COMMANDS, f"{page.name}: fea-arch {name}"
            command = program.get_command(Context(program), name)
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            assert {w for w in rest if w.startswith("-")} <= known, f"{page.name}: fea-arch {call}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    if "reference" in page.parts and page.name in GENERATED:
        pytest.skip("generated")
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            if "notebooks/" in target:  # written when they are executed
                assert (ROOT / "notebooks" / f"{Path(target).name}.ipynb").exists(), f"{page.name}: {target}"
                continue
            if (page.parent / target).resolve().parent.name == "reference" and Path(target).name in GENERATED:
                continue
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_tests_that_are_named_exist(page):
    """The theory names a module and a test for every equation."""
    text = page.read_text(encoding="utf-8")
    for path, test in re.findall(r"`((?:fea_arch|tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / path).is_file(), f"{page.name}: {path}"
        if test:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {test}\(", source, flags=re.M), f"{page.name}: {path}::{test}"


def test_every_theory_page_links_equations_to_modules_and_tests():
    pages = sorted(p for p in (ROOT / "docs" / "theory").glob("*.md") if p.stem != "index")
    assert len(pages) >= 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.search(r"`fea_arch/[\w/]+\.py`", text), page.name
        assert re.search(r"`tests/[\w/]+\.py::\w+`", text), page.name


def test_public_docstrings_have_an_imperative_line_and_no_machine_paths():
    for path in (ROOT / "fea_arch").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/work/|/tmp/(?!\{)|/home/|/Users/", text), path
    assert fea_arch.__doc__
