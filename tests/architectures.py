"""Random descriptions for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from fea_arch.architecture import (
    Architecture,
    Balancer,
    Breaker,
    Component,
    Dependency,
    Finding,
    Host,
    Load,
    LoadCase,
    Objective,
    Period,
    Provenance,
    Workflow,
)
from fea_arch.architecture.component import BALANCING, KINDS

WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
POSITIVE = st.floats(1e-9, 1e9)
SHARE = st.floats(0.01, 1.0)
ORIGINS = st.builds(
    Provenance,
    kind=st.sampled_from(["assumed", "declared", "measured"]),
    samples=st.integers(0, 1000),
    source=st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    spread=st.floats(0, 10),
)


def maybe(strategy):
    return st.none() | strategy


@st.composite
def components(draw, name=WORDS, hosts=()):
    low, high = sorted((draw(SHARE), draw(SHARE)))
    service = draw(POSITIVE)
    curve = None
    if draw(st.booleans()):
        n = draw(st.integers(1, 4))
        curve = tuple((float(i + 1), draw(POSITIVE)) for i in range(n))
    return Component(
        draw(name),
        service_time_s=service,
        servers=draw(st.integers(1, 10**6)),
        service_scv=draw(st.floats(0, 100)),
        blocking=draw(st.booleans()),
        cpu_s=draw(maybe(st.just(service / 2))),
        memory_bytes=draw(maybe(POSITIVE)),
        memory_limit_bytes=draw(maybe(POSITIVE)),
        memory_per_request_bytes=draw(maybe(POSITIVE)),
        cold_start_s=draw(maybe(st.floats(0, 1e6))),
        replicas=draw(st.integers(1, 100)),
        balancing=draw(st.sampled_from(BALANCING)),
        queue_capacity=draw(maybe(st.integers(0, 10**9))),
        rate_limit_per_s=draw(maybe(POSITIVE)),
        kind=draw(st.sampled_from(KINDS)),
        host=draw(maybe(st.sampled_from(hosts))) if hosts else None,
        curve=curve,
        elastic_limit=low,
        failure_limit=high,
        available=draw(st.booleans()),
        provenance=draw(st.dictionaries(st.sampled_from(["service_time_s", "servers", "memory_bytes"]), ORIGINS)),
    )


@st.composite
def architectures(draw):
    machines = [
        Host(f"h{i}", cpus=draw(POSITIVE), memory_bytes=draw(maybe(POSITIVE))) for i in range(draw(st.integers(0, 2)))
    ]
    names = draw(st.lists(WORDS.filter(lambda w: "->" not in w), min_size=1, max_size=6, unique=True))
    parts = [draw(components(st.just(n), [h.name for h in machines])) for n in names]
    member = st.sampled_from(names)
    calls = draw(
        st.lists(
            st.builds(
                Dependency,
                member,
                member,
                calls=st.floats(0, 5),
                mode=st.sampled_from(["sync", "async"]),
                network_latency_s=st.floats(0, 1),
                stage=maybe(st.integers(0, 3)),
                timeout_s=maybe(POSITIVE),
                retries=st.integers(0, 5),
                retry_budget=maybe(st.floats(0, 1)),
                breaker=maybe(st.builds(Breaker, failure_share=SHARE, window_s=POSITIVE)),
                required=st.booleans(),
            ),
            max_size=8,
        )
    )
    groups = draw(
        st.lists(
            st.builds(
                Balancer,
                member,
                st.lists(member, min_size=1, max_size=3, unique=True).map(tuple),
                calls=st.floats(0, 3),
            ),
            max_size=2,
        )
    )
    loads = draw(
        st.lists(
            st.builds(Load, member, rate_per_s=POSITIVE, measured=st.booleans())
            | st.builds(Load, member, users=st.integers(1, 100), think_time_s=st.floats(0, 10)),
            max_size=3,
        )
    )
    return Architecture(
        name=draw(WORDS),
        components=parts,
        dependencies=[*calls, *groups],
        loads=loads,
        hosts=machines,
        objective=Objective(latency_s=draw(maybe(POSITIVE)), quantile=draw(st.floats(0.01, 0.999))),
        load_cases=[LoadCase("high", factor=draw(POSITIVE))] if draw(st.booleans()) else [],
        workflows=draw(
            st.lists(st.builds(Workflow, WORDS, st.lists(member, min_size=1, max_size=3).map(tuple)), max_size=2)
        ),
        periods=draw(st.lists(st.builds(Period, WORDS, POSITIVE, maybe(member)), max_size=2)),
        notes=draw(
            st.lists(
                st.builds(Finding, st.sampled_from(["warning", "info"]), WORDS, count=st.integers(1, 9)), max_size=2
            )
        ),
        origin=draw(st.text(st.characters(exclude_categories=("Cs",)), max_size=8)),
    )
