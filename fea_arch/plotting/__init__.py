"""Pictures; matplotlib is imported here only."""
