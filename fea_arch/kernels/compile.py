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

__all__ = ["kernel", "registered_kernels", "subroutine"]

F = TypeVar("F", bound=Callable[..., Any])
_REGISTRY: dict[str, Any] = {}


def registered_kernels() -> dict[str, Any]:
    """Return every kernel that has been imported so far, by qualified name."""
    return dict(_REGISTRY)


def subroutine(function: F) -> F:
    """Mark a plain function that kernels of the same file may call; it is compiled together with them."""
    function.__fea_subroutine__ = True  # type: ignore[attr-defined]
    return function


def _bind(function: Callable[..., Any], jit: Callable[[Any], Any], done: dict[Any, Any]) -> types.FunctionType:
    """Copy a function so that the subroutines it names resolve to compiled ones."""
    code = function.__code__
    scope = dict(function.__globals__)
    for name in code.co_names:
        value = scope.get(name)
        if getattr(value, "__fea_subroutine__", False):
            if value not in done:
                done[value] = jit(_bind(cast(Any, value), jit, done))
            scope[name] = done[value]
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return copy


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    import numba

    plain = {"nopython": True, "error_model": "numpy", "nogil": True}
    function = _bind(function, lambda f: numba.jit(**plain)(f), {})
    settings: dict[str, Any] = {"nopython": True, "error_model": "numpy", "nogil": True, **options}
    if os.environ.get("FEA_ARCH_NO_CACHE"):
        return cast(Callable[..., Any], numba.jit(**settings)(function))
    try:
        return cast(Callable[..., Any], numba.jit(cache=True, **settings)(function))
    except RuntimeError:  # no writable cache folder: compile without one
        return cast(Callable[..., Any], numba.jit(**settings)(function))


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(
    *, work: Callable[..., float] | None = None, threshold: float = 20_000.0, **options: Any
) -> Callable[[F], F]: ...
def kernel(
    function: Any = None, *, work: Callable[..., float] | None = None, threshold: float = 20_000.0, **options: Any
) -> Any:
    """Compile a function lazily with numba; run it interpreted when its work is small.

    Parameters
    ----------
    function : callable
        A function over arrays and scalars that numba can compile. It may call functions of the same file that are
        marked with :func:`subroutine`; it never calls another kernel.
    work : callable, optional
        Maps the arguments to an estimate of elementary operations. Without it the kernel is always compiled.
    threshold : float
        Work below which the interpreted function runs [operations].
    **options
        Passed to ``numba.jit`` (for instance ``parallel=True``).

    Returns
    -------
    callable
        Same signature; ``.py_func`` is the source function, ``.compiled()`` the compiled one.
    """
    if function is None:
        return functools.partial(kernel, work=work, threshold=threshold, **options)
    source = cast(Callable[..., Any], function)
    state: dict[str, Any] = {}

    def compiled() -> Callable[..., Any]:
        if "fast" not in state:
            state["fast"] = _compile(source, options)
        return cast(Callable[..., Any], state["fast"])

    @functools.wraps(source)
    def call(*arguments: Any) -> Any:
        if "fast" not in state and work is not None and work(*arguments) < threshold:
            return source(*arguments)
        return compiled()(*arguments)

    call.py_func = source  # type: ignore[attr-defined]
    call.compiled = compiled  # type: ignore[attr-defined]
    call.state = state  # type: ignore[attr-defined]
    _REGISTRY[f"{source.__module__}.{source.__qualname__}"] = call
    return call
