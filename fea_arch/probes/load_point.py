"""What a load test returns: one point for each step, with Little's law checked on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fea_arch.architecture.rendering import HtmlText
from fea_arch.errors import ModelError

__all__ = ["LoadPoint", "LoadTest", "Record", "summarise"]

_BATCHES = 10
_REASONS = 5


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One step of a load test.

    Attributes
    ----------
    mode : {"closed", "open"}
    setting : float
        The concurrency that was kept [req], or the rate that was offered [1/s].
    concurrency : float
        Time average of the requests in flight [req]; in the open mode from their intended starts.
    throughput_per_s : float
        Answered requests [1/s].
    throughput_stderr_per_s : float
        Standard error by batch means [1/s]; NaN with too few answers.
    latency_s : float
        Mean response time of the answered requests [s]; in the open mode from the intended start.
    p50_s, p95_s, p99_s, max_s : float
        Quantiles of the same [s].
    samples, errors, unfinished : int
        Requests that were answered, failed, and were still in flight at the end; those in flight enter the latencies
        with the time they had waited.
    reasons : tuple of str
        The most frequent errors.
    window_s : float
        Length of the measured window [s].
    little_error : float
        ``X R / N - 1`` over the window [1]: how far the three independent averages are from Little's law.
    lag_p99_s : float
        How late the generator itself started requests [s]; 0 in the closed mode.
    client_cpu : float
        Processors that the generator used [1]; near 1 the generator is the bottleneck.
    """

    mode: str
    setting: float
    concurrency: float
    throughput_per_s: float
    throughput_stderr_per_s: float
    latency_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    samples: int
    errors: int
    unfinished: int
    reasons: tuple[str, ...]
    window_s: float
    little_error: float
    lag_p99_s: float
    client_cpu: float

    @property
    def client_limited(self) -> bool:
        """Whether the generator, not the target, may have set the numbers."""
        return self.client_cpu > 0.9 or self.lag_p99_s > max(0.25 * self.p50_s, 0.005)


@dataclass(frozen=True)
class LoadTest(HtmlText, Sequence[LoadPoint]):
    """The points of a load test; hand it to :func:`fit_law` as it is."""

    target: str
    points: tuple[LoadPoint, ...]
    started_at: float
    notes: tuple[str, ...] = ()
    latencies_s: tuple[Any, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[LoadPoint]:
        return iter(self.points)

    def __getitem__(self, index: Any) -> Any:
        return self.points[index]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rows = [{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(p).items()} for p in self.points]
        return {"target": self.target, "started_at": self.started_at, "notes": list(self.notes), "points": rows}

    def to_dataframe(self) -> Any:
        """Return one row a point (needs pandas)."""
        from fea_arch.errors import MissingExtraError

        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "frames") from None
        return pd.DataFrame([asdict(p) for p in self.points])

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        head = ("load", "in flight", "throughput [1/s]", "mean [s]", "p99 [s]", "errors")
        rows = [
            (f"{p.mode} {p.setting:g}", p.concurrency, p.throughput_per_s, p.latency_s, p.p99_s, p.errors) for p in self
        ]
        return head, rows

    def __repr__(self) -> str:
        rows = [f"<LoadTest of {self.target}: {len(self.points)} points>"]
        for p in self.points[:6]:
            rows.append(
                f"  {p.mode} {p.setting:g}: N = {p.concurrency:.3g}, X = {p.throughput_per_s:.4g}/s, "
                f"R = {p.latency_s:.3g} s, p99 = {p.p99_s:.3g} s, {p.errors} errors, X R/N - 1 = {p.little_error:+.1%}"
            )
        return "\n".join(rows + ([f"  and {len(self.points) - 6} more"] if len(self.points) > 6 else []))


@dataclass(slots=True)
class Record:
    """One request on the clock of the generator [s]; ``end`` is NaN while it is in flight."""

    intended: float
    start: float
    end: float = float("nan")
    error: str | None = None


def summarise(
    records: Sequence[Record], begin: float, end: float, *, mode: str, setting: float, client_cpu: float
) -> tuple[LoadPoint, Any]:
    """Return the point of the window ``begin`` to ``end`` and its response times, (n,) float64 [s].

    In the open mode a response time counts from the intended start, so waiting for a slow generator or for an earlier
    answer is never left out (no coordinated omission).

    Raises
    ------
    ModelError
        If nothing was answered in the window.
    """
    opened = mode == "open"
    first = np.array([r.intended if opened else r.start for r in records], np.float64)
    start = np.array([r.start for r in records], np.float64)
    last = np.array([r.end for r in records], np.float64)
    failed = np.array([r.error is not None for r in records], bool)
    done = np.isfinite(last) & ~failed
    inside = done & (last >= begin) & (last < end)
    window = end - begin
    reasons = _frequent([r.error for r in records if r.error is not None])
    if not inside.any():
        why = f": {reasons[0]}" if reasons else " in the time given"
        raise ModelError(f"nothing was answered at {mode} load {setting:g}{why}", field="load_test")
    waiting = ~np.isfinite(last) & ~failed
    overlap = np.minimum(np.where(np.isfinite(last), last, end), end) - np.maximum(first, begin)
    held = float(np.maximum(overlap[~failed], 0.0).sum()) / window
    own = (last - first)[inside]
    throughput = float(inside.sum()) / window
    cohort = own
    if opened:  # every arrival of the window counts, answered or not
        asked = (first >= begin) & (first < end) & ~failed
        cohort = (np.where(np.isfinite(last), last, np.nanmax(np.append(last, end))) - first)[asked]
        cohort = cohort if len(cohort) else own
    quantiles = np.quantile(cohort, [0.5, 0.95, 0.99])
    counts, _ = np.histogram(last[inside], bins=_BATCHES, range=(begin, end))
    enough = inside.sum() >= 3 * _BATCHES
    stderr = float(counts.std(ddof=1) / np.sqrt(_BATCHES) * _BATCHES / window) if enough else float("nan")
    lag = (start - first)[(first >= begin) & np.isfinite(start)] if opened else np.zeros(1)
    mean = float(cohort.mean())
    point = LoadPoint(
        mode=mode, setting=float(setting), concurrency=held, throughput_per_s=throughput,
        throughput_stderr_per_s=stderr, latency_s=mean, p50_s=float(quantiles[0]),
        p95_s=float(quantiles[1]), p99_s=float(quantiles[2]), max_s=float(cohort.max()), samples=int(inside.sum()),
        errors=int(failed.sum()), unfinished=int(waiting.sum()), reasons=reasons, window_s=window,
        little_error=throughput * mean / held - 1, lag_p99_s=float(np.quantile(lag, 0.99)) if len(lag) else 0.0,
        client_cpu=client_cpu,
    )  # fmt: skip
    return point, cohort


def _frequent(reasons: list[str]) -> tuple[str, ...]:
    words, counts = np.unique(reasons, return_counts=True) if reasons else (np.array([]), np.array([]))
    return tuple(str(words[i]) for i in np.argsort(-counts)[:_REASONS])
