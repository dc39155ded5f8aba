"""The transposed sweep: adjoint values of all unknowns from those that depend on them."""

from __future__ import annotations

from typing import Any

from fea_arch.kernels.compile import kernel

__all__ = ["solve_transposed"]


@kernel(work=lambda ptr, row, value, b, x: 20.0 * value.size)
def solve_transposed(ptr: Any, row: Any, value: Any, b: Any, x: Any) -> float:
    """Sweep ``x = b + J^T x`` once from the last unknown to the first, in place; return the largest change.

    Parameters
    ----------
    ptr, row, value : (n + 1,) int64, (n_entries,) int64, (n_entries,) float64
        ``J`` by columns, unknowns in the order of the forward sweep: without feedback it is strictly lower triangular
        and one sweep is the answer.
    b, x : (n,) float64
        Right-hand side and result.
    """
    change = 0.0
    largest = 0.0
    for c in range(ptr.size - 2, -1, -1):
        total = b[c]
        own = 0.0
        for k in range(ptr[c], ptr[c + 1]):
            if row[k] == c:
                own = value[k]
            else:
                total += value[k] * x[row[k]]
        new = total / (1.0 - own)
        largest = max(largest, abs(new))
        change = max(change, abs(new - x[c]))
        x[c] = new
    return change / largest if largest > 0.0 else 0.0
