"""Compare benchmarks of two versions that ran in one job: python benchmarks/compare.py BASE.json HEAD.json.

Both files come from ``pytest benchmarks --benchmark-json=FILE``. Each side may name several files, separated by commas
(runs in turn: base, head, base, head); the best time of each counts, because noise only ever adds. Two things trip:

* a benchmark whose best time grew by more than 25 % and by more than 50 microseconds;
* a counter (nonzeros, fill, iterations, specialisations) that grew at all, or memory that grew by more than 5 %.

Counters do not depend on the machine; a benchmark that is new, or gone, is only listed. Exit code 1 if anything trips.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Growth of the best time that trips, and the least growth that can be told from noise [s].
TRIPWIRE, NOISE_S = 1.25, 50e-6
#: Growth that a counter may have; those not named here none.
SLACK = {"peak_memory_bytes": 1.05, "specialisations": float("inf")}
#: Counters that are compared between benchmarks only as their largest value over the run.
OVER_ALL = ("specialisations",)


@dataclass
class Run:
    """What one side measured: best time [s] and counters of each benchmark."""

    seconds: dict[str, float] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class Finding:
    """One thing that changed."""

    name: str
    what: str
    base: float
    head: float
    trips: bool

    @property
    def ratio(self) -> float:
        return self.head / self.base if self.base else float("inf")


def read(files: Sequence[str | Path]) -> Run:
    """Return the best of several runs of one version."""
    run = Run()
    for path in files:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        for entry in document["benchmarks"]:
            name = entry["fullname"]
            seconds = float(entry["stats"]["min"])
            run.seconds[name] = min(seconds, run.seconds.get(name, seconds))
            for key, value in entry.get("extra_info", {}).get("counters", {}).items():
                known = run.counters.setdefault(name, {})
                known[key] = min(int(value), known.get(key, int(value)))
    return run


def compare(base: Run, head: Run, tripwire: float = TRIPWIRE) -> list[Finding]:
    """Return every change of a common benchmark, those that trip first, the largest first."""
    found = []
    for name in sorted(base.seconds.keys() & head.seconds.keys()):
        old, new = base.seconds[name], head.seconds[name]
        found.append(Finding(name, "time", old, new, new > tripwire * old and new - old > NOISE_S))
        before, after = base.counters.get(name, {}), head.counters.get(name, {})
        for key in sorted((before.keys() & after.keys()) - set(OVER_ALL)):
            if before[key] != after[key]:
                worse = after[key] > SLACK.get(key, 1.0) * before[key]
                found.append(Finding(name, key, before[key], after[key], worse))
    for key in OVER_ALL:
        old_all = [c[key] for n, c in base.counters.items() if key in c and n in head.seconds]
        new_all = [c[key] for n, c in head.counters.items() if key in c and n in base.seconds]
        if old_all and new_all and max(old_all) != max(new_all):
            found.append(Finding("all benchmarks", key, max(old_all), max(new_all), max(new_all) > max(old_all)))
    return sorted(found, key=lambda f: (not f.trips, -f.ratio))


def text(found: Sequence[Finding], base: Run, head: Run, tripwire: float = TRIPWIRE) -> str:
    """Return the comparison as Markdown."""
    tripped = [f for f in found if f.trips]
    faster = [f for f in found if f.what == "time" and f.ratio < 1 / tripwire]
    common = len(base.seconds.keys() & head.seconds.keys())
    lines = [f"{common} benchmarks compared: {len(tripped)} worse, {len(faster)} faster than {tripwire:g}x.", ""]
    shown = tripped + faster
    if shown:
        lines += ["| benchmark | what | base | head | head / base | |", "|---|---|---:|---:|---:|---|"]
        for f in shown:
            size = (f"{1e3 * v:.4g} ms" if f.what == "time" else f"{v:,.0f}" for v in (f.base, f.head))
            old, new = size
            mark = "WORSE" if f.trips else "better"
            lines.append(f"| `{f.name}` | {f.what} | {old} | {new} | {f.ratio:.2f} | {mark} |")
        lines.append("")
    for word, names in (("new", head.seconds.keys() - base.seconds.keys()),
                        ("gone", base.seconds.keys() - head.seconds.keys())):
        if names:
            lines.append(f"{word}: {', '.join(f'`{n}`' for n in sorted(names))}")
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; return 1 if something trips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="file, or files separated by commas")
    parser.add_argument("head")
    parser.add_argument("--tripwire", type=float, default=TRIPWIRE, help="growth of time that trips (%(default)s)")
    given = parser.parse_args(arguments)
    base, head = (read(side.split(",")) for side in (given.base, given.head))
    if not base.seconds.keys() & head.seconds.keys():
        print("nothing to compare: the runs have no benchmark in common", file=sys.stderr)
        return 2
    found = compare(base, head, given.tripwire)
    print(text(found, base, head, given.tripwire), end="")
    return int(any(f.trips for f in found))


if __name__ == "__main__":
    sys.exit(main())
