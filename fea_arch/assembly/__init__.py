"""Mesh -> System: K, M, C, f."""

from fea_arch.assembly.pattern import Pattern
from fea_arch.assembly.system import System, assemble

__all__ = ["Pattern", "System", "assemble"]
