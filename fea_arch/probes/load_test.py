"""Load test of an endpoint, a callable, a command or a tool of an MCP server: closed-loop steps and open-loop rates."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from fea_arch.errors import MissingExtraError, ModelError, ProbeError
from fea_arch.probes import generators
from fea_arch.probes.commands import run_command
from fea_arch.probes.load_point import LoadTest, Record, summarise
from fea_arch.probes.mcp_load import McpTool, open_tool

__all__ = ["load_test"]

_MOST_CONCURRENT = 10_000
_MOST_THREADS = 256
#: Deviation from Little's law above which a point is annotated [1].
_LITTLE = 0.10


def load_test(
    target: str | Callable[[], Any] | Sequence[str] | McpTool,
    concurrencies: Sequence[int] = (1, 2, 4, 8),
    *,
    duration_s: float = 2.0,
    warmup_s: float = 0.3,
    rates: Sequence[float] | None = None,
    timeout_s: float = 10.0,
    poisson: bool = True,
    max_in_flight: int = 1000,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    seed: int = 0,
) -> LoadTest:
    """Load a target step by step and measure concurrency, throughput and latency.

    Parameters
    ----------
    target : str, callable, sequence of str or McpTool
        An ``http(s)://`` address, a callable without arguments (a coroutine function runs in one event loop, anything
        else in threads), a command as a list of arguments (never a shell line), or a read-only tool of an MCP server.
    concurrencies : sequence of int
        Closed-loop steps: requests kept in flight [req]. Empty for none.
    duration_s, warmup_s : float
        Measured window of each step, after a warm-up that is not measured [s].
    rates : sequence of float, optional
        Open-loop steps: offered rates [1/s]. Latency counts from the intended start of each request, so a generator or
        a target that falls behind does not hide its waiting (no coordinated omission).
    timeout_s : float
        Longest time for one request [s].
    poisson : bool
        Exponential gaps between open arrivals; else equal ones.
    max_in_flight : int
        Bound of the open loop [req]; arrivals beyond it wait, and that wait counts (256 at most for blocking calls).
    method, headers, content
        Of the HTTP request. Headers are sent and never stored.
    seed : int
        Of the arrival times.

    Returns
    -------
    LoadTest

    Raises
    ------
    ModelError
        A bad argument, or a step in which nothing was answered.
    ProbeError
        The target does not answer at all.
    MissingExtraError
        For an address without httpx.

    Examples
    --------
    >>> import time
    >>> test = load_test(lambda: time.sleep(0.01), concurrencies=(1, 4), duration_s=0.3, warmup_s=0.05)
    >>> [round(p.concurrency) for p in test]
    [1, 4]
    """
    steps = [("closed", _whole(c)) for c in concurrencies]
    steps += [("open", _positive(r, "rates", 1e6)) for r in rates or ()]
    if not steps:
        raise ModelError("neither concurrencies nor rates are given", field="concurrencies")
    for name, value in (("duration_s", duration_s), ("timeout_s", timeout_s), ("max_in_flight", max_in_flight)):
        _positive(value, name, 86400.0)
    if warmup_s < 0:
        raise ModelError(f"is {warmup_s:g}", field="warmup_s", fix="0 or more")
    started, points, latencies, notes = time.time(), [], [], []
    for mode, setting in steps:
        cpu, wall = time.process_time(), time.perf_counter()
        records, origin = _step(
            target, mode, setting, warmup_s + duration_s, timeout_s, poisson, max_in_flight, seed,
            {"method": method, "headers": dict(headers or {}), "content": content},
        )  # fmt: skip
        used = (time.process_time() - cpu) / max(time.perf_counter() - wall, 1e-9)
        point, sample = summarise(
            records, origin + warmup_s, origin + warmup_s + duration_s, mode=mode, setting=setting, client_cpu=used
        )
        points.append(point)
        latencies.append(sample)
        if point.client_limited:
            notes.append(f"{mode} {setting:g}: the generator may be the bottleneck (CPU {used:.2f})")
        if abs(point.little_error) > _LITTLE:
            notes.append(
                f"{mode} {setting:g}: X R/N - 1 = {point.little_error:+.0%}: not stationary, or some requests starve"
            )
    return LoadTest(_label(target), tuple(points), started, tuple(notes), tuple(latencies))


def _step(
    target: Any, mode: str, setting: float, length_s: float, timeout_s: float, poisson: bool, most: int, seed: int,
    request: dict[str, Any],
) -> tuple[list[Record], float]:  # fmt: skip
    times = generators.arrivals(setting, length_s, poisson=poisson, seed=seed) if mode == "open" else []
    if isinstance(target, str):
        return generators.run_async(_http_step(target, mode, setting, length_s, timeout_s, times, most, request))
    if isinstance(target, McpTool):
        return generators.run_async(_mcp_step(target, mode, setting, length_s, timeout_s, times, most))
    if not callable(target):
        command = [str(a) for a in target]

        def call() -> None:
            done = run_command(command, timeout_s=timeout_s)
            if done.failure:
                raise ProbeError(done.failure)
    elif iscoroutinefunction(target) or iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004
        if mode == "closed":
            return generators.run_async(generators.closed_async(target, int(setting), length_s, timeout_s))
        return generators.run_async(generators.open_async(target, times, timeout_s, most))
    else:
        call = target
    if mode == "closed":
        return generators.closed_threads(call, int(setting), length_s, timeout_s)
    return generators.open_threads(call, times, timeout_s, min(most, _MOST_THREADS))


async def _http_step(
    url: str, mode: str, setting: float, length_s: float, timeout_s: float, times: list[float], most: int,
    request: dict[str, Any],
) -> tuple[list[Record], float]:  # fmt: skip
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("httpx", "probe") from None
    if not url.startswith(("http://", "https://")):
        raise ModelError(
            f"{url[:80]!r} is not an address", field="target", fix="http://..., a callable, or a list of arguments"
        )
    # one connection for each request in flight: a shared pool of connections hands a waiting request to one that is
    # busy again, so with many in flight some starve and the target idles
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    # loaded once: every client would load the certificates anew
    trusted = ssl.create_default_context() if url.startswith("https://") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    built = {"method": request["method"], "url": url, "content": request["content"]}
    every: list[Any] = []
    spare: list[Any] = []

    async def call() -> None:
        if not spare:
            every.append(
                httpx.AsyncClient(timeout=timeout_s, limits=limits, headers=request["headers"], verify=trusted)
            )
            spare.append(every[-1])
        client = spare.pop()
        try:
            answer = await client.request(**built)
        finally:
            spare.append(client)
        if answer.status_code >= 400:
            raise ProbeError(f"status {answer.status_code}")

    try:
        try:
            with suppress(ProbeError):  # an error status is an answer; the step counts it
                await call()  # the first connection, and whether anybody is there at all
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProbeError(f"{_label(url)} does not answer: {generators.reason(error)}") from None
        if mode == "closed":
            return await generators.closed_async(call, int(setting), length_s, timeout_s)
        return await generators.open_async(call, times, timeout_s, most)
    finally:
        for client in every:
            await client.aclose()


async def _mcp_step(
    target: McpTool, mode: str, setting: float, length_s: float, timeout_s: float, times: list[float], most: int
) -> tuple[list[Record], float]:
    async with open_tool(target, timeout_s) as call:
        with suppress(ProbeError, asyncio.TimeoutError):  # the first call; the step counts what goes wrong
            await asyncio.wait_for(call(), timeout_s)
        if mode == "closed":
            return await generators.closed_async(call, int(setting), length_s, timeout_s)
        return await generators.open_async(call, times, timeout_s, most)


def _label(target: Any) -> str:
    if isinstance(target, McpTool):
        return target.tool
    if isinstance(target, str):
        from urllib.parse import urlsplit

        parts = urlsplit(target)  # neither user information nor a query may be kept: both carry secrets
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    if callable(target):
        return str(getattr(target, "__name__", type(target).__name__))
    return str(next(iter(target), ""))


def _whole(value: Any) -> float:
    number = _positive(value, "concurrencies", _MOST_CONCURRENT)
    if number != int(number):
        raise ModelError(f"holds {value!r}", field="concurrencies", fix="whole numbers of 1 or more")
    return number


def _positive(value: Any, field: str, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number <= most:
        raise ModelError(f"holds {value!r}", field=field, fix=f"numbers above 0, up to {most:g}")
    return number
