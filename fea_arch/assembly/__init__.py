"""Mesh -> System: K, M, C, f."""
