"""Run a command to its end: bounded in time, output and processes, with its largest memory if wanted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fea_arch.probes.credentials import secrets_of
from fea_arch.probes.lifecycle import MOST_PROCESSES, Program, Tree, clean_text

__all__ = ["SHORT_S", "Done", "peak_bytes", "run_command"]

#: Time in which memory is sampled every millisecond [s].
_EARLY_S = 0.05
#: A run that is shorter than this may be over before its memory has been seen: see :func:`peak_bytes` [s].
SHORT_S = 0.05


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did: exit status, time [s], largest memory seen [bytes], start of its output."""

    status: int | None
    wall_s: float
    memory_bytes: float | None
    unique_bytes: float | None
    cpu_s: float | None
    output: str
    failure: str


def run_command(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout_s: float = 10.0,
    max_output_bytes: int = 1 << 20,
    max_processes: int = MOST_PROCESSES,
    watch_memory: bool = False,
) -> Done:
    """Run a command to its end within bounds.

    Raises
    ------
    ModelError
        If it cannot be started.
    """
    secrets = secrets_of(command, env=env)
    program = Program(command, env=env, cwd=cwd, stdin=False, max_processes=max_processes)
    kept, size = bytearray(), 0
    peak: Tree | None = None
    most, looked = 0.0, 0.0
    finished = threading.Event()

    def read() -> None:
        nonlocal size
        with suppress(OSError, ValueError):
            assert program.process.stdout is not None
            while chunk := program.process.stdout.read(65536):
                size += len(chunk)
                if len(kept) < 4096:
                    kept.extend(chunk[: 4096 - len(kept)])
                if size > max_output_bytes:
                    return
        finished.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline, failure, wall = program.started + timeout_s, "", 0.0
    while True:
        status = program.process.poll()
        wall = time.perf_counter() - program.started
        if status is not None:
            break
        if wall > timeout_s:
            failure = f"no end within {timeout_s:g} s"
            break
        if size > max_output_bytes:
            failure = f"more than {max_output_bytes} bytes of output"
            break
        if program.overgrown:
            break
        pause = 0.02
        if watch_memory:
            # a tool may be gone in milliseconds: look at it often first, at its whole tree later
            pause = 0.001 if wall < _EARLY_S else 0.02
            most = max(most, program.resident_bytes(alone=wall < _EARLY_S) or 0.0)
            if wall >= _EARLY_S and wall - looked > 0.1:
                looked, now = wall, program.tree()
                peak = now if peak is None or now.memory_bytes > peak.memory_bytes else peak
        program.wait(min(pause, max(deadline - time.perf_counter(), 0.001)))
    if not failure and not program.overgrown:
        finished.wait(0.5)
    status = program.stop(grace_s=0.05 if not failure else 0.5)
    reader.join(0.5)
    if program.overgrown:
        failure = f"started more than {max_processes} processes"
    elif not failure and status:
        failure = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    output = clean_text(bytes(kept) or program.stderr().encode(), secrets=secrets)
    return Done(
        None if failure.startswith(("no end", "more", "started")) else status,
        wall,
        max(most, peak.memory_bytes if peak else 0.0) or None,
        peak.unique_bytes if peak else None,
        peak.cpu_s if peak else None,
        output,
        failure,
    )


def peak_bytes(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, hold_s: float = 3 * SHORT_S
) -> float | None:
    """Return the largest memory of a command that is over in milliseconds [bytes]; None where it cannot be seen.

    Its output goes to a pipe that is full already, so it stops at its last words and can be looked at in peace; then
    the pipe is emptied and it ends.
    """
    read, write = os.pipe()
    most = 0.0
    try:
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write, bytes(4096))
        os.set_blocking(write, True)  # the flag is the pipe's, not this process's: the program shares it
        with Program(command, env=env, stdin=False, output=write) as program:
            while time.perf_counter() - program.started < hold_s and program.process.poll() is None:
                most = max(most, program.largest_bytes() or 0.0)
                program.wait(0.002)
            deadline = time.perf_counter() + 1.0
            while program.process.poll() is None and time.perf_counter() < deadline:
                with suppress(BlockingIOError):
                    while os.read(read, 65536):
                        pass
                most = max(most, program.largest_bytes() or 0.0)
                program.wait(0.005)
    finally:
        os.close(read)
        os.close(write)
    return most or None
