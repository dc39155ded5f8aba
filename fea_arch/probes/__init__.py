"""Live things -> Measurement, one file each."""

from fea_arch.architecture.measurement import Measurement
from fea_arch.probes.cli import probe_cli
from fea_arch.probes.http import probe_http
from fea_arch.probes.kafka import probe_kafka
from fea_arch.probes.law_fit import LawFit
from fea_arch.probes.law_fitting import fit_law
from fea_arch.probes.load_point import LoadPoint, LoadTest
from fea_arch.probes.load_test import load_test
from fea_arch.probes.mcp import probe_mcp
from fea_arch.probes.mcp_load import McpTool
from fea_arch.probes.measure import measure
from fea_arch.probes.process import probe_process
from fea_arch.probes.targets import Target

__all__ = [
    "LawFit",
    "LoadPoint",
    "LoadTest",
    "McpTool",
    "Measurement",
    "Target",
    "fit_law",
    "load_test",
    "measure",
    "probe_cli",
    "probe_http",
    "probe_kafka",
    "probe_mcp",
    "probe_process",
]
