"""Many outages of one network: the intact equilibrium is solved once, each case changes only what it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fea_arch.kernels.outages import sweep_outage
from fea_arch.solvers.outage_batches import Case, OutageBatches
from fea_arch.solvers.overload import OverloadModel, OverloadState, overload

__all__ = ["Outcome", "OutageSolver"]  # noqa: RUF022

#: Cases times components from which outages are swept side by side: less is done before those kernels are loaded.
SIDE_BY_SIDE = 2_000_000
#: Cases that are sorted together.
BLOCK = 65_536


@dataclass(frozen=True)
class Outcome:
    """What is left after an outage; ``worst`` is a component number or -1."""

    served_share: float
    worst: int
    utilisation: float
    response_s: float
    status: str
    reason: str


class OutageSolver:
    """Answers outages of one network at one load.

    Parameters
    ----------
    model : OverloadModel
    load_factor : float
        Multiple of the design load [1].
    """

    def __init__(self, model: OverloadModel, load_factor: float = 1.0) -> None:
        self.model, self.load_factor = model, load_factor
        self.intact = overload(model, load_factor, tol=1e-10)
        self._intact_share = float(self.intact.served_share)
        network = model.network
        near = 10.0 * np.maximum(self.intact.arrivals, 1e-300)
        limited = np.isfinite(network.rate_limit) & (network.rate_limit < near)
        self.plain = bool(
            not self.intact.growing
            and not self.intact.fluid.any()
            and np.all(np.diff(network.start) == 1)
            and not (network.source == network.target).any()
            and np.isnan(network.timeout[network.calls > 0]).all()
            and (network.retries[network.calls > 0] == 0).all()
            and (network.stage < 0).all()
            and (network.group < 0).all()
            and (network.places < 0).all()
            and (network.law < 2).all()
            and (network.host < 0).all()
            and (network.spread != 2).all()
            and not limited.any()
            and network.available.all()
        )
        self.method = "influence sweeps" if self.plain else "full equilibrium of each case"
        self.full_solves = 0
        if self.plain:
            self._prepare()

    def _prepare(self) -> None:
        s, network = self.intact, self.model.network
        n, m = network.n, network.target.size
        fixed = (s.outcome[:, 0].copy(), s.arrivals, s.wait, s.response, s.variance, s.utilisation, s.edge_flow)
        work = [a.copy() for a in (fixed[0], s.arrivals, s.response, s.variance, s.utilisation, s.edge_flow)]
        ranked = np.argsort(-s.utilisation, kind="stable").astype(np.int64)
        self._arrays = (
            network.order,
            network.position,
            self.model.call_ptr,
            self.model.call_edge,
            network.in_ptr,
            network.in_edge,
            network.source,
            network.target,
            network.calls,
            network.sync,
            network.latency,
            network.required,
            s.external,
            np.flatnonzero(s.external > 0.0),
            network.service,
            network.scv,
            network.servers,
            network.replicas,
            network.blocking,
            network.law,
            network.arrival_scv,
            self.model.population,
            np.zeros(n, bool),
            np.zeros(m, bool),
            *fixed,
            *work,
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.zeros(m, np.int64),
            ranked,
        )

    def outcomes(self, cases: Iterable[Case], count: int) -> Iterator[tuple[int, Outcome]]:
        """Yield the number and the outcome of each of ``count`` cases ``(components, edges)``, not in their order."""
        if not self.plain or count * self.model.network.n < SIDE_BY_SIDE or not OutageBatches.fits(self.model):
            for k, case in enumerate(cases):
                yield k, self.without(*case)
            return
        batches = OutageBatches(self.model, self.intact)
        rest, first = iter(cases), 0
        while block := list(islice(rest, BLOCK)):
            order = batches.sorted(block)
            for k in range(0, len(order), batches.lanes):
                now = order[k : k + batches.lanes]
                answers = batches.sweep([block[i] for i in now])
                for i, served, mean, worst, highest, full in zip(now, *(a.tolist() for a in answers), strict=True):
                    outcome = self.solved(*block[i]) if full else self._outcome(served, mean, worst, highest, None)
                    yield first + i, outcome
            first += len(block)

    def without(self, dead: tuple[int, ...] = (), cut: tuple[int, ...] = ()) -> Outcome:
        """Return what is left without some components (by number) and edges (sorted edges of the network)."""
        if self.plain:
            served, mean, worst, highest, full = sweep_outage(
                np.array(dead, np.int64), np.array(cut, np.int64), *self._arrays
            )
            if full < 0:
                return self._outcome(served, mean, int(worst), highest, None)
        return self.solved(dead, cut)

    def solved(self, dead: tuple[int, ...] = (), cut: tuple[int, ...] = ()) -> Outcome:
        """Return the same from the full equilibrium."""
        self.full_solves += 1
        network = self.model.network
        blocked, severed = np.zeros(network.n, bool), np.zeros(network.target.size, bool)
        blocked[list(dead)] = True
        severed[list(cut)] = True
        start = None if self.intact.growing else self.intact
        state = overload(self.model, self.load_factor, blocked, cut=severed, start=start, max_sweeps=600)
        index = state.entries
        weight = state.external[index] * state.entry_share
        mean = float(weight @ state.response[index] / weight.sum()) if weight.sum() > 0 else np.nan
        worst = int(np.argmax(state.utilisation))
        return self._outcome(state.served_share, mean, worst, float(state.utilisation[worst]), state)

    def _outcome(self, served: float, mean: float, worst: int, highest: float, state: OverloadState | None) -> Outcome:
        names = self.model.network.names
        status, reason = "ok", ""
        if state is not None and (state.growing or not state.converged):
            status = "unstable"
            reason = f"the queue of {names[state.limiting]} grows" if state.growing else "no steady state was found"
        if served <= 1e-12:
            status, reason = "failed", "every request needs what is gone"
            mean = np.nan
        elif status == "ok" and served < (1.0 - 1e-9) * self._intact_share:
            reason = f"{1.0 - served / self._intact_share:.1%} of the requests need what is gone"
        if highest <= 0.0:
            worst = -1
        return Outcome(float(served), worst, float(highest), float(mean), status, reason)
