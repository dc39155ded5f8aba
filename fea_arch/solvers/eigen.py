r"""Lowest modes of ``K phi = lambda M phi``: dense LAPACK, or Lanczos on ``M^{1/2} (K - sigma M)^{-1} M^{1/2}``.

The inverse is applied by a sparse ``L D L^T``; where that would fill in, a preconditioned block method takes its place
(conjugate gradients inside Lanczos remain for a shift inside the spectrum and for masses that vanish or couple).
Full reorthogonalisation (Parlett, The Symmetric Eigenvalue Problem, section 13) and locking keep the basis clean; a
Sturm count (Sylvester's law of inertia) finds modes that a single start vector misses, such as repeated ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fea_arch.errors import ConvergenceError, ModelError
from fea_arch.kernels.lanczos import orthogonalise
from fea_arch.laws.base import Array

__all__ = ["Modes", "lowest_modes", "residual_norms", "rigid_shapes", "sturm_count"]

DENSE = 300
#: Multiplications up to which the own factor makes the count; SuperLU's dense blocks win beyond.
CHEAP = 4e8
#: Multiplications of a factor that is worth its while to count modes unasked after the block iteration.
QUICK = 6e7
#: Solves by conjugate gradients that a factor must beat to be preferred, and the widest block of the iteration.
BLOCK_SOLVES, WIDEST = 8.0, 40
#: Residual to which the block iteration goes where nothing can be factored.
BLOCK_TOLERANCE = 5e-9
#: Largest order at which a mesh whose fill is too large for the linear solver still gets a Sturm count.
COUNTED = 20_000


@dataclass(frozen=True, eq=False)
class Modes:
    """Eigenpairs: values (k,) ascending, M-normalised vectors (n, k), Sturm count and expectation, method."""

    values: Array
    vectors: Array
    residuals: Array
    sturm_count: int
    expected_count: int
    method: str


def sturm_count(K: Any, M: Any, sigma: float) -> int:
    """Return how many eigenvalues of ``K phi = lambda M phi`` lie below ``sigma``: negative pivots of ``K - sigma M``.

    Parameters
    ----------
    K, M : sparse (n, n)
        Stiffness and mass.
    sigma : float
        Square of an angular frequency [rad^2/s^2].

    Examples
    --------
    >>> from scipy.sparse import diags_array
    >>> sturm_count(diags_array([1.0, 4.0, 9.0]), diags_array([1.0, 1.0, 1.0]), 5.0)
    2
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    shifted = csc_array(K - sigma * M)
    if shifted.shape[0] <= DENSE:
        return int(np.sum(np.linalg.eigvalsh(shifted.toarray()) < 0.0))
    count = _pivot_count(shifted, CHEAP)
    if count is not None:
        return count
    lu = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    if not np.array_equal(lu.perm_r, lu.perm_c):
        return -1  # pivoting has broken the symmetry: the signs say nothing
    return int(np.sum(lu.U.diagonal() < 0.0))


def _pivot_count(shifted: Any, budget: float) -> int | None:
    """Return the negative pivots of the own factor, -1 if one vanishes, None if it costs more than the budget."""
    from fea_arch.solvers.linear_base import Symmetric
    from fea_arch.solvers.linear_direct import SparseLDL

    try:
        ready = SparseLDL(Symmetric(shifted), "Sturm count", budget)
    except ConvergenceError:
        return -1  # the shift is an eigenvalue
    return ready.inertia[0] if ready.possible else None


def residual_norms(K: Any, M: Any, values: Array, vectors: Array) -> Array:
    """Return ``|K phi - lambda M phi| / (|K phi| + |lambda M phi|)``; rigid modes: relative to ``max K_ii |phi|``."""
    KX, MX = K @ vectors, M @ vectors
    size = np.linalg.norm(KX, axis=0) + np.abs(values) * np.linalg.norm(MX, axis=0)
    floor = 1e-9 * np.abs(K.diagonal()).max(initial=0.0) * np.linalg.norm(vectors, axis=0)
    rigid = size <= floor
    size = np.where(rigid, 1e9 * floor, size)
    return np.asarray(np.linalg.norm(KX - MX * values, axis=0) / np.maximum(size, 1e-300))


def rigid_shapes(K: Any, M: Any) -> Array:
    """Return the M-normalised motion of each unsupported part of a bar mesh as one body, (n, parts) float64."""
    from scipy.sparse.csgraph import connected_components

    parts, label = connected_components(K, directed=False)
    total, size = np.asarray(K.sum(axis=1)).ravel(), np.asarray(abs(K).sum(axis=1)).ravel()
    held = np.zeros(parts, bool)
    held[label[total > 1e-11 * size]] = True
    columns = []
    for part in np.flatnonzero(~held):
        shape = (label == part).astype(float)
        weight = float(shape @ (M @ shape))
        if weight > 0.0:
            columns.append(shape / np.sqrt(weight))
    return np.array(columns).T if columns else np.empty((K.shape[0], 0))


def lowest_modes(
    K: Any, M: Any, modes: int, *, rigid: Array, sigma: float | None = None, check: bool | None = None
) -> Modes:
    """Return the lowest modes, or those nearest above ``sigma``.

    Parameters
    ----------
    K, M : csr_array (n, n)
        Stiffness and mass; the mass may be singular (nodes without mass) but not zero.
    modes : int
        How many.
    rigid : (n, r) float64
        Known M-normalised rigid motions; they are taken out first.
    sigma : float, optional
        Shift: modes with the smallest ``|lambda - sigma|``.
    check : bool, optional
        Make the Sturm count; by default unless the graph is left to conjugate gradients.

    Raises
    ------
    ConvergenceError
        If the residuals do not reach 1e-8.
    """
    n = K.shape[0]
    massive = int(np.sum(M.diagonal() > 0.0))
    count, above = -1, np.inf
    if n <= DENSE or modes + rigid.shape[1] > max(massive // 4, 1):
        values, vectors, method = (*_dense(K, M), "dense")
        if sigma is not None:
            keep = np.sort(np.argsort(np.abs(values - sigma))[:modes])
        else:
            keep = np.arange(min(modes, values.size))
        above = values[keep[-1] + 1] if keep[-1] + 1 < values.size else np.inf
        everything = keep[-1] + 1
    else:
        values, vectors, method, count = _iterative(K, M, modes, rigid, sigma, check)
        keep, everything = np.arange(min(modes, values.size)), -1
    chosen, shapes = values[keep], vectors[:, keep]
    residuals = residual_norms(K, M, chosen, shapes)
    if residuals.max(initial=0.0) > 1e-8:
        raise ConvergenceError("the modes did not converge", partial=(chosen, shapes), residual=residuals.max())
    if count >= 0:
        return Modes(chosen, shapes, residuals, count, modes, method)
    if check is not False and everything > 0 and method == "dense":
        top = float(chosen[-1])
        edge = 0.5 * (top + above) if np.isfinite(above) else top + 1e-3 * max(abs(top), 1e-30)
        if edge > top * (1.0 + 1e-7):
            count = sturm_count(K, M, edge)
    return Modes(chosen, shapes, residuals, count, int(everything) if count >= 0 else -1, method)


def _dense(K: Any, M: Any) -> tuple[Array, Array]:
    from scipy.linalg import cho_factor, cho_solve, eigh

    stiff, mass = K.toarray(), M.toarray()
    heavy = np.flatnonzero(np.diag(mass) > 0.0)
    light = np.flatnonzero(np.diag(mass) <= 0.0)
    if light.size:  # static condensation of the nodes without mass (Guyan: exact, as they have no inertia)
        try:
            follow = -cho_solve(cho_factor(stiff[np.ix_(light, light)]), stiff[np.ix_(light, heavy)])
        except np.linalg.LinAlgError as error:
            raise ModelError("a part without mass is not held by any element", field="mass",
                             fix="give it a mass or a support") from error
        values, part = eigh(stiff[np.ix_(heavy, heavy)] + stiff[np.ix_(heavy, light)] @ follow,
                            mass[np.ix_(heavy, heavy)])
        vectors = np.zeros((K.shape[0], heavy.size))
        vectors[heavy], vectors[light] = part, follow @ part
        return values, vectors
    values, vectors = eigh(stiff, mass)
    return values, vectors


def _iterative(
    K: Any, M: Any, modes: int, rigid: Array, sigma: float | None, check: bool | None
) -> tuple[Array, Array, str, int]:
    from fea_arch.solvers.linear import factor

    if sigma is None and rigid.shape[1] >= modes:
        return np.zeros(modes), rigid[:, :modes], "rigid", -1

    lumped = bool(M.nnz == np.count_nonzero(M.diagonal()))
    diagonal, mass = K.diagonal(), M.diagonal()
    typical = float(np.median(diagonal[mass > 0.0] / mass[mass > 0.0]))
    shift = (-1e-6 * typical if rigid.shape[1] else 0.0) if sigma is None else float(sigma)
    shifted = K if shift == 0.0 else (K - shift * M).tocsr()
    wanted = modes + 2
    blocks = sigma is None and lumped and bool(mass.min() > 0.0) and modes <= WIDEST
    solves = BLOCK_SOLVES if blocks else 4.0 * wanted + 20.0
    ready = factor(shifted, solves=solves, definite=sigma is None)
    apply = getattr(ready, "_apply", ready.solve)
    if lumped:
        root = np.sqrt(mass)
        inverse: Callable[[Array], Array] = lambda x: root * apply(root * x)  # noqa: E731
        back: Callable[[Array], Array] = lambda x: apply(root * x)  # noqa: E731
        locked = root[:, None] * rigid
    else:
        from fea_arch.solvers.structure import factor as cholesky_free  # a mass matrix is well conditioned

        lower = _mass_root(M, cholesky_free)
        inverse = lambda x: lower[1](apply(lower[0](x)))  # noqa: E731
        back = lambda x: apply(lower[0](x))  # noqa: E731
        locked = np.column_stack([lower[1](r) for r in rigid.T]) if rigid.size else np.empty((K.shape[0], 0))
    found_x: list[Array] = [locked[:, i] for i in range(locked.shape[1])]
    need = max(wanted - locked.shape[1], 1) if sigma is None else wanted
    tolerance = 3e-9 if ready.method == "pcg" else 1e-10
    block = None
    if blocks and ready.method == "pcg":
        from fea_arch.solvers.block_modes import block_modes

        load = mass.copy()
        if rigid.shape[1]:  # in balance, so that the answer is no rigid motion
            load *= 1.0 / np.maximum(K.diagonal(), 1e-300)
            load -= mass * (rigid @ (rigid.T @ load))
        smooth = apply(load)[:, None]
        block = block_modes(shifted, mass, modes - rigid.shape[1], rigid=rigid, tolerance=BLOCK_TOLERANCE, first=smooth)
    if block is not None:
        method = "block iteration"
        values, shapes = _ritz(K, M, np.column_stack([rigid, block[1]]))
    else:
        vectors = _lanczos(inverse, K.shape[0], need, found_x, 0, max(need - 2, 1), tolerance)
        values, shapes = _ritz(K, M, np.column_stack([rigid, _back(back, vectors)]))
        method = "shift-invert" if ready.method != "pcg" else "shift-invert by conjugate gradients"
    goal = 2e-9 if block is None else 9e-9
    for _ in range(3):  # inverse iteration polishes; the count finds what the start vector missed
        top = min(modes, values.size)
        if residual_norms(K, M, values[:top], shapes[:, :top]).max(initial=0.0) <= goal:
            break
        values, shapes = _ritz(K, M, np.column_stack([apply(np.ascontiguousarray(M @ s)) for s in shapes.T]))
    count = -1
    small = ready.method != "pcg" or K.shape[0] <= COUNTED
    counted = small if check is None else check and small
    budget = QUICK if check is None and ready.method == "pcg" else np.inf
    if counted and sigma is None:
        for attempt in range(4):
            inside = np.flatnonzero(np.diff(values[modes - 1 :]) > 1e-6 * np.abs(values[modes:]))
            if not inside.size:
                break  # no gap to count in
            below = modes + int(inside[0])
            edge = float(0.5 * (values[below - 1] + values[below]))
            quick = _pivot_count(K - edge * M, budget) if np.isfinite(budget) else sturm_count(K, M, edge)
            if quick is None:
                break  # the count would cost more than the modes
            total = quick
            missing = total - below
            count = modes + missing if total >= 0 else -1
            if missing <= 0:
                break
            basis = [root * s for s in shapes.T] if lumped else [lower[1](s) for s in shapes.T]
            more = _lanczos(inverse, K.shape[0], missing + 1, basis, attempt + 1, missing, tolerance)
            values, shapes = _ritz(K, M, np.column_stack([shapes, _back(back, more)]))
    if sigma is not None:
        order = np.argsort(np.abs(values - sigma))[:modes]
        order = order[np.argsort(values[order])]
        values, shapes = values[order], shapes[:, order]
    return values, shapes, method, count


def _mass_root(M: Any, factory: Any) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return ``x -> L x`` and ``x -> L^T x`` of ``M = L L^T`` for a consistent mass matrix."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import splu

    lu = splu(M.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    pivots = lu.U.diagonal()
    if np.any(pivots <= 0.0):
        raise ModelError("is not positive definite", field="mass_matrix", fix="lump it, or give every node a mass")
    lower = csr_array(lu.L @ diags_array(np.sqrt(pivots)))
    inverse = np.empty_like(lu.perm_r)
    inverse[lu.perm_r] = np.arange(inverse.size)
    upper = lower.T.tocsr()
    return lambda x: np.asarray((lower @ x)[lu.perm_r]), lambda x: np.asarray(upper @ x[inverse])


def _back(back: Callable[[Array], Array], vectors: Array) -> Array:
    return np.column_stack([back(np.ascontiguousarray(v)) for v in vectors.T])


def _ritz(K: Any, M: Any, basis: Array) -> tuple[Array, Array]:
    """Rayleigh-Ritz in a small basis: M-normalised vectors and ascending values."""
    from scipy.linalg import eigh

    basis = basis / np.sqrt(np.einsum("ij,ij->j", basis, M @ basis))
    gram = basis.T @ (M @ basis)
    weights, turn = np.linalg.eigh(0.5 * (gram + gram.T))
    keep = weights > 1e-12 * weights[-1]
    basis = basis @ (turn[:, keep] / np.sqrt(weights[keep]))
    small = basis.T @ (K @ basis)
    values, rotation = eigh(0.5 * (small + small.T))
    return np.asarray(values), np.asarray(basis @ rotation)


def _lanczos(
    inverse: Callable[[Array], Array], n: int, wanted: int, locked: list[Array], seed: int, sharp: int, tolerance: float
) -> Array:
    """Return ``wanted`` dominant eigenvectors of an operator, orthogonal to the locked ones, (n, wanted).

    The first ``sharp`` of them meet the tolerance, the others only show where the next eigenvalues lie.
    """
    from scipy.linalg import eigh_tridiagonal

    most = min(max(12 * wanted + 60, 120), n - len(locked))
    first = len(locked)
    basis = np.zeros((min(first + 4 * wanted + 24, first + most) + 1, n))
    for i, vector in enumerate(locked):
        basis[i] = vector / np.linalg.norm(vector)
    part = np.zeros(first + most + 2)
    w = np.random.default_rng(seed).standard_normal(n)
    w /= orthogonalise(basis, first, w, part)
    basis[first] = w
    alpha, beta = np.zeros(most), np.zeros(most)
    for j in range(most):
        row = first + j
        w = np.ascontiguousarray(inverse(basis[row]))
        norm = orthogonalise(basis, row + 1, w, part)
        alpha[j], beta[j] = part[row], norm
        exhausted = norm <= 1e-14 * max(np.abs(alpha[: j + 1]).max(), 1e-300) or j + 1 == most
        if exhausted or (j + 1 >= 2 * wanted and (j + 1) % 4 == 0):
            theta, s = eigh_tridiagonal(alpha[: j + 1], beta[:j])
            order = np.argsort(-np.abs(theta))[:wanted]
            error = norm * np.abs(s[-1, order])
            limit = np.where(np.arange(order.size) < sharp, tolerance, 1e-3) * np.abs(theta[order])
            if exhausted or np.all(error <= limit):
                return np.asarray(basis[first : row + 1].T @ s[:, order])
        if row + 2 > basis.shape[0]:
            basis = np.vstack([basis, np.zeros((min(basis.shape[0], first + most + 1 - basis.shape[0]), n))])
        basis[row + 1] = w / norm
    raise ConvergenceError("Lanczos did not converge")
