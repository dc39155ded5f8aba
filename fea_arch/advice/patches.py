"""Changes as patches that people apply themselves: compose override, Kubernetes strategic merge, document diff."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from fea_arch.advice.changes import Change, differences
from fea_arch.architecture import Architecture
from fea_arch.architecture.document import to_document, to_yaml

__all__ = ["PATCHES", "compose_override", "kubernetes_patch", "native_diff"]

#: Prefix of labels and annotations for what the formats have no field for.
PREFIX = "fea-arch"


def compose_override(base: Architecture, head: Architecture) -> str:
    """Return a docker-compose override file with the replicas and memory limits that changed.

    Servers (workers of one process) have no field in compose: they are a label. What compose cannot say is a comment.

    Examples
    --------
    >>> import fea_arch as fa
    >>> base = fa.load_sample("shop")
    >>> print(compose_override(base, base.replaced("database", replicas=2)).splitlines()[-1].strip())
    replicas: 2
    """
    services: dict[str, Any] = {}
    for name, fields in _by_component(base, head).items():
        body: dict[str, Any] = {}
        if "replicas" in fields:
            body.setdefault("deploy", {})["replicas"] = fields["replicas"]
        if fields.get("memory_limit_bytes") is not None:
            limits = {"memory": f"{round(fields['memory_limit_bytes'])}b"}
            body.setdefault("deploy", {})["resources"] = {"limits": limits}
        if "servers" in fields:
            body["labels"] = {f"{PREFIX}.servers": str(fields["servers"])}
        services[name] = body
    return _remarks(base, head) + to_yaml({"services": services})


def kubernetes_patch(base: Architecture, head: Architecture) -> str:
    """Return strategic merge patches of Deployments, one document each.

    The container is taken to be called as its component; servers are an annotation of the Pods.
    """
    documents = []
    for name, fields in _by_component(base, head).items():
        spec: dict[str, Any] = {}
        if "replicas" in fields:
            spec["replicas"] = fields["replicas"]
        template: dict[str, Any] = {}
        if "servers" in fields:
            template["metadata"] = {"annotations": {f"{PREFIX}/servers": str(fields["servers"])}}
        if fields.get("memory_limit_bytes") is not None:
            limits = {"memory": str(round(fields["memory_limit_bytes"]))}
            template["spec"] = {"containers": [{"name": name, "resources": {"limits": limits}}]}
        if template:
            spec["template"] = template
        documents.append(
            to_yaml({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
        )
    return _remarks(base, head) + "---\n".join(documents)


def native_diff(base: Architecture, head: Architecture) -> str:
    """Return a unified diff of the native documents."""
    before, after = (to_yaml(to_document(arch)).splitlines(keepends=True) for arch in (base, head))
    return "".join(difflib.unified_diff(before, after, f"a/{_line(base.name)}.yaml", f"b/{_line(head.name)}.yaml"))


#: Writers by name.
PATCHES: dict[str, Callable[[Architecture, Architecture], str]] = {
    "compose": compose_override,
    "kubernetes": kubernetes_patch,
    "native": native_diff,
}
_SAID = ("replicas", "memory_limit_bytes", "servers")


def _by_component(base: Architecture, head: Architecture) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for change in differences(base, head):
        if _said(change, head):
            out.setdefault(change.place, {})[change.field] = change.after
    return out


def _said(change: Change, head: Architecture) -> bool:
    return change.field in _SAID and change.place in head


def _remarks(base: Architecture, head: Architecture) -> str:
    rest = [c for c in differences(base, head) if not _said(c, head)]
    notes = [f"# not in this file: {_line(str(c))}\n" for c in rest]
    if any("->" in c.place for c in rest):  # a deployment starts programs; what they call is written in them
        notes.append("# what calls what is a change of the programs: see the native diff\n")
    return "".join(notes)


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
