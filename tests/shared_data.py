"""Where the real data sets are: beside the project, or where FEA_ARCH_DATA points."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _find() -> Path | None:
    named = os.environ.get("FEA_ARCH_DATA")
    places = [Path(named)] if named else []
    places.append(Path(__file__).resolve().parents[2] / "shared" / "data")
    return next((p for p in places if p.is_dir()), None)


DATA = _find()
needs_data = pytest.mark.skipif(DATA is None, reason="real data sets not found (set FEA_ARCH_DATA)")


def data_path(*parts: str) -> Path:
    """Return the path of a real data file, or skip the test if the data sets are absent."""
    if DATA is None:
        pytest.skip("real data sets not found (set FEA_ARCH_DATA)")
    return DATA.joinpath(*parts)
