"""Progressive collapse: closed forms of small systems, causes and avalanches, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import fea_arch as fa


def one(**component):
    return fa.Architecture(
        name="one", components=[fa.Component("api", **{"service_time_s": 0.01, **component})],
        loads=[fa.Load("api", rate_per_s=40.0)],
    )  # fmt: skip


def half_gone():
    return fa.Architecture(
        name="gone", components=[fa.Component("web"), fa.Component("db", available=False)],
        dependencies=[fa.Dependency("web", "db")], loads=[fa.Load("web", rate_per_s=1.0)],
    )  # fmt: skip


def events(result):
    return [(e.component, e.criterion) for e in result.path]


def test_capacity_collapse_is_mu_over_the_load():
    for servers in (1, 3, 20):
        result = fa.fracture(one(servers=servers))
        assert result.collapse_factor == pytest.approx(servers / 0.01 / 40.0, rel=1e-4)
        assert result.failure == "ductile" and result.residual_capacity == pytest.approx(1.0, abs=0.01)
        assert result.elastic_factor == pytest.approx(0.7 * result.collapse_factor, rel=0.02)
        assert result.ductility_index > 1 and result.limiting == "api"


def test_memory_break_is_where_little_fills_the_limit():
    """M/M/1 holds rho / (1 - rho): 9 requests fit, so it breaks at rho = 0.9, brittle: nothing is left."""
    arch = one(memory_bytes=1e8, memory_limit_bytes=1.9e8, memory_per_request_bytes=1e7)
    result = fa.fracture(arch, criteria=["memory"])
    assert result.collapse_factor == pytest.approx(0.9 / 0.01 / 40.0, rel=1e-4)
    assert events(result) == [("api", "memory")] and result.path[0].breaks
    assert result.failure == "brittle" and result.residual_capacity == pytest.approx(0.0, abs=1e-9)
    assert result.avalanches.tolist() == [1]


def test_replicas_behind_a_balancer_break_one_after_the_other_in_one_avalanche():
    parts = {"service_time_s": 0.01, "memory_bytes": 1e8, "memory_per_request_bytes": 1e7}
    arch = fa.Architecture(
        name="pair",
        components=[
            fa.Component("web", law="delay", blocking=False, service_time_s=1e-4),
            fa.Component("a", memory_limit_bytes=1.5e8, **parts),
            fa.Component("b", memory_limit_bytes=3.0e8, **parts),
        ],
        dependencies=[fa.Balancer("web", ("a", "b"))],
        loads=[fa.Load("web", rate_per_s=100.0)],
    )
    result = fa.fracture(arch)
    broken = [e for e in result.path if e.breaks]
    assert [e.component for e in broken] == ["a", "b"]
    assert result.avalanches.tolist() == [2]
    assert broken[1].cause == "a broke"
    assert broken[0].load_factor == pytest.approx(2 * (5 / 6) / 0.01 / 100.0, rel=1e-4)  # rho / (1 - rho) = 5


def test_optional_parts_break_without_collapse_required_ones_do_not():
    def arch(required):
        return fa.Architecture(
            name="optional",
            components=[
                fa.Component("web", servers=100, service_time_s=0.001),
                fa.Component("extra", service_time_s=0.01, memory_bytes=0.0, memory_limit_bytes=4e6,
                             memory_per_request_bytes=1e6),
            ],
            dependencies=[fa.Dependency("web", "extra", required=required)],
            loads=[fa.Load("web", rate_per_s=50.0)],
        )  # fmt: skip

    hard, soft = fa.fracture(arch(True)), fa.fracture(arch(False))
    assert hard.collapse_factor == pytest.approx(0.8 / 0.01 / 50.0, rel=0.01)  # rho / (1 - rho) = 4
    first = next(e for e in soft.path if e.breaks)
    assert first.component == "extra" and first.load_factor == pytest.approx(hard.collapse_factor, rel=1e-3)
    assert soft.collapse_factor > 10 * hard.collapse_factor


def test_a_breaker_opens_and_cuts_the_call():
    arch = fa.Architecture(
        name="breaker",
        components=[fa.Component("web", servers=200, service_time_s=0.001),
                    fa.Component("db", service_time_s=0.01, queue_capacity=2)],
        dependencies=[fa.Dependency("web", "db", breaker=fa.Breaker(failure_share=0.4), required=False)],
        loads=[fa.Load("web", rate_per_s=60.0)],
    )  # fmt: skip
    result = fa.fracture(arch)
    opened = [e for e in result.path if e.criterion == "breaker"]
    assert len(opened) == 1 and opened[0].dependency == "web->db" and opened[0].breaks
    rho = opened[0].load_factor * 0.6
    blocked = rho**3 * (1 - rho) / (1 - rho**4)  # one in service, two waiting
    assert blocked == pytest.approx(0.4, rel=1e-3)
    assert next(e for e in result.path if e.criterion == "queue").load_factor < opened[0].load_factor


def test_every_event_names_its_cause_and_the_path_is_in_order():
    result = fa.fracture(fa.load_sample("runbook"))
    assert all(e.cause for e in result.path)
    factors = [e.load_factor for e in result.path]
    assert factors == sorted(factors)
    assert len({(e.component, e.criterion, e.dependency) for e in result.path}) == len(result.path)
    assert result.limiting in result.components
    assert result.toughness > 0 and result.complete
    at = result.components.index(result.path[0].component)
    assert result.break_factor[at] == pytest.approx(result.path[0].load_factor)


def test_ductility_is_one_when_it_breaks_as_it_yields():
    assert np.isnan(fa.fracture(one(), 1.0).ductility_index)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: fa.fracture(one(), 0.0), "max_load_factor"),
    (lambda: fa.fracture(one(), float("nan")), "max_load_factor"),
    (lambda: fa.fracture(one(), criteria=["memry"]), "Did you mean 'memory'"),
    (lambda: fa.fracture(one(), tolerance=0.0), "tolerance"),
    (lambda: fa.fracture(fa.Architecture(name="x", components=[fa.Component("a")], loads=[])), "load"),
    (lambda: fa.fracture(one().scaled(0.0)), "nothing can break"),
    (lambda: fa.fracture(half_gone()), "already broken"),
    (lambda: fa.break_down(fa.Mesh.from_bars(2, [(1, 0)] * 2, 1.0, strength=[1, 0]), [0, 1.0]), "strength"),
    (lambda: fa.break_down(fa.Mesh.from_bars(2, [(1, 0)] * 2, 1.0, strength=[1, -2]), [0, 1.0]), "strength"),
    (lambda: fa.break_down(fa.Mesh.from_bars(2, [(1, 0)] * 2, 1.0, strength=[1, 1]), [0, 0.0]), "nor"),
])  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(fa.ModelError, match=words):
        call()


def test_a_limit_below_the_first_event_says_so():
    result = fa.fracture(one(), 0.5)
    assert result.collapse_factor == np.inf and not result.path
    assert "raise max_load_factor" in result.findings[-1]
    assert "nothing gives way" in repr(result)


@pytest.mark.parametrize("law", [{"queue_capacity": 2}, {"law": "usl", "usl_sigma": 0.05, "usl_kappa": 0.001}])
@pytest.mark.parametrize("balancing", ["round_robin", "least_outstanding"])
def test_replicas_with_tables_of_rates_stay_finite(law, balancing):
    """Their completion rates are tabulated for one replica; a pool must not read beyond the table."""
    result = fa.fracture(one(servers=3, replicas=4, balancing=balancing, **law))
    parts = sum(result.books[k] for k in ("served", "rejected", "timed_out", "lost", "queued"))
    np.testing.assert_allclose(parts, result.books["offered"], rtol=1e-6)
    assert np.isfinite(result.served_per_s).all()
    assert 0 < result.collapse_factor < 4 * 3 / 0.01 / 40.0 * 1.001


@pytest.mark.parametrize("factor", [0.7, 3.0])
def test_interpreted_and_compiled_sweeps_agree(monkeypatch, factor):
    import fea_arch.solvers.overload as solver
    from fea_arch.analyses.fracture import open_model

    arch = fa.Architecture(
        name="mixed",
        components=[
            fa.Component("web", servers=6, service_time_s=0.004, rate_limit_per_s=200.0),
            fa.Component("a", servers=2, service_time_s=0.01, queue_capacity=3, replicas=2),
            fa.Component("b", service_time_s=0.008, host="box", cpu_s=0.004),
            fa.Component("c", law="usl", usl_sigma=0.1, usl_kappa=0.01, servers=8, service_time_s=0.02),
        ],
        dependencies=[
            fa.Dependency("web", "a", timeout_s=0.05, retries=2, required=False),
            fa.Dependency("web", "b", calls=0.7, stage=1), fa.Dependency("web", "c", calls=1.0, stage=1),
            fa.Dependency("b", "a", mode="async"),
        ],
        hosts=[fa.Host("box", cpus=2)],
        loads=[fa.Load("web", rate_per_s=60.0)],
    )  # fmt: skip
    model, _ = open_model(arch)
    compiled = solver.overload(model, factor)
    assert len(solver.settle.compiled().signatures) == 1  # read-only columns would compile it again
    monkeypatch.setattr(solver, "settle", solver.settle.py_func)
    plain = solver.overload(model, factor)
    assert plain.sweeps == compiled.sweeps
    for name in ("arrivals", "response", "outcome", "edge_flow", "per", "stretch"):
        np.testing.assert_allclose(getattr(plain, name), getattr(compiled, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("above", [1e-2, 1e-4, 1e-6, 2.5e-7])
def test_a_line_just_above_its_capacity_grows_within_few_sweeps(above):
    import fea_arch.solvers.overload as solver

    arch = fa.Architecture(
        name="one", components=[fa.Component("a", service_time_s=0.01)], loads=[fa.Load("a", rate_per_s=100.0)]
    )
    state = solver.overload(arch, 1.0 + above, max_sweeps=100)
    assert state.converged and state.growing
    assert state.served_share == pytest.approx(1.0 / (1.0 + above), abs=1e-12)
