"""System -> numbers."""
