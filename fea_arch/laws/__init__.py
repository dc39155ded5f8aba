"""Constitutive laws, one file each; :func:`registered_laws` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fea_arch.laws.registry import Entry

__all__ = ["registered_laws"]


def registered_laws() -> dict[str, Entry]:
    """Return every law of the library by name: its class, an example block and a range of elongations."""
    from fea_arch.laws import registry

    return registry.registered_laws()
