"""Kiali graph JSON: nodes and edges of a service mesh with request rates, in which numbers are texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.errors import ModelError
from fea_arch.sources.loading import load_json
from fea_arch.sources.outline import outline
from fea_arch.sources.rates import Rates, finite, mapping
from fea_arch.sources.registry import Source

__all__ = ["SOURCE", "read_kiali"]

_REQUESTS = ("http", "grpc")


def read_kiali(
    path: str | Path, *, rate_per_s: float | None = None, tcp_bytes_per_request: float | None = None
) -> Architecture:
    """Read a Kiali graph.

    Parameters
    ----------
    path : str or Path
        JSON of Kiali's graph API (app, workload, versioned app or service graph).
    rate_per_s : float, optional
        Scale all arrivals from outside to this sum [1/s]; default: as seen.
    tcp_bytes_per_request : float, optional
        TCP traffic is counted in bytes a second; with this size it becomes requests [B]. Without it TCP edges stay in
        the graph with 0 calls.

    Returns
    -------
    Architecture
        Edge rates give visit ratios; edge response times, where the graph has them, give service times.

    Raises
    ------
    ModelError
        With the node or edge that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib, json
    >>> graph = {"elements": {"nodes": [{"data": {"id": "1", "nodeType": "app", "app": "web"}},
    ...                                 {"data": {"id": "2", "nodeType": "app", "app": "db"}}],
    ...     "edges": [{"data": {"id": "e", "source": "1", "target": "2",
    ...                         "traffic": {"protocol": "http", "rates": {"http": "20.00"}}}}]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "graph.json"
    ...     _ = file.write_text(json.dumps(graph))
    ...     arch = read_kiali(file)
    >>> arch.loads[0].entry, arch.loads[0].rate_per_s
    ('web', 20.0)
    """
    place = str(path)
    document = mapping(load_json(path), place, "document")
    elements = mapping(document.get("elements"), place, "elements")
    nodes = [n for n in _data(elements, "nodes", place) if not n.get("isBox") and not n.get("isGroup")]
    names = _names(nodes, str(document.get("graphType") or ""), place)
    rates = Rates(f"kiali {document.get('graphType') or 'graph'}", place, "Kiali graph")
    inflow: dict[str, float] = {}
    for node in nodes:
        name = names[str(node["id"])]
        kind, law = "service", "mmc"
        if node.get("nodeType") == "unknown":
            kind, law = "client", "delay"
        elif node.get("isOutside") and node.get("nodeType") == "service":
            kind = "external"
        rates.part(name, kind=kind, law=law)
        inflow[name] = sum(_requests(_traffic(node), place, name, "In", tcp_bytes_per_request))
        if kind == "client":
            rates.measured(name, "assumed", service_time_s=1e-6)
    _edges(elements, names, rates, tcp_bytes_per_request)
    for (source, _), call in rates.calls.items():
        if rates.parts[source]["kind"] == "client":  # each request from outside makes one of its calls
            rates.arrivals[source] = rates.arrivals.get(source, 0.0) + call.rate
    for name, seen in inflow.items():
        rest = seen - sum(c.rate for (_, b), c in rates.calls.items() if b == name)
        if rest > 1e-6 * seen and rest > 0.01:  # the texts have two decimals
            rates.arrivals[name] = rest
    return rates.build(rate_per_s)


def _edges(
    elements: Mapping[str, Any], names: Mapping[str, str], rates: Rates, tcp_bytes_per_request: float | None
) -> None:
    place, tcp, failing = rates.path, 0, 0
    for edge in _data(elements, "edges", place):
        ends = []
        for end in ("source", "target"):
            known = names.get(str(edge.get(end)))
            if known is None:
                raise ModelError(
                    f"edge leads to an unknown node {str(edge.get(end))[:80]!r}",
                    path=place,
                    component=str(edge.get("id"))[:80],
                    field=end,
                    fix="the id of a node of this graph",
                )
            ends.append(known)
        label = "->".join(ends)
        traffic = _traffic(edge)
        requests, bytes_rate = _requests(traffic, place, label, "", tcp_bytes_per_request)
        tcp += any(str(t.get("protocol")) == "tcp" for t in traffic)
        failing += any("PercentErr" in str(k) for t in traffic for k in _rates(t))
        rates.call(ends[0], ends[1], requests + bytes_rate)
        answer = edge.get("responseTime")
        if answer not in (None, "") and requests > 0:
            rates.respond(ends[1], finite(answer, place, label, "responseTime") * 1e-3 * requests, requests)
    if tcp and tcp_bytes_per_request is None:
        rates.note(
            "warning",
            f"{tcp} edges carry TCP, counted in bytes and not in requests: they have 0 calls",
            field="calls",
            fix="tcp_bytes_per_request=...",
            count=tcp,
        )
    if failing:
        rates.note("info", f"{failing} edges show failed requests", field="errors", count=failing)


def _data(elements: Mapping[str, Any], key: str, path: str) -> list[Mapping[str, Any]]:
    rows = elements.get(key)
    if rows is None and key == "edges":
        return []
    if not isinstance(rows, list):
        raise ModelError("is not a list", path=path, field=f"elements.{key}", fix="Kiali graph JSON")
    return [mapping(mapping(row, path, f"elements.{key}").get("data"), path, f"elements.{key}.data") for row in rows]


def _names(nodes: list[Mapping[str, Any]], graph_type: str, path: str) -> dict[str, str]:
    found: dict[str, tuple[str, str]] = {}
    for node in nodes:
        key = node.get("id")
        if not isinstance(key, str) or not key:
            raise ModelError("a node has no id", path=path, field="elements.nodes.data.id")
        if key in found:
            raise ModelError("two nodes have this id", path=path, component=key[:80], field="id", fix="unique ids")
        order = ("workload", "app", "service") if graph_type == "workload" else ("app", "workload", "service")
        name = next((str(node[k]) for k in order if node.get(k)), key[:12])
        if graph_type == "versionedApp" and node.get("version") and node.get("nodeType") == "app":
            name = f"{name}-{node['version']}"
        if node.get("nodeType") == "unknown":
            name = "outside"
        found[key] = (str(node.get("namespace") or ""), name)
    plain = [name for _, name in found.values()]
    names = {k: n if plain.count(n) == 1 else f"{space}/{n}" for k, (space, n) in found.items()}
    wide = list(names.values())
    return {k: n if wide.count(n) == 1 else f"{n}#{k[:6]}" for k, n in names.items()}


def _traffic(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    traffic = item.get("traffic")
    rows = traffic if isinstance(traffic, list) else [traffic]
    return [t for t in rows if isinstance(t, Mapping)]


def _rates(traffic: Mapping[str, Any]) -> Mapping[str, Any]:
    rates = traffic.get("rates")
    return rates if isinstance(rates, Mapping) else {}


def _requests(
    traffic: list[Mapping[str, Any]], path: str, label: str, direction: str, tcp_bytes_per_request: float | None
) -> tuple[float, float]:
    """Return requests a second, and TCP traffic as requests a second."""
    requests = tcp = 0.0
    for part in traffic:
        for key, value in _rates(part).items():
            if key in tuple(p + direction for p in _REQUESTS):
                requests += finite(value, path, label, f"rates.{key}")
            elif key == "tcp" + direction:
                sent = finite(value, path, label, f"rates.{key}")
                tcp += 0.0 if tcp_bytes_per_request is None else sent / tcp_bytes_per_request
    return requests, tcp


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    return (
        0.95
        if look.form == "object" and look.any("elements.nodes[].data.nodeType", "elements.nodes[].data.id")
        else 0.0
    )


SOURCE = Source("kiali", _sniff, read_kiali, "Kiali graph JSON")
