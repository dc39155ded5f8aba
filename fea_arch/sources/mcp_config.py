"""MCP client configurations: which tool servers a client starts or connects to.

``mcpServers`` (Claude Desktop, Cursor and many others), ``servers`` (VS Code, also under ``mcp``), ``context_servers``
(Zed), with comments and trailing commas, and bundles of many files in one object. Values of ``env``,
headers and arguments are never stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fea_arch.architecture import Architecture, Component, Dependency, Finding, Load, Provenance
from fea_arch.errors import ModelError
from fea_arch.sources.loading import read_text
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.relaxed_json import parse_relaxed_json

__all__ = ["SOURCE", "read_mcp_config"]

_CLIENT = "mcp-client"
_TABLES = ("mcpServers", "servers", "context_servers")
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 (compared with, not bound to)


def read_mcp_config(path: str | Path, *, rate_per_s: float | None = None) -> Architecture:
    """Read an MCP client configuration.

    Parameters
    ----------
    path : str or Path
    rate_per_s : float, optional
        Tool calls of the client, spread evenly over the servers that are not disabled [1/s]; default: 1, noted as
        assumed.

    Returns
    -------
    Architecture
        One component of kind ``mcp`` per server and one for the client. Service times are assumed (10 ms).

    Raises
    ------
    ModelError
        With the server and the field that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "mcp.json"
    ...     _ = file.write_text('{"mcpServers": {"files": {"command": "npx"}, "docs": {"url": "https://docs.test/mcp"}}}')
    ...     arch = read_mcp_config(file)
    >>> arch.names, arch.dependencies[0].calls
    (['mcp-client', 'files', 'docs'], 0.5)
    """
    place = str(path)
    document = parse_relaxed_json(read_text(path, max_bytes=64 * 2**20), path)
    if not isinstance(document, Mapping):
        raise ModelError("is not an object", path=place, fix='{"mcpServers": {...}}')
    entries = list(_entries(document, place))
    if not entries:
        raise ModelError(
            "names no server", path=place, field="mcpServers", fix='{"mcpServers": {"name": {"command": ...}}}'
        )
    names = _unique([name for _, name, _ in entries], [bundle for bundle, _, _ in entries])
    parts, counts = [], {"stdio": 0, "http": 0, "extension": 0}
    for name, (_, plain, body) in zip(names, entries):
        transport = _transport(plain, body, place)
        counts[transport] += 1
        parts.append(_component(name, transport, body, place))
    running = [p.name for p in parts if p.available]
    client = Component(
        _CLIENT if _CLIENT not in names else f"{_CLIENT} (host)",
        kind="client",
        law="delay",
        blocking=False,
        service_time_s=1e-6,
    )
    rate = 1.0 if rate_per_s is None else rate_per_s
    share = 1.0 / len(running) if running else 0.0
    calls = [
        Dependency(
            client.name,
            part.name,
            calls=share if part.available else 0.0,
            required=False,
            provenance={
                "target": Provenance("declared", source="MCP client configuration"),
                "calls": Provenance("assumed", source="tool calls spread evenly over the servers"),
            },
        )
        for part in parts
    ]
    return Architecture(
        name=Path(path).stem or "mcp",
        components=[client, *parts],
        dependencies=calls,
        loads=[Load(client.name, rate_per_s=rate)],
        notes=_notes(parts, counts, entries, rate if rate_per_s is None else None),
        origin=Path(path).name,
    )


def _entries(document: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (file of a bundle, server, description)."""
    tables = [document.get(key) for key in _TABLES]
    inner = document.get("mcp")
    if isinstance(inner, Mapping):
        tables += [inner.get("servers"), inner.get("mcpServers")]
    found = [t for t in tables if t is not None]
    for table in found:
        if not isinstance(table, Mapping):
            raise ModelError("is not an object", path=path, field="mcpServers", fix='{"name": {"command": ...}}')
        for name, body in table.items():
            if not isinstance(body, Mapping):
                raise ModelError("is not an object", path=path, component=str(name)[:80], fix='{"command": ...}')
            yield "", str(name), body
    if found:
        return
    for file, content in document.items():
        if isinstance(content, str):
            try:
                content = parse_relaxed_json(content, f"{path}:{file}")
            except ModelError:
                continue
        if isinstance(content, Mapping) and any(isinstance(content.get(k), Mapping) for k in _TABLES):
            for _, name, body in _entries(content, path):
                yield str(file), name, body


def _unique(names: list[str], bundles: list[str]) -> list[str]:
    """Return names that are unique; a bundle may hold one name in several files."""
    out: list[str] = []
    seen: set[str] = set()
    for name, bundle in zip(names, bundles):
        new = name or "unnamed"
        if new in seen and bundle:
            new = f"{name} ({bundle})"
        base, k = new, 2
        while new in seen:
            new, k = f"{base} #{k}", k + 1
        seen.add(new)
        out.append(new)
    return out


def _transport(name: str, body: Mapping[str, Any], path: str) -> str:
    kind, command, url = body.get("type", body.get("transport")), body.get("command"), _address(body)
    if isinstance(command, Mapping):  # Zed: {"path": ..., "args": [...], "env": {...}}
        command = command.get("path")
    if isinstance(url, str) and url and not command:
        return "http"
    if isinstance(command, str) and command:
        return "stdio"
    if not command and body.get("source") == "extension":
        return "extension"  # an extension of the editor knows the command
    if isinstance(kind, str) and kind.lower() in ("http", "sse", "streamable-http", "streamablehttp", "ws"):
        raise ModelError("has no url", path=path, component=name[:80], field="url", fix="the address of the server")
    raise ModelError(
        "has neither a command nor a url", path=path, component=name[:80], field="command", fix='"command" or "url"'
    )


def _address(body: Mapping[str, Any]) -> Any:
    return body.get("url") or body.get("serverUrl") or body.get("httpUrl")


def _component(name: str, transport: str, body: Mapping[str, Any], path: str) -> Component:
    url = _address(body)
    host = None
    if transport == "http":
        try:
            host = urlsplit(str(url)).hostname
        except ValueError as error:
            raise ModelError("is not an address", path=path, component=name[:80], field="url") from error
    # a server on another machine serves many clients at once; a process of one client is one event loop
    remote = transport == "http" and host not in _LOCAL
    return Component(
        name,
        kind="mcp",
        blocking=False,
        law="delay" if remote else "mmc",
        available=body.get("disabled") is not True and body.get("enabled") is not False,
    )


def _notes(
    parts: list[Component],
    counts: Mapping[str, int],
    entries: list[tuple[str, str, Mapping[str, Any]]],
    assumed: float | None,
) -> list[Finding]:
    notes = [
        Finding(
            "info",
            f"{len(parts)} servers: {counts['stdio']} started over stdio, {counts['http']} reached over HTTP",
            field="components",
            count=len(parts),
        ),
        Finding(
            "info",
            "a configuration holds no times: 10 ms per call are assumed; a server on another machine is a pure delay",
            parts[0].name,
            "service_time_s",
            "measure: fea-arch measure",
            len(parts),
        ),
    ]
    if counts["extension"]:
        notes.append(
            Finding(
                "warning",
                "servers that an extension of the editor starts: the configuration does not say how, so they cannot"
                " be measured",
                field="context_servers",
                fix="add the command",
                count=counts["extension"],
            )
        )
    if assumed is not None:
        notes.append(
            Finding(
                "warning",
                f"{assumed:g} tool calls a second, spread evenly over the servers, are assumed",
                parts[0].name,
                "loads",
                "rate_per_s=...",
            )
        )
    secret = sum(bool(body.get("env")) or bool(body.get("headers")) for _, _, body in entries)
    if secret:
        notes.append(Finding("info", "values of env and headers were not kept", field="env", count=secret))
    return notes


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form != "object" or look.any("eventBus", "fea_arch"):
        return 0.0
    last = [p.rsplit(".", 1)[-1] for p in look.paths]
    if look.has("mcpServers") or "mcpServers" in last:
        return 0.9
    if look.has("context_servers"):
        return 0.9
    entry = [
        p
        for p in look.paths
        if p.startswith(("servers.", "mcp.servers.")) and p.rsplit(".", 1)[-1] in ("command", "url")
    ]
    return 0.85 if entry else (0.5 if "mcpServers" in look.text else 0.0)


SOURCE = Source(
    "mcp-config", _sniff, read_mcp_config, "MCP client configuration (mcpServers, VS Code servers, Zed context_servers)"
)
