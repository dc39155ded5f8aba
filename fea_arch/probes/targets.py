"""What to probe: targets from an MCP client configuration, an event-router configuration or an architecture.

Configurations hold secrets (``env``, headers, arguments). A target carries them to the program it starts and shows
none of them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from fea_arch.errors import ModelError

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["Target", "targets_from_document", "targets_of"]

BUS = "event-bus"
_PORTS = {"cipher": ("CIPHER_MCP_PORT", 3001), "gibson": ("GIBSON_API_PORT", 8000)}
_LOCAL = ("localhost", "127.0.0.1", "::1")
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to probe.

    Parameters
    ----------
    component : str
        Name of the component.
    kind : {"mcp", "cli", "http", "kafka"}
    command : tuple of str
        Program and arguments.
    url : str
        Address instead of a command.
    env, headers : mapping
        Passed on; not in the representation.
    brokers : tuple of str
        Of an event bus.
    """

    component: str
    kind: str
    command: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    brokers: tuple[str, ...] = ()


def targets_from_document(document: Any, *, path: str | None = None) -> list[Target]:
    """Return the targets of an MCP client or event-router configuration.

    ``mcpServers``, ``servers`` (VS Code, also under ``mcp``), ``context_servers``, ``cliTools`` and ``eventBus`` are
    understood; disabled servers are left out. ``${VAR}`` is replaced from the environment. ``KAFKA_BROKERS``,
    ``CIPHER_MCP_PORT`` and ``GIBSON_API_PORT`` take precedence over what the file says.

    Raises
    ------
    ModelError
        A part of the wrong form; names the part, never its values.

    Examples
    --------
    >>> targets_from_document({"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}})
    [Target(component='time', kind='mcp', cwd=None, brokers=())]
    """
    if not isinstance(document, Mapping):
        raise ModelError("is not an object", path=path, fix='{"mcpServers": {...}}')
    found: list[Target] = []
    inner = document.get("mcp") if isinstance(document.get("mcp"), Mapping) else {}
    for owner, key in (
        (document, "mcpServers"), (document, "servers"), (document, "context_servers"),
        (inner, "servers"), (inner, "mcpServers"),
    ):  # fmt: skip
        for name, body in _table(owner, key, path).items():
            target = _server(str(name), body, path)
            if target is not None:
                found.append(target)
    for name, body in _table(document, "cliTools", path).items():
        found.append(_tool(str(name), body, path))
    bus = document.get("eventBus")
    if bus is not None:
        given = bus.get("brokers") if isinstance(bus, Mapping) else None
        if given is not None and not (isinstance(given, list) and all(isinstance(b, str) for b in given)):
            raise ModelError("is not a list of host:port", path=path, component=BUS, field="brokers")
        found.append(Target(BUS, "kafka", brokers=_brokers(given)))
    return found


def targets_of(arch: Architecture) -> list[Target]:
    """Return what can be probed of an architecture by the names and kinds of its components alone.

    Tools (kind ``cli``) by their name on the PATH, the event bus (``bus``) at ``KAFKA_BROKERS``, Cipher and Gibson at
    their ports. A description holds no commands: other servers need a configuration.
    """
    found = []
    for name, kind in zip(arch.names, arch.component_columns.column("kind")):
        if kind == "cli":
            program = name.removesuffix("-cli") if name.endswith("-cli") and shutil.which(name) is None else name
            found.append(Target(name, "cli", command=(program,)))
        elif kind == "bus":
            found.append(Target(name, "kafka", brokers=_brokers(None)))
        elif name in _PORTS and kind in ("mcp", "memory", "ai", "service"):
            variable, port = _PORTS[name]
            if name == "cipher" or os.environ.get(variable):
                found.append(Target(name, "mcp", url=f"http://localhost:{_port(variable, port)}"))
    return found


def _table(owner: Any, key: str, path: str | None) -> Mapping[str, Any]:
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ModelError("is not an object", path=path, field=key, fix='{"name": {"command": ...}}')
    for name, body in value.items():
        if not isinstance(body, Mapping):
            raise ModelError("is not an object", path=path, component=str(name)[:80], field=key)
    return value


def _server(name: str, body: Mapping[str, Any], path: str | None) -> Target | None:
    if body.get("disabled") is True or body.get("enabled") is False:
        return None
    env = _texts(body.get("env"), "env", name, path)
    headers = _texts(body.get("headers"), "headers", name, path)
    command: Any = body.get("command")
    given = body.get("args") or []
    if isinstance(command, Mapping):  # {"path": ..., "args": [...], "env": {...}}
        env, given = _texts(command.get("env"), "env", name, path) or env, command.get("args") or []
        command = command.get("path")
    url = body.get("url") or body.get("serverUrl") or body.get("endpoint") or body.get("httpUrl")
    if isinstance(command, str) and command:
        if not isinstance(given, list) or not all(isinstance(a, (str, int, float)) for a in given):
            raise ModelError("is not a list of texts", path=path, component=name[:80], field="args")
        parts = tuple(_expanded(str(a)) for a in (command, *given))
        cwd = body.get("cwd")
        return Target(name, "mcp", command=parts, env=env, cwd=_expanded(cwd) if isinstance(cwd, str) else None)
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return Target(name, "mcp", url=_ported(name, _expanded(url)), headers=headers)
    if not command and not url and body.get("source") == "extension":
        return None  # an extension of the editor knows the command, the file does not
    raise ModelError("has neither a command nor an http url", path=path, component=name[:80], field="command")


def _tool(name: str, body: Mapping[str, Any], path: str | None) -> Target:
    command = body.get("command", name)
    if isinstance(command, str):
        try:
            parts = shlex.split(command)  # split into arguments; no shell ever sees it
        except ValueError as error:
            raise ModelError(str(error), path=path, component=name[:80], field="command") from None
    elif isinstance(command, list) and all(isinstance(a, str) for a in command):
        parts = list(command)
    else:
        raise ModelError("is neither a text nor a list of texts", path=path, component=name[:80], field="command")
    if not parts:
        raise ModelError("is empty", path=path, component=name[:80], field="command", fix="the name of a program")
    return Target(name, "cli", command=tuple(parts), env=_texts(body.get("env"), "env", name, path))


def _texts(value: Any, field: str, name: str, path: str | None) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, (str, int, float, bool)) for v in value.values()):
        raise ModelError("is not an object of texts", path=path, component=name[:80], field=field)
    return {str(k): _expanded(str(v)) for k, v in value.items()}


def _expanded(text: str) -> str:
    return _VARIABLE.sub(lambda m: os.environ.get(m.group(1), ""), text)


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ModelError("is not a port", field=variable, fix="a number from 1 to 65535")
    return int(text)


def _ported(name: str, url: str) -> str:
    """Return the address with the port that the environment gives for a well-known local service."""
    if name not in _PORTS or not os.environ.get(_PORTS[name][0]):
        return url
    parts = urlsplit(url)
    if parts.hostname not in _LOCAL:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{_port(*_PORTS[name])}"))


def _brokers(given: Sequence[str] | None) -> tuple[str, ...]:
    named = os.environ.get("KAFKA_BROKERS")
    if named:
        return tuple(b.strip() for b in named.split(",") if b.strip())
    return tuple(given or ("localhost:9092",))
