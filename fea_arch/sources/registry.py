"""Recognise a format by its content and read it.

Every format registers a :class:`Source`. The one that is surest about the first bytes reads the file. Packages of
third parties add formats through the entry-point group ``fea_arch.sources``: each entry point names a ``Source``.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from fea_arch.architecture.container import Architecture
from fea_arch.errors import FeaArchError, ModelError, suggestion
from fea_arch.sources.loading import existing, read_head

__all__ = ["BUILTIN", "Source", "read", "register", "sources"]

#: Modules that hold a ``SOURCE`` (one) or ``SOURCES`` (several), in order of preference when two are equally sure.
BUILTIN: tuple[str, ...] = (
    "fea_arch.sources.native",
    "fea_arch.sources.otlp",
    "fea_arch.sources.jaeger",
    "fea_arch.sources.zipkin",
    "fea_arch.sources.call_counts",
    "fea_arch.sources.nezha",
    "fea_arch.sources.compose",
    "fea_arch.sources.kubernetes",
    "fea_arch.sources.mcp_config",
    "fea_arch.sources.event_router",
    "fea_arch.sources.kiali",
    "fea_arch.sources.prometheus",
    "fea_arch.sources.hotel_sweep",
    "fea_arch.sources.graph",
    "fea_arch.sources.csv_tables",
)


@dataclass(frozen=True, slots=True)
class Source:
    """One format that can be read.

    Parameters
    ----------
    name : str
        Short name, as in ``fa.read(path, format=name)``.
    sniff : callable
        ``sniff(head, path)`` with the first 64 KiB (decompressed; empty for a folder) returns how sure it is that
        this is its format: a number from 0 (no) to 1 (certain), or a bool.
    read : callable
        ``read(path, **options)`` returns the Architecture or raises ModelError.
    doc : str
        One line for listings.
    folders : bool
        Whether it reads folders; it is asked about folders only then.

    Examples
    --------
    >>> Source("demo", sniff=lambda head, path: head.startswith(b"demo"), read=lambda path: None).folders
    False
    """

    name: str
    sniff: Callable[[bytes, Path], float | bool]
    read: Callable[..., Architecture]
    doc: str = ""
    folders: bool = False


_ADDED: list[Source] = []


def register(source: Source) -> None:
    """Add a format for this process; a later one of the same name takes the place of the earlier.

    Raises
    ------
    ModelError
        If it is not a :class:`Source`.
    """
    if not isinstance(source, Source):
        raise ModelError(
            f"{source!r} is not a Source", field="source", fix="fea_arch.sources.Source(name, sniff, read)"
        )
    _ADDED[:] = [s for s in _ADDED if s.name != source.name] + [source]


@lru_cache(maxsize=1)
def _builtin() -> tuple[Source, ...]:
    found: list[Source] = []
    for place in BUILTIN:
        module = import_module(place)
        found += getattr(module, "SOURCES", None) or [module.SOURCE]
    return tuple(found)


def _third_parties() -> list[Source]:
    found = []
    for point in entry_points(group="fea_arch.sources"):
        try:
            source = point.load()
        except Exception as error:
            # one broken plug-in must not stop the reading of other formats
            warnings.warn(f"source plug-in {point.name!r} cannot be loaded: {error}", RuntimeWarning, stacklevel=3)
            continue
        if isinstance(source, Source):
            found.append(source)
        else:
            warnings.warn(f"source plug-in {point.name!r} is not a Source", RuntimeWarning, stacklevel=3)
    return found


def sources() -> Sequence[Source]:
    """Return every known format: those of the library, of installed plug-ins and those registered here."""
    table = {s.name: s for s in (*_builtin(), *_third_parties(), *_ADDED)}
    return tuple(table.values())


def read(path: str | Path, *, format: str | None = None, **options: Any) -> Architecture:
    """Read an architecture from a file or folder; the format is recognised by content.

    Parameters
    ----------
    path : str or Path
        A file (gzip is unpacked) or a folder.
    format : str, optional
        Name of the format, where the content shall not decide.
    **options
        Options of that format's reader, for instance ``by="operation"`` for traces.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        The file is missing, too large, of no known format, or wrong; an option is unknown.

    Examples
    --------
    >>> import fea_arch as fa, tempfile, pathlib
    >>> arch = fa.Architecture("one", [fa.Component("a")], loads=[fa.Load("a", rate_per_s=1.0)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fa.read(fa.write(arch, pathlib.Path(folder) / "one.yaml")) == arch
    True
    """
    target = existing(path)
    known = sources()
    if format is not None:
        chosen = next((s for s in known if s.name == format), None)
        if chosen is None:
            names = sorted(s.name for s in known)
            raise ModelError(
                f"is {format!r}.{suggestion(format, names)}", field="format", fix=f"one of {', '.join(names)}"
            )
    else:
        chosen = _recognised(target, known)
    _check_options(chosen, options)
    return chosen.read(target, **options)


def _recognised(target: Path, known: Sequence[Source]) -> Source:
    folder = target.is_dir()
    head = b"" if folder else read_head(target)
    if not folder and not head.strip():
        raise ModelError("is empty", path=str(target), fix="a file with content")
    best, score = None, 0.0
    for source in known:
        if folder and not source.folders:
            continue
        try:
            sure = float(source.sniff(head, target))
        except FeaArchError:
            raise
        except Exception as error:
            warnings.warn(
                f"source {source.name!r} failed to look at {target.name}: {error}", RuntimeWarning, stacklevel=3
            )
            continue
        if sure > score:
            best, score = source, sure
    if best is None:
        names = ", ".join(sorted(s.name for s in known if s.folders or not folder))
        what = "folder" if folder else "file"
        raise ModelError(
            f"this {what} is of no known format", path=str(target), fix=f"name it: format=... (one of {names})"
        )
    return best


def _check_options(source: Source, options: dict[str, Any]) -> None:
    if not options:
        return
    parameters = inspect.signature(source.read).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise ModelError(
                f"the {source.name} reader has no option {name!r}.{suggestion(name, known)}",
                field=name,
                fix=f"known options: {', '.join(known) or 'none'}",
            )
