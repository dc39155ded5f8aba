"""Bundled architectures with known answers."""
