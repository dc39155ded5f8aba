"""The avalanche at constant load: respond, see what is overloaded, take it out, respond again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["run_avalanche"]

State = TypeVar("State")
Element = TypeVar("Element")


def run_avalanche(
    respond: Callable[[], State],
    overloaded: Callable[[State], Sequence[Element]],
    take_out: Callable[[Sequence[Element], int], None],
    max_waves: int = 100_000,
) -> tuple[State, list[list[Element]]]:
    """Break what is overloaded, all at once, until nothing is.

    Parameters
    ----------
    respond : callable
        Returns the state of what is left.
    overloaded : callable
        Returns the elements that this state breaks.
    take_out : callable
        Takes these elements out; the second argument is the number of the wave, from 0.
    max_waves : int
        Bound on waves.

    Returns
    -------
    state : object
        The last state.
    waves : list of list
        What broke together, wave after wave.

    Examples
    --------
    Five parallel bars under a load of 9 share it equally:

    >>> left = {3: 3.0, 1: 1.0, 4: 4.0, 2: 2.0, 5: 5.0}
    >>> share, waves = run_avalanche(lambda: 9.0 / max(len(left), 1), lambda each: [k for k in left if left[k] < each],
    ...                              lambda gone, wave: [left.pop(k) for k in gone])
    >>> share, waves
    (3.0, [[1], [2]])
    """
    waves: list[list[Element]] = []
    while True:
        state = respond()
        hit = list(overloaded(state))
        if not hit or len(waves) >= max_waves:
            return state, waves
        take_out(hit, len(waves))
        waves.append(hit)
