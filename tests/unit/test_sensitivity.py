"""Sensitivities against closed forms, and how they answer what has no derivative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fea_arch as fa


def one(**options):
    fields = {"service_time_s": 0.1, "servers": 1, **options}
    loads = [fa.Load("api", rate_per_s=5.0)]
    return fa.Architecture(name="one", components=[fa.Component("api", **fields)], loads=loads)


def test_one_queue_has_the_textbook_derivatives():
    row = fa.sensitivity(one(), of="api")["api"]  # R = S / (1 - lambda S)
    assert row["by_service_time"] == pytest.approx(4.0, rel=1e-12)
    assert row["by_rate"] == pytest.approx(0.1**2 / 0.25, rel=1e-12)
    assert row["by_memory"] == 0.0


def test_one_server_more_is_the_difference_of_two_solves():
    arch = fa.load_sample("shop")
    result = fa.sensitivity(arch)
    database = arch["database"]
    gain = fa.static(arch.replaced("database", servers=database.servers + 1)).mean_response_s - result.value
    assert result["database"]["by_servers"] == pytest.approx(gain, rel=0.05, abs=1e-9)


def test_the_collapse_factor_falls_with_the_work_of_what_limits():
    arch = fa.load_sample("chain", n=3)
    result = fa.sensitivity(arch, of="collapse_factor")
    assert result.method.startswith("adjoint")
    name = result.limiting
    c = arch[name]
    assert result[name]["elasticity"] == pytest.approx(-1.0, rel=1e-6)
    assert result[name]["by_servers"] == pytest.approx(result.value / (c.servers + 1), rel=1e-6)  # to first order
    assert sum(load.rate_per_s for load in arch.loads) * sum(result.influence.values()) == pytest.approx(-result.value)


@pytest.mark.parametrize("name", ["score", "damping", "stability_margin"])
def test_answers_without_an_adjoint_say_so_and_agree_with_re_solved_values(name):
    from fea_arch.advice.answers import answer

    arch = fa.load_sample("shop")
    result = fa.sensitivity(arch, of=name)
    assert "central differences" in result.method
    assert result.value == pytest.approx(answer(name)(arch, 1.0), rel=1e-12)
    known = np.flatnonzero(np.isfinite(result.by_service_time))
    i = int(known[np.argmax(np.abs(result.by_service_time[known]))])
    c = arch.components[i]
    step = 0.005 * c.service_time_s  # the answer moves as the slope says, well within the step
    gain = answer(name)(arch.replaced(c.name, service_time_s=c.service_time_s + step), 1.0) - result.value
    assert gain == pytest.approx(step * result.by_service_time[i], rel=0.3, abs=1e-6 * abs(result.value) + 1e-12)


def test_kinks_are_named():
    from fea_arch.advice.differences import by_differences
    from fea_arch.solvers.network import build_network

    arch = fa.load_sample("chain", n=2)
    start = arch["s1"].service_time_s

    def value(a):  # a kink just above the value of today, and a straight line
        return max(a["s1"].service_time_s - 1.004 * start, 0.0) + 0.1 * a["s2"].service_time_s

    found = by_differences(value, arch, build_network(arch), [0, 1])
    assert "s1.service_time_s" in found.kinks
    assert "s2.service_time_s" not in found.kinks
    assert found.gradient.service[1] == pytest.approx(0.1)


def test_recovery_time_moves_with_the_load():
    arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.01)],
                           loads=[fa.Load("api", rate_per_s=50.0)])  # fmt: skip
    result = fa.sensitivity(arch, of="recovery_time")  # backlog 3000 drains at 50/s: the time is 60 / (1 - rho)
    assert result.value == pytest.approx(120.0, rel=0.05)
    assert result["api"]["by_rate"] == pytest.approx(60 * 0.01 / 0.25, rel=0.1)


def test_pools_of_another_model_are_left_to_differences_that_agree_with_the_adjoint(monkeypatch):
    import fea_arch.solvers.pool_linearisation as module

    arch = fa.Architecture(
        name="pools",
        components=[fa.Component("web", service_time_s=0.01, servers=3), fa.Component("db", service_time_s=0.02)],
        dependencies=[fa.Dependency("web", "db", calls=0.7)],
        loads=[fa.Load("web", rate_per_s=30.0)],
    )
    whole = fa.sensitivity(arch, of="web")
    monkeypatch.setattr(module, "SAME", -1.0)  # no wait is the one that the linearisation finds
    found = fa.sensitivity(arch, of="web")
    assert (whole.method, "differences" in found.method) == ("adjoint", True)
    assert found.by_service_time == pytest.approx(whole.by_service_time, rel=1e-5)
    assert found.by_calls == pytest.approx(whole.by_calls, rel=1e-5)
    assert found.influence["web"] == pytest.approx(whole.influence["web"], rel=1e-5)


def test_bad_questions_are_answered_with_the_fix():
    arch = one()
    with pytest.raises(fa.ModelError, match="probability"):
        fa.sensitivity(arch, quantile=1.0)
    with pytest.raises(fa.ModelError, match="apu"):
        fa.sensitivity(arch, of="apu")
    with pytest.raises(fa.UnstableLoadError):
        fa.sensitivity(arch, load_factor=3.0)
    with pytest.raises(fa.ModelError, match="nothing loads"):
        fa.sensitivity(replace(arch, loads=()))


def test_the_result_is_a_table_and_knows_its_calls():
    arch = fa.load_sample("shop")
    result = fa.sensitivity(arch)
    label = arch.dependencies[0].label
    assert result.dependency(label)["by_calls"] > 0
    assert result.to_dict()["result"] == "SensitivityResult"
    assert len(repr(result).splitlines()) <= 8
    with pytest.raises(fa.ModelError, match="no such dependency"):
        result.dependency("a->b")
    with pytest.raises(ValueError):
        result.by_rate[0] = 1.0


def test_the_command_ranks_and_prints_json(tmp_path, capsys):
    import json

    from fea_arch.cli import main

    path = tmp_path / "shop.yaml"
    fa.write(fa.load_sample("shop"), path)
    for arguments in (["--quantile", "0.95"], ["--json"]):
        with pytest.raises(SystemExit) as end:
            main(["sensitivity", str(path), *arguments])
        assert end.value.code == 0
        out = capsys.readouterr().out
        if "--json" in arguments:
            assert json.loads(out)["method"] == "adjoint"
        else:
            assert "p95 of the response" in out
            assert "load at gateway" in out
