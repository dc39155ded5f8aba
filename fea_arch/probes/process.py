"""Probe of processes that already run: memory and processor use by name or id, against a memory limit."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import MissingExtraError, ModelError

__all__ = ["MEMORY_LIMIT_BYTES", "probe_process"]

#: Budget of all tools together on one machine [bytes].
MEMORY_LIMIT_BYTES = 2e9


def probe_process(
    name: str,
    *,
    pids: Sequence[int] | None = None,
    match: Sequence[str] | None = None,
    children: bool = True,
    interval_s: float = 0.2,
    memory_limit_bytes: float | None = MEMORY_LIMIT_BYTES,
) -> Measurement:
    """Measure resident memory and processor use of running processes.

    Parameters
    ----------
    name : str
        Name of the component.
    pids : sequence of int, optional
        Process ids.
    match : sequence of str, optional
        Words of which one must equal the name of a process, or the file name of its program or of its script.
        Arguments beyond those are not looked at. Default: ``name``.
    children : bool
        Whether descendants count too.
    interval_s : float
        Time over which processor use is measured [s].
    memory_limit_bytes : float, optional
        Total that is allowed; ``details["memory_share"]`` is the used share [1].

    Returns
    -------
    Measurement
        ``ok`` is False if there is no such process.

    Raises
    ------
    ModelError
        A process id that is not positive, an empty match.
    MissingExtraError
        Without psutil.
    """
    try:
        import psutil
    except ImportError:
        raise MissingExtraError("psutil", "probe") from None
    if pids is not None and any(not isinstance(p, int) or p <= 0 for p in pids):
        raise ModelError(f"is {list(pids)!r}", component=name, field="pids", fix="positive process ids")
    words = {w for w in (match if match is not None else [name]) if w}
    if pids is None and not words:
        raise ModelError("is empty", component=name, field="match", fix="at least one word")
    started_at = time.time()
    roots = _by_id(psutil, pids) if pids is not None else _by_name(psutil, words)
    members = {p.pid: p for p in roots}
    if children:
        for process in roots:
            with suppress(psutil.Error):
                members.update({c.pid: c for c in process.children(recursive=True)})
    before = _cpu(psutil, members)
    begin = time.perf_counter()
    time.sleep(interval_s)
    after = _cpu(psutil, members)
    passed = time.perf_counter() - begin
    rss = uss = 0.0
    alive, hidden = 0, 0
    for process in members.values():
        with suppress(psutil.Error):
            rss += process.memory_info().rss
            alive += 1
            try:
                uss += process.memory_full_info().uss
            except psutil.Error:
                hidden += 1
    used = sum(after[p] - before.get(p, after[p]) for p in after) / passed
    details: dict[str, Any] = {"processes": alive, "cpu_cores": used}
    if memory_limit_bytes:
        details["memory_share"] = rss / memory_limit_bytes
    errors: list[str] = []
    if not alive:
        errors.append("no such process")
    elif memory_limit_bytes and rss > memory_limit_bytes:
        errors.append(f"{rss / 1e9:.2f} GB are above the limit of {memory_limit_bytes / 1e9:g} GB")
    return Measurement(
        component=name, kind="process", ok=alive > 0, memory_bytes=rss if alive else None,
        unique_bytes=uss if alive and not hidden else None, errors=tuple(errors), started_at=started_at,
        details=details,
    )  # fmt: skip


def _by_id(psutil: Any, pids: Sequence[int]) -> list[Any]:
    found = []
    for pid in pids:
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _by_name(psutil: Any, words: set[str]) -> list[Any]:
    own = {os.getpid(), os.getppid()}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = [os.path.basename(part) for part in process.cmdline()[:2]]
            names = {process.name(), *line, *(os.path.splitext(part)[0] for part in line)}
            if process.pid not in own and names & words:
                found.append(process)
    return found


def _cpu(psutil: Any, members: dict[int, Any]) -> dict[int, float]:
    spent = {}
    for pid, process in members.items():
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent[pid] = times.user + times.system
    return spent
