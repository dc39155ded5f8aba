"""Components side by side in blocks against one at a time, and how blocks are made."""

from __future__ import annotations

import numpy as np
import pytest
from fluid_networks import close, without_feedback

import fea_arch as fa
from fea_arch.analyses import transient as verb
from fea_arch.kernels.fluid_lanes import LANES
from fea_arch.solvers import fluid_blocks
from fea_arch.solvers import fluid_march as solver
from fea_arch.solvers.fluid import fluid_model

FIELDS = ("in_flight", "throughput_per_s", "response_s", "success_share", "offered", "served", "rejected", "peak")


def layered(seed, layers, wide, **more):
    """Layers of components that call some of the next, of several kinds."""
    rng = np.random.default_rng(seed)
    kinds = [{}, {"servers": 1}, {"law": "delay"}, {"queue_capacity": 5}, {"rate_limit_per_s": 80.0}]
    parts, calls = [], []
    for i in range(layers * wide):
        kind = kinds[int(rng.integers(len(kinds)))] if more.get("kinds", True) else {}
        given = {"servers": 4, "service_time_s": float(rng.uniform(2e-3, 2e-2)), "blocking": bool(rng.random() < 0.4)}
        parts.append(fa.Component(f"c{i}", **given | kind))
    for i in range((layers - 1) * wide):
        first = (i // wide + 1) * wide
        for j in sorted(set((first + rng.integers(0, wide, int(rng.integers(0, 4)))).tolist())):
            retry = {"timeout_s": 0.1, "retries": 2, "backoff_s": 0.02} if rng.random() < 0.2 else {}
            mode = "sync" if retry or rng.random() < 0.8 else "async"
            stage = None if mode == "async" or rng.random() < 0.3 else int(rng.integers(0, 2))
            calls.append(
                fa.Dependency(
                    f"c{i}", f"c{j}", calls=float(rng.uniform(0.2, 1.3)), required=bool(rng.random() < 0.7), mode=mode,
                    stage=stage, **retry,
                )
            )  # fmt: skip
    loads = [fa.Load(f"c{i}", rate_per_s=float(rng.uniform(0.01, 0.2))) for i in range(wide)]
    arch = fa.Architecture(name="layered", components=parts, dependencies=calls, loads=loads)
    return arch.scaled(0.5 * fa.static(arch).max_load_factor)


def both(monkeypatch, arch, end, **given):
    """Run one at a time, then side by side, and see that it was so."""
    used = []

    def watched(kernel, name):
        def call(*arguments):
            used.append(name)
            return kernel(*arguments)

        return call

    monkeypatch.setattr(solver, "march", watched(solver.march, "one"))
    monkeypatch.setattr(solver, "march_side_by_side", watched(solver.march_side_by_side, "many"))
    given = {"load": fa.Burst(factor=4.0, start_s=0.3, duration_s=0.5), "times_s": np.linspace(0.0, end, 23)} | given
    load = given.pop("load")
    monkeypatch.setattr(fluid_blocks, "MANY", 1_000_000)
    alone = fa.transient(arch, load, end, **given)
    assert set(used) == {"one"}
    used.clear()
    monkeypatch.setattr(fluid_blocks, "MANY", 0)
    monkeypatch.setattr(fluid_blocks, "ROOM", np.inf)
    beside = fa.transient(arch, load, end, **given)
    assert set(used) == {"many"}
    return alone, beside


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("lag", "step"), [("none", {"dt_s": 0.01}), ("full", {"dt_s": 0.01}), ("none", {})])
def test_side_by_side_equals_one_at_a_time(monkeypatch, seed, lag, step):
    arch = without_feedback(seed)
    arch = arch.scaled(0.5 * fa.static(arch).max_load_factor)
    end, dead = (3.0, (1.5, 2.0)) if lag == "none" else (1.2, (0.8, 1.0))
    alone, beside = both(monkeypatch, arch, end, lag=lag, events=[fa.Outage("c9", *dead)], **step)
    assert beside.steps == pytest.approx(alone.steps, abs=0 if step else 3)
    assert beside.balance < 1e-12 and beside.kills == alone.kills
    for name in FIELDS:
        close(getattr(beside, name), getattr(alone, name), 1e-6 if step else 1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("refine", [1, 3])
def test_blocks_of_many_kinds(monkeypatch, seed, refine):
    """Blocks with lanes and calls missing, stages of parallel calls, chains, and records of every step."""
    arch = layered(seed, 4, 45)
    alone, beside = both(monkeypatch, arch, 1.0, dt_s=0.01, refine=refine, times_s=None)
    assert alone.time_s.shape == beside.time_s.shape
    assert beside.balance < 1e-12
    for name in FIELDS:
        close(getattr(beside, name), getattr(alone, name), 1e-6)


def test_memory_that_runs_out(monkeypatch):
    arch = without_feedback(2)
    arch = arch.scaled(0.9 * fa.static(arch).max_load_factor)
    alone, beside = both(monkeypatch, arch, 2.0, dt_s=0.005, load=fa.Burst(factor=30.0, start_s=0.2, duration_s=1.0))
    assert alone.kills  # else nothing is compared
    assert [name for _, name in beside.kills] == [name for _, name in alone.kills]
    assert [t for t, _ in beside.kills] == pytest.approx([t for t, _ in alone.kills], abs=1e-9)


@pytest.mark.parametrize("refine", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_hold_all_once_and_callers_first(monkeypatch, seed, refine):
    monkeypatch.setattr(fluid_blocks, "MANY", 0)
    monkeypatch.setattr(fluid_blocks, "ROOM", np.inf)
    model = fluid_model(*verb._base(layered(seed, 5, 40), 1.0, "steady"), refine=refine)
    who = fluid_blocks.side_by_side(model)
    assert who.size % LANES == 0
    assert np.array_equal(np.sort(who[who >= 0]), np.arange(model.n))
    block = np.empty(model.n, np.int64)
    block[model.order[who[who >= 0]]] = np.flatnonzero(who >= 0) // LANES
    assert (block[model.source] < block[model.target]).all()


def test_few_components_and_long_chains_go_one_at_a_time(monkeypatch):
    monkeypatch.setattr(fluid_blocks, "MANY", 300)
    few = fluid_model(*verb._base(layered(0, 3, 40), 1.0, "steady"))
    assert fluid_blocks.side_by_side(few).size == 0
    chain = layered(0, fluid_blocks.MANY // 2, 2, kinds=False)
    assert fluid_blocks.side_by_side(fluid_model(*verb._base(chain, 1.0, "steady"))).size == 0
    many = fluid_model(*verb._base(layered(0, 4, fluid_blocks.MANY // 2), 1.0, "steady"))
    assert fluid_blocks.side_by_side(many).size > 0
