"""Fragility: probability of collapse against the load, from what is not known about the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fea_arch.analyses.fracture import open_model
from fea_arch.architecture import Architecture
from fea_arch.errors import ConvergenceError, FeaArchError, ModelError
from fea_arch.results.fragility import FragilityResult
from fea_arch.solvers.break_criteria import collapse_factor
from fea_arch.solvers.network import Array
from fea_arch.solvers.overload import OverloadModel

__all__ = ["DECLARED_SPREAD", "ASSUMED_SPREAD", "fragility"]  # noqa: RUF022

#: Coefficient of variation of a number that somebody declared, and of one that is a default.
DECLARED_SPREAD, ASSUMED_SPREAD = 0.1, 0.3
#: Samples of one job.
CHUNK = 25


def fragility(
    arch: Architecture,
    load_factors: ArrayLike,
    samples: int = 1000,
    executor: Executor | None = None,
    seed: int = 0,
    *,
    method: Literal["latin hypercube", "sobol"] = "latin hypercube",
    tolerance: float = 0.01,
    progress: Callable[[int, int], None] | None = None,
) -> FragilityResult:
    """Sample what is uncertain about the service times and count how often the architecture collapses.

    Parameters
    ----------
    arch : Architecture
    load_factors : (n_factors,) array_like
        Multiples of the design load [1].
    samples : int
        Number of samples.
    executor : concurrent.futures.Executor, optional
        Where to run them; here, one after the other, by default. The result does not depend on it.
    seed : int
        The same seed gives the same samples.
    method : str
        ``"latin hypercube"`` or ``"sobol"`` (scrambled).
    tolerance : float
        As for :func:`fea_arch.fracture`.
    progress : callable, optional
        Called with the number of samples done and the number asked for.

    Returns
    -------
    FragilityResult
        Ctrl-C returns the samples so far, marked ``interrupted``.

    Raises
    ------
    ModelError
        Without load, for load factors that are not positive, or less than one sample.
    ConvergenceError
        If the executor dies: ``partial`` holds the result from the samples that came back.

    Notes
    -----
    Service times are lognormal about their mean. The coefficient of variation is the stated spread of a measured value,
    or ``sqrt(scv / samples)`` of its mean; 0.1 where it was declared and 0.3 where it is a default.

    Examples
    --------
    >>> import fea_arch as fa
    >>> arch = fa.Architecture(name="one", components=[fa.Component("api", service_time_s=0.01)],
    ...                        loads=[fa.Load("api", rate_per_s=50.0)])
    >>> result = fa.fragility(arch, [1.0, 2.0, 4.0], samples=64)
    >>> [float(p) for p in result.probability.round(1)]
    [0.0, 0.4, 1.0]
    """
    factors = np.atleast_1d(np.asarray(load_factors, float))
    if factors.ndim != 1 or not factors.size or not (np.isfinite(factors) & (factors > 0)).all():
        raise ModelError(f"is {load_factors!r:.60}", field="load_factors", fix="positive finite numbers")
    if isinstance(samples, bool) or samples != int(samples) or samples < 1:
        raise ModelError(f"is {samples!r}", field="samples", fix="a whole number of at least 1")
    if isinstance(seed, bool) or seed != int(seed) or seed < 0:
        raise ModelError(f"is {seed!r}", field="seed", fix="a whole number of 0 or more")
    samples = int(samples)
    model, _ = open_model(arch)
    spread = _spreads(arch)
    draws = _draws(spread, samples, int(seed), method)
    nominal = collapse_factor(model, tolerance=tolerance)
    if not math.isfinite(nominal):
        raise ModelError("nothing limits the load: there is no collapse to count", field="servers", fix="a finite law")
    chunks = [draws[k : k + CHUNK] for k in range(0, samples, CHUNK)]
    found: dict[int, Array] = {}
    interrupted, died = False, ""
    try:
        for k, values in _computed(executor, model, chunks, nominal, tolerance):
            found[k] = values
            if progress is not None:
                progress(sum(v.size for v in found.values()), samples)
    except KeyboardInterrupt:
        interrupted = True
    except (BrokenExecutor, CancelledError, OSError, RuntimeError) as error:
        if isinstance(error, FeaArchError):
            raise
        died = str(error) if type(error) is BrokenExecutor else f"{type(error).__name__}: {error}"
    values = np.concatenate([found[k] for k in sorted(found)]) if found else np.zeros(0)
    names = arch.names
    spreads = {names[i]: float(spread[i]) for i in range(len(names))}
    if not values.size:
        if interrupted:
            raise KeyboardInterrupt
        raise ConvergenceError(f"the executor died before any sample came back ({died})", partial=None)
    result = _result(factors, values, samples, int(seed), spreads, interrupted, method)
    if died:
        raise ConvergenceError(
            f"the executor died after {values.size} of {samples} samples ({died}); they are in .partial", partial=result
        )
    return result


def _computed(
    executor: Executor | None, model: OverloadModel, chunks: Sequence[Array], nominal: float, tolerance: float
) -> Any:
    """Yield the number and the collapse factors of each chunk as they come."""
    if executor is None:
        for k, chunk in enumerate(chunks):
            yield k, sampled_factors(model, chunk, nominal, tolerance)
        return
    jobs: dict[Future[Array], int] = {}
    failure: Exception | None = None
    try:
        for k, chunk in enumerate(chunks):
            jobs[executor.submit(sampled_factors, model, chunk, nominal, tolerance)] = k
        for job in _completed(jobs):
            try:
                values = job.result()
            except FeaArchError:
                raise
            except (Exception, CancelledError) as error:  # others may still come back, or have come back already
                failure = error
                continue
            yield jobs[job], values
    finally:
        for job in jobs:
            job.cancel()
    if failure is not None:
        raise BrokenExecutor(f"{type(failure).__name__}: {failure}") from failure


def _completed(jobs: dict[Future[Array], int]) -> Any:
    """Yield futures as they end; in order where they are not those of the standard library."""
    if all(isinstance(job, Future) for job in jobs):
        return as_completed(jobs)
    return iter(list(jobs))


def sampled_factors(model: OverloadModel, ratios: Array, nominal: float, tolerance: float) -> Array:
    """Return the collapse factor of each row of service time ratios, (n_samples,) float64."""
    out = np.empty(len(ratios))
    for k, ratio in enumerate(ratios):
        network = model.network
        rates = network.rates
        if (network.law == 2).any() or (network.places >= 0).any():
            rates = rates.copy()
            for i in np.flatnonzero((network.law == 2) | (network.places >= 0)).tolist():
                part = slice(network.rate_first[i], network.rate_first[i] + network.servers[i])
                rates[part] /= ratio[i]
        changed = replace(network, service=network.service * ratio, cpu=network.cpu * ratio, rates=rates)
        guess = nominal / max(1.0, float(np.quantile(ratio, 0.9)))
        try:
            out[k] = collapse_factor(replace(model, network=changed), tolerance=tolerance, guess=guess)
        except FeaArchError:
            out[k] = 0.0
    return out


def _spreads(arch: Architecture) -> Array:
    codes = arch.component_columns.codes("service_time_s")
    spread = np.where(codes == 0, ASSUMED_SPREAD, DECLARED_SPREAD)
    for i in np.flatnonzero(codes == 2).tolist():
        component = arch.components[i]
        origin = component.provenance.get("service_time_s")
        if origin is None:
            continue
        noise = math.sqrt(component.service_scv / origin.samples) if origin.samples else DECLARED_SPREAD
        spread[i] = origin.spread if origin.spread > 0 else noise
    return np.asarray(spread, float)


def _draws(spread: Array, samples: int, seed: int, method: str) -> Array:
    """Return lognormal ratios of mean 1, (samples, n) float64."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    if method == "latin hypercube":
        unit = qmc.LatinHypercube(spread.size, rng=rng).random(samples)
    elif method == "sobol":
        if spread.size > 21201:
            raise ModelError(f"{spread.size} numbers are too many for Sobol points", field="method")
        power = max(math.ceil(math.log2(samples)), 0)
        unit = qmc.Sobol(spread.size, rng=rng).random_base2(power)[:samples]
    else:
        raise ModelError(f"is {method!r}", field="method", fix="'latin hypercube' or 'sobol'")
    sigma = np.sqrt(np.log1p(spread**2))
    return np.asarray(np.exp(sigma * ndtri(np.clip(unit, 1e-12, 1.0 - 1e-12)) - 0.5 * sigma**2))


def _result(
    factors: Array, values: Array, samples: int, seed: int, spreads: dict[str, float], interrupted: bool, method: str
) -> FragilityResult:
    n, z = values.size, 1.959963984540054
    share = np.array([(values <= f).mean() for f in factors])
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return FragilityResult(
        load_factor=factors.copy(),
        probability=share,
        lower=np.maximum(centre - half, 0.0),
        upper=np.minimum(centre + half, 1.0),
        collapse_factor=values,
        samples=samples,
        seed=seed,
        spreads=spreads,
        complete=n == samples,
        interrupted=interrupted,
        method=method,
    )
