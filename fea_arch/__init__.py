"""fea_arch: structural analysis of software architectures.

How much more load will this system carry, what breaks first, how does the break spread, will it recover by itself,
and what should we strengthen? Little's law is Hooke's law: in-flight requests are displacement, throughput is force,
1/latency is stiffness, memory headroom is fracture toughness, warm-up time is mass.

Everything public is importable from here and loaded on first use: a bare import is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES: dict[str, tuple[str, ...]] = {
    "fea_arch.errors": (
        "ConvergenceError",
        "FeaArchError",
        "MissingExtraError",
        "ModelError",
        "ProbeError",
        "UnstableLoadError",
    ),
    "fea_arch.architecture": (
        "Architecture",
        "Balancer",
        "Breaker",
        "Component",
        "Dependency",
        "Finding",
        "Host",
        "Load",
        "LoadCase",
        "Objective",
        "Period",
        "Provenance",
        "Workflow",
        "write",
    ),
    "fea_arch.architecture.loads": ("Burst", "Outage", "Periodic", "Ramp", "Recorded"),
    "fea_arch.sources": (
        "from_networkx",
        "from_tables",
        "read",
        "read_compose",
        "read_csv",
        "read_event_router",
        "read_graphml",
        "read_jaeger",
        "read_jaeger_dependencies",
        "read_kiali",
        "read_kubernetes",
        "read_mcp_config",
        "read_native",
        "read_nezha",
        "read_node_link",
        "read_otlp",
        "read_prometheus",
        "read_zipkin",
        "read_zipkin_dependencies",
        "read_hotel_sweep",
        "fetch_prometheus",
    ),
    "fea_arch.samples": ("load_sample",),
    "fea_arch.meshing": ("Block", "Mesh", "mesh"),
    "fea_arch.assembly": ("System", "assemble"),
    "fea_arch.analyses.static": ("static",),
    "fea_arch.analyses.modal": ("modal",),
    "fea_arch.analyses.transient": ("transient",),
    "fea_arch.analyses.harmonic": ("burst_spectrum", "harmonic"),
    "fea_arch.analyses.fracture": ("fracture",),
    "fea_arch.analyses.metastability": ("metastability",),
    "fea_arch.analyses.contingency": ("contingency",),
    "fea_arch.advice.sensitivity": ("sensitivity",),
    "fea_arch.advice.comparison": ("compare",),
    "fea_arch.advice.reinforcement": ("reinforce",),
    "fea_arch.advice.sweep": ("sweep",),
    "fea_arch.analyses.fragility": ("fragility",),
    "fea_arch.analyses.solve": ("solve",),
    "fea_arch.analyses.eigen": ("eigen",),
    "fea_arch.analyses.integrate": ("integrate",),
    "fea_arch.analyses.trace": ("trace",),
    "fea_arch.analyses.break_down": ("break_down",),
    "fea_arch.simulation": ("simulate",),
    "fea_arch.scoring": ("Catalogue", "score"),
    "fea_arch.probes": (
        "Measurement",
        "fit_law",
        "load_test",
        "measure",
        "probe_cli",
        "probe_http",
        "probe_kafka",
        "probe_mcp",
        "probe_process",
    ),
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        from fea_arch.errors import suggestion

        raise AttributeError(f"module 'fea_arch' has no attribute {name!r}.{suggestion(name, _WHERE)}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
