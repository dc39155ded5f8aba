"""What must hold of every score."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.scored_architectures import scored_architecture

import fea_arch as fa

SEEDS = st.integers(0, 10_000)


def value(arch: fa.Architecture) -> float:
    return fa.score(arch, samples=0).value


def small(seed: int) -> fa.Architecture:
    return scored_architecture(seed, least=3, most=9)


def plain(seed: int) -> fa.Architecture:
    """Without retries, time-outs and memory limits, where more of anything cannot hurt."""
    arch = small(seed)
    return replace(
        arch,
        components=[replace(c, memory_limit_bytes=None) for c in arch.components],
        dependencies=[replace(d, timeout_s=None, retries=0, mode="sync") for d in arch.dependencies],
    )


@given(SEEDS, st.randoms())
@settings(max_examples=15, deadline=None)
def test_order_and_names_change_nothing(seed, random):
    arch = small(seed)
    names = {c.name: f"x{k}" for k, c in enumerate(random.sample(list(arch.components), len(arch)))}
    components = [replace(c, name=names[c.name]) for c in arch.components]
    random.shuffle(components)
    other = replace(
        arch,
        components=components,
        dependencies=[replace(d, source=names[d.source], target=names[d.target]) for d in arch.dependencies],
        loads=[replace(load, entry=names[load.entry]) for load in arch.loads],
    )
    assert value(other) == pytest.approx(value(arch), abs=0.2)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_second_copy_of_everything_changes_nothing(seed):
    arch = small(seed)
    copy = {c.name: f"copy-{c.name}" for c in arch.components}
    twice = replace(
        arch,
        components=[*arch.components, *(replace(c, name=copy[c.name]) for c in arch.components)],
        dependencies=[
            *arch.dependencies,
            *(replace(d, source=copy[d.source], target=copy[d.target]) for d in arch.dependencies),
        ],
        loads=[*arch.loads, *(replace(load, entry=copy[load.entry]) for load in arch.loads)],
    )
    assert value(twice) == pytest.approx(value(arch), abs=1e-6)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_losses_sum_to_what_is_missing(seed):
    score = fa.score(small(seed), samples=0)
    assert score.losses.sum() == pytest.approx(100.0 - score.value, abs=1e-9)
    assert (score.losses >= 0.0).all() and 0.0 <= score.value <= 100.0


#: Situations that a system of moderate load carries: nobody is turned away but by a kill.
CARRIED = fa.Catalogue.from_dict({
    "version": "carried",
    "situations": [
        {"name": "design", "group": "static", "kind": "load", "weight": 0.4, "factor": 1.0},
        {"name": "memory", "group": "nonlinear", "kind": "memory", "weight": 0.4, "lost_share": 0.9, "factor": 1.0},
        {"name": "swing", "group": "modal", "kind": "periodic", "weight": 0.2, "amplitude": 0.3},
    ],
})  # fmt: skip


def carried(arch: fa.Architecture) -> fa.Architecture:
    """Half of the load that it can carry: beyond, more of one thing may only move the overload to a worse place."""
    return arch.scaled(0.5 * min(fa.static(arch.scaled(1e-3)).max_load_factor * 1e-3, 1e3))


def carried_value(arch: fa.Architecture) -> float:
    return fa.score(arch, CARRIED, samples=0).value


@given(SEEDS, st.integers(0, 8), st.sampled_from(["servers", "replicas"]))
@settings(max_examples=25, deadline=None)
def test_more_servers_and_replicas_never_lower_the_score(seed, which, field):
    arch = plain(seed)
    arch = replace(arch, components=[replace(c, blocking=False) for c in arch.components])
    c = arch.components[which % len(arch)]
    assert value(arch.replaced(c.name, **{field: 2 * getattr(c, field)})) >= value(arch) - 0.3


@given(SEEDS, st.integers(0, 8), st.sampled_from(["servers", "replicas"]))
@settings(max_examples=20, deadline=None)
def test_a_larger_pool_of_callers_moves_the_score_of_a_carried_load_by_less_than_its_accuracy(seed, which, field):
    # a pool shares the wait between its own line and those behind it; how much each gets is approximate
    arch = carried(plain(seed))
    c = arch.components[which % len(arch)]
    assert carried_value(arch.replaced(c.name, **{field: 2 * getattr(c, field)})) >= carried_value(arch) - 6.0


@given(SEEDS, st.integers(0, 8))
@settings(max_examples=15, deadline=None)
def test_more_memory_never_lowers_the_score_of_a_load_that_is_carried(seed, which):
    arch = carried(small(seed))
    c = arch.components[which % len(arch)]
    if c.memory_limit_bytes is None:
        return
    more = arch.replaced(c.name, memory_limit_bytes=4 * c.memory_limit_bytes)
    assert carried_value(more) >= carried_value(arch) - 0.3


def test_in_an_overload_a_kill_sheds_the_backlog():
    # the limit of "more is never worse": each restart begins with an empty queue, and its first requests are in time
    arch = small(1600)
    c = arch.components[0]
    more = arch.replaced("c0", memory_limit_bytes=4 * c.memory_limit_bytes)
    assert arch.loads[0].rate_per_s > c.capacity_per_s
    options = {"warm_up_s": 0.0, "replications": 4, "seed": 1}
    tight, wide = (fa.simulate(a, 60.0, **options).served_within_objective for a in (arch, more))
    assert tight > wide + 0.02


@given(SEEDS, st.floats(0.25, 4.0))
@settings(max_examples=10, deadline=None)
def test_scaled_loads_divide_the_collapse_factor(seed, s):
    arch = replace(plain(seed), components=[replace(c, blocking=False) for c in plain(seed).components])
    arch = arch.scaled(1e-3)
    assert fa.static(arch.scaled(s)).max_load_factor == pytest.approx(fa.static(arch).max_load_factor / s, rel=1e-3)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_missing_measurement_is_neither_nothing_nor_everything(seed):
    arch = small(seed)
    # without kills: one that is just about to happen moves the score more for a small error than for a large one
    arch = replace(arch, components=[replace(c, memory_limit_bytes=None) for c in arch.components])
    c = arch.components[-1]
    unknown = arch.replaced(c.name, memory_bytes=None, cold_start_s=None, provenance={
        "service_time_s": fa.Provenance("assumed")})  # fmt: skip
    known = replace(unknown, components=[
        replace(k, provenance={"service_time_s": fa.Provenance("measured", samples=1000)}) for k in unknown.components
    ])  # fmt: skip
    assert value(unknown) == pytest.approx(value(known), abs=1e-9)
    wide, narrow = fa.score(unknown), fa.score(known)
    assert wide.interval[1] - wide.interval[0] >= narrow.interval[1] - narrow.interval[0]
    assert unknown.measured_share() < known.measured_share()
