"""Compare two architectures: what was edited, what it moved, and what fell by more than can be doubted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fea_arch.advice.changes import differences
from fea_arch.advice.margins import MARGINS, margins
from fea_arch.architecture import Architecture, require_valid
from fea_arch.errors import FeaArchError, ModelError
from fea_arch.results.comparison import ComparisonResult
from fea_arch.scoring.uncertainty import relative_errors

__all__ = ["compare"]

Array = NDArray[np.float64]

#: Change of a margin below which it has not moved, relative to its size.
LEAST = 1e-6
#: Probability that the interval of a change covers it.
LEVEL = 0.95


def compare(
    base: Architecture,
    head: Architecture,
    *,
    samples: int = 8,
    seed: int = 0,
    margins_of: tuple[str, ...] | None = None,
) -> ComparisonResult:
    """Compare two architectures margin by margin.

    Parameters
    ----------
    base, head : Architecture
        Before and after.
    samples : int
        Samples of the 95 % intervals, at least 2; 0 for none (every loss then counts).
    seed : int
        Of the samples.
    margins_of : tuple of str, optional
        Names of the margins; default all of ``MARGINS``.

    Returns
    -------
    ComparisonResult
        A margin has regressed where the whole 95 % interval of its change lies on the bad side.

    Raises
    ------
    ModelError
        An invalid architecture or an unknown margin.

    Notes
    -----
    What is not known about the numbers is the same on both sides: the service times of base and head are multiplied by
    the same log-normal factors per component (common random numbers), so that the interval is that of the change, not
    of either value.

    The interval is a 95 % one: with ``r = log(after / before)`` at the stated numbers and the standard deviation ``s``
    of the ``r`` of ``n`` samples, ``r -+ t s`` with the 0.975 quantile ``t`` of Student's distribution at ``n - 1``
    degrees of freedom, as a change of the margin's stated value. It covers a new draw of what is not known with
    probability 0.95 as far as ``r`` is normal. A margin that is 0 or below anywhere (a share, a yes or no) is taken by
    its difference instead. Where base or head does not stand in a sample the interval is the range of the samples; one
    in which neither stands says nothing about the change.

    Examples
    --------
    >>> import fea_arch as fa
    >>> base = fa.load_sample("chain", n=2)
    >>> result = fa.compare(base, base.replaced("s1", service_time_s=0.015), samples=4)
    >>> result.regressed, [str(c) for c in result.changes]
    (True, ['s1.service_time_s: 0.01 -> 0.015'])
    """
    names = tuple(MARGINS) if margins_of is None else tuple(margins_of)
    for name in names:
        if name not in MARGINS:
            raise ModelError(f"no margin {name!r}", field="margins_of", fix=f"some of {', '.join(MARGINS)}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 0 or samples == 1:
        raise ModelError(f"is {samples!r}", field="samples", fix="0, or a whole number of at least 2")
    for arch in (base, head):
        require_valid(arch)
    changes = differences(base, head)
    before = margins(base, names)
    after = before if not changes else margins(head, names)
    sign = np.array([MARGINS[n].sign for n in names])
    old, new = [before], [after]
    findings: list[str] = []
    for k in range(samples if changes else 0):
        try:
            pair = [margins(_shaken(arch, seed, k), names) for arch in (base, head)]
        except FeaArchError as error:
            findings.append(f"sample {k}: {error}")
            continue
        old.append(pair[0])
        new.append(pair[1])
    ends = []
    for name in names:
        ends.append(_interval(np.array([x[name] for x in old]), np.array([x[name] for x in new])))
    if samples and changes and len(old) < 3:
        findings.append("too few samples were solved for an interval: nothing is beyond doubt")
        ends = [(change, -math.inf, math.inf) for change, _, _ in ends]
    moved, low, high = np.array(ends).reshape(len(names), 3).T.copy()
    size = np.array([max(abs(before[n]), abs(after[n])) if math.isfinite(before[n] + after[n]) else 1.0 for n in names])
    gain = np.sort(sign * np.array([low, moved, high]), axis=0)  # the least and the largest gain outside
    worse, better = gain[2] < -LEAST * size, gain[0] > LEAST * size
    return ComparisonResult(
        base=base.name,
        head=head.name,
        changes=changes,
        margins=names,
        before=np.array([before[n] for n in names]),
        after=np.array([after[n] for n in names]),
        change=moved,
        low=low,
        high=high,
        verdicts=tuple("worse" if w else "better" if b else "same" for w, b in zip(worse.tolist(), better.tolist())),
        titles=tuple(MARGINS[n].title for n in names),
        units=tuple(MARGINS[n].unit for n in names),
        samples=samples,
        findings=tuple(findings),
    )


def _interval(before: Array, after: Array) -> tuple[float, float, float]:
    """Return the change at the stated numbers and its 95 % interval.

    Parameters
    ----------
    before, after : (1 + n_samples,) float64
        At the stated numbers, then in every sample.
    """
    keep = ~(np.isinf(before) & (before == after))  # where neither stands nothing is learnt about the change
    keep[0] = True
    before, after = before[keep], after[keep]
    with np.errstate(invalid="ignore"):
        moved = np.where(before == after, 0.0, after - before)
    if moved.size < 3 or not np.isfinite(moved).all() or not np.isfinite(before).all():
        return float(moved[0]), float(moved.min()), float(moved.max())
    ratio = bool((before > 0.0).all() and (after > 0.0).all())
    x = np.log(after / before) if ratio else moved
    half = float(stdtrit(x.size - 2.0, 0.5 + 0.5 * LEVEL) * x[1:].std(ddof=1))
    ends = [float(x[0]) - half, float(x[0]) + half]
    if ratio:
        ends = [float(before[0]) * math.expm1(min(end, 700.0)) for end in ends]
    return float(moved[0]), min(ends[0], float(moved[0])), max(ends[1], float(moved[0]))


def _shaken(arch: Architecture, seed: int, k: int) -> Architecture:
    """Return a copy with draw ``k`` of the service times; that of a component depends on its name only."""
    errors = relative_errors(arch)
    parts = []
    for c, error in zip(arch.components, errors.tolist()):
        draw = np.random.default_rng([seed, k, *c.name.encode()]).standard_normal()
        factor = math.exp(error * draw - 0.5 * error**2)
        cpu = None if c.cpu_s is None else c.cpu_s * factor
        parts.append(replace(c, service_time_s=c.service_time_s * factor, cpu_s=cpu))
    return replace(arch, components=parts)
