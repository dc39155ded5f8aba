"""The comparison of two architectures, in Python and on the command line."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

import fea_arch as fa
from fea_arch.advice.comparison import _interval
from fea_arch.cli import main
from fea_arch.report.comparison import comparison_junit, comparison_markdown, comparison_sarif


@pytest.fixture
def base():
    return fa.load_sample("shop")


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_a_slower_component_is_a_regression_and_a_quicker_one_is_none(base):
    c = base["database"]
    weaker = fa.compare(base, base.replaced("database", service_time_s=2.0 * c.service_time_s), samples=3)
    assert weaker.regressed
    assert {"response_s", "collapse_factor"} <= set(weaker.regressions)
    better = fa.compare(base, base.replaced("database", service_time_s=0.5 * c.service_time_s), samples=3)
    assert not better.regressed
    assert better["response_s"]["verdict"] == "better"
    assert better["response_s"]["low"] <= better["response_s"]["change"] <= better["response_s"]["high"] < 0


def test_nothing_edited_moves_nothing(base):
    same = fa.compare(base, base)
    assert not same.regressed
    assert not same.changes
    assert (same.change == 0).all()


def test_edits_are_listed_field_by_field(base):
    head = base.without("cache").replaced("orders", servers=3)
    texts = [str(c) for c in fa.compare(base, head, samples=0).changes]
    assert "cache removed" in texts
    assert f"orders.servers: {base['orders'].servers} -> 3" in texts


def test_what_is_not_known_is_the_same_on_both_sides(base):
    # the interval of a change is far narrower than that of the value
    c = base["database"]
    found = fa.compare(base, base.replaced("database", service_time_s=1.01 * c.service_time_s), samples=5)
    row = found["response_s"]
    assert row["verdict"] == "worse"
    assert row["high"] - row["low"] < 0.05 * row["before"]


def test_reports_are_what_their_readers_accept(base):
    found = fa.compare(base, base.replaced("database", servers=1), samples=2)
    suite = ElementTree.fromstring(comparison_junit(found))
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == len(found.regressions) > 0
    log = comparison_sarif(found, "head.yaml")
    assert log["version"] == "2.1.0"
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == list(found.regressions)
    assert "weaker" in comparison_markdown(found)
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert len(repr(found).splitlines()) <= 8


def test_the_gate_flags_a_weakened_file_and_passes_an_improved_one(tmp_path, base, capsys):
    paths = {name: tmp_path / f"{name}.yaml" for name in ("base", "weak", "strong")}
    fa.write(base, paths["base"])
    fa.write(base.replaced("database", servers=1), paths["weak"])
    fa.write(base.replaced("database", servers=16), paths["strong"])
    junit, sarif = tmp_path / "junit.xml", tmp_path / "arch.sarif"
    flags = ("--fail-on-regression", "--samples", "2")
    code = run("compare", str(paths["base"]), str(paths["weak"]), *flags, "--markdown", "--junit", str(junit),
               "--sarif", str(sarif))  # fmt: skip
    out = capsys.readouterr()
    assert code == 1
    assert out.out.startswith("### Architecture")
    assert "weaker" in out.err
    assert ElementTree.parse(junit).getroot().get("tests")
    assert json.loads(sarif.read_text())["runs"][0]["results"]
    assert run("compare", str(paths["base"]), str(paths["strong"]), *flags, "--json") == 0
    assert json.loads(capsys.readouterr().out)["regressed"] is False


def test_a_baseline_is_never_created(tmp_path, base, capsys):
    head, missing = tmp_path / "head.yaml", tmp_path / "baseline.yaml"
    fa.write(base, head)
    assert run("compare", str(missing), str(head)) == 2
    assert not missing.exists()
    assert "never created" in capsys.readouterr().err


def test_bad_questions(base):
    with pytest.raises(fa.ModelError, match="no margin"):
        fa.compare(base, base, margins_of=("beauty",))
    with pytest.raises(fa.ModelError, match="samples"):
        fa.compare(base, base, samples=-1)
    with pytest.raises(fa.ModelError, match="at least 2"):
        fa.compare(base, base, samples=1)


def idle():
    """Two stations in a row that nothing makes wait: the response is the sum of the service times."""
    parts = [fa.Component(name, service_time_s=0.01, blocking=False) for name in ("a", "b")]
    return fa.Architecture(name="idle", components=parts, dependencies=[fa.Dependency("a", "b")],
                           loads=[fa.Load("a", rate_per_s=1e-9)])  # fmt: skip


def test_the_interval_of_a_known_change_covers_95_percent():
    # r = log((2 f_a + f_b) / (f_a + f_b)) with log-normal factors of 10 %: its distribution is known
    arch = idle()
    head = arch.replaced("a", service_time_s=0.02)
    factors = np.exp(0.1 * np.random.default_rng(1).standard_normal((2, 200_000)))
    change = 0.02 * ((2 * factors[0] + factors[1]) / factors.sum(axis=0) - 1.0)
    covered = []
    for seed in range(40):
        row = fa.compare(arch, head, samples=5, seed=seed, margins_of=("response_s",))["response_s"]
        assert row["change"] == pytest.approx(0.01, rel=1e-6)
        covered.append(np.mean((change >= row["low"]) & (change <= row["high"])))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)
    wide = fa.compare(arch, head, samples=400, margins_of=("response_s",))["response_s"]
    assert [wide["low"], wide["high"]] == pytest.approx(np.quantile(change, [0.025, 0.975]), rel=0.02)


def test_what_scales_everything_alike_is_known_exactly():
    arch = idle()
    head = arch.replaced("a", service_time_s=0.011).replaced("b", service_time_s=0.011)
    row = fa.compare(arch, head, samples=4, margins_of=("response_s",))["response_s"]
    assert [row["low"], row["change"], row["high"]] == pytest.approx([0.002] * 3, rel=1e-6)
    assert row["verdict"] == "worse"


def test_intervals_of_shares_are_those_of_differences():
    rng, hits = np.random.default_rng(2), 0
    for _ in range(2000):
        drawn = rng.normal(-0.1, 0.05, 9)  # eight samples and the truth
        change, low, high = _interval(np.zeros(9), np.concatenate([[-0.1], drawn[:8]]))
        assert change == -0.1
        hits += low <= drawn[8] <= high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


def test_a_sample_that_does_not_stand_makes_the_interval_a_range():
    assert _interval(np.array([1.0, 1.0, 1.1]), np.array([2.0, np.inf, 2.2])) == (1.0, 1.0, np.inf)
    assert _interval(np.full(3, np.inf), np.full(3, np.inf)) == (0.0, 0.0, 0.0)
    arch = idle().scaled(0.99e11)  # 99 % used: some draws are beyond it
    found = fa.compare(arch, arch.replaced("b", servers=2), samples=6, margins_of=("response_s",))
    assert found["response_s"]["verdict"] == "better"
    assert found["response_s"]["low"] == -np.inf
