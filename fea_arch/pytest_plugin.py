"""A pytest plugin: the fixture ``fea_arch`` with assertions about an architecture.

Importing it loads nothing but the package's table of names; the analyses come with the first assertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.comparison import ComparisonResult
    from fea_arch.results.score import Score

__all__ = ["Gate", "fea_arch"]


class Gate:
    """Assertions that say what is weak, not only that something is."""

    def read(self, architecture: Architecture | str | Path) -> Architecture:
        """Return an architecture, read from a file where a path is given."""
        import fea_arch

        found: Architecture = fea_arch.read(architecture) if isinstance(architecture, (str, Path)) else architecture
        return found

    def assert_score(self, architecture: Architecture | str | Path, least: float) -> Score:
        """Fail with the largest losses unless the score is at least ``least``."""
        import fea_arch

        found: Score = fea_arch.score(self.read(architecture))
        if not found.value >= least:
            worst = "\n".join(f"  {c} loses {p:.2f} points in {s}" for c, s, p in found.worst(5))
            pytest.fail(f"the architecture scores {found.value:.1f}, not {least:g}\n{worst}", pytrace=False)
        return found

    def assert_margins(self, architecture: Architecture | str | Path, margins: Mapping[str, float]) -> None:
        """Fail unless every named margin is on the right side, for instance ``{"collapse_factor": 2.0}``."""
        from fea_arch.advice.margins import MARGINS
        from fea_arch.advice.margins import margins as measured

        names = tuple(margins)
        for name in names:
            if name not in MARGINS:
                pytest.fail(f"no margin {name!r}: one of {', '.join(MARGINS)}", pytrace=False)
        found = measured(self.read(architecture), names)
        missed = [n for n in names if not MARGINS[n].sign * (found[n] - margins[n]) >= 0.0]
        if missed:
            pytest.fail("; ".join(f"{n} is {found[n]:.4g}, not {margins[n]:g}" for n in missed), pytrace=False)

    def assert_not_weaker(
        self, base: Architecture | str | Path, head: Architecture | str | Path, *, samples: int = 8
    ) -> ComparisonResult:
        """Fail with every margin of ``head`` that is worse than that of ``base`` by more than its interval."""
        import fea_arch

        found: ComparisonResult = fea_arch.compare(self.read(base), self.read(head), samples=samples)
        if found.regressed:
            pytest.fail("\n".join(found.sentence(name) for name in found.regressions), pytrace=False)
        return found


@pytest.fixture(scope="session")
def fea_arch() -> Gate:
    """Assertions about architectures: ``fea_arch.assert_score("platform.yaml", 75)``."""
    return Gate()
