"""Probe of an MCP server over stdio or streamable HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import FeaArchError, MissingExtraError, ModelError, ProbeError
from fea_arch.probes.credentials import CREDENTIAL_WORDS, secrets_of
from fea_arch.probes.generators import reason, run_async
from fea_arch.probes.lifecycle import MOST_PROCESSES, Program, checked_command, clean_text
from fea_arch.probes.mcp_session import http_session, load_sdk, stdio_session

__all__ = ["all_tools", "described_failure", "probe_mcp", "quiet_sdk", "refusal"]

_MOST_PAGES = 50
#: Processor time is counted in ticks of 10 ms: with fewer than five the share of one request is noise.
_LEAST_CPU_S = 0.05
_MISSING = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")


def probe_mcp(
    name: str,
    command: Sequence[str] | None = None,
    *,
    url: str | None = None,
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    cwd: str | None = None,
    samples: int = 20,
    warmup: int = 2,
    calls: Mapping[str, Mapping[str, Any]] | None = None,
    start_timeout_s: float = 30.0,
    timeout_s: float = 10.0,
    settle_s: float = 0.2,
    max_processes: int = MOST_PROCESSES,
) -> Measurement:
    """Measure an MCP server: cold start, ping, tool list, optional read-only calls, memory of its process tree.

    Parameters
    ----------
    name : str
        Name of the component.
    command : sequence of str, optional
        Program and arguments of a stdio server; it is started for the probe and ended afterwards.
    url : str, optional
        Address of a streamable HTTP server instead; nothing is started.
    env, headers : mapping, optional
        Passed on; never stored, and blanked out of everything the server prints.
    samples, warmup : int
        Measured requests of each kind, after some that are not.
    calls : mapping, optional
        Tool name to arguments. By default no tool is called. A tool is called only if the server marks it read-only
        and does not mark it destructive.
    start_timeout_s, timeout_s : float
        Longest time from the start to the initialize answer, and for each request [s].
    settle_s : float
        Pause before memory is read [s].
    max_processes : int
        Size of the process tree at which the server is ended.

    Returns
    -------
    Measurement
        ``latency_s`` holds the times of the tool calls if there were any, else of ping.
        ``ok`` is False with ``errors`` if it did not answer.

    Raises
    ------
    ModelError
        Neither or both of ``command`` and ``url``, or a command that is not a list of arguments.
    MissingExtraError
        Without the ``mcp`` package.
    """
    if (command is None) == (url is None):
        raise ModelError("needs either a command or a url", component=name, field="command")
    if command is not None:
        checked_command(command)
    elif not str(url).startswith(("http://", "https://")):
        raise ModelError("is not an http address", component=name, field="url")
    if samples < 1:
        raise ModelError(f"is {samples}", component=name, field="samples", fix="1 or more")
    secrets = secrets_of(command or (), url or "", env or {}, headers or {})
    load_sdk()
    started_at = time.time()
    found: dict[str, Any] = {"errors": [], "details": {"transport": "stdio" if command else "http"}}
    limits = _Limits(samples, warmup, dict(calls or {}), start_timeout_s, timeout_s, settle_s)
    with quiet_sdk():
        if command is not None:
            try:
                program = Program(command, env=env, cwd=cwd, max_processes=max_processes)
            except ModelError as error:
                return Measurement(name, "mcp", ok=False, errors=(error.message,), started_at=started_at)
            try:
                ok = run_async(_over_stdio(program, limits, found))
            finally:
                status = program.stop()
            if not ok:
                found["errors"] = [described_failure(program, status, found["errors"], secrets)]
        else:
            ok = run_async(_over_http(str(url), dict(headers or {}), limits, found))
    return Measurement(
        component=name,
        kind="mcp",
        ok=ok,
        latency_s=tuple(found.get("latency", ())) if ok else (),
        cold_start_s=found.get("cold_start") if command else None,
        memory_bytes=found.get("memory"),
        unique_bytes=found.get("unique"),
        cpu_s=found.get("cpu"),
        errors=tuple(clean_text(e.encode(), secrets=secrets) for e in found["errors"]),
        started_at=started_at,
        details=found["details"],
    )


class _Limits:
    def __init__(
        self, samples: int, warmup: int, calls: dict[str, Any], start_s: float, request_s: float, settle_s: float
    ) -> None:
        self.samples, self.warmup, self.calls = samples, warmup, calls
        self.start_s, self.request_s, self.settle_s = start_s, request_s, settle_s
        self.longest_s = max(start_s, request_s)


@contextmanager
def quiet_sdk() -> Iterator[None]:
    """Keep the SDK from logging what the server says, for as long as the probe lasts."""
    log = logging.getLogger("mcp")
    before = log.disabled, log.level, log.propagate
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.disabled, _, log.propagate = before
        log.setLevel(before[1])


async def _over_stdio(program: Program, limits: _Limits, found: dict[str, Any]) -> bool:
    pipes = None
    try:
        async with asyncio.timeout(limits.start_s + 60 + 4 * limits.samples * limits.request_s):
            async with stdio_session(program, longest_s=limits.longest_s) as (session, pipes):
                async with asyncio.timeout(limits.start_s):
                    await _initialize(session, found)
                found["cold_start"] = time.perf_counter() - program.started
                await asyncio.sleep(limits.settle_s)
                loop = asyncio.get_running_loop()
                rest = await loop.run_in_executor(None, program.tree)
                found["memory"], found["unique"] = rest.memory_bytes or None, rest.unique_bytes
                found["details"]["processes"] = rest.processes
                count = await _requests(session, limits, found)
                after = await loop.run_in_executor(None, program.tree)
                found["details"]["memory_after_load_bytes"] = after.memory_bytes
                if after.cpu_s - rest.cpu_s >= _LEAST_CPU_S:
                    found["cpu"] = min((after.cpu_s - rest.cpu_s) / count, _mean(found["latency"]))
        return True
    except MissingExtraError:
        raise
    except BaseException as error:
        _note(error, found, limits)
        if pipes is not None and pipes.failure:
            found["errors"] = [pipes.failure]
        return False
    finally:
        if pipes is not None and pipes.garbage:
            found["details"]["garbage_lines"] = pipes.garbage


async def _over_http(url: str, headers: dict[str, str], limits: _Limits, found: dict[str, Any]) -> bool:
    try:
        async with asyncio.timeout(limits.start_s + 60 + 4 * limits.samples * limits.request_s):
            begin = time.perf_counter()
            async with http_session(
                url, headers=headers, connect_timeout_s=limits.start_s, longest_s=limits.longest_s
            ) as session:
                async with asyncio.timeout(limits.start_s):
                    await _initialize(session, found)
                found["details"]["connect_s"] = time.perf_counter() - begin
                await _requests(session, limits, found)
        return True
    except MissingExtraError:
        raise
    except BaseException as error:
        _note(error, found, limits)
        return False


def _note(error: BaseException, found: dict[str, Any], limits: _Limits) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    if isinstance(error, TimeoutError):
        found["errors"].append(f"no answer to initialize within {limits.start_s:g} s")
    else:
        found["errors"].append(str(error) if isinstance(error, FeaArchError) else reason(error))


async def _initialize(session: Any, found: dict[str, Any]) -> None:
    answer = await session.initialize()
    info = answer.server_info
    found["details"]["server"] = clean_text(str(info.name).encode(), 80)
    found["details"]["version"] = clean_text(str(info.version).encode(), 40)
    found["details"]["protocol"] = clean_text(str(answer.protocol_version).encode(), 20)


async def _requests(session: Any, limits: _Limits, found: dict[str, Any]) -> int:
    """Send the measured requests; return how many there were."""
    tools: dict[str, Any] = {}
    count = 0

    async def pages() -> None:
        tools.update(await all_tools(session))

    details = found["details"]
    ping, problem = await _timed(session.send_ping, limits)
    count += len(ping) + limits.warmup
    if problem:
        found["errors"].append(f"ping: {problem}")
    capabilities = session.server_capabilities
    if capabilities is None or capabilities.tools is not None:
        listed, problem = await _timed(pages, limits)
        count += len(listed) + limits.warmup
        if problem:
            found["errors"].append(f"tools/list: {problem}")
        if listed:
            details["tools_list_s"] = _mean(listed)
    details["tools"] = len(tools)
    if ping:
        details["ping_s"] = _mean(ping)
    found["latency"] = ping
    called: list[float] = []
    for tool, arguments in limits.calls.items():
        why = refusal(tools.get(tool), tool)
        if why:
            found["errors"].append(why)
            continue

        async def call(tool: str = tool, arguments: Any = arguments) -> None:
            answer = await session.call_tool(tool, dict(arguments))
            if getattr(answer, "is_error", False):
                raise ProbeError("the tool reports an error")

        times, problem = await _timed(call, limits)
        count += len(times) + limits.warmup
        if problem:
            found["errors"].append(f"{tool}: {problem}")
        called += times
    if called:
        details["call_s"] = _mean(called)
        found["latency"] = called
    if not found["latency"]:
        raise ProbeError("; ".join(found["errors"]) or "no request was answered")
    return count


async def all_tools(session: Any) -> dict[str, Any]:
    """Return the tools of a server by name, from all pages of its list."""
    from mcp import types

    tools: dict[str, Any] = {}
    cursor = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(**({"params": types.PaginatedRequestParams(cursor=cursor)} if cursor else {}))
        tools.update({str(t.name)[:200]: t for t in page.tools})
        cursor = page.next_cursor
        if not cursor:
            break
    return tools


def refusal(tool: Any, name: str) -> str:
    """Return why a tool must not be called; empty if it may be."""
    if tool is None:
        return f"{name}: the server has no such tool"
    hints = tool.annotations
    if hints is None or hints.read_only_hint is not True:
        return f"{name}: not called, the server does not mark it read-only"
    return f"{name}: not called, the server marks it destructive" if hints.destructive_hint is True else ""


async def _timed(call: Any, limits: _Limits) -> tuple[list[float], str]:
    times: list[float] = []
    for i in range(limits.warmup + limits.samples):
        begin = time.perf_counter()
        try:
            await asyncio.wait_for(call(), limits.request_s)
        except Exception as error:
            return times, str(error) if isinstance(error, ProbeError) else reason(error)
        if i >= limits.warmup:
            times.append(time.perf_counter() - begin)
    return times, ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def described_failure(program: Program, status: int | None, errors: list[str], secrets: tuple[str, ...]) -> str:
    """Return the reason of a failure: too many processes, missing credentials by name, last words, exit status."""
    if program.overgrown:
        return f"started more than {program.max_processes} processes"
    said = program.stderr(secrets)
    missing = [w for w in dict.fromkeys(_MISSING.findall(said)) if any(c in w for c in CREDENTIAL_WORDS)]
    ended = "" if status is None or status < 0 else f" (exit status {status})"
    if missing:
        return f"missing credentials: {', '.join(missing[:5])}{ended}"
    first = errors[0] if errors else "no answer"
    return f"{first}{ended}{': ' + said[-200:] if said else ''}"
