"""Safe access to files from outside: bounded in size, in unpacked size and in nesting, with errors that name the place.

Nothing here executes anything of a file: JSON is the strict standard form, YAML goes through the safe loader with
limits on aliases, depth and size.
"""

from __future__ import annotations

import gc
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

from fea_arch.errors import ModelError
from fea_arch.sources.outline import HEAD_BYTES

__all__ = [
    "MAX_BYTES",
    "MAX_STREAM_BYTES",
    "decode",
    "existing",
    "line_parser",
    "load_json",
    "load_yaml",
    "open_lines",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "read_head",
    "read_text",
    "uncollected",
]

#: Largest document that is parsed as a whole, unpacked [bytes]; a parsed JSON document takes about ten times as much.
MAX_BYTES = 512 * 2**20
#: Largest file that is read line by line, unpacked [bytes].
MAX_STREAM_BYTES = 64 * 2**30
#: Longest single line of such a file [bytes].
MAX_LINE_BYTES = 256 * 2**20
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_YAML_DEPTH, _YAML_NODES = 64, 2_000_000


def existing(path: str | Path) -> Path:
    """Return the path of a regular file or folder.

    Raises
    ------
    ModelError
        If there is none, or it is a device or a pipe.
    """
    try:
        target = Path(path)
        if target.is_dir() or target.is_file():
            return target
        there = target.exists()
    except (OSError, TypeError, ValueError) as error:
        raise ModelError(f"cannot be opened: {error}", path=str(path)[:200], fix="the path of a file") from error
    if there:
        raise ModelError("is neither a file nor a folder", path=str(path), fix="a regular file")
    raise ModelError("there is no such file", path=str(path), fix="check the path")


def _too_large(path: Path, limit: int) -> NoReturn:
    raise ModelError(
        f"has more than {limit:,} bytes (unpacked)",
        path=str(path),
        field="max_bytes",
        fix="a smaller extract, JSON lines instead of one document, or a larger max_bytes=",
    )


def _pieces(path: Path, limit: int) -> Iterator[bytes]:
    """Yield the unpacked content in pieces of at most 1 MiB; stop with an error beyond the limit."""
    total = 0
    try:
        with path.open("rb") as file:
            start = file.read(2)
            file.seek(0)
            for piece in _unpacked(file, path) if start == _GZIP else iter(lambda: file.read(_CHUNK), b""):
                total += len(piece)
                if total > limit:
                    _too_large(path, limit)
                yield piece
    except IsADirectoryError as error:
        raise ModelError("is a folder, not a file", path=str(path), fix="the path of a file") from error
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", path=str(path)) from error


def _unpacked(file: IO[bytes], path: Path) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    waiting = b""
    try:
        while True:
            data = waiting or file.read(_CHUNK)
            if not data:
                break
            if unpacker.eof:  # a further gzip member
                if not data.strip(b"\0"):
                    return
                unpacker = zlib.decompressobj(wbits=31)
            piece = unpacker.decompress(data, _CHUNK)  # never more than 1 MiB at once, however well it packs
            waiting = unpacker.unconsumed_tail or unpacker.unused_data
            if piece:
                yield piece
    except zlib.error as error:
        raise ModelError(f"is damaged gzip data: {error}", path=str(path), fix="fetch the file again") from error
    if not unpacker.eof:
        raise ModelError("is gzip data that ends too early", path=str(path), fix="fetch the file again")


def read_head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """Return the first bytes of a file, unpacked; a damaged end does not matter here."""
    head = b""
    try:
        for piece in _pieces(path, MAX_STREAM_BYTES):
            head += piece
            if len(head) >= size:
                break
    except ModelError:
        if not head:
            raise
    return head[:size]


def read_bytes(path: str | Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file, gzip unpacked.

    Raises
    ------
    ModelError
        Missing, unreadable, damaged, or larger than ``max_bytes``.
    """
    target = existing(path)
    if target.is_file() and target.stat().st_size > max_bytes:
        _too_large(target, max_bytes)
    return b"".join(_pieces(target, max_bytes))


def decode(content: bytes, path: str | Path) -> str:
    """Return UTF-8 (or UTF-16 with a byte-order mark) as text.

    Raises
    ------
    ModelError
        Naming the byte that is no text.
    """
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(coding)
    except UnicodeDecodeError as error:
        raise ModelError(
            f"byte {error.start} (0x{content[error.start]:02x}) is not {error.encoding} text",
            path=str(path),
            fix="save the file as UTF-8",
        ) from error


def read_text(path: str | Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return a text file, gzip unpacked.

    Raises
    ------
    ModelError
        As :func:`read_bytes`; also for bytes that are no text.
    """
    return decode(read_bytes(path, max_bytes=max_bytes), path)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


_strict_json = json.JSONDecoder(parse_constant=_no_constant).decode


def parse_json(content: str, path: str | Path, *, line: int | None = None) -> Any:
    """Return parsed JSON; ``line`` is the number of the line where the document stands alone on one.

    Raises
    ------
    ModelError
        Not JSON (with line and column), NaN or infinite numbers, nested too deeply.
    """
    try:
        return _strict_json(content)
    except json.JSONDecodeError as error:
        at = line if line is not None else error.lineno
        raise ModelError(
            f"is not valid JSON: {error.msg} at column {error.colno}", path=str(path), line=at, fix="correct the syntax"
        ) from error
    except RecursionError as error:
        raise ModelError("is nested too deeply", path=str(path), line=line, fix="a flatter document") from error
    except ValueError as error:
        raise ModelError(f"is not valid JSON: {error}", path=str(path), line=line, fix="finite numbers") from error


def load_json(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the JSON document in a file.

    Raises
    ------
    ModelError
        As :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path, max_bytes=max_bytes), path)


def open_lines(path: str | Path, *, max_bytes: int = MAX_STREAM_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, line) of the lines that are not blank, in bounded memory.

    Raises
    ------
    ModelError
        As :func:`read_bytes`; also for a line of more than 256 MiB.
    """
    target = existing(path)
    number, parts, length = 0, [], 0
    for piece in _pieces(target, max_bytes):
        lines = piece.split(b"\n")
        for ended in lines[:-1]:
            parts.append(ended)
            whole = b"".join(parts) if len(parts) > 1 else ended
            parts, length = [], 0
            number += 1
            if whole.strip():
                yield number, whole
        if lines[-1]:
            parts.append(lines[-1])
            length += len(lines[-1])
            if length > MAX_LINE_BYTES:
                raise ModelError(f"the line has more than {MAX_LINE_BYTES:,} bytes", path=str(path), line=number + 1)
    rest = b"".join(parts)
    if rest.strip():
        yield number + 1, rest


def parse_yaml(content: str, path: str | Path) -> list[Any]:
    """Return the documents of a YAML text, empty ones left out.

    Raises
    ------
    ModelError
        Not YAML (with line and column), tags other than plain data, nested too deeply, or growing without bound
        through aliases.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _bound_yaml(yaml.parse(content, Loader=loader), path)
        return [d for d in yaml.load_all(content, Loader=loader) if d is not None]
    except ModelError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = "" if mark is None else f" at column {mark.column + 1}"
        problem = str(error.problem or error.context)
        if "nesting" in problem:  # PyYAML has a limit of its own since 6.0.4
            problem = f"nested too deeply ({problem})"
        raise ModelError(
            f"is not valid YAML: {problem}{at}",
            path=str(path),
            line=None if mark is None else mark.line + 1,
            fix="plain YAML without tags",
        ) from error
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise ModelError(f"is not valid YAML: {error}", path=str(path), fix="plain YAML without tags") from error
    except RecursionError as error:
        raise ModelError("is nested too deeply", path=str(path), fix="a flatter document") from error


def _bound_yaml(events: Iterator[Any], path: str | Path) -> None:
    """Refuse documents whose depth or whose size with all aliases written out passes the limits."""
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = []
    total = borrowed = 0
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            stack.append((event.anchor, total))
            total += 1
            if event.anchor:
                sizes.pop(event.anchor, None)
            if len(stack) > _YAML_DEPTH:
                raise ModelError(
                    f"is nested more than {_YAML_DEPTH} levels deep",
                    path=str(path),
                    line=event.start_mark.line + 1,
                    fix="a flatter document",
                )
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            anchor, before = stack.pop()
            if anchor:
                sizes[anchor] = total - before
        elif kind == "ScalarEvent":
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif kind == "AliasEvent":
            if any(event.anchor == anchor for anchor, _ in stack):
                raise ModelError(
                    f"alias *{event.anchor} contains itself", path=str(path), line=event.start_mark.line + 1
                )
            total += sizes.get(event.anchor, 1)
            borrowed += sizes.get(event.anchor, 1)
        if borrowed > _YAML_NODES:
            raise ModelError(
                f"grows to more than {_YAML_NODES:,} values through its aliases", path=str(path), fix="write them out"
            )


def load_yaml(path: str | Path, *, max_bytes: int = 64 * 2**20) -> list[Any]:
    """Return the documents of a YAML file.

    Raises
    ------
    ModelError
        As :func:`read_text` and :func:`parse_yaml`.
    """
    return parse_yaml(read_text(path, max_bytes=max_bytes), path)


def line_parser(path: str | Path) -> Callable[[bytes, int], Any]:
    """Return ``parse(line, number)`` for JSON lines: orjson where it is installed, the standard library otherwise.

    Raises
    ------
    ModelError
        From the parser, as :func:`parse_json`.
    """
    try:
        fast = import_module("orjson").loads
    except ImportError:
        fast = None

    def parse(line: bytes, number: int) -> Any:
        if fast is not None:
            try:
                return fast(line)
            except (ValueError, RecursionError):
                pass  # the standard parser says what is wrong
        return parse_json(decode(line, path), path, line=number)

    return parse


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the cyclic garbage collector: parsed documents hold no cycles, and looking for them costs time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
