"""Probe of a command line tool: present, version, start-up time, peak memory."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import ModelError
from fea_arch.probes.commands import SHORT_S, peak_bytes, run_command
from fea_arch.probes.credentials import secrets_of
from fea_arch.probes.lifecycle import checked_command, clean_text

__all__ = ["VERSION_ARGUMENTS", "probe_cli"]

#: Tools that do not answer to ``--version``.
VERSION_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
    "ssh": ("-V",),
    "tmux": ("-V",),
    "go": ("version",),
    "java": ("-version",),
}
_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")


def probe_cli(
    name: str,
    command: Sequence[str] | None = None,
    *,
    arguments: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    samples: int = 5,
    warmup: int = 1,
    timeout_s: float = 15.0,
    max_output_bytes: int = 1 << 20,
    max_processes: int = 64,
) -> Measurement:
    """Measure how long a tool takes to start and say its version, and how much memory that needs.

    Parameters
    ----------
    name : str
        Name of the component; also the tool unless ``command`` is given.
    command : sequence of str, optional
        The tool and its fixed first arguments (``["npx", "byterover-cli"]``).
    arguments : sequence of str, optional
        Of the version command; by default ``--version`` or what the tool is known to want.
    env : mapping, optional
        Passed on; never stored.
    samples, warmup : int
        Measured runs, after some that are not (the first run fills the file cache and counts as the cold start).
    timeout_s : float
        Longest time of one run [s].
    max_output_bytes, max_processes : int
        Bounds at which a run is ended.

    Returns
    -------
    Measurement
        ``latency_s`` holds the start-up times [s]; ``ok`` is False if the tool is absent or fails.

    Raises
    ------
    ModelError
        A command that is not a list of arguments.

    Examples
    --------
    >>> probe_cli("no-such-tool-here").errors
    ("'no-such-tool-here' is not on the PATH",)
    """
    parts = checked_command(command if command is not None else [name])
    if samples < 1 or warmup < 0:
        raise ModelError(f"is {samples} after {warmup}", component=name, field="samples", fix="1 or more")
    tool = os.path.basename(parts[0])
    version = list(arguments) if arguments is not None else list(VERSION_ARGUMENTS.get(tool, ("--version",)))
    secrets = secrets_of(parts, env=env)
    started_at, errors, times = time.time(), [], []
    cold, peak, unique, cpu = None, 0.0, None, 0.0
    details: dict[str, Any] = {}
    for i in range(warmup + samples):
        try:
            done = run_command(
                [*parts, *version], env=env, timeout_s=timeout_s, max_output_bytes=max_output_bytes,
                max_processes=max_processes, watch_memory=i == 0,
            )  # fmt: skip
        except ModelError as error:
            errors.append(error.message)
            break
        if done.failure:
            errors.append(clean_text(f"{done.failure}: {done.output}".encode(), secrets=secrets))
            break
        if i == 0:
            cold, peak, unique, cpu = done.wall_s, done.memory_bytes or 0.0, done.unique_bytes, done.cpu_s or 0.0
            found = _VERSION.search(done.output)
            if found:
                details["version"] = found.group()[:40]
        if i >= warmup:
            times.append(done.wall_s)
    ok = bool(times) and not errors
    if ok and min(times) < SHORT_S:
        peak = max(peak, peak_bytes([*parts, *version], env=env) or 0.0)
    return Measurement(
        component=name,
        kind="cli",
        ok=ok,
        latency_s=tuple(times),
        cold_start_s=cold,
        memory_bytes=peak or None,
        unique_bytes=unique,
        cpu_s=min(cpu, sum(times) / len(times)) if ok and cpu >= 0.05 else None,
        errors=tuple(errors),
        started_at=started_at,
        details=details,
    )
