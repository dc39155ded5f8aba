"""Every example in a docstring runs, on the package that is installed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fea_arch

FOUND = sorted(found.name for found in pkgutil.walk_packages(fea_arch.__path__, "fea_arch."))
MODULES = ["fea_arch", *(name for name in FOUND if not name.endswith("__main__"))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    count = sum(bool(t.examples) for name in MODULES for t in finder.find(importlib.import_module(name)))
    assert count >= 50
