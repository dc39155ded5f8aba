"""Errors of fea_arch, all under one root.

::

    FeaArchError
    ├── ModelError (ValueError)          the description or a file is wrong
    │   └── UnstableLoadError            no equilibrium at this load
    ├── ConvergenceError (RuntimeError)  a solver stopped before it met its tolerance
    ├── ProbeError (RuntimeError)        a live measurement failed
    └── MissingExtraError (ImportError)  an optional package is needed
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ConvergenceError",
    "FeaArchError",
    "MissingExtraError",
    "ModelError",
    "ProbeError",
    "UnstableLoadError",
    "suggestion",
]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known word, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class FeaArchError(Exception):
    """Root of every error that fea_arch raises on purpose."""


class ModelError(FeaArchError, ValueError):
    """A description, a file or an argument is wrong.

    Parameters
    ----------
    message : str
        What is wrong.
    path : str, optional
        File or document path.
    line : int, optional
        Line in the file, from 1.
    component : str, optional
        Component or dependency that is at fault.
    field : str, optional
        Field that is at fault.
    fix : str, optional
        What would be accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        component: str | None = None,
        field: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.message, self.path, self.line = message, path, line
        self.component, self.field, self.fix = component, field, fix
        where = "" if path is None else (f"{path}: " if line is None else f"{path}:{line}: ")
        culprit = ".".join(p for p in (component, field) if p)
        text = f"{where}{culprit + ': ' if culprit else ''}{message}"
        super().__init__(f"{text} Fix: {fix}" if fix else text)


class UnstableLoadError(ModelError):
    """No equilibrium exists at the requested load.

    Attributes
    ----------
    limiting : str
        Component (or host) whose capacity is passed first.
    max_load_factor : float
        Largest load factor that still has an equilibrium [1].
    partial : object
        What was computed before the limit was found, if anything.
    """

    def __init__(
        self, message: str, *, limiting: str, max_load_factor: float, partial: Any = None, fix: str | None = None
    ) -> None:
        self.limiting, self.max_load_factor, self.partial = limiting, float(max_load_factor), partial
        super().__init__(message, component=limiting, fix=fix)


class ConvergenceError(FeaArchError, RuntimeError):
    """A solver stopped before it met its tolerance.

    Attributes
    ----------
    partial : object
        The best result so far.
    worst : tuple of str
        Components with the largest residuals.
    residual : float
        Relative residual reached [1].
    """

    def __init__(
        self, message: str, *, partial: Any = None, worst: tuple[str, ...] = (), residual: float = float("nan")
    ) -> None:
        self.partial, self.worst, self.residual = partial, tuple(worst), float(residual)
        names = f" Worst: {', '.join(self.worst)}." if self.worst else ""
        super().__init__(f"{message}{names}")


class ProbeError(FeaArchError, RuntimeError):
    """A live measurement failed; the message names the target and the reason, never a secret."""


class MissingExtraError(FeaArchError, ImportError):
    """An optional package is needed: the message names the extra to install."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is needed for this. Install it with: pip install 'fea-arch[{extra}]'")
