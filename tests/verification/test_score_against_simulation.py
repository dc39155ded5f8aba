"""The score against the event simulation of its own catalogue, on small random architectures.

The figures for 64 architectures of 5 to 60 components are recorded in the documentation
(``benchmarks/validation/score_against_simulation.py``); this is its quick version.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference.scored_architectures import scored_architecture

import fea_arch as fa

COUNT = 16


@pytest.mark.slow
def test_the_score_follows_the_simulation():
    found = []
    for seed in range(COUNT):
        arch = scored_architecture(seed, least=5, most=12)
        result = fa.score(arch, check="simulate", samples=0, replications=4)
        found.append((result.value, result.simulated_value))
    pairs = np.array(found)
    gap = np.abs(pairs[:, 0] - pairs[:, 1])
    assert gap.mean() <= 2.5
    assert gap.max() <= 7.0
    ranks = np.argsort(np.argsort(pairs, axis=0), axis=0).astype(float)
    assert np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1] >= 0.95
