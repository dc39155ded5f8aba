"""What must be said about an architecture that was read from traces: data quality and what traces cannot tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fea_arch.architecture.findings import Finding
from fea_arch.sources.span_calls import Calls

__all__ = ["ODD", "findings", "quality"]

#: Data-quality counts: level, what it means, what would mend it.
ODD: dict[str, tuple[str, str, str]] = {
    "incomplete": ("warning", "spans without id, start or end are left out", "export finished spans only"),
    "missing parents": (
        "warning",
        "spans name a parent that is not in the file; they count as arrivals from outside",
        "export whole traces",
    ),
    "duplicates": ("warning", "spans with the same id are counted once", "export every span once"),
    "cycles of parents": ("warning", "spans are their own ancestors; each circle was cut once", "correct the ids"),
    "negative durations": ("warning", "spans end before they start; they count as instantaneous", "correct the clock"),
    "zero durations": ("info", "spans have no duration", "a tracer with a finer clock"),
    "calls outside their caller": (
        "warning",
        "calls begin before or end after their caller (clock skew, or nobody waited); they are clipped to it",
        "synchronise clocks; mark calls nobody waits for as producer and consumer spans",
    ),
    "unpaired client spans": (
        "info",
        "client spans have no span of the callee and do not name it; the wait for it is counted as own time",
        "trace the callee, or set peer.service",
    ),
    "callees known from callers only": (
        "info",
        "calls go to components without spans of their own; their service time includes the network",
        "trace the callee",
    ),
    "links to unknown spans": ("info", "span links lead out of the file", "export whole traces"),
    "cut off": ("warning", "the last line is cut off and left out", "fetch the file again"),
    "errors": ("info", "spans ended with an error; they count like the others", ""),
}


def quality(counts: dict[str, int]) -> list[Finding]:
    """Return one finding for each data-quality count."""
    found = []
    for what, times in counts.items():
        level, message, fix = ODD[what]
        found.append(Finding(level, f"{what}: {times} {message}", field="spans", fix=fix, count=times))
    return found


def findings(
    calls: Calls,
    *,
    rate: NDArray[np.float64],
    roots: int,
    window_s: float,
    measured: bool,
    n_traces: int,
    short: NDArray[np.bool_],
) -> list[Finding]:
    """Return the notes of an architecture from traces."""
    found = quality(calls.counts)
    if measured:
        text = f"arrival rates are {roots} requests from outside over the observed {window_s:.4g} s"
        if roots < 100:
            found.append(
                Finding(
                    "warning",
                    f"{text}: a rough estimate (relative error {1 / np.sqrt(roots):.0%})",
                    field="loads",
                    fix="a longer window",
                )
            )
        else:
            found.append(Finding("info", f"{text}; sampled traces show only a share of the load", field="loads"))
    else:
        found.append(
            Finding(
                "warning",
                f"{n_traces} trace(s) with {roots} request(s) from outside give no arrival rate; "
                f"{float(rate.sum()):.4g}/s over all entries is assumed",
                field="loads",
                fix="state the load: replace arch.loads, or read a longer window",
            )
        )
    found.append(
        Finding(
            "warning",
            "servers is the largest number of requests seen at work at once: a lower bound of the capacity",
            field="servers",
            fix="state it where known: arch.replaced(name, servers=...), or measure it with a load test",
        )
    )
    found.append(
        Finding(
            "info",
            "the service time is own time (duration less the calls waited for) as observed; it is the unloaded one "
            "only if the load was low, otherwise it contains waiting",
            field="service_time_s",
            fix="read traces of a quiet period",
        )
    )
    found.append(
        Finding(
            "info",
            "traces do not show whether a worker is held during calls: blocking=False is assumed",
            field="blocking",
            fix="arch.replaced(name, blocking=True, servers=<size of the pool>)",
        )
    )
    if short.any():
        rows = np.flatnonzero(short)
        shown = ", ".join(calls.components[i] for i in rows[:5])
        found.append(
            Finding(
                "warning",
                f"own time is below one microsecond, which is used instead: {shown}{' ...' if rows.size > 5 else ''}",
                calls.components[rows[0]],
                "service_time_s",
                "measure it",
                count=int(rows.size),
            )
        )
    return found
