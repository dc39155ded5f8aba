"""Sweeps against one static analysis for each design."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.cli import main


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


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["sweep", *arguments])
    return end.value.code


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.yaml"
    fa.write(fa.load_sample("shop"), path)
    return str(path)


def test_the_command_tabulates_one_parameter(shop, capsys):
    assert run(shop, "--vary", "load_factor=0.5:1.5:0.25") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shop: 5 of 5 designs stand"
    assert "load_factor" in lines[2]
    assert "mean response" in lines[2]
    assert [line.split()[0] for line in lines[3:]] == ["0.5", "0.75", "1", "1.25", "1.5"]


def test_the_command_tabulates_two_parameters(shop, capsys):
    arguments = (shop, "--vary", "database.servers=2,4,8", "--vary", "load_factor=1,1000")
    assert run(*arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    library = fa.sweep(fa.read(shop), {"database.servers": [2, 4, 8], "load_factor": [1, 1000]})
    assert np.array(document["response_s"])[:, 0].astype(float) == pytest.approx(library.response_s[:, 0])
    assert document["stable"] == [[True, False]] * 3
    assert run(*arguments, "--show", "utilisation") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shop: 3 of 6 designs stand"
    assert lines[2].startswith("highest utilisation over load_factor")
    assert lines[3].split() == ["database.servers", "1", "1000"]
    assert [line.split()[-1] for line in lines[4:]] == ["-", "-", "-"]


def test_times_have_units_and_changes_come_first(shop, capsys):
    arch = fa.read(shop)
    label = arch.dependencies[0].label
    arguments = (shop, "--vary", f"{label}.network_latency_s=0,10ms", "--scale", "0.5", "--json")
    assert run(*arguments) == 0
    response = json.loads(capsys.readouterr().out)["response_s"]
    near = arch.scaled(0.5).replaced(label, network_latency_s=0.0)
    assert response[0] == pytest.approx(fa.static(near).mean_response_s)
    assert response[1] > response[0]


def test_nothing_that_stands_is_exit_code_1(shop, capsys):
    assert run(shop, "--vary", "load_factor=1e6,1e7") == 1
    assert "0 of 2 designs stand" in capsys.readouterr().out


@pytest.mark.parametrize(
    "vary",
    [
        ["load_factor"], ["load_factor="], ["=1,2"], ["load_factor=1:2"], ["load_factor=2:1:0.5"],
        ["load_factor=0:1:0"], ["load_factor=0:1:1e-9"], ["load_factor=1,many"], ["load_factor=1,nan"],
        ["load_factor=1", "load_factor=2"], ["a.servers=1", "b.servers=1", "load_factor=1"], ["ordrs.servers=1"],
        ["orders.service_time_s=3 parsecs"], ["load_factor=1:200:1", "orders.servers=1:100:1"], [],
    ],
)  # fmt: skip
def test_bad_ranges(shop, capsys, vary):
    assert run(shop, *(part for text in vary for part in ("--vary", text))) == 2
    assert capsys.readouterr().out == ""
