"""Integrate a directly given structure in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.errors import ModelError, suggestion
from fea_arch.laws.base import Array
from fea_arch.meshing.mesh import Mesh
from fea_arch.results.structure_dynamics import HistoryResult

__all__ = ["integrate"]

Load = Callable[[float], ArrayLike] | ArrayLike | None


def integrate(
    mesh: Mesh,
    f_of_t: Load = None,
    *,
    dt_s: float,
    duration_s: float,
    method: str = "newmark",
    beta: float | None = None,
    gamma: float | None = None,
    alpha: float | None = None,
    displacement: ArrayLike | None = None,
    velocity: ArrayLike | None = None,
    acceleration: ArrayLike | None = None,
    motion: Mapping[int, Callable[[float], Any]] | None = None,
    mass_matrix: Any = None,
    damping_matrix: Any = None,
    capacity: Any = None,
) -> HistoryResult:
    """Integrate ``M u'' + C u' + A^T g(A u) = f(t)``, or first order ``C u' + A^T g(A u) = f(t)``.

    The equation is of first order if ``capacity`` is given; then ``method`` is ``"crank_nicolson"`` unless named.

    Parameters
    ----------
    mesh : Mesh
        The structure; elements with any law.
    f_of_t : callable or (n_nodes,) or (n_times, n_nodes) float, optional
        Nodal load: a function of time, a constant, or one row per step (between rows it is linear).
    dt_s, duration_s : float
        Step and duration [s]; the duration is rounded to a whole number of steps.
    method : str
        ``"newmark"``, ``"hht"``, ``"bathe"``, ``"central_difference"``; for first order ``"backward_euler"``,
        ``"crank_nicolson"``, ``"sdirk4"``.
    beta, gamma : float, optional
        Newmark's parameters, default 1/4 and 1/2 (average acceleration); 1/6 and 1/2 is linear acceleration.
    alpha : float, optional
        HHT's numerical damping, -1/3 to 0, default -0.05; ``beta = (1 - alpha)^2 / 4``, ``gamma = 1/2 - alpha``.
    displacement, velocity, acceleration : (n_nodes,) float, optional
        State at the start, default zero; the acceleration follows from equilibrium.
    motion : mapping of node to callable, optional
        Driven nodes: ``t -> u`` or ``t -> (u, v, a)``. The derivatives are needed where mass or dashpots couple.
    mass_matrix, damping_matrix : sparse or dense (n_nodes, n_nodes), optional
        In place of the lumped masses and element dashpots of the mesh.
    capacity : (n_nodes,) float or (n_nodes, n_nodes) matrix, optional
        Capacity of a first-order problem, lumped or consistent.

    Returns
    -------
    HistoryResult

    Raises
    ------
    ModelError
        For a step, duration, method, load or initial state that makes no sense, or no mass anywhere.
    ConvergenceError
        If a step finds no equilibrium; names the nodes with the largest residual.

    Examples
    --------
    >>> import numpy as np
    >>> from fea_arch.meshing import Mesh
    >>> mesh = Mesh.from_bars(2, [(1, 0)], [1.0], mass=1.0)
    >>> history = integrate(mesh, [0.0, 1.0], dt_s=0.01, duration_s=np.pi)
    >>> round(float(history.displacement[-1, 1]), 3)  # step load: twice the static displacement after half a period
    2.0
    """
    from fea_arch.solvers import time_integration as steps
    from fea_arch.solvers.structure import Structure

    first = capacity is not None
    known = steps.FIRST_ORDER if first else steps.SECOND_ORDER
    if first and method == "newmark":
        method = "crank_nicolson"
    if method not in known:
        kind = "of first order (capacity given)" if first else "of second order (no capacity given)"
        raise ModelError(f"{method!r} is not a method {kind}.{suggestion(method, known)}", field="method",
                         fix="one of " + ", ".join(known))
    count = _steps(dt_s, duration_s)
    dt = duration_s / count if abs(count * dt_s - duration_s) < 1e-9 * duration_s else dt_s
    n = mesh.n_nodes
    driven = dict(motion or {})
    for node in driven:
        if not 0 <= int(node) < n:
            raise ModelError(f"node {node} is outside 0..{n - 1}", field="motion")
    structure = Structure(mesh, np.array(sorted(int(d) for d in driven), np.int64))
    damping = structure.full_damping() if damping_matrix is None else _matrix(damping_matrix, n, "damping_matrix")
    if first:
        damping = _matrix(capacity, n, "capacity")
        if damping.diagonal()[structure.free].max(initial=0.0) <= 0.0:
            raise ModelError("no free node has a capacity", field="capacity", fix="give a positive capacity")
    mass = _matrix(mesh.mass if mass_matrix is None else mass_matrix, n, "mass_matrix")
    if not first and mass.diagonal()[structure.free].max(initial=0.0) <= 0.0:
        raise ModelError("no free node has a mass", field="mass",
                         fix="give masses, or capacity= for a problem of first order")
    beta, gamma, alpha = _parameters(method, beta, gamma, alpha)
    if method == "central_difference" and np.any(mass.diagonal()[structure.free] <= 0.0):
        light = mesh.node_name(int(structure.free[np.argmin(mass.diagonal()[structure.free])]))
        raise ModelError(f"node {light} has no mass: central differences need one at every free node", field="mass",
                         fix="an implicit method such as 'newmark'")
    coupled = _coupled(mass, damping, structure.free, driven, first)
    move = _motion(driven, n, coupled, mesh)
    problem = steps.Problem(structure, mass, damping, _load(f_of_t, n, dt, count), move, driven=bool(driven))
    u, v = _state(displacement, n, "displacement"), _state(velocity, n, "velocity")
    held = np.setdiff1d(np.arange(n), structure.free)
    start = move(0.0)
    u[held], v[held] = start[0][held], start[1][held]
    before = structure.mesh
    if first:
        U, V, iterations = steps.first_order(problem, method, dt, count, u)
        W = np.zeros_like(U)
        mass = 0.0 * mass
    else:
        given = None if acceleration is None else _state(acceleration, n, "acceleration")
        a = steps.initial_acceleration(problem, u, v) if given is None else given
        U, V, W, iterations = steps.second_order(problem, method, dt, count, (u, v, a), beta, gamma, alpha)
    if not np.all(np.isfinite(U[-1])):
        raise ModelError(f"the history grew without bound: dt_s = {dt:g} s is beyond the stability limit of {method}",
                         field="dt_s", fix="a shorter step or an unconditionally stable method")
    return _balance(problem, before, mass, damping, (U, V, W), dt, held, method, iterations)


def _balance(
    problem: Any, mesh: Mesh, mass: Any, damping: Any, state: tuple[Array, Array, Array], dt: float, held: Any,
    method: str, iterations: int,
) -> HistoryResult:  # fmt: skip
    """Reactions and the energy balance of a finished history, in blocks of times."""
    U, V, W = state
    A, linear = problem.structure.A, problem.structure.linear
    times = dt * np.arange(len(U), dtype=np.float64)
    kinetic, strain, damped, external = (np.zeros(len(U)) for _ in range(4))
    reaction = np.zeros((len(U), held.size))
    law_force: list[Array] = []
    structure = type(problem.structure)(mesh) if not linear else None
    old: tuple[Array, Array, Array] | None = None
    k = mesh.stiffness()[:, None] if linear else None
    mass_held, drag_held, force_held = mass[held], damping[held], problem.structure.At[held]
    weight = mass.diagonal() if mass.nnz == np.count_nonzero(mass.diagonal()) else None
    for begin in range(0, len(U), 32):  # blocks that stay in cache
        part = slice(begin, begin + 32)
        E = A @ U[part].T
        if k is not None:
            Q = k * E
            strain[part] = 0.5 * np.einsum("ij,ij->j", Q, E)
        else:
            Q = np.empty_like(E)
            assert structure is not None
            for j in range(E.shape[1]):
                Q[:, j] = structure.mesh.force(np.ascontiguousarray(E[:, j]))
                strain[begin + j] = float(structure.mesh.energy(np.ascontiguousarray(E[:, j])).sum())
                structure.commit(U[begin + j])
                if structure.has_history:
                    law_force.append(Q[:, j])
        drag = damping @ V[part].T
        kinetic[part] = 0.5 * (V[part] ** 2 @ weight if weight is not None else np.einsum(
            "ij,ji->i", V[part], mass @ V[part].T))
        load = np.column_stack([problem.load(float(t)) for t in times[part]])
        balance = mass_held @ W[part].T + drag_held @ V[part].T + force_held @ Q - load[held]
        reaction[part] = balance.T
        applied = load
        applied[held] += balance
        if old is None:
            old = U[begin], drag[:, 0], applied[:, 0]
        step = np.diff(np.vstack([old[0][None], U[part]]), axis=0).T
        for total, force, last in ((damped, drag, old[1]), (external, applied, old[2])):
            average = 0.5 * (force + np.column_stack([last, force[:, :-1]]))
            total[part] = np.einsum("ij,ij->j", average, step) + 0.0
        old = U[part][-1], drag[:, -1], applied[:, -1]
    damped, external = np.cumsum(damped), np.cumsum(external)
    if law_force:  # memory: the stored energy is not a state function, so the work spent on the elements stands for it
        E_all, Q_all = (A @ U.T), np.column_stack(law_force)
        spent = np.einsum("ij,ij->j", 0.5 * (Q_all[:, 1:] + Q_all[:, :-1]), np.diff(E_all, axis=1))
        strain = np.concatenate([[0.0], np.cumsum(spent)])
    total = kinetic + strain + damped - external
    largest = max(float(np.abs(part_).max()) for part_ in (kinetic, strain, damped, external))
    error = float(np.abs(total - total[0]).max() / largest) if largest > 0.0 else 0.0
    fixed = np.asarray(held, np.int64)
    return HistoryResult(
        times, U, V, W, reaction, fixed, kinetic, strain, damped, external, error, iterations, method
    )


def _steps(dt: float, duration: float) -> int:
    for name, value in (("dt_s", dt), ("duration_s", duration)):
        if not (np.isfinite(value) and value > 0.0):
            raise ModelError(f"is {value}, not a positive number of seconds", field=name)
    count = round(duration / dt)
    if count < 1:
        raise ModelError(f"{dt:g} s is longer than the duration {duration:g} s", field="dt_s", fix="a shorter step")
    if count > 100_000_000:
        raise ModelError(f"{dt:g} s makes {count} steps", field="dt_s", fix="a longer step")
    return int(count)


def _parameters(
    method: str, beta: float | None, gamma: float | None, alpha: float | None
) -> tuple[float, float, float]:
    if method != "hht" and alpha is not None:
        raise ModelError(f"has no meaning for {method}", field="alpha", fix="method='hht'")
    if method not in ("newmark", "hht") and not (beta is None and gamma is None):
        raise ModelError(f"has no meaning for {method}", field="beta", fix="method='newmark'")
    a = 0.0 if method != "hht" else -0.05 if alpha is None else float(alpha)
    if not -1.0 / 3.0 - 1e-12 <= a <= 0.0:
        raise ModelError(f"is {a}", field="alpha", fix="a number from -1/3 to 0")
    b = (1.0 - a) ** 2 / 4.0 if beta is None else float(beta)
    g = 0.5 - a if gamma is None else float(gamma)
    if not (b > 0.0 and np.isfinite(b)):
        raise ModelError(f"is {b}", field="beta", fix="a positive number, or method='central_difference' for beta = 0")
    if not (g >= 0.5 and np.isfinite(g)):
        raise ModelError(f"is {g}: the motion would grow without bound", field="gamma", fix="1/2 or more")
    return b, g, a


def _matrix(values: Any, n: int, name: str) -> Any:
    from scipy.sparse import csr_array, diags_array

    if not hasattr(values, "tocsr"):
        dense = np.asarray(values, float)
        if dense.ndim <= 1:
            try:
                dense = np.broadcast_to(dense, (n,))
            except ValueError as error:
                raise ModelError(f"has {dense.size} entries for {n} nodes", field=name) from error
            if not np.all(np.isfinite(dense)) or np.any(dense < 0.0):
                raise ModelError("holds a negative or non-finite entry", field=name)
            return csr_array(diags_array(dense, format="csr"))
        values = csr_array(dense)
    matrix = csr_array(values, dtype=np.float64)
    if matrix.shape != (n, n):
        raise ModelError(f"has shape {matrix.shape}, not ({n}, {n})", field=name)
    if not np.all(np.isfinite(matrix.data)):
        raise ModelError("holds a value that is not finite", field=name)
    if abs(matrix - matrix.T).max() > 1e-10 * max(abs(matrix).max(), 1e-300):
        raise ModelError("is not symmetric", field=name)
    return matrix


def _state(values: ArrayLike | None, n: int, name: str) -> Array:
    out = np.zeros(n) if values is None else np.array(values, np.float64)
    if out.shape != (n,) or not np.all(np.isfinite(out)):
        raise ModelError(f"is not {n} finite numbers", field=name)
    return out


def _load(given: Load, n: int, dt: float, count: int) -> Callable[[float], Array]:
    if callable(given):
        function = given

        def called(time: float) -> Array:
            value = np.asarray(function(time), np.float64)
            if value.shape != (n,) or not np.all(np.isfinite(value)):
                raise ModelError(f"gives {value.shape} at t = {time:g} s, not {n} finite numbers", field="f_of_t")
            return value

        called(0.0)
        return called
    table = np.zeros(n) if given is None else np.asarray(given, np.float64)
    if table.shape == (n,) and np.all(np.isfinite(table)):
        return lambda time: table
    if table.shape != (count + 1, n) or not np.all(np.isfinite(table)):
        raise ModelError(f"has shape {table.shape}", field="f_of_t",
                         fix=f"a function of time, ({n},) or ({count + 1}, {n}) finite numbers")

    def between(time: float) -> Array:
        place = min(max(time / dt, 0.0), float(count))
        row = min(int(place + 1e-9), count - 1)
        share = place - row
        return np.asarray((1.0 - share) * table[row] + share * table[row + 1])

    return between


def _coupled(mass: Any, damping: Any, free: Any, driven: Mapping[int, Any], first: bool) -> bool:
    nodes = np.array(sorted(int(d) for d in driven), np.int64)
    if first or not nodes.size:
        return False
    return bool(mass[free][:, nodes].nnz and abs(mass[free][:, nodes]).max() > 0.0) or bool(
        damping[free][:, nodes].nnz and abs(damping[free][:, nodes]).max() > 0.0
    )


def _motion(
    driven: Mapping[int, Callable[[float], Any]], n: int, coupled: bool, mesh: Mesh
) -> Callable[[float], tuple[Array, Array, Array]]:
    still = np.zeros(n)
    if not driven:
        return lambda time: (still, still, still)

    def moved(time: float) -> tuple[Array, Array, Array]:
        rows = np.zeros((3, n))
        for node, function in driven.items():
            value = np.atleast_1d(np.asarray(function(time), np.float64))
            if value.shape not in ((1,), (3,)) or not np.all(np.isfinite(value)):
                raise ModelError(f"of node {mesh.node_name(int(node))} is not finite u or (u, v, a)", field="motion")
            if coupled and value.size == 1:
                raise ModelError(
                    f"of node {mesh.node_name(int(node))} gives no velocity and acceleration, which mass or dashpots "
                    "between it and the free nodes need", field="motion", fix="return (u, v, a)",
                )
            rows[: value.size, int(node)] = value
        return rows[0], rows[1], rows[2]

    return moved
