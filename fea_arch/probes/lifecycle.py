"""Start programs for a probe, bound what they may do, and end everything they started.

A program runs in a session of its own with its argument list (never a shell). A guard watches its process tree: more
processes than allowed end it. Ending goes by process id: close standard input, wait, SIGTERM to the group, wait,
SIGKILL to the group, then whatever left the group but still carries the marker of this run in its environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from fea_arch.errors import MissingExtraError, ModelError

__all__ = ["MOST_PROCESSES", "Program", "Tree", "checked_command", "clean_text"]

MARKER = "FEA_ARCH_PROBE"
MOST_PROCESSES = 64
_TAIL_BYTES = 16_384
_GUARD_PERIOD_S = 0.05
#: What a probed program inherits: the settings of the machine and the user, not the secrets of this process.
_INHERITED = frozenset(
    """APPDATA HOME HOMEDRIVE HOMEPATH LANG LC_ALL LOCALAPPDATA LOGNAME PATH PATHEXT PROCESSOR_ARCHITECTURE SHELL
    SYSTEMDRIVE SYSTEMROOT TEMP TERM TMP TMPDIR USER USERNAME USERPROFILE XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    XDG_RUNTIME_DIR""".split()  # noqa: SIM905
)


def checked_command(command: Any) -> list[str]:
    """Return a command as a list of arguments.

    Raises
    ------
    ModelError
        A text (a shell line is never run), an empty list, a part that is not a text or holds a NUL.
    """
    if isinstance(command, (str, bytes)) or not isinstance(command, Sequence):
        raise ModelError("is not a list of arguments", field="command", fix='for instance ["git", "--version"]')
    parts = list(command)
    if not parts or not all(isinstance(p, str) and "\0" not in p for p in parts) or not parts[0]:
        raise ModelError("is not a list of texts", field="command", fix='for instance ["git", "--version"]')
    return parts


def clean_text(data: bytes, limit: int = 400, secrets: Sequence[str] = ()) -> str:
    """Return the start of a program's output as printable text, with the given secrets blanked out."""
    text = data.decode("utf-8", "replace")
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:limit]


@dataclass(frozen=True, slots=True)
class Tree:
    """Memory and processor use of a process tree at one moment."""

    processes: int
    memory_bytes: float
    unique_bytes: float | None
    cpu_s: float


class Program:
    """A running program with its guard.

    Parameters
    ----------
    command : sequence of str
    env : mapping, optional
        Added to the inherited settings; passed on, never stored.
    stdin : bool
        Whether to open a pipe to its standard input.
    output : int, optional
        File descriptor for its standard output and error; by default a pipe for each.
    max_processes : int
        Size of the process tree at which the program is ended.

    Raises
    ------
    ModelError
        If the program cannot be started; the message holds no argument and no environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bool = True,
        output: int | None = None,
        max_processes: int = MOST_PROCESSES,
    ) -> None:
        parts = checked_command(command)
        self.name = os.path.basename(parts[0])
        self.marker = uuid.uuid4().hex
        surroundings = {k: os.environ[k] for k in _INHERITED if k in os.environ}
        surroundings.update({str(k): str(v) for k, v in (env or {}).items()})
        found = shutil.which(parts[0], path=surroundings.get("PATH"))
        if found is None:
            raise ModelError(f"{self.name!r} is not on the PATH", field="command", fix="install it, or give its path")
        self.max_processes, self.overgrown, self._over = max_processes, False, False
        self._tail: deque[bytes] = deque()
        self._tail_size, self.stderr_bytes = 0, 0
        self.started = time.perf_counter()
        try:
            self.process = subprocess.Popen(  # noqa: S603
                [found, *parts[1:]],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if output is None else output,
                stderr=subprocess.PIPE if output is None else output,
                env={**surroundings, MARKER: self.marker},
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "bad argument"
            raise ModelError(f"{self.name!r} cannot be started: {why}", field="command") from None
        self.pid = self.process.pid
        self._pidfd = _pidfd(self.pid)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._guard, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _drain(self, pipe: IO[bytes] | None) -> None:
        # a full pipe would stop the program: read on, keep the end
        with suppress(OSError, ValueError):
            while pipe is not None and (chunk := pipe.read(65536)):
                self.stderr_bytes += len(chunk)
                self._tail.append(chunk[-_TAIL_BYTES:])
                self._tail_size += len(self._tail[-1])
                while self._tail_size - len(self._tail[0]) >= _TAIL_BYTES:
                    self._tail_size -= len(self._tail.popleft())

    def _guard(self) -> None:
        while not self._stop.wait(_GUARD_PERIOD_S):
            if self.process.poll() is not None and not _group(self.pid):
                self._over = True  # from now on the number may belong to somebody else
                return
            if len(_group(self.pid)) > self.max_processes:
                self.overgrown = True
                self._kill_all()
                return

    def stderr(self, secrets: Sequence[str] = ()) -> str:
        """Return the last part of its standard error as printable text, secrets blanked out."""
        return clean_text(b"".join(self._tail)[-_TAIL_BYTES:][-2000:], secrets=secrets)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the program ends; on Linux without polling, so that short run times are exact."""
        if self.process.poll() is not None:
            return True
        if self._pidfd is not None:
            import select

            select.select([self._pidfd], [], [], timeout_s)
        else:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        return self.process.poll() is not None

    def resident_bytes(self, *, alone: bool = False) -> float | None:
        """Return the resident memory of the tree (or of its root alone), cheaply; None where the system hides it."""
        found = [_exact_bytes(pid) for pid in ([self.pid] if alone else _group(self.pid))]
        known = [size for size in found if size is not None]
        return float(sum(known)) if sum(known) else None

    def largest_bytes(self) -> float | None:
        """Return the largest resident memory that the root has had so far; None where the system hides it."""
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{self.pid}/status", "rb") as file:
            for line in file.read(4096).splitlines():
                if line.startswith(b"VmHWM:"):
                    return max(int(line.split()[1]) * 1024.0, float(_exact_bytes(self.pid) or 0))
        return None

    def tree(self) -> Tree:
        """Measure the process tree.

        Raises
        ------
        MissingExtraError
            Without psutil.
        """
        psutil = _psutil()
        rss = uss = cpu = 0.0
        count, unique = 0, True
        for pid in _group(self.pid) or [self.pid]:
            with suppress(psutil.Error):
                one = psutil.Process(pid)
                rss += one.memory_info().rss
                times = one.cpu_times()
                cpu += times.user + times.system
                count += 1
                try:
                    uss += one.memory_full_info().uss
                except psutil.Error:
                    unique = False
        return Tree(count, rss, uss if unique and count else None, cpu)

    def stop(self, grace_s: float = 1.5) -> int | None:
        """End the program and everything it started; return its exit status (None if it cannot be collected)."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        if not self.overgrown and not self._gone(grace_s):
            if not self._over:
                _signal_group(self.pid, signal.SIGTERM)
            self._gone(grace_s)
        self._kill_all()
        self._stop.set()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0)
        for thread in self._threads:
            thread.join(1.0)
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None and not self._threads[0].is_alive():
                with suppress(OSError):
                    pipe.close()
        return self.process.returncode

    def _gone(self, within_s: float) -> bool:
        deadline = time.perf_counter() + within_s
        while not self._over and time.perf_counter() < deadline:
            if self.process.poll() is not None and not _group(self.pid):
                self._over = True
            time.sleep(0.01)
        return self._over

    def _kill_all(self) -> None:
        # a program that forks as fast as it is killed needs several rounds
        for _ in range(50):
            if self._over or not _group(self.pid):
                break
            _signal_group(self.pid, signal.SIGKILL)
            time.sleep(0.01)
            self.process.poll()
        for pid in _marked(self.marker):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _exact_bytes(pid: int) -> int | None:
    # statm lags behind by some dozen pages for each processor, which is all that a small tool ever has
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file.read(4096).splitlines():
            if line.startswith(b"Rss:"):
                return int(line.split()[1]) * 1024
    return None


def _pidfd(pid: int) -> int | None:
    with suppress(OSError, AttributeError):
        return os.pidfd_open(pid)
    return None


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        raise MissingExtraError("psutil", "probe") from None
    return psutil


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(OSError):  # one system call for the group: no member can fork in between
        os.killpg(pid, number)
    for member in _group(pid):  # a member may have opened a process group of its own
        with suppress(OSError):
            os.kill(member, number)


def _group(session: int) -> list[int]:
    """Return the live processes of a session that this module opened (zombies are not counted)."""
    if not os.path.isdir("/proc/self"):
        try:
            parent = _psutil().Process(session)
            return [session, *(c.pid for c in parent.children(recursive=True))]
        except Exception:
            return []
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    rest = file.read(1024).rpartition(b")")[2].split()
                if int(rest[3]) == session and rest[0] not in (b"Z", b"X"):
                    found.append(int(name))
    return found


def _marked(marker: str) -> list[int]:
    """Return processes that carry the marker of one run in their environment (they left its session)."""
    needle, found = f"{MARKER}={marker}".encode(), []
    if os.path.isdir("/proc/self"):
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                    if needle in file.read(1 << 20):
                        found.append(int(name))
    return found
