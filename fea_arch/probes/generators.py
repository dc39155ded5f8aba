"""Load generators: closed loops and open streams of asynchronous calls (one event loop) or blocking ones (threads)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np

from fea_arch.probes.load_point import Record

__all__ = ["arrivals", "closed_async", "closed_threads", "open_async", "open_threads", "reason", "run_async"]

T = TypeVar("T")
_REASON_LENGTH = 200


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also from inside a running event loop (a notebook), then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["value"] = asyncio.run(coroutine)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work, name="fea-arch-probe", daemon=True)
    thread.start()
    thread.join()
    if "error" in box:
        raise box["error"]
    return box["value"]  # type: ignore[no-any-return]


def reason(error: BaseException) -> str:
    """Return the kind of an error and the start of its first line; bounded, without control characters."""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "timeout"
    lines = str(error).strip().splitlines()
    text = "".join(c if c.isprintable() else "?" for c in lines[0])[:_REASON_LENGTH] if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def arrivals(rate_per_s: float, duration_s: float, *, poisson: bool, seed: int) -> list[float]:
    """Return the intended start times of an open stream [s]."""
    if not poisson:
        return (np.arange(int(rate_per_s * duration_s)) / rate_per_s).tolist()  # type: ignore[no-any-return]
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate_per_s, int(rate_per_s * duration_s + 6 * (rate_per_s * duration_s) ** 0.5 + 10))
    times = np.cumsum(gaps)
    return times[times < duration_s].tolist()  # type: ignore[no-any-return]


async def closed_async(
    call: Callable[[], Awaitable[Any]], workers: int, duration_s: float, timeout_s: float
) -> tuple[list[Record], float]:
    """Keep ``workers`` requests in flight; return the records and the start of the clock [s]."""
    records: list[Record] = []
    origin = time.perf_counter()
    stop = origin + duration_s

    async def loop() -> None:
        while (now := time.perf_counter()) < stop:
            record = Record(now, now)
            records.append(record)
            await _one(call, record, timeout_s)
            if record.error is not None:
                await asyncio.sleep(0.01)  # a target that fails at once must not turn into a busy loop

    tasks = [asyncio.ensure_future(loop()) for _ in range(workers)]
    await _settle(tasks, duration_s + timeout_s)
    return records, origin


async def open_async(
    call: Callable[[], Awaitable[Any]], times: list[float], timeout_s: float, most: int
) -> tuple[list[Record], float]:
    """Start a request at every intended time, at most ``most`` in flight; the rest wait, and their wait counts."""
    records: list[Record] = []
    tasks: list[asyncio.Future[None]] = []
    gate = asyncio.Semaphore(most)
    origin = time.perf_counter()

    async def one(record: Record) -> None:
        async with gate:
            record.start = time.perf_counter()
            await _one(call, record, timeout_s)

    for at in times:
        wait = origin + at - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        record = Record(origin + at, float("nan"))
        records.append(record)
        tasks.append(asyncio.ensure_future(one(record)))
    await _settle(tasks, timeout_s)
    return records, origin


async def _one(call: Callable[[], Awaitable[Any]], record: Record, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(call(), timeout_s)
    except Exception as error:
        record.error = reason(error)
    record.end = time.perf_counter()


async def _settle(tasks: Sequence[asyncio.Future[None]], timeout_s: float) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=1.0)


def closed_threads(
    call: Callable[[], Any], workers: int, duration_s: float, timeout_s: float
) -> tuple[list[Record], float]:
    """Keep ``workers`` blocking calls in flight, one thread each; a hung call is left behind in its daemon thread."""
    records: list[list[Record]] = [[] for _ in range(workers)]
    origin = time.perf_counter()
    stop = origin + duration_s

    def loop(own: list[Record]) -> None:
        while (now := time.perf_counter()) < stop:
            record = Record(now, now)
            own.append(record)
            _blocking(call, record)
            if record.error is not None:
                time.sleep(0.01)

    _join([threading.Thread(target=loop, args=(own,), daemon=True) for own in records], duration_s + timeout_s)
    return [r for own in records for r in list(own)], origin


def open_threads(
    call: Callable[[], Any], times: list[float], timeout_s: float, most: int
) -> tuple[list[Record], float]:
    """Start a blocking call at every intended time from a pool of threads; waiting for a free thread counts."""
    todo: SimpleQueue[Record | None] = SimpleQueue()  # None ends a thread
    records: list[Record] = []

    def loop() -> None:
        while (record := todo.get()) is not None:
            record.start = time.perf_counter()
            _blocking(call, record)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(most)]
    for thread in threads:
        thread.start()
    origin = time.perf_counter()
    for at in times:
        wait = origin + at - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        record = Record(origin + at, float("nan"))
        records.append(record)
        todo.put(record)
    for _ in threads:
        todo.put(None)
    deadline = time.perf_counter() + timeout_s
    for thread in threads:
        thread.join(max(deadline - time.perf_counter(), 0.0))
    with suppress(Empty):  # what has not been started by now never will be
        while True:
            todo.get_nowait()
    for _ in threads:  # a thread whose call returns later still ends
        todo.put(None)
    return records, origin


def _blocking(call: Callable[[], Any], record: Record) -> None:
    try:
        call()
    except Exception as error:
        record.error = reason(error)
    record.end = time.perf_counter()


def _join(threads: list[threading.Thread], timeout_s: float) -> None:
    for thread in threads:
        thread.start()
    deadline = time.perf_counter() + timeout_s
    for thread in threads:
        thread.join(max(deadline - time.perf_counter(), 0.0))
