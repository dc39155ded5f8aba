"""Adjoint of the static equilibrium: derivatives of one answer by every parameter from one transposed sweep.

The equilibrium is a fixed point ``x = F(x, p)``. For an answer ``g(x)`` the adjoint ``psi = dg/dx + J^T psi`` with
``J = dF/dx`` gives ``dg/dp = psi . dF/dp`` for every parameter at once. Unknowns are numbered in the order of the
forward sweeps, so that ``J`` is triangular where the architecture has neither feedback nor cycles.

Per component the unknowns are arrivals ``lambda``, the mean ``O`` and variance ``Q`` of the time at callees, the
admitted share ``A``, the response ``R``, its variance ``V`` and the success ``s``. Hosts add their stretch, balancers
that follow the queue the calls of each target, bounded pools the waits that they prescribe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.errors import ConvergenceError
from fea_arch.kernels.call_derivatives import differentiate_calls
from fea_arch.kernels.station_derivatives import differentiate_stations
from fea_arch.kernels.transposed import solve_transposed
from fea_arch.solvers.network import Array, Index
from fea_arch.solvers.network_state import NetworkState
from fea_arch.solvers.nonlocal_derivatives import balancer_derivatives, host_derivatives
from fea_arch.solvers.pool_coupling import pull_pools
from fea_arch.solvers.pool_linearisation import PoolLinearisation, PoolPull
from fea_arch.solvers.pool_servers import add_servers

__all__ = ["BACKOFF", "CALLS", "MEAN", "RETRY", "TIMEOUT", "Adjoint", "build_adjoint"]

#: Columns of the call derivatives.
MEAN, VARIANCE, SUCCESS, CALLS, TIMEOUT, BACKOFF, RETRY = range(7)
#: Rounds between the pools and everything else before their waits are solved for together.
MOST_ROUNDS = 40


@dataclass(eq=False)
class _Sweep:
    """One sweep of the responses: its state, its derivatives and where its unknowns are."""

    state: NetworkState
    mean_by: Array
    variance_by: Array
    good_by: Array
    attempts_by: Array
    station: Array
    step: Array
    at: dict[str, Index]
    h: Array
    h_var: Array


class Adjoint:
    """Jacobian of the fixed point at an equilibrium, ready for any number of answers."""

    def __init__(self, state: NetworkState) -> None:
        self.state, self.network = state, state.network
        self._rows: list[Index] = []
        self._columns: list[Index] = []
        self._values: list[Array] = []
        self.size = 0
        self.explicit_service: dict[int, list[tuple[Index, Array]]] = {}
        self.explicit_scv: dict[int, list[tuple[Index, Array]]] = {}
        network = self.network
        n = network.n
        reverse = np.empty(n, np.int64)
        reverse[network.order[::-1]] = np.arange(n)
        self.arrivals = self._block(reverse)
        hosts = len(network.arch.hosts) if (network.host >= 0).any() else 0
        self.host = self._block(np.arange(hosts))
        self.service = self._block(np.arange(n)) if hosts else np.zeros(0, np.int64)
        self.balanced = np.flatnonzero(network.policy == 3)
        self.split = self._block(np.arange(self.balanced.size))
        shared = np.flatnonzero(~np.isnan(state.wait_shared))
        self.shared = dict(zip(shared.tolist(), self._block(np.arange(shared.size)).tolist()))
        self.pool_wait: dict[int, int] = {}
        self.limit = _admit_limit(state)
        if state.tight:
            touched = np.flatnonzero(~np.isnan(state.wait_fixed) & np.isnan(state.wait_shared))
            self.pool_wait = dict(zip(touched.tolist(), self._block(np.arange(touched.size)).tolist()))
        self.final = self._sweep(state, {**self.shared, **self.pool_wait})
        self.pools: PoolLinearisation | None = None
        self.pool_components = np.array(list(self.pool_wait), np.int64)
        self.pool_rows = np.array(list(self.pool_wait.values()), np.int64)
        self._factors: Any = None
        self.exact = True
        self._traffic()
        if hosts:
            self._hosts()
        if self.balanced.size:
            self._balancers()
        if self.pool_wait:
            self.pools = PoolLinearisation(state)
            self.exact = self.pools.agrees
        self._finish()

    # -- numbering -----------------------------------------------------------
    def _block(self, rank: Index) -> Index:
        place = self.size + rank
        self.size += rank.size
        return np.asarray(place, np.int64)

    def _add(self, row: Index, column: Index, value: Array) -> None:
        keep = value != 0.0
        if keep.all():
            self._rows.append(row)
            self._columns.append(column)
            self._values.append(value)
        elif keep.any():
            self._rows.append(row[keep])
            self._columns.append(column[keep])
            self._values.append(value[keep])

    # -- one sweep of the responses ------------------------------------------
    def _sweep(self, state: NetworkState, prescribed: dict[int, int]) -> _Sweep:
        network, n, m = self.network, self.network.n, self.network.target.size
        by = [np.empty((m, 7)) for _ in range(4)]
        differentiate_calls(
            network.ptr, network.target, state.calls, network.sync, network.latency, network.timeout, network.retries,
            network.backoff, network.budget, network.stage, network.required, state.response, state.variance,
            state.success, *by,
        )  # fmt: skip
        own = network.scv * state.service**2
        h, h_var = state.hold, state.hold_scv * state.hold**2
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(h > 0, state.service / h, 1.0)
        station, step = np.empty((n, 5, 4)), np.empty((n, 3))
        lam = state.arrivals * self.limit
        differentiate_stations(
            lam, h, h_var, scale, state.wait_fixed, network.servers, network.replicas, network.spread, network.places,
            network.law, network.rates, network.rate_first, network.arrival_scv, station, step,
        )  # fmt: skip
        base = self._block(network.position * 6)
        self.size += 5 * n  # six unknowns a component
        at = {name: base + k for k, name in enumerate("OQARVs")}
        dead = self.limit <= 0.0
        station[dead] = 0.0
        step[dead] = 0.0
        alive = np.where(dead, 0.0, 1.0)
        block = network.blocking.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            d_scale_h = np.where(h > 0, -scale / h, 0.0)
            d_scale_s = np.where(h > 0, 1.0 / h, 0.0)
        by_lam, by_h, by_var, by_scale = (station[:, k, :] for k in range(4))
        by_hold = by_h + by_scale * d_scale_h[:, None]  # the held time also slows the chain
        # a limited component lets in a constant rate, whatever arrives
        flow = np.where(np.isfinite(network.rate_limit) & (self.limit < 1.0), 0.0, self.limit)
        source, target = network.source, network.target
        for name, table in (("O", by[0]), ("Q", by[1])):
            for column, unknown in ((MEAN, "R"), (VARIANCE, "V"), (SUCCESS, "s")):
                self._add(at[name][source], at[unknown][target], table[:, column])
        self._add(at["R"], at["O"], alive * (1.0 + block * by_hold[:, 0]))
        self._add(at["R"], at["Q"], block * by_var[:, 0])
        self._add(at["R"], self.arrivals, by_lam[:, 0] * flow)
        self._add(at["V"], at["O"], block * by_hold[:, 1])
        self._add(at["V"], at["Q"], alive * (1.0 + block * by_var[:, 1]))
        self._add(at["V"], self.arrivals, by_lam[:, 1] * flow)
        self._add(at["A"], at["O"], -self.limit * block * by_hold[:, 2])
        self._add(at["A"], at["Q"], -self.limit * block * by_var[:, 2])
        admit = -self.limit * by_lam[:, 2] * flow
        with np.errstate(divide="ignore", invalid="ignore"):
            limited = np.where(self.limit < 1.0, -state.admitted / state.arrivals, 0.0)
        admit += np.where(dead, 0.0, np.where(np.isfinite(network.rate_limit), limited, 0.0))
        self._add(at["A"], self.arrivals, admit)
        with np.errstate(divide="ignore", invalid="ignore"):
            good = np.where(state.admitted > 0, state.success / state.admitted, 0.0)
        self._add(at["s"], at["A"], good)
        for column, unknown in ((MEAN, "R"), (VARIANCE, "V"), (SUCCESS, "s")):
            self._add(at["s"][source], at[unknown][target], state.success[source] * by[2][:, column])
        waits = np.array(sorted(prescribed), np.int64)
        if waits.size:
            from_unknown = np.array([prescribed[i] for i in waits.tolist()], np.int64)
            self._add(at["R"][waits], from_unknown, station[waits, 4, 0])
            self._add(at["V"][waits], from_unknown, station[waits, 4, 1])
        found = _Sweep(state, by[0], by[1], by[2], by[3], station, step, at, h, h_var)
        if self.service.size:
            for name, value in zip("RVA", self.by_service(found, own, d_scale_s)):
                self._add(at[name], self.service, value)
        if self.balanced.size:
            e = self.balanced
            for name, table in (("O", by[0]), ("Q", by[1])):
                self._add(at[name][source[e]], self.split, table[e, CALLS])
            self._add(at["s"][source[e]], self.split, state.success[source[e]] * by[2][e, CALLS])
        return found

    def by_service(self, sweep: _Sweep, own: Array, d_scale_s: Array) -> tuple[Array, Array, Array]:
        """Return the explicit derivatives of R, V and A by the (stretched) service time."""
        network, state = self.network, sweep.state
        alive = np.where(self.limit <= 0.0, 0.0, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale_h = np.where(sweep.h > 0, -state.service / sweep.h**2, 0.0)
        d_own = 2.0 * network.scv * state.service
        _, by_h, by_var, by_scale = (sweep.station[:, k, :] for k in range(4))
        whole = by_h + by_scale * (scale_h + d_scale_s)[:, None] + by_var * d_own[:, None]
        return alive * (1.0 + whole[:, 0]), alive * (whole[:, 1] + d_own), -self.limit * whole[:, 2]

    # -- flows ------------------------------------------------------------------
    def _traffic(self) -> None:
        network, state, final = self.network, self.state, self.final
        source, target = network.source, network.target
        ratio = state.calls * state.edge_attempts
        self._add(self.arrivals[target], self.arrivals[source], state.admitted[source] * ratio)
        through = state.arrivals[source] * ratio
        varies = (network.places >= 0) | np.isfinite(network.rate_limit)  # everybody else lets everything in
        self._add(self.arrivals[target], final.at["A"][source], np.where(varies[source], through, 0.0))
        flow = (state.arrivals * state.admitted)[source] * state.calls
        for column, unknown in ((MEAN, "R"), (VARIANCE, "V"), (SUCCESS, "s")):
            self._add(self.arrivals[target], final.at[unknown][target], flow * final.attempts_by[:, column])
        if self.balanced.size:
            e = self.balanced
            per_call = (state.arrivals * state.admitted)[source[e]] * state.edge_attempts[e]
            self._add(self.arrivals[target[e]], self.split, per_call)

    def _hosts(self) -> None:
        network, state = self.network, self.state
        slope = host_derivatives(state)
        on = np.flatnonzero(network.host >= 0)
        machine = network.host[on]
        self._add(self.service[on], self.host[machine], network.cpu[on])
        by = slope[machine] * network.cpu[on]
        self._add(self.host[machine], self.arrivals[on], by * state.admitted[on])
        self._add(self.host[machine], self.final.at["A"][on], by * state.arrivals[on])

    def _from_hold(self, row: Index, sweep: _Sweep, i: int, by_hold: Array, by_scv: Array) -> None:
        """Chain derivatives by holding time and its variability to O, Q and the service time of component ``i``."""
        network, h = self.network, float(sweep.h[i])
        if h <= 0.0:
            return
        h_var = float(sweep.h_var[i])
        d_mean = by_hold - by_scv * 2.0 * h_var / h**3
        d_var = by_scv / h**2
        ones = np.ones(row.size, np.int64)
        if network.blocking[i]:
            self._add(row, sweep.at["O"][i] * ones, d_mean)
            self._add(row, sweep.at["Q"][i] * ones, d_var)
        by_service = d_mean + d_var * 2.0 * network.scv[i] * sweep.state.service[i]
        if self.service.size:
            self._add(row, self.service[i] * ones, by_service)
        self.explicit_service.setdefault(int(i), []).append((row, by_service))
        self.explicit_scv.setdefault(int(i), []).append((row, d_var * sweep.state.service[i] ** 2))

    def _from_flow(self, row: Index, i: int, by_flow: Array) -> None:
        ones = np.ones(row.size, np.int64)
        self._add(row, self.arrivals[i] * ones, by_flow * self.state.admitted[i])
        if self.network.places[i] >= 0 or np.isfinite(self.network.rate_limit[i]):
            self._add(row, self.final.at["A"][i] * ones, by_flow * self.state.arrivals[i])

    def _balancers(self) -> None:
        derivative = balancer_derivatives(self.state)
        rows = np.concatenate([self.split, np.array(list(self.shared.values()), np.int64)])
        for k, i in enumerate(derivative.components):
            value = np.concatenate([derivative.split[k], derivative.wait[k]], axis=1)
            self._from_flow(rows, i, value[0])
            self._from_hold(rows, self.final, i, value[1], value[2])

    def explicit(self, psi: Array) -> tuple[PoolPull, Array] | None:
        """Return what the waits of the pools owe to parameters and to one more server, at given adjoint values."""
        if self.pools is None:
            return None
        weight = np.zeros(self.network.n)
        weight[self.pool_components] = psi[self.pool_rows]
        return pull_pools(self, psi[self.pool_rows])[1], add_servers(self.pools, weight)

    # -- solution ---------------------------------------------------------------
    def _finish(self) -> None:
        from scipy.sparse import coo_array

        row, column = np.concatenate(self._rows), np.concatenate(self._columns)
        value = np.concatenate(self._values)
        jacobian = coo_array((value, (row, column)), shape=(self.size, self.size)).tocsc()
        self.ptr = jacobian.indptr.astype(np.int64)
        self.row = jacobian.indices.astype(np.int64)
        self.value = jacobian.data
        self.triangular = bool((row >= column).all())
        self._rows, self._columns, self._values = [], [], []

    def solve(self, seed: Array, *, tol: float = 1e-13, max_sweeps: int = 300) -> tuple[Array, int]:
        """Return the adjoint values of one answer and the number of transposed sweeps.

        Raises
        ------
        ConvergenceError
            At a limit point, where the adjoint does not exist.
        """
        x, sweeps = self._solve_local(seed, tol, max_sweeps)
        if self.pools is None:
            return x, sweeps
        rows, last = self.pool_rows, np.inf
        for _ in range(MOST_ROUNDS):
            before = x[rows]
            x, again = self._solve_local(seed + pull_pools(self, before)[0], tol, max_sweeps)
            sweeps += again
            change = float(np.abs(x[rows] - before).max())
            scale = float(np.abs(x[rows]).max())
            if change <= tol * scale:
                x[rows] = before  # what the last sweep of the pools belongs to
                return x, sweeps
            if not change < 0.5 * last:
                break
            last = change
        return self._solve_coupled(seed, tol, max_sweeps)

    def _solve_coupled(self, seed: Array, tol: float, max_sweeps: int) -> tuple[Array, int]:
        """Solve for the adjoint values of the waits by GMRES where the rounds do not settle (Saad and Schultz 1986)."""
        from scipy.sparse.linalg import LinearOperator, gmres

        rows, count = self.pool_rows, 0

        def apply(y: Array) -> Array:
            nonlocal count
            count += 1
            pulled = pull_pools(self, np.asarray(y, float).ravel())[0]
            return np.asarray(y - self._solve_local(pulled, tol, max_sweeps)[0][rows])

        start = self._solve_local(seed, tol, max_sweeps)[0][rows]
        operator = LinearOperator((rows.size, rows.size), matvec=apply, dtype=float)
        y, failed = gmres(operator, start, rtol=1e-12, atol=0.0, restart=min(rows.size, 200), maxiter=3)
        if failed or not np.isfinite(y).all():
            raise ConvergenceError("the equilibrium is at a limit point: it has no derivative there")
        return self._solve_local(seed + pull_pools(self, y)[0], tol, max_sweeps)[0], count

    def _solve_local(self, seed: Array, tol: float, max_sweeps: int) -> tuple[Array, int]:
        """Solve with the waits of the pools held fixed."""
        x = np.zeros(self.size)
        if self._factors is None:
            for sweep in range(1, max_sweeps + 1):
                change = solve_transposed(self.ptr, self.row, self.value, seed, x)
                if self.triangular or change <= tol:
                    return x, sweep
                if not change < 1e6:
                    break
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        try:
            if self._factors is None:
                jacobian = csc_array((self.value, self.row, self.ptr), shape=(self.size, self.size))
                self._factors = splu((eye_array(self.size, format="csc") - jacobian.T).tocsc())
            x = self._factors.solve(seed)
        except RuntimeError:
            x[:] = np.nan
        if not np.isfinite(x).all():
            raise ConvergenceError("the equilibrium is at a limit point: it has no derivative there")
        return x, max_sweeps

    def seed(self, mean: Array, variance: Array | None = None) -> Array:
        """Return the seed of an answer from its derivatives by every response and variance, (n,) each."""
        out = np.zeros(self.size)
        out[self.final.at["R"]] = mean
        if variance is not None:
            out[self.final.at["V"]] = variance
        return out

    def utilisation_seed(self, i: int) -> Array:
        """Return the seed of the utilisation of a component with the M/M/c law."""
        network, state = self.network, self.state
        slots = float(network.servers[i] * network.replicas[i])
        out = np.zeros(self.size)
        out[self.arrivals[i]] = state.hold[i] * self.limit[i] / slots
        if network.blocking[i]:
            out[self.final.at["O"][i]] = state.arrivals[i] * self.limit[i] / slots
        if self.service.size:
            out[self.service[i]] = state.arrivals[i] * self.limit[i] / slots
        return out


def build_adjoint(state: NetworkState) -> Adjoint:
    """Linearise the equilibrium of a converged state."""
    return Adjoint(state)


def _admit_limit(state: NetworkState) -> Array:
    network = state.network
    with np.errstate(divide="ignore", invalid="ignore"):
        limited = np.where(state.arrivals > network.rate_limit, network.rate_limit / state.arrivals, 1.0)
    return np.where(network.available, limited, 0.0)
