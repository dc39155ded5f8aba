"""``fea-arch report``: a page, Markdown, JSON or a picture of a compose file, by the ending of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fea_arch.cli import main

COMPOSE = Path(__file__).resolve().parents[1] / "fixtures" / "configs" / "compose.yaml"
ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_picture_of_a_compose_file(tmp_path, capsys, ending, start):
    path = tmp_path / f"picture.{ending}"
    assert run("report", COMPOSE, "-o", path) == 0
    assert path.read_bytes().startswith(start)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"written: {path}" in printed.err


def test_the_same_picture_for_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg"):
        assert run("report", COMPOSE, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_does_not_stand_is_drawn_and_fails(tmp_path, capsys):
    path = tmp_path / "picture.png"
    assert run("report", COMPOSE, "--load-factor", 1e6, "-o", path) == 1
    assert path.exists()
    assert "drawn without stresses" in capsys.readouterr().err


def test_dark_paper_goes_with_a_picture(tmp_path, capsys):
    assert run("report", COMPOSE, "--dark", "-o", tmp_path / "picture.png") == 0
    assert run("report", COMPOSE, "--dark", "-o", tmp_path / "page.html") == 2
    assert "--dark goes with" in capsys.readouterr().err


def test_page_markdown_and_json(tmp_path, capsys):
    assert run("report", COMPOSE, "--quick", "-o", tmp_path / "report.html") == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg id=\"graph\"" in page
    assert "hunter2secret" not in page
    assert run("report", COMPOSE, "--quick", "-o", tmp_path / "report.md") == 0
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("## fixture")
    capsys.readouterr()
    assert run("report", COMPOSE, "--quick", "--json") == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "fixture-shop"


def test_a_file_that_cannot_be_written_is_named(tmp_path, capsys):
    assert run("report", COMPOSE, "-o", tmp_path / "absent" / "picture.svg") == 2
    error = capsys.readouterr().err
    assert "absent" in error
    assert "Traceback" not in error


def test_the_readme_leads_to_a_picture_of_ones_own_file():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "fea-arch report docker-compose.yml -o report.html" in text
    assert "docs/_static/runbook.png" in text
    picture = (ROOT / "docs" / "_static" / "runbook.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
