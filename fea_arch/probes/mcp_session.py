"""A client session with one MCP server: the official SDK speaks the protocol, this module owns the process.

The SDK's own stdio transport buffers a line without bound and logs what it cannot parse; a probe reads untrusted
programs, so the pipes are served here: lines and garbage are bounded and nothing the server says is logged.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import Any

from fea_arch.errors import MissingExtraError, ProbeError
from fea_arch.probes.lifecycle import Program

__all__ = ["Pipes", "http_session", "load_sdk", "stdio_session"]

_LINE_BYTES = 4 << 20
_GARBAGE_LINES = 1000


def load_sdk() -> Any:
    """Import the SDK; call it before a program is started, so that its import is no part of a cold start.

    Raises
    ------
    MissingExtraError
        If it is absent or older than 2.0.
    """
    try:
        import mcp
    except ImportError:
        raise MissingExtraError("mcp", "mcp") from None
    if not hasattr(mcp, "types") or not hasattr(mcp.types, "jsonrpc_message_adapter"):
        raise MissingExtraError("mcp>=2", "mcp")
    import mcp.client.streamable_http
    import mcp.shared.message

    return mcp


class Pipes:
    """Moves messages between a program's pipes and a session; counts what is not a message."""

    def __init__(self, program: Program) -> None:
        self.program, self.garbage, self.failure = program, 0, ""

    def read_lines(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[bytes | None]) -> None:
        """Read standard output in a thread; ``None`` marks its end."""
        buffer, pipe = bytearray(), self.program.process.stdout
        assert pipe is not None
        with suppress(OSError, ValueError, RuntimeError, CancelledError):
            while chunk := pipe.read(65536):
                buffer += chunk
                lines: list[bytearray] = []
                if b"\n" in chunk:
                    *lines, buffer = buffer.split(b"\n")
                if len(buffer) > _LINE_BYTES:
                    self.failure = f"a line of more than {_LINE_BYTES} bytes"
                    break
                for line in lines:
                    # waits for the session to take it: a chatty server is slowed down, not stored
                    _hand_over(bytes(line), queue, loop)
        with suppress(RuntimeError, CancelledError):
            _hand_over(None, queue, loop)

    async def incoming(self, queue: asyncio.Queue[bytes | None], sink: Any) -> None:
        """Parse lines and hand them to the session; close it at the end of the output."""
        sdk = load_sdk()
        from mcp.shared.message import SessionMessage

        async with sink:
            while (line := await queue.get()) is not None:
                if not line.strip():
                    continue
                try:
                    message = sdk.types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    self.garbage += 1
                    if self.garbage > _GARBAGE_LINES:
                        self.failure = f"more than {_GARBAGE_LINES} lines that are not JSON-RPC"
                        return
                    continue
                await sink.send(SessionMessage(message))

    async def outgoing(self, source: Any) -> None:
        """Write the session's messages to standard input."""
        pipe = self.program.process.stdin
        assert pipe is not None
        loop = asyncio.get_running_loop()
        async with source:
            async for item in source:
                data = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                try:
                    await loop.run_in_executor(None, _write_all, pipe, data)
                except (OSError, ValueError):
                    return


def _hand_over(line: bytes | None, queue: asyncio.Queue[bytes | None], loop: asyncio.AbstractEventLoop) -> None:
    waiting = queue.put(line)
    try:
        asyncio.run_coroutine_threadsafe(waiting, loop).result()
    except RuntimeError:  # the session is over and its loop closed
        waiting.close()
        raise


def _write_all(pipe: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


@asynccontextmanager
async def stdio_session(program: Program, *, longest_s: float) -> AsyncIterator[tuple[Any, Pipes]]:
    """Open a session over the pipes of a running program; the caller ends the program."""
    sdk = load_sdk()
    import anyio

    pipes, queue = Pipes(program), asyncio.Queue[bytes | None](64)
    to_session, from_pipe = anyio.create_memory_object_stream[Any](16)
    from_session, to_pipe = anyio.create_memory_object_stream[Any](16)
    loop = asyncio.get_running_loop()
    threading.Thread(target=pipes.read_lines, args=(loop, queue), daemon=True).start()
    tasks = [
        asyncio.ensure_future(pipes.incoming(queue, to_session)),
        asyncio.ensure_future(pipes.outgoing(to_pipe)),
    ]
    try:
        async with sdk.ClientSession(from_pipe, from_session, read_timeout_seconds=longest_s) as session:
            yield session, pipes
    finally:
        for task in tasks:
            task.cancel()
        program.process.poll()
        while not queue.empty():
            queue.get_nowait()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (to_session, from_pipe, from_session, to_pipe):
            await stream.aclose()


@asynccontextmanager
async def http_session(
    url: str, *, headers: Mapping[str, str], connect_timeout_s: float, longest_s: float
) -> AsyncIterator[Any]:
    """Open a session over streamable HTTP."""
    sdk = load_sdk()
    from mcp.client import streamable_http

    maker = streamable_http.httpx2.AsyncClient
    timeout = streamable_http.httpx2.Timeout(longest_s, connect=connect_timeout_s)
    # unbounded: where connections are short, a waiting request can be handed to one that is busy again and starve
    limits = streamable_http.httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with maker(headers=dict(headers), timeout=timeout, limits=limits) as client:
        try:
            await client.head(url)
        except streamable_http.httpx2.HTTPError as error:
            raise ProbeError(f"no connection: {type(error).__name__}") from None
        async with (
            streamable_http.streamable_http_client(url, http_client=client) as (read, write),
            sdk.ClientSession(read, write, read_timeout_seconds=longest_s) as session,
        ):
            yield session
