"""A kernel made anew with other subroutines in place of those it calls, directly or through others."""

from __future__ import annotations

import numpy as np

from fea_arch.kernels.compile import kernel, registered_kernels, subroutine, variant


@subroutine
def _step(x):
    return x + 1.0


@subroutine
def _leap(x):
    return x + 100.0


@subroutine
def _untouched(x):
    return 2.0 * x


@subroutine
def _twice(x):
    return _step(_step(_untouched(x)))


@kernel(work=lambda values: 0.0)
def walk(values):
    s = 0.0
    for v in values:
        s += _twice(v) + _step(v)
    return s


run = variant(walk, "run", {"_step": _leap})


def test_a_variant_calls_what_it_is_given_and_leaves_the_other_alone():
    values = np.array([1.0, 2.0])
    slow, fast = 6.0 + 9.0, 6.0 + 9.0 + 99.0 * 6.0
    assert walk(values) == walk.py_func(values) == slow
    assert run.py_func(values) == fast
    assert walk.compiled()(values) == slow
    assert run(values) == run.compiled()(values) == fast
    assert walk(values) == slow


def test_a_variant_has_a_name_of_its_own_and_shares_what_it_does_not_exchange():
    assert run.py_func.__qualname__ == "run" and walk.py_func.__qualname__ == "walk"
    assert {f"{__name__}.run", f"{__name__}.walk"} <= set(registered_kernels())
    inner = run.py_func.__globals__["_twice"]
    assert inner is not _twice and inner.__globals__["_untouched"] is _untouched
    assert _twice.__globals__["_step"] is _step
