"""The catalogue of situations and the architecture score."""

from __future__ import annotations

from fea_arch.scoring.catalogue import Catalogue, Situation, default_catalogue
from fea_arch.scoring.score import score

__all__ = ["Catalogue", "Situation", "default_catalogue", "score"]
