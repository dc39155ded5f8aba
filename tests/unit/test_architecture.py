"""The architecture: frozen, every edit a copy, every mistake named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from architectures import architectures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fea_arch as fa
from fea_arch.architecture import Measurement, Provenance
from fea_arch.errors import ModelError

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def shop():
    return fa.Architecture(
        name="shop",
        components=[
            fa.Component("gateway", service_time_s=0.002, servers=20),
            fa.Component("orders", service_time_s=0.010, servers=8, host="node"),
            fa.Component("db-1", kind="database"),
            fa.Component("db-2", kind="database"),
        ],
        dependencies=[fa.Dependency("gateway", "orders"), fa.Balancer("orders", ("db-1", "db-2"), calls=2.0)],
        loads=[fa.Load("gateway", rate_per_s=100.0), fa.Load("gateway", users=10)],
        hosts=[fa.Host("node", cpus=16)],
        load_cases=[fa.LoadCase("high", factor=10.0)],
        workflows=[fa.Workflow("order", ("gateway", "orders"))],
        periods=[fa.Period("poll", period_s=5.0, at="orders")],
    )


def test_frozen(shop):
    with pytest.raises(dataclasses.FrozenInstanceError):
        shop.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        shop["orders"].servers = 1
    assert not shop.graph.calls.flags.writeable


def test_graph_expands_balancers(shop):
    graph = shop.graph
    assert graph.source.tolist() == [0, 1, 1]
    assert graph.target.tolist() == [1, 2, 3]
    assert graph.calls.tolist() == [1.0, 1.0, 1.0]
    assert graph.group.tolist() == [-1, 0, 0]
    assert graph.rate_per_s.tolist() == [100.0, 0, 0, 0]


def test_replaced(shop):
    assert shop.replaced("orders", servers=16)["orders"].servers == 16
    assert shop["orders"].servers == 8
    assert shop.replaced("gateway->orders", timeout_s=1.0).dependencies[0].timeout_s == 1.0
    assert shop.replaced("orders->db-1|db-2", policy="least_outstanding").balancers[0].policy == "least_outstanding"
    assert shop.replaced("node", cpus=4).hosts[0].cpus == 4.0
    assert shop.replaced("gateway->orders", timeout_s=1.0).graph.timeout_s[0] == 1.0
    assert np.isnan(shop.graph.timeout_s[0])


def test_rename_follows_every_reference(shop):
    new = shop.replaced("orders", name="ordering")
    assert new.dependencies[0].target == "ordering"
    assert new.balancers[0].source == "ordering"
    assert new.workflows[0].path == ("gateway", "ordering")
    assert new.periods[0].at == "ordering"
    assert new.replaced("ordering", name="orders") == shop
    with pytest.raises(ModelError, match="twice"):
        shop.replaced("orders", name="gateway")


def test_a_what_if_value_is_declared_not_measured(shop):
    measured = shop.measured([Measurement("orders", latency_s=[0.01, 0.02])])
    assert measured["orders"].provenance["service_time_s"].kind == "measured"
    assert "service_time_s" not in measured.replaced("orders", service_time_s=0.5)["orders"].provenance


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("ordrs", {"servers": 1}, "Did you mean 'orders'"),
        ("orders", {"server": 1}, "Did you mean 'servers'"),
        ("orders", {"servers": 0}, "orders.servers"),
        ("gateway->db-1", {"calls": 1.0}, "no such dependency"),
        ("gateway->ordrs", {"calls": 1.0}, "Did you mean 'gateway->orders'"),
        (5, {"servers": 1}, "no component"),
    ],
)
def test_bad_edits(shop, name, changes, words):
    with pytest.raises(ModelError, match=words):
        shop.replaced(name, **changes)


def test_without_takes_everything_that_touches_it(shop):
    less = shop.without("orders")
    assert list(less.names) == ["gateway", "db-1", "db-2"]
    assert (less.graph.n_edges, less.workflows, less.periods) == (0, (), ())
    assert shop.without("db-1").balancers[0].targets == ("db-2",)
    assert shop.without("db-1", "db-2").balancers == ()
    assert shop.without("gateway").loads == ()
    assert len(shop.without("gateway->orders").dependencies) == 0
    assert shop.without("orders->db-1|db-2").balancers == ()
    for wrong in ("ordrs", "gateway->ordrs"):
        with pytest.raises(ModelError, match="Did you mean"):
            shop.without(wrong)


def test_scaled(shop):
    assert [x.rate_per_s or x.users for x in shop.scaled(2.5).loads] == [250.0, 25]
    assert shop.scaled(0.0).loads[1].users == 1
    assert shop.case("high").loads[0].rate_per_s == 1000.0
    assert shop.scaled(2.0).graph.rate_per_s[0] == 200.0
    assert shop.graph.rate_per_s[0] == 100.0
    for wrong in (-1, float("nan"), float("inf"), "2", None):
        with pytest.raises(ModelError, match="factor"):
            shop.scaled(wrong)
    with pytest.raises(ModelError, match="Did you mean 'high'"):
        shop.case("hihg")


def test_running_leaves_out_what_is_down(shop):
    down = shop.replaced("db-2", available=False)
    assert "db-2" not in down.running()
    assert shop.running() is shop


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"components": None}, "not a list"),
        ({"components": "abc"}, "not a list"),
        ({"components": [1]}, "not a Component"),
        ({"components": [fa.Component("a")] * 2}, "a.name: component name is used twice"),
        ({"dependencies": [fa.Dependency("a", "b")]}, "dependency source 'a' is not a component"),
        ({"dependencies": 5}, "not a list"),
        ({"loads": [fa.Load("a", users=1)]}, "unknown component"),
        ({"loads": fa.Load("a", users=1)}, "not a list"),
        ({"components": [fa.Component("a", host="h")]}, "unknown host 'h'"),
        ({"objective": 0.1}, "objective"),
        ({"workflows": [fa.Workflow("w", ("a",))]}, "unknown component 'a'"),
        ({"periods": [fa.Period("p", period_s=1.0, at="a")]}, "unknown component 'a'"),
        ({"hosts": [fa.Component("a")]}, "not a Host"),
        ({"component": []}, "Did you mean 'components'"),
    ],
)
def test_bad_descriptions(changes, words):
    with pytest.raises(ModelError, match=words):
        fa.Architecture(**({"name": "x"} | changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("service_time_s", 0.0),
        ("service_time_s", float("nan")),
        ("service_time_s", "12 ms"),
        ("service_time_s", 10**400),
        ("servers", 0),
        ("servers", 2.5),
        ("servers", 2**70),
        ("memory_bytes", -1.0),
        ("blocking", 1),
        ("kind", "servce"),
        ("law", []),
        ("cpu_s", 1.0),
        ("failure_limit", 0.1),
        ("curve", [(1, 2), (1, 3)]),
        ("curve", 7),
        ("provenance", {"servres": "measured"}),
        ("host", ""),
    ],
)
def test_bad_component_fields(field, value):
    with pytest.raises(ModelError) as caught:
        fa.Component("orders", **{field: value})
    assert field in str(caught.value) or "servers" in str(caught.value)
    assert "orders" in str(caught.value)


@pytest.mark.parametrize(
    ("law", "field"), [("tabulated", "curve"), ("usl", "usl_sigma"), ("bounded", "queue_capacity")]
)
def test_laws_state_what_they_need(law, field):
    with pytest.raises(ModelError, match=field):
        fa.Component("a", law=law)


def test_measured_overlay(shop):
    arch = shop.measured({"orders": Measurement("orders", latency_s=[0.02] * 12, memory_bytes=1e8, cold_start_s=0.5)})
    orders = arch["orders"]
    assert (orders.service_time_s, orders.memory_bytes, orders.cold_start_s) == (pytest.approx(0.02), 1e8, 0.5)
    assert orders.provenance["service_time_s"].samples == 12
    assert arch.measured_share() == pytest.approx(3 / 16)
    assert arch.measured_share("memory_bytes") == 0.25
    assert shop.measured_share() == 0.0
    assert not shop.measured([Measurement("orders", ok=False)])["orders"].available
    with pytest.raises(ModelError, match="Did you mean"):
        shop.measured({"order": Measurement("order")})


@pytest.mark.parametrize("times", [[0.0, 0.0], [float("nan")], [-1.0, 2.0], [float("inf")]])
def test_bad_measurements(shop, times):
    with pytest.raises(ModelError, match=r"orders\.latency_s"):
        shop.measured([Measurement("orders", latency_s=times)])


def test_measurements_round_trip():
    seen = Measurement("a", "mcp", latency_s=np.array([0.1, 0.2]), values={"servers": np.int64(3)})
    data = seen.to_dict()
    assert data["latency_s"] == [0.1, 0.2]
    assert Measurement.from_dict(data).to_dict() == data
    for wrong in ({}, {"component": "a", "secret": 1}):
        with pytest.raises(ModelError, match="not a measurement"):
            Measurement.from_dict(wrong)


@pytest.mark.parametrize("words", [{"kind": "guess"}, {"samples": -1}, {"spread": float("nan")}, {"source": None}])
def test_bad_provenance(words):
    with pytest.raises(ModelError):
        Provenance(**({"kind": "measured"} | words))


def test_representations_are_short_and_escaped(shop):
    assert len(repr(shop).splitlines()) <= 8
    odd = fa.Architecture(name="<b>", components=[fa.Component("<script>alert(1)</script>")])
    assert "<script>" not in odd._repr_html_()
    assert "&lt;script&gt;" in odd._repr_html_()
    many = fa.Architecture(name="many", components=[fa.Component(f"c{i}") for i in range(40)])
    assert "10 more" in many._repr_html_()


def test_equality_and_hash(shop):
    assert shop == shop.scaled(1.0)
    assert shop != shop.scaled(2.0)
    assert shop != "shop"
    with pytest.raises(TypeError):
        hash(shop)


@SLOW
@given(architectures(), st.data())
def test_edits_give_consistent_copies(arch, data):
    """After any edit the cached arrays equal those of a fresh build of the same parts."""
    name = data.draw(st.sampled_from(list(arch.names)))
    _ = arch.graph, arch.index
    for new in (
        arch.replaced(name, servers=7),
        arch.without(name),
        arch.scaled(3.0),
        arch.replaced(name, name="another name"),
    ):
        fresh = fa.Architecture(
            name=new.name,
            components=list(new.components),
            dependencies=[*new.dependencies, *new.balancers],
            loads=new.loads,
            hosts=new.hosts,
            objective=new.objective,
            load_cases=new.load_cases,
            workflows=new.workflows,
            periods=new.periods,
        )
        assert new == fresh
        assert new.index == fresh.index
        for field in dataclasses.fields(fresh.graph):
            a, b = getattr(new.graph, field.name), getattr(fresh.graph, field.name)
            if isinstance(a, np.ndarray):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype
                assert a.flags.c_contiguous
            else:
                assert a == b
