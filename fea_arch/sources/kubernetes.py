"""Kubernetes manifests: multi-document YAML (or a JSON List) of workloads and services.

Deployments, StatefulSets, DaemonSets, ReplicaSets and bare Pods become components; addresses in their containers'
environment become declared dependencies, resolved through the selectors of the Services.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.architecture.units import parse_bytes, parse_cpus
from fea_arch.errors import ModelError
from fea_arch.sources.loading import existing, read_text
from fea_arch.sources.manifest import Manifest, hosts_in, kind_of_image
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.unique_keys import parse_unique_json, parse_unique_yaml

__all__ = ["SOURCE", "read_kubernetes"]

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")


def read_kubernetes(path: str | Path, *, rate_per_s: float | None = None) -> Architecture:
    """Read Kubernetes manifests.

    Parameters
    ----------
    path : str or Path
        Multi-document YAML, or JSON.
    rate_per_s : float, optional
        Arrivals at each component that nobody depends on [1/s]; default: 1, noted as assumed.

    Returns
    -------
    Architecture
        Service times are assumed (10 ms); requests for memory stand in for resident memory, limits are limits.

    Raises
    ------
    ModelError
        With the workload and the field that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> pod = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: c, image: i}]}}"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pod.yaml"
    ...     _ = file.write_text(pod)
    ...     read_kubernetes(file).names
    ['web']
    """
    target = existing(path)
    content = read_text(target, max_bytes=64 * 2**20)
    plain_json = content.lstrip()[:1] == "{" and target.suffix.lower() == ".json"
    documents = [parse_unique_json(content, target)] if plain_json else parse_unique_yaml(content, target)
    resources = list(_resources(documents, str(target)))
    workloads = [r for r in resources if r.get("kind") in _WORKLOADS]
    if not workloads:
        kinds = sorted({str(r.get("kind"))[:40] for r in resources})
        raise ModelError(
            f"describes no workload (kinds: {', '.join(kinds[:8]) or 'none'})",
            path=str(target),
            fix=f"one of {', '.join(_WORKLOADS)}",
        )
    manifest = Manifest(target.stem or "kubernetes", str(target))
    plain = [_metadata(w)["name"] for w in workloads]
    names = [n if plain.count(n) == 1 else f"{_metadata(w)['namespace']}/{n}" for n, w in zip(plain, workloads)]
    for name, workload in zip(names, workloads):
        _add(manifest, name, workload)
    answers = _addresses(resources, workloads, names, manifest)
    strange: set[str] = set()
    for name, workload in zip(names, workloads):
        space = _metadata(workload)["namespace"]
        for variable, value in _environment(name, workload, manifest.path):
            for host in hosts_in(variable, value):
                found = _resolve(host, space, answers)
                if found:
                    for other in found:
                        manifest.link(name, other, variable)
                elif variable.endswith(("_ADDR", "_SERVICE_ADDR")) and "." not in host:
                    strange.add(f"{name}.{variable}")
    if strange:
        manifest.note(
            "warning",
            f"{len(strange)} addresses lead to no workload here: {', '.join(sorted(strange)[:5])}",
            field="env",
            fix="add the manifest of the missing service",
            count=len(strange),
        )
    return manifest.build(rate_per_s, f"{len(manifest.edges)} by addresses in env")


def _resources(documents: list[Any], path: str) -> Iterator[Mapping[str, Any]]:
    waiting = list(documents)
    while waiting:
        document = waiting.pop(0)
        if not isinstance(document, Mapping):
            raise ModelError("holds a document that is not a mapping", path=path, fix="apiVersion, kind, metadata")
        if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
            waiting = [*document["items"], *waiting]
        elif "kind" in document:
            if document["kind"] in (*_WORKLOADS, "Service") and not _metadata(document)["name"]:
                raise ModelError(
                    "has no metadata.name", path=path, component=str(document["kind"]), field="metadata.name"
                )
            yield document


def _metadata(resource: Mapping[str, Any]) -> dict[str, str]:
    given = resource.get("metadata")
    given = given if isinstance(given, Mapping) else {}
    return {"name": str(given.get("name") or ""), "namespace": str(given.get("namespace") or "default")}


def _dig(owner: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        owner = owner.get(key) if isinstance(owner, Mapping) else None
    return owner if isinstance(owner, Mapping) else {}


def _pod(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    return workload if workload["kind"] == "Pod" else _dig(workload, "spec", "template")


def _containers(name: str, workload: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    found = _dig(_pod(workload), "spec").get("containers")
    if not isinstance(found, list) or not all(isinstance(c, Mapping) for c in found):
        raise ModelError("has no list of containers", path=path, component=name, field="spec.template.spec.containers")
    return found


def _add(manifest: Manifest, name: str, workload: Mapping[str, Any]) -> None:
    path = manifest.path
    containers = _containers(name, workload, path)
    sums: dict[str, float | None] = {}
    for field, group, resource, parse in (
        ("memory_bytes", "requests", "memory", parse_bytes),
        ("memory_limit_bytes", "limits", "memory", parse_bytes),
        ("cpus", "limits", "cpu", parse_cpus),
    ):
        values = []
        for container in containers:
            value = _dig(container, "resources", group).get(resource)
            if value is not None:
                try:
                    values.append(parse(value))
                except ModelError as error:
                    place = f"resources.{group}.{resource}"
                    raise ModelError(error.message, path=path, component=name, field=place, fix=error.fix) from error
        # a limit holds for the pod only if every container has one
        whole = len(values) == len(containers) if group == "limits" else bool(values)
        sums[field] = sum(values) if values and whole else None
    if sums["memory_bytes"] and sums["memory_limit_bytes"] and sums["memory_bytes"] >= sums["memory_limit_bytes"]:
        sums["memory_bytes"] = None  # a request equal to the limit says nothing about what is resident
    replicas = _dig(workload, "spec").get("replicas")
    if replicas is not None and (isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0):
        raise ModelError(
            f"is {str(replicas)[:80]!r}", path=path, component=name, field="spec.replicas", fix="a whole number"
        )
    kind = kind_of_image(name, *(c.get("image") for c in containers))
    fixed: dict[str, Any] = {"kind": kind} | ({"law": "delay"} if kind == "client" else {})
    if replicas == 0:
        fixed["available"] = False
        manifest.note("warning", "is declared with 0 replicas: it does not run", name, "replicas", "start it")
    if workload["kind"] == "DaemonSet":
        manifest.note("info", "runs on every node; one replica is assumed", name, "replicas", "state replicas")
    cpus = sums.pop("cpus")
    limit = sums["memory_limit_bytes"] or None
    declared = {
        "replicas": replicas or None,
        "memory_bytes": sums["memory_bytes"],
        "memory_limit_bytes": limit,
        "servers": None if not cpus else max(1, round(cpus)),
    }
    manifest.add(name, declared, **fixed)


def _addresses(
    resources: list[Mapping[str, Any]], workloads: list[Mapping[str, Any]], names: list[str], manifest: Manifest
) -> dict[tuple[str, str], list[str]]:
    """Return the workloads behind each (namespace, service name)."""
    answers: dict[tuple[str, str], list[str]] = {}
    for service in (r for r in resources if r.get("kind") == "Service"):
        meta = _metadata(service)
        key = (meta["namespace"], meta["name"])
        selector = _dig(service, "spec", "selector")
        found = []
        for name, workload in zip(names, workloads):
            labels = _dig(_pod(workload), "metadata", "labels")
            same = _metadata(workload)["namespace"] == key[0]
            if same and selector and all(labels.get(k) == v for k, v in selector.items()):
                found.append(name)
        if selector and not found:
            manifest.note("warning", "this Service selects no workload here", meta["name"], "spec.selector")
        answers.setdefault(key, []).extend(n for n in found if n not in answers.get(key, []))
    for name, workload in zip(names, workloads):
        meta = _metadata(workload)
        if not answers.get((meta["namespace"], meta["name"])):
            answers[meta["namespace"], meta["name"]] = [name]
    return answers


def _resolve(host: str, namespace: str, answers: Mapping[tuple[str, str], list[str]]) -> list[str]:
    parts = host.split(".")
    if len(parts) == 1:
        return answers.get((namespace, host), [])
    if parts[2:] in ([], ["svc"], ["svc", "cluster", "local"]):
        return answers.get((parts[1], parts[0]), [])
    if parts[-3:] == ["svc", "cluster", "local"]:  # pod.service.namespace of a StatefulSet
        return answers.get((parts[-4], parts[-5]), []) if len(parts) >= 5 else []
    return []


def _environment(name: str, workload: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for container in _containers(name, workload, path):
        entries = container.get("env")
        for entry in entries if isinstance(entries, list) else ():
            value = entry.get("value") if isinstance(entry, Mapping) else None
            if value is not None and isinstance(entry.get("name"), str):
                yield entry["name"], str(value)


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form == "object":
        return 0.9 if look.has("apiVersion", "kind") else 0.0
    if look.form != "text":
        return 0.0
    lines = [line.lstrip("- ") for line in look.text.splitlines()]
    seen = [any(line.startswith(word) for line in lines) for word in ("apiVersion:", "kind:")]
    return 0.95 if all(seen) else 0.0


SOURCE = Source("kubernetes", _sniff, read_kubernetes, "Kubernetes manifests, multi-document YAML or JSON")
