"""Leaps over the sweeps of retries: secants through two of them, which stay below the lower branch.

Tries that fail send more requests, which make more tries fail. As long as few tries fail, a sweep maps the tries of the
calls to larger ones by a function that is monotone and convex. The sweeps rise from below to the lowest equilibrium,
and so do secants (Ortega and Rheinboldt 1970, chapter 13): where every move is at least ``r`` times the one before,
what is still to come is at least ``r / (1 - r)`` times the last move.
"""

from __future__ import annotations

import numpy as np

from fea_arch.solvers.network import Array, Network
from fea_arch.solvers.network_state import NetworkState

__all__ = ["Leaps"]

#: Longest leap, in moves.
_LONGEST = 20.0
#: Share of the largest move below which a call follows the others.
_LEADING = 0.1


class Leaps:
    """Secants over the sweeps of one solve.

    A sweep after a leap that goes back shows that the leap went too far: it is undone, and leaps become shorter. After
    the second such leap no other follows.

    Attributes
    ----------
    ratio : float
        Ratio of the moves of the last two sweeps, wherever they started: the slope of the secant; NaN before [1].
    made : int
        Leaps so far.
    """

    def __init__(self, network: Network) -> None:
        self.ratio, self.made = np.nan, 0
        self._undone = 0
        self._edge = np.flatnonzero((network.retries > 0) & network.sync & (network.calls > 0))
        # up to where every second try fails: there the tail of a response time ceases to be convex in its mean
        self._top = 2.0 - 0.5 ** network.retries[self._edge]
        self._last: tuple[Array, Array] | None = None
        self._before: tuple[Array, Array] | None = None

    @staticmethod
    def possible(network: Network) -> bool:
        """Return whether retries are all that feeds back, but for pools and hosts, which follow the flows."""
        return bool(
            (network.retries > 0).any()
            and (network.places < 0).all()
            and (network.policy != 3).all()
            and (network.source != network.target).all()
        )

    def go_on(self, state: NetworkState, given: Array) -> None:
        """Leap ahead of a sweep that has found more tries than it was ``given``, (n_edges,), where that is safe."""
        start, found = given[self._edge], state.edge_attempts[self._edge]
        move = found - start
        most = float(move.max(initial=0.0))
        if float(move.min(initial=0.0)) < -0.01 * most:
            if self._before is not None:
                state.edge_attempts[:], state.wait_fixed[:] = self._before
                self._undone += 1
            return self.rest()
        last, self._last, self._before = self._last, (start, found), None
        if last is None or most <= 0.0:
            return
        leads = move >= _LEADING * most
        through, gained = (start - last[0])[leads], (found - last[1])[leads]
        if (through <= 0.0).any():
            return
        earlier, self.ratio = self.ratio, float((gained / through).min())
        # a convex function has secants that steepen; pools are solved to a tolerance, whose noise is not followed far.
        # Where the moves grow from sweep to sweep no leap is made: there the sweeps show what overflows first.
        slope = min(self.ratio, earlier if self._undone else 0.5 * (1.0 + earlier))
        if not slope >= max(0.2, earlier - 0.02) or self._undone > 1:
            return
        far = slope / (1.0 - slope) if slope < 1.0 else _LONGEST
        far = min(far, _LONGEST, float(((self._top - found)[leads] / move[leads]).min()))
        if far < 0.1:
            return
        self._before = (state.edge_attempts.copy(), state.wait_fixed.copy())
        state.edge_attempts[self._edge[leads]] += far * move[leads]
        self.made += 1

    def rest(self) -> None:
        """Forget the last sweeps: what a leap would go by does not hold."""
        self._last = self._before = None
        self.ratio = np.nan
