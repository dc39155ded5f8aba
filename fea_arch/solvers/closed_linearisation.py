"""A closed network on a tape: throughputs, means of tables and what is left without one station."""

from __future__ import annotations

import numpy as np

from fea_arch.kernels.pool_networks import close_network, mean_tables, pull_network, pull_tables
from fea_arch.solvers.network import Array, Index
from fea_arch.solvers.reverse_tape import Tape, Value

__all__ = ["ClosedValue", "running_top"]


class ClosedValue:
    """The network of :class:`fea_arch.solvers.product_form.Closed` with derivatives.

    Parameters
    ----------
    tape : Tape
    steps : Value
        ``log F_k(m) - log F_k(m - 1)``, (k, population).
    tilt : float
        What visits were multiplied with, a constant.
    """

    def __init__(self, tape: Tape, steps: Value, tilt: float) -> None:
        self.tape, self.tilt = tape, tilt
        k, population = steps.v.shape
        logs = np.zeros((k, population + 1))
        np.cumsum(steps.v, axis=1, out=logs[:, 1:])
        self.shape = tape.value(np.exp(logs - logs.max(axis=1)[:, None]))
        size = population + 1
        before, after = np.empty((k + 1, size)), np.empty((k + 1, size))
        rest, tops = np.empty((k, size)), np.empty((3, k + 1))
        close_network(self.shape.v, before, after, rest, tops)
        self.rest, self.norm = tape.value(rest), tape.value(before[-1].copy())
        whole, left = np.log(tops[0]).cumsum(), np.log(tops[1])[::-1].cumsum()[::-1]
        self.scale = np.exp(whole[:-1] + left[1:] + np.log(tops[2, :-1]) - whole[-1])

        def back() -> None:
            if not (self.norm.g.any() or self.rest.g.any() or self.shape.g.any()):
                return
            work = np.empty((2, *before.shape))
            pull_network(self.shape.v, before, after, tops, self.norm.g, self.rest.g, work[0], work[1], self.shape.g)
            by_log = self.shape.g * self.shape.v
            steps.g += np.cumsum(by_log[:, ::-1], axis=1)[:, ::-1][:, 1:]

        tape.step(back)

    def throughput(self) -> Value:
        """Return the throughput with 0 .. population requests inside, (population + 1,) [1/s]."""
        g = self.norm.v
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(g[1:] > 0, g[:-1] / g[1:], 0.0) * self.tilt
        out = self.tape.value(np.concatenate([[0.0], found]))

        def back() -> None:
            if not out.g.any():
                return
            safe = np.where(g[1:] > 0, g[1:], np.inf)
            self.norm.g[:-1] += out.g[1:] * self.tilt / safe
            self.norm.g[1:] -= out.g[1:] * out.v[1:] / safe

        self.tape.step(back)
        return out

    def means(self, station: Index, values: Value) -> Value:
        """Return the mean of ``values[t, number at station[t]]`` for every population, (t, population + 1)."""
        size = self.norm.v.size
        out = self.tape.value(np.empty((station.size, size)))
        mean_tables(self.shape.v, self.rest.v, self.norm.v, self.scale, station, values.v, np.empty(size), out.v)

        def back() -> None:
            if out.g.any():
                pull_tables(self.shape.v, self.rest.v, self.norm.v, self.scale, station, values.v, out.v, out.g,
                            np.empty((3, size)), values.g, self.shape.g, self.rest.g, self.norm.g)  # fmt: skip

        self.tape.step(back)
        return out

    def left_out(self, k: Index, population: int) -> Value:
        """Return the completion rates of all but each station with 1 .. population requests there [1/s]."""
        g = self.rest.v[k]
        low, high = g[:, :population], g[:, 1 : population + 1]
        out = self.tape.value(low / high * self.tilt)

        def back() -> None:
            if out.g.any():
                by = np.zeros_like(g)
                by[:, :population] += out.g * self.tilt / high
                by[:, 1 : population + 1] -= out.g * out.v / high
                self.rest.g[k] += by

        self.tape.step(back)
        return out


def running_top(values: Array) -> Array:
    """Return where the largest entry so far is, (k,) int64."""
    top = np.maximum.accumulate(values)
    at = np.where(values >= top, np.arange(values.size), 0)
    return np.asarray(np.maximum.accumulate(at))
