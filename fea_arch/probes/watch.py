"""Watch a platform: probe on a schedule, keep a history, raise events when something gets worse."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fea_arch.architecture.health import Health, health
from fea_arch.architecture.measurement import Measurement
from fea_arch.errors import MissingExtraError, ModelError
from fea_arch.probes.generators import reason
from fea_arch.probes.history import Event, History, Round
from fea_arch.probes.kept_server import KeptServer
from fea_arch.probes.measure import probe
from fea_arch.probes.memory_trend import MemoryTrend, memory_trend
from fea_arch.probes.process import MEMORY_LIMIT_BYTES
from fea_arch.probes.targets import Target

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture

__all__ = ["Assessment", "Snapshot", "Watch"]

_CLOCK_JUMP_S = 5.0
_TREND_ROUNDS = 240
_HORIZON_S = 24 * 3600.0
_SCORE_DROP = 5.0
_MOST_UNSAVED = 10_000


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the analyses say about the measured architecture: score (0 to 100) and components that break."""

    score: float | None = None
    cracks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """State after a round."""

    round: Round
    health: Health
    measurements: Mapping[str, Measurement]
    assessment: Assessment
    trend: MemoryTrend | None
    events: tuple[Event, ...]
    memory_limit_bytes: float
    counts: Mapping[str, Any] = field(default_factory=dict)


class Watch:
    """Repeats the probes of an architecture.

    Parameters
    ----------
    arch : Architecture
    targets : iterable of Target
        Servers over stdio are kept running between rounds, so that their memory can be followed; one that dies counts
        as down in that round and is started again in the next.
    history : History
    interval_s : float
        Time between the starts of two rounds, by the monotonic clock [s].
    log : str or Path, optional
        Text file to append to.
    assess : callable, optional
        Takes the measured architecture, returns an :class:`Assessment`. If it fails, the round is kept without.
    memory_limit_bytes : float
        Budget of all servers together [bytes].
    tools_every : int
        Tools are started only in every n-th round.
    on_probed : callable, optional
        Takes the health, by the score of the round before, and the measurements as soon as a round has probed: what
        is down is known before the analyses are done, which may take longer than the next round needs to restart it.
    on_snapshot : callable, optional
        Called after every round.
    """

    def __init__(
        self,
        arch: Architecture,
        targets: Iterable[Target],
        history: History,
        *,
        interval_s: float = 60.0,
        log: str | Path | None = None,
        assess: Callable[[Architecture], Assessment] | None = None,
        memory_limit_bytes: float = MEMORY_LIMIT_BYTES,
        tools_every: int = 10,
        samples: int = 3,
        workers: int = 4,
        start_timeout_s: float = 30.0,
        timeout_s: float = 5.0,
        required_mcp: int | None = None,
        required_share: float | None = None,
        on_probed: Callable[[Health, Mapping[str, Measurement]], None] | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if interval_s <= 0 or tools_every < 1 or memory_limit_bytes <= 0:
            raise ModelError(f"is {interval_s:g}", field="interval_s", fix="times, counts and limits above 0")
        self.arch, self.targets, self.history = arch, list(targets), history
        for target in self.targets:
            arch.number(target.component)
        self.interval_s, self.log, self.assess = interval_s, Path(log) if log else None, assess
        self.memory_limit_bytes, self.tools_every, self.samples = memory_limit_bytes, tools_every, samples
        self.workers, self.start_timeout_s, self.timeout_s = workers, start_timeout_s, timeout_s
        self.required = {"required_mcp": required_mcp, "required_share": required_share}
        self.on_probed, self.on_snapshot = on_probed, on_snapshot
        self._clock, self._monotonic = clock, monotonic
        self.kept = {
            t.component: KeptServer(t, start_timeout_s=start_timeout_s, timeout_s=timeout_s)
            for t in self.targets
            if t.kind == "mcp" and t.command
        }
        self.stopping = threading.Event()
        self.round_number = 0
        self._last: dict[str, Measurement] = {}
        before = history.rounds(last=1)
        self._states = history.states()
        self._previous = before[-1] if before else None
        self._cracks, self._best = set(history.broken()), history.best_score()
        self._warned = self._log_refused = False
        self._unsaved: deque[tuple[Round | None, list[Measurement], list[Event]]] = deque(maxlen=_MOST_UNSAVED)
        now, steady = clock(), monotonic()
        gap = max(now - self._previous.at, 0.0) if self._previous else 0.0
        start = (self._previous.elapsed_s + gap) if self._previous else 0.0
        self._origin = (start - steady, now - steady)
        words = "first start" if not before else f"started again after {gap:.0f} s"
        if history.set_aside:
            words += f"; a damaged history was set aside as {history.set_aside}"
        self._note([self._event("start", "", words)])

    def run(self, *, duration_s: float | None = None) -> None:
        """Run rounds until :meth:`stop` is called or the time is over; a failing round never ends the watch."""
        begin = self._monotonic()
        due = begin
        try:
            while not self.stopping.is_set():
                try:
                    self.once()
                except MissingExtraError:
                    raise
                except Exception as error:  # the watch outlives whatever goes wrong in a round
                    self._note([self._event("failure", "", f"round failed: {reason(error)}")])
                due = max(due + self.interval_s, self._monotonic())
                if duration_s is not None and due - begin > duration_s:
                    break
                self.stopping.wait(max(due - self._monotonic(), 0.0))
        finally:
            self.close()

    def stop(self) -> None:
        """Ask :meth:`run` to end after the current probe."""
        self.stopping.set()

    def close(self) -> None:
        """End the servers that are kept running."""
        for server in self.kept.values():
            server.stop()
        self._note([self._event("stop", "", "stopped")])

    def once(self) -> Snapshot:
        """Run one round and store it."""
        begin = self._monotonic()
        events = self._clock_events()
        found = self._probe_all()
        self._last.update(found)
        measured = self.arch.measured(self._last)
        if self.on_probed is not None:
            before = self._previous.score if self._previous else None
            self.on_probed(health(measured, self._last, before, **self.required), dict(self._last))  # type: ignore[arg-type]
        assessment, assessed = Assessment(), False
        if self.assess is not None:
            try:
                assessment, assessed = self.assess(measured), True
            except Exception as error:  # the measurements are kept whatever the analyses do
                events.append(self._event("failure", "", f"analysis failed: {reason(error)}"))
        state = health(measured, self._last, assessment.score, **self.required)  # type: ignore[arg-type]
        memory = [m.memory_bytes for n, m in self._last.items() if n in self.kept and m.ok and m.memory_bytes]
        entry = Round(
            at=self._clock(), elapsed_s=self._elapsed(), duration_s=self._monotonic() - begin, level=state.level,
            mcp_running=state.mcp_running, mcp_total=state.mcp_total, cli_available=state.cli_available,
            cli_total=state.cli_total, score=assessment.score,
            cracks=len(assessment.cracks) if assessed else None,
            memory_bytes=float(sum(memory)) if memory else None,
        )  # fmt: skip
        past = [r for r in self.history.rounds(last=_TREND_ROUNDS) if r.mcp_running == entry.mcp_running]
        trend = memory_trend(
            [r.elapsed_s for r in (*past, entry)],
            [float("nan") if r.memory_bytes is None else r.memory_bytes for r in (*past, entry)],
            self.memory_limit_bytes,
        )
        events += self._changes(found, entry, state, assessment.cracks if assessed else None, trend)
        self._write(entry, state, events)
        self._keep(entry, list(found.values()), events)
        self._states.update({n: m.ok for n, m in found.items()})
        self._previous = entry
        self.round_number += 1
        snapshot = Snapshot(
            entry, state, dict(self._last), assessment, trend, tuple(events), self.memory_limit_bytes,
            self.history.counts(),
        )  # fmt: skip
        if self.on_snapshot is not None:
            self.on_snapshot(snapshot)
        return snapshot

    def _probe_all(self) -> dict[str, Measurement]:
        now = [t for t in self.targets if t.kind != "cli" or self.round_number % self.tools_every == 0]

        def one(target: Target) -> Measurement:
            try:
                if target.component in self.kept:
                    return self.kept[target.component].check(self.samples)
                few = 1 if target.kind == "cli" else self.samples  # a tool is started for each
                return probe(
                    target, samples=few, start_timeout_s=self.start_timeout_s, timeout_s=self.timeout_s
                )
            except MissingExtraError:
                raise
            except Exception as error:
                return Measurement(
                    target.component, target.kind, ok=False, errors=(reason(error),), started_at=self._clock()
                )

        if not now:
            return {}
        with ThreadPoolExecutor(min(self.workers, len(now))) as pool:
            return dict(zip([t.component for t in now], pool.map(one, now)))

    def _elapsed(self) -> float:
        return self._origin[0] + self._monotonic()

    def _event(self, kind: str, component: str, message: str) -> Event:
        return Event(self._clock(), self._elapsed(), kind, component, message)

    def _clock_events(self) -> list[Event]:
        offset = self._clock() - self._monotonic()
        jump = offset - self._origin[1]
        if abs(jump) <= _CLOCK_JUMP_S:
            return []
        self._origin = (self._origin[0], offset)
        return [self._event("clock", "", f"the wall clock was changed by {jump:+.0f} s")]

    def _changes(
        self, found: Mapping[str, Measurement], entry: Round, state: Health, cracks: tuple[str, ...] | None,
        trend: MemoryTrend | None,
    ) -> list[Event]:  # fmt: skip
        events = []
        for name, m in found.items():
            before = self._states.get(name)
            if not m.ok and before is not False:
                events.append(self._event("down", name, "; ".join(m.errors) or "does not answer"))
            elif m.ok and before is False:
                events.append(self._event("up", name, "answers again"))
        last = self._previous
        if entry.level != (last.level if last else 0):
            why = f": {'; '.join(state.reasons)}" if state.reasons else ""
            events.append(self._event("level", "", f"incident level {last.level if last else 0} -> {entry.level}{why}"))
        if entry.score is not None:  # against the best since the last such event: a slow decline counts, too
            best = entry.score if self._best is None else max(self._best, entry.score)
            if entry.score < best - _SCORE_DROP:
                events.append(self._event("score", "", f"score {best:.1f} -> {entry.score:.1f}"))
                best = entry.score
            self._best = best
        if cracks is not None:
            events += [self._event("crack", n, "breaks at the design load") for n in cracks if n not in self._cracks]
            events += [self._event("mended", n, "breaks no longer") for n in sorted(self._cracks - set(cracks))]
            self._cracks = set(cracks)
        near = trend is not None and trend.growing and trend.left_s < _HORIZON_S
        if near and trend is not None and not self._warned:
            events.append(
                self._event(
                    "memory",
                    "",
                    f"memory reaches {self.memory_limit_bytes / 1e9:g} GB in {trend.left_s:.0f} s"
                    f" (between {trend.earliest_s:.0f} s and {trend.latest_s:.0f} s)",
                )
            )
        self._warned = near
        return events

    def _note(self, events: list[Event]) -> None:
        self._write(None, None, events)
        self._keep(None, [], events)

    def _keep(self, entry: Round | None, found: list[Measurement], events: list[Event]) -> None:
        """Store a round or events; what a full disk or a locked file refuses is kept and stored with the next."""
        refused = bool(self._unsaved)
        self._unsaved.append((entry, found, events))
        while self._unsaved:
            first = self._unsaved[0]
            try:
                if first[0] is None:
                    self.history.note(first[2])
                else:
                    self.history.add(first[0], first[1], first[2])
            except sqlite3.Error as error:
                if not refused:
                    event = self._event("failure", "", f"the history cannot be written: {reason(error)}")
                    self._unsaved.append((None, [], [event]))
                    self._write(None, None, [event])
                return
            self._unsaved.popleft()

    def _write(self, entry: Round | None, state: Health | None, events: list[Event]) -> None:
        if self.log is None:
            return
        bad = ("down", "level", "score", "crack", "memory", "failure")
        lines = []
        for e in events:
            word = "ERROR" if e.kind in bad else "INFO"
            lines.append(f"{_stamp(e.at)} {word} {e.kind} {e.component} {e.message}".replace("\n", " "))
        if entry is not None and state is not None:
            score = "" if entry.score is None else f", score {entry.score:.1f}"
            memory = "" if entry.memory_bytes is None else f", memory {entry.memory_bytes / 2**20:.0f} MiB"
            first, second = state.lines()[:2]
            lines.append(f"{_stamp(entry.at)} INFO round {first}, {second}, level {entry.level}{score}{memory}")
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as file:
                file.writelines("".join(c if c.isprintable() else "?" for c in line) + "\n" for line in lines)
        except OSError as error:
            # the history is the record; a log that cannot be written must not stop the watch, but it must be seen
            if not self._log_refused:
                self._log_refused = True
                self._keep(None, [], [self._event("failure", "", f"the log cannot be written: {error.strerror}")])
        else:
            self._log_refused = False


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
