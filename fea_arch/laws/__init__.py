"""Constitutive laws, one file each."""
