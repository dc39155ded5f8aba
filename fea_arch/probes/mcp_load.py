"""A tool of an MCP server as the target of a load test: one session, many concurrent calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fea_arch.errors import FeaArchError, ModelError, ProbeError
from fea_arch.probes.credentials import secrets_of
from fea_arch.probes.generators import reason
from fea_arch.probes.lifecycle import Program, checked_command, clean_text
from fea_arch.probes.mcp import all_tools, described_failure, quiet_sdk, refusal
from fea_arch.probes.mcp_session import http_session, load_sdk, stdio_session

__all__ = ["McpTool", "open_tool"]


@dataclass(frozen=True)
class McpTool:
    """A tool of an MCP server, to be loaded by :func:`load_test`.

    Parameters
    ----------
    tool : str
        Name of the tool. It is called only if the server marks it read-only and does not mark it destructive.
    arguments : mapping
        Arguments of every call.
    command : sequence of str, optional
        Program and arguments of a stdio server; each step starts it and ends it.
    url : str, optional
        Address of a streamable HTTP server instead; nothing is started.
    env, headers : mapping
        Passed on; never stored or shown.
    start_timeout_s : float
        Longest time from the start to the initialize answer [s].

    Raises
    ------
    ModelError
        Neither or both of ``command`` and ``url``, or a command that is not a list of arguments.

    Examples
    --------
    >>> McpTool("read_graph", command=["mcp-server-memory"], env={"TOKEN": "secret"})
    McpTool(tool='read_graph')
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    command: Sequence[str] | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = field(default=None, repr=False)
    start_timeout_s: float = field(default=30.0, repr=False)

    def __post_init__(self) -> None:
        if (self.command is None) == (self.url is None):
            raise ModelError("needs either a command or a url", component=self.tool, field="command")
        if self.command is not None:
            checked_command(self.command)
        elif not str(self.url).startswith(("http://", "https://")):
            raise ModelError("is not an http address", component=self.tool, field="url")


@asynccontextmanager
async def open_tool(target: McpTool, timeout_s: float) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Start or reach the server and hand out a coroutine function that calls the tool once.

    Raises
    ------
    ProbeError
        The server does not answer, or the tool may not be called. Secrets are blanked out of the message.
    """
    load_sdk()
    longest = max(target.start_timeout_s, timeout_s)
    secrets = secrets_of(target.command or (), target.url or "", target.env, target.headers)
    with quiet_sdk():
        program = None if target.command is None else Program(target.command, env=target.env, cwd=target.cwd)
        try:
            async with _session(target, program, longest) as session:
                yield await _call(session, target, secrets)
        except ProbeError as error:
            raise ProbeError(f"{target.tool}: {clean_text(str(error).encode(), secrets=secrets)}") from None
        except FeaArchError:
            raise
        except Exception as error:
            inner: BaseException = error
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            said = str(inner) if isinstance(inner, ProbeError) else reason(inner)
            if program is not None and not isinstance(inner, ProbeError):
                said = described_failure(program, program.stop(), [said], secrets)
            raise ProbeError(f"{target.tool}: {clean_text(said.encode(), secrets=secrets)}") from None
        finally:
            if program is not None:
                program.stop()


def _session(target: McpTool, program: Program | None, longest_s: float) -> AbstractAsyncContextManager[Any]:
    if program is None:
        return http_session(
            str(target.url), headers=target.headers, connect_timeout_s=target.start_timeout_s, longest_s=longest_s
        )
    return _first(program, longest_s)


@asynccontextmanager
async def _first(program: Program, longest_s: float) -> AsyncIterator[Any]:
    async with stdio_session(program, longest_s=longest_s) as (session, _):
        yield session


async def _call(session: Any, target: McpTool, secrets: tuple[str, ...]) -> Callable[[], Awaitable[None]]:
    async with asyncio.timeout(target.start_timeout_s):
        await session.initialize()
        tools = await all_tools(session)
    why = refusal(tools.get(target.tool), target.tool)
    if why:
        raise ProbeError(why.removeprefix(f"{target.tool}: "))
    arguments = dict(target.arguments)

    async def call() -> None:
        try:
            answer = await session.call_tool(target.tool, arguments)
        except Exception as error:  # what the server says in an error may repeat a secret
            raise ProbeError(clean_text(reason(error).encode(), secrets=secrets)) from None
        if getattr(answer, "is_error", False):
            raise ProbeError("the tool reports an error")

    return call
