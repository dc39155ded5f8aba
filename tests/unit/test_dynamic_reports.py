"""What ``fea-arch dynamic`` and ``fea-arch modal`` print and write, and named errors of the dynamic analyses."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from shared_data import DATA, needs_data

import fea_arch as fa
from fea_arch.analyses.recovery import recovery
from fea_arch.cli import program


def document(*words):
    done = CliRunner().invoke(program, list(words), standalone_mode=False)
    assert done.exception is None, done.output
    return json.loads(done.stdout)


def numbers(values):
    return all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    arch = fa.load_sample("shop")
    arch = replace(arch, components=[replace(c, cold_start_s=0.5 + 0.1 * k) for k, c in enumerate(arch.components)])
    fa.write(arch, folder / "shop.yaml")
    return folder


def check_dynamic(report):
    event = report["event_propagation"]
    assert numbers([event["target_s"], event["mean_s"], event["p95_s"], *event["entries"].values()])
    assert isinstance(event["meets_target"], bool)
    handling = report["load_handling"]
    assert list(handling["events"]) == ["10", "50", "100", "200"]
    backlogs = [handling["events"][n]["peak_backlog"] for n in ("10", "50", "100", "200")]
    assert backlogs == sorted(backlogs)
    assert backlogs[0] > 0.0
    for case in (handling["burst"], *handling["events"].values()):
        assert case["balance"] < 1e-8
        assert 0.0 <= case["within_objective_share"] <= 1.0
    resonance = report["system_resonance"]
    assert numbers(resonance[k] for k in ("natural_frequency_hz", "damping_ratio", "amplitude_decay_per_cycle",
                                          "stability_margin_per_s", "slowest_drain_s"))  # fmt: skip
    assert resonance["stable"] is True
    wave = report["wave_propagation"]
    assert numbers(row["arrival_s"] for row in wave["components"].values())
    assert wave["crossing_time_s"] == max(row["arrival_s"] for row in wave["components"].values())
    assert wave["mean_speed_hops_per_s"] > 0.0
    for row in report["recovery"]["components"].values():
        assert row["recovery_time_s"] is None or row["met"] == (row["recovery_time_s"] <= row["objective_s"])


def check_modal(report, kinds):
    for kind in kinds:
        frequencies = report["natural_frequencies"][kind]
        assert numbers(row["frequency_hz"] for row in frequencies)
        assert max(row["residual"] for row in frequencies) < 1e-8
        for shape, damping in zip(report["mode_shapes"][kind], report["damping_analysis"][kind], strict=True):
            assert max(abs(v) for v in shape["dominant"].values()) == pytest.approx(1.0)
            assert damping["drain_time_s"] > 0.0
    vibration = report["vibration_characteristics"]
    assert vibration["stable"] is True
    assert vibration["stability_margin_per_s"] > 0.0
    assert sum(vibration["drivers"].values()) == pytest.approx(1.0, abs=0.02)


def test_dynamic_document(shop):
    report = document("dynamic", str(shop / "shop.yaml"), "--json", "--out", str(shop / "out"))
    check_dynamic(report)
    written = list((shop / "out").glob("dynamic_analysis_*.json"))
    assert len(written) == 1
    assert json.loads(written[0].read_text())["load_handling"] == report["load_handling"]
    # a wave needs time for every hop, so who is behind hears of it later
    wave = report["wave_propagation"]["components"]
    assert wave[report["wave_propagation"]["last"]]["hops"] > 0
    assert report["system_resonance"]["with_capacity_lag"]["damping_ratio"] < 1.0


def test_modal_document(shop):
    report = document("modal", str(shop / "shop.yaml"), "--json", "--out", str(shop / "out"))
    check_modal(report, ("backpressure", "open"))
    assert report["vibration_characteristics"]["structural_modes_complete"] is True
    assert len(list((shop / "out").glob("modal_analysis_*.json"))) == 1


def test_every_field_is_written_up(shop):
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "report_fields.md").read_text(encoding="utf-8")
    arch = str(shop / "shop.yaml")
    dynamic, modal = document("dynamic", arch, "--json", "--no-recovery"), document("modal", arch, "--json")
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]+)`", page))))
    parts = [
        *(dynamic[k] for k in ("event_propagation", "load_handling", "system_resonance", "wave_propagation")),
        dynamic["load_handling"]["burst"], dynamic["wave_propagation"]["components"].popitem()[1],
        modal["vibration_characteristics"],
        *(modal[k]["open"][0] for k in ("natural_frequencies", "mode_shapes", "damping_analysis")),
    ]  # fmt: skip
    for part in parts:
        assert set(part) - {"mode"} <= named


@needs_data
def test_reports_on_the_social_network_traces():
    traces = str(DATA / "deathstarbench" / "social-network-jaeger-traces.json.gz")
    report = document("dynamic", traces, "--json")
    check_dynamic(report)
    assert report["event_propagation"]["target_assumed"] is True
    assert len(report["wave_propagation"]["components"]) == 12
    report = document("modal", traces, "--json")
    check_modal(report, ("open",))
    assert "warm-up" in report["vibration_characteristics"]["structural_modes_missing_because"]


def test_rows_of_a_long_run_are_streamed():
    blocks = []
    result = fa.transient(
        fa.load_sample("chain", n=2), fa.Periodic(period_s=5.0, amplitude=0.3), 3000.0, dt_s=0.5,
        stream=lambda t, number, flow: blocks.append((t, number, flow)),
    )
    assert len(blocks) > 10
    np.testing.assert_array_equal(np.concatenate([b[0] for b in blocks]), result.time_s)
    np.testing.assert_array_equal(np.concatenate([b[1] for b in blocks]), result.in_flight)
    np.testing.assert_array_equal(np.concatenate([b[2] for b in blocks]), result.throughput_per_s)


def test_senseless_dynamics_are_named():
    arch = fa.load_sample("chain", n=2)
    idle = fa.Architecture(name="idle", components=[fa.Component("a", service_time_s=0.01)])
    for call, word in [
        (lambda: fa.transient(idle), "load"), (lambda: fa.transient(arch, duration_s=-1.0), "duration_s"),
        (lambda: fa.transient(arch, duration_s=math.inf), "duration_s"),
        (lambda: fa.transient(arch, duration_s=10.0, dt_s=20.0), "dt_s"),
        (lambda: fa.transient(arch, duration_s=10.0, dt_s=0.0), "dt_s"),
        (lambda: fa.transient(arch, events=[fa.Outage("s11", 1.0, 2.0)]), "Did you mean 's1'"),
        (lambda: fa.transient(arch, lambda t: math.nan, 10.0), "load"),
        (lambda: fa.transient(arch, stream=3), "stream"), (lambda: fa.modal(arch, 0), "modes"),
        (lambda: fa.modal(idle), "load"), (lambda: fa.modal(arch, coupling="opn"), "Did you mean 'open'"),
        (lambda: fa.modal(arch), "warm-up"), (lambda: fa.harmonic(arch, [0.0]), "frequencies_hz"),
        (lambda: fa.harmonic(arch, [1.0], at="s7"), "s7"), (lambda: fa.burst_spectrum(arch, [-1.0]), "durations_s"),
        (lambda: recovery(arch, math.nan), "outage_s"), (lambda: recovery(arch, components=["x"]), "x"),
    ]:  # fmt: skip
        with pytest.raises(fa.ModelError, match=word):
            call()
    for call in (lambda: fa.modal(arch, load_factor=3.0), lambda: fa.transient(arch.scaled(3.0)),
                 lambda: fa.harmonic(arch, [1.0], load_factor=3.0)):  # fmt: skip
        with pytest.raises(fa.UnstableLoadError):
            call()


def test_parts_without_connection_and_without_load():
    arch = fa.Architecture(
        name="islands",
        components=[fa.Component(n, service_time_s=0.01, cold_start_s=1.0) for n in ("a", "b", "alone")],
        dependencies=[fa.Dependency("a", "b")],
        loads=[fa.Load("a", rate_per_s=20.0)],
    )
    for coupling in ("open", "backpressure"):
        result = fa.modal(arch, 3, coupling=coupling)
        assert result.stable
        assert np.isfinite(result.frequencies_hz).all()
    burst = fa.transient(arch, fa.Burst(factor=10, start_s=1, duration_s=2), 30.0)
    assert burst["alone"]["peak"] == 0.0
    assert burst["a"]["peak"] > 100.0


def test_a_population_at_rest_stays_and_comes_back():
    closed = fa.Architecture(
        name="closed",
        components=[fa.Component("web", servers=4, service_time_s=0.01), fa.Component("db", service_time_s=0.02)],
        dependencies=[fa.Dependency("web", "db")],
        loads=[fa.Load("web", users=20, think_time_s=0.1)],
    )
    still = fa.transient(closed, None, 60.0)
    np.testing.assert_allclose(still.in_flight, np.broadcast_to(still.rest, still.in_flight.shape), rtol=2e-2)
    assert still.total_drain_time_s == 0.0
    found = recovery(closed, 30.0)
    assert found.all_met
