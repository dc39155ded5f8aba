"""Closed networks with every station left out once, and the transposes of what is asked of them.

``G = F_1 * ... * F_K`` by convolution (Buzen 1973) with ``F_k(m) = v_k^m / (X_k(1) ... X_k(m))``; products from either
end give the network without one station, and with it the mean of any table over the number at that station. Each
factor enters linearly, so that one sweep back gives the derivatives by all of them for about twice the cost.
"""

from __future__ import annotations

from typing import Any

from fea_arch.kernels.compile import kernel, subroutine

__all__ = ["close_network", "mean_tables", "pull_network", "pull_tables"]


@subroutine
def _convolve(a: Any, b: Any, out: Any) -> float:
    """Convolve, scale to a largest entry of 1 and return the divisor."""
    top = 0.0
    for n in range(out.size):
        total = 0.0
        for m in range(n + 1):
            total += a[n - m] * b[m]
        out[n] = total
        top = max(top, total)
    for n in range(out.size):
        out[n] /= top
    return top


@subroutine
def _pull_factor(by: Any, other: Any, scale: float, out: Any) -> None:
    """Add the derivative by one factor of a convolution: ``out[j] += scale sum_n by[n] other[n - j]``."""
    for j in range(out.size):
        total = 0.0
        for n in range(j, out.size):
            total += by[n] * other[n - j]
        out[j] += scale * total


@kernel(work=lambda shape, *rest: 6.0 * shape.shape[0] * shape.shape[1] ** 2)
def close_network(shape: Any, before: Any, after: Any, rest: Any, tops: Any) -> None:
    """Convolve all stations, from either end, and all but one.

    Parameters
    ----------
    shape : (k, population + 1) float64
        ``F_k``.
    before, after : (k + 1, population + 1) float64, filled in place
        Products of the stations before each, and from each on.
    rest : (k, population + 1) float64, filled in place
        Products of all stations but one.
    tops : (3, k + 1) float64, filled in place
        What each product was divided by in its last step.
    """
    k = shape.shape[0]
    before[0, :] = 0.0
    before[0, 0] = 1.0
    after[k, :] = 0.0
    after[k, 0] = 1.0
    tops[:, :] = 1.0
    for j in range(k):
        tops[0, j + 1] = _convolve(before[j], shape[j], before[j + 1])
    for j in range(k - 1, -1, -1):
        tops[1, j] = _convolve(after[j + 1], shape[j], after[j])
    for j in range(k):
        tops[2, j] = _convolve(before[j], after[j + 1], rest[j])


@kernel(work=lambda shape, *rest: 12.0 * shape.shape[0] * shape.shape[1] ** 2)
def pull_network(
    shape: Any, before: Any, after: Any, tops: Any, by_norm: Any, by_rest: Any, by_before: Any, by_after: Any,
    by_shape: Any,
) -> None:  # fmt: skip
    """Add to ``by_shape`` the derivatives by ``F_k(m)``, at given ones by ``before[k]`` (the norm) and by ``rest``.

    ``by_before`` and ``by_after`` are work space of the size of ``before``.
    """
    k = shape.shape[0]
    by_before[:, :] = 0.0
    by_after[:, :] = 0.0
    by_before[k, :] = by_norm
    for j in range(k):
        scale = 1.0 / tops[2, j]
        _pull_factor(by_rest[j], after[j + 1], scale, by_before[j])
        _pull_factor(by_rest[j], before[j], scale, by_after[j + 1])
    for j in range(k - 1, -1, -1):
        scale = 1.0 / tops[0, j + 1]
        _pull_factor(by_before[j + 1], shape[j], scale, by_before[j])
        _pull_factor(by_before[j + 1], before[j], scale, by_shape[j])
    for j in range(1, k):  # the product of all from the first on is not used
        scale = 1.0 / tops[1, j]
        _pull_factor(by_after[j], shape[j], scale, by_after[j + 1])
        _pull_factor(by_after[j], after[j + 1], scale, by_shape[j])


@kernel(work=lambda shape, rest, norm, scale, station, *more: 3.0 * station.size * norm.size**2)
def mean_tables(
    shape: Any, rest: Any, norm: Any, scale: Any, station: Any, values: Any, weighted: Any, out: Any
) -> None:
    """Fill the mean of ``values[t, number at station[t]]`` for every population.

    Parameters
    ----------
    shape, rest : (k, population + 1) float64
    norm : (population + 1,) float64
    scale : (k,) float64
        Of ``F_k * rest_k`` over the norm.
    station : (t,) int64
    values, out : (t, population + 1) float64
    weighted : (population + 1,) float64
        Work space.
    """
    size = norm.size
    for t in range(station.size):
        k = station[t]
        for m in range(size):
            weighted[m] = shape[k, m] * values[t, m]
        for n in range(size):
            total = 0.0
            for m in range(n + 1):
                total += weighted[m] * rest[k, n - m]
            out[t, n] = total * scale[k] / norm[n] if norm[n] > 0.0 else 0.0


@kernel(work=lambda shape, rest, norm, scale, station, *more: 6.0 * station.size * norm.size**2)
def pull_tables(
    shape: Any, rest: Any, norm: Any, scale: Any, station: Any, values: Any, out: Any, by_out: Any, work: Any,
    by_values: Any, by_shape: Any, by_rest: Any, by_norm: Any,
) -> None:  # fmt: skip
    """Add the derivatives of ``by_out . out`` of :func:`mean_tables`; ``work`` is (3, population + 1)."""
    size = norm.size
    for t in range(station.size):
        k = station[t]
        used = False
        for n in range(size):
            work[0, n] = 0.0
            if by_out[t, n] != 0.0 and norm[n] > 0.0:
                used = True
                work[0, n] = by_out[t, n] * scale[k] / norm[n]
                by_norm[n] -= by_out[t, n] * out[t, n] / norm[n]
        if not used:
            continue
        for m in range(size):
            work[1, m] = shape[k, m] * values[t, m]
            work[2, m] = 0.0
        _pull_factor(work[0], work[1], 1.0, by_rest[k])
        _pull_factor(work[0], rest[k], 1.0, work[2])
        for m in range(size):
            by_values[t, m] += work[2, m] * shape[k, m]
            by_shape[k, m] += work[2, m] * values[t, m]
