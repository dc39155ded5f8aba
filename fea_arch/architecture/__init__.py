"""What the system is, in software words."""

from fea_arch.architecture.checks import require_valid
from fea_arch.architecture.columns import Columns
from fea_arch.architecture.component import Component, Host
from fea_arch.architecture.container import Architecture
from fea_arch.architecture.dependency import Balancer, Breaker, Dependency
from fea_arch.architecture.document import write
from fea_arch.architecture.findings import Finding
from fea_arch.architecture.graph import Graph
from fea_arch.architecture.loads import (
    Burst,
    Load,
    LoadCase,
    Objective,
    Outage,
    Period,
    Periodic,
    Ramp,
    Recorded,
    Workflow,
)
from fea_arch.architecture.measurement import Measurement
from fea_arch.architecture.provenance import Provenance

__all__ = [
    "Architecture",
    "Balancer",
    "Breaker",
    "Burst",
    "Columns",
    "Component",
    "Dependency",
    "Finding",
    "Graph",
    "Host",
    "Load",
    "LoadCase",
    "Measurement",
    "Objective",
    "Outage",
    "Period",
    "Periodic",
    "Provenance",
    "Ramp",
    "Recorded",
    "Workflow",
    "require_valid",
    "write",
]
