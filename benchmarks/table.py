"""Write the table of benchmarks from one run: python benchmarks/table.py RUN.json [--merge].

RUN.json comes from ``pytest benchmarks --benchmark-json=RUN.json``. Its times, ratios, counters, machine and versions
are kept in ``benchmarks/recorded.json``; ``benchmarks/README.md`` is written from that. Without an argument the README
is written anew from what is recorded. With ``--merge`` only the files of benchmarks that RUN.json ran are recorded
anew; those of an earlier day keep their date.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
RECORDED, README = FOLDER / "recorded.json", FOLDER / "README.md"

HEAD = """\
# Benchmarks

Every benchmark asserts its answer before its time counts, and is warm: compiled code is loaded before the clock runs.
Ratios compare two things that were measured in the same process, one after the other; above 1 this library is faster.

```sh
pip install -e '.[test,bench]'
pytest benchmarks                                                # minutes on two cores
FEA_ARCH_BENCH=full pytest benchmarks                            # large cases too
pytest benchmarks --benchmark-json=run.json && python benchmarks/table.py run.json
```

To compare two versions, run both on one machine in one job and let the best time of each count:

```sh
python benchmarks/compare.py base1.json,base2.json head1.json,head2.json
```

A time that grows by more than 25 % trips, and a counter (nonzeros, fill, iterations, memory, compiled specialisations)
that grows trips whatever the clock says. Other packages take part where they are installed; the rest is skipped with a
reason.

Not covered on purpose: reading from a network, probes of live servers (they measure the server), pictures, and packages
that need a compiler or a licence to install.
"""


def trimmed(run: dict[str, Any]) -> dict[str, Any]:
    """Return what is worth keeping of a run: machine, versions, best times, ratios and counters."""
    machine = run["machine_info"]
    return {
        "datetime": run["datetime"][:10],
        "machine": {
            "processor": machine.get("cpu", {}).get("brand_raw", machine.get("processor", "")),
            "cores": machine.get("cores", machine.get("cpu", {}).get("count", 0)),
            "system": f"{machine['system']} {machine['machine']}",
            "full": bool(machine.get("full", False)),
        },
        "versions": machine.get("versions", {}),
        "benchmarks": [
            {
                "file": entry["fullname"].split("::")[0].rpartition("/")[2],
                "name": entry["name"],
                "seconds": entry["stats"]["min"],
                "rounds": entry["stats"]["rounds"],
                "extra": {k: v for k, v in entry["extra_info"].items() if k != "counters"},
                "counters": entry["extra_info"].get("counters", {}),
            }
            for entry in sorted(run["benchmarks"], key=lambda e: e["fullname"])
        ],
    }


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which the files of ``new`` take the place of those of ``old``, which keep their date."""
    files = {entry["file"] for entry in new["benchmarks"]}
    kept = [{"date": old["datetime"], **entry} for entry in old["benchmarks"] if entry["file"] not in files]
    both = sorted([*kept, *new["benchmarks"]], key=lambda e: (e["file"], e["name"]))
    machine = {**new["machine"], "full": old["machine"]["full"] or new["machine"]["full"]}
    return {**new, "machine": machine, "benchmarks": both}


def time_text(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _words(items: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in items.items())


def heading(file: str) -> str:
    """Return the first sentence of a benchmark file's docstring."""
    path = FOLDER / file
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else None
    return " ".join((text or file).split("\n\n")[0].split()).rstrip(".")


def table(record: dict[str, Any]) -> str:
    """Return the README: how to run, the machine, one table for each file."""
    machine, versions = record["machine"], record["versions"]
    size = "all sizes" if machine["full"] else "default sizes"
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        HEAD,
        "## Recorded",
        "",
        f"{record['datetime']}, {machine['processor']}, {machine['cores']} cores, {machine['system']}, {size};",
        "best times of one run, beside other work on the machine: times are upper bounds, and a ratio to something",
        f"that was measured once may be off by a factor of two. {listed}.",
        "",
    ]
    for file in dict.fromkeys(entry["file"] for entry in record["benchmarks"]):
        rows = [entry for entry in record["benchmarks"] if entry["file"] == file]
        date = rows[0].get("date", record["datetime"])
        day = "" if date == record["datetime"] else f" ({date})"
        lines += [f"### {heading(file)}{day}", "", "| benchmark | best time | measured beside it | counters |",
                  "|---|---:|---|---|"]
        for entry in rows:
            counters = {k: v for k, v in entry["counters"].items() if k != "specialisations"}
            name = entry["name"].removeprefix("test_").replace("|", "\\|")
            cells = (f"`{name}`", time_text(entry["seconds"]), _words(entry["extra"]), _words(counters))
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    slower = [
        f"- `{entry['name'].removeprefix('test_')}`: {key.replace('_', ' ')} {value:.2g}"
        for entry in record["benchmarks"]
        for key, value in entry["extra"].items()
        if key.startswith(("times_faster", "ratio")) and isinstance(value, float) and value < 1.0
    ]
    if slower:
        lines += ["### Where the other package is faster", "", *slower]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Record a run if one is named, and write the README."""
    if len(sys.argv) > 1:
        record = trimmed(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
        if "--merge" in sys.argv[2:]:
            record = merged(json.loads(RECORDED.read_text(encoding="utf-8")), record)
        RECORDED.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(RECORDED.read_text(encoding="utf-8"))
    README.write_text(table(record), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
