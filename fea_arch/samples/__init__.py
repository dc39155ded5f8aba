"""Bundled architectures: the ``runbook`` platform, and small models with known answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from fea_arch.architecture.container import Architecture
from fea_arch.architecture.document import from_document
from fea_arch.errors import ModelError, suggestion

__all__ = ["SAMPLES", "load_sample"]

#: Names of the bundled architectures.
SAMPLES = ("runbook", "chain", "star", "ring", "balanced_pair", "shop")


def load_sample(name: str, **options: Any) -> Architecture:
    """Return a bundled architecture.

    Parameters
    ----------
    name : str
        ``runbook`` (an event-driven tool platform), or a small model with a known answer: ``chain``, ``star``,
        ``ring``, ``balanced_pair``, ``shop``.
    **options
        Sizes and rates of the small models, for instance ``n=10`` components of a chain (see
        :mod:`fea_arch.samples.known`).

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        Unknown sample or option.

    Examples
    --------
    >>> len(load_sample("chain", n=5))
    5
    """
    if name not in SAMPLES:
        raise ModelError(
            f"no sample {name!r}.{suggestion(str(name), SAMPLES)}", field="name", fix=f"one of {', '.join(SAMPLES)}"
        )
    if name == "runbook":
        if options:
            raise ModelError("the runbook sample has no options", field=next(iter(options)), fix="arch.replaced(...)")
        return _runbook()
    from inspect import signature

    from fea_arch.samples import known

    build: Callable[..., Architecture] = getattr(known, name)
    accepted = signature(build).parameters
    for option in options:
        if option not in accepted:
            raise ModelError(
                f"sample {name!r} has no option {option!r}.{suggestion(option, accepted)}",
                field=option,
                fix=f"known options: {', '.join(accepted)}",
            )
    return build(**options)


@lru_cache(maxsize=1)
def _runbook() -> Architecture:
    import json

    path = Path(__file__).with_name("runbook.json")
    return from_document(json.loads(path.read_text(encoding="utf-8")), path=path.name)
