"""Graphs: GraphML files, node-link JSON, and networkx graphs in memory.

Attributes of nodes and edges that are fields of a component or a dependency are taken over; ``weight`` of an edge
counts as calls per request where ``calls`` is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fea_arch.architecture import Architecture, Component, Dependency, Finding, Load
from fea_arch.architecture.fields import specs
from fea_arch.errors import ModelError
from fea_arch.sources.gain import limit_gain, source_groups
from fea_arch.sources.loading import load_json, read_text
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source

__all__ = ["SOURCES", "from_networkx", "read_graphml", "read_node_link"]

_SIMPLE = ("number", "count", "flag", "choice", "text")


def from_networkx(
    graph: Any,
    *,
    entry: str | None = None,
    rate_per_s: float | None = None,
    name: str | None = None,
    loads: Iterable[Load] | None = None,
) -> Architecture:
    """Build an architecture from a networkx graph.

    Parameters
    ----------
    graph : networkx.Graph or DiGraph (or multigraph)
        Nodes become components, edges calls; an undirected edge is a call in both directions.
    entry : node, optional
        Where requests arrive; default: every node that nobody calls.
    rate_per_s : float, optional
        Arrivals at each entry [1/s]; default: 1, noted as assumed.
    name : str, optional
    loads : iterable of Load, optional
        In place of ``entry`` and ``rate_per_s``.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        With the node or edge whose attribute is wrong.

    Examples
    --------
    >>> import networkx as nx
    >>> g = nx.DiGraph()
    >>> g.add_node("web", service_time_s=0.002)
    >>> g.add_edge("web", "db", calls=2.0)
    >>> arch = from_networkx(g, rate_per_s=10.0)
    >>> arch["web"].service_time_s, arch.dependencies[0].calls, arch.loads[0].entry
    (0.002, 2.0, 'web')
    """
    if not all(hasattr(graph, part) for part in ("nodes", "edges", "is_directed")):
        raise ModelError(f"a {type(graph).__name__} is not a networkx graph", fix="networkx.DiGraph")
    nodes = [(str(node), dict(data)) for node, data in graph.nodes(data=True)]
    edges = [(str(a), str(b), dict(data)) for a, b, data in graph.edges(data=True)]
    if not graph.is_directed():
        edges += [(b, a, dict(data)) for a, b, data in edges if a != b]
    title = name or str(graph.graph.get("name") or "graph")
    return _build(nodes, edges, title, "networkx", entry, rate_per_s, None if loads is None else list(loads))


def read_node_link(path: str | Path, *, entry: str | None = None, rate_per_s: float | None = None) -> Architecture:
    """Read node-link JSON: ``nodes`` with ``id``, and ``links`` or ``edges`` with ``source`` and ``target``.

    Parameters
    ----------
    path : str or Path
    entry : str, optional
        Where requests arrive; default: every node that nobody calls.
    rate_per_s : float, optional
        Arrivals at each entry [1/s]; default: 1, noted as assumed.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        With the node or edge that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "g.json"
    ...     _ = file.write_text('{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b"}]}')
    ...     read_node_link(file).graph.n_edges
    1
    """
    place, document = str(path), load_json(path)
    if not isinstance(document, Mapping):
        raise ModelError("is not an object", path=place, fix='{"nodes": [...], "links": [...]}')
    links = document.get("links", document.get("edges"))
    lists = {"nodes": document.get("nodes"), "links": [] if links is None else links}
    for key, rows in lists.items():
        if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
            raise ModelError("is not a list of objects", path=place, field=key, fix='[{"id": ...}, ...]')
    nodes: list[tuple[str, dict[str, Any]]] = []
    for i, node in enumerate(lists["nodes"]):
        key = node.get("id", node.get("name", node.get("label")))
        if key is None or isinstance(key, (list, dict, bool)) or str(key) == "":
            raise ModelError("a node has no id", path=place, field=f"nodes[{i}].id", fix='{"id": "name"}')
        nodes.append((str(key), {k: v for k, v in node.items() if k not in ("id", "name", "label")}))
    known = {n for n, _ in nodes}
    edges: list[tuple[str, str, dict[str, Any]]] = []
    for link in lists["links"]:
        ends = []
        for word in ("source", "target"):
            end = link.get(word)
            if isinstance(end, int) and not isinstance(end, bool) and str(end) not in known and 0 <= end < len(nodes):
                end = nodes[end][0]  # the older form counts nodes
            ends.append(str(end))
        edges.append((ends[0], ends[1], {k: v for k, v in link.items() if k not in ("source", "target", "key")}))
    if document.get("directed") is False:
        edges += [(b, a, dict(d)) for a, b, d in edges if a != b]
    return _build(nodes, edges, Path(path).stem, place, entry, rate_per_s, None)


def read_graphml(path: str | Path, *, entry: str | None = None, rate_per_s: float | None = None) -> Architecture:
    """Read GraphML.

    Parameters
    ----------
    path : str or Path
    entry : str, optional
        Where requests arrive; default: every node that nobody calls.
    rate_per_s : float, optional
        Arrivals at each entry [1/s]; default: 1, noted as assumed.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Not GraphML, or with a document type definition (which could name other files or grow without bound).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "g.graphml"
    ...     _ = file.write_text('<graphml><graph edgedefault="directed"><node id="a"/><node id="b"/>'
    ...                         '<edge source="a" target="b"/></graph></graphml>')
    ...     read_graphml(file).names
    ['a', 'b']
    """
    from xml.etree import ElementTree

    place, content = str(path), read_text(path, max_bytes=256 * 2**20)
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", content, re.IGNORECASE):
        raise ModelError("holds a document type definition", path=place, fix="plain GraphML without <!DOCTYPE>")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 (no definitions, hence no entities to expand)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        line = getattr(error, "position", (None, 0))[0]
        raise ModelError(f"is not valid XML: {error}", path=place, line=line, fix="GraphML") from error
    keys = {k.get("id"): (k.get("attr.name"), k.get("attr.type")) for k in root.iter() if _tag(k) == "key"}
    graph = next((e for e in root.iter() if _tag(e) == "graph"), None)
    if graph is None:
        raise ModelError("holds no graph", path=place, field="graph", fix="GraphML")
    nodes = [(str(e.get("id") or ""), _attributes(e, keys, place)) for e in graph.iter() if _tag(e) == "node"]
    edges = []
    default = graph.get("edgedefault") != "undirected"
    for e in (x for x in graph.iter() if _tag(x) == "edge"):
        a, b, data = str(e.get("source")), str(e.get("target")), _attributes(e, keys, place)
        edges.append((a, b, data))
        directed = default if e.get("directed") is None else e.get("directed") == "true"
        if not directed and a != b:
            edges.append((b, a, dict(data)))
    if any(not n for n, _ in nodes):
        raise ModelError("a node has no id", path=place, field="node.id")
    return _build(nodes, edges, Path(path).stem, place, entry, rate_per_s, None)


def _tag(element: Any) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _attributes(element: Any, keys: Mapping[Any, tuple[Any, Any]], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for data in (d for d in element if _tag(d) == "data"):
        title, kind = keys.get(data.get("key"), (data.get("key"), "string"))
        text = (data.text or "").strip()
        try:
            value: Any = {"int": int, "long": int, "float": float, "double": float}.get(str(kind), str)(text)
        except ValueError as error:
            raise ModelError(f"is {text[:40]!r}", path=path, component=element.get("id"), field=str(title)) from error
        found[str(title)] = text.lower() == "true" if kind == "boolean" else value
    return found


def _fields(kind: type[Any], data: Mapping[str, Any], skip: tuple[str, ...], ignored: set[str]) -> dict[str, Any]:
    known = specs(kind)
    out = {}
    for key, value in data.items():
        spec = known.get(str(key))
        if spec is None or spec.form not in _SIMPLE or str(key) in skip:
            ignored.add(str(key))
        elif value is not None:
            out[spec.name] = value.item() if isinstance(value, np.generic) else value
    return out


def _build(
    nodes: list[tuple[str, dict[str, Any]]],
    edges: list[tuple[str, str, dict[str, Any]]],
    name: str,
    path: str,
    entry: str | None,
    rate_per_s: float | None,
    loads: list[Load] | None,
) -> Architecture:
    names = [n for n, _ in nodes]
    index = {n: i for i, n in enumerate(names)}
    if not names:
        raise ModelError("has no nodes", path=path, field="nodes", fix="a graph with at least one node")
    if len(index) != len(names):
        twice = next(n for i, n in enumerate(names) if index[n] != i)
        raise ModelError("two nodes have this name", path=path, component=twice[:80], fix="unique names")
    ignored: set[str] = set()
    parts = [Component(**{**_fields(Component, d, ("name", "host"), ignored), "name": n}) for n, d in nodes]
    calls: list[Dependency] = []
    for a, b, data in edges:
        for end in (a, b):
            if end not in index:
                raise ModelError(
                    "an edge leads to an unknown node", path=path, component=end[:80], field=f"{a}->{b}"[:80]
                )
        given = dict(data)
        if "calls" not in given and "weight" in given:
            given["calls"] = given.pop("weight")
        fields = _fields(Dependency, given, ("source", "target"), ignored)
        calls.append(Dependency(**{**fields, "source": a, "target": b}))
    source = np.array([index[c.source] for c in calls], np.int64)
    target = np.array([index[c.target] for c in calls], np.int64)
    scaled, notes = limit_gain(names, source, target, np.array([c.calls for c in calls], float))
    if notes:
        from dataclasses import replace

        calls = [replace(c, calls=float(s)) if s != c.calls else c for c, s in zip(calls, scaled)]
    if loads is None:
        if entry is not None and str(entry) not in index:
            raise ModelError("there is no such node", path=path, component=str(entry)[:80], field="entry")
        entries = [str(entry)] if entry is not None else [names[i] for i in source_groups(len(names), source, target)]
        rate = 1.0 if rate_per_s is None else rate_per_s
        loads = [Load(e, rate_per_s=rate) for e in entries]
        if rate_per_s is None:
            message = f"a graph holds no loads: {rate:g}/s are assumed at each of {len(entries)} nodes"
            notes.append(Finding("warning", message, entries[0], "loads", "rate_per_s=...", len(entries)))
    if ignored:
        shown = ", ".join(sorted(ignored)[:8])
        notes.append(
            Finding(
                "info", f"attributes that are no fields were left out: {shown}", field="attributes", count=len(ignored)
            )
        )
    return Architecture(
        name=name, components=parts, dependencies=calls, loads=loads, notes=notes, origin=path.rsplit("/", 1)[-1]
    )


def _sniff_graphml(head: bytes, path: Path) -> float:
    return 0.95 if b"<graphml" in head[:4096] else 0.0


def _sniff_node_link(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form != "object" or not look.has("nodes") or not look.any("nodes[].id", "nodes[].name", "nodes[].label"):
        return 0.0
    return 0.7 if look.any("links", "edges") else 0.4


SOURCES = (
    Source("graphml", _sniff_graphml, read_graphml, "GraphML"),
    Source("node-link", _sniff_node_link, read_node_link, "node-link JSON"),
)
