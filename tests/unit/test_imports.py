"""What a bare import costs, and what the top of the package offers."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys

import pytest

import fea_arch

HEAVY = ("scipy", "numba", "networkx", "matplotlib", "yaml", "click", "rich", "pandas", "numpy", "jinja2")


def loaded(code: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has loaded after running some code."""
    report = f"{code}\nimport sys, json\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_bare_import_is_light():
    assert loaded("import fea_arch") == set()


def test_help_is_light():
    code = """
import contextlib, io
from fea_arch.cli import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    try: main(["--help"])
    except SystemExit as stop: assert stop.code == 0, stop.code
assert "Commands" in out.getvalue()
"""
    assert loaded(code) == {"click"}


def test_describing_needs_numpy_alone():
    code = "import fea_arch as fa; fa.Architecture(name='x', components=[fa.Component('a')]).check()"
    assert loaded(code) == {"numpy"}


def test_check_of_the_bundled_platform_is_light():
    code = """
import contextlib, io
from fea_arch.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    try: main(["check"])
    except SystemExit as stop: assert stop.code == 0
"""
    assert loaded(code) == {"click", "numpy"}


def test_a_small_static_answer_needs_no_compiler():
    code = "import fea_arch as fa; fa.static(fa.load_sample('shop'), 0.5)"
    assert not {"numba", "networkx", "matplotlib", "yaml", "click", "pandas"} & loaded(code)


PLACES = [(module, name) for module, names in fea_arch._PLACES.items() for name in names]


def ready(module: str) -> bool:
    """Whether a module exists and offers something: an empty package is one that is still to be filled."""
    return importlib.util.find_spec(module) is not None and hasattr(importlib.import_module(module), "__all__")


@pytest.mark.parametrize(("module", "name"), PLACES)
def test_every_public_name_is_there(module, name):
    if not ready(module):
        pytest.skip(f"{module} is not there yet")
    assert getattr(fea_arch, name) is not None


def test_public_names_are_listed_once_and_documented():
    names = [name for _, name in PLACES]
    assert len(names) == len(set(names))
    assert set(names) < set(fea_arch.__all__) == set(dir(fea_arch))
    there = [name for module, name in PLACES if ready(module)]
    undocumented = [name for name in there if not (getattr(fea_arch, name).__doc__ or "").strip()]
    assert undocumented == []


def test_a_misspelt_name_is_suggested():
    with pytest.raises(AttributeError, match="Did you mean 'static'"):
        _ = fea_arch.statik
