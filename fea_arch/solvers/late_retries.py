r"""How long a station with retries holds out by itself when its retries come one time-out later.

First come, first served: what a try meets decides when it is answered. If that is later than its time-out, the next try
comes one time-out (and the back-off) after it, and the late one is served all the same. Neighbours in the queue are
late together, and their retries come together: both matter for how soon the station tips over.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fea_arch.kernels.collapse_paths import collapse_paths

if TYPE_CHECKING:
    from fea_arch.laws.base import Array
    from fea_arch.solvers.first_passage import RetryStation

__all__ = ["calm_law", "late_retry_collapse_s", "no_return_wait_s"]

#: Probability of coming back by itself that is taken for none.
NO_RETURN = 1e-3
#: Paths per level of the splitting: of a first look, at the least, at the most; arrivals that are followed in all.
PILOT, FEWEST, PATHS, ARRIVALS = 100, 100, 3000, 2_000_000
#: Reciprocal of the share of the paths that reach the next level, about; most levels.
SPLIT, MOST_LEVELS = 4.0, 400
#: Mean times beyond this are estimated, not sampled [s].
GEOLOGICAL = 1e15
#: Service times below the time-out from which calls of several servers are followed one by one.
OWN = 6.0
#: Mean number of retries pending at a calm station beyond which they are sampled.
FEW = 0.5


def no_return_wait_s(station: RetryStation, first_tries: float) -> float:
    """Return the wait from which the station does not come back by itself [s]; inf below the recovery load.

    On top of the longest time-out stand: what the wait falls until the retries have come up, round by round, with none
    pending; three standard deviations of that; and the wait from which a station with ``f (r + 1)`` arrivals comes back
    with probability 0.001 (four time-outs at the most, near the recovery load).
    """
    gone, worst = station.capacity_per_s, first_tries * station.worst_gain
    if worst <= gone:
        return math.inf
    longest = max(station.timeouts_s)
    delay = max(d + p for d, p in zip(station.delays, station.pauses))
    fall, spread = 0.0, 0.0
    for tries in range(max(station.retries)):
        arrivals = 1.0 - sum(station.shares)
        for g, share in enumerate(station.shares):
            budget = station.budgets[g] if station.budgets else math.inf
            arrivals += share * min(1.0 + min(tries, station.retries[g]), 1.0 + budget)
        if first_tries * arrivals >= gone:
            break
        fall += delay * (1.0 - first_tries * arrivals / gone)
        spread += 2.0 * delay / gone
    noise = min(-math.log(NO_RETURN) / (worst - gone), 4.0 * longest)
    return longest + fall + 3.0 * math.sqrt(spread) + noise


def calm_law(arrivals: float, service_s: float, servers: int, edge_s: float) -> Array:
    r"""Return the law of the mean time until the wait behind an arrival at an M/M/c station passes ``edge_s``.

    Returns
    -------
    (4,) float64
        The time from a wait ``w`` is ``law[0] + law[1] E(w) - law[2] (E(w) - w) / law[3]`` with
        ``E(w) = (e^(law[3] w) - 1) / law[3]`` [s]; ``law[0]`` is that with no wait and all but one server busy, inf
        where a double is too small for it.

    Notes
    -----
    An arrival that finds no server idle, or takes the last one, adds an exponential of rate ``nu = c / S`` to the wait:
    ``-g' + lambda (E[g(w + J)] - g) = -1``, that is ``g'' = (nu - lambda) g' - nu``. With ``m`` the mean time from all
    but one server busy to the next arrival that finds so, ``g'(0) = 1 - lambda m``; and ``g(edge) = (1 - g'(edge)) /
    lambda``.
    """
    gone = servers / service_s
    rate = gone - arrivals
    until = 0.0
    for k in range(servers):
        until = (1.0 + k / service_s * until) / arrivals
        if not until < 1e300:
            break
    slope = 1.0 - arrivals * until if servers > 1 else 0.0
    law = np.array([math.inf, slope, gone, rate])
    x = rate * edge_s
    if x < 690.0 and until < 1e300:
        small = abs(x) < 1e-4
        grown = edge_s * (1.0 + x * (0.5 + x / 6.0)) if small else math.expm1(x) / rate
        bent = edge_s * edge_s * (0.5 + x / 6.0) if small else (grown - edge_s) / rate
        steepest = slope + rate * slope * grown - gone * grown
        law[0] = (1.0 - steepest) / arrivals - slope * grown + gone * bent
    return law


def _forever_s(station: RetryStation, arrivals: float, first_tries: float) -> float:
    """Return the time that the station certainly lasts, to the order of magnitude [s].

    Time-out by time-out, from the shortest to that from which late callers are enough to hold the failed state.
    """
    order = sorted(range(len(station.shares)), key=lambda g: station.timeouts_s[g])
    gone, since, log = station.capacity_per_s, min(station.timeouts_s), 0.0
    late = [0.0] * len(station.shares)
    for g in order:
        log += max(gone - arrivals, 0.0) * (station.timeouts_s[g] - since)
        since, late[g] = station.timeouts_s[g], 1.0
        arrivals = max(arrivals, first_tries * float(station.gain(late)))
        if arrivals >= gone:
            break
    return math.exp(min(log, 690.0))


def _calm_number(station: RetryStation, first_tries: float) -> tuple[float, float, float]:
    """Return arrivals [1/s], busy servers and pending retries of the calm station, in the mean."""
    delays = [d + p if r else 0.0 for d, p, r in zip(station.delays, station.pauses, station.retries)]
    gone, arrivals = station.capacity_per_s, first_tries
    late = [math.exp(-t / station.service_s) for t in station.timeouts_s]  # by its own service
    own = late
    for _ in range(30):
        if arrivals >= 0.98 * gone:  # no equilibrium, or one that is hardly calm
            late, arrivals = own, first_tries * float(station.gain(own))
            break
        late = [station.unbounded_late(arrivals, t) for t in station.timeouts_s]
        arrivals = first_tries * float(station.gain(late))
    again = first_tries * sum(s * p * d for s, p, d in zip(station.shares, late, delays))
    return arrivals, min(arrivals * station.service_s, station.servers - 1.0), again


def _levels(station: RetryStation, enough: float, edge: float, calm: tuple[float, float, float]) -> tuple[Array, float]:
    """Return the work a server at which paths are split [s], and that of a calm station [s]; -1: nothing pending."""
    gone = station.capacity_per_s
    arrivals, busy, pending = calm
    few = pending < (FEW if station.servers == 1 else 0.1 * FEW)
    if edge > 0.0 and few:
        low, begin = -1.0, edge + 1.0 / gone
    else:
        number = pending + busy
        low, begin = number / gone, (number + 1.0 + math.sqrt(number)) / gone
        enough += station.service_s
    step = max(math.log(SPLIT) / (gone - arrivals), 2.0 / gone) if gone > arrivals else math.inf
    step = max(step, (enough - begin) / MOST_LEVELS)
    rest = np.arange(begin + step, enough, step) if begin + step < enough else np.zeros(0)
    return (rest if low < 0.0 else np.concatenate([[begin], rest])), low


def late_retry_collapse_s(station: RetryStation, first_tries: float, *, paths: int = PATHS, seed: int = 1) -> float:
    r"""Return the mean time until an empty station with late retries tips over by itself [s].

    Parameters
    ----------
    station : RetryStation
    first_tries : float
        Arrivals without retries [1/s].
    paths : int
        Paths per level of the splitting, at the most.
    seed : int
        The same seed gives the same number; the standard deviation over seeds is about 5 %.

    Returns
    -------
    float
        First passage of the wait to :func:`no_return_wait_s`, or to that of a full queue where this is shorter. inf
        below the recovery load, and where a full queue makes nobody late. Beyond 1e15 s it is the time that the wait
        takes to pass the time-outs, to the order of magnitude; where paths are too long to follow, that of retries
        that arrive at once.

    Notes
    -----
    Renewal argument: a path starts when the wait passes an edge with nothing pending, by an exponential overshoot. It
    ends in collapse, or calm: below the edge with nothing pending, and from a wait ``w`` the next path is ``g(w)`` away
    (:func:`calm_law`). With ``p`` the probability of collapse,

    .. math:: T = g(0) + E[\text{time} + 1(\text{calm})\, g(w)] / p .

    The edge is the shortest time-out. With several servers it is six service times less, from where on what is left of
    its own service may make a call late. ``p`` and the mean time come from fixed-effort multilevel splitting of the
    station itself, try by try [1]_; the level is the work in sight, the wait and the pending retries. A station that
    has retries pending while it is calm (many servers, long back-off) starts its paths at a level of work instead, in
    states that are sampled from its own course.

    References
    ----------
    .. [1] M. J. J. Garvels, The splitting method in rare event simulation, PhD thesis, University of Twente (2000).
    """
    enough = no_return_wait_s(station, first_tries)
    if not math.isfinite(enough):
        return math.inf
    gone, shortest = station.capacity_per_s, min(station.timeouts_s)
    if station.places >= 0:
        enough = min(enough, station.places / gone)
        if enough <= max(station.timeouts_s) or first_tries <= station.recovery()[1]:
            return math.inf
    calm = _calm_number(station, first_tries)
    law = calm_law(calm[0], station.service_s, station.servers, shortest)
    sure = float(law[0]) * _forever_s(station, calm[0], first_tries)
    if not sure < GEOLOGICAL:
        return sure if sure < 1e300 else math.inf
    # what is left of its own service makes a call late already behind a shorter wait
    edge = shortest - (OWN * station.service_s if station.servers > 1 else 0.0)
    levels, low = _levels(station, enough, edge, calm)
    if low < 0.0:
        law = calm_law(first_tries, station.service_s, station.servers, edge)
    budgets = station.budgets or (math.inf,) * len(station.shares)
    columns = (station.shares, station.timeouts_s, station.delays, station.pauses, station.retries, budgets)
    groups = np.ascontiguousarray(np.array(columns, float).T)
    numbers = np.array([first_tries, station.service_s, gone, edge, station.servers, enough, low])
    most = int(1.5 * gone * (enough + max(p + d for p, d in zip(station.pauses, station.delays)))) + 100
    data = (groups, numbers, law, levels)
    # an arrival at many servers takes longer to follow
    budget = ARRIVALS * 30 // (30 + station.servers)
    first, chance, spent, events = collapse_paths(*data, min(PILOT, paths), most, 3 * budget, seed)
    if chance >= 0.0 and (chance == 0.0 or spent / chance < GEOLOGICAL):
        many = int(min(max(budget * PILOT / max(events, 1), FEWEST), paths))
        first, chance, spent, _ = collapse_paths(*data, many, most, 8 * budget, seed + 1)
    if chance <= 0.0:
        return replace(station, places=-1).time_to_collapse_s(first_tries, immediate=True)
    total = float((law[0] if low < 0.0 else first) + spent / chance)
    return total if total < 1e300 else math.inf
