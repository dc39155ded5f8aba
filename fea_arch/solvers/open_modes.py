"""Linearised fluid model of an open system: eigenvalues of the operator on numbers in flight and lagging flows.

At the operating point, with ``G' = dG/dM`` of each station and the time ``O`` that its workers spend at callees,
``dy = (G' dN - y (1 - G') dO) / (S + O - G' O)``, ``dO = E dR`` over the synchronous calls and
``dR = dN / y - N dy / y^2 + dO``. Retries feed back through ``da/dR`` of the tries. Components with a capacity lag keep
their flow as a state, ``tau dy/dt = g - y``; those without are eliminated. ``Re s < 0`` for all ``s`` is stability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fea_arch.errors import ConvergenceError
from fea_arch.solvers.fluid import Fluid
from fea_arch.solvers.fluid_response import late_share
from fea_arch.solvers.statics import NetworkState

__all__ = ["Linearised", "OpenModes", "linearise", "open_modes"]

Array = NDArray[np.float64]

#: States up to which all eigenvalues are computed by LAPACK.
DENSE = 600


@dataclass(frozen=True, eq=False)
class Linearised:
    """``dx/dt = operator x + inlet f`` with ``x = (N, y of lagging components)``; ``flows`` maps x to all flows.

    Attributes
    ----------
    operator : (n + n_lag, n + n_lag) float64 or sparse
    flows : (n, n + n_lag) float64 or sparse
    lagging : (n_lag,) int64
    spread : (n, n) float64 or sparse
        Inflow of each component by flow of each caller.
    tangent : (n,) float64
        ``dq/dN`` of each station at its present holding time [1/s].
    again : (n,) float64
        Inflow that retries add per second of response [1/s^2].
    """

    operator: Any
    flows: Any
    lagging: NDArray[np.int64]
    spread: Any
    tangent: Array
    again: Array


@dataclass(frozen=True, eq=False)
class OpenModes:
    """Eigenvalues s [1/s], right and left vectors (n_states, k), residuals."""

    values: NDArray[np.complex128]
    right: NDArray[np.complex128]
    left: NDArray[np.complex128]
    residuals: Array
    method: str


def linearise(model: Fluid, base: NetworkState, lag_s: Array) -> Linearised:
    """Linearise the fluid model at a static state.

    Parameters
    ----------
    model : Fluid
        Built around ``base`` without refinement.
    base : NetworkState
    lag_s : (n,) float64
        Capacity lag of each component; 0 for none [s].
    """
    from scipy import sparse

    net, n = model.network, model.n0
    flow = base.arrivals * base.admitted
    live = flow > 1e-12 * max(float(flow.max(initial=0.0)), 1e-300)
    y = np.where(live, flow, 1.0)
    service = base.service
    number = flow * (base.wait + service)
    outside = np.where(net.blocking & (net.law != 1), np.maximum(base.hold - service, 0.0), 0.0)
    copies = np.maximum(model.copies[:n], 1e-12)
    total = (number + flow * outside) / copies
    slope = np.ones(n)
    at = np.flatnonzero(net.law != 1)
    slope[at] = model.tables_of(at).look_up(total[at])[1]
    below = service + outside * (1.0 - slope)
    by_number = slope / below
    by_outside = np.where(live, -flow * (1.0 - slope) / below, 0.0) * (net.blocking & (net.law != 1))
    # calls: waiting times and tries as functions of the response of the callee
    call = np.flatnonzero(net.sync)
    time_slope, tries_slope = _call_slopes(net, base, call)
    tries = base.edge_attempts
    weight = net.calls * model.weight[model.inner + np.argsort(model.call)]
    reach = weight[call] * (tries[call] * time_slope + tries_slope * _per_try(net, base, call))
    link = sparse.csr_array((reach, (net.source[call], net.target[call])), (n, n))
    spread = sparse.csr_array(
        (base.calls * tries * base.admitted[net.target], (net.target, net.source)), (n, n)
    )
    again = np.bincount(net.target[call], base.calls[call] * flow[net.source[call]] * tries_slope, n) * base.admitted
    inverse = _geometric(link, n)
    queue = sparse.diags_array(np.where(live, 1.0 / y, 0.0))
    drain = sparse.diags_array(np.where(live, number / (y * y), 0.0))
    lift = sparse.diags_array(by_outside) @ link @ inverse
    g_number = sparse.diags_array(by_number) + lift @ queue
    g_flow = -(lift @ drain)
    r_number, r_flow = inverse @ queue, -(inverse @ drain)
    lagging = np.flatnonzero(lag_s > 0.0)
    direct = np.flatnonzero(lag_s <= 0.0)
    # y = keep y_lag + pick y_direct;  y_direct = (I - GY_dd)^-1 (GN_d N + GY_dl y_lag)
    pick_d = sparse.csr_array((np.ones(direct.size), (direct, np.arange(direct.size))), (n, direct.size))
    pick_l = sparse.csr_array((np.ones(lagging.size), (lagging, np.arange(lagging.size))), (n, lagging.size))
    if direct.size:
        block = sparse.csr_array(g_flow)[direct]
        self_part = block @ pick_d
        rhs = sparse.hstack([sparse.csr_array(g_number)[direct], block @ pick_l])
        solved = rhs if self_part.nnz == 0 else _geometric(self_part, direct.size) @ rhs
        flows = pick_d @ solved
    else:
        flows = sparse.csr_array((n, n + lagging.size))
    flows = sparse.csr_array(flows + sparse.hstack([sparse.csr_array((n, n)), pick_l]))
    eye = sparse.eye_array(n)
    first = sparse.hstack([eye, sparse.csr_array((n, lagging.size))])
    response = r_number @ first + r_flow @ flows
    top = (spread - eye) @ flows + sparse.diags_array(again) @ response
    if lagging.size:
        asked = sparse.csr_array(g_number @ first + g_flow @ flows)[lagging]
        own = sparse.csr_array(sparse.hstack([sparse.csr_array((lagging.size, n)), sparse.eye_array(lagging.size)]))
        lower = sparse.diags_array(1.0 / lag_s[lagging]) @ (asked - own)
        operator = sparse.vstack([top, lower])
    else:
        operator = top
    return Linearised(sparse.csr_array(operator), flows, lagging, spread, by_number, again)


def _per_try(net: Any, base: NetworkState, call: Any) -> Array:
    tries = base.edge_attempts[call]
    return np.asarray((base.edge_time[call] - (tries - 1.0) * net.backoff[call]) / tries + net.backoff[call])


def _call_slopes(net: Any, base: NetworkState, call: Any) -> tuple[Array, Array]:
    """Return d(time per try)/dR and d(tries)/dR of synchronous calls at constant shape of the distribution."""
    time_slope, tries_slope = np.ones(call.size), np.zeros(call.size)
    for k in np.flatnonzero(np.isfinite(net.timeout[call]) | (net.retries[call] > 0)).tolist():
        e = call[k]
        j, limit, top = int(net.target[e]), float(net.timeout[e]), float(net.retries[e])
        mean = net.latency[e] + base.response[j]
        ratio = base.variance[j] / max(mean * mean, 1e-300)

        def found(m: float, e: int = e, j: int = j, limit: float = limit, top: float = top, v: float = ratio) -> Any:
            late, below = 0.0, m
            if np.isfinite(limit):
                a, b = late_share(np.array([m]), np.array([v * m * m]), limit)
                late, below = float(a[0]), float(b[0])
            lost = 1.0 - (1.0 - late) * base.success[j]
            many = top + 1.0 if lost >= 1.0 else (1.0 - lost ** (top + 1.0)) / (1.0 - lost)
            if np.isfinite(net.budget[e]):
                many = min(many, 1.0 + net.budget[e])
            return below, many

        step = 1e-4 * max(mean, 1e-9)
        low, high = found(mean - step), found(mean + step)
        time_slope[k] = (high[0] - low[0]) / (2.0 * step)
        tries_slope[k] = (high[1] - low[1]) / (2.0 * step)
    return time_slope, tries_slope


def _geometric(link: Any, n: int) -> Any:
    """Return ``(I - link)^-1``: a short series where the calls have no cycle, a dense inverse otherwise."""
    from scipy import sparse

    total = sparse.csr_array(sparse.eye_array(n))
    now = total
    for _ in range(60):
        now = now @ link
        now.eliminate_zeros()
        if now.nnz == 0:
            return total
        total = total + now
    return sparse.csr_array(np.linalg.inv(np.eye(n) - link.toarray()))


def open_modes(operator: Any, modes: int) -> OpenModes:
    """Return the eigenvalues closest to instability with left and right vectors.

    All of them are computed for up to :data:`DENSE` states; beyond that those nearest the origin, by Arnoldi iteration
    on the inverse (scipy ``eigs``).

    Raises
    ------
    ConvergenceError
        If the iteration does not settle.
    """
    size = operator.shape[0]
    if size <= DENSE:
        matrix = operator.toarray()
        values, right = np.linalg.eig(matrix)
        values, right = values.astype(complex), right.astype(complex)
        order = _slowest(values, modes)
        values, right = values[order], right[:, order]
        left = np.empty_like(right)
        scale = max(float(np.abs(matrix).max()), 1e-300)
        for k, s in enumerate(values):  # inverse iteration: exact to rounding for a simple eigenvalue
            shifted = matrix.T - (s + 1e-12 * scale * (1.0 + 1.0j)) * np.eye(size)
            w = np.conj(right[:, k]) + 1e-3 / np.sqrt(size)
            for _ in range(2):
                w = np.linalg.solve(shifted, w)
                w /= np.linalg.norm(w)
            left[:, k] = w
        product, method = matrix @ right, "dense"
    else:
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs, splu

        k = min(max(modes, 1) + 4, size - 2)
        scale = float(abs(operator).max())
        lu: Any = splu(csc_array(operator - 1e-12 * scale * eye_array(size)))
        inverse: Any = LinearOperator(operator.shape, matvec=lu.solve, dtype=np.float64)
        turned: Any = LinearOperator(operator.shape, matvec=lambda v: lu.solve(v, trans="T"), dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(size)
        try:
            inv, right = eigs(inverse, k=k, which="LM", v0=start)
            inv_left, left = eigs(turned, k=k, which="LM", v0=start)
        except (ArpackNoConvergence, ArpackError) as error:
            raise ConvergenceError(f"the eigenvalue iteration did not settle: {error}") from error
        values = 1.0 / inv
        order = _slowest(values, modes)
        values, right = values[order], right[:, order]
        match = [int(np.argmin(np.abs(1.0 / inv_left - s))) for s in values]
        left = left[:, match]
        product, method = operator @ right, "Arnoldi on the inverse"
    norm = np.linalg.norm(product, axis=0) + np.abs(values) * np.linalg.norm(right, axis=0)
    residuals = np.linalg.norm(product - right * values, axis=0) / np.maximum(norm, 1e-300)
    return OpenModes(values.astype(complex), right.astype(complex), left.astype(complex), residuals, method)


def _slowest(values: NDArray[np.complex128], modes: int) -> NDArray[np.int64]:
    """Return the slowest modes, one of each conjugate pair."""
    order = np.argsort(-values.real, kind="stable")
    order = order[values[order].imag >= -1e-12 * np.abs(values[order])]
    return np.asarray(order[: max(modes, 1)])
