"""The ``kernel`` decorator: one source for a compiled and an interpreted kernel.

numba is imported only when a kernel is called on enough work: its import and first call cost about 0.4 s a process,
which a team-sized architecture must not pay. Below the threshold the very same function runs interpreted.
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

__all__ = ["kernel", "registered_kernels", "subroutine", "variant"]

F = TypeVar("F", bound=Callable[..., Any])
_REGISTRY: dict[str, Any] = {}


def registered_kernels() -> dict[str, Any]:
    """Return every kernel that has been imported so far, by qualified name."""
    return dict(_REGISTRY)


@overload
def subroutine(function: F) -> F: ...
@overload
def subroutine(*, inline: bool = False, reassociate: bool = False) -> Callable[[F], F]: ...
def subroutine(function: Any = None, *, inline: bool = False, reassociate: bool = False) -> Any:
    """Mark a plain function that kernels may call, also those of other files; it is compiled together with them.

    Parameters
    ----------
    function : callable
    inline : bool
        Copy it into its caller: worth it in an inner loop, in few places.
    reassociate : bool
        Let the compiler add the terms of sums in any order, so that they fit vector registers. It assumes nothing
        else: infinities and NaN stay what they are.
    """
    if function is None:
        return functools.partial(subroutine, inline=inline, reassociate=reassociate)
    options: dict[str, Any] = {}
    if inline:
        options["forceinline"] = True
    if reassociate:
        options["fastmath"] = {"reassoc"}
    function.__fea_subroutine__ = options
    return function


def _subroutine_options(value: Any) -> dict[str, Any] | None:
    """Return how a subroutine is to be compiled, ``None`` for anything that is none."""
    return getattr(value, "__fea_subroutine__", None) if isinstance(value, types.FunctionType) else None


def _imprint(function: Callable[..., Any], seen: set[Any]) -> str:
    """Return a text that changes with what a function computes: its code, constants and everything it calls."""
    code = function.__code__
    parts = [code.co_code.hex(), repr([c for c in code.co_consts if not isinstance(c, types.CodeType)])]
    for name in code.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, (int, float, str, tuple)):
            parts.append(f"{name}={value!r}")
        elif _subroutine_options(value) is not None and value not in seen:
            seen.add(value)
            parts.append(f"{name}{_subroutine_options(value)}({_imprint(cast(Any, value), seen)})")
    return "|".join(parts)


def _foreign(function: Callable[..., Any], home: str, seen: set[Any]) -> bool:
    """Return whether a function calls, directly or through others, a subroutine of another file than ``home``."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if _subroutine_options(value) is None or value in seen:
            continue
        seen.add(value)
        other = cast(Any, value)
        if other.__code__.co_filename != home or _foreign(other, home, seen):
            return True
    return False


def _cache_name(function: Callable[..., Any]) -> str:
    """Return the name under which the compiled function is cached.

    numba looks only at the file of the kernel itself to see whether its cache is fresh. Where subroutines of other
    files are compiled in, what they compute is made part of the name.
    """
    if not _foreign(function, function.__code__.co_filename, set()):
        return function.__qualname__
    import hashlib

    return f"{function.__qualname__}_{hashlib.sha256(_imprint(function, set()).encode()).hexdigest()[:12]}"


def _bind(function: Callable[..., Any], jit: Callable[..., Any], done: dict[Any, Any]) -> types.FunctionType:
    """Copy a function so that the subroutines it names resolve to compiled ones."""
    code = function.__code__
    scope = dict(function.__globals__)
    for name in code.co_names:
        value = scope.get(name)
        options = _subroutine_options(value)
        if options is not None:
            if value not in done:
                done[value] = jit(_bind(cast(Any, value), jit, done), **options)
            scope[name] = done[value]
    return _copy(function, scope)


def _copy(function: Callable[..., Any], scope: dict[str, Any]) -> types.FunctionType:
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__, copy.__doc__ = function.__module__, function.__qualname__, function.__doc__
    return copy


def _exchange(function: Callable[..., Any], instead: dict[str, Any], done: dict[Any, Any]) -> Any:
    """Return a function that calls others in place of the named ones, also through subroutines; or itself."""
    if function not in done:
        scope, changed = dict(function.__globals__), False
        for name in function.__code__.co_names:
            value = scope.get(name)
            if name in instead:
                scope[name] = instead[name]
            elif _subroutine_options(value) is not None:
                scope[name] = _exchange(cast(Any, value), instead, done)
            changed = changed or scope.get(name) is not value
        done[function] = _copy(function, scope) if changed else function
        if changed and _subroutine_options(function) is not None:
            done[function].__fea_subroutine__ = _subroutine_options(function)
    return done[function]


def variant(of: F, name: str, instead: dict[str, Callable[..., Any]]) -> F:
    """Make another kernel of the same source, which calls other subroutines and is always compiled.

    Parameters
    ----------
    of : kernel
    name : str
        Name of the new kernel.
    instead : dict
        Subroutine to call in place of each of the named ones, which ``of`` calls directly or through others.
    """
    copy = _exchange(cast(Any, of).py_func, instead, {})
    copy.__name__ = copy.__qualname__ = name
    return cast(F, kernel(copy))


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    import numba

    # only kernels call subroutines: ways in from Python and C would take a quarter of the time to compile
    plain = {
        "nopython": True, "error_model": "numpy", "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
    }  # fmt: skip
    name = _cache_name(function)
    function = _bind(function, lambda f, **special: numba.jit(**plain, **special)(f), {})
    function.__qualname__ = name
    settings: dict[str, Any] = {"nopython": True, "error_model": "numpy", "nogil": True, **options}
    if os.environ.get("FEA_ARCH_NO_CACHE"):
        return cast(Callable[..., Any], numba.jit(**settings)(function))
    try:
        return cast(Callable[..., Any], numba.jit(cache=True, **settings)(function))
    except RuntimeError:  # no writable cache folder: compile without one
        return cast(Callable[..., Any], numba.jit(**settings)(function))


def _on_lists(source: Callable[..., Any], arguments: tuple[Any, ...], writes: tuple[int, ...]) -> Any:
    """Call a function with lists in place of its arrays: Python's numbers are the same doubles and integers.

    Where Python raises what numpy's numbers do not (a division by zero, an overflow), the arrays take over; nothing has
    been written to them by then.
    """
    given = [a.tolist() if hasattr(a, "tolist") else a for a in arguments]
    try:
        answer = source(*given)
    except ArithmeticError:
        return source(*arguments)
    for k in writes:
        arguments[k][:] = given[k]
    return answer


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(
    *,
    work: Callable[..., float] | None = None,
    threshold: float = 20_000.0,
    writes: tuple[str, ...] | None = None,
    **options: Any,
) -> Callable[[F], F]: ...
def kernel(
    function: Any = None,
    *,
    work: Callable[..., float] | None = None,
    threshold: float = 20_000.0,
    writes: tuple[str, ...] | None = None,
    **options: Any,
) -> Any:
    """Compile a function lazily with numba; run it interpreted when its work is small.

    Parameters
    ----------
    function : callable
        A function over arrays and scalars that numba can compile. It may call functions that are marked with
        :func:`subroutine`, of its own file or another; it never calls another kernel.
    work : callable, optional
        Maps the arguments to an estimate of elementary operations. Without it the kernel is always compiled.
    threshold : float
        Work below which the interpreted function runs [operations].
    writes : tuple of str, optional
        Names of the one-dimensional arrays that the function changes. With it the interpreted function gets lists for
        all arrays, which takes a third of the time and gives the same numbers; it asks for ``len(x)``, not ``x.size``.
    **options
        Passed to ``numba.jit`` (for instance ``parallel=True``).

    Returns
    -------
    callable
        Same signature; ``.py_func`` is the source function, ``.compiled()`` the compiled one.
    """
    if function is None:
        return functools.partial(kernel, work=work, threshold=threshold, writes=writes, **options)
    source = cast(Callable[..., Any], function)
    state: dict[str, Any] = {}
    names = source.__code__.co_varnames
    places = None if writes is None else tuple(names.index(name) for name in writes)

    def compiled() -> Callable[..., Any]:
        if "fast" not in state:
            state["fast"] = _compile(source, options)
        fast: Callable[..., Any] = state["fast"]
        return fast

    @functools.wraps(source)
    def call(*arguments: Any) -> Any:
        fast = state.get("fast")
        if fast is None:
            if work is not None and work(*arguments) < threshold:
                return source(*arguments) if places is None else _on_lists(source, arguments, places)
            fast = compiled()
        return fast(*arguments)

    call.py_func = source  # type: ignore[attr-defined]
    call.compiled = compiled  # type: ignore[attr-defined]
    call.state = state  # type: ignore[attr-defined]
    _REGISTRY[f"{source.__module__}.{source.__qualname__}"] = call
    return call
