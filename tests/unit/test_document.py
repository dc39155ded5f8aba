"""The native document: exact both ways, described by its schema, every mistake named."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
import yaml
from architectures import architectures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fea_arch as fa
from fea_arch.architecture.document import from_document, schema, to_document, to_yaml
from fea_arch.errors import ModelError

SMALL = fa.Architecture(
    name="pair",
    components=[fa.Component("a", servers=2), fa.Component("b", service_time_s=0.02)],
    dependencies=[fa.Dependency("a", "b", timeout_s=1.0, breaker=fa.Breaker()), fa.Balancer("a", ("b",), calls=0.5)],
    loads=[fa.Load("a", rate_per_s=5.0)],
)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(architectures())
def test_round_trip_is_exact(arch):
    document = to_document(arch)
    assert from_document(document) == arch
    assert from_document(json.loads(json.dumps(document, allow_nan=False))) == arch
    assert from_document(yaml.safe_load(to_yaml(document))) == arch
    assert to_document(from_document(document)) == document


@SLOW
@given(architectures())
def test_every_document_meets_its_schema(arch):
    jsonschema.validate(json.loads(json.dumps(to_document(arch))), schema())


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_files(tmp_path, suffix):
    path = fa.write(SMALL, tmp_path / f"pair{suffix}")
    text = path.read_text(encoding="utf-8")
    data = json.loads(text) if suffix == ".json" else yaml.safe_load(text)
    assert from_document(data) == SMALL
    assert data["fea_arch"] == 1


def test_defaults_are_left_out():
    assert to_document(SMALL)["components"] == [{"name": "a", "servers": 2}, {"name": "b", "service_time_s": 0.02}]


def test_quantities_with_units():
    document = to_document(SMALL)
    document["components"][1] |= {"service_time_s": "20 ms", "memory_bytes": "512MiB"}
    document["loads"] = [{"entry": "a", "rate_per_s": "300/min"}]
    arch = from_document(document)
    assert arch["b"].service_time_s == pytest.approx(0.02)
    assert arch["b"].memory_bytes == 512 * 2**20
    assert arch.loads[0].rate_per_s == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fea_arch": 2}, "fea_arch: is 2"),
        ({"components": 5}, "components: not a list"),
        ({"components": [5]}, r"components\[0\]: not a mapping"),
        ({"components": [{"name": "a", "severs": 2}]}, "Did you mean 'servers'"),
        ({"components": [{"name": "a"}, {"name": "a"}]}, "a.name: component name is used twice"),
        ({"components": [{"servers": 1}]}, "needs name"),
        ({"components": [{"name": "a", "service_time_s": "soon"}]}, r"components\[0\].service_time_s: 'soon' is not"),
        ({"components": [{"name": "a", "provenance": {"servers": {"kind": "guessed"}}}]}, "unknown provenance"),
        ({"components": [{"name": "a", "provenance": {"servers": {"kind": "measured", "samples": "x"}}}]}, "samples"),
        ({"components": [{"name": "a", "provenance": 7}]}, r"components\[0\].provenance"),
        ({"components": [{"name": "a", "curve": [[1, 2], 3]}]}, r"components\[0\].curve"),
        ({"dependencies": [{"source": "a", "target": "c"}]}, "'c' is not a component"),
        ({"dependencies": [{"source": "a", "target": "b", "breaker": 5}]}, r"dependencies\[0\].breaker"),
        ({"dependencies": [{"source": "a", "target": "b", "calls": -1}]}, "calls"),
        ({"balancers": [{"source": "a", "targets": "b"}]}, "targets"),
        ({"balancers": [{"source": "a", "targets": ["b"], "policy": "weighted", "weights": ["x"]}]}, "weights"),
        ({"loads": [{"entry": "z", "rate_per_s": 1}]}, "unknown component"),
        ({"workflows": [{"name": "w", "path": ["a", "z"]}]}, "unknown component 'z'"),
        ({"periods": [{"name": "p", "period_s": 1, "at": "z"}]}, "unknown component 'z'"),
        ({"objective": {"latency": 1}}, "objective.latency: unknown field"),
        ({"objective": [1]}, "objective: not a mapping"),
        ({"hosts": [{"name": "h"}, {"name": "h"}]}, "host name is used twice"),
        ({"notes": [{"level": "loud", "message": "x"}]}, "unknown level"),
        ({"notes": [{"message": "x"}]}, r"notes\[0\]"),
        ({"componnents": []}, "Did you mean 'components'"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(ModelError, match=words) as caught:
        from_document(to_document(SMALL) | change, path="arch.yaml")
    assert str(caught.value).startswith("arch.yaml: ")


def test_all_mistakes_are_reported_at_once():
    document = to_document(SMALL) | {"x": 1, "components": [{"name": "a", "servers": 0}, {"nam": "b"}]}
    with pytest.raises(ModelError) as caught:
        from_document(document)
    text = str(caught.value)
    assert "x: unknown key" in text
    assert "components[0]" in text
    assert "components[1].nam" in text


@pytest.mark.parametrize("document", [None, [], "text", 5, {}])
def test_not_a_document(document):
    with pytest.raises(ModelError, match="fea_arch: 1"):
        from_document(document)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_read_or_refused(data):
    """Exchange one value of a full document by junk: a valid architecture or a ModelError, nothing else."""
    document = copy.deepcopy(to_document(SMALL))
    place = data.draw(st.sampled_from(list(_places(document))))
    at = document
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = data.draw(JUNK)
    try:
        arch = from_document(document)
    except ModelError:
        return
    assert from_document(to_document(arch)) == arch


def _places(node, path=()):
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield (*path, key)
        yield from _places(node[key], (*path, key))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(fa.Component.__dataclass_fields__)), JUNK)
def test_any_value_of_any_component_field(field, value):
    document = to_document(SMALL)
    document["components"][0] = {"name": "a", field: value}
    try:
        arch = from_document(document)
    except ModelError:
        return
    assert from_document(to_document(arch)) == arch


def test_unwritable_targets_are_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        fa.write(SMALL, tmp_path / "no" / "such" / "folder.yaml")
    odd = fa.Architecture(name="odd", components=[fa.Component("\ud800")])
    with pytest.raises(ModelError, match="not valid Unicode"):
        fa.write(odd, tmp_path / "odd.json")
