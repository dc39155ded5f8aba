"""Predictions against reality: run all comparisons and write their pages.

Run ``python benchmarks/validation/study.py [--check] [name ...]``. The data sets are looked up in ``$FEA_ARCH_DATA`` or
``../shared/data`` beside the project. Without names everything is run and the index is written too; ``--check`` writes
nothing and ends with 1 if a figure differs by more than rounding from what is in ``docs/validation``.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from outcome import Outcome, differs, page, summary_row

PAGES = Path(__file__).resolve().parents[2] / "docs" / "validation"
SETS = (
    "hotel_reservation", "wso2_gateway", "wso2_identity", "teastore_demands", "teastore_ramps", "techempower",
    "mcp_servers", "scalability_laws", "etcd", "online_boutique",
)  # fmt: skip

INTRODUCTION = """# Predictions against reality

Each page takes a published measurement of a real system, calibrates a model on the lighter part of it, predicts the
rest and puts both side by side. Nothing is fitted to a point that is predicted. The pages are written by
`python benchmarks/validation/study.py`; the data sets are not part of the project, their origin is public.

The aims are 10 % for throughput, 15 % for the mean response below saturation and for the collapse load, and the right
bottleneck. Above saturation a stationary model has no answer and says so ("no steady state"); the transient for the
length of the run is given instead. How well the architecture score agrees with the event simulation is on
[a page of its own](score_and_simulation.md).

| data set | quantity | points | mean error | worst error | aim | within |
|---|---|---:|---:|---:|---:|---:|
"""

def outcome(name: str) -> Outcome:
    """Run one comparison."""
    found: Outcome = importlib.import_module(name).run()
    return found


def main(arguments: list[str]) -> int:
    """Run what is asked and write or check the pages."""
    check = "--check" in arguments
    names = [a for a in arguments if not a.startswith("-")] or list(SETS)
    texts, lines = {}, []
    for name in names:
        begin = time.perf_counter()
        found = outcome(name)
        print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr)
        texts[name] = page(found)
        lines += summary_row(found)
    print("\n".join(lines))
    if names == list(SETS):
        texts["index"] = INTRODUCTION + "\n".join(lines) + "\n"
    differing = []
    for name, text in texts.items():
        path = PAGES / f"{name}.md"
        if check:
            what = differs(path.read_text(encoding="utf-8"), text) if path.exists() else "there is no page"
            if what:
                differing.append(f"{name} ({what})")
        else:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if differing:
        print(f"differ from the documentation: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
