"""Sphinx configuration."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import fea_arch

project = "fea_arch"
author = "the fea_arch contributors"
copyright = author
version = release = fea_arch.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",  # formulas show without a network
    "executed_notebooks",
    "generated_reference",
]
root_doc = "index"
exclude_patterns = ["_build", "jupyter_execute", "_templates", "_ext"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme = "pydata_sphinx_theme"
html_title = "fea_arch"
# code and pictures of notebooks take the place of the list of their sections
NOTEBOOKS = sorted(f"notebooks/{path.stem}" for path in Path(__file__).parent.parent.glob("notebooks/*.ipynb"))
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc", "sourcelink"], **{name: [] for name in NOTEBOOKS}},
}

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # executed_notebooks has done it
nb_number_source_lines = False

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
