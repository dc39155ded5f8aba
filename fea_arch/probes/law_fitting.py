"""Fit a law to the points of a load test: weighted nonlinear least squares with model selection.

The residuals are weighted with the standard error of each throughput where it is known, else relative to the
throughput itself. Laws are compared by the corrected Akaike criterion (Hurvich and Tsai)
``AICc = m ln(RSS/m) + 2k + 2k(k+1)/(m-k-1)``, ``k`` counting the parameters and the variance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fea_arch.errors import ModelError, suggestion
from fea_arch.probes.closed_curves import Array, multi_server, scalability, table
from fea_arch.probes.law_fit import Candidate, LawFit

__all__ = ["fit_law"]

LAWS = ("mmc", "usl", "tabulated")
#: Standard errors below this share of the throughput are not believed: a load test has systematic errors too.
_LEAST_ERROR = 0.01
#: A parametric law that misses by more than this (root mean square, relative) gives way to the table.
_POOR = 0.10


@dataclass
class _Points:
    n: Array
    x: Array
    sigma: Array
    little: float


@dataclass
class _Fit:
    law: str
    names: tuple[str, ...]
    free: tuple[int, ...]
    value: Array
    cost: float
    curve: Callable[[Array, Array], Array]
    servers: tuple[float, float] | None = None
    rivals: tuple[_Fit, ...] = ()  # the same law at other counts of servers

    def spare(self, points: int) -> int:
        """Return the degrees of freedom that are left; the number of servers is a parameter, too."""
        return points - len(self.free) - (self.law == "mmc")


def fit_law(
    points: Iterable[Any], law: str | None = None, *, weights: str = "relative", confidence: float = 0.95
) -> LawFit:
    """Fit a law to measured (concurrency, throughput) points.

    Parameters
    ----------
    points : iterable
        The result of :func:`load_test`, or rows ``(concurrency, throughput_per_s[, response_s])``.
    law : {"mmc", "usl", "tabulated"}, optional
        The law; by default the better of M/M/c and USL, or the table where both miss by more than 10 %.
    weights : {"relative", "absolute"}
        Whether residuals count relative to the throughput or as they are. Points of a load test carry their own
        standard errors, which take precedence over "relative".
    confidence : float
        Level of the intervals [1].

    Returns
    -------
    LawFit

    Raises
    ------
    ModelError
        Fewer than two concurrencies, values that are not positive and finite, an unknown law.

    Notes
    -----
    M/M/c is the closed loop ``X = min(N, c)/S``, with a delay ``Z`` outside the servers the machine repairman model.
    USL: N. J. Gunther, *Guerrilla Capacity Planning* (Springer, 2007).

    Examples
    --------
    >>> fit = fit_law([(1, 100.0), (2, 200.0), (4, 398.0), (8, 401.0), (16, 400.0)])
    >>> fit.law, fit.parameters["servers"], round(fit.parameters["service_time_s"], 4)
    ('mmc', 4.0, 0.01)
    """
    if law is not None and law not in LAWS:
        raise ModelError(
            f"unknown law {law!r}.{suggestion(str(law), LAWS)}", field="law", fix=f"one of {', '.join(LAWS)}"
        )
    if weights not in ("relative", "absolute"):
        raise ModelError(f"is {weights!r}", field="weights", fix="'relative' or 'absolute'")
    if not 0 < confidence < 1:
        raise ModelError(f"is {confidence!r}", field="confidence", fix="a level between 0 and 1")
    data = _points(points, weights)
    if law == "tabulated":
        return _tabulated(data, confidence, (), "as asked")
    fits = []
    if law in (None, "mmc"):
        fits += [_fit_servers(data, delay=False)]
        if len(data.n) > 2:
            fits += [_fit_servers(data, delay=True)]
    if law in (None, "usl"):
        # coherency stays in wherever the data can afford it: dropping it by selection would bias the intervals
        fits += [_fit_usl(data, coherency=len(data.n) > (2 if law else 5))]
    scores = [_aicc(f, len(data.n)) for f in fits]
    best = int(np.argmin([s if np.isfinite(s) else 1e9 + f.cost for s, f in zip(scores, fits)]))
    candidates = tuple(_candidate(f, s, data) for f, s in zip(fits, scores))
    if law is None and candidates[best].relative_error > _POOR and len(data.n) > 2:
        why = f"no law comes within {_POOR:.0%} (best: {fits[best].law}, {candidates[best].relative_error:.0%})"
        return _tabulated(data, confidence, candidates, why)
    why = "as asked" if law else ("smallest AICc" if np.isfinite(scores[best]) else "too few points to compare laws")
    chosen = fits[best]
    if chosen.law == "mmc":
        chosen = _open(chosen, [f for f in fits if f.law == "mmc"], data, confidence)
    return _result(chosen, scores[best], data, confidence, candidates, why)


def _open(fit: _Fit, variants: list[_Fit], data: _Points, confidence: float) -> _Fit:
    """Keep as rivals what the data do not reject: other counts of servers, with a delay outside them or without."""
    from scipy.stats import f as f_distribution

    points = len(data.n)
    if min(v.spare(points) for v in variants) <= 0:
        variants = [fit]
    every = [r for v in variants for r in (v, *v.rivals)]
    spare = min(v.spare(points) for v in variants)
    if spare <= 0:
        return replace(fit, servers=(1.0, float("inf")), rivals=())
    bound = min(r.cost for r in every) * (1 + float(f_distribution.ppf(confidence, 1, spare)) / spare) + 1e-18
    kept = [r for r in every if r.cost <= bound]
    counts = [float(r.value[1]) for r in (fit, *kept)]
    most = float("inf") if max(counts) >= data.n[-1] else max(counts)
    return replace(fit, servers=(min(counts), most), rivals=tuple(r for r in kept if r is not fit))


def _points(points: Iterable[Any], weights: str) -> _Points:
    rows = []
    for item in points:
        if hasattr(item, "throughput_per_s"):
            row = (item.concurrency, item.throughput_per_s, item.latency_s, item.throughput_stderr_per_s)
        elif isinstance(item, Sequence) and 2 <= len(item) <= 3:
            row = (item[0], item[1], item[2] if len(item) > 2 else np.nan, np.nan)
        else:
            raise ModelError(f"{item!r} is not a point", field="points", fix="(concurrency, throughput_per_s)")
        try:
            rows.append([float(np.nan if v is None else v) for v in row])
        except (TypeError, ValueError):
            raise ModelError(f"{item!r} holds something that is not a number", field="points") from None
    values = np.array(rows, np.float64).reshape(-1, 4)
    n, x, r, error = values[np.argsort(values[:, 0], kind="stable")].T
    bad = ~(np.isfinite(n) & np.isfinite(x) & (n > 0) & (x > 0))
    if bad.any():
        raise ModelError(
            f"concurrency {n[bad][0]:g} with throughput {x[bad][0]:g} is not positive and finite", field="points"
        )
    if len(np.unique(n)) < 2:
        raise ModelError(f"{len(np.unique(n))} concurrencies", field="points", fix="at least two different ones")
    known = np.isfinite(error) & (error > 0)
    sigma = np.where(known, np.maximum(error, _LEAST_ERROR * x), np.median(x) if weights == "absolute" else x)
    if known.any() and not known.all():
        sigma = np.where(known, sigma, np.median((sigma / x)[known]) * x)
    with np.errstate(invalid="ignore"):
        gap = np.abs(x * r / n - 1)
    return _Points(n, x, sigma, float(np.nanmax(gap)) if np.isfinite(gap).any() else float("nan"))


def _least_squares(
    data: _Points, curve: Any, start: list[float], low: list[float], high: list[float]
) -> tuple[Array, float]:
    from scipy.optimize import least_squares

    def residual(p: Array) -> Array:
        return np.asarray((curve(data.n, p) - data.x) / data.sigma)

    scale = np.maximum(np.abs(start), 1e-6)
    found = least_squares(
        residual, start, bounds=(low, high), x_scale=scale, xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=200
    )
    return np.asarray(found.x, np.float64), float(2 * found.cost)


def _fit_usl(data: _Points, *, coherency: bool) -> _Fit:
    # for a fixed shape the law is linear in 1/S: start from the ratio at the smallest concurrency
    s0 = float(data.n[0] / data.x[0])

    def curve(n: Array, p: Array) -> Array:
        return scalability(n, s0 * p[0], p[1], p[2] * 1e-3 if len(p) > 2 else 0.0)

    best: tuple[Array, float] | None = None
    for sigma, kappa in ((0.02, 0.01), (0.2, 1.0), (0.6, 0.1)):
        low, high = [1e-3, 0.0, 0.0], [1e3, 1.0, 1e3]
        k = 3 if coherency else 2
        found = _least_squares(data, curve, [1.0, sigma, kappa][:k], low[:k], high[:k])
        if best is None or found[1] < best[1]:
            best = found
    assert best is not None
    scale = np.array([s0, 1.0, 1e-3])

    def physical(n: Array, p: Array) -> Array:
        return scalability(n, p[0], p[1], p[2])

    value = np.zeros(3)
    value[: len(best[0])] = best[0] * scale[: len(best[0])]
    return _Fit(
        "usl",
        ("service_time_s", "usl_sigma", "usl_kappa"),
        (0, 1, 2) if coherency else (0, 1),
        value,
        best[1],
        physical,
    )


def _fit_servers(data: _Points, *, delay: bool) -> _Fit:
    top = float(data.n[-1])
    counts = np.unique(np.round(np.geomspace(1, max(top, 1), 20 if delay else 60)))
    tried: dict[float, tuple[Array, float]] = {}

    def attempt(c: float) -> float:
        if c not in tried:
            tried[c] = _fit_one(data, c, delay)
        return tried[c][1]

    for c in counts:
        attempt(float(c))
    for _ in range(8):  # refine the coarse grid around the best count
        best = min(tried, key=lambda c: tried[c][1])
        near = [c for c in tried if c != best]
        below, above = (
            max([c for c in near if c < best], default=best),
            min([c for c in near if c > best], default=best),
        )
        for c in {float(round((below + best) / 2)), float(round((above + best) / 2)), best - 1, best + 1}:
            if 1 <= c <= top:
                attempt(c)
    # without a knee in the data every larger count fits as well: take the smallest of equals
    least = min(t[1] for t in tried.values())
    best = min(c for c, t in tried.items() if t[1] <= least * (1 + 1e-6) + 1e-18)
    s, z = tried[best][0]

    def physical(n: Array, p: Array) -> Array:
        return multi_server(n, p[0], p[1], p[2])

    free = (0, 2) if delay else (0,)
    names = ("service_time_s", "servers", "delay_s")
    fit = _Fit("mmc", names, free, np.array([s, best, z]), tried[best][1], physical)
    others = [(np.array([p[0], c, p[1]]), cost) for c, (p, cost) in tried.items() if c != best]
    return replace(fit, rivals=tuple(replace(fit, value=v, cost=cost) for v, cost in others))


def _fit_one(data: _Points, c: float, delay: bool) -> tuple[Array, float]:
    shape = np.minimum(data.n, c)
    w = 1 / data.sigma**2
    s = float((w * shape * shape).sum() / (w * shape * data.x).sum())  # linear least squares in 1/S
    if not delay:
        residual = (shape / s - data.x) / data.sigma
        return np.array([s, 0.0]), float(residual @ residual)
    total = float(data.n[0] / data.x[0])

    def curve(n: Array, p: Array) -> Array:
        return multi_server(n, total * p[0], c, total * p[1])

    found, cost = _least_squares(
        data, curve, [max(min(s / total, 1.0), 1e-3), max(1 - s / total, 0.05)], [1e-6, 0.0], [1e3, 1e3]
    )
    return found * total, cost


def _aicc(fit: _Fit, m: int) -> float:
    k = len(fit.free) + (fit.law == "mmc") + 1
    if m - k - 1 <= 0:
        return float("inf")
    return float(m * np.log(max(fit.cost, 1e-14 * m) / m) + 2 * k + 2 * k * (k + 1) / (m - k - 1))


def _relative(fitted: Array, data: _Points) -> float:
    return float(np.sqrt(np.mean(((fitted - data.x) / data.x) ** 2)))


def _candidate(fit: _Fit, aicc: float, data: _Points) -> Candidate:
    values = dict(zip(fit.names, map(float, fit.value)))
    return Candidate(fit.law, values, aicc, _relative(fit.curve(data.n, fit.value), data))


def _jacobian(fit: _Fit, n: Array) -> Array:
    columns = []
    for i in fit.free:
        floor = 1e-3 * fit.value[0] if fit.names[i].endswith("_s") else 1e-4
        scale = max(fit.value[i], floor)
        step = np.zeros(3)
        step[i] = 1e-5 * scale
        down = step if fit.value[i] - step[i] > 0 else 0 * step
        columns.append((fit.curve(n, fit.value + step) - fit.curve(n, fit.value - down)) / (step[i] + down[i]))
    return np.array(columns).T.reshape(len(n), -1)


def _covariance(fit: _Fit, data: _Points) -> Array:
    jacobian = _jacobian(fit, data.n) / data.sigma[:, None]
    spare = fit.spare(len(data.n))
    return np.asarray(np.linalg.pinv(jacobian.T @ jacobian) * (fit.cost / spare if spare > 0 else np.nan))


def _result(
    fit: _Fit, aicc: float, data: _Points, confidence: float, candidates: tuple[Candidate, ...], why: str
) -> LawFit:
    from scipy.stats import t as student

    fitted = fit.curve(data.n, fit.value)
    variants = (fit, *fit.rivals)
    spares = [v.spare(len(data.n)) for v in variants]
    quantiles = [float(student.ppf(0.5 + confidence / 2, k)) if k > 0 else float("nan") for k in spares]
    covariances = [_covariance(v, data) for v in variants]
    intervals = {}
    for i, name in enumerate(fit.names):  # the hull over all variants: the other parameters follow the servers
        ends: list[float] = []
        for v, k, quantile, known in zip(variants, spares, quantiles, covariances):
            half = 0.0
            if i in v.free:
                row = v.free.index(i)
                half = quantile * float(np.sqrt(max(known[row, row], 0.0))) if k > 0 else float("inf")
            ends += [float(v.value[i]) - half, float(v.value[i]) + half]
        intervals[name] = (max(min(ends), 0.0), min(max(ends), 1.0 if name == "usl_sigma" else float("inf")))
    if fit.servers is not None:
        intervals["servers"] = fit.servers
    if fit.law == "usl" and len(fit.free) == 2:
        intervals["usl_kappa"] = (0.0, float("inf"))  # too few points to say anything about it

    def band(n: Array) -> tuple[Array, Array]:
        low, high = np.full(len(n), np.inf), np.full(len(n), -np.inf)
        for v, quantile, known in zip(variants, quantiles, covariances):
            j, middle = _jacobian(v, n), v.curve(n, v.value)
            half = quantile * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", j, known, j), 0.0))
            low, high = np.minimum(low, middle - half), np.maximum(high, middle + half)
        return low, high

    spread = float(((data.x - data.x.mean()) ** 2).sum())
    return LawFit(
        law=fit.law,
        parameters=dict(zip(fit.names, map(float, fit.value))),
        intervals=intervals,
        confidence=confidence,
        relative_error=_relative(fitted, data),
        r_squared=1 - float(((fitted - data.x) ** 2).sum()) / spread if spread > 0 else float("nan"),
        aicc=aicc,
        candidates=candidates,
        reason=why,
        concurrency=data.n,
        throughput_per_s=data.x,
        little_error=data.little,
        curve=lambda n: fit.curve(n, fit.value),
        band=band,
    )


def _tabulated(data: _Points, confidence: float, candidates: tuple[Candidate, ...], why: str) -> LawFit:
    n, start = np.unique(data.n, return_index=True)
    x = np.add.reduceat(data.x, start) / np.diff(np.append(start, len(data.n)))
    s = float(n[0] / x[0])
    fitted = table(data.n, n, x)
    spread = float(((data.x - data.x.mean()) ** 2).sum())
    return LawFit(
        law="tabulated",
        parameters={"service_time_s": s},
        intervals={"service_time_s": (0.0, float("inf"))},
        confidence=confidence,
        relative_error=_relative(fitted, data),
        r_squared=1 - float(((fitted - data.x) ** 2).sum()) / spread if spread > 0 else float("nan"),
        aicc=float("nan"),
        candidates=candidates,
        reason=why,
        concurrency=n,
        throughput_per_s=x,
        little_error=data.little,
        curve=lambda at: table(at, n, x),
        band=lambda at: (np.full(len(at), np.nan), np.full(len(at), np.nan)),
    )
