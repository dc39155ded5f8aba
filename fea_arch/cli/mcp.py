"""``fea-arch mcp``: the analyses as read-only tools of an MCP server over stdio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["build_server", "command"]


@click.command("mcp", short_help="Serve the analyses as read-only MCP tools over stdio.")
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False), default=".", show_default=True,
    help="Folder whose files may be read; nothing is ever written.",
)  # fmt: skip
def command(root: str) -> int:
    """Serve analyse, score, what_if, compare and explain as tools of an MCP server over stdio.

    Needs the extra mcp: pip install "fea-arch[mcp]".

    \b
    Example, and a client configuration:
      fea-arch mcp --root /srv/platform
      {"mcpServers": {"fea-arch": {"command": "fea-arch", "args": ["mcp", "--root", "/srv/platform"]}}}
    """
    from fea_arch.cli import FINE

    build_server(root).run("stdio")
    return FINE


def build_server(root: str | Path = ".") -> Any:
    """Return the MCP server whose tools read files below ``root`` only.

    Raises
    ------
    MissingExtraError
        If the SDK is not installed.
    """
    from fea_arch.errors import MissingExtraError

    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError:
        raise MissingExtraError("mcp", "mcp") from None
    from fea_arch import __version__

    place = Path(root).resolve()
    server = MCPServer("fea-arch", version=__version__)
    harmless = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )

    def load(path: str | None, changes: list[str] | None = None, without: list[str] | None = None,
             scale: float = 1.0) -> Any:  # fmt: skip
        from fea_arch.cli.options import Input

        return Input(_inside(place, path), tuple(changes or ()), tuple(without or ()), scale, None).load()

    def analyse(path: str | None = None, load_factor: float = 1.0) -> dict[str, Any]:
        """Static answer of an architecture file (default: the bundled platform): flows, waits, margins."""
        return _guarded(lambda: _analysed(load(path), load_factor))

    def score(path: str | None = None) -> dict[str, Any]:
        """Score of an architecture between 0 and 100 with the points lost by component and situation."""
        return _guarded(lambda: _scored(load(path)))

    def what_if(
        path: str | None = None, changes: list[str] | None = None, without: list[str] | None = None, scale: float = 1.0
    ) -> dict[str, Any]:
        """Margins before and after changes such as "orders.servers=16", parts taken away, and loads scaled."""
        return _guarded(lambda: _compared(load(path), load(path, changes, without, scale), 0))

    def compare(base: str, head: str, samples: int = 4) -> dict[str, Any]:
        """Edits between two architecture files and the margins that got worse by more than their interval."""
        return _guarded(lambda: _compared(load(base), load(head), 0 if samples < 2 else min(samples, 32)))

    def explain(path: str | None = None) -> dict[str, Any]:
        """What limits an architecture, what breaks first, and which single changes gain most points."""
        return _guarded(lambda: _explained(load(path)))

    for tool in (analyse, score, what_if, compare, explain):
        server.tool(annotations=harmless)(tool)
    return server


def _inside(root: Path, path: str | None) -> str | None:
    from fea_arch.errors import ModelError

    if path is None:
        return None
    found = (root / path).resolve()
    if not found.is_relative_to(root) or not found.exists():
        raise ModelError("is not a file below the served folder", path=path, fix="a path relative to that folder")
    return str(found)


def _guarded(task: Any) -> dict[str, Any]:
    """Return an answer, or what is wrong with the question as data: never a traceback."""
    from fea_arch.errors import FeaArchError
    from fea_arch.results.base import plain

    try:
        return dict(plain(task()))
    except FeaArchError as error:
        return {"error": str(error), "kind": type(error).__name__}


def _analysed(arch: Any, load_factor: float) -> dict[str, Any]:
    from fea_arch.analyses.static import static

    found = static(arch, load_factor)
    largest, limiting = found.sustainable
    return {**found.to_dict(), "largest_load_factor": largest, "limiting": limiting}


def _scored(arch: Any) -> dict[str, Any]:
    from fea_arch.scoring import score

    found = score(arch).to_dict()
    return {**found, "losses": found["losses"][:20]}


def _compared(base: Any, head: Any, samples: int) -> dict[str, Any]:
    from fea_arch.advice.comparison import compare

    return compare(base, head, samples=samples).to_dict()


def _explained(arch: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from fea_arch.analyses.fracture import fracture
    from fea_arch.scoring import score
    from fea_arch.scoring.advice import advise

    now, path = score(arch), fracture(arch)
    return {
        "architecture": arch.name,
        "score": now.value,
        "label": now.label,
        "interval": list(now.interval),
        "worst": [{"component": c, "situation": s, "points": p} for c, s, p in now.worst(8)],
        "collapse_factor": path.collapse_factor,
        "breaks": [
            {"load_factor": e.load_factor, "component": e.component, "criterion": e.criterion, "cause": e.cause}
            for e in path.path[:8]
        ],
        "advice": [asdict(a) for a in advise(arch, now, components=3, limit=5)],
        "findings": [str(f) for f in arch.check()[:10]],
    }
