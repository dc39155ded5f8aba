"""Secant leaps over the sweeps of retries: the same equilibria as by sweeps alone, up to the fold, and none beyond."""

from __future__ import annotations

import numpy as np
import pytest
from reference.scored_architectures import scored_architecture

import fea_arch as fa
from fea_arch.solvers.acceleration import Leaps
from fea_arch.solvers.limit_load import largest_load_factor
from fea_arch.solvers.network import build_network
from fea_arch.solvers.statics import solve_network


def retrying(retries: int, timeout_s: float) -> fa.Architecture:
    """A single server whose caller tries again: the tries feed back on its load and on nothing else."""
    return fa.Architecture(
        name=f"retry-{retries}",
        components=[fa.Component("web", law="delay", service_time_s=1e-4), fa.Component("db", service_time_s=0.1)],
        dependencies=[fa.Dependency("web", "db", timeout_s=timeout_s, retries=retries)],
        loads=[fa.Load("web", rate_per_s=1.0)],
    )


CASES = [fa.load_sample("runbook"), retrying(1, 0.5), retrying(3, 1.0), *map(scored_architecture, (4, 8, 12))]


def solved(network, factor, monkeypatch, *, leaps, tol=1e-9):
    with monkeypatch.context() as patch:
        if not leaps:
            patch.setattr(Leaps, "possible", staticmethod(lambda network: False))
        try:
            return solve_network(network, load_factor=factor, tol=tol, max_sweeps=3000)
        except fa.ConvergenceError as error:
            return error.partial


@pytest.mark.parametrize("arch", CASES, ids=lambda arch: arch.name)
def test_leaps_lead_to_the_equilibria_of_the_sweeps(arch, monkeypatch):
    network = build_network(arch)
    limit, _ = largest_load_factor(network, network.external, accuracy=1e-4)
    with_leaps = without = 0
    for distance in (0.3, 0.1, 0.03, 0.01, 3e-3, -3e-3, -0.01, -0.1):
        factor = limit * (1.0 - distance)
        quick = solved(network, factor, monkeypatch, leaps=True)
        plain = solved(network, factor, monkeypatch, leaps=False)
        assert (quick.limiting < 0) == (plain.limiting < 0), distance
        with_leaps, without = with_leaps + quick.sweeps, without + plain.sweeps
        if plain.limiting < 0:
            np.testing.assert_allclose(quick.response, plain.response, rtol=3e-6)
            np.testing.assert_allclose(quick.arrivals, plain.arrivals, rtol=3e-6)
            if plain.sweeps > 30:  # near a fold both see how fast the sweeps alone come to rest
                assert quick.contraction == pytest.approx(plain.contraction, abs=0.03)
    assert with_leaps <= without + 8  # far from a fold a leap that is undone costs a sweep


def test_leaps_save_most_of_the_sweeps_near_a_fold(monkeypatch):
    network = build_network(retrying(3, 1.0))
    limit, _ = largest_load_factor(network, network.external, accuracy=1e-5)
    quick, plain = (solved(network, limit * 0.9995, monkeypatch, leaps=on) for on in (True, False))
    assert quick.limiting < 0 and plain.limiting < 0
    assert 4 * quick.sweeps < plain.sweeps
