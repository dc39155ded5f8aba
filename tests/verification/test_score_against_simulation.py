"""The score against the event simulation of its own catalogue, on small random architectures.

The figures for 64 architectures of 5 to 60 components are recorded in the documentation
(``benchmarks/validation/score_against_simulation.py``); this is its quick version.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference.scored_architectures import scored_architecture

import fea_arch as fa

COUNT = 10


@pytest.fixture(scope="module")
def pairs():
    found = []
    for seed in range(COUNT):
        arch = scored_architecture(seed, least=5, most=12)
        result = fa.score(arch, check="simulate", samples=0, replications=2)
        found.append((result.value, result.simulated_value))
    return np.array(found)


def test_the_mean_difference_is_small(pairs):
    assert np.abs(pairs[:, 0] - pairs[:, 1]).mean() <= 3.0


def test_the_order_is_that_of_the_simulation(pairs):
    ranks = np.argsort(np.argsort(pairs, axis=0), axis=0).astype(float)
    assert np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1] >= 0.95


def test_few_differences_are_large(pairs):
    assert np.median(np.abs(pairs[:, 0] - pairs[:, 1])) <= 3.0
    assert (np.abs(pairs[:, 0] - pairs[:, 1]) > 8.0).mean() <= 0.15
