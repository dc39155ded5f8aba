r"""Lowest modes of ``K phi = lambda M phi`` on graphs that expand, by a preconditioned block method.

Where a factor of ``K`` would fill in, each step adds to the block of approximate modes ``X`` the preconditioned
residuals ``W`` and the last directions ``P``, and takes the lowest modes of the small problem in that space (LOBPCG:
Knyazev, SIAM J. Sci. Comput. 23 (2001) 517). The directions are kept orthogonal to the modes in the small coordinates
(Hetmaniuk & Lehoucq, J. Comput. Phys. 218 (2006) 324), so that only products with ``W`` are ever formed, and converged
modes get no further directions (soft locking).

The preconditioner is the incomplete factor of ``K - sigma M`` with ``sigma`` just below the wanted modes: the lowest
modes of such graphs live on a few light nodes, whose pivots nearly vanish there. The same pivots over the mass say
where to start.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fea_arch.kernels import block_modes as kernels
from fea_arch.kernels.pcg import scaled_upper
from fea_arch.laws.base import Array

__all__ = ["block_modes"]

#: Vectors beyond the wanted modes: the gap to the first mode left out sets the rate of convergence.
GUARD = 4
#: Trial vectors of the start, per vector of the block.
TRIALS = 2
#: Share of the second mode's value at which the preconditioner is shifted.
SHIFT = 0.98
#: Iterations after which the residual must have fallen to this share, or the shift goes below all modes, then to zero.
WATCH, PROGRESS = 8, 0.2


class _Operator:
    """Stiffness, mass and preconditioner in the order light nodes first."""

    def __init__(self, K: Any, mass: Array) -> None:
        stiffness = K.diagonal()
        self.order = np.argsort(np.round(8.0 * np.log2(np.maximum(stiffness, 1e-300))).astype(np.int16), kind="stable")
        pointer, column, value, _ = scaled_upper(K.indptr, K.indices, K.data, self.order)
        self.upper = (pointer, column, value)
        self.diagonal = np.ascontiguousarray(stiffness[self.order])
        self.mass = np.ascontiguousarray(mass[self.order])
        self.shift_to(0.0)

    def shift_to(self, sigma: float) -> None:
        """Make the preconditioner of ``K - sigma M``."""
        pointer, column, value = self.upper
        shifted = self.diagonal - sigma * self.mass
        self._value, self.scale = kernels.shifted_pivots(pointer, column, value, shifted, 1e-6)

    def stiff(self, x: Array) -> Array:
        """Return ``K x``."""
        pointer, column, value = self.upper
        return np.asarray(kernels.multiply(pointer, column, value, self.diagonal, x))

    def precondition(self, x: Array) -> Array:
        """Return the preconditioner times a block."""
        return np.asarray(kernels.precondition(self.upper[0], self.upper[1], self._value, self.scale, x))


def block_modes(
    K: Any, mass: Array, modes: int, *, rigid: Array, tolerance: float, first: Array, most: int = 120
) -> tuple[Array, Array] | None:
    """Return the lowest modes, or None if they do not converge.

    Parameters
    ----------
    K : csr_array (n, n)
        Stiffness, int32 structure.
    mass : (n,) float64
        Lumped mass, positive.
    modes : int
        How many, besides the rigid ones.
    rigid : (n, r) float64
        M-normalised rigid motions, kept out.
    tolerance : float
        Residual ``|K phi - lambda M phi| / (|K phi| + lambda |M phi|)`` to reach [1].
    first : (n, s) float64
        Trial vectors that are known to be smooth, such as the static displacement under a load ``M 1``.
    most : int
        Iterations to spend.

    Returns
    -------
    values, vectors : (modes + guard,) float64, (n, modes + guard) float64
        Ascending; only the first ``modes`` meet the tolerance.
    """
    work = _Operator(K, mass)
    locked = np.ascontiguousarray(rigid[work.order])
    width = modes + GUARD
    value, X = _start(work, first[work.order], locked, width)
    directions, stiff_directions = np.empty((X.shape[0], 0)), np.empty((0, 0))
    before, retreats = np.inf, iter((0.7, 0.0))
    for iteration in range(most):
        value, gap_block, gap = kernels.residuals(X, work.stiff(X), work.mass)
        if gap[:modes].max() <= tolerance:
            vectors = np.empty_like(X)
            vectors[work.order] = X
            return value, vectors
        if iteration in (0, 2, 8):
            work.shift_to(SHIFT * float(value[min(1, width - 1)]))
        elif iteration > WATCH and iteration % WATCH == 0:
            if gap[:modes].max() > PROGRESS * before:
                share = next(retreats, None)
                if share is None:
                    return None
                work.shift_to(share * float(value[0]))
                value, X = _ritz(work, X, width)
                directions, stiff_directions = np.empty((X.shape[0], 0)), np.empty((0, 0))
                continue
            before = gap[:modes].max()
        active = np.flatnonzero(gap > 0.3 * tolerance)
        W = work.precondition(np.ascontiguousarray(gap_block[:, active]))
        if locked.size:
            kernels.combine(locked, -kernels.inner(locked, work.mass[:, None] * W), W)
        X, directions, stiff_directions = _advance(work, value, X, W, directions, stiff_directions, active)
    return None


def _start(work: _Operator, smooth: Array, locked: Array, width: int) -> tuple[Array, Array]:
    """Return Ritz values and vectors of the span of smooth vectors and the responses of the most compliant nodes."""
    n, trials = work.mass.size, min(TRIALS * width, work.mass.size // 2)
    compliant = np.argsort(work.scale**-2.0 / work.mass, kind="stable")[:trials]
    block = np.zeros((n, trials))
    block[compliant, np.arange(trials)] = work.mass[compliant]
    noise = np.random.default_rng(0).standard_normal((n, 2))
    block = np.ascontiguousarray(np.hstack([smooth, work.precondition(np.hstack([block, noise]))]))
    for _ in range(2 if locked.size else 0):
        block /= np.sqrt(np.einsum("ij,i,ij->j", block, work.mass, block))
        kernels.combine(locked, -kernels.inner(locked, work.mass[:, None] * block), block)
    return _ritz(work, block, width)


def _ritz(work: _Operator, block: Array, width: int) -> tuple[Array, Array]:
    """Return the lowest Ritz values and vectors of the span of a block."""
    n = block.shape[0]
    block /= np.sqrt(np.einsum("ij,i,ij->j", block, work.mass, block))
    turn, _ = _orthonormal(kernels.inner(block, work.mass[:, None] * block))
    small = turn.T @ kernels.inner(block, work.stiff(block)) @ turn
    value, rotation = np.linalg.eigh(0.5 * (small + small.T))
    X = np.zeros((n, width))
    kernels.combine(block, np.ascontiguousarray(turn @ rotation[:, :width]), X)
    return value[:width], X


def _orthonormal(gram: Array) -> tuple[Array, Array]:
    """Return the change of basis that makes a Gram matrix the identity, and its inverse on the kept space."""
    size = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    weight, turn = np.linalg.eigh(gram * size * size[:, None])
    keep = weight > 1e-11 * weight[-1]
    root = np.sqrt(weight[keep])
    return size[:, None] * turn[:, keep] / root, (root * turn[:, keep] / size[:, None]).T


def _advance(
    work: _Operator, value: Array, X: Array, W: Array, P: Array, stiff: Array, active: Any
) -> tuple[Array, Array, Array]:
    """Take the lowest modes of the span of ``[X, P, W]``; return them, the new directions and their stiffness."""
    width, old, new = X.shape[1], P.shape[1], W.shape[1]
    W *= 1.0 / np.sqrt(np.einsum("ij,i,ij->j", W, work.mass, W))
    image = np.ascontiguousarray(np.hstack([work.mass[:, None] * W, work.stiff(W)]))
    cross = np.vstack([kernels.inner(X, image), kernels.inner(P, image), kernels.inner(W, image)])
    known, size = width + old, width + old + new
    mass, spring = np.eye(size), np.zeros((size, size))
    spring[:width, :width] = np.diag(value)
    spring[width:known, width:known] = stiff
    for matrix, part in ((mass, cross[:, :new]), (spring, cross[:, new:])):
        matrix[:, known:] = part
        matrix[known:, :known] = part[:known].T
        matrix[known:, known:] = 0.5 * (part[known:] + part[known:].T)
    turn, back = _orthonormal(mass)
    small = turn.T @ spring @ turn
    small = 0.5 * (small + small.T)
    _, rotation = np.linalg.eigh(small)
    lowest = rotation[:, :width]
    coefficients = turn @ lowest
    towards = coefficients[:, active].copy()
    towards[:width] = 0.0
    inside = back @ towards
    for _ in range(2):
        inside -= lowest @ (lowest.T @ inside)
    inside, triangle = np.linalg.qr(inside)
    inside = inside[:, np.abs(np.diag(triangle)) > 1e-14]
    onward = turn @ inside
    fresh = []
    for c in (coefficients, onward):
        out = np.zeros((X.shape[0], c.shape[1]))
        for block, rows in ((X, c[:width]), (P, c[width:known]), (W, c[known:])):
            kernels.combine(block, np.ascontiguousarray(rows), out)
        fresh.append(out)
    return fresh[0], fresh[1], inside.T @ small @ inside
