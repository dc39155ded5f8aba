"""A stdio MCP server that is kept running between measurements, so that its memory can be followed over time."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import MissingExtraError, ModelError
from fea_arch.probes.credentials import secrets_of
from fea_arch.probes.generators import reason
from fea_arch.probes.lifecycle import Program, clean_text
from fea_arch.probes.mcp import described_failure
from fea_arch.probes.mcp_session import load_sdk, stdio_session
from fea_arch.probes.targets import Target

__all__ = ["KeptServer"]


class KeptServer:
    """Keeps one server and its session; every check pings it, and a server that died is started again by the next."""

    def __init__(self, target: Target, *, start_timeout_s: float = 30.0, timeout_s: float = 5.0) -> None:
        self.target, self.start_timeout_s, self.timeout_s = target, start_timeout_s, timeout_s
        self._secrets = secrets_of(target.command, target.url, target.env, target.headers)
        self.starts = 0
        self._program: Program | None = None
        self._cold_start_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Any = None
        self._close: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server while it runs."""
        return self._program.pid if self._program is not None else None

    def check(self, samples: int = 3) -> Measurement:
        """Ping the server and measure its memory; start it first if it does not run.

        Returns
        -------
        Measurement
            ``ok`` is False in the round that finds it dead; the next round starts it again.
        """
        began = time.time()
        name = self.target.component
        if self._program is None:
            problem = self._start()
            if problem:
                return Measurement(name, "mcp", ok=False, errors=(problem,), started_at=began)
        times, problem = self._pings(samples)
        program = self._program
        if problem or program is None:
            said = self.stop(problem)
            return Measurement(name, "mcp", ok=False, errors=(said,), started_at=began)
        tree = program.tree()
        return Measurement(
            name, "mcp", latency_s=tuple(times), cold_start_s=self._cold_start_s, memory_bytes=tree.memory_bytes,
            unique_bytes=tree.unique_bytes, started_at=began,
            details={"processes": tree.processes, "starts": self.starts, "cpu_total_s": tree.cpu_s},
        )  # fmt: skip

    def _start(self) -> str:
        load_sdk()
        try:
            self._program = Program(self.target.command, env=self.target.env, cwd=self.target.cwd)
        except ModelError as error:
            return error.message
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(self._program, ready), daemon=True)
        self._thread.start()
        try:
            ready.result(self.start_timeout_s)
        except MissingExtraError:
            self.stop("")
            raise
        except TimeoutError:
            return self.stop(f"no answer to initialize within {self.start_timeout_s:g} s")
        except Exception as error:
            return self.stop(reason(error))
        self._cold_start_s = time.perf_counter() - self._program.started
        self.starts += 1
        return ""

    def _serve(self, program: Program, ready: Future[None]) -> None:
        async def hold() -> None:
            self._loop, self._close = asyncio.get_running_loop(), asyncio.Event()
            async with stdio_session(program, longest_s=max(self.start_timeout_s, self.timeout_s)) as (session, _):
                await asyncio.wait_for(session.initialize(), self.start_timeout_s)
                self._session = session
                ready.set_result(None)
                await self._close.wait()

        try:
            asyncio.run(hold())
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            if not ready.done():
                ready.set_exception(error)

    def _pings(self, samples: int) -> tuple[list[float], str]:
        times: list[float] = []
        for _ in range(samples):
            begin = time.perf_counter()
            if self._program is None or self._program.process.poll() is not None:
                return times, "the server has ended"
            assert self._loop is not None
            try:
                asyncio.run_coroutine_threadsafe(self._session.send_ping(), self._loop).result(self.timeout_s)
            except TimeoutError:
                return times, f"no answer to ping within {self.timeout_s:g} s"
            except Exception as error:
                return times, reason(error)
            times.append(time.perf_counter() - begin)
        return times, ""

    def stop(self, problem: str = "") -> str:
        """End the server; return why, with its last words."""
        program, self._program = self._program, None
        if self._loop is not None and self._close is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._close.set)
        said = problem
        if program is not None:
            status = program.stop(grace_s=0.5)
            said = described_failure(program, status, [problem] if problem else [], self._secrets)
        if self._thread is not None:
            self._thread.join(3.0)
        self._loop = self._close = self._session = self._thread = None
        return clean_text(said.encode(), secrets=self._secrets)
