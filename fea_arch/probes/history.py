"""History of a watch in SQLite: rounds, measurements and events; survives restarts, crashes and clock changes.

Times of the wall clock are kept as they were. ``elapsed_s`` is a time axis of its own that only grows: within a run it
follows the monotonic clock, across restarts the wall clock as far as that moved forward.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import ModelError

__all__ = ["Event", "History", "Round"]

_VERSION = 1
_TABLES = """
CREATE TABLE rounds (id INTEGER PRIMARY KEY, at REAL NOT NULL, elapsed_s REAL NOT NULL, duration_s REAL NOT NULL,
  level INTEGER NOT NULL, mcp_running INTEGER NOT NULL, mcp_total INTEGER NOT NULL, cli_available INTEGER NOT NULL,
  cli_total INTEGER NOT NULL, score REAL, cracks INTEGER, memory_bytes REAL);
CREATE TABLE measurements (round INTEGER NOT NULL REFERENCES rounds(id), component TEXT NOT NULL, kind TEXT NOT NULL,
  ok INTEGER NOT NULL, latency_s REAL, samples INTEGER NOT NULL, cold_start_s REAL, memory_bytes REAL,
  errors TEXT NOT NULL);
CREATE INDEX measurements_by_component ON measurements (component, round);
CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL NOT NULL, elapsed_s REAL NOT NULL, kind TEXT NOT NULL,
  component TEXT NOT NULL, message TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over all probes; ``at`` is wall clock, ``elapsed_s`` the growing time axis [s]."""

    at: float
    elapsed_s: float
    duration_s: float
    level: int
    mcp_running: int
    mcp_total: int
    cli_available: int
    cli_total: int
    score: float | None = None
    cracks: int | None = None
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed.

    ``kind`` is one of ``down``, ``up``, ``level``, ``score``, ``crack``, ``mended``, ``memory``, ``clock``, ``start``,
    ``stop`` and ``failure``.
    """

    at: float
    elapsed_s: float
    kind: str
    component: str
    message: str


class History:
    """The history file of a watch.

    Parameters
    ----------
    path : str or Path
        SQLite file; it is created. A file that is damaged is set aside as ``<name>.damaged-<time>`` and a new one is
        started; ``set_aside`` names it.

    Raises
    ------
    ModelError
        The folder cannot be written, or the file belongs to a newer version or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.set_aside = Path(path), ""
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns() // 1_000_000}")
                self.path.rename(aside)
                self.set_aside = str(aside)
                self._db = self._open()
            self._count()
        except (OSError, sqlite3.OperationalError) as error:
            raise ModelError(
                f"cannot be opened: {error}", path=str(path), field="history", fix="a folder that is writable"
            ) from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10.0, check_same_thread=False, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version > _VERSION or (version == 0 and tables):
                raise ModelError("is not a history that this version can read", path=str(self.path), field="history")
            if tables and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
            db.execute("PRAGMA journal_mode=WAL")
            if version == 0:
                db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={_VERSION}; COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def add(self, entry: Round, measurements: Iterable[Measurement], events: Iterable[Event]) -> None:
        """Store one round, all or nothing."""
        rows = [
            (m.component, m.kind, int(m.ok), _mean(m), len(m.latency_s), m.cold_start_s, m.memory_bytes,
             json.dumps(list(m.errors)))
            for m in measurements
        ]  # fmt: skip
        noted = list(events)
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                done = self._db.execute(
                    "INSERT INTO rounds (at, elapsed_s, duration_s, level, mcp_running, mcp_total, cli_available,"
                    " cli_total, score, cracks, memory_bytes) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                    (entry.at, entry.elapsed_s, entry.duration_s, entry.level, entry.mcp_running, entry.mcp_total,
                     entry.cli_available, entry.cli_total, entry.score, entry.cracks, entry.memory_bytes),
                )  # fmt: skip
                number = done.lastrowid
                self._db.executemany(
                    "INSERT INTO measurements VALUES (?,?,?,?,?,?,?,?,?)", [(number, *row) for row in rows]
                )
                self._insert_events(noted)
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise
            self._rounds += 1
            self._failed.update({row[0]: int(not row[2]) for row in rows})
            self._kinds.update(e.kind for e in noted)

    def note(self, events: Iterable[Event]) -> None:
        """Store events outside a round."""
        noted = list(events)
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._insert_events(noted)
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._kinds.update(e.kind for e in noted)

    def _insert_events(self, events: Iterable[Event]) -> None:
        self._db.executemany(
            "INSERT INTO events (at, elapsed_s, kind, component, message) VALUES (?,?,?,?,?)",
            [(e.at, e.elapsed_s, e.kind, e.component, e.message) for e in events],
        )

    def rounds(self, last: int = 1000) -> list[Round]:
        """Return the latest rounds, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT at, elapsed_s, duration_s, level, mcp_running, mcp_total, cli_available, cli_total, score,"
                " cracks, memory_bytes FROM rounds ORDER BY id DESC LIMIT ?", (last,)
            ).fetchall()  # fmt: skip
        return [Round(*row) for row in reversed(rows)]

    def events(self, last: int = 1000) -> list[Event]:
        """Return the latest events, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT at, elapsed_s, kind, component, message FROM events ORDER BY id DESC LIMIT ?", (last,)
            ).fetchall()
        return [Event(*row) for row in reversed(rows)]

    def states(self) -> dict[str, bool]:
        """Return whether each component answered when it was last probed."""
        with self._lock:
            rows = self._db.execute(
                "SELECT component, ok FROM measurements WHERE (component, round) IN"
                " (SELECT component, max(round) FROM measurements GROUP BY component)"
            ).fetchall()
        return {name: bool(ok) for name, ok in rows}

    def broken(self) -> tuple[str, ...]:
        """Return the components whose last event of the kinds ``crack`` and ``mended`` is a ``crack``."""
        with self._lock:
            rows = self._db.execute(
                "SELECT component FROM events WHERE kind = 'crack' AND id IN"
                " (SELECT max(id) FROM events WHERE kind IN ('crack', 'mended') GROUP BY component)"
            ).fetchall()
        return tuple(name for (name,) in rows)

    def best_score(self) -> float | None:
        """Return the highest score since it last fell enough for an event; None without one."""
        with self._lock:
            found = self._db.execute(
                "SELECT max(score) FROM rounds WHERE elapsed_s >="
                " (SELECT coalesce(max(elapsed_s), 0) FROM events WHERE kind = 'score')"
            ).fetchone()[0]
        return None if found is None else float(found)

    def counts(self) -> dict[str, Any]:
        """Return totals since the history began: rounds, events by kind, failures by component."""
        with self._lock:
            return {"rounds": self._rounds, "events": dict(self._kinds), "failures": dict(self._failed)}

    def _count(self) -> None:
        # once, when the file is opened: a history of years is not counted again in every round
        self._rounds = int(self._db.execute("SELECT count(*) FROM rounds").fetchone()[0])
        self._kinds = Counter(dict(self._db.execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall()))
        failed = self._db.execute("SELECT component, sum(ok = 0) FROM measurements GROUP BY component").fetchall()
        self._failed = Counter(dict(failed))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _mean(m: Measurement) -> float | None:
    return sum(m.latency_s) / len(m.latency_s) if m.latency_s else None
