"""docker-compose files: YAML, and the JSON that ``docker compose config --format json`` prints.

Replicas and limits of memory and processors are declared; ``depends_on``, ``links`` and the addresses in
``environment`` are declared dependencies. Values of variables are looked at for addresses and then forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fea_arch.architecture import Architecture
from fea_arch.architecture.units import parse_bytes, parse_cpus
from fea_arch.errors import ModelError, suggestion
from fea_arch.sources.loading import existing, read_text
from fea_arch.sources.manifest import Manifest, hosts_in, kind_of_image
from fea_arch.sources.outline import outline
from fea_arch.sources.registry import Source
from fea_arch.sources.unique_keys import parse_unique_json, parse_unique_yaml
from fea_arch.sources.variables import Variables, read_variables

__all__ = ["SOURCE", "read_compose"]

_SERVICE_KEYS = ("image", "build", "environment", "ports", "depends_on", "deploy", "command", "entrypoint", "volumes")


def read_compose(
    path: str | Path, *, env_file: str | Path | None = None, rate_per_s: float | None = None
) -> Architecture:
    """Read a docker-compose file.

    Parameters
    ----------
    path : str or Path
        YAML, or the JSON of ``docker compose config --format json``.
    env_file : str or Path, optional
        ``NAME=value`` lines that resolve ``${NAME}``; default: a file ``.env`` beside the compose file, if there is
        one. The environment of the running process is never used.
    rate_per_s : float, optional
        Arrivals at each component that nobody depends on [1/s]; default: 1, noted as assumed.

    Returns
    -------
    Architecture
        Service times are assumed (10 ms), and the notes say so.

    Raises
    ------
    ModelError
        With the service and the field that is wrong.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "compose.yaml"
    ...     _ = file.write_text("services: {web: {image: a, depends_on: [db]}, db: {image: postgres, mem_limit: 1g}}")
    ...     arch = read_compose(file)
    >>> arch.dependencies[0].label, arch["db"].memory_limit_bytes, arch["db"].kind
    ('web->db', 1073741824.0, 'database')
    """
    target = existing(path)
    services, name = _services(read_text(target, max_bytes=64 * 2**20), target)
    beside = target.parent / ".env"
    chosen = env_file if env_file is not None else (beside if beside.is_file() else None)
    variables = Variables({} if chosen is None else read_variables(chosen))
    manifest = Manifest(name, str(target))
    for service, body in services.items():
        _add(manifest, service, body, variables)
    names = _aliases(services, variables)
    found = {"depends_on": 0, "links": 0, "environment": 0}
    for service, body in services.items():
        for other, evidence in _links(service, body, services, manifest, variables, names):
            found[evidence if evidence in found else "environment"] += 1
            manifest.link(service, other, evidence)
    if variables.missing:
        shown = ", ".join(sorted(variables.missing)[:5])
        manifest.note(
            "warning",
            f"{len(variables.missing)} variables have no value (first: {shown}): addresses in them are not seen",
            field="environment",
            fix="env_file=...",
            count=len(variables.missing),
        )
    return manifest.build(rate_per_s, ", ".join(f"{count} by {what}" for what, count in found.items() if count))


def _services(content: str, path: Path) -> tuple[dict[str, Mapping[str, Any]], str]:
    if content.lstrip()[:1] == "{" and path.suffix.lower() == ".json":
        document = parse_unique_json(content, path)
    else:
        documents = parse_unique_yaml(content, path)
        if len(documents) != 1:
            raise ModelError(f"holds {len(documents)} documents", path=str(path), fix="exactly one compose document")
        document = documents[0]
    if not isinstance(document, Mapping):
        raise ModelError("is not a mapping", path=str(path), fix="a compose file with 'services:'")
    services = document.get("services")
    if services is None and "version" not in document and any(_looks_like_service(v) for v in document.values()):
        services = document  # the first compose format had the services at the top
    if not isinstance(services, Mapping) or not services:
        raise ModelError("has no services", path=str(path), field="services", fix="services: {name: {image: ...}}")
    checked: dict[str, Mapping[str, Any]] = {}
    for key, body in services.items():
        if not isinstance(body, Mapping):
            raise ModelError("is not a mapping", path=str(path), component=str(key)[:80], fix="{image: ...}")
        checked[str(key)] = body
    name = document.get("name")
    return checked, name if isinstance(name, str) and name and "$" not in name else path.stem or "compose"


def _looks_like_service(body: Any) -> bool:
    return isinstance(body, Mapping) and ("image" in body or "build" in body)


def _part(owner: Mapping[str, Any], key: str, service: str, path: str) -> Mapping[str, Any]:
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ModelError("is not a mapping", path=path, component=service, field=key)
    return value


def _quantity(value: Any, parse: Any, variables: Variables, service: str, field: str, path: str) -> float | None:
    if isinstance(value, str):
        value = variables.resolve(value)
    if value is None or value == "" or value in (0, "0", -1, "-1"):
        return None  # not given, or explicitly unlimited
    try:
        return float(parse(value))
    except ModelError as error:
        raise ModelError(error.message, path=path, component=service, field=field, fix=error.fix) from error


def _add(manifest: Manifest, service: str, body: Mapping[str, Any], variables: Variables) -> None:
    path = manifest.path
    deploy = _part(body, "deploy", service, path)
    limits = _part(_part(deploy, "resources", service, path), "limits", service, path)
    memory = _quantity(
        limits.get("memory", body.get("mem_limit")),
        parse_bytes,
        variables,
        service,
        "deploy.resources.limits.memory",
        path,
    )
    cpus = _quantity(
        limits.get("cpus", body.get("cpus")), parse_cpus, variables, service, "deploy.resources.limits.cpus", path
    )
    replicas = deploy.get("replicas", body.get("scale"))
    text = variables.resolve(replicas) if isinstance(replicas, str) else replicas
    count: int | None = None
    if text not in (None, ""):
        try:
            count = int(text) if not isinstance(text, (bool, float)) else -1
        except (TypeError, ValueError):
            count = -1
        if count < 0:
            raise ModelError(
                f"is {str(replicas)[:80]!r}",
                path=path,
                component=service,
                field="deploy.replicas",
                fix="a whole number",
            )
    image = body.get("image")
    kind = kind_of_image(service, image if isinstance(image, str) else "")
    fixed: dict[str, Any] = {"kind": kind}
    if kind == "client":
        fixed["law"] = "delay"
    if count == 0:
        fixed["available"] = False
        manifest.note("warning", "is declared with 0 replicas: it does not run", service, "replicas", "start it")
    servers = None if cpus is None else max(1, round(cpus))
    manifest.add(service, {"replicas": count or None, "memory_limit_bytes": memory, "servers": servers}, **fixed)


def _aliases(services: Mapping[str, Mapping[str, Any]], variables: Variables) -> dict[str, str]:
    """Return every name under which a service answers in the network of the project."""
    names: dict[str, str] = {}
    for service, body in services.items():
        for key in ("container_name", "hostname"):
            if isinstance(body.get(key), str):
                names.setdefault(variables.resolve(body[key]).lower(), service)
        networks = body.get("networks")
        for network in networks.values() if isinstance(networks, Mapping) else ():
            aliases = network.get("aliases") if isinstance(network, Mapping) else None
            for alias in aliases if isinstance(aliases, list) else ():
                names.setdefault(variables.resolve(str(alias)).lower(), service)
    names |= {service.lower(): service for service in services}
    return names


def _links(
    service: str,
    body: Mapping[str, Any],
    services: Mapping[str, Any],
    manifest: Manifest,
    variables: Variables,
    names: Mapping[str, str],
) -> Iterator[tuple[str, str]]:
    for other, needed in _depends_on(service, body, manifest.path):
        if other in services:
            yield other, "depends_on"
        elif needed:
            raise ModelError(
                f"depends on {other!r}, which is not a service.{suggestion(other, services)}",
                path=manifest.path,
                component=service,
                field="depends_on",
                fix="add the service or remove the dependency",
            )
    links = body.get("links")
    for link in links if isinstance(links, list) else ():
        other = str(link).split(":", 1)[0]
        if other in services:
            yield other, "links"
    for variable, value in _environment(service, body, manifest.path, variables):
        for host in hosts_in(variable, value):
            if host in names and names[host] != service:
                yield names[host], variable


def _depends_on(service: str, body: Mapping[str, Any], path: str) -> Iterator[tuple[str, bool]]:
    declared = body.get("depends_on")
    if declared is None:
        return
    if isinstance(declared, Mapping):
        for other, how in declared.items():
            yield str(other), not (isinstance(how, Mapping) and how.get("required") is False)
    elif isinstance(declared, list) and all(isinstance(d, str) for d in declared):
        for other in declared:
            yield other, True
    else:
        raise ModelError("is neither a list of names nor a mapping", path=path, component=service, field="depends_on")


def _environment(service: str, body: Mapping[str, Any], path: str, variables: Variables) -> Iterator[tuple[str, str]]:
    declared = body.get("environment")
    if declared is None:
        return
    if isinstance(declared, Mapping):
        pairs = [(str(k), v) for k, v in declared.items()]
    elif isinstance(declared, list):
        pairs = []
        for entry in declared:
            name, given, value = str(entry).partition("=")
            pairs.append((name, value if given else None))
    else:
        raise ModelError("is neither a list nor a mapping", path=path, component=service, field="environment")
    for name, value in pairs:
        if value is None:  # handed through from the file of variables
            text = variables.values.get(name, "")
            if name not in variables.values:
                variables.missing.add(name)
        else:
            text = variables.resolve(str(value))
        yield name.strip(), text


def _sniff(head: bytes, path: Path) -> float:
    look = outline(head)
    if look.form == "object":
        services = any(look.any(p) for p in ("services",)) and not look.has("fea_arch")
        inner = [p for p in look.paths if p.startswith("services.") and p.rsplit(".", 1)[-1] in _SERVICE_KEYS]
        return 0.9 if services and inner else 0.0
    if look.form != "text":
        return 0.0
    lines = look.text.splitlines()
    if any(line.startswith(("apiVersion:", "kind:", "fea_arch:")) for line in lines):
        return 0.0
    named = any(line.rstrip().startswith("services:") for line in lines)
    inner_keys = any(line.strip().split(":", 1)[0] in _SERVICE_KEYS for line in lines if line[:1] in " \t")
    return 0.9 if named and ("{" in look.text or inner_keys) else (0.4 if inner_keys and "image:" in look.text else 0.0)


SOURCE = Source("compose", _sniff, read_compose, "docker-compose, YAML or the JSON of docker compose config")
