"""Values with their derivatives, and the steps back from results to what they were made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["LateValue", "Tape", "Value"]


class Value:
    """A number or an array ``v``, and the derivative ``g`` of the result by it."""

    __slots__ = ("g", "v")

    def __init__(self, v: Any) -> None:
        self.v = v
        self.g: Any = np.zeros(v.shape) if isinstance(v, np.ndarray) else 0.0


def _constant(v: Any) -> Value:
    """Return a value whose derivative nobody asks for."""
    out = Value.__new__(Value)
    out.v, out.g = v, 0.0
    return out


class LateValue(Value):
    """A constant that is worked out when a derivative asks for it."""

    __slots__ = ("_found", "_work")

    def __init__(self, work: Callable[[], float]) -> None:
        super().__init__(math.nan)
        self._work = work
        self._found: float | None = None

    def late(self) -> float:
        """Return the value."""
        if self._found is None:
            self._found = self._work()
        return self._found


class Tape:
    """The steps of a computation in their order; backwards they give all derivatives (reverse accumulation).

    A step is a function that adds to the ``g`` of what it used, from the ``g`` of what it made.
    """

    def __init__(self) -> None:
        self._numbers: list[Value] = []
        self._arrays: list[Value] = []
        self._steps: list[Callable[[], None]] = []
        self._recording = True

    def value(self, v: Any) -> Value:
        """Return a new value that is cleared before every sweep."""
        if not self._recording:
            return _constant(v)
        out = Value(v)
        (self._arrays if isinstance(v, np.ndarray) else self._numbers).append(out)
        return out

    def step(self, back: Callable[[], None]) -> None:
        """Record how a step is swept back."""
        if self._recording:
            self._steps.append(back)

    def clear(self) -> None:
        """Forget all derivatives."""
        for value in self._arrays:
            value.g.fill(0.0)
        for value in self._numbers:
            value.g = 0.0

    def sweep(self) -> None:
        """Sweep back over all steps, from the derivatives that results were given."""
        for back in reversed(self._steps):
            back()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Work out values without derivatives: what is made meanwhile is not on the tape."""
        before, self._recording = self._recording, False
        try:
            yield
        finally:
            self._recording = before

    # -- small steps -----------------------------------------------------------
    def linear(self, parts: list[tuple[float, Value]], constant: float = 0.0) -> Value:
        """Return a weighted sum of numbers."""
        out = self.value(constant + sum(w * x.v for w, x in parts))

        def back() -> None:
            g = out.g
            if g:
                for w, x in parts:
                    x.g += w * g

        self.step(back)
        return out

    def product(self, a: Value, b: Value) -> Value:
        """Return the product of two numbers."""
        out = self.value(a.v * b.v)

        def back() -> None:
            if out.g:
                a.g += out.g * b.v
                b.g += out.g * a.v

        self.step(back)
        return out

    def ratio(self, a: Value, b: Value) -> Value:
        """Return the ratio of two numbers."""
        out = self.value(a.v / b.v)

        def back() -> None:
            if out.g:
                a.g += out.g / b.v
                b.g -= out.g * out.v / b.v

        self.step(back)
        return out

    def copy(self, a: Value) -> Value:
        """Return the same value again: its derivative is what one of several users owes."""
        out = self.value(a.v)
        array = isinstance(a.v, np.ndarray)

        def back() -> None:
            if array:
                a.g += out.g
            elif out.g:
                a.g = a.g + out.g

        self.step(back)
        return out

    def last(self, table: Value) -> Value:
        """Return the last entry of a table."""
        out = self.value(float(table.v[-1]))

        def back() -> None:
            table.g[-1] += out.g

        self.step(back)
        return out
