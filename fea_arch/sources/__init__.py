"""Foreign formats -> Architecture, one file each; ``read`` recognises a format by its content.

A format is one module that holds a ``SOURCE`` (see :class:`fea_arch.sources.registry.Source`) and one line in
``registry.BUILTIN``; its public function has one line in the table below. Nothing is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES: dict[str, tuple[str, ...]] = {
    "fea_arch.sources.registry": ("Source", "read", "register", "sources"),
    "fea_arch.sources.native": ("read_native",),
    "fea_arch.sources.otlp": ("read_otlp",),
    "fea_arch.sources.jaeger": ("read_jaeger",),
    "fea_arch.sources.zipkin": ("read_zipkin",),
    "fea_arch.sources.call_counts": ("read_jaeger_dependencies", "read_zipkin_dependencies"),
    "fea_arch.sources.nezha": ("read_nezha",),
    "fea_arch.sources.tables": ("from_tables",),
    "fea_arch.sources.graph": ("from_networkx", "read_graphml", "read_node_link"),
    "fea_arch.sources.compose": ("read_compose",),
    "fea_arch.sources.kubernetes": ("read_kubernetes",),
    "fea_arch.sources.mcp_config": ("read_mcp_config",),
    "fea_arch.sources.event_router": ("read_event_router",),
    "fea_arch.sources.kiali": ("read_kiali",),
    "fea_arch.sources.prometheus": ("read_prometheus",),
    "fea_arch.sources.live_prometheus": ("fetch_prometheus",),
    "fea_arch.sources.hotel_sweep": ("read_hotel_sweep",),
    "fea_arch.sources.csv_tables": ("read_csv",),
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'fea_arch.sources' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_WHERE)
