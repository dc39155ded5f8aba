"""Sweeps against one static analysis for each design."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa


def test_a_grid_is_what_single_analyses_give():
    arch = fa.load_sample("shop")
    found = fa.sweep(arch, {"database.servers": [2, 4, 8], "load_factor": [0.5, 1.0]})
    assert found.response_s.shape == (3, 2)
    assert found.networks == 1
    for i, servers in enumerate((2, 4, 8)):
        for j, factor in enumerate((0.5, 1.0)):
            single = fa.static(arch.replaced("database", servers=servers), factor)
            assert found.response_s[i, j] == pytest.approx(single.mean_response_s, rel=1e-9)
            assert found.percentile_s[i, j] == pytest.approx(single.latency_quantile_s(arch.objective.quantile))


def test_other_fields_are_swept_too():
    arch = fa.load_sample("chain", n=2)
    found = fa.sweep(arch, {"s1->s2.network_latency_s": [0.0, 0.1]})
    assert np.diff(found.response_s) == pytest.approx([0.1])
    assert "stand" in repr(found)
    assert found.to_dict()["parameters"] == ["s1->s2.network_latency_s"]


def test_designs_that_do_not_stand_are_not_a_number():
    found = fa.sweep(fa.load_sample("chain", n=2), {"load_factor": [1.0, 5.0]})
    assert found.stable.tolist() == [True, False]
    assert np.isnan(found.response_s[1])


@pytest.mark.parametrize("over", [{}, {"s1.servers": []}, {"s1": [1.0]}, {"s9.servers": [1]}, {"s1.colour": [1.0]}])
def test_bad_questions(over):
    with pytest.raises(fa.ModelError):
        fa.sweep(fa.load_sample("chain", n=2), over)
