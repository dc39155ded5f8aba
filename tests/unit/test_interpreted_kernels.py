"""Kernels that run interpreted on lists give the very numbers that they give on arrays."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from reference.differentiable_networks import differentiable_network, pooled_network
from reference.scored_architectures import scored_architecture

import fea_arch as fa
from fea_arch.kernels import compile as compiling
from fea_arch.kernels.compile import kernel
from fea_arch.solvers import statics
from fea_arch.solvers.network import build_network

CASES = [fa.load_sample("runbook"), *map(differentiable_network, range(3)), pooled_network(1), scored_architecture(3)]


@pytest.mark.parametrize("arch", CASES, ids=lambda arch: arch.name)
def test_static_sweeps_are_the_same_to_the_last_bit(arch, monkeypatch):
    network, on_lists, seen = build_network(arch), compiling._on_lists, []

    def both(source, arguments, writes):
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        with np.errstate(all="ignore"):
            expected = source(*copies)
        answer = on_lists(source, arguments, writes)
        np.testing.assert_array_equal(answer, expected)
        for a, b in zip(arguments, copies):
            np.testing.assert_array_equal(a, b)
        seen.append(source.__name__)
        return answer

    monkeypatch.setattr(compiling, "_on_lists", both)
    for function in (statics.sweep_response, statics.sweep_traffic):  # as in a process where nothing was compiled yet
        monkeypatch.delitem(function.state, "fast", raising=False)
    for factor in (0.5, 1.0, 1.5):
        with contextlib.suppress(fa.ConvergenceError):
            statics.solve_network(network, load_factor=factor, max_sweeps=8, tol=1e-6)
    assert {"sweep_response", "sweep_traffic"} <= set(seen)


def test_arrays_take_over_where_numbers_of_python_would_raise():
    calls = []

    @kernel(work=lambda *rest: 0.0, writes=("out",))
    def ratio(a, b, out):
        calls.append(type(a))
        for i in range(len(a)):
            out[i] = a[i] / b[i]
        return len(a)

    out = np.zeros(2)
    assert ratio(np.array([1.0, 3.0]), np.array([2.0, 4.0]), out) == 2
    assert (out == [0.5, 0.75]).all() and calls == [list]
    with np.errstate(divide="ignore"):
        assert ratio(np.array([1.0, 3.0]), np.array([2.0, 0.0]), out) == 2
    assert (out == [0.5, math.inf]).all() and calls == [list, list, np.ndarray]
