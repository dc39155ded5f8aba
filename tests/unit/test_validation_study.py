"""The published comparison with measurements: its pages against a rerun, and the claims that it makes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from shared_data import DATA, needs_data

import fea_arch as fa

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "validation"
PAGES = FOLDER.parents[1] / "docs" / "validation"
SETS = (
    "hotel_reservation", "wso2_gateway", "wso2_identity", "teastore_demands", "teastore_ramps", "techempower",
    "mcp_servers", "scalability_laws", "etcd", "online_boutique",
)  # fmt: skip


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    if DATA is not None:
        monkeypatch.setenv("FEA_ARCH_DATA", str(DATA))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in (*SETS, "study", "outcome", "data_sets", "closed_loops"):
            del sys.modules[name]


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_the_page_says_what_a_rerun_says(study, name):
    outcome = study("outcome")
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert outcome.differs(text, outcome.page(study(name).run())) == ""


def test_a_changed_figure_is_noticed(study):
    outcome = study("outcome")
    assert outcome.differs("| a | 1,000 ms | +1.0 % |", "| a | 1,001 ms | +1.1 % |") == ""
    assert "became" in outcome.differs("| a | 1,000 ms | +1.0 % |", "| a | 1,100 ms | +1.0 % |")
    assert "became" in outcome.differs("| a | right |", "| a | wrong |")


@needs_data
def test_the_collapse_load_of_the_hotel_is_foretold_within_the_aim(study):
    rows = study("hotel_reservation").run().rows
    collapse = next(r for r in rows if r.quantity == "collapse load")
    assert abs(collapse.error) < 0.15
    assert all(r.right for r in rows if r.quantity == "bottleneck")
    assert all(abs(r.error) < 0.15 for r in rows if r.quantity == "mean response")


@needs_data
def test_the_slow_back_end_is_foretold_from_the_quick_one(study):
    rows = [r for r in study("wso2_gateway").run().rows if not r.calibration and "500 ms" in r.case]
    assert len(rows) == 36
    assert all(abs(r.error) < 0.15 for r in rows)


def test_above_saturation_there_is_no_steady_state_but_a_transient(study):
    hotel = study("hotel_reservation")
    arch = hotel.architecture(500.0, 400.0, 10.0, 0.05)
    with pytest.raises(fa.UnstableLoadError) as caught:
        fa.static(arch)
    assert caught.value.limiting == "reservation"
    assert caught.value.max_load_factor == pytest.approx(0.8, rel=1e-6)
    # the backlog grows by 100/s: who arrives at t waits t / 4, and the last to complete arrived at 90 / 1.25 s
    assert hotel.followed(arch) == pytest.approx(0.25 * 72.0 / 2, rel=0.1)
