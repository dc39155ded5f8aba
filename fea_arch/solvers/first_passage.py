r"""Retry station: a birth-death chain whose arrivals grow with what is in it, and how long it holds out.

With ``n`` requests inside, a first try is late with ``p(n) = P(Erlang(n + 1, mu) > t_o)`` and is followed by up to
``r`` retries: arrival rate ``o + f (1 + p + ... + p^r)``. In the mean over the stationary chain of ``Lambda`` arrivals
this is the folded equilibrium curve; from state to state it gives the mean time until the station tips over (first
passage).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincc

from fea_arch.laws.base import Array
from fea_arch.solvers.late_retries import NO_RETURN, late_retry_collapse_s, no_return_wait_s

__all__ = ["RetryStation"]

#: Largest state of a chain that is looked at.
MOST_STATES = 2_000_000


@dataclass(frozen=True)
class RetryStation:
    """One station with callers that retry.

    Attributes
    ----------
    service_s : float
        Mean holding time of a server [s].
    servers : int
        Servers of all replicas.
    shares : tuple of float
        Share of the first tries that each group of callers makes; what is left to 1 never retries.
    timeouts_s : tuple of float
        Time-out of each group, network time taken off [s].
    retries : tuple of int
        Largest number of retries of each group.
    budgets : tuple of float
        Largest retries per first try of each group; inf without a budget.
    places : int
        Waiting places; -1 without bound.
    delays_s : tuple of float
        Time from a late try to the next one, network time included [s]; default the time-outs.
    pauses_s : tuple of float
        Mean of the exponential back-off on top of that [s]; default none.
    """

    service_s: float
    servers: int
    shares: tuple[float, ...]
    timeouts_s: tuple[float, ...]
    retries: tuple[int, ...]
    budgets: tuple[float, ...] = ()
    places: int = -1
    delays_s: tuple[float, ...] = ()
    pauses_s: tuple[float, ...] = ()

    @property
    def delays(self) -> tuple[float, ...]:
        """Time from a late try to the next one, without back-off [s]."""
        return self.delays_s or self.timeouts_s

    @property
    def pauses(self) -> tuple[float, ...]:
        """Mean back-off of each group [s]."""
        return self.pauses_s or (0.0,) * len(self.shares)

    @property
    def capacity_per_s(self) -> float:
        """``mu = c / S`` [1/s]."""
        return self.servers / self.service_s

    def _tries(self, late: Any, group: int) -> Any:
        p = np.asarray(late, float)
        total = np.ones_like(p)
        power = np.ones_like(p)
        for _ in range(min(self.retries[group], 1000)):
            power = power * p
            total = total + power
        budget = self.budgets[group] if self.budgets else math.inf
        return np.minimum(total, 1.0 + budget)

    def gain(self, late: Sequence[Any]) -> Any:
        """Return arrivals per first try, ``a``, at the late share of each group [1]."""
        rest = 1.0 - sum(self.shares)
        total: Any = rest
        for g, share in enumerate(self.shares):
            total = total + share * self._tries(late[g], g)
        return total

    @property
    def worst_gain(self) -> float:
        """Arrivals per first try when every call is late [1]."""
        return float(self.gain([1.0] * len(self.shares)))

    def late(self, arrivals: float, timeout_s: float) -> float:
        """Return the share of calls that are late or turned away at a total arrival rate (M/M/c, exact)."""
        c = self.servers
        if self.places >= 0:
            weight = np.concatenate([[0.0], np.cumsum(np.log(arrivals) - np.log(self._rates(c + self.places)))])
            weight = np.exp(weight - weight.max())
            weight /= weight.sum()
            inside = self.late_at(np.arange(c + self.places), timeout_s)
            return float(weight[:-1] @ inside + weight[-1])
        return self.unbounded_late(arrivals, timeout_s)

    def unbounded_late(self, arrivals: float, timeout_s: float) -> float:
        """Return the share of calls that are late where the queue has no bound (M/M/c, exact)."""
        mu1, c = 1.0 / self.service_s, self.servers
        a = arrivals / mu1
        if a >= c:
            return 1.0
        b = 1.0
        for k in range(1, c + 1):
            b = a * b / (k + a * b)
        busy = b / (1.0 - a / c * (1.0 - b))
        x = mu1 * timeout_s * (c - 1.0 - a)
        bracket = 1.0 if x == 0.0 else -math.expm1(-x) / x
        return min(math.exp(-mu1 * timeout_s) * (1.0 + busy * mu1 * timeout_s * bracket), 1.0)

    def _rates(self, states: int) -> Array:
        return np.minimum(np.arange(1, states + 1), self.servers) / self.service_s

    def late_at(self, n: Array | np.ndarray[tuple[int], np.dtype[np.int64]], timeout_s: float) -> Array:
        """Return ``P(response > t_o)`` of a request that finds ``n`` inside, (k,) float64."""
        mu1, c = 1.0 / self.service_s, self.servers
        n = np.asarray(n, float)
        if c == 1:
            return np.asarray(gammaincc(n + 1.0, mu1 * timeout_s))
        ahead = np.maximum(n - c + 1.0, 0.0)
        a = c * mu1
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            logs = -mu1 * timeout_s + ahead * math.log(a / (a - mu1))
            part = gammainc(np.maximum(ahead, 1e-300), (a - mu1) * timeout_s)
            own = np.exp(np.minimum(logs + np.log(part), 0.0))
            value = gammaincc(np.maximum(ahead, 1e-300), a * timeout_s) + own
        return np.where(ahead > 0, np.minimum(value, 1.0), math.exp(-mu1 * timeout_s))

    def load(self, arrivals: float) -> float:
        """Return the first tries that keep up a total arrival rate: the equilibrium curve ``f = Lambda / a`` [1/s]."""
        return arrivals / float(self.gain([self.late(arrivals, t) for t in self.timeouts_s]))

    def _slope(self, arrivals: float) -> float:
        """``df/dLambda`` times ``a^2``, by central differences of ``a``."""
        h = 1e-5 * min(arrivals, self.capacity_per_s - arrivals) if self.places < 0 else 1e-5 * arrivals

        def a(x: float) -> float:
            return float(self.gain([self.late(x, t) for t in self.timeouts_s]))

        slope = (8.0 * (a(arrivals + h) - a(arrivals - h)) - (a(arrivals + 2 * h) - a(arrivals - 2 * h))) / (12.0 * h)
        return a(arrivals) - arrivals * slope

    def fold(self) -> tuple[float, float] | None:
        """Return total arrivals and first tries at the collapse fold, or None where the curve does not fold [1/s]."""
        top = self.capacity_per_s * (1.0 if self.places < 0 else 4.0)
        grid = top * np.concatenate([np.linspace(0.001, 0.98, 300), 1.0 - np.geomspace(0.02, 1e-6, 100)])
        slope = np.array([self._slope(x) for x in grid])
        falling = np.flatnonzero((slope[1:] < 0) & (slope[:-1] >= 0))
        if not falling.size:
            return None
        k = int(falling[0])
        at = float(brentq(self._slope, grid[k], grid[k + 1], xtol=1e-13 * top, rtol=1e-15))
        return at, self.load(at)

    def recovery(self) -> tuple[float, float]:
        """Return total arrivals and first tries at the lower end of the failed branch [1/s]."""
        mu = self.capacity_per_s
        if self.places < 0:
            return mu, mu / self.worst_gain
        found = self.fold()
        if found is None:
            return mu, math.inf
        grid = np.linspace(found[0], 3.0 * mu, 400)
        values = [self.load(x) for x in grid]
        k = int(np.argmin(values))
        return float(grid[k]), float(values[k])

    # -- state by state ----------------------------------------------------
    def births(self, first_tries: float, states: int) -> Array:
        """Return the arrival rate with 0 .. ``states - 1`` inside, (states,) float64 [1/s]."""
        n = np.arange(states)
        return np.asarray(first_tries * self.gain([self.late_at(n, t) for t in self.timeouts_s]))

    def tipping_number(self, first_tries: float) -> int | None:
        """Return the number inside beyond which more arrives than leaves for good; None below the recovery load."""
        mu = self.capacity_per_s
        if self.places >= 0 or first_tries * self.worst_gain <= mu:
            return None
        states = int(3.0 * mu * max(self.timeouts_s, default=0.0)) + 10 * self.servers + 60
        states = min(states, MOST_STATES)
        born, gone = self.births(first_tries, states), np.concatenate([[0.0], self._rates(states - 1)])
        calm = np.flatnonzero(born <= gone)
        return int(calm[-1]) + 1 if calm.size else 0

    def time_to_collapse_s(self, first_tries: float, *, immediate: bool = False) -> float:
        """Return the mean time until an empty station tips over by itself [s]; inf below the recovery load.

        Retries come one time-out after the try that was late (:mod:`fea_arch.solvers.late_retries`). With ``immediate``
        they arrive together with it, each late anew by what is drawn for it: mean first-passage time of the
        birth-death chain to the number from which it comes back with probability 0.001 at most.
        """
        return self._immediate_collapse_s(first_tries) if immediate else late_retry_collapse_s(self, first_tries)

    def no_return_wait_s(self, first_tries: float) -> float:
        """Return the wait from which it does not come back by itself, with late retries [s]."""
        return no_return_wait_s(self, first_tries)

    def _immediate_collapse_s(self, first_tries: float) -> float:
        tip = self.tipping_number(first_tries)
        if tip is None:
            return math.inf
        ratio = self.capacity_per_s / (first_tries * self.worst_gain)
        beyond = math.log(NO_RETURN) / math.log(ratio) if ratio < 1.0 else math.inf
        states = int(min(tip + beyond + 1.0, tip + 100_000.0, MOST_STATES))
        born, gone = self.births(first_tries, states), np.concatenate([[0.0], self._rates(states - 1)])
        step = total = 1.0 / born[0]
        for b, d in zip(born[1:].tolist(), gone[1:].tolist()):
            step = (1.0 + d * step) / b
            total += step
            if not total < 1e300:
                return math.inf
        return float(total)

    def time_to_recovery_s(self, first_tries: float, backlog: float) -> float:
        """Return the mean time to work off a backlog [s]; inf where it grows instead (fluid, retries included)."""
        n = math.ceil(backlog)
        if n <= 0:
            return 0.0
        n = min(n, MOST_STATES)
        born, gone = self.births(first_tries, n + 1)[1:], self._rates(n)
        calm = max(int(first_tries * self.service_s) + self.servers, 1)
        drift = (gone - born)[calm:]
        if drift.size and (drift <= 0.0).any():
            return math.inf
        return float((1.0 / drift).sum()) if drift.size else 0.0

    def trigger_s(self, first_tries: float, *, load_factor: float = 1.0, capacity: float = 1.0) -> float:
        """Return how long a surge or a loss of capacity must last to tip the station over [s]; inf if it never does."""
        tip = self.tipping_number(first_tries)
        if tip is None:
            return math.inf
        begin = min(int(first_tries * self.service_s), tip)
        if begin >= tip:
            return 0.0
        born = load_factor * self.births(first_tries, tip + 1)[begin:tip]
        gone = capacity * np.concatenate([[0.0], self._rates(tip)])[begin:tip]
        drift = born - gone
        return math.inf if (drift <= 0.0).any() else float((1.0 / drift).sum())
