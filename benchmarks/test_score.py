"""The score and the comprehensive report of the bundled platform, warm."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import fea_arch as fa
from fea_arch.cli import program

pytestmark = pytest.mark.benchmark(min_rounds=3)


def test_score_of_the_bundled_platform(benchmark):
    arch = fa.load_sample("runbook")
    found = benchmark.pedantic(lambda: fa.score(arch), rounds=3, warmup_rounds=1)
    assert 0.0 < found.value < 100.0


def test_comprehensive_report_of_the_bundled_platform(benchmark):
    def run():
        return CliRunner().invoke(program, ["comprehensive", "--json"])

    result = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["system_health"]["scalability_potential"] == pytest.approx(1.44, abs=0.005)
    assert benchmark.stats.stats.min < 5.0
