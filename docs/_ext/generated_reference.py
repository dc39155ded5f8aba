"""Write the reference pages that follow from the code: public names, fields, commands, exit codes."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import click

import fea_arch
from fea_arch.architecture import (
    Balancer,
    Breaker,
    Component,
    Dependency,
    Host,
    Load,
    LoadCase,
    Objective,
    Period,
    Workflow,
)
from fea_arch.architecture.fields import specs
from fea_arch.cli import COMMANDS, program

TITLES = {
    "fea_arch.errors": "Errors",
    "fea_arch.architecture": "Describe",
    "fea_arch.architecture.loads": "Act on it",
    "fea_arch.sources": "Read",
    "fea_arch.samples": "Samples",
    "fea_arch.meshing": "Mesh",
    "fea_arch.assembly": "Assemble",
    "fea_arch.simulation": "Simulate",
    "fea_arch.scoring": "Score",
    "fea_arch.probes": "Measure",
}


def there(module: str) -> bool:
    """Whether a module of the public table exists and offers names."""
    return importlib.util.find_spec(module) is not None and hasattr(importlib.import_module(module), "__all__")


def names_page() -> str:
    """Return the page of public names, by topic."""
    groups: dict[str, list[str]] = {}
    for module, names in fea_arch._PLACES.items():
        if there(module):
            groups.setdefault(TITLES.get(module, "Analyse"), []).extend(names)
    lines = ["# Public names", "", "Everything is importable from the top: `import fea_arch as fa`.", ""]
    for title, names in groups.items():
        entries = "\n".join(f"   fea_arch.{name}" for name in sorted(names))
        lines += [f"## {title}", "", f"```{{eval-rst}}\n.. autosummary::\n   :toctree: api\n\n{entries}\n```", ""]
    return "\n".join(lines)


def _limits(spec: Any) -> str:
    if spec.choices:
        return ", ".join(f"`{c}`" for c in spec.choices)
    if spec.form not in ("number", "count"):
        return spec.form
    low = f"{'>' if spec.exclusive else '>='} {spec.minimum:g}"
    return low + (f", <= {spec.maximum:g}" if spec.maximum < 2**53 else "")


def fields_page() -> str:
    """Return the page of every field of a description, from the attribute table."""
    lines = [
        "# Fields of a description",
        "",
        "One table feeds validation, storage, the native document and its schema.",
        "",
    ]
    for kind in (Component, Host, Dependency, Balancer, Breaker, Load, Objective, LoadCase, Workflow, Period):
        lines += [f"## {kind.__name__}", "", "| field | unit | default | accepted | meaning |", "|---|---|---|---|---|"]
        for spec in specs(kind).values():
            default = "required" if spec.required else "" if spec.default in (None, {}) else f"`{spec.default}`"
            unit = "" if spec.unit == "1" else spec.unit
            lines.append(f"| `{spec.name}` | {unit} | {default} | {_limits(spec)} | {spec.doc} |")
        lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    """Return the page of commands with their help."""
    lines = ["# Command line", "", "```text", click.Context(program, info_name="fea-arch").get_help(), "```", ""]
    for name in COMMANDS:
        context = click.Context(program, info_name="fea-arch")
        command = program.get_command(context, name)
        assert command is not None
        text = click.Context(command, info_name=name, parent=context).get_help()
        lines += [f"## fea-arch {name}", "", "```text", text, "```", ""]
    return "\n".join(lines)


def generate(app: Any, config: Any) -> None:
    """Write the pages, only where their content has changed."""
    folder = Path(app.srcdir) / "reference"
    for name, content in {"names": names_page(), "fields": fields_page(), "commands": commands_page()}.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", generate)
    return {"parallel_read_safe": True}
