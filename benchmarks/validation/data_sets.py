"""Where the measured data sets are, and how their tables are read."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

__all__ = ["data", "rows"]


def data() -> Path:
    """Return the folder of the data sets: ``$FEA_ARCH_DATA`` or ``../shared/data`` beside the project."""
    named = os.environ.get("FEA_ARCH_DATA")
    path = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not path.is_dir():
        sys.exit("real data sets not found (set FEA_ARCH_DATA)")
    return path


def rows(*parts: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file below the folder of the data sets."""
    with data().joinpath(*parts).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
